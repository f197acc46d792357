package objectstore

import (
	"slices"
	"time"

	"pgregory.net/rapid"

	"github.com/mobula-dev/mobula/internal/id"
)

// check compares what the store says and asks for with the model.
func (m *model) check(t *rapid.T) {
	m.apply(t, m.store.Effects())
	if err := m.store.check(); err != nil {
		t.Fatal(err)
	}
	var used uint64
	for _, s := range m.segments {
		used += s.memory
	}
	st := m.store.Stats()
	if st.UsedBytes != used || used > modelCapacity || st.Segments != len(m.segments) || st.Objects != len(m.objects) {
		t.Fatalf("%+v, want %d bytes, %d segments, %d objects", st, used, len(m.segments), len(m.objects))
	}
	if st.Waiting != len(m.queue) {
		t.Fatalf("%d wait, want %d", st.Waiting, len(m.queue))
	}
	for _, r := range m.queue {
		if m.now.After(r.deadline.Add(5 * time.Second)) {
			t.Fatalf("request %d waits beyond its deadline", r.id)
		}
	}
	if next := m.store.Next(); next.IsZero() != (len(m.queue) == 0) {
		t.Fatalf("next tick at %v with %d waiting", next, len(m.queue))
	}
	if len(m.freeing) > 0 {
		t.Fatalf("nobody was told of %v", m.freeing)
	}
	for sid, numbers := range m.gone {
		if len(numbers) > 0 {
			t.Fatalf("reader %d was not told of segments %v", sid, numbers)
		}
	}
	if m.closing != 0 {
		t.Fatalf("%d descriptors are open too long", -m.closing)
	}
	for info := range m.store.Objects() {
		o := m.objects[info.ID]
		if o == nil || o.block != info.Block || o.job != info.Job || o.held != (info.State == Sealed) ||
			m.segments[info.Block.Segment].owner != info.Writer {
			t.Fatalf("object %+v, want %+v", info, o)
		}
	}
}

// apply does what the store asks for.
func (m *model) apply(t *rapid.T, effects []Effect) {
	var orphans []uint32
	for _, e := range effects {
		switch e.Kind {
		case Granted:
			m.granted(t, e)
		case Refused:
			i := slices.IndexFunc(m.queue, func(r modelRequest) bool { return r.session == e.Session && r.id == e.Request })
			if i < 0 || e.Err.Reason != TimedOut || m.now.Before(m.queue[i].deadline) {
				t.Fatalf("refused %+v", e)
			}
			m.queue = slices.Delete(m.queue, i, i+1)
		case Freed:
			if len(e.Blocks) == 0 && !e.GiveBack {
				t.Fatalf("nothing is said: %+v", e)
			}
			for _, b := range e.Blocks {
				if m.freeing[b] != e.Session {
					t.Fatalf("session %d is told that %v is free", e.Session, b)
				}
				delete(m.freeing, b)
				if s := m.segments[b.Segment]; s != nil {
					delete(s.blocks, b)
				}
			}
		case SegmentGone:
			i := slices.Index(m.gone[e.Session], e.Segment)
			if i < 0 {
				t.Fatalf("reader %d is told of segment %d", e.Session, e.Segment)
			}
			m.gone[e.Session] = slices.Delete(m.gone[e.Session], i, i+1)
		case CloseDescriptor:
			if err := e.Descriptor.Close(); err != nil {
				t.Fatal(err)
			}
		case Orphaned:
			orphans = append(orphans, e.Segment)
		case Collect:
			if m.clients[e.Session] == nil || e.Length == 0 || (!m.now.Equal(m.collected) && m.now.Before(m.collected.Add(time.Second))) {
				t.Fatalf("collect %+v", e)
			}
			m.collected = m.now
		default:
			t.Fatalf("effect %+v", e)
		}
	}
	for _, number := range orphans { // last, because it is an event
		m.shrink(t, number)
	}
}

func (m *model) shrink(t *rapid.T, number uint32) {
	memory := rapid.Uint64Range(0, 2*modelSegment).Draw(t, "memory")
	if s := m.segments[number]; s != nil { // it may have ended since
		s.memory = min(s.memory, memory)
	}
	m.store.Shrink(number, memory)
	m.apply(t, m.store.Effects())
}

func (m *model) granted(t *rapid.T, e Effect) {
	i := slices.IndexFunc(m.queue, func(r modelRequest) bool { return r.session == e.Session && r.id == e.Request })
	if i < 0 {
		t.Fatalf("granted what nobody asked for: %+v", e)
	}
	r := m.queue[i]
	if slices.IndexFunc(m.queue, func(q modelRequest) bool { return q.job == r.job }) != i {
		t.Fatalf("request %d overtook another of its job", r.id)
	}
	m.queue = slices.Delete(m.queue, i, i+1)
	m.served[r.job] = map[id.Job]int{}
	told := map[id.Job]bool{r.job: true}
	for _, q := range m.queue {
		if !told[q.job] {
			told[q.job] = true
			if m.served[q.job][r.job]++; m.served[q.job][r.job] > 1 {
				t.Fatalf("job %v is passed over", q.job)
			}
		}
	}
	if m.segments[e.Segment] != nil || e.Length == 0 {
		t.Fatalf("granted %+v", e)
	}
	m.segments[e.Segment] = newModelSegment(e)
}

// drain gives everything back: nobody may be left waiting and nothing may be left.
func (m *model) drain(t *rapid.T) {
	m.check(t)
	for len(m.queue) > 0 {
		before := len(m.queue)
		m.freeAll()
		for _, sid := range sortedKeys(m.clients, compareNumbers[Session]) {
			m.unpinAll(t, sid)
		}
		m.check(t)
		for _, number := range sortedKeys(m.segments, compareNumbers[uint32]) {
			if err := m.store.GiveBack(m.segments[number].owner, number); err != nil {
				t.Fatal(err)
			}
			m.end(number)
		}
		m.check(t)
		if len(m.queue) == before {
			t.Fatalf("%d are left waiting", before)
		}
	}
	for _, sid := range sortedKeys(m.clients, compareNumbers[Session]) {
		m.kill(sid)
	}
	m.freeAll()
	m.check(t)
	if s := m.store; s.used != 0 || len(s.jobs)+len(s.objects)+len(s.segments)+len(s.sessions)+len(s.turns) != 0 {
		t.Fatal("something is left")
	}
}

func (m *model) freeAll() {
	for _, oid := range sortedKeys(m.objects, compareObjects) {
		if o := m.objects[oid]; o.held {
			o.held = false
			m.store.Free(oid)
			m.settle(oid)
		}
	}
}

func (m *model) unpinAll(t *rapid.T, sid Session) {
	c := m.clients[sid]
	for _, oid := range sortedKeys(c.pins, compareObjects) {
		n := c.pins[oid]
		delete(c.pins, oid)
		for range n {
			if err := m.store.Unpin(sid, oid); err != nil {
				t.Fatal(err)
			}
		}
		m.settle(oid)
	}
}
