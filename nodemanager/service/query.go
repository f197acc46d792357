package service

import (
	"fmt"

	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"
)

// onQuery answers a query at once or, when the control plane is needed, later.
func (n *Node) onQuery(s *session, payload []byte) error {
	q := new(mobulav1.Query)
	if err := q.UnmarshalVT(payload); err != nil {
		return err
	}
	r := &mobulav1.Reply{Id: q.GetId()}
	switch k := q.GetKind().(type) {
	case *mobulav1.Query_GetActor:
		n.getActor(s, k.GetActor, r)
	default:
		r.Error = &mobulav1.ErrorValue{
			Kind: mobulav1.ErrorKind_ERROR_KIND_INVALID_ARGUMENT, Message: fmt.Sprintf("this node does not know the query %T", q.GetKind()),
		}
	}
	n.send(s, mobulav1.FrameKind_FRAME_KIND_REPLY, r)
	return nil
}

func (n *Node) getActor(s *session, q *mobulav1.GetActor, r *mobulav1.Reply) {
	namespace := q.GetNamespace()
	if namespace == "" {
		namespace = s.job.namespace
	}
	a := n.names[nameKey{namespace: namespace, name: q.GetName()}]
	switch {
	case a == nil:
		r.Error = &mobulav1.ErrorValue{
			Kind:    mobulav1.ErrorKind_ERROR_KIND_NOT_FOUND,
			Message: fmt.Sprintf("no actor has the name %q in namespace %q", q.GetName(), namespace),
		}
	case a.state == actorDead:
		r.Error = a.deathOf(mobulav1.Execution_EXECUTION_UNSPECIFIED)
	default:
		n.dir.Hold(&a.creation.first, s.id)
		r.Actor = &mobulav1.ActorFound{ActorId: a.id[:], Class: a.tmpl.frame.GetClass()}
	}
}
