package telemetry

import (
	"context"
	"encoding/binary"
	"math/rand/v2"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/instrumentation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
)

// Span is a span that is over, for Emit.
type Span struct {
	Attributes
	// Op is what the span is about.
	Op Op
	// Traceparent and Tracestate are the W3C form of the parent. Without a valid one the span begins a trace, if the sampler wants it.
	Traceparent, Tracestate string
	// Start and End are in nanoseconds of Unix time; an End before Start counts as Start.
	Start, End int64
	// ArgsReady is when the task's arguments were all there, in nanoseconds of Unix time; 0 is unknown.
	ArgsReady int64
	// Err is why what the span is about went wrong; nil when it went well.
	Err error
}

// Emit records a span that is over and returns its W3C form, the parent of the next hop. When the span is not recorded, because tracing
// is off or the parent is not sampled, it returns the parent's instead, so that the chain stays whole. s may be used
// again at once.
func (t *Tracer) Emit(s *Span) (traceparent, tracestate string) {
	if !t.Enabled() {
		return s.Traceparent, s.Tracestate
	}
	return t.emit(s)
}

// emit is Emit when tracing is on. Where the outcome of sampling is known beforehand, as it is in the node's hot loop, it makes no span
// of the SDK: it draws an id and leaves the rest to the queue's goroutine.
func (t *Tracer) emit(s *Span) (traceparent, tracestate string) {
	parent, ok := parse(s.Traceparent)
	switch {
	case !ok:
		return t.emitSDK(context.Background(), s)
	case !t.parentBased:
		return t.emitSDK(trace.ContextWithRemoteSpanContext(context.Background(), withState(parent, s.Tracestate)), s)
	case !parent.IsSampled():
		// The first 55 bytes are the whole of a traceparent, but for what a later version may add.
		return s.Traceparent[:traceparentSize], cut(s.Tracestate)
	}
	parent = withState(parent, s.Tracestate)
	span := parent.WithSpanID(newSpanID()).WithRemote(false)
	e := &emitted{Span: *s, parent: parent, span: span, own: t.own, resource: t.resource}
	if s.Err != nil {
		e.exception = exception(s.Err)
		e.Err, e.status = nil, sdktrace.Status{Code: codes.Error, Description: text(s.Err.Error())}
	}
	t.queue.put(entry{emitted: e})
	return format(span), stateOf(span)
}

// emitSDK records the span through the provider, ours or the program's own, whose sampler decides.
func (t *Tracer) emitSDK(ctx context.Context, s *Span) (traceparent, tracestate string) {
	_, span := t.tracer.Start(ctx, s.name(s.Op), trace.WithSpanKind(s.Op.kind()), trace.WithTimestamp(time.Unix(0, s.Start)))
	if span.IsRecording() {
		t.describe(span, &s.Attributes)
		if s.ArgsReady != 0 {
			span.AddEvent(argsReady, trace.WithTimestamp(time.Unix(0, s.ArgsReady)))
		}
		setError(span, s.Err, trace.WithTimestamp(s.end()))
		span.End(trace.WithTimestamp(s.end()))
	}
	sc := span.SpanContext()
	if !sc.IsValid() {
		// The program's own provider makes no spans.
		return s.Traceparent, cut(s.Tracestate)
	}
	return format(sc), stateOf(sc)
}

// argsReady names the event at which all of a task's arguments were there.
const argsReady = "args_ready"

// end returns when the span ended.
func (s *Span) end() time.Time { return time.Unix(0, max(s.Start, s.End)) }

// newSpanID draws the id of a span, which is never zero.
func newSpanID() (sid trace.SpanID) {
	for !sid.IsValid() {
		binary.NativeEndian.PutUint64(sid[:], rand.Uint64()) //nolint:gosec // an id has to be unlike others, not secret
	}
	return sid
}

// emitted is a span of Emit in the queue, on its way to another goroutine: its Err, which the caller may still change, became status and exception.
type emitted struct {
	Span
	status       sdktrace.Status
	exception    []attribute.KeyValue // of the event; nil when it went well
	parent, span trace.SpanContext
	own          own
	resource     *resource.Resource
}

// snapshot returns the SDK's form of the span. A stub of tracetest is the one public way to make that from its parts.
func (e *emitted) snapshot() sdktrace.ReadOnlySpan {
	stub := tracetest.SpanStub{
		Name:                 e.name(e.Op),
		SpanContext:          e.span,
		Parent:               e.parent,
		SpanKind:             e.Op.kind(),
		StartTime:            time.Unix(0, e.Start),
		EndTime:              e.end(),
		Attributes:           e.keyValues(&e.own),
		Status:               e.status,
		Resource:             e.resource,
		InstrumentationScope: instrumentation.Scope{Name: scope},
	}
	if e.ArgsReady != 0 {
		stub.Events = []sdktrace.Event{{Name: argsReady, Time: time.Unix(0, e.ArgsReady)}}
	}
	if e.exception != nil {
		stub.Events = append(stub.Events, sdktrace.Event{Name: exceptionEvent, Time: e.end(), Attributes: e.exception})
	}
	if link, ok := parse(e.Link); ok {
		stub.Links = []sdktrace.Link{{SpanContext: link}}
	}
	return stub.Snapshot()
}

// cut leaves out a tracestate that is too long to pass on.
func cut(tracestate string) string {
	if len(tracestate) > tracestateMax {
		return ""
	}
	return tracestate
}
