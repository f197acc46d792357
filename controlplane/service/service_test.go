package service

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/proto"

	"github.com/mobula-dev/mobula/controlplane/shard"
	"github.com/mobula-dev/mobula/controlplane/state"
	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rig is a shard behind a real gRPC server and client.
type rig struct {
	t        *testing.T
	shard    *shard.Shard
	client   mobulav1.ControlPlaneServiceClient
	sequence uint64
}

func newRig(t *testing.T, cfg shard.Config, maxStreams int) *rig {
	t.Helper()
	cfg.InMemory = true
	s, err := shard.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	mobulav1.RegisterControlPlaneServiceServer(server, New(s, maxStreams))
	listener := bufconn.Listen(64 << 10)
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	conn, err := grpc.NewClient("passthrough:///bufconn", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(s.Close(), conn.Close()); err != nil {
			t.Errorf("close: %v", err)
		}
		server.Stop()
		if err := <-served; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return &rig{t: t, shard: s, client: mobulav1.NewControlPlaneServiceClient(conn)}
}

func id16(n int) []byte { return fmt.Appendf(nil, "%016d", n) }

// apply applies commands and returns their results.
func (r *rig) apply(commands ...*mobulav1.Command) []*mobulav1.CommandResult {
	r.t.Helper()
	b := &mobulav1.Batch{ClientId: id16(1), Acked: r.sequence}
	for _, c := range commands {
		r.sequence++
		c.Sequence = r.sequence
		b.Commands = append(b.Commands, c)
	}
	resp, err := r.client.ApplyCommands(r.t.Context(), &mobulav1.ApplyCommandsRequest{Batch: b})
	if err != nil {
		r.t.Fatalf("apply: %v", err)
	}
	for i, got := range resp.GetResult().GetResults() {
		if got.GetCode() != mobulav1.ResultCode_RESULT_CODE_OK {
			r.t.Fatalf("%v: %v", commands[i], got)
		}
	}
	return resp.GetResult().GetResults()
}

func put(key, value string) *mobulav1.Command {
	return &mobulav1.Command{Kind: &mobulav1.Command_PutKey{PutKey: &mobulav1.PutKey{Namespace: "ns", Key: key, Value: []byte(value)}}}
}

func remove(key string) *mobulav1.Command {
	return &mobulav1.Command{Kind: &mobulav1.Command_DeleteKey{DeleteKey: &mobulav1.DeleteKey{Namespace: "ns", Key: key}}}
}

func keys(prefix string) *mobulav1.RecordKey {
	return &mobulav1.RecordKey{Table: mobulav1.Table_TABLE_KEYS, Namespace: "ns", Name: prefix}
}

func register(n int) *mobulav1.Command {
	return &mobulav1.Command{Kind: &mobulav1.Command_RegisterNode{RegisterNode: &mobulav1.RegisterNode{Ref: &mobulav1.NodeRef{NodeId: id16(n)}}}}
}

func drain(n int) *mobulav1.Command {
	return &mobulav1.Command{Kind: &mobulav1.Command_DrainNode{DrainNode: &mobulav1.DrainNode{Ref: &mobulav1.NodeRef{NodeId: id16(n)}}}}
}

func wantCode(t *testing.T, err error, code codes.Code, kind mobulav1.ErrorKind) {
	t.Helper()
	st := status.Convert(err)
	if st.Code() != code {
		t.Errorf("%v, want code %v", err, code)
		return
	}
	for _, d := range st.Details() {
		if detail, ok := d.(*mobulav1.ErrorValue); ok && detail.GetKind() == kind && detail.GetMessage() != "" {
			return
		}
	}
	if kind != 0 {
		t.Errorf("%v has details %v, want %v", err, st.Details(), kind)
	}
}

// watch opens a watch and returns a function that reads it until it has told a revision.
func (r *rig) watch(ctx context.Context, req *mobulav1.WatchRecordsRequest) func(until uint64) []string {
	r.t.Helper()
	stream, err := r.client.WatchRecords(ctx, req)
	if err != nil {
		r.t.Fatal(err)
	}
	return func(until uint64) []string {
		r.t.Helper()
		var got []string
		for {
			resp, err := stream.Recv()
			if err != nil {
				r.t.Fatalf("watch: %v", err)
			}
			for _, e := range resp.GetEvents() {
				got = append(got, fmt.Sprintf("%s=%s", e.GetKey().GetName(), e.GetRecord().GetKey().GetValue()))
			}
			if resp.GetRevision() >= until {
				return got
			}
		}
	}
}

func TestWatchSeesWhatIsThereAndThenEveryChange(t *testing.T) {
	t.Parallel()
	r := newRig(t, shard.Config{}, 10)
	r.apply(put("a1", "1"), put("b1", "1"), put("a2", "2"))
	read := r.watch(t.Context(), &mobulav1.WatchRecordsRequest{Prefix: keys("a"), IncludeExisting: true})
	if got, want := read(3), []string{"a1=1", "a2=2"}; !slices.Equal(got, want) {
		t.Errorf("existing: %v, want %v", got, want)
	}
	r.apply(put("a1", "3"), put("b2", "x"), remove("a2"), put("a3", "4"))
	if got, want := read(7), []string{"a1=3", "a2=", "a3=4"}; !slices.Equal(got, want) {
		t.Errorf("changes: %v, want %v", got, want)
	}
}

func TestWatchResumesWhereItEnded(t *testing.T) {
	t.Parallel()
	r := newRig(t, shard.Config{}, 10)
	ctx, cancel := context.WithCancel(t.Context())
	read := r.watch(ctx, &mobulav1.WatchRecordsRequest{Prefix: keys("")})
	read(0) // It has begun.
	r.apply(put("a", "1"))
	if got := read(1); !slices.Equal(got, []string{"a=1"}) {
		t.Errorf("first: %v", got)
	}
	cancel()
	r.apply(put("a", "2"), put("b", "3"))
	read = r.watch(t.Context(), &mobulav1.WatchRecordsRequest{Prefix: keys(""), AfterRevision: 1})
	if got := read(3); !slices.Equal(got, []string{"a=2", "b=3"}) {
		t.Errorf("resumed: %v", got)
	}
	stream, err := r.client.WatchRecords(t.Context(), &mobulav1.WatchRecordsRequest{Prefix: keys(""), AfterRevision: 99})
	if err == nil {
		_, err = stream.Recv()
	}
	wantCode(t, err, codes.OutOfRange, mobulav1.ErrorKind_ERROR_KIND_NOT_FOUND)
}

func TestWatchOfChangesThatDoNotMatchGetsBookmarks(t *testing.T) {
	t.Parallel()
	r := newRig(t, shard.Config{}, 10)
	read := r.watch(t.Context(), &mobulav1.WatchRecordsRequest{Prefix: keys("a")})
	read(0)
	for range 3 {
		var cs []*mobulav1.Command
		for range bookmarkEvery {
			cs = append(cs, put("b", "x"))
		}
		r.apply(cs...)
	}
	if got := read(2 * bookmarkEvery); len(got) != 0 {
		t.Errorf("events that do not match: %v", got)
	}
}

// TestSlowWatcherIsCutWithABookmark writes much more than is kept to a watcher that does not read, and then reads: what comes is in
// order and complete up to the cut.
func TestSlowWatcherIsCutWithABookmark(t *testing.T) {
	t.Parallel()
	r := newRig(t, shard.Config{HistoryBytes: 64 << 10}, 10)
	stream, err := r.client.WatchRecords(t.Context(), &mobulav1.WatchRecordsRequest{Prefix: keys("")})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); err != nil { // It has begun.
		t.Fatal(err)
	}
	value := strings.Repeat("v", 16<<10)
	for i := range 200 {
		r.apply(put(fmt.Sprint("k", i), value))
	}
	var last *mobulav1.WatchRecordsResponse
	seen := 0
	for {
		resp, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range resp.GetEvents() {
			if want := fmt.Sprint("k", seen); e.GetKey().GetName() != want {
				t.Fatalf("event %s, want %s", e.GetKey().GetName(), want)
			}
			seen++
		}
		last = resp
	}
	if !last.GetCut() || last.GetRevision() != uint64(seen) || seen == 200 {
		t.Errorf("after %d events the last message is %v", seen, last)
	}
	all := r.watch(t.Context(), &mobulav1.WatchRecordsRequest{Prefix: keys(""), IncludeExisting: true})
	if got := all(200); len(got) != 200 {
		t.Errorf("%d records after watching again", len(got))
	}
}

