package session

import (
	"context"
	"fmt"
	"runtime"
	"sync/atomic"

	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"
	"github.com/mobula-dev/mobula/internal/errorvalue"
	"github.com/mobula-dev/mobula/internal/id"
)

// State of an object in this process.
const (
	// stateUnknown: nobody asked yet (a ref that came inside a value).
	stateUnknown uint32 = iota
	// statePending: a result or an answer will come.
	statePending
	// stateReady: the object is ready at the node, its value is not here.
	stateReady
	// stateHere: value is set.
	stateHere
)

// Object is this process's handle of an object. The hold that the process has on it ends when the handle is collected or released,
// or, for a ref that came inside a value, when what it came in is.
type Object struct {
	s        *Session
	id       id.Object
	keep     any // what holds the object for us, when this handle does not: a container's handle or a task's scope
	state    atomic.Uint32
	value    []byte    // encoded Value; immutable once state is stateHere
	waiters  []*waiter // guarded by s.mu
	shared   bool      // one cleanup serves several handles
	released atomic.Bool
	cleanup  runtime.Cleanup
}

// waiter waits until need more objects are ready.
type waiter struct {
	ch   chan struct{} // closed when need is 0
	need int           // guarded by the session's mu; 0 or less: done or given up
	here bool          // whether values are wanted, not only readiness
}

// ID returns the object's id.
func (o *Object) ID() id.Object { return o.id }

// Session returns the session that the object belongs to.
func (o *Object) Session() *Session { return o.s }

// Ready reports whether the outcome is known to this process.
func (o *Object) Ready() bool { return o.state.Load() >= stateReady }

// Blocker is told when a task is about to wait and when it goes on, so that it can lend its CPU.
type Blocker interface {
	Block()
	Unblock()
}

// Await waits for the value and returns its encoded form. A nil Blocker is allowed.
func (o *Object) Await(ctx context.Context, b Blocker) ([]byte, error) {
	if o.state.Load() == stateHere {
		return o.value, nil
	}
	s := o.s
	s.mu.Lock()
	if o.state.Load() == stateHere {
		s.mu.Unlock()
		return o.value, nil
	}
	if err := s.wantLocked(o, false); err != nil {
		s.mu.Unlock()
		return nil, err
	}
	if o.state.Load() == stateHere { // the session has ended
		s.mu.Unlock()
		return o.value, nil
	}
	w := &waiter{ch: make(chan struct{}), need: 1, here: true}
	o.addWaiterLocked(w)
	s.mu.Unlock()
	if err := s.wait(ctx, w, b); err != nil {
		return nil, err
	}
	return o.value, nil
}

// wait flushes, tells the blocker and waits for w.
func (s *Session) wait(ctx context.Context, w *waiter, b Blocker) error {
	if b != nil {
		b.Block()
		defer b.Unblock()
	}
	if err := s.conn.Flush(); err != nil && s.Err() == nil {
		<-s.done // the reading goroutine resolves everything
	}
	select {
	case <-w.ch:
		return nil
	case <-ctx.Done():
		s.mu.Lock()
		done := w.need <= 0
		w.need = 0
		s.mu.Unlock()
		if done {
			return nil
		}
		return context.Cause(ctx)
	}
}

// Err returns why the session ended, or nil.
func (s *Session) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// Wait waits until k of the objects are ready or ctx ends, and reports how many are; running out of time is not an error here.
func (s *Session) Wait(ctx context.Context, objects []*Object, k int, b Blocker) (int, error) {
	s.mu.Lock()
	ready := 0
	for _, o := range objects {
		if o.Ready() {
			ready++
		}
	}
	if ready >= k {
		s.mu.Unlock()
		return ready, nil
	}
	w := &waiter{ch: make(chan struct{}), need: k - ready}
	for _, o := range objects {
		if o.Ready() {
			continue
		}
		if err := s.wantLocked(o, true); err != nil {
			s.mu.Unlock()
			return ready, err
		}
		if o.Ready() { // the session has ended
			w.tell()
			continue
		}
		o.addWaiterLocked(w)
	}
	s.mu.Unlock()
	err := s.wait(ctx, w, b)
	ready = 0
	for _, o := range objects {
		if o.Ready() {
			ready++
		}
	}
	return ready, err
}

// wantLocked sees to it that an answer for the object is under way.
func (s *Session) wantLocked(o *Object, readyOnly bool) error {
	state := o.state.Load()
	switch {
	case s.err != nil && state != stateHere:
		s.resolveLocked(o, errorvalue.Encode(s.lostError()))
		return nil
	case state == statePending || state == stateHere, readyOnly && state == stateReady:
		return s.upgradeLocked(o, readyOnly)
	}
	if state == stateUnknown {
		o.state.Store(statePending)
	}
	w := s.wanted[o.id]
	if w == nil {
		w = &want{readyOnly: readyOnly}
		s.wanted[o.id] = w
	} else if !w.readyOnly || readyOnly {
		w.objects = append(w.objects, o)
		return nil
	}
	w.readyOnly = readyOnly
	w.objects = append(w.objects, o)
	s.sendGetLocked(o, readyOnly)
	return nil
}

