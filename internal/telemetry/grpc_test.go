package telemetry

import (
	"context"
	"errors"
	"net"
	"path/filepath"
	"sync"
	"testing"
	"time"

	collectorpb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
)

func TestPassingFailuresOverGRPCAreThoseOfTheSpecification(t *testing.T) {
	t.Parallel()
	pause := &errdetails.RetryInfo{RetryDelay: &durationpb.Duration{Seconds: 2, Nanos: 5}}
	other := &errdetails.ErrorInfo{Reason: "x"}
	tests := map[string]struct {
		code    codes.Code
		details []protoadapt.MessageV1
		retry   bool
		after   time.Duration
	}{
		"unavailable":                 {code: codes.Unavailable, retry: true},
		"unavailable with a pause":    {codes.Unavailable, []protoadapt.MessageV1{protoadapt.MessageV1Of(other), protoadapt.MessageV1Of(pause)}, true, 2*time.Second + 5},
		"deadline":                    {code: codes.DeadlineExceeded, retry: true},
		"cancelled":                   {code: codes.Canceled, retry: true},
		"aborted":                     {code: codes.Aborted, retry: true},
		"out of range":                {code: codes.OutOfRange, retry: true},
		"data loss":                   {code: codes.DataLoss, retry: true},
		"exhausted":                   {code: codes.ResourceExhausted},
		"exhausted, other detail":     {code: codes.ResourceExhausted, details: []protoadapt.MessageV1{protoadapt.MessageV1Of(other)}},
		"exhausted with a pause":      {codes.ResourceExhausted, []protoadapt.MessageV1{protoadapt.MessageV1Of(pause)}, true, 2*time.Second + 5},
		"exhausted with an empty one": {codes.ResourceExhausted, []protoadapt.MessageV1{protoadapt.MessageV1Of(&errdetails.RetryInfo{})}, true, 0},
		"denied with a pause":         {code: codes.PermissionDenied, details: []protoadapt.MessageV1{protoadapt.MessageV1Of(pause)}},
		"invalid":                     {code: codes.InvalidArgument},
		"unimplemented":               {code: codes.Unimplemented},
	}
	for name, test := range tests {
		s, err := status.New(test.code, "no").WithDetails(test.details...)
		if err != nil {
			t.Fatal(err)
		}
		failure := grpcFailure(s.Err())
		retry, ok := errors.AsType[*retryError](failure)
		if ok != test.retry || ok && retry.after != test.after || status.Code(failure) != test.code {
			t.Errorf("%s: %#v, want retry=%v after %v", name, failure, test.retry, test.after)
		}
	}
}

// service is a collector that answers as the test says, to one call at a time.
type service struct {
	collectorpb.UnimplementedTraceServiceServer
	response *collectorpb.ExportTraceServiceResponse

	mu sync.Mutex
	// The rest is guarded by mu.
	spans       int
	compression string
}

// compressions is a stats.Handler that tells a collector how calls are compressed.
type compressions struct{ *service }

func (c compressions) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context   { return ctx }
func (c compressions) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }
func (c compressions) HandleConn(context.Context, stats.ConnStats)                       {}
func (c compressions) HandleRPC(_ context.Context, s stats.RPCStats) {
	if header, ok := s.(*stats.InHeader); ok {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.compression = header.Compression
	}
}

func (s *service) Export(_ context.Context, r *collectorpb.ExportTraceServiceRequest) (*collectorpb.ExportTraceServiceResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, resource := range r.GetResourceSpans() {
		for _, scope := range resource.GetScopeSpans() {
			s.spans += len(scope.GetSpans())
		}
	}
	return s.response, nil
}

// serve serves a collector, which ends with the test, and returns its address.
func serve(t *testing.T, s *service, network, address string, options ...grpc.ServerOption) string {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer(append(options, grpc.StatsHandler(compressions{s}))...)
	collectorpb.RegisterTraceServiceServer(server, s)
	var serving sync.WaitGroup
	serving.Go(func() {
		if err := server.Serve(l); err != nil && !errors.Is(err, grpc.ErrServerStopped) {
			t.Errorf("serve: %v", err)
		}
	})
	t.Cleanup(func() {
		server.Stop()
		serving.Wait()
	})
	return l.Addr().String()
}

