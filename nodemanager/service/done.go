package service

import (
	"fmt"
	"math"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"
	"github.com/mobula-dev/mobula/internal/errorvalue"
	"github.com/mobula-dev/mobula/internal/id"
	"github.com/mobula-dev/mobula/internal/wire"
	"github.com/mobula-dev/mobula/nodemanager/scheduler"
)

// cancelGrace is how long a running task that was cancelled may take to return before it is abandoned.
const cancelGrace = time.Second

// interruptGrace is the same for Python, where the function gets a KeyboardInterrupt and may clean up.
const interruptGrace = 5 * time.Second

// handles numbers the tasks that workers have, so that their frames find them without a map. A number is used once: its upper half
// counts the uses of the slot that its lower half names.
type handles struct {
	slots []handleSlot
	free  []uint32
}

type handleSlot struct {
	task *task
	use  uint32
}

func (h *handles) add(t *task) uint64 {
	var i uint32
	if n := len(h.free); n > 0 {
		i, h.free = h.free[n-1], h.free[:n-1]
	} else {
		i = uint32(len(h.slots))
		h.slots = append(h.slots, handleSlot{})
	}
	s := &h.slots[i]
	s.task = t
	s.use++
	return uint64(s.use)<<32 | uint64(i)
}

// get returns the task with that number, or nil when it is done.
func (h *handles) get(handle uint64) *task {
	i := uint32(handle & math.MaxUint32)
	if int(i) >= len(h.slots) || uint64(h.slots[i].use) != handle>>32 {
		return nil
	}
	return h.slots[i].task
}

func (h *handles) remove(handle uint64) {
	i := uint32(handle)
	h.slots[i].task = nil
	h.free = append(h.free, i)
}

// releaseHandle forgets the number of a task that is no longer with a worker.
func (n *Node) releaseHandle(t *task) {
	if t.handle != 0 {
		n.handles.remove(t.handle)
		t.worker.flying--
		for _, o := range t.refs[:t.refArgs] {
			if v := o.Value(); v != nil && v.Stored && t.worker.session != nil {
				n.unpin(t.worker.session, o.ID)
			}
		}
		n.history.left, n.history.from = t, t.worker
		w := t.worker
		t.handle, t.worker = 0, nil
		t.unblock()
		if t.stream() != nil {
			w.streams = without(w.streams, t)
			n.replenishItems(w.session)
		}
	}
}

// giveUp is releaseHandle for a task that its worker may still run: what it reads stays until it has returned, or its process has ended. So
// nothing else is written where it looks, and what it keeps of it can be held.
func (n *Node) giveUp(t *task) {
	w, handle := t.worker, t.handle
	if n.workers[w.id] == w && !t.unsent && len(t.refs) > 0 {
		w.reading[handle] = t.refs
		for _, o := range t.refs {
			n.dir.Retain(o)
		}
	}
	n.releaseHandle(t)
}

// hasReturned lets go of what a task that was given up may have read.
func (n *Node) hasReturned(w *worker, handle uint64) {
	refs := w.reading[handle]
	delete(w.reading, handle)
	delete(w.zombies, handle)
	delete(w.abandoned, handle)
	for _, o := range refs {
		n.dir.Drop(o)
	}
}

// unblock forgets that a call of an actor waits.
func (t *task) unblock() {
	if t.blocked {
		t.blocked = false
		t.actor.blocked--
	}
}

