package service

import (
	"bytes"
	"fmt"
	"slices"

	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"
	"github.com/mobula-dev/mobula/nodemanager/scheduler"
)

// A detached actor outlives its driver, and what it needs does too: its job lingers, without a driver, until the last such actor has
// ended. Meanwhile what the actor submits runs as part of that job; everything else of the job ends with the driver.

// linger ends what a job has, but for its detached actors and what comes from them, and reports whether there are any.
func (n *Node) linger(j *job, gone *mobulav1.ErrorValue) bool {
	kept := n.detachedOf(j)
	if len(kept.actors) == 0 {
		return false
	}
	j.lingers = true
	for _, aid := range sortedIDs(n.actors) {
		if a := n.actors[aid]; a.job == j && a.id == aid && !kept.actors[a] {
			n.endActor(a, gone, true)
		}
	}
	var doomed []*task
	for o := range n.dir.All() {
		t, ok := o.Maker.(*task)
		if ok && o == &t.first && t.tmpl.job == j && !t.done && !kept.tasks[t] && t.tmpl.kind == mobulav1.TemplateKind_TEMPLATE_KIND_FUNCTION {
			doomed = append(doomed, t)
		}
	}
	slices.SortFunc(doomed, func(a, b *task) int { return bytes.Compare(a.idBytes(), b.idBytes()) })
	for _, t := range doomed {
		n.stopTask(t, gone, t.worker != nil && t.worker.isolated)
	}
	return true
}

// lingered ends a job whose last detached actor has ended.
func (n *Node) lingered(j *job) {
	if j.lingers && !j.ended && len(n.detachedOf(j).actors) == 0 {
		n.endJob(j, nil)
	}
}

// family is the detached actors of a job and what comes from them.
type family struct {
	actors map[*actor]bool
	tasks  map[*task]bool
}

// detachedOf finds the detached actors of a job that have not ended, and the actors and tasks that they have submitted, and so on.
func (n *Node) detachedOf(j *job) family {
	f := family{actors: make(map[*actor]bool), tasks: make(map[*task]bool)}
	sessions := make(map[*session]bool)
	enter := func(a *actor) {
		f.actors[a] = true
		if a.worker != nil && a.worker.isolated && a.worker.session != nil {
			sessions[a.worker.session] = true
		}
	}
	for _, a := range n.actors {
		if a.job == j && a.detached() && a.state != actorDead && a.alias == nil {
			enter(a)
		}
	}
	if len(f.actors) == 0 {
		return f
	}
	for grown := true; grown; {
		grown = false
		for o := range n.dir.All() {
			t, ok := o.Maker.(*task)
			if !ok || o != &t.first || t.tmpl.job != j || f.tasks[t] || !sessions[t.from] {
				continue
			}
			f.tasks[t], grown = true, true
			if a := t.actor; a != nil && t.tmpl.kind == mobulav1.TemplateKind_TEMPLATE_KIND_ACTOR && a.state != actorDead && !f.actors[a] {
				enter(a)
			}
			if w := t.worker; !t.done && w != nil && w.isolated && w.session != nil && t.sched.State() == scheduler.Dispatched {
				sessions[w.session] = true
			}
		}
	}
	return f
}

// detached reports whether the actor outlives its driver.
func (a *actor) detached() bool {
	return a.tmpl.options.GetLifetime() == mobulav1.Lifetime_LIFETIME_DETACHED
}

// driverGone is why what a job has ends.
func driverGone(j *job) *mobulav1.ErrorValue {
	return &mobulav1.ErrorValue{
		Kind: mobulav1.ErrorKind_ERROR_KIND_SESSION_CLOSED, Message: fmt.Sprintf("the driver of job %v has ended", j.id),
		Execution: mobulav1.Execution_EXECUTION_MAY_HAVE_EXECUTED,
	}
}