func TestPartialSuccessOverGRPCIsCounted(t *testing.T) {
	clearEnv(t)
	s := &service{response: &collectorpb.ExportTraceServiceResponse{
		PartialSuccess: &collectorpb.ExportTracePartialSuccess{RejectedSpans: 1, ErrorMessage: "one is bad"},
	}}
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://"+serve(t, s, "tcp", "127.0.0.1:0"))
	t.Setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")
	tracer := mustOpen(t, Config{})
	for range 3 {
		tracer.Emit(&Span{Op: Queue, Attributes: Attributes{CallSite: "x"}, Start: 1, End: 2})
	}
	if err := tracer.Flush(waitContext(t)); !errors.Is(err, errExport) {
		t.Errorf("Flush says %v, want errExport", err)
	}
	if got := tracer.Stats(); got != (Stats{Exported: 2, Failed: 1}) {
		t.Errorf("stats are %+v, want 2 exported and 1 failed", got)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.spans != 3 || s.compression != "gzip" {
		t.Errorf("collector got %d spans compressed as %q, want 3 as gzip", s.spans, s.compression)
	}
}

func TestExportsOverGRPCWithBothSidesCertificates(t *testing.T) {
	clearEnv(t)
	id := newIdentity(t)
	s := &service{}
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", serve(t, s, "tcp", "127.0.0.1:0", grpc.Creds(credentials.NewTLS(id.server()))))
	id.setEnv(t)
	exportOne(t)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.spans != 1 {
		t.Errorf("collector got %d spans, want 1", s.spans)
	}
}

func TestExportsOverUnixSocket(t *testing.T) {
	clearEnv(t)
	s := &service{}
	socket := filepath.Join(t.TempDir(), "s")
	serve(t, s, "unix", socket)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "unix://"+socket)
	exportOne(t)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.spans != 1 {
		t.Errorf("collector got %d spans, want 1", s.spans)
	}
}

// exportOne exports one span as the environment says.
func exportOne(t *testing.T) {
	t.Helper()
	tracer := mustOpen(t, Config{})
	tracer.Emit(&Span{Op: Queue, Start: 1, End: 2})
	if err := tracer.Flush(waitContext(t)); err != nil {
		t.Fatal(err)
	}
}

// FuzzReply checks the reading of a response against protobuf's, which wants UTF-8 besides.
func FuzzReply(f *testing.F) {
	for _, p := range []*collectorpb.ExportTracePartialSuccess{nil, {}, {RejectedSpans: -1}, {RejectedSpans: 3, ErrorMessage: "why"}} {
		f.Add([]byte(wire(&collectorpb.ExportTraceServiceResponse{PartialSuccess: p})))
	}
	f.Add([]byte("\x0a\x02\x08\x01\x0a\x03\x12\x01x\x10\x05\x08\x01\x0a"))
	f.Add([]byte("\x0b\x08\x01\x0c\x0a\x04\x0a\x00\x10\x01\x0d1234"))
	f.Fuzz(func(t *testing.T, message []byte) {
		got, err := readReply(message)
		var want collectorpb.ExportTraceServiceResponse
		if wantErr := proto.Unmarshal(message, &want); wantErr != nil {
			if err != nil && got != (reply{}) {
				t.Errorf("error %v and %+v", err, got)
			}
			return
		}
		p := want.GetPartialSuccess()
		if err != nil || got.rejected != p.GetRejectedSpans() || got.message != p.GetErrorMessage() {
			t.Errorf("read %+v, %v, want %v", got, err, p)
		}
	})
}

// FuzzRetryDelay checks the reading of RetryInfo against protobuf's.
func FuzzRetryDelay(f *testing.F) {
	for _, d := range []*durationpb.Duration{nil, {}, {Seconds: 3, Nanos: 1}, {Seconds: 1 << 62}, {Seconds: -1}} {
		f.Add([]byte(wire(&errdetails.RetryInfo{RetryDelay: d})))
	}
	f.Add([]byte("\x0a"))
	f.Fuzz(func(t *testing.T, message []byte) {
		s := status.New(codes.Unavailable, "no").Proto()
		s.Details = append(s.Details, &anypb.Any{TypeUrl: "type.googleapis.com/google.rpc.RetryInfo", Value: message})
		got, ok := retryDelay(status.FromProto(s))
		var want errdetails.RetryInfo
		if err := proto.Unmarshal(message, &want); err == nil && (!ok || got != want.GetRetryDelay().AsDuration()) {
			t.Errorf("read %v, %v, want %v", got, ok, &want)
		}
	})
}
