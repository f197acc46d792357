package service

import (
	"fmt"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"
	"github.com/mobula-dev/mobula/internal/errorvalue"
	"github.com/mobula-dev/mobula/internal/id"
	"github.com/mobula-dev/mobula/nodemanager/ownership"
	"github.com/mobula-dev/mobula/nodemanager/scheduler"
)

// actorState is where an actor is in its life:
//
//	CREATING ──constructor returned──► ALIVE ──process died, restarts left──► RESTARTING ──constructor returned──► ALIVE
//	    └── constructor failed, killed ──► DEAD ◄── process died, killed, exited, no handle left ──┘
type actorState uint8

const (
	actorCreating actorState = iota + 1
	actorAlive
	actorRestarting
	actorDead
)

// String returns the state as state listings show it.
func (s actorState) String() string {
	switch s {
	case actorCreating:
		return "CREATING"
	case actorAlive:
		return "ALIVE"
	case actorRestarting:
		return "RESTARTING"
	case actorDead:
		return "DEAD"
	default:
		return fmt.Sprintf("actorState(%d)", uint8(s))
	}
}

// actorWindow is how many calls an actor's worker has at once; the rest waits here, where it can be cancelled and moved.
const actorWindow = 1024

// actor is one actor of this node. Calls wait in one queue per caller, in the caller's order, until their arguments are ready.
type actor struct {
	id          id.Actor
	tmpl        *template
	job         *job
	state       actorState
	incarnation uint32
	restarts    int32               // left; -1 without limit
	creation    *task               // the first creation: its result is the handle's object
	recreation  *task               // the constructor's run for a restart, while it lasts
	spec        []byte              // of the creation, kept for restarts
	specRefs    []*ownership.Object // what the spec needs, kept for restarts
	specArgs    int32
	worker      *worker
	home        *worker         // the latest in which it lived, for listings
	lane        *scheduler.Lane // in which it was or is being made, or lives
	blocked     int             // calls at the worker that wait in a get
	death       *mobulav1.ErrorValue
	ended       int64
	noHandles   bool
	retained    bool // the node holds its handle, because it is detached
	name        string
	namespace   string
	claimed     bool   // the control plane has decided on its name
	alias       *actor // the actor of that name that existed before
	traceparent string // of the creation, to which calls are linked

	front   callQueue    // calls that run again: before all others, in the order in which they ran
	queues  []*callQueue // callers in the order of their first call
	bySess  map[ownership.Session]*callQueue
	waiting int     // calls in queues
	flying  []*task // calls at the worker, oldest first
	next    int     // queue at which the next round begins
	pumping bool
}

// callQueue is what one caller has waiting, in its order.
type callQueue struct {
	calls []*task
	head  int
}

func (q *callQueue) empty() bool { return q.head == len(q.calls) }

func (q *callQueue) push(t *task) {
	if q.head > 64 && q.head*2 > len(q.calls) {
		n := copy(q.calls, q.calls[q.head:])
		clear(q.calls[n:])
		q.calls, q.head = q.calls[:n], 0
	}
	q.calls = append(q.calls, t)
}

// createActor enters an actor and schedules its constructor.
func (n *Node) createActor(t *task) {
	if old := n.actors[t.id()]; old != nil && old.state != actorDead {
		n.fail(t, t.invalid("the task's id is that of an actor that has not ended"))
		return
	}
	o := t.tmpl.options
	a := &actor{
		id: t.id(), tmpl: t.tmpl, job: t.tmpl.job, state: actorCreating, incarnation: 1, restarts: o.GetMaxRestarts(), creation: t,
		name: o.GetName(), namespace: o.GetNamespace(), bySess: make(map[ownership.Session]*callQueue),
	}
	t.actor = a
	if a.namespace == "" {
		a.namespace = a.job.namespace
	}
	n.actors[a.id] = a
	if a.detached() {
		a.retained = true
		n.dir.Retain(&t.first)
	}
	if a.restarts != 0 {
		a.spec, a.specRefs, a.specArgs = t.raw, append([]*ownership.Object(nil), t.refs...), t.refArgs
		for _, r := range a.specRefs {
			n.dir.Retain(r)
		}
	}
	if a.name != "" {
		n.claimName(a, t)
		return
	}
	n.recordActor(a, nil)
	n.schedule(t)
}

