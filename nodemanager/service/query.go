package service

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"
	"github.com/mobula-dev/mobula/internal/id"
	"github.com/mobula-dev/mobula/internal/wire"
	"github.com/mobula-dev/mobula/nodemanager/ownership"
	"github.com/mobula-dev/mobula/nodemanager/resource"
	"google.golang.org/grpc/status"
)

const (
	// queriesMax is how many queries of a session may be under way at the control plane.
	queriesMax = 64
	// queryTimeout bounds the control plane's answer.
	queryTimeout = 10 * time.Second
)

// onQuery answers a query: at once from what the node knows, or later when the control plane has answered.
func (n *Node) onQuery(s *session, payload []byte) error {
	q := new(mobulav1.Query)
	if err := q.UnmarshalVT(payload); err != nil {
		return err
	}
	r := &mobulav1.Reply{Id: q.GetId()}
	switch k := q.GetKind().(type) {
	case *mobulav1.Query_GetActor:
		n.ask(s, r, func(ctx context.Context) error { return n.findActor(ctx, s, k.GetActor, r) })
		return nil
	case *mobulav1.Query_KeyValue:
		n.ask(s, r, func(ctx context.Context) error { return n.keyValue(ctx, s, k.KeyValue, r) })
		return nil
	case *mobulav1.Query_Resources:
		l := n.sched.Ledger()
		r.Total, r.Available = make(map[string]int64), make(map[string]int64)
		for i := range l.Columns() {
			c := columnOf(i)
			r.Total[l.Name(c)], r.Available[l.Name(c)] = l.Total(c), l.Free(c)
		}
	case *mobulav1.Query_Explain:
		n.explain(s, k.Explain, r)
	case *mobulav1.Query_State:
		n.ask(s, r, func(ctx context.Context) error { return n.stateCall(ctx, k.State, r) })
		return nil
	case *mobulav1.Query_CreatePlacementGroup, *mobulav1.Query_RemovePlacementGroup, *mobulav1.Query_ListPlacementGroups:
		n.queryPlacement(s, q, r)
	case *mobulav1.Query_ListNamedActors:
		n.listNamedActors(s, k.ListNamedActors, r)
	default:
		r.Error = &mobulav1.ErrorValue{
			Kind: mobulav1.ErrorKind_ERROR_KIND_INVALID_ARGUMENT, Message: fmt.Sprintf("this node does not know the query %T", q.GetKind()),
		}
	}
	n.send(s, mobulav1.FrameKind_FRAME_KIND_REPLY, r)
	return nil
}

// columnOf is the column with that number.
func columnOf(i int) resource.Column { return resource.Column(i) }

// ask runs a query of the control plane aside and sends its reply.
func (n *Node) ask(s *session, r *mobulav1.Reply, query func(context.Context) error) {
	if s.queries >= queriesMax {
		r.Error = &mobulav1.ErrorValue{
			Kind: mobulav1.ErrorKind_ERROR_KIND_UNAVAILABLE, Message: fmt.Sprintf("%d queries of this process are under way", s.queries),
			Hint: "wait for some of them",
		}
		n.send(s, mobulav1.FrameKind_FRAME_KIND_REPLY, r)
		return
	}
	s.queries++
	n.aside(func() {
		ctx, cancel := context.WithTimeout(n.ctx, queryTimeout)
		defer cancel()
		err := query(ctx)
		n.locked(func() {
			s.queries--
			if err != nil && r.GetError() == nil {
				r.Error = &mobulav1.ErrorValue{Kind: mobulav1.ErrorKind_ERROR_KIND_UNAVAILABLE, Message: "control plane: " + status.Convert(err).Message()}
			}
			if r.SizeVT() > wire.MaxPayload {
				r = &mobulav1.Reply{Id: r.GetId(), Error: &mobulav1.ErrorValue{
					Kind: mobulav1.ErrorKind_ERROR_KIND_INVALID_ARGUMENT, Message: "the answer is longer than 1 MiB", Hint: "ask for less: a longer prefix, a shorter value",
				}}
			}
			n.send(s, mobulav1.FrameKind_FRAME_KIND_REPLY, r)
		})
	})
}

