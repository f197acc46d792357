package ownership

import (
	"encoding/binary"
	"errors"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/mobula-dev/mobula/internal/id"
)

// oid makes an object id of a number.
func oid(n int) id.Object {
	var t id.Task
	binary.BigEndian.PutUint64(t[:], uint64(n))
	return t.Object(0)
}

// create enters a pending object.
func create(t interface{ Fatal(...any) }, d *Directory, n int) *Object {
	o := new(Object)
	if err := d.Create(o, oid(n)); err != nil {
		t.Fatal(err)
	}
	return o
}

// kinds counts effects by kind and object.
func kinds(effects []Effect) map[EffectKind]int {
	m := make(map[EffectKind]int)
	for _, e := range effects {
		m[e.Kind]++
	}
	return m
}

func TestObjectIsFreedWithItsLastHold(t *testing.T) {
	t.Parallel()
	d := New(Seed{})
	o := create(t, d, 1)
	d.Hold(o, 7)
	d.Hold(o, 7)
	d.Hold(o, 8)
	d.Resolve(o, &Value{})
	for _, s := range []Session{7, 8} {
		if err := d.Release(o, s); err != nil {
			t.Fatal(err)
		}
	}
	if !o.Live() || o.HeldBy(7) != 1 {
		t.Fatalf("live %v, held %d times by 7; want live, once", o.Live(), o.HeldBy(7))
	}
	if err := d.Release(o, 7); err != nil {
		t.Fatal(err)
	}
	if o.Live() || d.Len() != 0 || kinds(d.Effects())[Freed] != 1 {
		t.Fatal("the object was not freed once")
	}
}

func TestReleaseOfWhatIsNotHeldIsAnError(t *testing.T) {
	t.Parallel()
	d := New(Seed{})
	o := create(t, d, 1)
	d.Hold(o, 7)
	if err := d.Release(o, 8); !errors.Is(err, ErrNotHeld) {
		t.Fatalf("got %v, want ErrNotHeld", err)
	}
}

func TestPendingObjectWithoutHoldersIsFreedWhenItsOutcomeComes(t *testing.T) {
	t.Parallel()
	d := New(Seed{})
	o := create(t, d, 1)
	d.Hold(o, 7)
	if err := d.Release(o, 7); err != nil {
		t.Fatal(err)
	}
	if !o.Live() {
		t.Fatal("freed while its maker works on it")
	}
	d.Resolve(o, &Value{})
	if o.Live() {
		t.Fatal("not freed")
	}
}

func TestContainerHoldsWhatItContainsToAnyDepth(t *testing.T) {
	t.Parallel()
	const depth = 100_000
	d := New(Seed{})
	inner := create(t, d, 0)
	d.Resolve(inner, &Value{}) // freed at once: nobody holds it
	d.Effects()
	prev := create(t, d, 1)
	first := prev
	d.Hold(prev, 1)
	d.Resolve(prev, &Value{})
	for i := 2; i < depth; i++ {
		o := create(t, d, i)
		d.Hold(o, 1)
		d.Resolve(o, &Value{Refs: []*Object{prev}})
		if err := d.Release(prev, 1); err != nil {
			t.Fatal(err)
		}
		prev = o
	}
	if !first.Live() {
		t.Fatal("an object inside a chain of containers was freed")
	}
	if err := d.Release(prev, 1); err != nil {
		t.Fatal(err)
	}
	if d.Len() != 0 {
		t.Fatalf("%d objects are left", d.Len())
	}
}

func TestFirstOutcomeStays(t *testing.T) {
	t.Parallel()
	d := New(Seed{})
	o := create(t, d, 1)
	d.Hold(o, 1)
	v := &Value{Size: 1}
	if !d.Resolve(o, v) || d.Resolve(o, &Value{Size: 2}) || o.Value() != v {
		t.Fatal("the second outcome replaced the first")
	}
}

func TestSubscribersAndWaitersAreToldOnce(t *testing.T) {
	t.Parallel()
	d := New(Seed{})
	o := create(t, d, 1)
	d.Hold(o, 1)
	d.Subscribe(o, 1, 5, false)
	d.Subscribe(o, 2, 0, true)
	if !d.Wait(o, "task") {
		t.Fatal("a pending object is not waited for")
	}
	d.Resolve(o, &Value{})
	got := kinds(d.Effects())
	if got[Deliver] != 2 || got[ArgReady] != 1 {
		t.Fatalf("got %v, want two deliveries and one ready argument", got)
	}
	if d.Wait(o, "task") {
		t.Fatal("a ready object is waited for")
	}
	d.Subscribe(o, 3, 0, false)
	if e := d.Effects(); len(e) != 1 || e[0].Session != 3 {
		t.Fatalf("got %v, want a delivery to 3", e)
	}
}

