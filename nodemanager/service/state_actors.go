package service

import (
	"bytes"
	"cmp"
	"context"
	"iter"
	"strings"

	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"
	"github.com/mobula-dev/mobula/internal/id"
)

// actorItem is an actor of this node, or, when that is nil, the record of one that it no longer has.
type actorItem struct {
	actor  *actor
	record *mobulav1.ActorRecord
}

// ListActors implements mobulav1.NodeServiceServer.
func (s *State) ListActors(ctx context.Context, r *mobulav1.ListActorsRequest) (*mobulav1.ListActorsResponse, error) {
	n, err := s.attached()
	if err != nil {
		return nil, err
	}
	list, err := newList(r.GetLimit(), r.GetPageToken())
	if err != nil {
		return nil, err
	}
	if err := checkJob(r.GetJobId()); err != nil {
		return nil, err
	}
	if err := cmp.Or(checkText("class", r.GetClass()), checkID("actor", r.GetActorId(), id.TaskSize)); err != nil {
		return nil, err
	}
	wanted := func(aid id.Actor, status mobulav1.ActorStatus, class string, job []byte) bool {
		return same(r.GetActorId(), aid[:]) && same(r.GetJobId(), job) && (r.GetStatus() == mobulav1.ActorStatus_ACTOR_STATUS_UNSPECIFIED || status == r.GetStatus()) &&
			strings.Contains(class, r.GetClass())
	}
	seen := make(map[id.Actor]bool)
	err = scan(ctx, n, n.allActors(), scanPiece, func(a *actor) {
		if seen[a.id] {
			return
		}
		seen[a.id] = true
		if wanted(a.id, a.status(), a.tmpl.frame.GetClass(), a.job.id[:]) {
			list.add(n.wall(a.creation.submitted), a.id[:], actorItem{actor: a})
		}
	}, list.trim)
	if err != nil {
		return nil, err
	}
	err = n.records(ctx, mobulav1.Table_TABLE_ACTORS, r.GetJobId(), func(records []*mobulav1.Record) {
		for _, record := range records {
			a := record.GetActor()
			if aid, err := id.FromBytes[id.Actor](a.GetActorId()); err == nil && !seen[aid] && wanted(aid, a.GetStatus(), a.GetClass(), a.GetJobId()) {
				a.Spec = nil
				list.add(a.GetCreatedUnixNs(), aid[:], actorItem{record: a})
			}
		}
		list.trim()
	})
	if err != nil {
		return nil, err
	}
	rows, next, err := makeRows(ctx, n, list, n.actorRow)
	return &mobulav1.ListActorsResponse{Actors: rows, Total: list.total, NextPageToken: next}, err
}

// allActors yields the actors that the node has or had lately; some twice. It needs the lock, which may be given back between two.
func (n *Node) allActors() iter.Seq[*actor] {
	return func(yield func(*actor) bool) {
		for aid, a := range n.actors {
			if aid == a.id && !yield(a) { // else it is another handle's name for the actor
				return
			}
		}
		for _, a := range append([]*actor(nil), n.deadActors...) { // it is cut in place
			if !yield(a) {
				return
			}
		}
	}
}

func (a *actor) status() mobulav1.ActorStatus {
	switch a.state {
	case actorCreating:
		return mobulav1.ActorStatus_ACTOR_STATUS_PENDING
	case actorAlive:
		return mobulav1.ActorStatus_ACTOR_STATUS_ALIVE
	case actorRestarting:
		return mobulav1.ActorStatus_ACTOR_STATUS_RESTARTING
	case actorDead:
		return mobulav1.ActorStatus_ACTOR_STATUS_DEAD
	default:
		return mobulav1.ActorStatus_ACTOR_STATUS_UNSPECIFIED
	}
}

func (n *Node) actorRow(i actorItem) *mobulav1.ActorInfo {
	a := i.actor
	if a == nil {
		return &mobulav1.ActorInfo{Record: i.record}
	}
	record := &mobulav1.ActorRecord{
		ActorId: bytes.Clone(a.id[:]), JobId: bytes.Clone(a.job.id[:]), Status: a.status(), Class: a.tmpl.frame.GetClass(),
		Name: a.name, Namespace: a.namespace, MaxRestarts: a.tmpl.options.GetMaxRestarts(), Restarts: a.incarnation - 1,
		Incarnation: a.incarnation, Node: n.nodeRef(), CreatedUnixNs: n.wall(a.creation.submitted),
	}
	if a.home != nil {
		record.WorkerId, record.Pid = bytes.Clone(a.home.id[:]), a.home.pid()
	}
	if a.death != nil {
		record.Cause = &mobulav1.Cause{Message: shorten(a.death.GetMessage())}
		if a.ended > 0 {
			record.EndedUnixNs = n.wall(a.ended)
		}
	}
	row := &mobulav1.ActorInfo{
		Record: record, WaitingCalls: uint64(a.waiting), RunningCalls: uint64(len(a.flying)),
		CallSite: a.creation.from.callSite(a.creation.callSite), Labels: a.tmpl.options.GetLabels(),
		Resources: a.tmpl.resources(), RuntimeEnv: a.tmpl.options.GetRuntimeEnv(),
	}
	if g := a.tmpl.group; g != nil {
		row.PlacementGroupId = bytes.Clone(g.id[:])
	}
	return row
}