// callActor queues a call.
func (n *Node) callActor(s *session, t *task, actorID []byte) {
	aid, err := id.FromBytes[id.Actor](actorID)
	if err != nil {
		n.fail(t, t.invalid(err.Error()))
		return
	}
	a, handle := n.actors[aid], n.lookup(s, aid.Object(0))
	switch {
	case handle == nil:
		n.fail(t, unknownActor(aid))
		return
	case a == nil && handle.Value() != nil && handle.Value().Failed: // it could not even be entered: its options are refused
		cause := errorvalue.Decode(handle.Value().Encoded)
		n.fail(t, &mobulav1.ErrorValue{
			Kind: mobulav1.ErrorKind_ERROR_KIND_ACTOR_DIED, Message: "the actor was not made: " + cause.GetMessage(), Cause: cause,
			Execution: mobulav1.Execution_EXECUTION_NOT_EXECUTED,
		})
		return
	case a == nil:
		n.fail(t, unknownActor(aid))
		return
	}
	if a.state == actorDead {
		n.fail(t, a.deathOf(mobulav1.Execution_EXECUTION_NOT_EXECUTED))
		return
	}
	if most := a.tmpl.options.MaxPendingCalls; most != nil && *most >= 0 && a.waiting+len(a.flying) >= int(*most) {
		n.fail(t, &mobulav1.ErrorValue{
			Kind:      mobulav1.ErrorKind_ERROR_KIND_PENDING_CALLS_LIMIT,
			Message:   fmt.Sprintf("actor %s has %d calls pending, which is its max_pending_calls", a, *most),
			Execution: mobulav1.Execution_EXECUTION_NOT_EXECUTED,
			Hint:      "wait for some of the calls before more are made",
		})
		return
	}
	t.actor = a
	if t.tmpl.options.MaxTaskRetries == nil {
		t.retries = a.tmpl.options.GetMaxTaskRetries()
	}
	n.dir.Retain(&a.creation.first) // a call holds the actor until it is done
	a.queue(s.id).push(t)
	a.waiting++
	if t.missing == 0 {
		t.queued = n.now
	}
	n.pump(a)
}

// queue returns the queue of a caller.
func (a *actor) queue(sid ownership.Session) *callQueue {
	q := a.bySess[sid]
	if q == nil {
		q = new(callQueue)
		a.bySess[sid] = q
		a.queues = append(a.queues, q)
	}
	return q
}

// pump sends to the actor's worker what may run: each caller's calls in their order, callers in turn.
func (n *Node) pump(a *actor) {
	if a.state != actorAlive || a.worker.session == nil || a.pumping {
		return
	}
	a.pumping = true // what fails on the way pumps again: the loop below sees to it
	defer func() { a.pumping = false }()
	for progress := true; progress && a.waiting > 0 && len(a.flying) < actorWindow; {
		progress = n.pumpQueue(a, &a.front)
		for range a.queues {
			if len(a.flying) >= actorWindow {
				return
			}
			a.next = (a.next + 1) % len(a.queues)
			if n.pumpQueue(a, a.queues[a.next]) {
				progress = true
			}
		}
	}
}

// pumpQueue sends what one caller has ready and reports whether it did anything.
func (n *Node) pumpQueue(a *actor, q *callQueue) bool {
	progress := false
	const turn = 64 // calls of one caller before another's
	for range turn {
		t := q.ready(a.tmpl.options.GetAllowOutOfOrderExecution())
		if t == nil || len(a.flying) >= actorWindow {
			return progress
		}
		progress = true
		q.take(t)
		a.waiting--
		if t.done {
			continue // cancelled while it waited
		}
		if o := t.failedArg(); o != nil {
			n.failByArg(t, o)
			continue
		}
		a.flying = append(a.flying, t)
		n.execute(t, a.worker, a.lane.Number(), nil)
	}
	return progress
}

