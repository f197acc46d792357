package service

import (
	"cmp"
	"maps"
	"slices"

	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"
	"github.com/mobula-dev/mobula/internal/id"
	"github.com/mobula-dev/mobula/nodemanager/ownership"
	"github.com/mobula-dev/mobula/nodemanager/workerpool"
)

// endJob ends everything that a driver's job has on this node.
func (n *Node) endJob(j *job, cause error) {
	if j.ended {
		return
	}
	j.driver = nil
	if !j.lingers {
		n.recordJobEnd(j, cause)
	}
	gone := driverGone(j)
	if n.linger(j, gone) {
		return
	}
	j.ended = true
	for _, aid := range sortedIDs(n.actors) {
		if a := n.actors[aid]; a.job == j {
			n.endActor(a, gone, false)
		}
	}
	n.endPlacements(j)
	n.endEnvironments(j)
	for _, s := range n.sched.JobGone(j.sched, n.now) {
		t, ok := s.Record.(*task)
		if !ok || t.done {
			continue
		}
		n.releaseHandle(t)
		n.fail(t, gone)
	}
	n.endPauses(j, gone)
	for _, t := range slices.SortedFunc(maps.Values(j.templates), func(a, b *template) int { return cmp.Compare(a.number, b.number) }) {
		if t.code != nil {
			n.dir.Drop(t.code)
			t.code = nil
		}
	}
	delete(n.jobs, j.id)
	delete(n.startErrors, j.id)
	n.pool.Forget(j.id)
	if j.executable != nil {
		_ = j.executable.Close() // it was only read
	}
}

// collectCircles frees what only holds itself when nobody is left of a job: of its objects, and of those of all jobs that have ended, for a
// circle may go through several.
func (n *Node) collectCircles(j *job) {
	inhabited := make(map[*job]bool)
	for _, s := range n.sessions {
		inhabited[s.job] = true
	}
	if !j.ended || inhabited[j] {
		return
	}
	var left []*ownership.Object
	for o := range n.dir.All() {
		if owner := n.jobOf(o); owner != nil && owner.ended && !inhabited[owner] {
			left = append(left, o)
		}
	}
	n.dir.CollectCircles(left)
}

// workerpoolCause is why a worker whose session has ended is stopped.
func workerpoolCause(w *worker) workerpool.Cause {
	if w.job.ended {
		return workerpool.CauseShutdown
	}
	return workerpool.CauseRetired
}

// executeFailed fails a task whose Execute frame cannot be sent: its arguments together are too long.
func (n *Node) executeFailed(t *task, err error) {
	if t.worker.session.conn.Err() != nil {
		t.unsent = true // the process is ending: its end decides
		return
	}
	n.releaseHandle(t)
	if t.tmpl.kind == mobulav1.TemplateKind_TEMPLATE_KIND_METHOD {
		t.actor.flying = without(t.actor.flying, t)
	} else {
		n.sched.Done(&t.sched, 1, n.now)
		if t.actor != nil {
			n.sched.ActorGone(t.actor.lane, n.now)
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
