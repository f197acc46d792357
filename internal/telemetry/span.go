package telemetry

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/mobula-dev/mobula/internal/id"
)

// textMax is the longest text in bytes that a span carries: a function's name, an error's message. A stack may have stackMax.
const textMax, stackMax = 1024, 8 << 10

// Op is what a span is about; it begins the span's name.
type Op uint8

// The steps of one task, in order. A task that runs again has a further Queue and Run, with their attempt.
const (
	// Submit is the call in the client, until the node has accepted it.
	Submit Op = iota + 1
	// Queue is the wait at the node, from the arrival of the call to its dispatch to a worker.
	Queue
	// Fetch is the fetch of arguments that are not where the task runs.
	Fetch
	// Run is the run of the user's function.
	Run
)

// String returns the word that begins the names of the operation's spans.
func (o Op) String() string {
	switch o {
	case Submit:
		return "submit"
	case Queue:
		return "queue"
	case Fetch:
		return "fetch"
	case Run:
		return "run"
	default:
		return "unknown"
	}
}

// kind returns OpenTelemetry's kind of the operation's spans.
func (o Op) kind() trace.SpanKind {
	switch o {
	case Submit:
		return trace.SpanKindClient
	case Run:
		return trace.SpanKindServer
	default:
		return trace.SpanKindInternal
	}
}

// Attributes say what a span is about. They are plain values, turned into OpenTelemetry's only when the span is recorded, so that
// filling them in costs nothing when tracing is off. Zero fields are left out.
type Attributes struct {
	// Function is "import/path.Name" or "import/path.Type.Method"; the span's name has it without the directories.
	Function string
	// Task is the task.
	Task id.Task
	// Job is the job of the task.
	Job id.Job
	// Actor is the actor that the task creates or calls.
	Actor id.Actor
	// Worker is the process that runs the task.
	Worker id.Worker
	// Attempt is the number of the attempt, from 1.
	Attempt uint32
	// Incarnation is the actor's, from 1.
	Incarnation uint32
	// Name is what the task or actor was named by the caller.
	Name string
	// CallSite is "file:line" of the call.
	CallSite string
	// Queued is how long the task waited at the node for resources, a worker and its turn, for a Queue and a Run.
	Queued time.Duration
	// Objects and Bytes are how much a Fetch fetched.
	Objects int
	Bytes   uint64
	// Link is the traceparent of a related span: for a call of an actor's method, that of the actor's creation.
	Link string
}

// Active is a span under way. Its zero value is a span that nobody records.
type Active struct {
	span trace.Span
}

// Start begins a span, the child of the one that ctx carries, and returns a context that carries it. The caller ends it once, on any
// goroutine.
func (t *Tracer) Start(ctx context.Context, op Op, a Attributes) (context.Context, Active) {
	if !t.Enabled() {
		return ctx, Active{}
	}
	return t.start(ctx, op, &a)
}

// start is Start when tracing is on.
func (t *Tracer) start(ctx context.Context, op Op, a *Attributes) (context.Context, Active) {
	ctx, span := t.tracer.Start(ctx, a.name(op), trace.WithSpanKind(op.kind()))
	t.describe(span, a)
	return ctx, Active{span}
}

// End ends the span, with an error if err is not nil.
func (a Active) End(err error) {
	if a.span == nil {
		return
	}
	setError(a.span, err)
	a.span.End()
}

// describe adds the attributes to a span that is recorded.
func (t *Tracer) describe(span trace.Span, a *Attributes) {
	if !span.IsRecording() {
		return
	}
	span.SetAttributes(a.keyValues(&t.own)...)
	if link, ok := parse(a.Link); ok {
		span.AddLink(trace.Link{SpanContext: link})
	}
}

// keyValues returns OpenTelemetry's form of the attributes, with those of the process; docs/tracing.md lists them.
func (a *Attributes) keyValues(own *own) []attribute.KeyValue {
	kvs := make([]attribute.KeyValue, 0, 13)
	str := func(key, value string) {
		if value != "" {
			kvs = append(kvs, attribute.String(key, text(value)))
		}
	}
	num := func(key string, value int64) {
		if value != 0 {
			kvs = append(kvs, attribute.Int64(key, value))
		}
	}
	str("mobula.node.id", own.node)
	str("mobula.function", a.Function)
	if a.Task != (id.Task{}) {
		str("mobula.task.id", a.Task.String())
	}
	if job := cmp.Or(a.Job, own.job); job != (id.Job{}) {
		str("mobula.job.id", job.String())
	}
	if a.Actor != (id.Actor{}) {
		str("mobula.actor.id", a.Actor.String())
	}
	if worker := cmp.Or(a.Worker, own.worker); worker != (id.Worker{}) {
		str("mobula.worker.id", worker.String())
	}
	num("mobula.attempt", int64(a.Attempt))
	num("mobula.incarnation", int64(a.Incarnation))
	str("mobula.name", a.Name)
	str("mobula.call_site", a.CallSite)
	num("mobula.queue_ns", int64(a.Queued))
	num("mobula.fetch.objects", int64(a.Objects))
	num("mobula.fetch.bytes", int64(a.Bytes))
	return kvs
}

// name returns the name of a span: the operation and the function without its directories, such as "run linalg.Multiply". A fetch is
// just that, whatever the function.
func (a *Attributes) name(op Op) string {
	if a.Function == "" || op == Fetch {
		return op.String()
	}
	// The type arguments of a generic function have paths of their own.
	path, _, _ := strings.Cut(a.Function, "[")
	return op.String() + " " + text(a.Function[strings.LastIndexByte(path, '/')+1:])
}

// setError marks a span as failed, and says in an event with what.
func setError(span trace.Span, err error, options ...trace.EventOption) {
	if err != nil && span.IsRecording() {
		span.SetStatus(codes.Error, text(err.Error()))
		span.AddEvent(exceptionEvent, append(options, trace.WithAttributes(exception(err)...))...)
	}
}

// exceptionEvent is OpenTelemetry's name of the event that tells of an error.
const exceptionEvent = "exception"

// Exception is an error that knows better than its own type what went wrong and where.
type Exception interface {
	error
	// Exception returns the name of the type of what went wrong, and the stack of the place where it did, empty when that is not known.
	Exception() (name, stack string)
}

// exception returns the attributes of the event that tells of an error.
func exception(err error) []attribute.KeyValue {
	name, stack := fmt.Sprintf("%T", err), ""
	if e, ok := errors.AsType[Exception](err); ok {
		name, stack = e.Exception()
	}
	kvs := []attribute.KeyValue{attribute.String("exception.type", text(name)), attribute.String("exception.message", text(err.Error()))}
	if stack != "" {
		kvs = append(kvs, attribute.String("exception.stacktrace", cutText(stack, stackMax)))
	}
	return kvs
}

// text makes a string fit for a span: one that is not UTF-8 would make the collector refuse the whole batch, and the length of what
// users write is not ours.
func text(s string) string { return cutText(s, textMax) }

func cutText(s string, most int) string {
	if len(s) > most {
		s = s[:most]
	}
	if utf8.ValidString(s) {
		return s
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}
