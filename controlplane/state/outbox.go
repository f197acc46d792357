package state

import mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"

// addEffect puts an effect into the outbox, numbered.
func (s *State) addEffect(e *mobulav1.Effect) {
	s.advance()
	s.lastEffect++
	s.effects = true
	e.Id = s.lastEffect
	s.outbox.set(string(e.GetNode().GetNodeId())+ordinal(e.GetId()), e)
}

// roomForEffects refuses a command that would add n effects to a full outbox. The death of a node is never refused, so the outbox may
// exceed its limit by an effect for each node and each job that fails with it.
func (s *State) roomForEffects(n int) *mobulav1.CommandResult {
	if have := s.outbox.len(); have+n > int(s.limits.GetEffects()) {
		return refuse(mobulav1.ResultCode_RESULT_CODE_LIMIT_EXCEEDED, "%d effects wait for nodes to acknowledge them, the most is %d", have, s.limits.GetEffects())
	}
	return nil
}

// ackEffects forgets what a node has carried out.
func (s *State) ackEffects(c *mobulav1.AckEffects) *mobulav1.CommandResult {
	node, refused := s.living(c.GetNode())
	if refused != nil {
		return refused
	}
	id := string(node.GetRef().GetNodeId())
	for _, key := range s.outbox.keys(id, s.outbox.len()) {
		if key > id+ordinal(c.GetThrough()) {
			break
		}
		s.advance()
		s.outbox.delete(key)
	}
	return ok()
}

// dropEffects forgets all that waits for a node, because its life is over.
func (s *State) dropEffects(node string) {
	for _, key := range s.outbox.keys(node, s.outbox.len()) {
		s.advance()
		s.outbox.delete(key)
	}
}