// execute sends a task to a worker.
func (n *Node) execute(t *task, w *worker, lane uint32, gpus []uint32) {
	s := w.session
	t.handle, t.worker = n.handles.add(t), w
	w.flying++
	if t.tmpl.kind != mobulav1.TemplateKind_TEMPLATE_KIND_METHOD {
		w.latest = n.now
	}
	n.watchMemory()
	if s == nil || w.leaving {
		t.unsent = true // the process is ending: its end decides
		return
	}
	m := &n.scratchSubmit
	resetSubmit(m)
	if err := m.UnmarshalVTUnsafe(t.raw); err != nil {
		panic("invariant: a spec that was read once can be read again: " + err.Error())
	}
	if !s.sent[t.tmpl.number] {
		s.sent[t.tmpl.number] = true
		n.send(s, mobulav1.FrameKind_FRAME_KIND_TEMPLATE, t.tmpl.frame)
	}
	n.staff(w.job)
	if w.language == mobulav1.Language_LANGUAGE_PYTHON {
		w.process.Served() // it is up: a crash from now on is the task's, whose retries bound it, and the next process costs little
	}
	e := &n.scratchExecute
	resolved := e.Resolved[:0]
	*e = mobulav1.Execute{
		Handle: t.handle, Lane: lane, Template: t.tmpl.number, TaskId: t.idBytes(), Attempt: t.attempt, Args: m.GetArgs(),
		TimeoutNs: m.GetTimeoutNs(), Traceparent: m.GetTraceparent(), Tracestate: m.GetTracestate(), Keywords: m.GetKeywords(),
		MayRunAgain: t.tmpl.retries != 0, QueuedNs: max(1, n.now-t.queued), Gpus: gpus, Resources: t.tmpl.assigned,
	}
	if t.actor != nil {
		e.ActorId, e.Incarnation = t.actor.id[:], t.actor.incarnation
	}
	n.cross(t.tmpl.job, w.job, t.refs)
	for i, r := range m.RefArgs {
		o := t.refs[i]
		n.cross(n.jobOf(o), w.job, o.Value().Refs)
		if o.Value().Stored {
			n.share(s, o) // pinned until the outcome comes
		}
		resolved = append(resolved, &mobulav1.ResolvedArg{Position: r.GetPosition(), Value: o.Value().Encoded, ObjectId: o.ID[:]})
	}
	e.Resolved = resolved
	if e.TimeoutNs > 0 {
		e.TimeoutNs = max(1, e.TimeoutNs-(n.now-t.submitted))
	}
	n.trace(t, e)
	if err := s.conn.Send(mobulav1.FrameKind_FRAME_KIND_EXECUTE, e); err != nil {
		n.executeFailed(t, err)
		return
	}
	n.mark(s)
	if st := t.stream(); st != nil {
		st.next = 1
		w.streams = append(w.streams, t)
		n.tellConsumed(t, st)
	}
}

// onDone takes the outcome of a task from a worker.
func (n *Node) onDone(s *session, payload []byte) error {
	if s.worker == nil {
		return &wire.ProtocolError{Reason: "frame that only a worker sends"}
	}
	m := &n.scratchDone
	results := m.Results[:0]
	*m = mobulav1.Done{Results: results}
	if err := m.UnmarshalVT(payload); err != nil {
		return err
	}
	t := n.handles.get(m.GetHandle())
	if t == nil { // abandoned: its outcome is known already
		n.hasReturned(s.worker, m.GetHandle())
		for _, encoded := range m.Results {
			n.giveBack(s, encoded)
		}
		return nil
	}
	if t.worker != s.worker {
		return &wire.ProtocolError{Reason: "outcome of a task that another worker has"}
	}
	w := t.worker
	w.process.Served()
	n.releaseHandle(t)
	if m.GetExitWorker() {
		n.leave(w)
	}
	if t.tmpl.kind == mobulav1.TemplateKind_TEMPLATE_KIND_METHOD {
		t.actor.flying = without(t.actor.flying, t)
		n.lend(t.actor)
	} else {
		n.sched.Done(&t.sched, m.GetRunNs(), n.now)
	}
	n.history.task, n.history.run = t, m.GetRunNs()
	err := n.outcome(t, w, m)
	if err != nil {
		n.malformed(t, err)
	}
	n.history.task = nil
	if w.retired {
		n.maybeEnd(w)
	}
	return err
}

// malformed fails a task whose worker violated the protocol with its outcome: nobody else knows of the task any more.
func (n *Node) malformed(t *task, err error) {
	e := &mobulav1.ErrorValue{
		Kind: mobulav1.ErrorKind_ERROR_KIND_INTERNAL, Message: fmt.Sprintf("the outcome of %s cannot be read: %v", t.tmpl.name, err),
		Execution: mobulav1.Execution_EXECUTION_FAILED,
	}
	switch {
	case !t.done:
		n.fail(t, e)
	case t.tmpl.kind == mobulav1.TemplateKind_TEMPLATE_KIND_ACTOR:
		n.endActor(t.actor, e, false)
	}
}

