package telemetry

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// queue takes ended spans and exports them in batches. It is OpenTelemetry's batch span processor but for three things: it counts what
// it drops, its Shutdown leaves no goroutine behind when the collector hangs, and it never wakes a process that has no spans.
//
// One goroutine owns the batch and calls the exporter; all else goes through channels.
type queue struct {
	exporter sdktrace.SpanExporter
	batchMax int
	// delay is the longest that a span waits for its batch to fill; timeout bounds the export of one batch.
	delay, timeout time.Duration

	spans chan entry
	// flush carries requests to export all; the answer comes on the channel that is sent, which has room for it.
	flush chan chan<- error
	// stop is closed to end the goroutine, which then exports what is left and closes done.
	stop, done chan struct{}
	// lastErr is the first failure since stopped was set; the goroutine's own until done is closed.
	lastErr  error
	stopOnce sync.Once
	stopped  atomic.Bool

	// root is the parent of every export; cancel ends the one under way.
	root   context.Context
	cancel context.CancelFunc

	exported, dropped, failed atomic.Uint64
	// failing is whether the last export failed; the goroutine's own.
	failing bool
}

// entry is an ended span in the queue: one of the SDK's, or one of Emit, which becomes the SDK's on the queue's goroutine.
type entry struct {
	span    sdktrace.ReadOnlySpan
	emitted *emitted
}

// snapshot returns the span for the exporter.
func (e entry) snapshot() sdktrace.ReadOnlySpan {
	if e.emitted != nil {
		return e.emitted.snapshot()
	}
	return e.span
}

// newQueue starts a queue, which owns the exporter from now on. Shutdown ends it.
func newQueue(exporter sdktrace.SpanExporter, s settings) *queue {
	root, cancel := context.WithCancel(context.Background())
	q := &queue{
		exporter: exporter,
		batchMax: s.batchMax,
		delay:    s.delay,
		timeout:  s.exportTimeout,
		spans:    make(chan entry, s.queueMax),
		flush:    make(chan chan<- error),
		stop:     make(chan struct{}),
		done:     make(chan struct{}),
		root:     root,
		cancel:   cancel,
	}
	go q.run()
	return q
}

// OnStart does nothing: only ended spans are of interest.
func (q *queue) OnStart(context.Context, sdktrace.ReadWriteSpan) {}

// OnEnd takes a span of the SDK.
func (q *queue) OnEnd(s sdktrace.ReadOnlySpan) {
	if s.SpanContext().IsSampled() {
		q.put(entry{span: s})
	}
}

// put takes a span, or drops it when there is no room. It never blocks.
func (q *queue) put(e entry) {
	if q.stopped.Load() {
		q.dropped.Add(1)
		return
	}
	select {
	case q.spans <- e:
	default:
		q.dropped.Add(1)
	}
}

// ForceFlush exports what was queued before the call.
func (q *queue) ForceFlush(ctx context.Context) error {
	answer := make(chan error, 1)
	select {
	case q.flush <- answer:
	case <-q.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("flush spans: %w", ctx.Err())
	}
	select {
	case err := <-answer:
		return err
	case <-ctx.Done():
		return fmt.Errorf("flush spans: %w", ctx.Err())
	}
}

// Shutdown exports what is queued, gives up when ctx ends, and returns when the goroutine has ended and the exporter is closed.
func (q *queue) Shutdown(ctx context.Context) error {
	var err error
	q.stopOnce.Do(func() {
		q.stopped.Store(true)
		close(q.stop)
		giveUp := context.AfterFunc(ctx, q.cancel)
		<-q.done
		// Spans that came while stopped was being set.
		q.dropped.Add(uint64(len(q.spans)))
		giveUp()
		q.cancel()
		// Nothing is being exported, so closing does not wait, and must happen even though ctx may have ended.
		err = errors.Join(q.lastErr, q.exporter.Shutdown(context.WithoutCancel(ctx)))
	})
	return err
}

// stats returns the counts so far.
func (q *queue) stats() Stats {
	return Stats{Exported: q.exported.Load(), Dropped: q.dropped.Load(), Failed: q.failed.Load()}
}

// run is the goroutine. The timer runs only while a batch is open.
func (q *queue) run() {
	defer close(q.done)
	timer := time.NewTimer(q.delay)
	timer.Stop()
	batch := make([]sdktrace.ReadOnlySpan, 0, q.batchMax)
	for {
		select {
		case e := <-q.spans:
			if batch = append(batch, e.snapshot()); len(batch) < q.batchMax {
				if len(batch) == 1 {
					timer.Reset(q.delay)
				}
				continue
			}
			timer.Stop()
			// A failure is counted and reported by export.
			_ = q.export(batch)
			batch = batch[:0]
		case <-timer.C:
			_ = q.export(batch)
			batch = batch[:0]
		case answer := <-q.flush:
			timer.Stop()
			answer <- q.drain(batch)
			batch = batch[:0]
		case <-q.stop:
			timer.Stop()
			// A failure is in lastErr.
			_ = q.drain(batch)
			return
		}
	}
}

// drain exports the batch and what is queued at this moment; spans that come meanwhile do not keep it going.
func (q *queue) drain(batch []sdktrace.ReadOnlySpan) error {
	var first error
	for n := len(q.spans); ; n-- {
		if n == 0 || len(batch) == q.batchMax {
			if err := q.export(batch); first == nil {
				first = err
			}
			batch = batch[:0]
		}
		if n == 0 {
			return first
		}
		batch = append(batch, (<-q.spans).snapshot())
	}
}

// export sends one batch and lets go of its spans.
func (q *queue) export(batch []sdktrace.ReadOnlySpan) error {
	if len(batch) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(q.root, q.timeout)
	defer cancel()
	err := q.exporter.ExportSpans(ctx, batch)
	n := uint64(len(batch))
	clear(batch)
	if err == nil {
		q.exported.Add(n)
		q.failing = false
		return nil
	}
	lost := n
	if part, ok := errors.AsType[*rejectedError](err); ok {
		lost = min(n, uint64(part.rejected))
	}
	q.failed.Add(lost)
	q.exported.Add(n - lost)
	// The text may come from the collector: it is cut and quoted.
	err = fmt.Errorf("export %d spans: %w: %.300q", lost, errExport, err.Error())
	if q.stopped.Load() && q.lastErr == nil {
		q.lastErr = err
	}
	if !q.failing && q.root.Err() == nil {
		q.failing = true
		otel.Handle(fmt.Errorf("%w (later failures are only counted until an export succeeds)", err))
	}
	return err
}

// errExport is the cause of every failed export.
var errExport = errors.New("the collector did not take them")
