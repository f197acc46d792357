package objectstore

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/mobula-dev/mobula/internal/id"
	"github.com/mobula-dev/mobula/internal/segment"
)

const (
	modelCapacity = 512 << 10
	modelSegment  = 64 << 10
)

// model is a dumb account of what clients were told and did, kept without looking into the store.
type model struct {
	store    *Store
	now      time.Time
	clients  map[Session]*modelClient
	segments map[uint32]*modelSegmentState
	objects  map[id.Object]*modelObject
	queue    []modelRequest // in order of arrival
	// served counts, for each job that waits, how often each other job was granted something since the first last was, or began to wait.
	served    map[id.Job]map[id.Job]int
	nextID    uint64
	nextNo    Session
	collected time.Time
	freeing   map[segment.Block]Session // blocks that must be told to be free
	closing   int                       // descriptors that must be closed
	gone      map[Session][]uint32      // segments that readers must be told of
}

type modelClient struct {
	job  id.Job
	pins map[id.Object]int
	has  map[uint32]bool // segments whose descriptor it was given
}

type modelSegmentState struct {
	owner      Session // 0 is dead
	length     uint64
	memory     uint64 // what is accounted
	registered bool
	blocks     map[segment.Block]bool // taken, as its writer sees it
}

type modelObject struct {
	block segment.Block
	job   id.Job
	held  bool
}

type modelRequest struct {
	session  Session
	id       uint64
	job      id.Job
	deadline time.Time
}

type modelDescriptor struct{ closed *int }

func (d modelDescriptor) Close() error { *d.closed++; return nil }

func newModel(t *rapid.T) *model {
	s, err := New(Config{CapacityBytes: modelCapacity, SegmentBytes: modelSegment, WaitersMax: 4, WaitMax: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	return &model{
		store: s, now: time.Unix(1e9, 0), clients: map[Session]*modelClient{}, segments: map[uint32]*modelSegmentState{},
		objects: map[id.Object]*modelObject{}, served: map[id.Job]map[id.Job]int{}, freeing: map[segment.Block]Session{},
		gone: map[Session][]uint32{},
	}
}

func TestStoreAgreesWithTheModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		m := newModel(t)
		for range 3 {
			m.open(t)
		}
		// The weights keep the store full and its clients alive most of the time.
		var actions []func(*rapid.T)
		for _, a := range []struct {
			weight int
			action func(*rapid.T)
		}{
			{1, m.open}, {8, m.request}, {1, m.withdraw}, {8, m.announce}, {12, m.seal}, {2, m.reseal}, {6, m.pin}, {4, m.unpin},
			{6, m.free}, {4, m.giveBack}, {4, m.tick}, {1, m.die},
		} {
			actions = append(actions, slices.Repeat([]func(*rapid.T){a.action}, a.weight)...)
		}
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			actions[rapid.IntRange(0, len(actions)-1).Draw(t, "action")](t)
			m.check(t)
		}
		m.drain(t)
	})
}

// sortedKeys returns the keys of a map in order, so that failures can be reproduced.
func sortedKeys[K comparable, V any](in map[K]V, compare func(a, b K) int) []K {
	return slices.SortedFunc(maps.Keys(in), compare)
}

// one draws a key of a map; there may be none, and then the action does nothing.
func one[K comparable, V any](t *rapid.T, in map[K]V, compare func(a, b K) int, keep func(V) bool) (key K, ok bool) {
	keys := slices.DeleteFunc(sortedKeys(in, compare), func(k K) bool { return !keep(in[k]) })
	if len(keys) == 0 {
		return key, false
	}
	return keys[rapid.IntRange(0, len(keys)-1).Draw(t, "which")], true
}

func compareObjects(a, b id.Object) int { return bytes.Compare(a[:], b[:]) }
func compareNumbers[N Session | uint32](a, b N) int {
	return cmp.Compare(a, b)
}
func anyClient(*modelClient) bool { return true }

func (m *model) client(t *rapid.T) (Session, bool) {
	return one(t, m.clients, compareNumbers[Session], anyClient)
}

func (m *model) open(t *rapid.T) {
	if len(m.clients) == 6 {
		return
	}
	m.nextNo++
	job := id.Job{rapid.ByteRange(1, 3).Draw(t, "job")}
	if err := m.store.Open(m.nextNo, job); err != nil {
		t.Fatal(err)
	}
	m.clients[m.nextNo] = &modelClient{job: job, pins: map[id.Object]int{}, has: map[uint32]bool{}}
}