// TestCommandLargerThanAMessageIsSentInPieces ends a job of which so many actors die that their changes are above what gRPC takes
// at once.
func TestCommandLargerThanAMessageIsSentInPieces(t *testing.T) {
	t.Parallel()
	r := newRig(t, shard.Config{HistoryBytes: 64 << 20}, 10)
	node := &mobulav1.NodeRef{NodeId: id16(1), Epoch: 1}
	job := id16(2)
	r.apply(register(1), &mobulav1.Command{Kind: &mobulav1.Command_StartJob{StartJob: &mobulav1.StartJob{JobId: job, Namespace: "ns", Node: node}}})
	const actors = 8000
	for i := 0; i < actors; i += 2000 {
		var cs []*mobulav1.Command
		for j := range 2000 {
			cs = append(cs, &mobulav1.Command{Kind: &mobulav1.Command_CreateActor{CreateActor: &mobulav1.CreateActor{
				ActorId: id16(100 + i + j), JobId: job, Class: strings.Repeat("C", state.MaxName), Node: node,
			}}})
		}
		r.apply(cs...)
	}
	stream, err := r.client.WatchRecords(t.Context(), &mobulav1.WatchRecordsRequest{Prefix: &mobulav1.RecordKey{Table: mobulav1.Table_TABLE_ACTORS}})
	if err != nil {
		t.Fatal(err)
	}
	begin, err := stream.Recv()
	if err != nil {
		t.Fatal(err)
	}
	r.apply(&mobulav1.Command{Kind: &mobulav1.Command_FinishJob{FinishJob: &mobulav1.FinishJob{
		JobId: job, Status: mobulav1.JobStatus_JOB_STATUS_SUCCEEDED, Cause: &mobulav1.Cause{Kind: mobulav1.CauseKind_CAUSE_KIND_EXITED},
	}}})
	pieces, events := 0, 0
	for told := begin.GetRevision(); told == begin.GetRevision(); pieces++ {
		resp, err := stream.Recv()
		if err != nil {
			t.Fatal(err)
		}
		events += len(resp.GetEvents())
		told = resp.GetRevision()
	}
	if events != actors || pieces < 2 {
		t.Errorf("%d events in %d pieces", events, pieces)
	}
}

