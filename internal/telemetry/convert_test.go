package telemetry

import (
	"context"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/sdk/instrumentation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	collectorpb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"pgregory.net/rapid"
)

// capture is a client of OpenTelemetry's exporter that keeps what it is to send.
type capture struct{ sent []*tracepb.ResourceSpans }

func (c *capture) Start(context.Context) error { return nil }
func (c *capture) Stop(context.Context) error  { return nil }
func (c *capture) UploadTraces(_ context.Context, spans []*tracepb.ResourceSpans) error {
	c.sent = spans
	return nil
}

// sdkEncode is the oracle: what OpenTelemetry's own exporter sends.
func sdkEncode(tb testing.TB, spans []sdktrace.ReadOnlySpan) *tracepb.TracesData {
	tb.Helper()
	c := &capture{}
	if err := otlptrace.NewUnstarted(c).ExportSpans(context.Background(), spans); err != nil {
		tb.Fatal(err)
	}
	return &tracepb.TracesData{ResourceSpans: c.sent}
}

// difference returns how two batches differ, but for the order of their resources, which is random in OpenTelemetry's; empty if they do not.
func difference(want, got *tracepb.TracesData) string {
	for _, batch := range []*tracepb.TracesData{want, got} {
		slices.SortFunc(batch.ResourceSpans, func(a, b *tracepb.ResourceSpans) int { return strings.Compare(wire(a), wire(b)) })
	}
	if wire(want) == wire(got) {
		return ""
	}
	return cmp.Diff(want, got, protocmp.Transform())
}

// wire returns a message's wire form, always the same for the same message.
func wire(m proto.Message) string {
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

func TestSpansAreEncodedAsTheSDKEncodesThem(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		spans := tracetest.SpanStubs(rapid.SliceOfN(rapid.Custom(drawStub), 0, 4).Draw(rt, "spans")).Snapshots()
		if diff := difference(sdkEncode(t, spans), encode(spans)); diff != "" {
			rt.Fatalf("the batches differ (-SDK +ours):\n%s", diff)
		}
	})
}

func TestBatchIsTheServicesRequestOnTheWire(t *testing.T) {
	t.Parallel()
	batch := encode([]sdktrace.ReadOnlySpan{sampled()})
	var request collectorpb.ExportTraceServiceRequest
	if err := proto.Unmarshal([]byte(wire(batch)), &request); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(batch.GetResourceSpans(), request.GetResourceSpans(), protocmp.Transform()); diff != "" {
		t.Errorf("the request has other spans:\n%s", diff)
	}
	if got, want := wire(batch), wire(&request); got != want {
		t.Errorf("batch is %q, the request %q", got, want)
	}
}

// drawStub returns a span of few resources and scopes, so that spans share them.
func drawStub(t *rapid.T) tracetest.SpanStub {
	moment := rapid.Custom(func(t *rapid.T) time.Time { return time.Unix(0, rapid.Int64().Draw(t, "nanos")) })
	status := sdktrace.Status{
		Code:        rapid.SampledFrom([]codes.Code{codes.Unset, codes.Ok, codes.Error, 99}).Draw(t, "code"),
		Description: rapid.StringN(0, 4, -1).Draw(t, "description"),
	}
	return tracetest.SpanStub{
		Name:              rapid.StringN(0, 4, -1).Draw(t, "name"),
		SpanContext:       drawContext(t),
		Parent:            drawContext(t),
		SpanKind:          trace.SpanKind(rapid.IntRange(0, 6).Draw(t, "kind")),
		StartTime:         moment.Draw(t, "start"),
		EndTime:           moment.Draw(t, "end"),
		Attributes:        drawAttributes(t),
		Status:            status,
		DroppedAttributes: rapid.SampledFrom([]int{-1, 0, 7, math.MaxInt}).Draw(t, "dropped"),
		DroppedEvents:     rapid.IntRange(0, 9).Draw(t, "droppedEvents"),
		DroppedLinks:      rapid.IntRange(0, 9).Draw(t, "droppedLinks"),
		Resource: rapid.SampledFrom([]*resource.Resource{
			nil, resource.Empty(), resource.NewSchemaless(attribute.Int("pid", 1)), resource.NewWithAttributes("schema", attribute.Int("pid", 2)),
		}).Draw(t, "resource"),
		InstrumentationScope: rapid.SampledFrom([]instrumentation.Scope{
			{}, {Name: scope}, {Name: "x", Version: "v1", SchemaURL: "schema", Attributes: attribute.NewSet(attribute.Bool("b", true))},
		}).Draw(t, "scope"),
		Events: rapid.SliceOfN(rapid.Custom(func(t *rapid.T) sdktrace.Event {
			return sdktrace.Event{
				Name: rapid.StringN(0, 4, -1).Draw(t, "event"), Time: moment.Draw(t, "time"),
				Attributes: drawAttributes(t), DroppedAttributeCount: rapid.IntRange(0, 9).Draw(t, "dropped"),
			}
		}), 0, 2).Draw(t, "events"),
		Links: rapid.SliceOfN(rapid.Custom(func(t *rapid.T) sdktrace.Link {
			return sdktrace.Link{
				SpanContext: drawContext(t), Attributes: drawAttributes(t), DroppedAttributeCount: rapid.IntRange(0, 9).Draw(t, "dropped"),
			}
		}), 0, 2).Draw(t, "links"),
	}
}

// drawContext returns the identity of a span, at times an invalid one.
func drawContext(t *rapid.T) trace.SpanContext {
	config := trace.SpanContextConfig{
		TraceID:    trace.TraceID(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "trace")),
		SpanID:     trace.SpanID{7: rapid.Byte().Draw(t, "span")},
		TraceFlags: trace.TraceFlags(rapid.Byte().Draw(t, "flags")),
		Remote:     rapid.Bool().Draw(t, "remote"),
	}
	return withState(trace.NewSpanContext(config), rapid.SampledFrom([]string{"", "a=1,b=2"}).Draw(t, "tracestate"))
}

// drawAttributes returns attributes of every type.
func drawAttributes(t *rapid.T) []attribute.KeyValue {
	text, number := rapid.StringN(0, 4, -1), rapid.Float64()
	value := rapid.OneOf(
		rapid.Just(attribute.Value{}),
		rapid.Map(rapid.Bool(), attribute.BoolValue),
		rapid.Map(rapid.Int64(), attribute.Int64Value),
		rapid.Map(number, attribute.Float64Value),
		rapid.Map(text, attribute.StringValue),
		rapid.Map(rapid.SliceOfN(rapid.Byte(), 0, 3), attribute.ByteSliceValue),
		rapid.Map(rapid.SliceOfN(rapid.Bool(), 0, 3), attribute.BoolSliceValue),
		rapid.Map(rapid.SliceOfN(rapid.Int64(), 0, 3), attribute.Int64SliceValue),
		rapid.Map(rapid.SliceOfN(number, 0, 3), attribute.Float64SliceValue),
		rapid.Map(rapid.SliceOfN(text, 0, 3), attribute.StringSliceValue),
		rapid.Map(text, func(s string) attribute.Value {
			return attribute.SliceValue(attribute.StringValue(s), attribute.MapValue(attribute.String(s, s), attribute.Int("n", 1)))
		}),
	)
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) attribute.KeyValue {
		return attribute.KeyValue{Key: attribute.Key(text.Draw(t, "key")), Value: value.Draw(t, "value")}
	}), 0, 3).Draw(t, "attributes")
}
