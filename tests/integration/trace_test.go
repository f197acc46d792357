package integration

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mobula-dev/mobula/clients/go/mobula"
	"github.com/mobula-dev/mobula/tests/harness"
	"github.com/mobula-dev/mobula/tests/harness/gate"
	"github.com/mobula-dev/mobula/tests/integration/work"
	"github.com/mobula-dev/mobula/tests/otlp"
)

// skew is how far the clocks of two processes may seem apart: each counts from its own start, and the system may adjust its clock meanwhile.
const skew = 20 * time.Millisecond

// traced is the program of a driver whose node has one CPU. A task holds that at the gate, which is the input; another one, which calls itself
// once, has to queue. It ends when the test has seen its spans: a worker that its node kills exports nothing more.
func traced(ctx context.Context, input string, out io.Writer) error {
	ctx, stop, err := mobula.Init(ctx, mobula.WithCPUs(1))
	if err != nil {
		return err
	}
	defer stop()
	held := work.StopRemote(ctx, input, "held")
	queued := work.DepthRemote(ctx, 1)
	if _, err := held.Get(ctx); err != nil {
		return err
	}
	n, err := queued.Get(ctx)
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintln(out, n); err != nil {
		return err
	}
	_, err = gate.Pass(ctx, input, "finished")
	return err
}

// TestOneTraceFollowsATaskThroughTheProcesses collects, over OTLP, the spans that a driver, its node and a worker export because the
// standard variables tell them to.
func TestOneTraceFollowsATaskThroughTheProcesses(t *testing.T) {
	t.Parallel()
	for protocol, endpoint := range map[string]func(*otlp.Collector) string{
		"grpc": (*otlp.Collector).Endpoint, "http/protobuf": (*otlp.Collector).HTTPEndpoint,
	} {
		t.Run(protocol, func(t *testing.T) {
			t.Parallel()
			harness.Alone(t, func() {
				collector := otlp.Start(t)
				g := gate.New(t)
				d := harness.StartDriver(t, "traced", g.Address(), "OTEL_EXPORTER_OTLP_ENDPOINT="+endpoint(collector),
					"OTEL_EXPORTER_OTLP_PROTOCOL="+protocol, "OTEL_BSP_SCHEDULE_DELAY=10", "OTEL_SERVICE_NAME=")
				held := g.Await(t, "held")
				node := harness.Embedded(t)
				harness.Eventually(t, harness.Patience, "a task queues", func() bool { return harness.Status(t, node).GetTasks().GetQueued() == 1 })
				queuing := time.Now() // From here to there the task queues: nothing else is going on.
				released := time.Now()
				held.Release("")
				if line := d.Line(t); line != "1" {
					t.Errorf("the driver says %q", line)
				}
				checkTraces(t, collector, d.PID(), held.PID, queuing, released)
				g.Await(t, "finished").Release("")
				if state := d.Wait(t); !state.Success() {
					t.Errorf("the driver ended with %v", state)
				}
			})
		})
	}
}

// checkTraces checks the spans of the program traced: which there are, who made them, and what times they say.
func checkTraces(t *testing.T, collector *otlp.Collector, driver, worker int, queuing, released time.Time) {
	t.Helper()
	const want = `submit work.Stop
  queue work.Stop
    run work.Stop
submit work.Depth
  queue work.Depth
    run work.Depth
      submit work.Depth
        queue work.Depth
          run work.Depth
`
	ctx, cancel := context.WithTimeout(t.Context(), harness.Patience)
	defer cancel()
	spans, err := collector.Wait(ctx, func(s otlp.Spans) bool { return len(s) >= 9 })
	if err != nil {
		t.Fatal(err)
	}
	if got := spans.Tree(); got != want {
		t.Fatalf("the spans are\n%swant\n%s", got, want)
	}
	root, _ := spans.Named("submit work.Depth").Where(func(s otlp.Span) bool { return s.ParentID == "" }).First()
	var path otlp.Spans
	for children := (otlp.Spans{root}); len(children) > 0; children = spans.Children(children[0]) {
		path = append(path, children[0])
	}
	for i, role := range []string{"driver", "node", "worker", "worker", "node", "worker"} {
		s := path[i]
		if s.TraceID != root.TraceID || s.Resource["mobula.role"] != role || s.Failed {
			t.Errorf("span %q is of trace %s, made by the %v, and says %q; want trace %s and the %s",
				s.Name, s.TraceID, s.Resource["mobula.role"], s.Message, root.TraceID, role)
		}
		for _, key := range [][]string{
			{"mobula.call_site", "submit", "queue"}, {"mobula.queue_ns", "queue", "run"}, {"mobula.worker.id", "queue", "run"}, {"mobula.attempt", "queue", "run"},
			{"mobula.task.id"}, {"mobula.function"}, {"mobula.job.id"}, {"mobula.node.id"},
		} {
			op, _, _ := strings.Cut(s.Name, " ")
			if s.Attributes[key[0]] == nil && (len(key) == 1 || slices.Contains(key[1:], op)) {
				t.Errorf("span %q lacks %s: %v", s.Name, key[0], s.Attributes)
			}
		}
		if s.Attributes["mobula.job.id"] != root.Attributes["mobula.job.id"] {
			t.Errorf("span %q is of another job than the root", s.Name)
		}
	}
	if path[0].Resource["process.pid"] != int64(driver) || path[2].Resource["process.pid"] != int64(worker) || path[1].Resource["service.name"] != "mobula" {
		t.Errorf("the resources are %v, %v and %v", path[0].Resource, path[1].Resource, path[2].Resource)
	}
	submit, queue, run := path[0], path[1], path[2]
	if site, _ := submit.Attributes["mobula.call_site"].(string); !strings.Contains(site, "trace_test.go:") || site != queue.Attributes["mobula.call_site"] {
		t.Errorf("the call was at %v, it queued for that at %v", site, queue.Attributes["mobula.call_site"])
	}
	if queue.Attributes["mobula.worker.id"] != run.Attributes["mobula.worker.id"] || queue.Attributes["mobula.queue_ns"] != run.Attributes["mobula.queue_ns"] {
		t.Errorf("the queue says %v, the run %v", queue.Attributes, run.Attributes)
	}
	for _, c := range []struct {
		what          string
		before, after time.Time
	}{
		{"the call began after it queued", submit.Start, queue.Start},
		{"it queued when the driver already waited", queue.Start, queuing},
		{"it left the queue before there was a CPU", released, queue.End},
		{"it ran before it left the queue", queue.End, run.Start},
		{"it ended before the nested call", path[5].End, run.End},
	} {
		if c.before.After(c.after.Add(skew)) {
			t.Errorf("%s, by %v", c.what, c.before.Sub(c.after))
		}
	}
	if len(queue.Events) != 1 || queue.Events[0].Name != "args_ready" {
		t.Errorf("the queue's events are %v", queue.Events)
	}
}