// ready returns the call that may run next: the first, or, out of order, the first whose arguments are there.
func (q *callQueue) ready(outOfOrder bool) *task {
	for i := q.head; i < len(q.calls); i++ {
		t := q.calls[i]
		if t != nil && (t.missing == 0 || t.done || t.failedArg() != nil) {
			return t
		}
		if t != nil && !outOfOrder {
			return nil
		}
	}
	return nil
}

// take removes a call that ready returned.
func (q *callQueue) take(t *task) {
	for i := q.head; i < len(q.calls); i++ {
		if q.calls[i] == t {
			q.calls[i] = nil
			break
		}
	}
	for q.head < len(q.calls) && q.calls[q.head] == nil {
		q.head++
	}
	if q.empty() {
		q.calls, q.head = q.calls[:0], 0
	}
}

// lend lends the actor's CPU while every call that runs in it waits, and takes it back otherwise.
func (n *Node) lend(a *actor) {
	if a.state != actorAlive {
		return
	}
	running := min(len(a.flying), a.capacity())
	if a.blocked > 0 && a.blocked >= running {
		n.sched.ActorBlocked(a.lane, n.now)
	} else {
		n.sched.ActorUnblocked(a.lane)
	}
}

// capacity is how many calls the actor runs at the same time: of its default group and of its others.
func (a *actor) capacity() int {
	o := a.tmpl.options
	most := max(1, int(o.GetMaxConcurrency()))
	for _, limit := range o.GetConcurrencyGroups() {
		most += int(limit)
	}
	return most
}

// letGo drops the node's hold on a detached actor.
func (n *Node) letGo(a *actor) {
	if a.retained {
		a.retained = false
		n.dir.Drop(&a.creation.first)
	}
}

// callDone drops the call's hold on its actor.
func (n *Node) callDone(t *task) {
	n.dir.Drop(&t.actor.creation.first)
	n.pump(t.actor) // calls behind it may run now
}

// constructed makes an actor whose constructor has returned ready for calls.
func (n *Node) constructed(a *actor, w *worker) {
	a.state, a.worker, a.home, a.recreation = actorAlive, w, w, nil
	w.actors[a.id] = a
	a.lane.Record = a
	n.recordAlive(a)
	n.pump(a)
	if a.noHandles {
		n.endActor(a, outOfScope(a), false)
	}
}

// forgetActor takes an actor out of the table, unless its id is another's by now.
func (n *Node) forgetActor(aid id.Actor, a *actor) {
	if n.actors[aid] == a {
		delete(n.actors, aid)
	}
}

// handleDropped is told when no handle of an actor and no call to it is left.
func (n *Node) handleDropped(a *actor) {
	switch {
	case a == nil:
		return
	case a.alias != nil:
		n.forgetActor(a.id, a.alias)
		n.dir.Drop(&a.alias.creation.first)
		return
	case a.state == actorDead:
		n.forgetActor(a.id, a)
		return
	}
	a.noHandles = true
	if a.state == actorAlive {
		n.endActor(a, outOfScope(a), false)
	}
}

