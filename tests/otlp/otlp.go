// Package otlp is an OpenTelemetry collector inside a test's process: it takes spans over OTLP on loopback, by gRPC and by HTTP, and
// lets the test wait for them and look them up.
//
//	collector := otlp.Start(t)
//	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.Endpoint())
//	…
//	spans, err := collector.Wait(ctx, func(s otlp.Spans) bool { return len(s.Named("run linalg.Multiply")) == 2 })
package otlp

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	collectorpb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"
)

// requestMax is the longest request in bytes that the collector reads.
const requestMax = 64 << 20

// Collector takes spans. Its methods may be called from any goroutine.
type Collector struct {
	collectorpb.UnimplementedTraceServiceServer
	grpcAddress, httpAddress string

	mu sync.Mutex
	// The rest is guarded by mu.
	spans   Spans
	headers metadata.MD
	// changed is closed, and replaced, when spans came.
	changed chan struct{}
	// reply is what requests answer; nil is success.
	reply func(context.Context) error
}

// Start starts a collector, which ends with the test.
func Start(tb testing.TB) *Collector {
	tb.Helper()
	c := &Collector{changed: make(chan struct{})}
	grpcListener, httpListener := listen(tb), listen(tb)
	c.grpcAddress, c.httpAddress = grpcListener.Addr().String(), httpListener.Addr().String()

	rpc := grpc.NewServer(grpc.MaxRecvMsgSize(requestMax))
	collectorpb.RegisterTraceServiceServer(rpc, c)
	web := &http.Server{Handler: c, ReadHeaderTimeout: 10 * time.Second}
	var serving sync.WaitGroup
	serving.Go(func() {
		// A test that ends at once stops the server before it serves.
		if err := rpc.Serve(grpcListener); err != nil && !errors.Is(err, grpc.ErrServerStopped) {
			tb.Errorf("serve OTLP over gRPC: %v", err)
		}
	})
	serving.Go(func() {
		if err := web.Serve(httpListener); !errors.Is(err, http.ErrServerClosed) {
			tb.Errorf("serve OTLP over HTTP: %v", err)
		}
	})
	tb.Cleanup(func() {
		rpc.Stop()
		if err := web.Close(); err != nil {
			tb.Errorf("close OTLP over HTTP: %v", err)
		}
		serving.Wait()
	})
	return c
}

// listen listens on a free port of loopback.
func listen(tb testing.TB) net.Listener {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatalf("listen for OTLP: %v", err)
	}
	return l
}

// Endpoint returns the collector's URL for OTLP over gRPC, as OTEL_EXPORTER_OTLP_ENDPOINT wants it.
func (c *Collector) Endpoint() string { return "http://" + c.grpcAddress }

// HTTPEndpoint returns the collector's URL for OTLP over HTTP; set OTEL_EXPORTER_OTLP_PROTOCOL to "http/protobuf" with it.
func (c *Collector) HTTPEndpoint() string { return "http://" + c.httpAddress }

// Spans returns what came so far.
func (c *Collector) Spans() Spans {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.spans)
}

// Header returns the values of a header of the last request, by its name in lower case.
func (c *Collector) Header(name string) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.headers.Get(name)
}

// Wait waits until the spans that came so far are enough, and returns them. When ctx ends first, the error shows what came.
func (c *Collector) Wait(ctx context.Context, enough func(Spans) bool) (Spans, error) {
	for {
		c.mu.Lock()
		spans, changed := slices.Clone(c.spans), c.changed
		c.mu.Unlock()
		if enough(spans) {
			return spans, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return spans, fmt.Errorf("wait for spans: %w; %d came:\n%s", ctx.Err(), len(spans), spans.Tree())
		}
	}
}

// Stall makes every request hang until resume is called or the client gives up; no span is taken meanwhile.
func (c *Collector) Stall() (resume func()) {
	gate := make(chan struct{})
	c.answer(func(ctx context.Context) error {
		select {
		case <-gate:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	return sync.OnceFunc(func() {
		c.answer(nil)
		close(gate)
	})
}

// Refuse makes every request fail with err, over gRPC with its status code; nil takes spans again.
func (c *Collector) Refuse(err error) {
	if err == nil {
		c.answer(nil)
		return
	}
	c.answer(func(context.Context) error { return err })
}

// answer sets what requests answer.
func (c *Collector) answer(reply func(context.Context) error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reply = reply
}

// Export takes one batch over gRPC; the exporter calls it.
func (c *Collector) Export(ctx context.Context, req *collectorpb.ExportTraceServiceRequest) (*collectorpb.ExportTraceServiceResponse, error) {
	headers, _ := metadata.FromIncomingContext(ctx)
	if err := c.take(ctx, headers, req); err != nil {
		return nil, err
	}
	return &collectorpb.ExportTraceServiceResponse{}, nil
}

// ServeHTTP takes one batch over HTTP; the exporter calls it.
func (c *Collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost || r.URL.Path != "/v1/traces" || r.Header.Get("Content-Type") != "application/x-protobuf" {
		http.Error(w, "want POST /v1/traces with application/x-protobuf", http.StatusNotFound)
		return
	}
	req, err := readRequest(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	headers := metadata.MD{}
	for name, values := range r.Header {
		headers.Append(strings.ToLower(name), values...)
	}
	if err := c.take(r.Context(), headers, req); err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
	}
}

// readRequest reads a batch, compressed or not.
func readRequest(r *http.Request) (*collectorpb.ExportTraceServiceRequest, error) {
	body := io.Reader(r.Body)
	if r.Header.Get("Content-Encoding") == "gzip" {
		z, err := gzip.NewReader(body)
		if err != nil {
			return nil, fmt.Errorf("read gzip: %w", err)
		}
		body = z
	}
	b, err := io.ReadAll(io.LimitReader(body, requestMax))
	if err != nil {
		return nil, fmt.Errorf("read request: %w", err)
	}
	var req collectorpb.ExportTraceServiceRequest
	if err := proto.Unmarshal(b, &req); err != nil {
		return nil, fmt.Errorf("decode request: %w", err)
	}
	return &req, nil
}

// take answers one batch as the test wants it, and keeps its spans if that is success.
func (c *Collector) take(ctx context.Context, headers metadata.MD, req *collectorpb.ExportTraceServiceRequest) error {
	c.mu.Lock()
	reply := c.reply
	c.headers = headers
	c.mu.Unlock()
	if reply != nil {
		if err := reply(ctx); err != nil {
			return err
		}
	}
	spans := decode(req)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.spans = append(c.spans, spans...)
	close(c.changed)
	c.changed = make(chan struct{})
	return nil
}