// outcome resolves a task's results, or runs it again.
func (n *Node) outcome(t *task, w *worker, m *mobulav1.Done) error {
	a := t.actor
	method := t.tmpl.kind == mobulav1.TemplateKind_TEMPLATE_KIND_METHOD
	switch {
	case m.GetFailed() && t.extras().stopped != nil && !t.workerDecides():
		n.fail(t, t.extras().stopped)
	case m.GetFailed() && t.expiredBy(n.now):
		n.fail(t, t.expired()) // the task noticed before the node's timer did
	case m.GetFailed() && t.retries != 0 && t.tmpl.retriable(m.GetErrorNames()):
		n.again(t)
	default:
		if err := n.settleTask(t, w, m); err != nil {
			return err
		}
	}
	switch {
	case a == nil:
	case m.GetFailed() && !method:
		n.sched.ActorGone(t.actor.lane, n.now)
	case m.GetExitActor():
		n.endActor(a, &mobulav1.ErrorValue{Message: fmt.Sprintf("actor %s ended itself", a)}, false)
	case method:
		n.pump(a)
	}
	return nil
}

// settleTask resolves the results of a task that has run.
func (n *Node) settleTask(t *task, w *worker, m *mobulav1.Done) error {
	if m.GetFailed() {
		if len(m.Results) != 1 {
			return &wire.ProtocolError{Reason: fmt.Sprintf("failure with %d values", len(m.Results))}
		}
		n.fail(t, errorvalue.Decode(m.Results[0])) // the node adds what the worker does not know: where it was submitted
		return nil
	}
	if len(m.Results) != int(t.tmpl.returns) {
		return &wire.ProtocolError{Reason: fmt.Sprintf("%s has %d results, got %d", t.tmpl.name, t.tmpl.returns, len(m.Results))}
	}
	i := 0
	for o := range t.results {
		v, err := n.value(w.session, o.ID, m.Results[i])
		if err != nil {
			return err
		}
		n.resolve(o, v)
		i++
	}
	n.finish(t)
	if t.tmpl.kind == mobulav1.TemplateKind_TEMPLATE_KIND_ACTOR {
		if t.actor.creation.first.Value() == nil {
			v, err := n.value(w.session, t.actor.creation.first.ID, m.Results[0])
			if err != nil {
				return err
			}
			n.resolve(&t.actor.creation.first, v)
		}
		if t.actor.state == actorDead { // it was killed meanwhile
			n.nudge(w, mobulav1.FrameKind_FRAME_KIND_ACTOR_GONE, &mobulav1.ActorGone{ActorId: t.actor.id[:]})
			n.sched.ActorGone(t.actor.lane, n.now)
		} else {
			n.constructed(t.actor, w)
		}
	}
	return nil
}

// again runs a task once more after a failure that its options say is worth it.
func (n *Node) again(t *task) {
	if t.retries > 0 {
		t.retries--
	}
	t.attempt++
	t.queued = n.now
	if t.tmpl.kind == mobulav1.TemplateKind_TEMPLATE_KIND_METHOD {
		t.actor.front.push(t)
		t.actor.waiting++
		n.pump(t.actor)
		return
	}
	n.schedule(t)
}

// stopTask ends a task with an error: at once when it has not begun; when its worker returns it, or after a grace, when it runs.
func (n *Node) stopTask(t *task, e *mobulav1.ErrorValue, force bool) {
	if t.done || t.extras().stopped != nil && !force {
		return
	}
	if t.handle == 0 {
		d := proto.CloneOf(e)
		d.Execution = mobulav1.Execution_EXECUTION_NOT_EXECUTED
		if t.attempt > 1 {
			d.Execution = mobulav1.Execution_EXECUTION_MAY_HAVE_EXECUTED
		}
		if t.sched.State() == scheduler.Dispatched {
			t.extend().stopped = d // the effect that sends it to a worker is still to be carried out: it ends there
			return
		}
		if t.tmpl.kind == mobulav1.TemplateKind_TEMPLATE_KIND_METHOD {
			n.fail(t, d)
			n.pump(t.actor) // those behind it wait no longer
			return
		}
		n.sched.Cancel(&t.sched, n.now)
		n.fail(t, d)
		return
	}
	stopped := proto.CloneOf(e)
	stopped.Execution = mobulav1.Execution_EXECUTION_MAY_HAVE_EXECUTED
	t.extend().stopped = stopped
	t.retries = 0
	if force {
		t.worker.forced = t
		n.killWorker(t.worker, "task "+t.tmpl.name+" was cancelled by force")
		return
	}
	n.nudge(t.worker, mobulav1.FrameKind_FRAME_KIND_CANCEL_TASK, &mobulav1.CancelTask{Handle: t.handle, Reason: e.GetMessage()})
	t.stopTimer()
	if t.workerDecides() && e.GetKind() == mobulav1.ErrorKind_ERROR_KIND_CANCELLED {
		return
	}
	grace := cancelGrace
	if t.tmpl.language == mobulav1.Language_LANGUAGE_PYTHON {
		grace = interruptGrace
	}
	t.extra.timer = time.AfterFunc(grace, func() {
		n.locked(func() { n.abandon(t) })
	})
}

