package telemetry

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
)

// scripted is a sender that answers as the test says.
type scripted struct {
	answer func(ctx context.Context, attempt int) (reply, error)
	// at are the times of the attempts.
	at []time.Time
}

func (s *scripted) send(ctx context.Context, _ *tracepb.TracesData) (reply, error) {
	s.at = append(s.at, time.Now())
	return s.answer(ctx, len(s.at))
}

func (s *scripted) close() error { return nil }

var errBroken = errors.New("broken")

func TestFailureThatMayPassIsTriedAgainWithGrowingPauses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &scripted{answer: func(_ context.Context, attempt int) (reply, error) {
			if attempt < 4 {
				return reply{}, &retryError{error: errBroken}
			}
			return reply{}, nil
		}}
		e := &otlpExporter{sender: s}
		if err := e.ExportSpans(t.Context(), []sdktrace.ReadOnlySpan{sampled()}); err != nil {
			t.Fatal(err)
		}
		want := backoffFirst
		for i := 1; i < len(s.at); i++ {
			if pause := s.at[i].Sub(s.at[i-1]); pause < want/2 || pause >= want/2+want {
				t.Errorf("pause %d is %v, want %v give or take a half", i, pause, want)
			}
			want = want * 3 / 2
		}
		if len(s.at) != 4 {
			t.Errorf("%d attempts, want 4", len(s.at))
		}
	})
}

func TestRetriesEnd(t *testing.T) {
	t.Parallel()
	passing := func(after time.Duration) func(context.Context, int) (reply, error) {
		return func(context.Context, int) (reply, error) { return reply{}, &retryError{error: errBroken, after: after} }
	}
	tests := map[string]struct {
		answer  func(context.Context, int) (reply, error)
		timeout time.Duration
		// attempts of -1 stands for any number; took is exact.
		attempts int
		took     time.Duration
	}{
		"at once when the failure lasts": {
			answer:   func(context.Context, int) (reply, error) { return reply{}, errBroken },
			attempts: 1,
		},
		"at once when the collector asks for too long a wait": {answer: passing(retryMax + 1), attempts: 1},
		"at once when the wait has no end":                    {answer: passing(1<<63 - 1), attempts: 1},
		"at the time limit":                                   {answer: passing(0), timeout: 11 * time.Second, attempts: -1, took: 11 * time.Second},
		"at the time limit with a wait that was asked for":    {answer: passing(20 * time.Second), timeout: 50 * time.Second, attempts: 3, took: 50 * time.Second},
		"when no time is left to ask for":                     {answer: passing(25 * time.Second), attempts: 3, took: 50 * time.Second},
		"when an attempt hangs": {answer: func(ctx context.Context, _ int) (reply, error) {
			<-ctx.Done()
			return reply{}, &retryError{error: errBroken}
		}, timeout: time.Second, attempts: 1, took: time.Second},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := &scripted{answer: test.answer}
				e := &otlpExporter{sender: s, timeout: test.timeout}
				begin := time.Now()
				if err := e.ExportSpans(t.Context(), []sdktrace.ReadOnlySpan{sampled()}); !errors.Is(err, errBroken) {
					t.Errorf("error is %v, want what broke", err)
				}
				if test.attempts >= 0 && len(s.at) != test.attempts {
					t.Errorf("%d attempts, want %d", len(s.at), test.attempts)
				}
				if took := time.Since(begin); took != test.took {
					t.Errorf("took %v, want %v", took, test.took)
				}
			})
		})
	}
}

func TestRejectedSpansAreCountedAsFailedAndTheRestAsExported(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		answers := []reply{{rejected: 2, message: "two are bad"}, {message: "you are slow"}, {rejected: 1 << 62}, {rejected: -1}}
		s := &scripted{answer: func(_ context.Context, attempt int) (reply, error) { return answers[attempt-1], nil }}
		q := newQueue(&otlpExporter{sender: s}, settings{queueMax: 10, batchMax: 10, delay: time.Second, exportTimeout: time.Minute})
		for i := range answers {
			for range 3 {
				q.OnEnd(sampled())
			}
			err := q.ForceFlush(t.Context())
			if i%2 == 0 != errors.Is(err, errExport) {
				t.Errorf("answer %+v: Flush says %v", answers[i], err)
			}
			if i == 0 && !strings.Contains(err.Error(), "export 2 spans") {
				t.Errorf("Flush says %v, want the number of spans that were lost", err)
			}
		}
		if got, want := q.stats(), (Stats{Exported: 1 + 3 + 0 + 3, Failed: 2 + 0 + 3 + 0}); got != want {
			t.Errorf("stats are %+v, want %+v", got, want)
		}
		if err := q.Shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
}

func TestBatchThatIsTooLargeIsNotSent(t *testing.T) {
	t.Parallel()
	s := &scripted{answer: func(context.Context, int) (reply, error) { return reply{}, nil }}
	e := &otlpExporter{sender: s}
	span := tracetest.SpanStub{Attributes: []attribute.KeyValue{attribute.String("k", strings.Repeat("x", requestMax))}}.Snapshot()
	if err := e.ExportSpans(t.Context(), []sdktrace.ReadOnlySpan{span}); err == nil || len(s.at) != 0 {
		t.Errorf("error is %v after %d attempts, want one after none", err, len(s.at))
	}
}