// findActor looks an actor up by its name and gives the session a hold on it.
func (n *Node) findActor(ctx context.Context, s *session, q *mobulav1.GetActor, r *mobulav1.Reply) error {
	namespace := q.GetNamespace()
	if namespace == "" {
		namespace = s.job.namespace
	}
	resp, err := n.recorder.client.GetRecords(ctx, &mobulav1.GetRecordsRequest{Keys: []*mobulav1.RecordKey{
		{Table: mobulav1.Table_TABLE_NAMES, Namespace: namespace, Name: q.GetName()},
	}})
	if err != nil {
		return err
	}
	record := resp.GetRecords()[0].GetName()
	if record == nil {
		r.Error = &mobulav1.ErrorValue{
			Kind: mobulav1.ErrorKind_ERROR_KIND_NOT_FOUND, Message: fmt.Sprintf("no actor has the name %q in namespace %q", q.GetName(), namespace),
		}
		return nil
	}
	aid, err := id.FromBytes[id.Actor](record.GetActorId())
	if err != nil {
		return err
	}
	n.locked(func() {
		a := n.actors[aid]
		switch {
		case n.sessions[s.id] != s: // it has ended meanwhile, and its holds are dropped already
		case a != nil && a.state != actorDead && n.dir.Lookup(aid.Object(0)) == &a.creation.first: // else it is about to end
			n.dir.Hold(&a.creation.first, s.id)
			n.cross(a.job, s.job, []*ownership.Object{&a.creation.first})
			r.Actor = &mobulav1.ActorFound{ActorId: a.id[:], Class: a.tmpl.frame.GetClass(), Template: a.tmpl.frame}
		case a != nil && a.death != nil:
			r.Error = a.deathOf(mobulav1.Execution_EXECUTION_UNSPECIFIED)
		default:
			r.Error = &mobulav1.ErrorValue{
				Kind:    mobulav1.ErrorKind_ERROR_KIND_ACTOR_DIED,
				Message: fmt.Sprintf("the actor %q in namespace %q is dead: %s", q.GetName(), namespace, record.GetActor().GetCause().GetMessage()),
				Hint:    "make it again: the name is free for a new actor",
			}
		}
	})
	return nil
}

// listNamedActors answers with the actors that have a name and have not ended, in the order of their namespaces and names.
func (n *Node) listNamedActors(s *session, q *mobulav1.ListNamedActors, r *mobulav1.Reply) {
	for _, a := range n.actors {
		if a.name != "" && a.state != actorDead && (q.GetAllNamespaces() || a.namespace == s.job.namespace) {
			r.NamedActors = append(r.NamedActors, &mobulav1.NamedActor{Name: a.name, Namespace: a.namespace})
		}
	}
	slices.SortFunc(r.NamedActors, func(a, b *mobulav1.NamedActor) int {
		return cmp.Or(cmp.Compare(a.GetNamespace(), b.GetNamespace()), cmp.Compare(a.GetName(), b.GetName()))
	})
	r.NamedActors = slices.CompactFunc(r.NamedActors, func(a, b *mobulav1.NamedActor) bool {
		return a.GetNamespace() == b.GetNamespace() && a.GetName() == b.GetName() // an alias stands for the same actor
	})
}

// keyValue does one access to the key-value table.
func (n *Node) keyValue(ctx context.Context, s *session, q *mobulav1.KeyValue, r *mobulav1.Reply) error {
	namespace := q.GetNamespace()
	if namespace == "" {
		namespace = s.job.namespace
	}
	key := &mobulav1.RecordKey{Table: mobulav1.Table_TABLE_KEYS, Namespace: namespace, Name: q.GetKey()}
	put := &mobulav1.PutKey{Namespace: namespace, Key: q.GetKey(), Value: q.GetValue()}
	switch q.GetOp() {
	case mobulav1.KeyValue_OP_GET:
		resp, err := n.recorder.client.GetRecords(ctx, &mobulav1.GetRecordsRequest{Keys: []*mobulav1.RecordKey{key}})
		if err != nil {
			return err
		}
		r.Entries = appendEntry(nil, resp.GetRecords()[0])
		return nil
	case mobulav1.KeyValue_OP_LIST:
		return n.listKeys(ctx, key, r)
	case mobulav1.KeyValue_OP_PUT:
	case mobulav1.KeyValue_OP_PUT_IF_ABSENT:
		put.Condition = mobulav1.PutKey_CONDITION_ABSENT
	case mobulav1.KeyValue_OP_COMPARE_AND_SET:
		put.Condition, put.Version = mobulav1.PutKey_CONDITION_VERSION, q.GetVersion()
	case mobulav1.KeyValue_OP_DELETE:
		return n.applyOne(ctx, &mobulav1.Command{Kind: &mobulav1.Command_DeleteKey{DeleteKey: &mobulav1.DeleteKey{
			Namespace: namespace, Key: q.GetKey(), Version: q.GetVersion(),
		}}}, r)
	default:
		r.Error = &mobulav1.ErrorValue{Kind: mobulav1.ErrorKind_ERROR_KIND_INVALID_ARGUMENT, Message: "unknown operation on a key"}
		return nil
	}
	return n.applyOne(ctx, &mobulav1.Command{Kind: &mobulav1.Command_PutKey{PutKey: put}}, r)
}

