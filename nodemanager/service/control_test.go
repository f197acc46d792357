package service

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"

	"google.golang.org/grpc"

	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"
)

// control is a control plane as far as a node notices: names of actors, keys, and the commands in their order.
type control struct {
	mobulav1.ControlPlaneServiceClient // calls that the node does not make panic
	effects                            chan *mobulav1.Effect

	mu       sync.Mutex // guards the fields below
	commands []*mobulav1.Command
	names    map[string]*mobulav1.ActorRecord
	actors   map[string]*mobulav1.ActorRecord
	keys     map[string]*mobulav1.KeyRecord
	gate     chan struct{} // calls are answered when it is closed; nil: at once
}

func newControl() *control {
	return &control{
		effects: make(chan *mobulav1.Effect, 16), names: make(map[string]*mobulav1.ActorRecord),
		actors: make(map[string]*mobulav1.ActorRecord), keys: make(map[string]*mobulav1.KeyRecord),
	}
}

// hold makes calls wait until the returned function is called.
func (c *control) hold() (release func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	gate := make(chan struct{})
	c.gate = gate
	return sync.OnceFunc(func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.gate = nil
		close(gate)
	})
}

func (c *control) pass(ctx context.Context) error {
	c.mu.Lock()
	gate := c.gate
	c.mu.Unlock()
	if gate == nil {
		return ctx.Err()
	}
	select {
	case <-gate:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// ApplyCommands implements mobulav1.ControlPlaneServiceClient.
func (c *control) ApplyCommands(ctx context.Context, r *mobulav1.ApplyCommandsRequest, _ ...grpc.CallOption) (*mobulav1.ApplyCommandsResponse, error) {
	if err := c.pass(ctx); err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	result := new(mobulav1.BatchResult)
	for _, command := range r.GetBatch().GetCommands() {
		c.commands = append(c.commands, command)
		result.Results = append(result.Results, c.apply(command))
	}
	return &mobulav1.ApplyCommandsResponse{Result: result}, nil
}

func (c *control) apply(command *mobulav1.Command) *mobulav1.CommandResult {
	ok := &mobulav1.CommandResult{Code: mobulav1.ResultCode_RESULT_CODE_OK}
	switch k := command.GetKind().(type) {
	case *mobulav1.Command_CreateActor:
		return c.createActor(k.CreateActor, ok)
	case *mobulav1.Command_MarkActorDead:
		if k.MarkActorDead.GetNoRestart() {
			c.endActor(string(k.MarkActorDead.GetActorId()))
		}
	case *mobulav1.Command_FinishJob:
		for aid, a := range c.actors {
			if string(a.GetJobId()) == string(k.FinishJob.GetJobId()) {
				c.endActor(aid)
			}
		}
	case *mobulav1.Command_PutKey:
		return c.putKey(k.PutKey, ok)
	}
	return ok
}

func (c *control) createActor(m *mobulav1.CreateActor, ok *mobulav1.CommandResult) *mobulav1.CommandResult {
	a := &mobulav1.ActorRecord{ActorId: m.GetActorId(), JobId: m.GetJobId(), Name: m.GetName(), Namespace: m.GetNamespace(), Class: m.GetClass()}
	if m.GetName() != "" {
		name := m.GetNamespace() + "\x00" + m.GetName()
		if there := c.names[name]; there != nil && there.GetStatus() != mobulav1.ActorStatus_ACTOR_STATUS_DEAD {
			if !m.GetGetIfExists() {
				return &mobulav1.CommandResult{Code: mobulav1.ResultCode_RESULT_CODE_ALREADY_EXISTS}
			}
			ok.Existed, ok.ActorId = true, there.GetActorId()
			return ok
		}
		c.names[name] = a
	}
	c.actors[string(m.GetActorId())] = a
	return ok
}

func (c *control) endActor(aid string) {
	if a := c.actors[aid]; a != nil {
		a.Status = mobulav1.ActorStatus_ACTOR_STATUS_DEAD
	}
}

func (c *control) putKey(m *mobulav1.PutKey, ok *mobulav1.CommandResult) *mobulav1.CommandResult {
	key := m.GetNamespace() + "\x00" + m.GetKey()
	if c.keys[key] != nil && m.GetCondition() == mobulav1.PutKey_CONDITION_ABSENT {
		return &mobulav1.CommandResult{Code: mobulav1.ResultCode_RESULT_CODE_ALREADY_EXISTS}
	}
	ok.Version = c.keys[key].GetVersion() + 1
	c.keys[key] = &mobulav1.KeyRecord{Namespace: m.GetNamespace(), Key: m.GetKey(), Value: m.GetValue(), Version: ok.GetVersion()}
	return ok
}

// GetRecords implements mobulav1.ControlPlaneServiceClient.
func (c *control) GetRecords(ctx context.Context, r *mobulav1.GetRecordsRequest, _ ...grpc.CallOption) (*mobulav1.GetRecordsResponse, error) {
	if err := c.pass(ctx); err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	resp := new(mobulav1.GetRecordsResponse)
	for _, k := range r.GetKeys() {
		record := new(mobulav1.Record)
		name := k.GetNamespace() + "\x00" + k.GetName()
		if k.GetTable() == mobulav1.Table_TABLE_NAMES && c.names[name] != nil {
			a := c.names[name]
			record.Kind = &mobulav1.Record_Name{Name: &mobulav1.NameRecord{Name: k.GetName(), Namespace: k.GetNamespace(), ActorId: a.GetActorId(), Actor: a}}
		}
		if k.GetTable() == mobulav1.Table_TABLE_KEYS && c.keys[name] != nil {
			record.Kind = &mobulav1.Record_Key{Key: c.keys[name]}
		}
		resp.Records = append(resp.Records, record)
	}
	return resp, nil
}

// ListRecords implements mobulav1.ControlPlaneServiceClient.
func (c *control) ListRecords(ctx context.Context, r *mobulav1.ListRecordsRequest, _ ...grpc.CallOption) (*mobulav1.ListRecordsResponse, error) {
	if err := c.pass(ctx); err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	resp := new(mobulav1.ListRecordsResponse)
	for name, k := range c.keys {
		if strings.HasPrefix(name, r.GetPrefix().GetNamespace()+"\x00"+r.GetPrefix().GetName()) {
			resp.Records = append(resp.Records, &mobulav1.Record{Kind: &mobulav1.Record_Key{Key: k}})
		}
	}
	slices.SortFunc(resp.Records, func(a, b *mobulav1.Record) int { return strings.Compare(a.GetKey().GetKey(), b.GetKey().GetKey()) })
	return resp, nil
}

// effectStream is the stream of a control plane's effects.
type effectStream struct {
	grpc.ClientStream
	ctx context.Context
	c   *control
}

// Recv returns the next effect.
func (s *effectStream) Recv() (*mobulav1.WatchEffectsResponse, error) {
	select {
	case e := <-s.c.effects:
		return &mobulav1.WatchEffectsResponse{Effects: []*mobulav1.Effect{e}}, nil
	case <-s.ctx.Done():
		return nil, errors.New("the stream has ended")
	}
}

// WatchEffects implements mobulav1.ControlPlaneServiceClient.
func (c *control) WatchEffects(ctx context.Context, _ *mobulav1.WatchEffectsRequest, _ ...grpc.CallOption) (grpc.ServerStreamingClient[mobulav1.WatchEffectsResponse], error) {
	return &effectStream{ctx: ctx, c: c}, nil
}