// endActor makes an actor dead for good: calls that wait fail, calls that run have an unknown outcome, and its worker forgets it.
func (n *Node) endActor(a *actor, death *mobulav1.ErrorValue, kill bool) {
	if a.state == actorDead {
		return
	}
	was := a.state
	a.state, a.death, a.ended = actorDead, death, n.now
	w := a.worker
	if was == actorAlive && w != nil {
		delete(w.actors, a.id)
		if kill && w.isolated {
			n.killWorker(w, "actor "+a.String()+" was killed")
		} else {
			n.dropActor(a, w)
		}
		n.sched.ActorGone(a.lane, n.now)
	}
	n.failCalls(a)
	for _, t := range []*task{a.creation, a.recreation} {
		if was != actorAlive && t != nil && !t.done {
			n.stopTask(t, a.deathOf(mobulav1.Execution_EXECUTION_MAY_HAVE_EXECUTED), kill && (t.worker == nil || t.worker.isolated))
		}
	}
	if a.creation.first.Value() == nil {
		n.resolve(&a.creation.first, failedValue(n.describe(a.creation, a.deathOf(mobulav1.Execution_EXECUTION_MAY_HAVE_EXECUTED))))
	}
	for _, r := range a.specRefs {
		n.dir.Drop(r)
	}
	a.spec, a.specRefs, a.worker = nil, nil, nil
	n.recordDeath(a, death, true)
	if was == actorAlive && w != nil {
		n.maybeEnd(w)
	}
	n.deadActors = appendBounded(n.deadActors, a)
	if a.noHandles {
		n.forgetActor(a.id, a)
	}
	n.letGo(a)
	n.lingered(a.job)
}

// dropActor has a shared worker forget an actor. Calls that it runs have their contexts ended; when they do not return in time, the process
// takes nothing new and ends with its last other work.
func (n *Node) dropActor(a *actor, w *worker) {
	n.nudge(w, mobulav1.FrameKind_FRAME_KIND_ACTOR_GONE, &mobulav1.ActorGone{ActorId: a.id[:]})
	if len(a.flying) == 0 {
		return
	}
	var running []uint64
	for _, t := range a.flying {
		running = append(running, t.handle)
		w.zombies[t.handle] = true
	}
	time.AfterFunc(cancelGrace, func() {
		n.locked(func() {
			if n.workers[w.id] == w && slices.ContainsFunc(running, func(h uint64) bool { return w.zombies[h] }) {
				n.retire(w, fmt.Sprintf("a call of actor %s does not return although the actor has ended", a))
			}
		})
	})
}

// failCalls fails every call of a dead actor.
func (n *Node) failCalls(a *actor) {
	for len(a.flying) > 0 {
		t := a.flying[0]
		a.flying = without(a.flying, t)
		n.giveUp(t)
		execution := mobulav1.Execution_EXECUTION_MAY_HAVE_EXECUTED
		if t.unsent {
			execution = mobulav1.Execution_EXECUTION_NOT_EXECUTED
		}
		n.fail(t, a.deathOf(execution))
	}
	for _, q := range append([]*callQueue{&a.front}, a.queues...) {
		for _, t := range q.calls[q.head:] {
			if t != nil && !t.done {
				n.fail(t, a.deathOf(mobulav1.Execution_EXECUTION_NOT_EXECUTED))
			}
		}
	}
	a.front, a.queues, a.waiting = callQueue{}, nil, 0
	clear(a.bySess)
}

// crashed handles the death of the process in which an actor lived: it restarts if it may.
func (n *Node) crashed(a *actor, cause *mobulav1.ErrorValue) {
	if a.state == actorDead {
		return
	}
	if a.restarts == 0 || a.job.ended || a.noHandles {
		a.state = actorRestarting // its worker is gone already
		n.endActor(a, a.diedOf(cause), false)
		return
	}
	if a.restarts > 0 {
		a.restarts--
	}
	n.interruptCalls(a, cause)
	a.state, a.worker = actorRestarting, nil
	n.recordDeath(a, cause, false)
	a.incarnation++
	n.recreate(a)
}

