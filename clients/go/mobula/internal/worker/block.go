package worker

import (
	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"

	"github.com/mobula-dev/mobula/clients/go/mobula/internal/core"
	"github.com/mobula-dev/mobula/clients/go/mobula/internal/session"
)

// blocker lends the CPU of one call while it waits. Several goroutines of a call may wait at the same time: the CPU is lent while at
// least one does.
type blocker struct {
	w *Worker
	c *call
}

// Block implements session.Blocker.
func (b *blocker) Block() {
	w, c := b.w, b.c
	m := mobulav1.Blocked{Handle: c.frame.GetHandle()}
	w.mu.Lock()
	c.blocks++
	first := c.blocks == 1 && w.calls[m.Handle] == c
	if first && c.lane.limit == 1 && c.task.Actor.IsZero() {
		m.Returned = w.takeQueue(c.lane)
	}
	w.mu.Unlock()
	if first {
		_ = w.rt.Session.Send(mobulav1.FrameKind_FRAME_KIND_BLOCKED, &m) // a session that has ended ends the wait too
	}
}

// Unblock implements session.Blocker.
func (b *blocker) Unblock() {
	w, c := b.w, b.c
	w.mu.Lock()
	c.blocks--
	last := c.blocks == 0 && w.calls[c.frame.GetHandle()] == c
	w.mu.Unlock()
	if last {
		_ = w.rt.Session.Send(mobulav1.FrameKind_FRAME_KIND_UNBLOCKED, &mobulav1.Unblocked{Handle: c.frame.GetHandle()}) // as in Block
		w.rt.Session.Kick()
	}
}

// Blocker implements core.Worker: a get whose context names no task is counted against the oldest task that runs and does not wait.
func (w *Worker) Blocker() session.Blocker {
	w.mu.Lock()
	defer w.mu.Unlock()
	var oldest *call
	for _, c := range w.calls {
		if c.task != nil && c.blocks == 0 && (oldest == nil || c.started.Before(oldest.started)) {
			oldest = c
		}
	}
	if oldest == nil {
		return nil
	}
	if !w.warned {
		w.warned = true
		core.Warn("a get blocks with a context that names no task; its CPU is lent in the name of " + oldest.tmpl.frame.GetName() +
			". Pass on the context that the function was given.")
	}
	return &blocker{w: w, c: oldest}
}
