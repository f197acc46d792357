package state

import (
	"google.golang.org/protobuf/proto"

	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"
)

// createActor records an actor and claims its name.
func (s *State) createActor(c *mobulav1.CreateActor) *mobulav1.CommandResult {
	if old, exists := s.actors.get(string(c.GetActorId())); exists {
		return about(refuse(mobulav1.ResultCode_RESULT_CODE_ALREADY_EXISTS, "actor %x exists", c.GetActorId()), old)
	}
	job, refused := s.running(c.GetJobId())
	if refused != nil {
		return refused
	}
	if c.GetName() != "" {
		if holder, taken := s.holder(c.GetNamespace(), c.GetName()); taken && c.GetGetIfExists() {
			r := about(ok(), holder)
			r.Existed = true
			return r
		} else if taken {
			return about(refuse(mobulav1.ResultCode_RESULT_CODE_ALREADY_EXISTS, "name %q in namespace %q belongs to actor %x",
				c.GetName(), c.GetNamespace(), holder.GetActorId()), holder)
		}
	}
	node, refused := s.living(c.GetNode())
	if refused != nil {
		return refused
	}
	if live := s.liveActorsByJob.len(); live >= int(s.limits.GetLiveActors()) {
		return refuse(mobulav1.ResultCode_RESULT_CODE_LIMIT_EXCEEDED, "%d actors live, the most is %d", live, s.limits.GetLiveActors())
	}
	actor := &mobulav1.ActorRecord{
		ActorId:       c.GetActorId(),
		JobId:         job.GetJobId(),
		Status:        mobulav1.ActorStatus_ACTOR_STATUS_PENDING,
		Class:         c.GetClass(),
		Name:          c.GetName(),
		Namespace:     c.GetNamespace(),
		Detached:      c.GetDetached(),
		MaxRestarts:   c.GetMaxRestarts(),
		Incarnation:   1,
		Node:          node.GetRef(),
		Spec:          c.GetSpec(),
		CreatedUnixNs: s.now,
	}
	s.putActor(actor)
	if c.GetName() != "" {
		s.put(&mobulav1.Record{Kind: &mobulav1.Record_Name{
			Name: &mobulav1.NameRecord{Namespace: c.GetNamespace(), Name: c.GetName(), ActorId: c.GetActorId()},
		}})
	}
	return about(ok(), actor)
}

// markActorAlive records that an incarnation serves calls.
func (s *State) markActorAlive(c *mobulav1.MarkActorAlive) *mobulav1.CommandResult {
	actor, refused := s.incarnation(c.GetActorId(), c.GetIncarnation())
	if refused != nil {
		return refused
	}
	node, refused := s.living(c.GetNode())
	if refused != nil {
		return refused
	}
	if actor.GetStatus() == mobulav1.ActorStatus_ACTOR_STATUS_ALIVE {
		if string(actor.GetWorkerId()) == string(c.GetWorkerId()) && life(actor.GetNode()) == life(c.GetNode()) {
			return about(ok(), actor)
		}
		return about(refuse(mobulav1.ResultCode_RESULT_CODE_CONFLICT, "incarnation %d of actor %x is alive in worker %x",
			c.GetIncarnation(), c.GetActorId(), actor.GetWorkerId()), actor)
	}
	next := proto.CloneOf(actor)
	next.Status = mobulav1.ActorStatus_ACTOR_STATUS_ALIVE
	next.Node, next.WorkerId, next.Pid = node.GetRef(), c.GetWorkerId(), c.GetPid()
	s.putActor(next)
	return about(ok(), next)
}

// markActorDead ends an incarnation; the next one begins if the actor may restart.
func (s *State) markActorDead(c *mobulav1.MarkActorDead) *mobulav1.CommandResult {
	actor, refused := s.incarnation(c.GetActorId(), c.GetIncarnation())
	if refused != nil {
		return refused
	}
	if !c.GetNoRestart() && mayRestart(actor, c.GetCause().GetKind()) {
		next := proto.CloneOf(actor)
		next.Status, next.Cause = mobulav1.ActorStatus_ACTOR_STATUS_RESTARTING, c.GetCause()
		next.Incarnation++
		next.Restarts++
		next.WorkerId, next.Pid = nil, 0
		s.putActor(next)
		return about(ok(), next)
	}
	buried := s.buryActor(actor, c.GetCause())
	s.releaseName(actor)
	return about(ok(), buried)
}

// mayRestart reports whether an actor has a restart left for a cause that is no fault or wish of its own.
func mayRestart(a *mobulav1.ActorRecord, kind mobulav1.CauseKind) bool {
	switch kind {
	case mobulav1.CauseKind_CAUSE_KIND_CRASHED, mobulav1.CauseKind_CAUSE_KIND_KILLED, mobulav1.CauseKind_CAUSE_KIND_NODE_LOST:
		return a.GetMaxRestarts() < 0 || uint64(a.GetRestarts()) < uint64(a.GetMaxRestarts())
	default:
		return false
	}
}