// keysMax bounds a listing of keys.
const keysMax = 10_000

func (n *Node) listKeys(ctx context.Context, prefix *mobulav1.RecordKey, r *mobulav1.Reply) error {
	req := &mobulav1.ListRecordsRequest{Prefix: prefix, KeysOnly: true}
	for len(r.Entries) < keysMax {
		resp, err := n.recorder.client.ListRecords(ctx, req)
		if err != nil {
			return err
		}
		for _, rec := range resp.GetRecords() {
			r.Entries = appendEntry(r.Entries, rec)
		}
		if req.PageToken = resp.GetNextPageToken(); len(req.PageToken) == 0 {
			return nil
		}
	}
	return nil
}

func appendEntry(entries []*mobulav1.KeyValueEntry, rec *mobulav1.Record) []*mobulav1.KeyValueEntry {
	k := rec.GetKey()
	if k == nil {
		return entries
	}
	return append(entries, &mobulav1.KeyValueEntry{Key: k.GetKey(), Value: k.GetValue(), Version: k.GetVersion()})
}

// applyOne has the recorder apply a command and waits for its result.
func (n *Node) applyOne(ctx context.Context, c *mobulav1.Command, r *mobulav1.Reply) error {
	type outcome struct {
		result *mobulav1.CommandResult
		failed *mobulav1.ErrorValue
	}
	ch := make(chan outcome, 1)
	n.mu.Lock()
	n.record(c, func(result *mobulav1.CommandResult, failed *mobulav1.ErrorValue) { ch <- outcome{result, failed} })
	n.mu.Unlock()
	select {
	case o := <-ch:
		switch {
		case o.failed != nil:
			r.Error = o.failed
		case o.result.GetCode() == mobulav1.ResultCode_RESULT_CODE_OK:
			r.Entries = []*mobulav1.KeyValueEntry{{Version: o.result.GetVersion()}}
		default:
			r.Error = &mobulav1.ErrorValue{Kind: kindOf(o.result.GetCode()), Message: o.result.GetMessage(), Execution: mobulav1.Execution_EXECUTION_NOT_EXECUTED}
		}
		return nil
	case <-ctx.Done():
		n.mu.Lock()
		defer n.mu.Unlock()
		r.Error = n.unanswered()
		return nil
	}
}

// kindOf is the error that a refusal of the control plane is.
func kindOf(c mobulav1.ResultCode) mobulav1.ErrorKind {
	switch c {
	case mobulav1.ResultCode_RESULT_CODE_NOT_FOUND:
		return mobulav1.ErrorKind_ERROR_KIND_NOT_FOUND
	case mobulav1.ResultCode_RESULT_CODE_ALREADY_EXISTS, mobulav1.ResultCode_RESULT_CODE_CONFLICT:
		return mobulav1.ErrorKind_ERROR_KIND_ALREADY_EXISTS
	case mobulav1.ResultCode_RESULT_CODE_LIMIT_EXCEEDED:
		return mobulav1.ErrorKind_ERROR_KIND_QUEUE_FULL
	default:
		return mobulav1.ErrorKind_ERROR_KIND_INVALID_ARGUMENT
	}
}

// explain says why a task has not finished.
func (n *Node) explain(s *session, q *mobulav1.ExplainTask, r *mobulav1.Reply) {
	oid, err := id.ObjectFromBytes(q.GetObjectId())
	if err != nil {
		r.Error = &mobulav1.ErrorValue{Kind: mobulav1.ErrorKind_ERROR_KIND_INVALID_ARGUMENT, Message: err.Error()}
		return
	}
	o := n.lookup(s, oid)
	if o == nil {
		r.Error = unknownObject(oid)
		return
	}
	r.Text = n.explainObject(o)
}