// workerDecides reports whether a cancelled call may go on: a method of a Python actor that has begun is only cancelled when it is async.
func (t *task) workerDecides() bool {
	return t.tmpl.kind == mobulav1.TemplateKind_TEMPLATE_KIND_METHOD && t.tmpl.language == mobulav1.Language_LANGUAGE_PYTHON
}

// abandon resolves a stopped task that does not return. Its worker takes nothing new and ends with its last other task.
func (n *Node) abandon(t *task) {
	if t.done || t.handle == 0 {
		return
	}
	w, a := t.worker, t.actor
	w.abandoned[t.handle] = t
	n.giveUp(t)
	if a != nil && t.tmpl.kind == mobulav1.TemplateKind_TEMPLATE_KIND_METHOD {
		a.flying = without(a.flying, t) // the actor's lane stays busy until the method returns; its other calls wait behind it
		n.fail(t, t.extras().stopped)
		return
	}
	n.fail(t, t.extras().stopped) // the scheduler keeps its lane until the process has ended
	n.retire(w, fmt.Sprintf("%s does not return although it was stopped", t.tmpl.name))
}

func (n *Node) onCancel(s *session, payload []byte) error {
	var m mobulav1.Cancel
	if err := m.UnmarshalVT(payload); err != nil {
		return err
	}
	if len(m.GetObjectId()) != 20 {
		return &wire.ProtocolError{Reason: "object id"}
	}
	if o := n.lookup(s, [20]byte(m.GetObjectId())); o != nil {
		switch maker := o.Maker.(type) {
		case *task:
			n.cancel(maker, m.GetForce(), m.GetRecursive())
		case *item:
			n.cancel(maker.task, m.GetForce(), m.GetRecursive())
		}
	}
	return nil
}

// cancel ends a task, and with recursive those that it submitted.
func (n *Node) cancel(t *task, force, recursive bool) {
	if recursive && t.handle != 0 {
		parent := t.handle
		for _, c := range slices.Clone(n.children[parent]) {
			n.cancel(c, force, true)
		}
	}
	if t.done || t.tmpl.kind == mobulav1.TemplateKind_TEMPLATE_KIND_ACTOR {
		return
	}
	if force && t.tmpl.kind == mobulav1.TemplateKind_TEMPLATE_KIND_METHOD {
		force = false // an actor is killed by Kill, not by cancelling one of its calls
	}
	n.stopTask(t, &mobulav1.ErrorValue{
		Kind: mobulav1.ErrorKind_ERROR_KIND_CANCELLED, Message: t.tmpl.name + " was cancelled",
	}, force)
}

func (n *Node) onKillActor(s *session, payload []byte) error {
	var m mobulav1.KillActor
	if err := m.UnmarshalVT(payload); err != nil {
		return err
	}
	aid, err := id.FromBytes[id.Actor](m.GetActorId())
	if err != nil {
		return &wire.ProtocolError{Reason: err.Error()}
	}
	a := n.actors[aid]
	if a == nil || a.state == actorDead || n.lookup(s, aid.Object(0)) == nil {
		return nil
	}
	death := &mobulav1.ErrorValue{Message: fmt.Sprintf("actor %s was killed", a)}
	if m.GetNoRestart() || a.restarts == 0 || a.state != actorAlive {
		n.endActor(a, death, true)
		return nil
	}
	w := a.worker
	delete(w.actors, a.id)
	if w.isolated {
		n.killWorker(w, "actor "+a.String()+" was killed")
	} else {
		n.dropActor(a, w)
		n.sched.ActorGone(a.lane, n.now)
	}
	n.crashed(a, death)
	return nil
}
