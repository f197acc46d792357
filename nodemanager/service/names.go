package service

import (
	"fmt"

	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"
)

// nameKey is where an actor's name counts.
type nameKey struct{ namespace, name string }

// claimName takes the name for an actor before it is made.
func (n *Node) claimName(s *session, a *actor, t *task) {
	key := nameKey{namespace: a.namespace, name: a.name}
	if taken := n.names[key]; taken != nil && taken.state != actorDead {
		a.name = ""
		if a.tmpl.options.GetGetIfExists() {
			n.aliasActor(a, taken, t)
			return
		}
		n.fail(t, &mobulav1.ErrorValue{
			Kind:      mobulav1.ErrorKind_ERROR_KIND_ALREADY_EXISTS,
			Message:   fmt.Sprintf("an actor with the name %q exists in namespace %q", key.name, key.namespace),
			Execution: mobulav1.Execution_EXECUTION_NOT_EXECUTED,
			Hint:      "get it by its name, or use the option GetIfExists",
		})
		return
	}
	n.names[key] = a
	n.schedule(t)
}
