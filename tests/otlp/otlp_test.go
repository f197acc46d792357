package otlp

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	collectorpb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// batch returns a request with spans of one trace: parent and name of each, whose id is its place from 1.
func batch(spans ...*tracepb.Span) *collectorpb.ExportTraceServiceRequest {
	for i, s := range spans {
		s.TraceId, s.SpanId, s.StartTimeUnixNano = []byte{1}, []byte{byte(i + 1)}, uint64(100-i)
	}
	return &collectorpb.ExportTraceServiceRequest{ResourceSpans: []*tracepb.ResourceSpans{
		{ScopeSpans: []*tracepb.ScopeSpans{{Spans: spans}}},
	}}
}

func TestSpansAreWaitedForAndLookedUp(t *testing.T) {
	t.Parallel()
	c := Start(t)
	go func() {
		// The test sees in what it waits for whether the spans came.
		_, _ = c.Export(t.Context(), batch(
			&tracepb.Span{Name: "root"},
			&tracepb.Span{Name: "late", ParentSpanId: []byte{1}},
			&tracepb.Span{Name: "early", ParentSpanId: []byte{1}},
			&tracepb.Span{Name: "lost", ParentSpanId: []byte{9}},
		))
	}()
	spans, err := c.Wait(t.Context(), func(s Spans) bool { return len(s) == 4 })
	if err != nil {
		t.Fatal(err)
	}
	if got, want := spans.Tree(), "lost\nroot\n  early\n  late\n"; got != want {
		t.Errorf("tree is\n%swant\n%s", got, want)
	}
	late, _ := spans.Named("late").First()
	if root, ok := spans.Parent(late); !ok || root.Name != "root" || len(spans.Children(root)) != 2 {
		t.Errorf("parent of late is %+v", root)
	}
}

func TestWaitThatEndsShowsWhatCame(t *testing.T) {
	t.Parallel()
	c := Start(t)
	if _, err := c.Export(t.Context(), batch(&tracepb.Span{Name: "lonely"})); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	_, err := c.Wait(ctx, func(Spans) bool { return false })
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "lonely") {
		t.Errorf("error is %v", err)
	}
}

func TestStallEndsWithResume(t *testing.T) {
	t.Parallel()
	c := Start(t)
	resume := c.Stall()
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, err := c.Export(ctx, batch(&tracepb.Span{Name: "x"})); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("stalled request says %v", err)
	}
	resume()
	resume()
	if _, err := c.Export(t.Context(), batch(&tracepb.Span{Name: "y"})); err != nil {
		t.Error(err)
	}
	if got := c.Spans().Tree(); got != "y\n" {
		t.Errorf("spans are %q, want only y", got)
	}
}

func TestGarbageOverHTTPIsRefused(t *testing.T) {
	t.Parallel()
	c := Start(t)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for path, want := range map[string]int{"/v1/traces": http.StatusBadRequest, "/": http.StatusNotFound} {
		resp, err := client.Post(c.HTTPEndpoint()+path, "application/x-protobuf", bytes.NewReader([]byte("garbage")))
		if err != nil {
			t.Fatal(err)
		}
		if err := resp.Body.Close(); err != nil {
			t.Error(err)
		}
		if resp.StatusCode != want {
			t.Errorf("%s answers %d, want %d", path, resp.StatusCode, want)
		}
	}
}
