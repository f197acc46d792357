// Package telemetry records the OpenTelemetry spans of Mobula's processes: what a task did in the driver, the node manager and the
// worker is one trace, with the time that it queued apart from the time that it ran.
//
// Tracing is off unless the standard OTEL_* variables or the program's own tracer provider turn it on, and costs nothing then: a
// Tracer that is off is a valid one whose methods return at once and allocate nothing. A nil *Tracer is off, too. When tracing is
// on, no caller ever waits for the collector: spans go into a bounded queue, and what does not fit is counted and dropped.
//
// docs/tracing.md states the spans, their attributes and the variables.
package telemetry

import (
	"context"
	"fmt"
	"os"
	"reflect"
	"strings"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/mobula-dev/mobula/internal/id"
)

// scope names Mobula as the library that makes the spans.
const scope = "github.com/mobula-dev/mobula"

// closeTimeout bounds Close when its context has no deadline: a program that ends does not wait longer for a dead collector.
const closeTimeout = 5 * time.Second

// Config says who traces. The zero value is valid.
type Config struct {
	// Service is the service.name of the process; OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES override it. Empty is "mobula".
	Service string
	// Version is the service.version of the process; empty leaves it out.
	Version string
	// Role tells the processes of one program apart: "driver", "node" or "worker". Empty leaves it out.
	Role string
	// NodeID is the node at which the process is; every span carries it. Zero leaves it out.
	NodeID id.Node
	// JobID and WorkerID are the job of a driver or a worker and the worker; every span carries them that has none of its own. Zero leaves them out.
	JobID    id.Job
	WorkerID id.Worker
	// UseGlobal makes the program's own tracer provider take the spans when it installed one with otel.SetTracerProvider before
	// Open, so that its spans and ours are one trace in one place. The OTEL_* variables are then the program's business.
	UseGlobal bool
	// InstallGlobal makes the provider that Open builds the global one of the process when the program installed none, so that spans
	// which user code starts with otel.Tracer are exported and are children of ours. For workers, where the user's main never ran.
	InstallGlobal bool
}

// Tracer records spans. Its methods may be called from any goroutine, and on a nil Tracer, which is off.
type Tracer struct {
	// tracer is nil when tracing is off.
	tracer trace.Tracer
	// own is what every span says of the process.
	own own
	// parentBased is whether a span whose parent is not sampled is certain not to be sampled either.
	parentBased bool
	// queue and provider are ours; nil when spans go to the program's own provider.
	queue    *queue
	provider *provider
	resource *resource.Resource
	// foreign is the program's own provider; nil when spans go to ours.
	foreign trace.TracerProvider
}

// provider is our tracer provider, with a type by which a later Open tells it from the program's own.
type provider struct{ *sdktrace.TracerProvider }

// Stats counts spans since Open. They stay zero when the program's own provider takes the spans.
type Stats struct {
	// Exported is how many spans the collector accepted.
	Exported uint64
	// Dropped is how many were thrown away because the queue was full or closed.
	Dropped uint64
	// Failed is how many the collector did not take: those of a batch that failed, and those that it rejected of one that it took.
	Failed uint64
}

// Open starts tracing as the environment says. It connects to nothing: an end point that is down is found out later and is never an
// error of the caller's. The Tracer is not nil even when the error is: tracing is off then, and the error says which variable cannot
// be honoured.
func Open(ctx context.Context, cfg Config) (*Tracer, error) {
	off := &Tracer{}
	if sdkDisabled() {
		return off, nil
	}
	if global := otel.GetTracerProvider(); cfg.UseGlobal && installed(global) {
		return &Tracer{tracer: global.Tracer(scope), own: cfg.own(), foreign: global}, nil
	}
	s, on, err := readEnv()
	if err != nil {
		return off, fmt.Errorf("open tracing: %w", err)
	}
	if !on {
		return off, nil
	}
	exporter, err := newExporter(s)
	if err != nil {
		return off, fmt.Errorf("open tracing: %w", err)
	}
	return open(ctx, cfg, s, exporter), nil
}

