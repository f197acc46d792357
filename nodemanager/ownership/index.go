package ownership

import (
	"encoding/binary"
	"iter"
	"math"
	"math/bits"
	"slices"

	"github.com/mobula-dev/mobula/internal/id"
)

// index finds objects by id. It is a set of hash tables of pointers, with linear probing: a map from ids would keep every id twice and a
// third of its slots empty besides, which for a million objects is 80 MB in place of 17. There are many tables so that none is large: one
// that grows moves all that it has under the node's lock.
type index struct {
	seed   Seed
	tables [256]table
	n      int
}

// table has a power of two of slots, at least a quarter of them empty, and none between an object and the slot that its hash names.
type table struct {
	slots []*Object
	n     int
}

// tableMin is how many slots a table has at first.
const tableMin = 8

// Seed keeps clients from making ids that meet in one slot: luck that the caller must bring.
type Seed [2]uint64

// place returns an id's table and the number of its slot, of which the lower bits count.
func (x *index) place(oid id.Object) (*table, int) {
	const p, q = 0xa0761d6478bd642f, 0xe7037ed1a0b428db // wyhash's: any with about as many ones as zeros would do
	low, high := binary.LittleEndian.Uint64(oid[:8]), binary.LittleEndian.Uint64(oid[8:16])
	a, b := bits.Mul64(low^x.seed[0]^p, high^x.seed[1]^q)
	a, b = bits.Mul64(a^b^uint64(oid.Index()), p)
	h := a ^ b
	return &x.tables[h>>56], int(h & math.MaxInt32)
}

// find returns the slot in which the object with that id is, or would be. There must be slots.
func (t *table) find(oid id.Object, at int) int {
	for mask := len(t.slots) - 1; ; at++ {
		if at &= mask; t.slots[at] == nil || t.slots[at].ID == oid {
			return at
		}
	}
}

// get returns the object with that id, or nil.
func (x *index) get(oid id.Object) *Object {
	t, at := x.place(oid)
	if t.n == 0 {
		return nil
	}
	return t.slots[t.find(oid, at)]
}

// add enters an object under an id, unless there is one with it.
func (x *index) add(o *Object, oid id.Object) bool {
	t, at := x.place(oid)
	if 4*(t.n+1) > 3*len(t.slots) {
		x.grow(t)
	}
	at = t.find(oid, at)
	if t.slots[at] != nil {
		return false
	}
	t.slots[at] = o
	t.n++
	x.n++
	return true
}

func (x *index) grow(t *table) {
	old := t.slots
	t.slots = make([]*Object, max(tableMin, 2*len(old)))
	for _, o := range old {
		if o != nil {
			_, at := x.place(o.ID)
			t.slots[t.find(o.ID, at)] = o
		}
	}
}

// remove takes out an object, if it is there, and moves up those behind it that are not in their own slots because of it.
func (x *index) remove(o *Object) {
	t, at := x.place(o.ID)
	if t.n == 0 {
		return
	}
	hole := t.find(o.ID, at)
	if t.slots[hole] != o {
		return
	}
	mask := len(t.slots) - 1
	t.slots[hole] = nil
	t.n--
	x.n--
	for i := (hole + 1) & mask; t.slots[i] != nil; i = (i + 1) & mask {
		_, home := x.place(t.slots[i].ID)
		if (i-home)&mask >= (i-hole)&mask {
			t.slots[hole], t.slots[i] = t.slots[i], nil
			hole = i
		}
	}
}

// all yields every object, in no order. What is taken out meanwhile is not yielded, what is added may be.
func (x *index) all() iter.Seq[*Object] {
	return func(yield func(*Object) bool) {
		for i := range x.tables {
			for _, o := range slices.Clone(x.tables[i].slots) {
				if o != nil && x.get(o.ID) == o && !yield(o) {
					return
				}
			}
		}
	}
}
