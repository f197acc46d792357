package service

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"
	"github.com/mobula-dev/mobula/nodemanager/scheduler"
	"github.com/mobula-dev/mobula/nodemanager/workerpool"
)

// schedulerEffects carries out what the scheduler decided and reports whether there was anything.
func (n *Node) schedulerEffects() bool {
	effects := n.sched.Effects()
	if len(effects) == 0 {
		return false
	}
	n.schedEffects = append(n.schedEffects[:0], effects...)
	for _, e := range n.schedEffects {
		n.schedulerEffect(e)
	}
	return true
}

func (n *Node) schedulerEffect(e scheduler.Effect) {
	switch e.Kind {
	case scheduler.Dispatch:
		if p, ok := e.Task.Record.(*placement); ok {
			n.placed(p, e.Lane)
			return
		}
		t, w := taskOf(e.Task), workerOf(e.Lane.Worker())
		if t.actor != nil {
			t.actor.lane = e.Lane
		}
		if t.extras().stopped != nil {
			n.undispatch(t)
			return
		}
		n.execute(t, w, e.Lane.Number(), e.Lane.Devices().Append(nil))
	case scheduler.StartWorker:
		if e.Worker.Env() == placementEnv {
			n.sched.WorkerStarted(e.Worker, n.now) // no process is behind it
			return
		}
		n.startWorker(e.Worker)
	case scheduler.StopWorker:
		if e.Worker.Env() == placementEnv {
			n.sched.WorkerGone(e.Worker, n.now)
			return
		}
		n.stopWorker(e.Worker)
	case scheduler.Revoke:
		if w, ok := e.Lane.Worker().Record.(*worker); ok {
			w.revoking[e.Lane.Number()] = e.Lane
			n.nudge(w, mobulav1.FrameKind_FRAME_KIND_REVOKE, &mobulav1.Revoke{Lane: e.Lane.Number()})
		}
	case scheduler.Infeasible:
		if _, ok := e.Task.Record.(*placement); ok {
			return // it waits for a node that can have it, and its listing says why
		}
		t := taskOf(e.Task)
		n.fail(t, &mobulav1.ErrorValue{
			Kind:      mobulav1.ErrorKind_ERROR_KIND_UNSCHEDULABLE,
			Message:   fmt.Sprintf("%s can never run on this node: %s", t.tmpl.name, n.reason(e.Task)),
			Execution: mobulav1.Execution_EXECUTION_NOT_EXECUTED,
			Hint:      "ask for less, or start the node with more (mobula up --help)",
		})
	case scheduler.StartFailed:
		t := taskOf(e.Task)
		n.fail(t, n.notStarted(t))
	case scheduler.WakeAt:
		n.wakeAt(e.Time)
	case scheduler.Warn:
		n.log.Warn("many workers, because tasks wait for tasks that wait", "workers", e.Count)
	default:
		panic(fmt.Sprintf("invariant: scheduler effect %v", e.Kind))
	}
}

// notStarted is the outcome of a task for which no process could be started.
func (n *Node) notStarted(t *task) *mobulav1.ErrorValue {
	e := &mobulav1.ErrorValue{Kind: mobulav1.ErrorKind_ERROR_KIND_WORKER_START, Message: "unknown reason"}
	if why := n.startErrors[t.tmpl.job.id]; why != nil {
		e = proto.CloneOf(why)
	}
	e.Message = fmt.Sprintf("no worker process could be started for %s: %s", t.tmpl.name, e.GetMessage())
	e.Execution = mobulav1.Execution_EXECUTION_NOT_EXECUTED
	return e
}

// startFailed remembers why a worker of a job could not be started.
func (n *Node) startFailed(j *job, err error) {
	e := &mobulav1.ErrorValue{Kind: mobulav1.ErrorKind_ERROR_KIND_WORKER_START, Message: err.Error()}
	if r, ok := errors.AsType[*refusal](err); ok {
		e = r.value
	}
	if z, ok := errors.AsType[*workerpool.ZygoteError](err); ok {
		e.Message, e.Stack = z.Error(), stackOf(z.Reason)
	}
	if x, ok := errors.AsType[*startExitError](err); ok {
		e.Stack = stackOf(x.reason)
	}
	n.startErrors[j.id] = e
}

// startExitError says that a process ended before it could be used.
type startExitError struct{ reason workerpool.ExitReason }

// Error is a sentence, with the process's last line.
func (e *startExitError) Error() string {
	if last := e.reason.LastLine(); last != "" && !strings.Contains(e.reason.String(), last) {
		return e.reason.String() + ": " + last
	}
	return e.reason.String()
}

// stackOf is what explains the end of a process.
func stackOf(r workerpool.ExitReason) string {
	var b strings.Builder
	for _, line := range r.LastLines {
		b.WriteString(line)
		b.WriteByte('\n')
	}
	return b.String()
}

// taskOf is the node's record of a scheduler's task.
func taskOf(t *scheduler.Task) *task {
	record, ok := t.Record.(*task)
	if !ok {
		panic(fmt.Sprintf("invariant: the record of a task is a %T", t.Record))
	}
	return record
}

// workerOf is the node's record of a scheduler's worker.
func workerOf(w *scheduler.Worker) *worker {
	record, ok := w.Record.(*worker)
	if !ok {
		panic(fmt.Sprintf("invariant: the record of a worker is a %T", w.Record))
	}
	return record
}

// undispatch ends a task that was stopped between the decision to send it to a worker and the sending.
func (n *Node) undispatch(t *task) {
	n.sched.Done(&t.sched, 1, n.now)
	if t.actor != nil {
		n.sched.ActorGone(t.actor.lane, n.now)
	}
	n.fail(t, t.extras().stopped)
}

// reason says why a task can never run.
func (n *Node) reason(t *scheduler.Task) string {
	if short, ok := n.sched.Reason(t); ok {
		return short.String()
	}
	return "its job has ended"
}

// wakeAt has the scheduler's clock tick at that time.
func (n *Node) wakeAt(at int64) {
	n.wake.Reset(max(0, time.Duration(at-n.now)))
}

// tick is the timer of wakeAt.
func (n *Node) tick() {
	n.locked(func() { n.sched.Tick(n.now) })
}