func TestEffectsComeAgainUntilAcknowledged(t *testing.T) {
	t.Parallel()
	r := newRig(t, shard.Config{}, 10)
	epoch := r.apply(register(1))[0].GetEpoch()
	ref := &mobulav1.NodeRef{NodeId: id16(1), Epoch: epoch}
	open := func(ctx context.Context) mobulav1.ControlPlaneService_WatchEffectsClient {
		stream, err := r.client.WatchEffects(ctx, &mobulav1.WatchEffectsRequest{Node: ref})
		if err != nil {
			t.Fatal(err)
		}
		return stream
	}
	ctx, cancel := context.WithCancel(t.Context())
	stream := open(ctx)
	r.apply(drain(1))
	first, err := stream.Recv()
	if err != nil || len(first.GetEffects()) != 1 || first.GetEffects()[0].GetDrain() == nil {
		t.Fatalf("%v, %v", first, err)
	}
	cancel()
	stream = open(t.Context())
	if again, err := stream.Recv(); err != nil || !proto.Equal(again, first) {
		t.Fatalf("after a reconnect: %v, %v", again, err)
	}
	r.apply(&mobulav1.Command{Kind: &mobulav1.Command_AckEffects{AckEffects: &mobulav1.AckEffects{Node: ref, Through: first.GetEffects()[0].GetId()}}})
	r.apply(register(1)) // A new life: the stream of the old one ends.
	_, err = stream.Recv()
	wantCode(t, err, codes.FailedPrecondition, 0)
}

