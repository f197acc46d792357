package state

import (
	"fmt"
	"strings"

	"google.golang.org/protobuf/proto"

	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"
)

// registerNode begins a life of a node, and ends the one before if nobody has.
func (s *State) registerNode(c *mobulav1.RegisterNode) *mobulav1.CommandResult {
	ref := &mobulav1.NodeRef{NodeId: c.GetRef().GetNodeId(), Epoch: c.GetRef().GetEpoch()}
	old, exists := s.nodes.get(string(ref.GetNodeId()))
	newest := old.GetRef().GetEpoch()
	if ref.GetEpoch() == 0 {
		ref.Epoch = newest + 1
	}
	next := &mobulav1.NodeRecord{
		Ref:              ref,
		Status:           mobulav1.NodeStatus_NODE_STATUS_ALIVE,
		Address:          c.GetAddress(),
		Hostname:         c.GetHostname(),
		Build:            c.GetBuild(),
		Pid:              c.GetPid(),
		Resources:        c.GetResources(),
		Labels:           c.GetLabels(),
		RegisteredUnixNs: s.now,
	}
	switch {
	case exists && (ref.GetEpoch() < newest || (ref.GetEpoch() == newest && dead(old))):
		r := refuse(mobulav1.ResultCode_RESULT_CODE_STALE, "%s is over, the newest epoch is %d", lifeText(ref), newest)
		r.Epoch = newest
		return r
	case exists && ref.GetEpoch() == newest:
		next.Status, next.DrainReason, next.RegisteredUnixNs = old.GetStatus(), old.GetDrainReason(), old.GetRegisteredUnixNs()
	case exists && !dead(old):
		s.endLife(old.GetRef(), mobulav1.CauseKind_CAUSE_KIND_SUPERSEDED, fmt.Sprintf("the node started again with epoch %d", ref.GetEpoch()))
	}
	s.putNode(next)
	r := ok()
	r.Epoch = ref.GetEpoch()
	return r
}

// drainNode stops new work on a node.
func (s *State) drainNode(c *mobulav1.DrainNode) *mobulav1.CommandResult {
	ref := c.GetRef()
	if ref.GetEpoch() == 0 {
		newest, _ := s.nodes.get(string(ref.GetNodeId()))
		ref = &mobulav1.NodeRef{NodeId: ref.GetNodeId(), Epoch: newest.GetRef().GetEpoch()}
	}
	node, refused := s.living(ref)
	if refused != nil {
		return refused
	}
	if node.GetStatus() == mobulav1.NodeStatus_NODE_STATUS_DRAINING {
		return ok()
	}
	if refused := s.roomForEffects(1); refused != nil {
		return refused
	}
	next := proto.CloneOf(node)
	next.Status, next.DrainReason = mobulav1.NodeStatus_NODE_STATUS_DRAINING, c.GetReason()
	s.putNode(next)
	s.addEffect(&mobulav1.Effect{Node: next.GetRef(), Kind: &mobulav1.Effect_Drain{Drain: &mobulav1.DrainEffect{Reason: c.GetReason()}}})
	return ok()
}

// markNodeDead ends a life of a node for good.
func (s *State) markNodeDead(c *mobulav1.MarkNodeDead) *mobulav1.CommandResult {
	node, refused := s.living(c.GetRef())
	if refused != nil {
		return refused
	}
	next := proto.CloneOf(node)
	next.Status, next.Cause = mobulav1.NodeStatus_NODE_STATUS_DEAD, c.GetCause()
	next.EndedUnixNs, next.EndedRevision = s.now, s.advance()
	s.putNode(next)
	s.endLife(next.GetRef(), c.GetCause().GetKind(), c.GetCause().GetMessage())
	return ok()
}

// endLife ends all that a life of a node carried: its actors are dead, but their names still lead to them; its jobs fail; its
// effects are moot.
func (s *State) endLife(ref *mobulav1.NodeRef, kind mobulav1.CauseKind, why string) {
	text := lifeText(ref) + " was lost"
	if kind == mobulav1.CauseKind_CAUSE_KIND_EXITED {
		text = lifeText(ref) + " shut down"
	}
	if why != "" {
		text += ": " + why
	}
	cause := &mobulav1.Cause{Kind: mobulav1.CauseKind_CAUSE_KIND_NODE_LOST, Message: cut(text), Node: ref}
	for _, key := range s.liveActorsByNode.keys(life(ref), s.actors.len()) {
		actor, _ := s.actors.get(key[len(key)-idSize:])
		s.buryActor(actor, cause)
	}
	for _, key := range s.liveJobsByNode.keys(life(ref), s.jobs.len()) {
		job, _ := s.jobs.get(key[len(key)-idSize:])
		s.endJob(job, mobulav1.JobStatus_JOB_STATUS_FAILED, cause)
	}
	s.dropEffects(string(ref.GetNodeId()))
}

// living returns the record of a life of a node that has not ended, or says why there is none.
func (s *State) living(ref *mobulav1.NodeRef) (*mobulav1.NodeRecord, *mobulav1.CommandResult) {
	node, exists := s.nodes.get(string(ref.GetNodeId()))
	switch {
	case !exists || ref.GetEpoch() > node.GetRef().GetEpoch():
		return nil, refuse(mobulav1.ResultCode_RESULT_CODE_NOT_FOUND, "%s is not registered", lifeText(ref))
	case ref.GetEpoch() < node.GetRef().GetEpoch():
		r := refuse(mobulav1.ResultCode_RESULT_CODE_STALE, "%s is over, the newest epoch is %d", lifeText(ref), node.GetRef().GetEpoch())
		r.Epoch = node.GetRef().GetEpoch()
		return nil, r
	case dead(node):
		return nil, refuse(mobulav1.ResultCode_RESULT_CODE_ENDED, "%s is dead: %s", lifeText(ref), node.GetCause().GetMessage())
	}
	return node, nil
}

// cut shortens a text to what a message may have, between characters.
func cut(text string) string {
	return strings.ToValidUTF8(text[:min(len(text), MaxMessage)], "")
}

func dead(n *mobulav1.NodeRecord) bool { return n.GetStatus() == mobulav1.NodeStatus_NODE_STATUS_DEAD }

func (s *State) putNode(n *mobulav1.NodeRecord) {
	s.put(&mobulav1.Record{Kind: &mobulav1.Record_Node{Node: n}})
}

// prune forgets the oldest of what has ended, as far as the limits want. It runs after each command, so that at most a few records are
// over the limit.
func (s *State) prune() {
	for s.deadNodes.len() > int(s.limits.GetDeadNodes()) {
		key := s.deadNodes.first()
		id := key[len(key)-idSize:]
		s.deadNodes.delete(key)
		s.nodes.delete(id)
		s.deleted(&mobulav1.RecordKey{Table: mobulav1.Table_TABLE_NODES, Id: []byte(id)})
	}
	for s.endedJobs.len() > int(s.limits.GetEndedJobs()) {
		s.forgetJob(s.endedJobs.first())
	}
	for s.deadActors.len() > int(s.limits.GetDeadActors()) {
		s.forgetActor(s.deadActors.first())
	}
}