func TestEndOfSessionDropsItsHoldsAndSubscriptions(t *testing.T) {
	t.Parallel()
	d := New(Seed{})
	mine, shared := create(t, d, 1), create(t, d, 2)
	for _, o := range []*Object{mine, shared} {
		d.Hold(o, 1)
		d.Hold(o, 1)
		d.Subscribe(o, 1, 1, false)
	}
	d.Hold(shared, 2)
	d.Subscribe(shared, 2, 1, false)
	d.SessionGone(1)
	d.Resolve(mine, &Value{})
	d.Resolve(shared, &Value{})
	if mine.Live() || !shared.Live() {
		t.Fatal("holds of the dead session count, or those of the other do not")
	}
	for _, e := range d.Effects() {
		if e.Kind == Deliver && e.Session == 1 {
			t.Fatal("the dead session was told")
		}
	}
}

func TestSupersededObjectLivesForItsHolders(t *testing.T) {
	t.Parallel()
	d := New(Seed{})
	old := create(t, d, 1)
	d.Hold(old, 1)
	d.Supersede(old)
	again := create(t, d, 1)
	d.Hold(again, 1)
	d.Resolve(old, &Value{})
	if err := d.Release(old, 1); err != nil {
		t.Fatal(err)
	}
	if d.Lookup(oid(1)) != again {
		t.Fatal("freeing the old object took the new one out of the index")
	}
}

// oracle is the directory as a beginner would write it: lists of holds, reachability by repeated search.
type oracle struct {
	sessions map[int]map[Session]int
	internal map[int]int
	refs     map[int][]int
	ready    map[int]bool
	alive    map[int]bool
}

// collect removes what nothing holds.
func (o *oracle) collect() {
	for changed := true; changed; {
		changed = false
		for n := range o.alive {
			held := o.internal[n] > 0
			for _, count := range o.sessions[n] {
				held = held || count > 0
			}
			for c := range o.alive {
				held = held || slices.Contains(o.refs[c], n)
			}
			if !held {
				delete(o.alive, n)
				delete(o.refs, n)
				changed = true
			}
		}
	}
}

func TestDirectoryAgreesWithOracle(t *testing.T) {
	t.Parallel()
	rapid.Check(t, agree)
}

func FuzzDirectoryAgreesWithOracle(f *testing.F) { f.Fuzz(rapid.MakeFuzz(agree)) }

