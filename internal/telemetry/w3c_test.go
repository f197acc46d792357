package telemetry

import (
	"context"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// goodParent is a valid traceparent of a sampled span.
const goodParent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

func TestContextSurvivesTheWire(t *testing.T) {
	t.Parallel()
	ctx := Extract(t.Context(), goodParent, "vendor=1,other=2")
	traceparent, tracestate := Inject(ctx)
	if traceparent != goodParent || tracestate != "vendor=1,other=2" {
		t.Errorf("got %q %q", traceparent, tracestate)
	}
	if !trace.SpanContextFromContext(ctx).IsRemote() {
		t.Error("span is not remote")
	}
}

func TestMalformedParentIsIgnored(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{
		"", "00", goodParent[:54], goodParent + "0", goodParent + "-", goodParent + "-00",
		"ff" + goodParent[2:], strings.ToUpper(goodParent), strings.Replace(goodParent, "a", "g", 1),
		"00-00000000000000000000000000000000-b7ad6b7169203331-01",
		"00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
		goodParent[:53] + "ff", strings.ReplaceAll(goodParent, "-", "_"), strings.Repeat("a", 1<<20),
	} {
		ctx := t.Context()
		if got := Extract(ctx, bad, "vendor=1"); got != ctx {
			t.Errorf("%.80q was taken", bad)
		}
	}
	if _, ok := parse("01" + goodParent[2:] + "-what-comes-later"); !ok {
		t.Error("a later version was refused")
	}
}

func TestMalformedStateIsLeftOut(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"=", "a=1,a=2", "A=1", "a=" + strings.Repeat("x", tracestateMax)} {
		traceparent, tracestate := Inject(Extract(t.Context(), goodParent, bad))
		if traceparent != goodParent || tracestate != "" {
			t.Errorf("%.80q gave %q %q", bad, traceparent, tracestate)
		}
	}
}

// FuzzTraceparent compares with OpenTelemetry's own propagator.
func FuzzTraceparent(f *testing.F) {
	f.Add(goodParent, "vendor=1")
	f.Add("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-03", "")
	f.Add("cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-ff-more", "a=1,b=2")
	f.Add(goodParent+"-", "a=1,a=2")
	f.Add("00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "=")
	f.Add("", "")
	f.Fuzz(func(t *testing.T, traceparent, tracestate string) {
		// The propagator takes a version 00 with a dash at its end, which the standard does not allow.
		if strings.HasPrefix(traceparent, "00-") && len(traceparent) == traceparentSize+1 {
			return
		}
		if len(tracestate) > tracestateMax {
			tracestate = ""
		}
		carrier := propagation.MapCarrier{"traceparent": traceparent, "tracestate": tracestate}
		want := trace.SpanContextFromContext(propagation.TraceContext{}.Extract(context.Background(), carrier))
		got := trace.SpanContextFromContext(Extract(context.Background(), traceparent, tracestate))
		if !got.Equal(want) {
			t.Fatalf("%q %q gives %+v, want %+v", traceparent, tracestate, got, want)
		}
		if !got.IsValid() {
			return
		}
		out := propagation.MapCarrier{}
		propagation.TraceContext{}.Inject(trace.ContextWithSpanContext(context.Background(), want), out)
		if p, s := Inject(trace.ContextWithSpanContext(context.Background(), got)); p != out["traceparent"] || s != out["tracestate"] {
			t.Fatalf("%q %q goes on as %q %q, want %v", traceparent, tracestate, p, s, out)
		}
	})
}