func (m *model) request(t *rapid.T) {
	sid, ok := m.client(t)
	if !ok {
		return
	}
	m.nextID++
	size := rapid.OneOf(rapid.Uint64Range(1, modelSegment/2), rapid.Uint64Range(1, modelCapacity/2)).Draw(t, "size")
	r := modelRequest{session: sid, id: m.nextID, job: m.clients[sid].job}
	req := Request{Session: sid, ID: r.id, Bytes: size}
	r.deadline = m.now.Add(time.Minute)
	if rapid.Bool().Draw(t, "deadline") {
		r.deadline = m.now.Add(time.Duration(rapid.IntRange(1, 40).Draw(t, "seconds")) * time.Second)
		req.Deadline = r.deadline
	}
	ofJob := 0
	for _, q := range m.queue {
		if q.job == r.job {
			ofJob++
		}
	}
	if ofJob == 0 {
		m.served[r.job] = map[id.Job]int{}
	}
	m.queue = append(m.queue, r)
	if err := m.store.RequestGrant(m.now, req); err != nil {
		t.Fatal(err)
	}
	if ofJob == 4 { // the queue is full
		e := m.store.Effects()
		if e[0].Kind != Refused || e[0].Request != r.id || e[0].Err.Reason != QueueFull {
			t.Fatalf("got %+v", e)
		}
		m.queue = m.queue[:len(m.queue)-1]
		m.apply(t, e[1:])
	}
}

func (m *model) withdraw(t *rapid.T) {
	if len(m.queue) == 0 {
		return
	}
	i := rapid.IntRange(0, len(m.queue)-1).Draw(t, "request")
	r := m.queue[i]
	m.queue = slices.Delete(m.queue, i, i+1)
	m.store.Withdraw(r.session, r.id)
	m.store.Withdraw(r.session, r.id) // crosses an answer
}

func (m *model) announce(t *rapid.T) {
	number, ok := one(t, m.segments, compareNumbers[uint32], func(s *modelSegmentState) bool { return !s.registered && s.owner != 0 })
	if !ok {
		return
	}
	s := m.segments[number]
	if m.store.Register(s.owner, number, s.length+1, nil) == nil || m.store.Register(s.owner+100, number, s.length, nil) == nil {
		t.Fatal("a lie was believed")
	}
	if err := m.store.Register(s.owner, number, s.length, modelDescriptor{&m.closing}); err != nil {
		t.Fatal(err)
	}
	s.registered = true
}

// seal puts an object at a free place of a segment.
func (m *model) seal(t *rapid.T) {
	number, ok := one(t, m.segments, compareNumbers[uint32], func(s *modelSegmentState) bool { return s.registered && s.owner != 0 })
	if !ok {
		return
	}
	s := m.segments[number]
	b := segment.Block{
		Segment: number,
		Offset:  64 * rapid.Uint64Range(0, s.length/64).Draw(t, "offset"),
		Size:    rapid.Uint64Range(0, s.length).Draw(t, "size"),
	}
	fits := b.Size > 0 && b.End() <= s.length
	for taken := range s.blocks {
		fits = fits && (b.End() <= taken.Offset || taken.End() <= b.Offset)
	}
	m.nextID++
	oid := newObject(m.nextID)
	holder := rapid.SampledFrom([]Session{0, 1, 2, 3}).Draw(t, "holder")
	err := m.store.Seal(s.owner, oid, b, Meta{Holder: holder})
	var lie *ProtocolError
	switch {
	case fits != (err == nil) || (err != nil && !errors.As(err, &lie)):
		t.Fatalf("seal at %v, fits %v: %v", b, fits, err)
	case fits:
		s.blocks[b] = true
		m.objects[oid] = &modelObject{block: b, job: m.clients[s.owner].job, held: true}
	}
}

// reseal repeats a seal, at the same place or at another.
func (m *model) reseal(t *rapid.T) {
	oid, ok := one(t, m.objects, compareObjects, func(*modelObject) bool { return true })
	if !ok {
		return
	}
	o := m.objects[oid]
	if s := m.segments[o.block.Segment]; s.owner != 0 && o.held {
		if err := m.store.Seal(s.owner, oid, o.block, Meta{}); err != nil {
			t.Fatalf("sealed again: %v", err)
		}
	}
	for _, number := range sortedKeys(m.segments, compareNumbers[uint32]) {
		s := m.segments[number]
		if b := (segment.Block{Segment: number, Size: 1}); s.registered && s.owner != 0 && len(s.blocks) == 0 {
			if err := m.store.Seal(s.owner, oid, b, Meta{}); !errors.Is(err, ErrExists) {
				t.Fatalf("sealed elsewhere: %v", err)
			}
			o.held = true
			s.blocks[b] = true
			m.freeing[b] = s.owner
			return
		}
	}
}

func newObject(n uint64) (o id.Object) {
	binary.BigEndian.PutUint64(o[:], n)
	return o
}

