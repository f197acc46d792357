package telemetry

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	"pgregory.net/rapid"

	"github.com/mobula-dev/mobula/internal/id"
)

func TestNilTracerIsOff(t *testing.T) {
	t.Parallel()
	for name, tracer := range map[string]*Tracer{"nil": nil, "zero": {}} {
		ctx, span := tracer.Start(t.Context(), Run, Attributes{})
		span.End(errors.New("x"))
		if ctx != t.Context() || tracer.Enabled() || tracer.Stats() != (Stats{}) {
			t.Errorf("%s tracer is not off", name)
		}
		if err := errors.Join(tracer.Flush(ctx), tracer.Close(ctx), tracer.Close(ctx)); err != nil {
			t.Errorf("%s tracer: %v", name, err)
		}
		if p, s := tracer.Emit(&Span{Traceparent: goodParent, Tracestate: "a=1"}); p != goodParent || s != "a=1" {
			t.Errorf("%s tracer passes on %q %q", name, p, s)
		}
	}
}

// TestEmitMakesTheSpanThatTheSDKWouldMake compares the fast way of Emit with the SDK's, which it stands in for.
func TestEmitMakesTheSpanThatTheSDKWouldMake(t *testing.T) {
	t.Parallel()
	s := settings{parentBased: true, queueMax: 16, batchMax: 16, delay: time.Hour, exportTimeout: time.Minute}
	e := &exporter{keep: true}
	tracer := open(t.Context(), Config{NodeID: id.Node{1}}, s, e)
	defer func() {
		if err := tracer.Close(context.Background()); err != nil {
			t.Error(err)
		}
	}()
	rapid.Check(t, func(t *rapid.T) {
		span := drawSpan(t)
		fast, fastState := tracer.emit(&span)
		parent, _ := parse(span.Traceparent)
		slow, slowState := tracer.emitSDK(trace.ContextWithRemoteSpanContext(context.Background(), withState(parent, span.Tracestate)), &span)
		if err := tracer.Flush(context.Background()); err != nil {
			t.Fatal(err)
		}
		stubs := tracetest.SpanStubsFromReadOnlySpans(e.take())
		if len(stubs) != 2 || format(stubs[0].SpanContext) != fast || format(stubs[1].SpanContext) != slow || fastState != slowState {
			t.Fatalf("Emit returned %q %q and %q %q, and made %+v", fast, fastState, slow, slowState, stubs)
		}
		stubs[0].SpanContext = stubs[0].SpanContext.WithSpanID(stubs[1].SpanContext.SpanID())
		if diff := cmp.Diff(plain(stubs[1]), plain(stubs[0])); diff != "" {
			t.Fatalf("the spans differ (-SDK +Emit):\n%s", diff)
		}
	})
}

// drawSpan returns a span whose parent is sampled.
func drawSpan(t *rapid.T) Span {
	text := rapid.StringN(0, 2*textMax, -1)
	moment := rapid.Int64Range(0, 1<<62)
	s := Span{
		Op:          rapid.SampledFrom([]Op{Submit, Queue, Fetch, Run}).Draw(t, "op"),
		Traceparent: goodParent,
		Tracestate:  rapid.SampledFrom([]string{"", "a=1,b=2", "="}).Draw(t, "tracestate"),
		Start:       moment.Draw(t, "start"),
		End:         moment.Draw(t, "end"),
		ArgsReady:   moment.Draw(t, "argsReady"),
		Attributes: Attributes{
			Function:    text.Draw(t, "function"),
			Task:        id.Task(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "task")),
			Attempt:     rapid.Uint32().Draw(t, "attempt"),
			Name:        text.Draw(t, "name"),
			CallSite:    text.Draw(t, "callSite"),
			Queued:      time.Duration(moment.Draw(t, "queued")),
			Bytes:       rapid.Uint64().Draw(t, "bytes"),
			Incarnation: rapid.Uint32().Draw(t, "incarnation"),
			Link:        rapid.SampledFrom([]string{"", goodParent, "forged"}).Draw(t, "link"),
		},
	}
	if rapid.Bool().Draw(t, "failed") {
		s.Err = errors.New(text.Draw(t, "error"))
	}
	return s
}

// plain returns all of a span as text, for a comparison.
func plain(s tracetest.SpanStub) []string {
	return []string{
		s.Name, s.SpanKind.String(), fmt.Sprint(s.SpanContext), fmt.Sprint(s.Parent), s.StartTime.String(), s.EndTime.String(),
		fmt.Sprint(s.Attributes), fmt.Sprint(s.Events), fmt.Sprint(s.Links), fmt.Sprint(s.Status), s.Resource.String(),
		fmt.Sprint(s.InstrumentationScope), fmt.Sprint(s.DroppedAttributes, s.DroppedEvents, s.DroppedLinks, s.ChildSpanCount),
	}
}

// call is what every hop of a task fills in.
var call = Attributes{Function: "example.com/x/linalg.Multiply", Task: id.Task{1}, Job: id.Job{2}, Attempt: 1, CallSite: "main.go:7"}

// off runs all that a task runs of this package when tracing is off.
func off(ctx context.Context, tracer *Tracer) {
	submitCtx, submit := tracer.Start(ctx, Submit, call)
	traceparent, tracestate := Inject(submitCtx)
	submit.End(nil)
	traceparent, tracestate = tracer.Emit(&Span{Attributes: call, Op: Queue, Traceparent: traceparent, Tracestate: tracestate, Start: 1, End: 2})
	_, run := tracer.Start(Extract(ctx, traceparent, tracestate), Run, call)
	run.End(nil)
}

//nolint:paralleltest // what other tests allocate meanwhile would count
func TestTracingThatIsOffAllocatesNothing(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for name, tracer := range map[string]*Tracer{"nil": nil, "zero": {}} {
		if n := testing.AllocsPerRun(100, func() { off(ctx, tracer) }); n != 0 {
			t.Errorf("%s tracer allocates %v times a task", name, n)
		}
	}
}

func BenchmarkOff(b *testing.B) {
	tracer := &Tracer{}
	b.Run("Enabled", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if tracer.Enabled() {
				b.Fatal("on")
			}
		}
	})
	b.Run("Inject", func(b *testing.B) {
		ctx := b.Context()
		b.ReportAllocs()
		for b.Loop() {
			Inject(ctx)
		}
	})
	b.Run("Task", func(b *testing.B) {
		ctx := b.Context()
		b.ReportAllocs()
		for b.Loop() {
			off(ctx, tracer)
		}
	})
}

func BenchmarkOn(b *testing.B) {
	s := settings{parentBased: true, queueMax: 2048, batchMax: 512, delay: time.Second, exportTimeout: time.Second}
	tracer := open(b.Context(), Config{NodeID: id.Node{1}}, s, &exporter{})
	defer func() {
		if err := tracer.Close(context.Background()); err != nil {
			b.Error(err)
		}
	}()
	for name, parent := range map[string]string{"Emit": goodParent, "EmitNotSampled": goodParent[:53] + "00"} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				tracer.Emit(&Span{Attributes: call, Op: Queue, Traceparent: parent, Start: 1, ArgsReady: 2, End: 3})
			}
		})
	}
	b.Run("Start", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, span := tracer.Start(b.Context(), Submit, call)
			span.End(nil)
		}
	})
}
