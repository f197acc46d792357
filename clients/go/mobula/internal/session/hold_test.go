package session_test

import (
	"runtime"
	"testing"
	"time"

	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"

	"github.com/mobula-dev/mobula/clients/go/mobula/internal/nodetest"
	"github.com/mobula-dev/mobula/clients/go/mobula/internal/session"
	"github.com/mobula-dev/mobula/internal/id"
)

// ids reads the packed ids of a frame.
func ids(t *testing.T, packed []byte) []id.Object {
	t.Helper()
	if len(packed)%id.ObjectSize != 0 {
		t.Fatalf("%d bytes of ids", len(packed))
	}
	var all []id.Object
	for ; len(packed) > 0; packed = packed[id.ObjectSize:] {
		all = append(all, id.Object(packed[:id.ObjectSize]))
	}
	return all
}

// released receives the next releases.
func released(t *testing.T, n *nodetest.Node) []id.Object {
	t.Helper()
	for {
		kind, payload := n.Next(mobulav1.FrameKind_FRAME_KIND_RELEASE)
		if kind != mobulav1.FrameKind_FRAME_KIND_RELEASE {
			continue
		}
		var m mobulav1.Release
		if err := m.UnmarshalVT(payload); err != nil {
			t.Fatal(err)
		}
		return ids(t, m.GetObjectIds())
	}
}

func TestReleaseGivesAHoldUpOnce(t *testing.T) {
	t.Parallel()
	n, s := open(t)
	o := &submit(t, s, 1)[0]
	several := submit(t, s, 2)
	inside := s.NewScope(o).Object(s.NextID().Object(0))
	for range 3 {
		o.Release()
		several[0].Release() // goes with the last of them
		inside.Release()     // is held by what it came in
	}
	if got := released(t, n); len(got) != 1 || got[0] != o.ID() {
		t.Errorf("released %v, want %v", got, o.ID())
	}
	marker := s.Held(s.NextID().Object(7))
	marker.Release()
	if got := released(t, n); len(got) != 1 || got[0] != marker.ID() {
		t.Errorf("released %v after that, want %v alone", got, marker.ID())
	}
	runtime.KeepAlive(several)
	runtime.KeepAlive(inside)
}

func TestHandlesThatNobodyHasAreReleased(t *testing.T) {
	t.Parallel()
	n, s := open(t)
	want := make(map[id.Object]bool)
	func() { // in a frame of its own, so that nothing is left on the stack
		for _, objects := range [][]session.Object{submit(t, s, 1), submit(t, s, 3)} {
			for i := range objects {
				want[objects[i].ID()] = true
			}
		}
		held := s.Held(s.NextID().Object(1))
		want[held.ID()] = true
	}()
	// Pending results are kept by the session until they come.
	n.Send(mobulav1.FrameKind_FRAME_KIND_RESULT, &mobulav1.Result{Sequence: 1, Value: value("x")})
	for i := range uint32(3) {
		n.Send(mobulav1.FrameKind_FRAME_KIND_RESULT, &mobulav1.Result{Sequence: 2, Index: i, Value: value("x")})
	}
	query(t, n, s)
	collected(t, func() bool {
		for _, oid := range released(t, n) {
			if !want[oid] {
				t.Errorf("released %v, which nobody had", oid)
			}
			delete(want, oid)
		}
		return len(want) == 0
	})
}

// query asks the node something: when it has answered, everything that it sent before was handled.
func query(t *testing.T, n *nodetest.Node, s *session.Session) {
	t.Helper()
	answered := make(chan error, 1)
	go func() {
		_, err := s.Query(nodetest.Context(t), new(mobulav1.Query))
		answered <- err
	}()
	var q mobulav1.Query
	for kind, payload := n.Next(); ; kind, payload = n.Next() {
		if kind == mobulav1.FrameKind_FRAME_KIND_QUERY {
			if err := q.UnmarshalVT(payload); err != nil {
				t.Fatal(err)
			}
			break
		}
	}
	n.Send(mobulav1.FrameKind_FRAME_KIND_REPLY, &mobulav1.Reply{Id: q.GetId()})
	if err := <-answered; err != nil {
		t.Fatal(err)
	}
}

// collected runs the garbage collector, beside, until done says that it has seen what it waits for.
func collected(t *testing.T, done func() bool) {
	t.Helper()
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			runtime.GC()
			select {
			case <-stop:
				return
			case <-tick.C:
			}
		}
	}()
	defer func() { close(stop); <-stopped }()
	for !done() {
		continue
	}
}

func TestManyReleasesGoTogether(t *testing.T) {
	t.Parallel()
	n, s := open(t)
	const total = 5000
	for i := range uint32(total) {
		s.Held(id.Task{1}.Object(i)).Release()
	}
	frames, seen := 0, make(map[id.Object]bool)
	for len(seen) < total {
		for _, oid := range released(t, n) {
			if seen[oid] {
				t.Fatalf("%v was released twice", oid)
			}
			seen[oid] = true
		}
		frames++
	}
	if frames > total/10 {
		t.Errorf("%d releases in %d frames", total, frames)
	}
}

func TestRefsOfATasksArgumentsAreHeldAsLongAsTheirHandles(t *testing.T) {
	t.Parallel()
	n, s := open(t)
	oid := s.NextID().Object(0)
	kept := func() *session.Object {
		sc := s.NewTaskScope(oid[:])
		defer sc.Keep() // the task returns
		return sc.Object(oid)
	}()
	s.Kick()
	var m mobulav1.Hold
	n.Receive(mobulav1.FrameKind_FRAME_KIND_HOLD, &m)
	if got := ids(t, m.GetObjectIds()); len(got) != 1 || got[0] != oid {
		t.Fatalf("holds %v, want %v", got, oid)
	}
	runtime.GC()
	query(t, n, s) // what the collector found is on its way: nothing
	runtime.KeepAlive(kept)
	collected(t, func() bool { got := released(t, n); return len(got) == 1 && got[0] == oid })
}

func TestTheCollectorIsRunWhenTheNodeIsShortOfMemory(t *testing.T) {
	t.Parallel()
	n, s := open(t)
	func() { s.Held(id.Task{2}.Object(0)) }()
	for range 3 { // one run at a time, and each request is heard
		n.Send(mobulav1.FrameKind_FRAME_KIND_COLLECT, new(mobulav1.Collect))
	}
	if got := released(t, n); len(got) != 1 || got[0] != (id.Task{2}).Object(0) {
		t.Errorf("released %v", got)
	}
}
