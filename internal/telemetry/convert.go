package telemetry

import (
	"math"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/instrumentation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	resourcepb "go.opentelemetry.io/proto/otlp/resource/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
)

// encode returns OTLP's form of the spans, by resource and scope in the order in which these come.
func encode(spans []sdktrace.ReadOnlySpan) *tracepb.TracesData {
	type origin struct {
		resource attribute.Distinct
		scope    instrumentation.Scope
	}
	batch := &tracepb.TracesData{}
	resources := map[attribute.Distinct]*tracepb.ResourceSpans{}
	scopes := map[origin]*tracepb.ScopeSpans{}
	for _, span := range spans {
		from := origin{span.Resource().Equivalent(), span.InstrumentationScope()}
		ofScope, ok := scopes[from]
		if !ok {
			ofResource, ok := resources[from.resource]
			if !ok {
				ofResource = &tracepb.ResourceSpans{Resource: encodeResource(span.Resource()), SchemaUrl: span.Resource().SchemaURL()}
				resources[from.resource] = ofResource
				batch.ResourceSpans = append(batch.ResourceSpans, ofResource)
			}
			ofScope = &tracepb.ScopeSpans{Scope: encodeScope(from.scope), SchemaUrl: from.scope.SchemaURL}
			scopes[from] = ofScope
			ofResource.ScopeSpans = append(ofResource.ScopeSpans, ofScope)
		}
		ofScope.Spans = append(ofScope.Spans, encodeSpan(span))
	}
	return batch
}

// encodeResource returns OTLP's form of a resource.
func encodeResource(r *resource.Resource) *resourcepb.Resource {
	if r == nil {
		return nil
	}
	return &resourcepb.Resource{Attributes: encodeAttributes(r.Attributes())}
}

// encodeScope returns OTLP's form of the library that made a span.
func encodeScope(s instrumentation.Scope) *commonpb.InstrumentationScope {
	if s == (instrumentation.Scope{}) {
		return nil
	}
	return &commonpb.InstrumentationScope{Name: s.Name, Version: s.Version, Attributes: encodeAttributes(s.Attributes.ToSlice())}
}

// encodeSpan returns OTLP's form of a span.
func encodeSpan(s sdktrace.ReadOnlySpan) *tracepb.Span {
	self, parent := s.SpanContext(), s.Parent()
	traceID, spanID := self.TraceID(), self.SpanID()
	p := &tracepb.Span{
		TraceId:                traceID[:],
		SpanId:                 spanID[:],
		TraceState:             self.TraceState().String(),
		Flags:                  encodeFlags(self, parent),
		Name:                   s.Name(),
		Kind:                   encodeKind(s.SpanKind()),
		StartTimeUnixNano:      unixNano(s.StartTime()),
		EndTimeUnixNano:        unixNano(s.EndTime()),
		Attributes:             encodeAttributes(s.Attributes()),
		DroppedAttributesCount: count(s.DroppedAttributes()),
		Events:                 list(s.Events(), encodeEvent),
		DroppedEventsCount:     count(s.DroppedEvents()),
		Links:                  list(s.Links(), encodeLink),
		DroppedLinksCount:      count(s.DroppedLinks()),
		Status:                 encodeStatus(s.Status()),
	}
	if id := parent.SpanID(); id.IsValid() {
		p.ParentSpanId = id[:]
	}
	return p
}

// encodeStatus returns OTLP's form of a status.
func encodeStatus(s sdktrace.Status) *tracepb.Status {
	p := &tracepb.Status{Message: s.Description}
	switch s.Code {
	case codes.Ok:
		p.Code = tracepb.Status_STATUS_CODE_OK
	case codes.Error:
		p.Code = tracepb.Status_STATUS_CODE_ERROR
	default:
		p.Code = tracepb.Status_STATUS_CODE_UNSET
	}
	return p
}

// encodeEvent returns OTLP's form of a moment within a span.
func encodeEvent(e sdktrace.Event) *tracepb.Span_Event {
	return &tracepb.Span_Event{
		Name:                   e.Name,
		TimeUnixNano:           unixNano(e.Time),
		Attributes:             encodeAttributes(e.Attributes),
		DroppedAttributesCount: count(e.DroppedAttributeCount),
	}
}

// encodeLink returns OTLP's form of a link.
func encodeLink(l sdktrace.Link) *tracepb.Span_Link {
	traceID, spanID := l.SpanContext.TraceID(), l.SpanContext.SpanID()
	return &tracepb.Span_Link{
		TraceId:                traceID[:],
		SpanId:                 spanID[:],
		Attributes:             encodeAttributes(l.Attributes),
		DroppedAttributesCount: count(l.DroppedAttributeCount),
		Flags:                  encodeFlags(l.SpanContext, l.SpanContext),
	}
}

