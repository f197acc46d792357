package service

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"
	"github.com/mobula-dev/mobula/internal/id"
	"github.com/mobula-dev/mobula/internal/wire"
	"github.com/mobula-dev/mobula/nodemanager/ownership"
	"github.com/mobula-dev/mobula/nodemanager/scheduler"
	"github.com/mobula-dev/mobula/nodemanager/workerpool"
)

// workerStopGrace is how long a worker that is asked to end may take.
const workerStopGrace = 2 * time.Second

// worker is one worker process, from the decision to start it until its end was dealt with.
type worker struct {
	id        id.Worker
	job       *job
	sched     *scheduler.Worker
	session   *session               // nil until it has said hello, and when that has ended
	exit      *workerpool.ExitReason // how its process ended, while what it sent before is still being read
	process   process                // nil until it was started
	isolated  bool
	language  mobulav1.Language
	actors    map[id.Actor]*actor
	streams   []*task                    // that it runs
	revoking  map[uint32]*scheduler.Lane // lanes whose Revoke is out
	zombies   map[uint64]bool            // calls of actors that have ended, which it may still run
	flying    int                        // tasks that it has and that were not abandoned
	retired   bool
	leaving   bool                           // it said that it takes nothing more and ends
	refused   bool                           // its session was refused: the job remembers why
	abandoned map[uint64]*task               // tasks that were given up and may still run
	reading   map[uint64][]*ownership.Object // what those that were given up may still read, which the node holds until they have returned
	forced    *task                          // the task for whose sake it is killed
	started   time.Time
	ready     bool
	killed    string // why the node ended it; empty when it did not
	latest    int64  // when it got its newest task or actor, on the node's clock
	// outOfMemory says that the node ended it for lack of memory.
	outOfMemory bool
}

// startWorker begins to start a process for the scheduler's worker.
func (n *Node) startWorker(sw *scheduler.Worker) {
	j, _ := sw.Job().Record.(*job)
	w := &worker{job: j, sched: sw, isolated: sw.Kind() == scheduler.Isolated, language: workerLanguage(j, sw.Env()), actors: make(map[id.Actor]*actor), revoking: make(map[uint32]*scheduler.Lane), zombies: make(map[uint64]bool), abandoned: make(map[uint64]*task), reading: make(map[uint64][]*ownership.Object), started: time.Now()}
	_, _ = rand.Read(w.id[:]) // never fails: crypto/rand ends the process instead
	sw.Record = w
	n.workers[w.id] = w
	spec := n.workerSpec(j, sw.Env(), w.isolated)
	spec.Worker = w.id
	n.aside(func() {
		p, err := n.launch(spec)
		n.locked(func() {
			if err != nil {
				delete(n.workers, w.id)
				if !errors.Is(err, workerpool.ErrClosed) && n.ctx.Err() == nil && !j.ended && n.startErrors[j.id] == nil { // said once, and not at the end
					n.log.Warn("worker could not be started", "job", j.id, "error", err)
				}
				n.startFailed(j, err)
				n.sched.WorkerStartFailed(sw, n.now)
				return
			}
			if w.process == nil {
				w.process = p
			}
			switch { // what was asked for before there was a process
			case w.killed != "":
				n.killWorker(w, w.killed)
			case sw.State() == "stopping":
				n.stopWorker(sw)
			}
		})
	})
}

// launch starts a process, after the pause that the pool asks for when workers of the job crash one after another.
func (n *Node) launch(spec workerpool.Spec) (process, error) {
	for {
		p, err := n.pool.Start(n.ctx, spec)
		backoff, pause := errors.AsType[*workerpool.BackoffError](err)
		if !pause {
			return p, err
		}
		select {
		case <-time.After(backoff.RetryAfter):
		case <-n.ctx.Done():
			return nil, err
		}
	}
}

// processEvent is told by the pool that a process is ready or has ended.
func (n *Node) processEvent(p process, exit *workerpool.ExitReason) {
	n.locked(func() {
		e, w := n.builders.running[p.Worker()], n.workers[p.Worker()]
		switch {
		case exit == nil && e == nil:
			n.aside(func() { n.welcomeWorker(p) })
		case exit == nil: // a builder says nothing on its connection
		case e != nil:
			_ = p.Conn().Close() // nothing was sent on it
			n.builderEnded(e, *exit)
		case w != nil && w.session != nil:
			w.exit = exit // what it sent last is read first: sessionEnded goes on
		default:
			n.workerEnded(p.Worker(), *exit)
		}
	})
}