// interruptCalls decides about the calls that the dead process had: those with retries left go back to the front of their queues, the
// others fail with an unknown outcome.
func (n *Node) interruptCalls(a *actor, cause *mobulav1.ErrorValue) {
	var again []*task
	for len(a.flying) > 0 {
		t := a.flying[0]
		a.flying = without(a.flying, t)
		n.releaseHandle(t)
		if t.retries == 0 && !t.unsent {
			n.fail(t, &mobulav1.ErrorValue{
				Kind:      mobulav1.ErrorKind_ERROR_KIND_ACTOR_UNAVAILABLE,
				Message:   fmt.Sprintf("actor %s died while the call was with it and is being restarted: %s", a, cause.GetMessage()),
				Execution: mobulav1.Execution_EXECUTION_MAY_HAVE_EXECUTED,
				Cause:     cause,
				Hint:      "max_task_retries lets such calls run again, at least once",
			})
			continue
		}
		if !t.unsent {
			if t.retries > 0 {
				t.retries--
			}
			t.attempt++
		}
		t.unsent = false
		again = append(again, t)
	}
	a.waiting += len(again)
	a.front = callQueue{calls: append(again, a.front.calls[a.front.head:]...)}
}

// callerGone forgets the queue of a caller that has ended, once it is empty.
func (a *actor) callerGone(sid ownership.Session) {
	q := a.bySess[sid]
	if q == nil || !q.empty() {
		return
	}
	delete(a.bySess, sid)
	a.queues = slices.DeleteFunc(a.queues, func(o *callQueue) bool { return o == q })
}

// recreate runs the constructor of a new incarnation.
func (n *Node) recreate(a *actor) {
	t := &task{
		first: ownership.Object{ID: a.id.Object(0)}, tmpl: a.tmpl, from: a.creation.from, raw: a.spec, attempt: a.incarnation, submitted: n.now,
		parent: a.creation.parent, callSite: a.creation.callSite, actor: a, refArgs: a.specArgs,
		refs: append([]*ownership.Object(nil), a.specRefs...),
	}
	for _, r := range t.refs {
		n.dir.Retain(r)
	}
	a.job.charge(len(t.raw))
	a.job.tasks++
	a.recreation = t
	n.schedule(t)
}

// String names the actor for people.
func (a *actor) String() string {
	if a.name != "" {
		return fmt.Sprintf("%s %q (%s)", a.tmpl.name, a.name, a.id)
	}
	return fmt.Sprintf("%s (%s)", a.tmpl.name, a.id)
}

// deathOf is the outcome of a call to a dead actor.
func (a *actor) deathOf(execution mobulav1.Execution) *mobulav1.ErrorValue {
	d := proto.CloneOf(a.death)
	if d.Kind != mobulav1.ErrorKind_ERROR_KIND_UNSPECIFIED && d.Kind != mobulav1.ErrorKind_ERROR_KIND_ACTOR_DIED && d.Cause == nil {
		d.Cause = a.death // what kind of trouble it was
	}
	d.Kind, d.Execution = mobulav1.ErrorKind_ERROR_KIND_ACTOR_DIED, execution
	return d
}

// diedOf is the death of an actor whose process ended.
func (a *actor) diedOf(cause *mobulav1.ErrorValue) *mobulav1.ErrorValue {
	hint := "max_restarts lets an actor be made again after such a death"
	if a.tmpl.options.MaxRestarts != nil {
		hint = "it has no restarts left"
	}
	return &mobulav1.ErrorValue{
		Message: fmt.Sprintf("actor %s died: %s", a, cause.GetMessage()), Cause: cause, Hint: hint, Pid: cause.GetPid(),
	}
}

// outOfScope is the death of an actor that nobody can call any more.
func outOfScope(a *actor) *mobulav1.ErrorValue {
	return &mobulav1.ErrorValue{Message: fmt.Sprintf("actor %s ended because no handle of it was left", a)}
}

// unknownActor is the outcome of a call to an actor that the node does not have.
func unknownActor(aid id.Actor) *mobulav1.ErrorValue {
	return &mobulav1.ErrorValue{
		Kind: mobulav1.ErrorKind_ERROR_KIND_ACTOR_DIED, Message: fmt.Sprintf("actor %s is not known to this node", aid),
		Execution: mobulav1.Execution_EXECUTION_NOT_EXECUTED,
	}
}