// agree drives directory and oracle through the same random history and compares what lives and who is told.
func agree(t *rapid.T) {
	d := New(Seed{})
	o := &oracle{sessions: map[int]map[Session]int{}, internal: map[int]int{}, refs: map[int][]int{}, ready: map[int]bool{}, alive: map[int]bool{}}
	objects := map[int]*Object{}
	var told, want int
	subscribed := map[int]map[Session]int{}
	live := func() []int {
		var ns []int
		for n := range o.alive {
			ns = append(ns, n)
		}
		slices.Sort(ns)
		return ns
	}
	session := rapid.SampledFrom([]Session{1, 2, 3})
	next := 0
	add := func(t *rapid.T) {
		next++
		objects[next] = create(t, d, next)
		o.alive[next], o.internal[next] = true, 1
		o.sessions[next], subscribed[next] = map[Session]int{}, map[Session]int{}
	}
	pick := func(t *rapid.T) int {
		if len(live()) == 0 {
			add(t) // no action may find nothing to do: the fuzzer may draw only that one
		}
		return rapid.SampledFrom(live()).Draw(t, "object")
	}
	t.Repeat(map[string]func(*rapid.T){
		"create": add,
		"hold": func(t *rapid.T) {
			n, s := pick(t), session.Draw(t, "session")
			d.Hold(objects[n], s)
			o.sessions[n][s]++
		},
		"release": func(t *rapid.T) {
			n, s := pick(t), session.Draw(t, "session")
			err := d.Release(objects[n], s)
			if held := o.sessions[n][s] > 0; held != (err == nil) {
				t.Fatalf("release: %v, oracle says held %v", err, held)
			}
			if err == nil {
				o.sessions[n][s]--
			}
		},
		"retain": func(t *rapid.T) {
			n := pick(t)
			d.Retain(objects[n])
			o.internal[n]++
		},
		"drop": func(t *rapid.T) {
			n := pick(t)
			if least := map[bool]int{true: 0, false: 1}[o.ready[n]]; o.internal[n] <= least {
				return // only its maker holds it
			}
			o.internal[n]--
			d.Drop(objects[n])
		},
		"resolve": func(t *rapid.T) {
			n := pick(t)
			if o.ready[n] {
				return // ready
			}
			v := &Value{}
			for _, r := range live() {
				if r < n && rapid.Bool().Draw(t, "contains") { // no cycles: a value is made of older ones
					v.Refs = append(v.Refs, objects[r])
					o.refs[n] = append(o.refs[n], r)
				}
			}
			d.Resolve(objects[n], v)
			o.ready[n] = true
			o.internal[n]--
			for _, count := range subscribed[n] {
				want += count
			}
			subscribed[n] = map[Session]int{}
		},
		"subscribe": func(t *rapid.T) {
			n, s := pick(t), session.Draw(t, "session")
			d.Subscribe(objects[n], s, 1, false)
			if o.ready[n] {
				want++
			} else {
				subscribed[n][s]++
			}
		},
		"end of session": func(t *rapid.T) {
			s := session.Draw(t, "session")
			d.SessionGone(s)
			for n := range o.alive {
				o.sessions[n][s] = 0
				delete(subscribed[n], s)
			}
		},
		"": func(t *rapid.T) {
			o.collect()
			for _, e := range d.Effects() {
				if e.Kind == Deliver {
					told++
				}
			}
			if d.Len() != len(o.alive) {
				t.Fatalf("%d objects live, oracle has %d", d.Len(), len(o.alive))
			}
			for n, obj := range objects {
				if obj.Live() != o.alive[n] {
					t.Fatalf("object %d lives: %v, oracle says %v", n, obj.Live(), o.alive[n])
				}
			}
			if told != want {
				t.Fatalf("%d deliveries, oracle has %d", told, want)
			}
		},
	})
}

func TestCirclesAreCollectedAndNothingElse(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		const n = 8
		d, objects, alive := New(Seed{}), make([]*Object, n), make([]bool, n)
		number := rapid.IntRange(0, n-1)
		for i := range objects {
			objects[i] = create(t, d, i)
			d.Hold(objects[i], 1)
		}
		contains := make([][]int, n)
		for i, o := range objects {
			if rapid.IntRange(0, 9).Draw(t, "pending") == 0 {
				alive[i] = true
				continue
			}
			contains[i] = rapid.SliceOfN(number, 0, 3).Draw(t, "contains")
			v := new(Value)
			for _, r := range contains[i] {
				v.Refs = append(v.Refs, objects[r])
			}
			d.Resolve(o, v)
		}
		for i, o := range objects {
			switch rapid.IntRange(0, 9).Draw(t, "other hold") {
			case 0:
				d.Hold(o, 2)
				alive[i] = true
			case 1:
				d.Retain(o)
				alive[i] = true
			}
		}
		others := number.Draw(t, "another program's, which holds it")
		d.Hold(objects[others], 2)
		alive[others] = true
		d.SessionGone(1)
		d.CollectCircles(slices.DeleteFunc(slices.Collect(d.All()), func(o *Object) bool { return o == objects[others] }))
		for range n {
			for i, refs := range contains {
				for _, r := range refs {
					alive[r] = alive[r] || alive[i]
				}
			}
		}
		for i, o := range objects {
			if o.Live() != alive[i] {
				t.Fatalf("object %d lives: %v, want %v; values contain %v", i, o.Live(), alive[i], contains)
			}
		}
	})
}

func BenchmarkSubmitResolveRelease(b *testing.B) {
	d := New(Seed{})
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		o := new(Object)
		if err := d.Create(o, oid(i)); err != nil {
			b.Fatal(err)
		}
		d.Hold(o, 1)
		d.Subscribe(o, 1, uint64(i), false)
		d.Resolve(o, &Value{})
		if err := d.Release(o, 1); err != nil {
			b.Fatal(err)
		}
		d.Effects()
	}
}