// sendGetLocked asks the node. When the connection has failed the reading goroutine will resolve what is wanted.
func (s *Session) sendGetLocked(o *Object, readyOnly bool) {
	_ = s.conn.Send(mobulav1.FrameKind_FRAME_KIND_GET, &mobulav1.Get{ObjectIds: o.id[:], ReadyOnly: readyOnly})
}

// upgradeLocked asks for the value of an object for which only readiness was asked.
func (s *Session) upgradeLocked(o *Object, readyOnly bool) error {
	w := s.wanted[o.id]
	if readyOnly || w == nil || !w.readyOnly {
		return nil
	}
	w.readyOnly = false
	s.sendGetLocked(o, false)
	return nil
}

// addWaiterLocked registers w; waiters that gave up are dropped when they pile up.
func (o *Object) addWaiterLocked(w *waiter) {
	if len(o.waiters) >= 8 {
		live := o.waiters[:0]
		for _, x := range o.waiters {
			if x.need > 0 {
				live = append(live, x)
			}
		}
		o.waiters = live
	}
	o.waiters = append(o.waiters, w)
}

// resolveLocked gives the object its value and wakes who waits.
func (s *Session) resolveLocked(o *Object, value []byte) {
	if o.state.Load() == stateHere {
		return
	}
	o.value = value
	o.state.Store(stateHere)
	if o.keep != nil {
		s.unpinLater(o)
	}
	for _, w := range o.waiters {
		w.tell()
	}
	o.waiters = nil
}

// unpinLater drops the pin of a stored value that came for a handle without a hold of its own, when the handle is collected.
func (s *Session) unpinLater(o *Object) {
	var v mobulav1.Value
	if v.UnmarshalVTUnsafe(o.value) == nil && v.GetBlock() != nil {
		runtime.AddCleanup(o, s.releases.addUnpin, o.id)
	}
}

// readyLocked notes that the object is ready at the node.
func (s *Session) readyLocked(o *Object) {
	if o.state.Load() >= stateReady {
		return
	}
	o.state.Store(stateReady)
	rest := o.waiters[:0]
	for _, w := range o.waiters {
		if w.here {
			rest = append(rest, w)
		} else {
			w.tell()
		}
	}
	o.waiters = rest
}

func (w *waiter) tell() {
	if w.need--; w.need == 0 {
		close(w.ch)
	}
}

// resultLocked handles a Result frame.
func (s *Session) resultLocked(payload []byte) error {
	var r mobulav1.Result
	if err := r.UnmarshalVT(payload); err != nil {
		return err
	}
	s.consumeLocked(uint64(len(r.GetValue())))
	if r.GetSequence() == 0 {
		return s.answerLocked(&r)
	}
	o := s.pending.object(r.GetSequence(), r.GetIndex())
	if o == nil {
		return fmt.Errorf("result %d of submission %d, which waits for none", r.GetIndex(), r.GetSequence())
	}
	s.settleLocked(o, r.GetValue())
	s.pending.settle(r.GetSequence())
	return nil
}

// settleLocked gives an object its value, or only its readiness when the value was not sent.
func (s *Session) settleLocked(o *Object, value []byte) {
	if value != nil {
		s.resolveLocked(o, value)
		return
	}
	s.readyLocked(o)
	if len(o.waiters) > 0 { // somebody wants the value already
		if err := s.wantLocked(o, false); err != nil {
			s.resolveLocked(o, errorvalue.Encode(s.lostError()))
		}
	}
}

// answerLocked handles a Result that answers a Get.
func (s *Session) answerLocked(r *mobulav1.Result) error {
	oid, err := id.ObjectFromBytes(r.GetObjectId())
	if err != nil {
		return err
	}
	w := s.wanted[oid]
	if w == nil || (r.GetValue() == nil && !w.readyOnly) {
		return nil // an answer to a ready-only question that was overtaken
	}
	delete(s.wanted, oid)
	for _, o := range w.objects {
		s.settleLocked(o, r.GetValue())
	}
	return nil
}

// consumeLocked takes note of pushed bytes and lets the node push more when half of the window is used.
func (s *Session) consumeLocked(n uint64) {
	s.consumed += n
	if s.granted-s.consumed > resultWindow/2 {
		return
	}
	s.granted = s.consumed + resultWindow
	if err := s.conn.Send(mobulav1.FrameKind_FRAME_KIND_CREDIT, &mobulav1.Credit{Bytes: s.granted}); err == nil {
		s.conn.Kick()
	}
}