// endActor asks the actor's node to end its incarnation.
func (s *State) endActor(c *mobulav1.EndActor) *mobulav1.CommandResult {
	actor, refused := s.alive(c.GetActorId())
	if refused != nil {
		return refused
	}
	if refused := s.roomForEffects(1); refused != nil {
		return refused
	}
	s.addEffect(&mobulav1.Effect{Node: actor.GetNode(), Kind: &mobulav1.Effect_EndActor{EndActor: &mobulav1.EndActorEffect{
		ActorId: actor.GetActorId(), Incarnation: actor.GetIncarnation(), Reason: c.GetReason(),
	}}})
	if c.GetNoRestart() {
		actor = s.buryActor(actor, &mobulav1.Cause{Kind: mobulav1.CauseKind_CAUSE_KIND_KILLED, Message: c.GetReason()})
		s.releaseName(actor)
	}
	return about(ok(), actor)
}

// buryActor makes an actor dead for good and returns its last record. Its name is left to the caller.
func (s *State) buryActor(a *mobulav1.ActorRecord, cause *mobulav1.Cause) *mobulav1.ActorRecord {
	next := proto.CloneOf(a)
	next.Status, next.Cause = mobulav1.ActorStatus_ACTOR_STATUS_DEAD, cause
	next.EndedUnixNs, next.EndedRevision = s.now, s.advance()
	next.Spec = nil // Nothing creates it again.
	s.putActor(next)
	return next
}

// holder returns the living actor that has a name.
func (s *State) holder(namespace, name string) (*mobulav1.ActorRecord, bool) {
	record, exists := s.names.get(pair(namespace, name))
	if !exists {
		return nil, false
	}
	actor, exists := s.actors.get(string(record.GetActorId()))
	return actor, exists && actor.GetStatus() != mobulav1.ActorStatus_ACTOR_STATUS_DEAD
}

// releaseName deletes an actor's name if it still leads to the actor.
func (s *State) releaseName(a *mobulav1.ActorRecord) {
	key := pair(a.GetNamespace(), a.GetName())
	if record, exists := s.names.get(key); a.GetName() != "" && exists && string(record.GetActorId()) == string(a.GetActorId()) {
		s.names.delete(key)
		s.deleted(nameKey(a.GetNamespace(), a.GetName()))
	}
}

// alive returns the record of an actor that is not dead, or says why there is none.
func (s *State) alive(id []byte) (*mobulav1.ActorRecord, *mobulav1.CommandResult) {
	actor, exists := s.actors.get(string(id))
	switch {
	case !exists:
		return nil, refuse(mobulav1.ResultCode_RESULT_CODE_NOT_FOUND, "actor %x is not known", id)
	case actor.GetStatus() == mobulav1.ActorStatus_ACTOR_STATUS_DEAD:
		return nil, about(refuse(mobulav1.ResultCode_RESULT_CODE_ENDED, "actor %x is dead: %s", id, actor.GetCause().GetMessage()), actor)
	}
	return actor, nil
}

// incarnation is alive, for a sender that speaks for one incarnation.
func (s *State) incarnation(id []byte, n uint32) (*mobulav1.ActorRecord, *mobulav1.CommandResult) {
	actor, refused := s.alive(id)
	switch {
	case refused != nil:
		return nil, refused
	case n < actor.GetIncarnation():
		return nil, about(refuse(mobulav1.ResultCode_RESULT_CODE_STALE, "incarnation %d of actor %x is over, the present one is %d",
			n, id, actor.GetIncarnation()), actor)
	case n > actor.GetIncarnation():
		return nil, about(refuse(mobulav1.ResultCode_RESULT_CODE_INVALID_ARGUMENT, "actor %x has no incarnation %d yet, the present one is %d",
			id, n, actor.GetIncarnation()), actor)
	}
	return actor, nil
}

// about adds to a result which actor it is about.
func about(r *mobulav1.CommandResult, a *mobulav1.ActorRecord) *mobulav1.CommandResult {
	r.ActorId, r.Incarnation = a.GetActorId(), a.GetIncarnation()
	return r
}

// forgetActor deletes the record of a dead actor, by its key in deadActors, and its name if that still leads to it.
func (s *State) forgetActor(key string) {
	id := key[len(key)-idSize:]
	actor, _ := s.actors.get(id)
	s.deadActors.delete(key)
	s.actors.delete(id)
	s.deleted(&mobulav1.RecordKey{Table: mobulav1.Table_TABLE_ACTORS, Id: []byte(id)})
	s.releaseName(actor)
}

func (s *State) putActor(a *mobulav1.ActorRecord) {
	s.put(&mobulav1.Record{Kind: &mobulav1.Record_Actor{Actor: a}})
}
