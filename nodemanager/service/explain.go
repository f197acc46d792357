package service

import (
	"fmt"
	"slices"

	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"
	"github.com/mobula-dev/mobula/internal/errorvalue"
	"github.com/mobula-dev/mobula/nodemanager/ownership"
	"github.com/mobula-dev/mobula/nodemanager/scheduler"
)

// explainObject says what an object waits for, for people.
func (n *Node) explainObject(o *ownership.Object) string {
	if v := o.Value(); v != nil {
		if v.Failed {
			return "failed: " + errorvalue.Decode(v.Encoded).GetMessage()
		}
		return fmt.Sprintf("ready, %d bytes", v.Size)
	}
	t, ok := o.Maker.(*task)
	if !ok {
		return "being put"
	}
	where := t.tmpl.name
	if site := t.from.callSite(t.callSite); site != "" {
		where += ", submitted at " + site
	}
	switch {
	case t.handle != 0 && !t.begun():
		return fmt.Sprintf("%s: waits in process %d for its turn at actor %s, which is %v, with %d calls at its process", where, t.worker.pid(), t.actor, t.actor.state, len(t.actor.flying))
	case t.handle != 0 && t.blocks():
		return fmt.Sprintf("%s: attempt %d waits in a get, in process %d", where, t.attempt, t.worker.pid())
	case t.handle != 0:
		return fmt.Sprintf("%s: attempt %d runs in process %d", where, t.attempt, t.worker.pid())
	case t.missing > 0 && n.explainEnvironment(t) != "":
		return where + ": " + n.explainEnvironment(t)
	case t.missing > 0:
		return fmt.Sprintf("%s: waits for %s: %s", where, arguments(t.missing), n.explainArgs(t))
	case t.tmpl.kind == mobulav1.TemplateKind_TEMPLATE_KIND_METHOD:
		return fmt.Sprintf("%s: waits for actor %s, which is %v, with %d calls waiting and %d at its process", where, t.actor, t.actor.state, t.actor.waiting, len(t.actor.flying))
	default:
		return fmt.Sprintf("%s: %v", where, n.sched.Explain(&t.sched, n.now))
	}
}

// arguments says how many arguments are missing.
func arguments(missing int32) string {
	if missing == 1 {
		return "1 argument"
	}
	return fmt.Sprintf("%d arguments", missing)
}

// blocks reports whether a task that is at a worker waits in a get.
func (t *task) blocks() bool {
	return t.worker.session != nil && (t.blocked || t.sched.State() == scheduler.Blocked)
}

// begun reports whether a task that is at a worker may run there: the calls of an actor wait for their turn at its process, in their order.
func (t *task) begun() bool {
	a := t.actor
	if a == nil || t.tmpl.kind != mobulav1.TemplateKind_TEMPLATE_KIND_METHOD {
		return true
	}
	i := slices.Index(a.flying, t)
	return i < 0 || i < a.capacity()
}

// explainArgs names the arguments that a task waits for.
func (n *Node) explainArgs(t *task) string {
	text := ""
	for _, o := range t.refs[:t.refArgs] {
		if o.Value() != nil {
			continue
		}
		if text != "" {
			text += ", "
		}
		text += o.ID.String()
		if m, ok := o.Maker.(*task); ok {
			text += " (" + m.tmpl.name + ")"
		}
	}
	return text
}
