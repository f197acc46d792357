package telemetry

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"go.opentelemetry.io/otel"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// The exporter is our own, because OpenTelemetry's link the collector's service, with its gateway and all that this needs: some 0.75 MB in every
// user's program. The service's request, ExportTraceServiceRequest, has the wire form of TracesData, which costs nothing of that.

// requestMax is the largest batch in bytes, before compression, that is sent: OpenTelemetry's default.
const requestMax = 64 << 20

// The pauses between attempts are OpenTelemetry's: each half as long again as the one before, up to backoffMax, and drawn from within
// half of that above and below. There is none when retryMax have passed since the first attempt.
const (
	backoffFirst = 5 * time.Second
	backoffMax   = 30 * time.Second
	retryMax     = time.Minute
)

// sender sends batches to one collector. Its methods do not overlap.
type sender interface {
	// send makes one attempt. The error is a *retryError when another one may help.
	send(ctx context.Context, batch *tracepb.TracesData) (reply, error)
	// close lets go of the connections.
	close() error
}

// reply is what a collector says about a batch that it took.
type reply struct {
	// rejected counts the spans that it did not take after all.
	rejected int64
	// message says why; without rejected spans it is a warning.
	message string
}

// retryError is a failure that may pass.
type retryError struct {
	error
	// after is the shortest wait before the next attempt that the collector asks for.
	after time.Duration
}

// Unwrap returns the failure.
func (e *retryError) Unwrap() error { return e.error }

// rejectedError is the failure of a part of a batch; the collector took the rest.
type rejectedError struct{ reply }

// Error returns the collector's words.
func (e *rejectedError) Error() string {
	return fmt.Sprintf("the collector rejected %d spans: %s", e.rejected, e.message)
}

// otlpExporter exports spans over OTLP. Its methods do not overlap: the queue's goroutine calls them.
type otlpExporter struct {
	sender sender
	// timeout bounds an export with all its attempts; 0 leaves that to the caller's context.
	timeout time.Duration
	// warn reports the collector's first warning; later ones would say the same with every batch.
	warn sync.Once
}

// newExporter makes the exporter of the settings. It connects with the first batch, not before.
func newExporter(s settings) (sdktrace.SpanExporter, error) {
	d, err := readDelivery(s.endpoint)
	if err != nil {
		return nil, err
	}
	if s.protocol != protocolGRPC {
		h, err := newHTTPSender(s, d)
		if err != nil {
			return nil, fmt.Errorf("make OTLP exporter over HTTP: %w", err)
		}
		// As in OpenTelemetry's exporter, the time limit is that of each attempt.
		return &otlpExporter{sender: h}, nil
	}
	g, err := newGRPCSender(s, d)
	if err != nil {
		return nil, fmt.Errorf("make OTLP exporter over gRPC: %w", err)
	}
	return &otlpExporter{sender: g, timeout: d.timeout}, nil
}

// ExportSpans sends one batch, if need be with several attempts.
func (e *otlpExporter) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	batch := encode(spans)
	if size := proto.Size(batch); size > requestMax {
		return fmt.Errorf("batch has %d bytes, more than %d", size, requestMax)
	}
	if e.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, e.timeout)
		defer cancel()
	}
	r, err := e.deliver(ctx, batch)
	switch {
	case err != nil:
		return err
	case r.rejected > 0:
		return &rejectedError{r}
	case r.message != "":
		e.warn.Do(func() { otel.Handle(fmt.Errorf("the OTLP collector took the spans and warns: %.300q", r.message)) })
	}
	return nil
}

// Shutdown closes the connections to the collector.
func (e *otlpExporter) Shutdown(context.Context) error { return e.sender.close() }

// deliver sends the batch until the collector takes it, refuses it for good, or the time is up.
func (e *otlpExporter) deliver(ctx context.Context, batch *tracepb.TracesData) (reply, error) {
	begin := time.Now()
	for interval := backoffFirst; ; interval = min(interval*3/2, backoffMax) {
		r, err := e.sender.send(ctx, batch)
		retry, ok := errors.AsType[*retryError](err)
		if !ok {
			return r, err
		}
		if ctx.Err() != nil || retry.after > retryMax-time.Since(begin) {
			return reply{}, err
		}
		if !pause(ctx, max(retry.after, interval/2+rand.N(interval))) { //nolint:gosec // a pause has to be unlike others, not secret
			return reply{}, err
		}
	}
}

// pause waits, and says whether ctx lasted that long.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