func TestReadsByKeyAndByPage(t *testing.T) {
	t.Parallel()
	r := newRig(t, shard.Config{}, 10)
	r.apply(put("a", "1"), put("b", "2"))
	for _, c := range []mobulav1.Consistency{0, mobulav1.Consistency_CONSISTENCY_LINEARIZABLE, mobulav1.Consistency_CONSISTENCY_STALE} {
		got, err := r.client.GetRecords(t.Context(), &mobulav1.GetRecordsRequest{Consistency: c, Keys: []*mobulav1.RecordKey{keys("b"), keys("nope"), keys("a")}})
		if err != nil || len(got.GetRecords()) != 3 || string(got.GetRecords()[0].GetKey().GetValue()) != "2" ||
			got.GetRecords()[1].GetKind() != nil || string(got.GetRecords()[2].GetKey().GetValue()) != "1" || got.GetRevision() != 2 {
			t.Errorf("%v: %v, %v", c, got, err)
		}
	}
	page, err := r.client.ListRecords(t.Context(), &mobulav1.ListRecordsRequest{Prefix: keys(""), PageSize: 1})
	if err != nil || len(page.GetRecords()) != 1 || len(page.GetNextPageToken()) == 0 {
		t.Errorf("%v, %v", page, err)
	}
	shardInfo, err := r.client.GetShard(t.Context(), &mobulav1.GetShardRequest{WithHash: true})
	if err != nil || !shardInfo.GetLeader() || shardInfo.GetRevision() != 2 || len(shardInfo.GetHash()) != 32 ||
		shardInfo.GetRecords()[mobulav1.Table_TABLE_KEYS-1] != 2 {
		t.Errorf("%v, %v", shardInfo, err)
	}
}

func TestBadRequestsAreRefusedWithACode(t *testing.T) {
	t.Parallel()
	r := newRig(t, shard.Config{}, 10)
	applyOf := func(b *mobulav1.Batch) error {
		_, err := r.client.ApplyCommands(t.Context(), &mobulav1.ApplyCommandsRequest{Batch: b})
		return err
	}
	one := func(c *mobulav1.Command) *mobulav1.Batch {
		c.Sequence = 1
		return &mobulav1.Batch{ClientId: id16(1), Commands: []*mobulav1.Command{c}}
	}
	invalid, kind := codes.InvalidArgument, mobulav1.ErrorKind_ERROR_KIND_INVALID_ARGUMENT
	wantCode(t, applyOf(nil), invalid, kind)
	wantCode(t, applyOf(&mobulav1.Batch{ClientId: []byte("short")}), invalid, kind)
	wantCode(t, applyOf(one(&mobulav1.Command{})), invalid, kind)
	wantCode(t, applyOf(one(put("", "v"))), invalid, kind)
	wantCode(t, applyOf(one(put("k", strings.Repeat("v", state.MaxValue+1)))), invalid, kind)
	wantCode(t, applyOf(&mobulav1.Batch{ClientId: id16(1), Commands: make([]*mobulav1.Command, state.MaxBatch+1)}), invalid, kind)
	wantCode(t, applyOf(one(&mobulav1.Command{Kind: &mobulav1.Command_SetLimits{SetLimits: &mobulav1.SetLimits{Limits: state.DefaultLimits()}}})), codes.PermissionDenied, 0)
	_, err := r.client.GetRecords(t.Context(), &mobulav1.GetRecordsRequest{Keys: []*mobulav1.RecordKey{{}}})
	wantCode(t, err, invalid, kind)
	_, err = r.client.GetRecords(t.Context(), &mobulav1.GetRecordsRequest{Consistency: 9})
	wantCode(t, err, invalid, 0)
	_, err = r.client.GetRecords(t.Context(), &mobulav1.GetRecordsRequest{Keys: make([]*mobulav1.RecordKey, maxKeys+1)})
	wantCode(t, err, invalid, 0)
	_, err = r.client.ListRecords(t.Context(), &mobulav1.ListRecordsRequest{})
	wantCode(t, err, invalid, kind)
	for _, req := range []*mobulav1.WatchRecordsRequest{
		{}, {Prefix: &mobulav1.RecordKey{Table: mobulav1.Table_TABLE_LINEAGE}}, {Prefix: keys(""), AfterRevision: 1, IncludeExisting: true},
	} {
		stream, err := r.client.WatchRecords(t.Context(), req)
		if err == nil {
			_, err = stream.Recv()
		}
		wantCode(t, err, invalid, 0)
	}
	if got := r.shard.Stale().Revision(); got != 0 {
		t.Errorf("revision is %d after refusals", got)
	}
}