// open starts tracing to an exporter, which it owns from now on.
func open(ctx context.Context, cfg Config, s settings, exporter sdktrace.SpanExporter) *Tracer {
	q, r := newQueue(exporter, s), newResource(ctx, cfg)
	p := &provider{sdktrace.NewTracerProvider(sdktrace.WithResource(r), sdktrace.WithSpanProcessor(q))}
	if cfg.InstallGlobal && !installed(otel.GetTracerProvider()) {
		otel.SetTracerProvider(p)
		if len(otel.GetTextMapPropagator().Fields()) == 0 {
			otel.SetTextMapPropagator(propagation.NewCompositeTextMapPropagator(propagation.TraceContext{}, propagation.Baggage{}))
		}
	}
	return &Tracer{
		tracer:      p.Tracer(scope),
		own:         cfg.own(),
		parentBased: s.parentBased,
		queue:       q,
		provider:    p,
		resource:    r,
	}
}

// Enabled says whether tracing is on. Callers may use it to leave out work that only a span needs.
func (t *Tracer) Enabled() bool { return t != nil && t.tracer != nil }

// Stats returns the counts so far.
func (t *Tracer) Stats() Stats {
	if t == nil || t.queue == nil {
		return Stats{}
	}
	return t.queue.stats()
}

// Flush exports every span that ended before the call, and waits for it until ctx ends.
func (t *Tracer) Flush(ctx context.Context) error {
	switch {
	case !t.Enabled():
		return nil
	case t.queue != nil:
		return t.queue.ForceFlush(ctx)
	}
	if f, ok := t.foreign.(interface{ ForceFlush(context.Context) error }); ok {
		return f.ForceFlush(ctx)
	}
	return nil
}

// Close exports what is queued and ends tracing: later spans are dropped. It returns when ctx ends at the latest, after five seconds
// if ctx has no deadline, and what was not exported by then is lost; the error says so. The program's own provider is flushed and
// stays open. Close may be called more than once.
func (t *Tracer) Close(ctx context.Context) error {
	if !t.Enabled() {
		return nil
	}
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, closeTimeout)
		defer cancel()
	}
	if t.queue == nil {
		return t.Flush(ctx)
	}
	if err := t.queue.Shutdown(ctx); err != nil {
		return fmt.Errorf("close tracing: %w", err)
	}
	// The queue, its only processor, has ended: nothing is left to wait for.
	return t.provider.Shutdown(context.WithoutCancel(ctx))
}

// installed says whether a global tracer provider is the program's own. OpenTelemetry's placeholder, which is there from the start, can
// only be told by the package of its type; a test pins that.
func installed(tp trace.TracerProvider) bool {
	if _, ours := tp.(*provider); ours {
		return false
	}
	t := reflect.TypeOf(tp)
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return !strings.HasPrefix(t.PkgPath(), "go.opentelemetry.io/otel/internal/global")
}

// newResource describes the process. What the environment says wins.
func newResource(ctx context.Context, cfg Config) *resource.Resource {
	service := cfg.Service
	if service == "" {
		service = "mobula"
	}
	attrs := []attribute.KeyValue{
		attribute.String("service.name", text(service)),
		attribute.Int("process.pid", os.Getpid()),
	}
	if cfg.Version != "" {
		attrs = append(attrs, attribute.String("service.version", text(cfg.Version)))
	}
	if cfg.Role != "" {
		attrs = append(attrs, attribute.String("mobula.role", text(cfg.Role)))
	}
	r, err := resource.New(ctx, resource.WithTelemetrySDK(), resource.WithHost(), resource.WithAttributes(attrs...), resource.WithFromEnv())
	if err != nil {
		// A host without a name, or a malformed pair in the environment: the rest of the resource is good.
		otel.Handle(fmt.Errorf("describe the process for tracing: %w", err))
	}
	return r
}

// own is what every span says of its process; what is zero is left out.
type own struct {
	node   string // the node's id as an attribute value
	job    id.Job
	worker id.Worker
}

func (c Config) own() own {
	o := own{job: c.JobID, worker: c.WorkerID}
	if c.NodeID != (id.Node{}) {
		o.node = c.NodeID.String()
	}
	return o
}