// welcomeWorker opens the session of a process that has taken over.
func (n *Node) welcomeWorker(p process) {
	n.mu.Lock()
	w := n.workers[p.Worker()]
	if w != nil {
		w.process = p // it may be quicker than the goroutine that started it
	}
	n.mu.Unlock()
	if w == nil {
		_ = p.Conn().Close() // it has ended already
		return
	}
	if err := n.handshake(p.Conn(), w); err != nil && !errors.Is(err, context.Canceled) {
		n.locked(func() {
			if !n.closed && !w.job.ended {
				n.log.Warn("worker refused", "pid", p.PID(), "error", err)
			}
			n.killWorker(w, err.Error())
		})
	}
}

// workerEnded deals with the end of a process: with what it was running, its actors and its place in the schedule.
func (n *Node) workerEnded(wid id.Worker, exit workerpool.ExitReason) {
	w := n.workers[wid]
	if w == nil {
		return
	}
	delete(n.workers, wid)
	if n.deserted != nil && len(n.workers) == 0 {
		close(n.deserted)
		n.deserted = nil
	}
	n.exits = appendBounded(n.exits, workerExit{worker: w, reason: exit})
	if !w.ready {
		if !w.refused {
			n.startFailed(w.job, &startExitError{exit})
		}
		n.sched.WorkerStartFailed(w.sched, n.now)
		return
	}
	if exit.Cause == workerpool.CauseZygote && w.killed == "" {
		w.killed = string(exit.Cause) // which is not the fault of what it ran
	}
	if w.flying == 0 && len(w.actors) == 0 {
		n.startFailed(w.job, &startExitError{exit}) // for when none of them lives until it has something to do
	}
	cause := n.crash(w, exit)
	gone := n.sched.WorkerGone(w.sched, n.now)
	if w.leaving {
		for _, s := range slices.Concat(gone.Started, gone.Behind) {
			if t, ok := s.Record.(*task); ok {
				t.unsent = true // it said that it begins nothing more
			}
		}
	}
	for _, s := range slices.Backward(gone.Behind) { // each goes to the front
		n.behind(taskOf(s), cause)
	}
	alone := len(gone.Started) == 1
	for _, s := range gone.Started {
		n.interrupted(taskOf(s), w, cause, alone)
	}
	for _, a := range sortedActors(w.actors) {
		n.crashed(a, cause)
	}
	clear(w.actors)
	for _, handle := range slices.Sorted(maps.Keys(w.reading)) {
		n.hasReturned(w, handle)
	}
	n.collectCircles(w.job)
}

// pid returns the process id, 0 before it is known.
func (w *worker) pid() int32 {
	if w.process == nil {
		return 0
	}
	return int32(w.process.PID())
}

// crash is what the end of a process means for what it was doing.
func (n *Node) crash(w *worker, exit workerpool.ExitReason) *mobulav1.ErrorValue {
	if e := n.outOfMemory(w, exit); e != nil {
		return e
	}
	e := &mobulav1.ErrorValue{
		Kind: mobulav1.ErrorKind_ERROR_KIND_WORKER_CRASHED, Message: exit.String(), Pid: w.pid(),
		Execution: mobulav1.Execution_EXECUTION_MAY_HAVE_EXECUTED, Stack: stackOf(exit),
	}
	if w.killed != "" {
		e.Message = "the node ended the worker: " + w.killed
	}
	return e
}

// behind decides about a task that stood behind another one in the dead process. It had not begun, as far as the node knows; the worker
// may have begun it while the outcome of the one before was still on its way, so a task that must not run twice does not run again.
func (n *Node) behind(t *task, cause *mobulav1.ErrorValue) {
	n.releaseHandle(t)
	switch {
	case t.done:
	case t.extras().stopped != nil:
		n.fail(t, t.extras().stopped)
	case t.unsent:
		n.resend(t)
	case t.retries == 0:
		n.fail(t, n.crashOf(t, cause, false))
	default:
		n.sched.Requeue(&t.sched, true, false, n.now)
	}
}

