package service

import (
	"fmt"
	"time"

	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"
	"github.com/mobula-dev/mobula/internal/id"
	"github.com/mobula-dev/mobula/nodemanager/ownership"
)

// claimName takes the name for an actor before it is made: the control plane decides who has it. An actor whose name is not decided on
// in time fails; its end is recorded behind its claim, which then gives the name back.
func (n *Node) claimName(a *actor, t *task) {
	late := time.AfterFunc(n.limits.claim, func() {
		n.locked(func() {
			if !n.closed && !t.done && a.state == actorCreating && !a.claimed {
				n.fail(t, n.unanswered())
			}
		})
	})
	n.recordActor(a, func(r *mobulav1.CommandResult, failed *mobulav1.ErrorValue) {
		late.Stop()
		a.claimed = true
		if t.done {
			return // cancelled, or its job has ended
		}
		switch {
		case failed != nil:
			n.fail(t, failed)
		case r.GetCode() == mobulav1.ResultCode_RESULT_CODE_OK && r.GetExisted():
			n.alias(a, t, r.GetActorId())
		case r.GetCode() == mobulav1.ResultCode_RESULT_CODE_OK:
			n.schedule(t)
		case r.GetCode() == mobulav1.ResultCode_RESULT_CODE_ALREADY_EXISTS:
			n.fail(t, &mobulav1.ErrorValue{
				Kind:      mobulav1.ErrorKind_ERROR_KIND_ALREADY_EXISTS,
				Message:   fmt.Sprintf("an actor with the name %q exists in namespace %q", a.name, a.namespace),
				Execution: mobulav1.Execution_EXECUTION_NOT_EXECUTED,
				Hint:      "get it by its name, or use the option GetIfExists",
			})
		default:
			n.fail(t, t.invalid(r.GetMessage()))
		}
	})
}

// alias makes the handle of a creation that found an actor of its name a handle of that actor.
func (n *Node) alias(a *actor, t *task, existing []byte) {
	aid, err := id.FromBytes[id.Actor](existing)
	if err != nil {
		n.fail(t, t.invalid(err.Error()))
		return
	}
	target := n.actors[aid]
	if target == nil || target.state == actorDead {
		n.fail(t, unknownActor(aid))
		return
	}
	if target.tmpl.frame.GetClass() != a.tmpl.frame.GetClass() {
		n.fail(t, t.invalid(fmt.Sprintf("the actor %q is a %s, not a %s", a.name, target.tmpl.frame.GetClass(), a.tmpl.frame.GetClass())))
		return
	}
	a.state, a.alias = actorDead, target
	a.death = &mobulav1.ErrorValue{Message: "another actor of that name is used"}
	n.dir.Retain(&target.creation.first)
	n.letGo(a)
	n.actors[a.id] = target
	n.handOver(a, target)
	n.resolve(&t.first, emptyValue())
	n.finish(t)
	n.pump(target)
}

// handOver moves the calls that were made before it was known that another actor has the name.
func (n *Node) handOver(a, target *actor) {
	for sid, q := range a.bySess {
		to := target.queue(sid)
		for _, call := range q.calls[q.head:] {
			if call == nil || call.done {
				continue
			}
			n.dir.Retain(&target.creation.first)
			n.dir.Drop(&a.creation.first)
			call.actor = target
			to.push(call)
			target.waiting++
		}
	}
	a.queues, a.waiting = nil, 0
	clear(a.bySess)
}

// emptyValue is the outcome of what has no result: an encoded nil.
func emptyValue() *ownership.Value {
	v := mobulav1.Value{Format: mobulav1.ValueFormat_VALUE_FORMAT_MSGPACK, Meta: []byte{0xc0}}
	encoded, err := v.MarshalVT()
	if err != nil {
		panic("invariant: a Value encodes: " + err.Error())
	}
	return &ownership.Value{Encoded: encoded, Size: uint64(len(encoded))}
}