func TestDeadlineSaysWhetherTheWriteMayHaveHappened(t *testing.T) {
	t.Parallel()
	r := newRig(t, shard.Config{}, 10)
	ctx, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer cancel()
	_, err := r.client.ApplyCommands(ctx, &mobulav1.ApplyCommandsRequest{})
	wantCode(t, err, codes.DeadlineExceeded, 0)

	for _, c := range []struct {
		err       error
		code      codes.Code
		execution mobulav1.Execution
	}{
		{context.DeadlineExceeded, codes.DeadlineExceeded, mobulav1.Execution_EXECUTION_NOT_EXECUTED},
		{fmt.Errorf("write: %w", shard.ErrBusy), codes.ResourceExhausted, mobulav1.Execution_EXECUTION_NOT_EXECUTED},
		{shard.ErrDiskFull, codes.ResourceExhausted, mobulav1.Execution_EXECUTION_NOT_EXECUTED},
		{shard.ErrNoLeader, codes.Unavailable, mobulav1.Execution_EXECUTION_NOT_EXECUTED},
		{shard.ErrDiskStalled, codes.Unavailable, mobulav1.Execution_EXECUTION_NOT_EXECUTED},
		{shard.ErrClosed, codes.Unavailable, mobulav1.Execution_EXECUTION_NOT_EXECUTED},
		{&shard.UnknownError{}, codes.Unavailable, mobulav1.Execution_EXECUTION_MAY_HAVE_EXECUTED},
	} {
		st := status.Convert(toStatus(c.err))
		detail, ok := st.Details()[0].(*mobulav1.ErrorValue)
		if st.Code() != c.code || !ok || detail.GetExecution() != c.execution {
			t.Errorf("%v: %v, %v", c.err, st.Code(), detail)
		}
	}
}

func TestStreamsAreBounded(t *testing.T) {
	t.Parallel()
	r := newRig(t, shard.Config{}, 1)
	ctx, cancel := context.WithCancel(t.Context())
	r.watch(ctx, &mobulav1.WatchRecordsRequest{Prefix: keys("")})(0)
	second, err := r.client.WatchRecords(t.Context(), &mobulav1.WatchRecordsRequest{Prefix: keys("")})
	if err == nil {
		_, err = second.Recv()
	}
	wantCode(t, err, codes.ResourceExhausted, 0)
	cancel()
}

func TestStreamsEndWhenTheShardCloses(t *testing.T) {
	t.Parallel()
	r := newRig(t, shard.Config{}, 10)
	stream, err := r.client.WatchRecords(t.Context(), &mobulav1.WatchRecordsRequest{Prefix: keys("")})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); err != nil {
		t.Fatal(err)
	}
	if err := r.shard.Close(); err != nil {
		t.Fatal(err)
	}
	_, err = stream.Recv()
	wantCode(t, err, codes.Unavailable, mobulav1.ErrorKind_ERROR_KIND_UNAVAILABLE)
}