// interrupted decides about a task that a dead process had begun. Tasks that ran beside others are run again alone, one by one: only
// one that dies alone is to blame.
func (n *Node) interrupted(t *task, w *worker, cause *mobulav1.ErrorValue, alone bool) {
	if t.done {
		return // abandoned
	}
	n.releaseHandle(t)
	if t.unsent && t.extras().stopped == nil {
		n.resend(t)
		return
	}
	if t.actor != nil { // a constructor: restarts are the actor's
		a := t.actor
		if t.extras().stopped != nil {
			n.fail(t, t.extras().stopped)
			return
		}
		if a.state == actorDead {
			n.fail(t, a.deathOf(mobulav1.Execution_EXECUTION_MAY_HAVE_EXECUTED))
			return
		}
		n.finish(t)
		n.crashed(a, cause)
		return
	}
	blameless := w.forced != nil && w.forced != t || w.killed != "" && w.forced == nil
	switch {
	case t.extras().stopped != nil:
		n.fail(t, t.extras().stopped)
	case t.retries == 0:
		n.fail(t, n.crashOf(t, cause, alone))
	case cause.GetKind() == mobulav1.ErrorKind_ERROR_KIND_OUT_OF_MEMORY:
		n.tryAgainWithMemory(t, cause, alone)
	case blameless:
		t.attempt++
		n.sched.Requeue(&t.sched, true, false, n.now)
	case !alone && !w.isolated:
		t.attempt++
		t.extend().suspected++
		n.sched.Requeue(&t.sched, true, true, n.now)
	default:
		if t.retries > 0 {
			x := t.extend()
			t.retries -= 1 + x.suspected // it is to blame for the crashes beside others too
			x.suspected = 0
		}
		if t.retries < 0 && t.tmpl.retries >= 0 {
			n.fail(t, n.crashOf(t, cause, alone))
			return
		}
		t.attempt++
		n.sched.Requeue(&t.sched, true, true, n.now)
	}
}

// resend schedules a task anew that never reached the dead process.
func (n *Node) resend(t *task) {
	t.unsent = false
	n.sched.Requeue(&t.sched, true, false, n.now)
}

// crashOf is the outcome of a task whose process died and that may not run again.
func (n *Node) crashOf(t *task, cause *mobulav1.ErrorValue, alone bool) *mobulav1.ErrorValue {
	e := proto.CloneOf(cause)
	who := "while it ran " + t.tmpl.name
	if !alone {
		who = "while it ran " + t.tmpl.name + " beside other tasks, any of which may be the cause"
	}
	e.Message = fmt.Sprintf("%s, %s", e.GetMessage(), who)
	if e.GetKind() == mobulav1.ErrorKind_ERROR_KIND_OUT_OF_MEMORY {
		e.Message = fmt.Sprintf("%s did not finish: %s", t.tmpl.name, cause.GetMessage()) // a longer story
	}
	if t.tmpl.retries == 0 {
		e.Hint = "it runs at most once because its max_retries is 0"
	} else {
		e.Hint = fmt.Sprintf("it was tried %d times, the last ones in a process of its own", t.attempt)
	}
	return e
}

// killWorker ends a process at once.
func (n *Node) killWorker(w *worker, why string) {
	if w.killed == "" {
		w.killed = why
	}
	if w.process == nil {
		return
	}
	if err := n.pool.Kill(w.id, workerpool.CauseCancelled); err != nil && !errors.Is(err, workerpool.ErrNotRunning) {
		n.log.Error("worker could not be killed", "pid", w.process.PID(), "error", err)
	}
}

// leave takes note that a worker takes nothing more and ends. What it still has goes elsewhere when it has.
func (n *Node) leave(w *worker) {
	w.leaving = true
	n.sched.Retire(w.sched, n.now)
	n.killWorkerSoon(w)
}

// retire lets a worker finish what it has and then ends it.
func (n *Node) retire(w *worker, why string) {
	n.log.Info("worker is retired", "worker", w.id, "reason", why)
	n.sched.Retire(w.sched, n.now)
	w.retired = true
	n.maybeEnd(w)
}

// maybeEnd ends a retired worker that has nothing but abandoned work.
func (n *Node) maybeEnd(w *worker) {
	if w.retired && w.flying == 0 && len(w.actors) == 0 {
		n.killWorker(w, "it was retired because of a task that did not return")
	}
}

