package controlplane_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/mobula-dev/mobula/controlplane"
	"github.com/mobula-dev/mobula/controlplane/shard"
	"github.com/mobula-dev/mobula/controlplane/state"
	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve opens a control plane and serves it on a Unix socket, as a node does. The returned function stops both.
func serve(t *testing.T, cfg controlplane.Config) (mobulav1.ControlPlaneServiceClient, func()) {
	t.Helper()
	s, err := controlplane.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(t.TempDir(), "s")
	listener, err := new(net.ListenConfig).Listen(t.Context(), "unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	s.Register(server)
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	conn, err := grpc.NewClient("unix:"+socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	return mobulav1.NewControlPlaneServiceClient(conn), func() {
		t.Helper()
		err := errors.Join(conn.Close(), s.Close(), s.Close())
		server.Stop()
		if err := errors.Join(err, <-served); err != nil {
			t.Errorf("stop: %v", err)
		}
	}
}

func id16(n int) []byte { return fmt.Appendf(nil, "%016d", n) }

func apply(t *testing.T, c mobulav1.ControlPlaneServiceClient, client int, commands ...*mobulav1.Command) []*mobulav1.CommandResult {
	t.Helper()
	for i, command := range commands {
		command.Sequence = uint64(i + 1)
	}
	resp, err := c.ApplyCommands(t.Context(), &mobulav1.ApplyCommandsRequest{Batch: &mobulav1.Batch{ClientId: id16(client), Commands: commands}})
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range resp.GetResult().GetResults() {
		if r.GetCode() != mobulav1.ResultCode_RESULT_CODE_OK {
			t.Fatalf("%v: %v", commands[i], r)
		}
	}
	return resp.GetResult().GetResults()
}

func register() *mobulav1.Command {
	return &mobulav1.Command{Kind: &mobulav1.Command_RegisterNode{RegisterNode: &mobulav1.RegisterNode{Ref: &mobulav1.NodeRef{NodeId: id16(1)}}}}
}

// TestNodeThatStartsAgainOnItsDirectory is the promise to a user of one machine: what was stored is there, and what died is
// reported.
func TestNodeThatStartsAgainOnItsDirectory(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	client, stop := serve(t, controlplane.Config{Dir: dir})
	node := &mobulav1.NodeRef{NodeId: id16(1), Epoch: 1}
	apply(t, client, 1, register(),
		&mobulav1.Command{Kind: &mobulav1.Command_StartJob{StartJob: &mobulav1.StartJob{JobId: id16(2), Namespace: "ns", Program: "p", Node: node}}},
		&mobulav1.Command{Kind: &mobulav1.Command_CreateActor{CreateActor: &mobulav1.CreateActor{
			ActorId: id16(3), JobId: id16(2), Class: "C", Name: "store", Namespace: "ns", Detached: true, Node: node,
		}}},
		&mobulav1.Command{Kind: &mobulav1.Command_PutKey{PutKey: &mobulav1.PutKey{Namespace: "ns", Key: "k", Value: []byte("v")}}},
	)
	stop()

	client, stop = serve(t, controlplane.Config{Dir: dir})
	defer stop()
	if got := apply(t, client, 2, register())[0].GetEpoch(); got != 2 {
		t.Errorf("epoch %d after a restart", got)
	}
	got, err := client.GetRecords(t.Context(), &mobulav1.GetRecordsRequest{Keys: []*mobulav1.RecordKey{
		{Table: mobulav1.Table_TABLE_JOBS, Id: id16(2)},
		{Table: mobulav1.Table_TABLE_NAMES, Namespace: "ns", Name: "store"},
		{Table: mobulav1.Table_TABLE_KEYS, Namespace: "ns", Name: "k"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	job, name, key := got.GetRecords()[0].GetJob(), got.GetRecords()[1].GetName(), got.GetRecords()[2].GetKey()
	if job.GetStatus() != mobulav1.JobStatus_JOB_STATUS_FAILED || job.GetCause().GetKind() != mobulav1.CauseKind_CAUSE_KIND_NODE_LOST {
		t.Errorf("job: %v", job)
	}
	if a := name.GetActor(); a.GetStatus() != mobulav1.ActorStatus_ACTOR_STATUS_DEAD || a.GetCause().GetNode().GetEpoch() != 1 {
		t.Errorf("name: %v", name)
	}
	if string(key.GetValue()) != "v" {
		t.Errorf("key: %v", key)
	}
}

func TestSecondControlPlaneOnADirectoryIsRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	_, stop := serve(t, controlplane.Config{Dir: dir})
	defer stop()
	var locked *shard.LockedError
	if _, err := controlplane.Open(t.Context(), controlplane.Config{Dir: dir}); !errors.As(err, &locked) {
		t.Errorf("second: %v", err)
	}
}

func TestConfigIsChecked(t *testing.T) {
	t.Parallel()
	for _, cfg := range []controlplane.Config{{}, {InMemory: true, MaxStreams: -1}, {InMemory: true, Limits: &mobulav1.StateLimits{ResultsPerClient: 1}}} {
		if s, err := controlplane.Open(t.Context(), cfg); err == nil {
			t.Errorf("%+v was taken: %v", cfg, s.Close())
		}
	}
}

func TestLimitsThatAreZeroAreTheDefaults(t *testing.T) {
	t.Parallel()
	client, stop := serve(t, controlplane.Config{InMemory: true, Limits: &mobulav1.StateLimits{EndedJobs: 5}})
	defer stop()
	got, err := client.GetShard(t.Context(), &mobulav1.GetShardRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if got.GetLimits().GetEndedJobs() != 5 || got.GetLimits().GetDeadActors() != state.DefaultLimits().GetDeadActors() {
		t.Errorf("limits: %v", got.GetLimits())
	}
}

func TestOpenEndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if s, err := controlplane.Open(ctx, controlplane.Config{Dir: t.TempDir()}); err == nil {
		t.Errorf("opened: %v", s.Close())
	} else if !errors.Is(err, context.Canceled) {
		t.Errorf("error: %v", err)
	}
}
