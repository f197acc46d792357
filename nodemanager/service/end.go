package service

import (
	"fmt"

	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"
	"github.com/mobula-dev/mobula/internal/id"
	"github.com/mobula-dev/mobula/nodemanager/scheduler"
	"github.com/mobula-dev/mobula/nodemanager/workerpool"
)

// endJob ends everything that a driver's job has on this node.
func (n *Node) endJob(j *job, cause error) {
	if j.ended {
		return
	}
	j.ended, j.driver = true, nil
	gone := &mobulav1.ErrorValue{
		Kind: mobulav1.ErrorKind_ERROR_KIND_SESSION_CLOSED, Message: fmt.Sprintf("the driver of job %v has ended", j.id),
		Execution: mobulav1.Execution_EXECUTION_MAY_HAVE_EXECUTED,
	}
	for _, aid := range sortedIDs(n.actors) {
		if a := n.actors[aid]; a.job == j {
			n.endActor(a, gone, false)
		}
	}
	for _, s := range n.sched.JobGone(j.sched, n.now) {
		t, _ := s.Record.(*task)
		if t.done {
			continue
		}
		n.releaseHandle(t)
		n.fail(t, gone)
	}
	delete(n.jobs, j.id)
	delete(n.startErrors, j.id)
	n.pool.Forget(j.id)
	n.recordJobEnd(j, cause)
	if j.executable != nil {
		_ = j.executable.Close() // it was only read
	}
}

// workerpoolCause is why a worker whose session has ended is stopped.
func workerpoolCause(w *worker) workerpool.Cause {
	if w.job.ended {
		return workerpool.CauseShutdown
	}
	return workerpool.CauseRetired
}

// prestartWorker starts the job's shared worker.
func (n *Node) prestartWorker(j *job) {
	if j.language == mobulav1.Language_LANGUAGE_GO {
		n.sched.Prestart(j.sched, scheduler.Shared, "", 1, n.now)
	}
}

// executeFailed fails a task whose Execute frame cannot be sent: its arguments together are too long.
func (n *Node) executeFailed(t *task, err error) {
	if t.worker.session.conn.Err() != nil {
		t.unsent = true // the process is ending: its end decides
		return
	}
	n.releaseHandle(t)
	if t.tmpl.kind == mobulav1.TemplateKind_TEMPLATE_KIND_METHOD {
		t.actor.unlink(t)
	} else {
		n.sched.Done(&t.sched, 1, n.now)
		if t.actor != nil {
			n.sched.ActorGone(t.lane, n.now)
		}
	}
	n.fail(t, t.invalid("the arguments cannot be sent: "+err.Error()+"; put large values and pass their refs"))
}

// sortedActors returns actors in order of id.
func sortedActors(m map[id.Actor]*actor) []*actor {
	actors := make([]*actor, 0, len(m))
	for _, aid := range sortedIDs(m) {
		actors = append(actors, m[aid])
	}
	return actors
}
