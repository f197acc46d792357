package otlp

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	collectorpb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
)

// Span is a span as the collector got it.
type Span struct {
	// TraceID, SpanID and ParentID are lower-case hexadecimal; ParentID is empty at the root of a trace.
	TraceID, SpanID, ParentID string
	// TraceState is the W3C tracestate.
	TraceState string
	// Name is the name.
	Name string
	// Kind is "internal", "server", "client", "producer", "consumer" or "unspecified".
	Kind string
	// Start and End are when it began and ended.
	Start, End time.Time
	// Attributes are the span's own: string, bool, int64, float64, []byte, []any, map[string]any.
	Attributes map[string]any
	// Events are in the order in which they came.
	Events []Event
	// Links are the ids of the spans that it points to, as "trace/span".
	Links []string
	// Failed is whether its status is an error, and Message what the status says.
	Failed  bool
	Message string
	// Resource describes the process that made it, and Scope names the library.
	Resource map[string]any
	Scope    string
}

// Event is a moment within a span.
type Event struct {
	Name       string
	At         time.Time
	Attributes map[string]any
}

// Duration is how long the span took.
func (s Span) Duration() time.Duration { return s.End.Sub(s.Start) }

// ID is the span's id as Links has it.
func (s Span) ID() string { return s.TraceID + "/" + s.SpanID }

// Spans are spans in the order in which they came. The zero Span stands for one that is not there.
type Spans []Span

// Where returns the spans for which keep holds.
func (s Spans) Where(keep func(Span) bool) Spans {
	var kept Spans
	for _, span := range s {
		if keep(span) {
			kept = append(kept, span)
		}
	}
	return kept
}

// Named returns the spans with a name.
func (s Spans) Named(name string) Spans {
	return s.Where(func(span Span) bool { return span.Name == name })
}

// With returns the spans with an attribute of a value: string, bool, int64 or float64.
func (s Spans) With(key string, value any) Spans {
	return s.Where(func(span Span) bool { return span.Attributes[key] == value })
}

// First returns the first of the spans.
func (s Spans) First() (Span, bool) {
	if len(s) == 0 {
		return Span{}, false
	}
	return s[0], true
}

// Parent returns the span's parent.
func (s Spans) Parent(of Span) (Span, bool) {
	return s.Where(func(span Span) bool { return span.TraceID == of.TraceID && span.SpanID == of.ParentID }).First()
}

// Children returns the span's children, the earliest first.
func (s Spans) Children(of Span) Spans {
	children := s.Where(func(span Span) bool { return span.TraceID == of.TraceID && span.ParentID == of.SpanID })
	slices.SortStableFunc(children, func(a, b Span) int { return a.Start.Compare(b.Start) })
	return children
}

// Tree draws the spans: a line with the name of each, children below their parent and two spaces further right, the earliest first.
// A span whose parent is not there stands at the left. A test compares it with what it wants.
func (s Spans) Tree() string {
	roots := s.Where(func(span Span) bool {
		_, ok := s.Parent(span)
		return !ok
	})
	slices.SortStableFunc(roots, func(a, b Span) int { return a.Start.Compare(b.Start) })
	var b strings.Builder
	for _, root := range roots {
		s.draw(&b, root, "")
	}
	return b.String()
}

// draw writes a span and what is below it.
func (s Spans) draw(b *strings.Builder, span Span, indent string) {
	fmt.Fprintf(b, "%s%s\n", indent, span.Name)
	for _, child := range s.Children(span) {
		s.draw(b, child, indent+"  ")
	}
}

// decode returns the spans of a batch.
func decode(req *collectorpb.ExportTraceServiceRequest) Spans {
	var spans Spans
	for _, r := range req.GetResourceSpans() {
		resource := attributes(r.GetResource().GetAttributes())
		for _, scope := range r.GetScopeSpans() {
			for _, p := range scope.GetSpans() {
				span := decodeSpan(p)
				span.Resource, span.Scope = resource, scope.GetScope().GetName()
				spans = append(spans, span)
			}
		}
	}
	return spans
}

// decodeSpan returns one span, without what it shares with others.
func decodeSpan(p *tracepb.Span) Span {
	span := Span{
		TraceID:    hex.EncodeToString(p.GetTraceId()),
		SpanID:     hex.EncodeToString(p.GetSpanId()),
		ParentID:   hex.EncodeToString(p.GetParentSpanId()),
		TraceState: p.GetTraceState(),
		Name:       p.GetName(),
		Kind:       strings.ToLower(strings.TrimPrefix(p.GetKind().String(), "SPAN_KIND_")),
		Start:      moment(p.GetStartTimeUnixNano()),
		End:        moment(p.GetEndTimeUnixNano()),
		Attributes: attributes(p.GetAttributes()),
		Failed:     p.GetStatus().GetCode() == tracepb.Status_STATUS_CODE_ERROR,
		Message:    p.GetStatus().GetMessage(),
	}
	for _, e := range p.GetEvents() {
		span.Events = append(span.Events, Event{e.GetName(), moment(e.GetTimeUnixNano()), attributes(e.GetAttributes())})
	}
	for _, l := range p.GetLinks() {
		span.Links = append(span.Links, hex.EncodeToString(l.GetTraceId())+"/"+hex.EncodeToString(l.GetSpanId()))
	}
	return span
}

// moment returns a time of the wire.
func moment(unixNano uint64) time.Time { return time.Unix(0, int64(unixNano)).UTC() }

// attributes returns attributes of the wire as a map.
func attributes(kvs []*commonpb.KeyValue) map[string]any {
	m := make(map[string]any, len(kvs))
	for _, kv := range kvs {
		m[kv.GetKey()] = value(kv.GetValue())
	}
	return m
}

// value returns an attribute's value as a plain one.
func value(v *commonpb.AnyValue) any {
	switch x := v.GetValue().(type) {
	case *commonpb.AnyValue_StringValue:
		return x.StringValue
	case *commonpb.AnyValue_BoolValue:
		return x.BoolValue
	case *commonpb.AnyValue_IntValue:
		return x.IntValue
	case *commonpb.AnyValue_DoubleValue:
		return x.DoubleValue
	case *commonpb.AnyValue_BytesValue:
		return x.BytesValue
	case *commonpb.AnyValue_ArrayValue:
		list := make([]any, 0, len(x.ArrayValue.GetValues()))
		for _, item := range x.ArrayValue.GetValues() {
			list = append(list, value(item))
		}
		return list
	case *commonpb.AnyValue_KvlistValue:
		return attributes(x.KvlistValue.GetValues())
	default:
		return nil
	}
}