func (m *model) pin(t *rapid.T) {
	sid, ok := m.client(t)
	if !ok {
		return
	}
	oid, ok := one(t, m.objects, compareObjects, func(*modelObject) bool { return true })
	if !ok {
		return
	}
	o, c := m.objects[oid], m.clients[sid]
	p, err := m.store.Pin(sid, oid)
	if err != nil || p.Block != o.block || p.Share == c.has[o.block.Segment] {
		t.Fatalf("pinned %+v: %v", p, err)
	}
	c.has[o.block.Segment] = true
	c.pins[oid]++
}

func (m *model) unpin(t *rapid.T) {
	sid, ok := one(t, m.clients, compareNumbers[Session], func(c *modelClient) bool { return len(c.pins) > 0 })
	if !ok {
		return
	}
	c := m.clients[sid]
	oid, ok := one(t, c.pins, compareObjects, func(int) bool { return true })
	if !ok {
		return
	}
	if c.pins[oid]--; c.pins[oid] == 0 {
		delete(c.pins, oid)
	}
	if err := m.store.Unpin(sid, oid); err != nil {
		t.Fatal(err)
	}
	m.settle(oid)
	if c.pins[oid] == 0 && !errors.Is(m.store.Unpin(sid, oid), ErrNotPinned) {
		t.Fatal("unpinned too often")
	}
}

func (m *model) free(t *rapid.T) {
	oid, ok := one(t, m.objects, compareObjects, func(o *modelObject) bool { return o.held })
	if !ok {
		return
	}
	m.objects[oid].held = false
	if !m.store.Free(oid) || m.store.Free(oid) {
		t.Fatal("freed never or twice")
	}
	m.settle(oid)
}

// settle does to the model what the end of an object's last hold or pin must do.
func (m *model) settle(oid id.Object) {
	o := m.objects[oid]
	for _, c := range m.clients {
		if c.pins[oid] > 0 {
			return
		}
	}
	if o.held {
		return
	}
	delete(m.objects, oid)
	s := m.segments[o.block.Segment]
	if s.owner != 0 {
		m.freeing[o.block] = s.owner
		return
	}
	delete(s.blocks, o.block)
	m.endIfOrphan(o.block.Segment)
}

func (m *model) endIfOrphan(number uint32) {
	if s := m.segments[number]; s.owner == 0 && len(s.blocks) == 0 {
		m.end(number)
	}
}

// end does to the model what the end of a segment must do.
func (m *model) end(number uint32) {
	if m.segments[number].registered {
		m.closing--
	}
	delete(m.segments, number)
	for sid, c := range m.clients {
		if c.has[number] {
			delete(c.has, number)
			m.gone[sid] = append(m.gone[sid], number)
		}
	}
}

func (m *model) giveBack(t *rapid.T) {
	number, ok := one(t, m.segments, compareNumbers[uint32], func(s *modelSegmentState) bool { return s.owner != 0 })
	if !ok {
		return
	}
	s := m.segments[number]
	err := m.store.GiveBack(s.owner, number)
	if (err == nil) != (len(s.blocks) == 0) {
		t.Fatalf("gave back a segment with %d objects: %v", len(s.blocks), err)
	}
	if err == nil {
		m.end(number)
	}
}

func (m *model) tick(t *rapid.T) {
	m.now = m.now.Add(time.Duration(rapid.IntRange(1, 5000).Draw(t, "ms")) * time.Millisecond)
	m.store.Tick(m.now)
}

func (m *model) die(t *rapid.T) {
	sid, ok := m.client(t)
	if !ok {
		return
	}
	m.kill(sid)
}

func (m *model) kill(sid Session) {
	c := m.clients[sid]
	delete(m.clients, sid)
	m.queue = slices.DeleteFunc(m.queue, func(r modelRequest) bool { return r.session == sid })
	maps.DeleteFunc(m.freeing, func(b segment.Block, writer Session) bool {
		if writer == sid {
			delete(m.segments[b.Segment].blocks, b) // free, though nobody is left to be told
		}
		return writer == sid
	})
	for _, number := range sortedKeys(m.segments, compareNumbers[uint32]) {
		if s := m.segments[number]; s.owner == sid {
			s.owner = 0
			m.endIfOrphan(number)
		}
	}
	for _, oid := range sortedKeys(c.pins, compareObjects) {
		m.settle(oid)
	}
	m.store.SessionGone(sid)
	m.store.SessionGone(sid)
}

func newModelSegment(e Effect) *modelSegmentState {
	return &modelSegmentState{owner: e.Session, length: e.Length, memory: e.Length, blocks: map[segment.Block]bool{}}
}
