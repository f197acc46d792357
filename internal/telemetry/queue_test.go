package telemetry

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	"pgregory.net/rapid"
)

// exporter is an exporter that a test controls.
type exporter struct {
	// export is called for each batch; nil takes all.
	export func(ctx context.Context, n int) error
	// keep makes it keep the spans for take.
	keep bool

	mu     sync.Mutex
	sizes  []int                   // guarded by mu
	spans  []sdktrace.ReadOnlySpan // guarded by mu
	closed int                     // guarded by mu
}

func (e *exporter) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	e.mu.Lock()
	e.sizes = append(e.sizes, len(spans))
	if e.keep {
		e.spans = append(e.spans, spans...)
	}
	e.mu.Unlock()
	if e.export == nil {
		return nil
	}
	return e.export(ctx, len(spans))
}

func (e *exporter) Shutdown(context.Context) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.closed++
	return nil
}

// batches returns the sizes of the batches so far.
func (e *exporter) batches() []int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]int(nil), e.sizes...)
}

// take returns the spans since the last call.
func (e *exporter) take() []sdktrace.ReadOnlySpan {
	e.mu.Lock()
	defer e.mu.Unlock()
	spans := e.spans
	e.spans = nil
	return spans
}

// sampled returns a span that is to be exported.
func sampled() sdktrace.ReadOnlySpan {
	return tracetest.SpanStub{SpanContext: trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: trace.TraceID{1}, SpanID: trace.SpanID{1}, TraceFlags: trace.FlagsSampled,
	})}.Snapshot()
}

func TestSpansWaitForTheirBatchOrTheDelay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := &exporter{}
		q := newQueue(e, settings{queueMax: 10, batchMax: 3, delay: time.Second, exportTimeout: time.Minute})
		q.OnEnd(sampled())
		time.Sleep(time.Second - time.Nanosecond)
		synctest.Wait()
		if got := e.batches(); len(got) != 0 {
			t.Fatalf("batches %v were exported before the delay", got)
		}
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		for range 4 {
			q.OnEnd(sampled())
		}
		q.OnEnd(tracetest.SpanStub{}.Snapshot()) // not sampled
		synctest.Wait()
		if got := e.batches(); len(got) != 2 || got[0] != 1 || got[1] != 3 {
			t.Errorf("batches are %v, want 1 after the delay and 3 when full", got)
		}
		if err := q.Shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := q.stats(); got != (Stats{Exported: 5}) || e.closed != 1 {
			t.Errorf("stats are %+v and the exporter was closed %d times", got, e.closed)
		}
	})
}

func TestHangingExportEndsAtItsTimeLimitAndShutdownAtItsDeadline(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hang := func(ctx context.Context, _ int) error {
			<-ctx.Done()
			return ctx.Err()
		}
		e := &exporter{export: hang}
		q := newQueue(e, settings{queueMax: 4, batchMax: 2, delay: time.Second, exportTimeout: 10 * time.Second})
		begin := time.Now()
		for range 20 {
			q.OnEnd(sampled())
		}
		if waited := time.Since(begin); waited != 0 {
			t.Errorf("producers waited %v", waited)
		}
		synctest.Wait()
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if got := q.stats().Failed; got != 2 {
			t.Errorf("%d spans failed at the time limit of one export, want 2", got)
		}
		for range 20 {
			q.OnEnd(sampled())
		}
		begin = time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		if err := q.Shutdown(ctx); !errors.Is(err, errExport) {
			t.Errorf("Shutdown says %v, want errExport", err)
		}
		if took := time.Since(begin); took != 3*time.Second {
			t.Errorf("Shutdown took %v, want the deadline's 3s", took)
		}
		if s := q.stats(); s.Failed+s.Dropped != 40 {
			t.Errorf("stats are %+v, want 40 spans lost", s)
		}
	})
}

func TestFlushGivesUpWithItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		e := &exporter{export: func(context.Context, int) error { <-release; return nil }}
		q := newQueue(e, settings{queueMax: 4, batchMax: 1, delay: time.Second, exportTimeout: time.Minute})
		q.OnEnd(sampled())
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := q.ForceFlush(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("ForceFlush says %v, want the deadline", err)
		}
		close(release)
		if err := q.Shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := q.ForceFlush(t.Context()); err != nil {
			t.Errorf("ForceFlush after Shutdown says %v", err)
		}
	})
}

// TestEverySpanIsCountedOnce checks the counts against what the exporter saw, whatever the sizes and whichever exports fail.
func TestEverySpanIsCountedOnce(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		failures := rapid.SliceOfN(rapid.Bool(), 1, 8).Draw(t, "failures")
		var calls int
		var taken, refused uint64
		e := &exporter{export: func(_ context.Context, n int) error {
			calls++
			if failures[calls%len(failures)] {
				refused += uint64(n)
				return errors.New("refused")
			}
			taken += uint64(n)
			return nil
		}}
		s := settings{delay: time.Millisecond, exportTimeout: time.Second}
		s.queueMax = rapid.IntRange(1, 20).Draw(t, "queueMax")
		s.batchMax = rapid.IntRange(1, s.queueMax).Draw(t, "batchMax")
		q := newQueue(e, s)
		var spans uint64
		for _, n := range rapid.SliceOfN(rapid.IntRange(0, 30), 0, 5).Draw(t, "bursts") {
			for range n {
				q.OnEnd(sampled())
				spans++
			}
			if rapid.Bool().Draw(t, "flush") {
				_ = q.ForceFlush(context.Background()) // may report the failures that the exporter was told to make
			}
		}
		_ = q.Shutdown(context.Background()) // likewise
		for _, n := range e.batches() {
			if n > s.batchMax {
				t.Fatalf("a batch has %d spans, want at most %d", n, s.batchMax)
			}
		}
		if got := q.stats(); got.Exported != taken || got.Failed != refused || got.Exported+got.Failed+got.Dropped != spans {
			t.Fatalf("stats are %+v; the exporter took %d and refused %d of %d spans", got, taken, refused, spans)
		}
	})
}