// stopWorker ends a process that has nothing to do.
func (n *Node) stopWorker(sw *scheduler.Worker) {
	w, _ := sw.Record.(*worker)
	if w == nil {
		return
	}
	n.nudge(w, mobulav1.FrameKind_FRAME_KIND_EXIT, &mobulav1.Exit{Reason: "nothing to do"})
	if w.process == nil {
		return
	}
	cause := workerpool.CauseIdle
	if w.job.ended {
		cause = workerpool.CauseJob
	}
	if err := n.pool.Stop(w.id, workerStopGrace, cause); err != nil && !errors.Is(err, workerpool.ErrNotRunning) {
		n.log.Error("worker could not be stopped", "pid", w.process.PID(), "error", err)
	}
}

// onWorkerFrame handles what a worker says of its lanes.
func (n *Node) onWorkerFrame(s *session, kind mobulav1.FrameKind, payload []byte) error {
	w := s.worker
	if w == nil {
		return &wire.ProtocolError{Reason: "frame that only a worker sends"}
	}
	switch kind {
	case mobulav1.FrameKind_FRAME_KIND_BLOCKED:
		var m mobulav1.Blocked
		if err := m.UnmarshalVT(payload); err != nil {
			return err
		}
		return n.onBlocked(w, &m)
	case mobulav1.FrameKind_FRAME_KIND_UNBLOCKED:
		var m mobulav1.Unblocked
		if err := m.UnmarshalVT(payload); err != nil {
			return err
		}
		t := n.running(w, m.GetHandle())
		switch {
		case t == nil:
		case t.tmpl.kind == mobulav1.TemplateKind_TEMPLATE_KIND_METHOD:
			t.unblock()
			n.lend(t.actor)
		default:
			n.sched.Unblocked(&t.sched, n.now)
		}
		return nil
	default:
		var m mobulav1.Revoked
		if err := m.UnmarshalVT(payload); err != nil {
			return err
		}
		back, err := n.returned(w, m.GetReturned())
		if err != nil {
			return err
		}
		l := w.revoking[m.GetLane()]
		if l == nil {
			return &wire.ProtocolError{Reason: "return of tasks that were not asked back"}
		}
		delete(w.revoking, m.GetLane())
		n.sched.Revoked(l, back, n.now)
		n.endStopped(back)
		n.maybeEnd(w)
		return nil
	}
}

func (n *Node) onBlocked(w *worker, m *mobulav1.Blocked) error {
	back, err := n.returned(w, m.GetReturned())
	if err != nil {
		return err
	}
	t := n.running(w, m.GetHandle())
	switch {
	case t == nil:
		if len(back) > 0 {
			return &wire.ProtocolError{Reason: "tasks returned by a task that is not there"}
		}
	case t.tmpl.kind == mobulav1.TemplateKind_TEMPLATE_KIND_METHOD:
		if !t.blocked {
			t.blocked = true
			t.actor.blocked++
			n.lend(t.actor)
		}
	default:
		n.sched.Blocked(&t.sched, back, n.now)
		n.endStopped(back)
	}
	n.maybeEnd(w)
	return nil
}

// running returns the task that a worker speaks of, given up or not; number 0 is the one that has run longest.
func (n *Node) running(w *worker, number uint64) *task {
	if number == 0 {
		if oldest := w.sched.OldestRunning(); oldest != nil {
			return taskOf(oldest)
		}
		return nil
	}
	if t := n.handles.get(number); t != nil && t.worker == w {
		return t
	}
	return w.abandoned[number]
}

// endStopped ends tasks that came back and were asked to end meanwhile.
func (n *Node) endStopped(back []*scheduler.Task) {
	for _, b := range back {
		if t, _ := b.Record.(*task); t.extras().stopped != nil && !t.done && n.sched.Cancel(b, n.now) {
			n.fail(t, t.extras().stopped)
		}
	}
}

// returned finds the tasks that a worker gives back.
func (n *Node) returned(w *worker, numbers []uint64) ([]*scheduler.Task, error) {
	back := make([]*scheduler.Task, 0, len(numbers))
	for _, number := range numbers {
		t := n.handles.get(number)
		if t == nil {
			continue // resolved meanwhile
		}
		if t.worker != w {
			return nil, &wire.ProtocolError{Reason: "return of a task that another worker has"}
		}
		if t.tmpl.kind == mobulav1.TemplateKind_TEMPLATE_KIND_METHOD {
			return nil, &wire.ProtocolError{Reason: "return of an actor's call"}
		}
		n.releaseHandle(t)
		back = append(back, &t.sched)
	}
	return back, nil
}
