package session

import (
	"runtime"
	"sync"
	"time"

	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"
	"github.com/mobula-dev/mobula/internal/id"
)

const (
	// releaseBatch is how many releases are sent at once at the latest.
	releaseBatch = 1024
	// releaseDelay is how long a release may wait for company.
	releaseDelay = 5 * time.Millisecond
)

// releases collects what the garbage collector and the program give up, and sends it in batches.
type releases struct {
	s *Session

	mu    sync.Mutex // guards the fields below; taken alone
	ids   []byte
	unpin []byte
	armed bool
	timer *time.Timer
}

func (r *releases) init(s *Session) {
	r.s = s
	r.timer = time.AfterFunc(time.Hour, r.flush)
	r.timer.Stop()
}

// slab is the argument of a cleanup: it must not reach the objects that it releases.
type slab struct {
	r     *releases
	first id.Object
	n     uint32
}

// watch releases the objects when the last handle of the slab is collected.
func (r *releases) watch(objects []Object) {
	o := &objects[0]
	o.cleanup = runtime.AddCleanup(o, func(sl slab) { sl.r.add(sl.first, sl.n) }, slab{r: r, first: o.id, n: uint32(len(objects))})
}

// add notes n objects of one task, from first on, for release.
func (r *releases) add(first id.Object, n uint32) {
	r.mu.Lock()
	t, index := first.Task(), first.Index()
	for i := range n {
		oid := t.Object(index + i)
		r.ids = append(r.ids, oid[:]...)
	}
	r.scheduleLocked()
}

// addAll notes a packed list of ids for release.
func (r *releases) addAll(packed []byte) {
	r.mu.Lock()
	r.ids = append(r.ids, packed...)
	r.scheduleLocked()
}

// addUnpin notes a stored value that is no longer read.
func (r *releases) addUnpin(oid id.Object) {
	r.mu.Lock()
	r.unpin = append(r.unpin, oid[:]...)
	r.scheduleLocked()
}

// scheduleLocked sends now when there is enough, soon otherwise. It unlocks mu.
func (r *releases) scheduleLocked() {
	full := len(r.ids)+len(r.unpin) >= releaseBatch*id.ObjectSize
	if !full && !r.armed {
		r.armed = true
		r.timer.Reset(releaseDelay)
	}
	r.mu.Unlock()
	if full {
		r.flush()
	}
}

// flush sends what was collected. A send can only fail with the session, which drops all holds anyway.
func (r *releases) flush() {
	r.mu.Lock()
	ids, unpin := r.ids, r.unpin
	r.ids, r.unpin, r.armed = nil, nil, false
	r.mu.Unlock()
	const most = 40_000 * id.ObjectSize
	for len(unpin) > 0 {
		n := min(len(unpin), most)
		if r.s.conn.Send(mobulav1.FrameKind_FRAME_KIND_UNPIN, &mobulav1.Unpin{ObjectIds: unpin[:n]}) != nil {
			return
		}
		unpin = unpin[n:]
	}
	for len(ids) > 0 {
		n := min(len(ids), most)
		if r.s.conn.Send(mobulav1.FrameKind_FRAME_KIND_RELEASE, &mobulav1.Release{ObjectIds: ids[:n]}) != nil {
			return
		}
		ids = ids[n:]
	}
	r.s.conn.Kick()
}

// Release gives up the handle's hold before the collector would. Handles of a task with several results are released together with
// the last of them; a ref that came inside a value has no hold of its own.
func (o *Object) Release() {
	if o.keep != nil || o.shared || o.released.Swap(true) {
		return
	}
	o.cleanup.Stop()
	o.s.releases.add(o.id, 1)
}

// Scope is what refs that came inside one value share: whatever holds the value.
type Scope struct {
	s    *Session
	hold any
	ids  []byte
	free []Object
}

// NewScope returns the scope of a value that is held by hold (an *Object), or by a running task when hold is nil.
func (s *Session) NewScope(hold any) *Scope { return &Scope{s: s, hold: hold} }

// scopeSlab is how many handles a scope allocates at once.
const scopeSlab = 128

// Object returns a handle of an object inside the scope's value.
func (sc *Scope) Object(oid id.Object) *Object {
	if len(sc.free) == 0 {
		sc.free = make([]Object, scopeSlab)
	}
	o := &sc.free[0]
	sc.free = sc.free[1:]
	o.s, o.id, o.keep = sc.s, oid, sc.hold
	return o
}

// taskHold is the hold that a process keeps on refs that it got as a task's arguments.
type taskHold struct{ s *Session }

// NewTaskScope returns the scope of a running task's arguments. Refs from it stay valid after the task: Keep takes the holds.
func (s *Session) NewTaskScope(packed []byte) *Scope {
	return &Scope{s: s, hold: &taskHold{s: s}, ids: packed}
}

// Keep is called when the task ends, before its Done is sent: the process takes holds of its own on the refs of the arguments, and
// drops them when none of the handles is left.
func (sc *Scope) Keep() {
	h, ok := sc.hold.(*taskHold)
	if !ok || len(sc.ids) == 0 {
		return
	}
	if sc.s.conn.Send(mobulav1.FrameKind_FRAME_KIND_HOLD, &mobulav1.Hold{ObjectIds: sc.ids}) != nil {
		return // the session has ended, and all holds with it
	}
	type held struct {
		r   *releases
		ids []byte
	}
	runtime.AddCleanup(h, func(x held) { x.r.addAll(x.ids) }, held{r: &sc.s.releases, ids: sc.ids})
}