// encodeFlags returns the W3C flags of a span, and whether its parent, or the span that a link points to, is of another process.
func encodeFlags(of, remote trace.SpanContext) uint32 {
	flags := uint32(of.TraceFlags()) | uint32(tracepb.SpanFlags_SPAN_FLAGS_CONTEXT_HAS_IS_REMOTE_MASK)
	if remote.IsRemote() {
		flags |= uint32(tracepb.SpanFlags_SPAN_FLAGS_CONTEXT_IS_REMOTE_MASK)
	}
	return flags
}

// encodeKind returns OTLP's form of a span's kind.
func encodeKind(k trace.SpanKind) tracepb.Span_SpanKind {
	switch k {
	case trace.SpanKindInternal:
		return tracepb.Span_SPAN_KIND_INTERNAL
	case trace.SpanKindClient:
		return tracepb.Span_SPAN_KIND_CLIENT
	case trace.SpanKindServer:
		return tracepb.Span_SPAN_KIND_SERVER
	case trace.SpanKindProducer:
		return tracepb.Span_SPAN_KIND_PRODUCER
	case trace.SpanKindConsumer:
		return tracepb.Span_SPAN_KIND_CONSUMER
	default:
		return tracepb.Span_SPAN_KIND_UNSPECIFIED
	}
}

// encodeAttributes returns OTLP's form of attributes.
func encodeAttributes(kvs []attribute.KeyValue) []*commonpb.KeyValue {
	return list(kvs, func(kv attribute.KeyValue) *commonpb.KeyValue {
		return &commonpb.KeyValue{Key: string(kv.Key), Value: encodeValue(kv.Value)}
	})
}

// encodeValue returns OTLP's form of an attribute's value.
func encodeValue(v attribute.Value) *commonpb.AnyValue {
	switch v.Type() {
	case attribute.BOOL:
		return encodeBool(v.AsBool())
	case attribute.INT64:
		return encodeInt(v.AsInt64())
	case attribute.FLOAT64:
		return encodeFloat(v.AsFloat64())
	case attribute.STRING:
		return encodeString(v.AsString())
	case attribute.BYTESLICE:
		return &commonpb.AnyValue{Value: &commonpb.AnyValue_BytesValue{BytesValue: v.AsByteSlice()}}
	case attribute.BOOLSLICE:
		return array(list(v.AsBoolSlice(), encodeBool))
	case attribute.INT64SLICE:
		return array(list(v.AsInt64Slice(), encodeInt))
	case attribute.FLOAT64SLICE:
		return array(list(v.AsFloat64Slice(), encodeFloat))
	case attribute.STRINGSLICE:
		return array(list(v.AsStringSlice(), encodeString))
	case attribute.SLICE:
		return array(list(v.AsSlice(), encodeValue))
	case attribute.MAP:
		kvs := &commonpb.KeyValueList{Values: encodeAttributes(v.AsMap())}
		return &commonpb.AnyValue{Value: &commonpb.AnyValue_KvlistValue{KvlistValue: kvs}}
	case attribute.EMPTY:
		return &commonpb.AnyValue{}
	default:
		return encodeString("INVALID")
	}
}

// encodeBool returns OTLP's form of a boolean value.
func encodeBool(b bool) *commonpb.AnyValue {
	return &commonpb.AnyValue{Value: &commonpb.AnyValue_BoolValue{BoolValue: b}}
}

// encodeInt returns OTLP's form of a whole number.
func encodeInt(n int64) *commonpb.AnyValue {
	return &commonpb.AnyValue{Value: &commonpb.AnyValue_IntValue{IntValue: n}}
}

// encodeFloat returns OTLP's form of a number.
func encodeFloat(f float64) *commonpb.AnyValue {
	return &commonpb.AnyValue{Value: &commonpb.AnyValue_DoubleValue{DoubleValue: f}}
}

// encodeString returns OTLP's form of a text.
func encodeString(s string) *commonpb.AnyValue {
	return &commonpb.AnyValue{Value: &commonpb.AnyValue_StringValue{StringValue: s}}
}

// array returns a value that is a list.
func array(values []*commonpb.AnyValue) *commonpb.AnyValue {
	return &commonpb.AnyValue{Value: &commonpb.AnyValue_ArrayValue{ArrayValue: &commonpb.ArrayValue{Values: values}}}
}

// list applies a function to each item; nothing becomes nil.
func list[From, To any](items []From, apply func(From) To) []To {
	if len(items) == 0 {
		return nil
	}
	out := make([]To, len(items))
	for i, item := range items {
		out[i] = apply(item)
	}
	return out
}

// unixNano returns a time of the wire; one before 1970 has none there.
func unixNano(t time.Time) uint64 { return uint64(max(0, t.UnixNano())) }

// count returns a count of the wire.
func count(n int) uint32 { return uint32(min(max(0, int64(n)), math.MaxUint32)) }
