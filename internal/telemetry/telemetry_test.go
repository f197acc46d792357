package telemetry

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.uber.org/goleak"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/mobula-dev/mobula/internal/id"
	"github.com/mobula-dev/mobula/tests/otlp"
)

// childEnv makes the test's executable run one scenario that changes the process's global provider.
const childEnv = "MOBULA_TELEMETRY_CHILD"

func TestMain(m *testing.M) {
	if scenario := os.Getenv(childEnv); scenario != "" {
		if err := runChild(context.Background(), scenario); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	// Failures that tests bring about are not for the log.
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(error) {}))
	goleak.VerifyTestMain(m)
}

// waitContext bounds a wait for what has to happen.
func waitContext(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// clearEnv makes the environment that of a user who set nothing.
func clearEnv(t *testing.T) {
	t.Helper()
	for _, kv := range os.Environ() {
		if name, _, _ := strings.Cut(kv, "="); strings.HasPrefix(name, "OTEL_") {
			t.Setenv(name, "")
		}
	}
}

// environ returns that environment for a child.
func environ() []string {
	return slices.DeleteFunc(os.Environ(), func(kv string) bool { return strings.HasPrefix(kv, "OTEL_") })
}

// mustOpen opens a tracer that is on, and closes it with the test.
func mustOpen(t *testing.T, cfg Config) *Tracer {
	t.Helper()
	tracer, err := Open(t.Context(), cfg)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	if !tracer.Enabled() {
		t.Fatal("tracing is off, want it on")
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := tracer.Close(ctx); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return tracer
}

func TestTaskIsOneTraceAcrossThreeProcesses(t *testing.T) {
	clearEnv(t)
	collector := otlp.Start(t)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.Endpoint())
	t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "1")
	nodeID := id.Node{0xab}
	driver := mustOpen(t, Config{Service: "prog", Role: "driver", NodeID: nodeID})
	node := mustOpen(t, Config{Role: "node", Version: "v1", NodeID: nodeID})
	worker := mustOpen(t, Config{Service: "prog", Role: "worker", NodeID: nodeID, JobID: id.Job{2}, WorkerID: id.Worker{3}})

	call := Attributes{Function: "example.com/x/linalg.Multiply", Task: id.Task{1}, Job: id.Job{2}, CallSite: "main.go:7"}
	ctx, submit := driver.Start(t.Context(), Submit, call)
	traceparent, tracestate := Inject(ctx)
	submit.End(nil)

	at := time.Now().UnixNano()
	for attempt := uint32(1); attempt <= 2; attempt++ {
		call.Attempt = attempt
		hop, state := node.Emit(&Span{
			Attributes: call, Op: Queue, Traceparent: traceparent, Tracestate: tracestate,
			Start: at, ArgsReady: at + 1, End: at + int64(attempt)*100,
		})
		fetch := call
		fetch.Objects, fetch.Bytes = 2, 1<<20
		node.Emit(&Span{Attributes: fetch, Op: Fetch, Traceparent: hop, Tracestate: state, Start: at + 200, End: at + 300})

		running := call
		running.Job, running.Queued, running.Name = id.Job{}, 100*time.Nanosecond, "the one" // the job is the process's
		runCtx, run := worker.Start(Extract(t.Context(), hop, state), Run, running)
		if attempt == 1 {
			run.End(fmt.Errorf("worker was killed: %w", traced{}))
			continue
		}
		_, nested := worker.Start(runCtx, Submit, Attributes{Function: "example.com/x/linalg.Add[a/b.T]", Task: id.Task{4}})
		nested.End(nil)
		run.End(nil)
	}

	spans, err := collector.Wait(waitContext(t), func(s otlp.Spans) bool { return len(s) == 8 })
	if err != nil {
		t.Fatal(err)
	}
	want := `submit linalg.Multiply
  queue linalg.Multiply
    fetch
    run linalg.Multiply
  queue linalg.Multiply
    fetch
    run linalg.Multiply
      submit linalg.Add[a/b.T]
`
	if got := spans.Tree(); got != want {
		t.Errorf("trace is\n%swant\n%s", got, want)
	}
	checkRun(t, spans)
	queue, _ := spans.Named("queue linalg.Multiply").With("mobula.attempt", int64(2)).First()
	if queue.Kind != "internal" || queue.Duration() != 200 || queue.Resource["mobula.role"] != "node" || queue.Resource["service.version"] != "v1" {
		t.Errorf("queue span is %+v", queue)
	}
	if len(queue.Events) != 1 || queue.Events[0].Name != "args_ready" || queue.Events[0].At.UnixNano() != at+1 {
		t.Errorf("queue span has events %+v, want args_ready", queue.Events)
	}
	ctx = waitContext(t)
	if err := errors.Join(driver.Flush(ctx), node.Flush(ctx), worker.Flush(ctx)); err != nil {
		t.Fatal(err)
	}
	if d, n, w := driver.Stats(), node.Stats(), worker.Stats(); d != (Stats{Exported: 1}) || n != (Stats{Exported: 4}) || w != (Stats{Exported: 3}) {
		t.Errorf("stats are %+v, %+v, %+v, want 1, 4 and 3 exported", d, n, w)
	}
}

// traced is an error that knows its type and its stack.
type traced struct{}

func (traced) Error() string               { return "no luck" }
func (traced) Exception() (string, string) { return "user.Error", strings.Repeat("x", 2*stackMax) }

// checkRun checks the attributes of the two runs of the task.
func checkRun(t *testing.T, spans otlp.Spans) {
	t.Helper()
	runs := spans.Named("run linalg.Multiply")
	failed, _ := runs.With("mobula.attempt", int64(1)).First()
	if !failed.Failed || failed.Message != "worker was killed: no luck" {
		t.Errorf("first run has failed=%v message=%q", failed.Failed, failed.Message)
	}
	exception := map[string]any{
		"exception.type": "user.Error", "exception.message": "worker was killed: no luck", "exception.stacktrace": strings.Repeat("x", stackMax),
	}
	if e := failed.Events; len(e) != 1 || e[0].Name != "exception" || !maps.Equal(e[0].Attributes, exception) {
		t.Errorf("first run has events %v", e)
	}
	run, _ := runs.With("mobula.attempt", int64(2)).First()
	if run.Failed || run.Kind != "server" || run.Resource["service.name"] != "prog" || run.Resource["mobula.role"] != "worker" || run.Scope != scope {
		t.Errorf("second run is %+v", run)
	}
	for key, want := range map[string]any{
		"mobula.function":  "example.com/x/linalg.Multiply",
		"mobula.task.id":   id.Task{1}.String(),
		"mobula.job.id":    id.Job{2}.String(),
		"mobula.worker.id": id.Worker{3}.String(),
		"mobula.node.id":   id.Node{0xab}.String(),
		"mobula.call_site": "main.go:7",
		"mobula.queue_ns":  int64(100),
		"mobula.name":      "the one",
	} {
		if got := run.Attributes[key]; got != want {
			t.Errorf("run has %s = %v, want %v", key, got, want)
		}
	}
	if _, ok := run.Attributes["mobula.actor.id"]; ok {
		t.Error("run has mobula.actor.id, want it left out")
	}
}

func TestActorCallLinksToCreation(t *testing.T) {
	clearEnv(t)
	collector := otlp.Start(t)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.Endpoint())
	tracer := mustOpen(t, Config{})
	creation, _ := tracer.Emit(&Span{Op: Queue, Attributes: Attributes{Function: "p.NewStore"}})
	actor := Attributes{Function: "p.Store.Get", Actor: id.Actor{5}, Incarnation: 1, Link: creation}
	_, call := tracer.Start(t.Context(), Run, actor)
	call.End(nil)
	if err := tracer.Flush(waitContext(t)); err != nil {
		t.Fatal(err)
	}
	spans := collector.Spans()
	created, _ := spans.Named("queue p.NewStore").First()
	called, _ := spans.Named("run p.Store.Get").First()
	if len(called.Links) != 1 || called.Links[0] != created.ID() || called.TraceID == created.TraceID {
		t.Errorf("call %s links to %v, want the creation %s of another trace", called.ID(), called.Links, created.ID())
	}
	if called.Attributes["mobula.actor.id"] != (id.Actor{5}).String() || called.Attributes["mobula.incarnation"] != int64(1) {
		t.Errorf("call has attributes %v", called.Attributes)
	}
}

func TestExportsOverHTTPWithHeadersAndCompression(t *testing.T) {
	clearEnv(t)
	collector := otlp.Start(t)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.HTTPEndpoint())
	t.Setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")
	t.Setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-api-key=s3cret")
	t.Setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")
	t.Setenv("OTEL_SERVICE_NAME", "named")
	t.Setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment=lab")
	tracer := mustOpen(t, Config{Service: "prog"})
	_, span := tracer.Start(t.Context(), Submit, Attributes{})
	span.End(nil)
	if err := tracer.Flush(waitContext(t)); err != nil {
		t.Fatal(err)
	}
	got, ok := collector.Spans().Named("submit").First()
	if !ok || got.Resource["service.name"] != "named" || got.Resource["deployment.environment"] != "lab" {
		t.Errorf("got %+v", got)
	}
	if key := collector.Header("x-api-key"); len(key) != 1 || key[0] != "s3cret" {
		t.Errorf("header x-api-key is %q", key)
	}
}

func TestHeadersReachCollectorOverGRPCWithBareEndpoint(t *testing.T) {
	clearEnv(t)
	collector := otlp.Start(t)
	t.Setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", strings.Replace(collector.Endpoint(), "http://127.0.0.1", "localhost", 1))
	t.Setenv("OTEL_EXPORTER_OTLP_INSECURE", "true")
	t.Setenv("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "x-api-key=s3cret")
	tracer := mustOpen(t, Config{})
	tracer.Emit(&Span{Op: Queue, Start: 1, End: 2})
	if err := tracer.Flush(waitContext(t)); err != nil {
		t.Fatal(err)
	}
	if key := collector.Header("x-api-key"); len(key) != 1 || key[0] != "s3cret" {
		t.Errorf("header x-api-key is %q", key)
	}
}

func TestTextThatIsNotUTF8IsExported(t *testing.T) {
	clearEnv(t)
	collector := otlp.Start(t)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.Endpoint())
	tracer := mustOpen(t, Config{Service: "\xff"})
	bad := "\xc3\x28" + strings.Repeat("€", textMax)
	_, span := tracer.Start(t.Context(), Run, Attributes{Function: bad, CallSite: bad})
	span.End(errors.New(bad))
	if err := tracer.Flush(waitContext(t)); err != nil {
		t.Fatal(err)
	}
	if got := len(collector.Spans()); got != 1 {
		t.Errorf("%d spans came, want 1", got)
	}
}

func TestSamplerDecidesAtTheRootAndIsRespected(t *testing.T) {
	clearEnv(t)
	collector := otlp.Start(t)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.Endpoint())
	t.Setenv("OTEL_TRACES_SAMPLER", "parentbased_traceidratio")
	t.Setenv("OTEL_TRACES_SAMPLER_ARG", "0")
	off := mustOpen(t, Config{Role: "driver"})
	t.Setenv("OTEL_TRACES_SAMPLER", "")
	on := mustOpen(t, Config{Role: "node"})

	ctx, submit := off.Start(t.Context(), Submit, Attributes{})
	submit.End(nil)
	traceparent, _ := Inject(ctx)
	if !strings.HasSuffix(traceparent, "-00") {
		t.Fatalf("traceparent of a span that is not sampled is %q, want one that says so", traceparent)
	}
	hop, _ := on.Emit(&Span{Op: Queue, Traceparent: traceparent, Start: 1, End: 2})
	if hop != traceparent {
		t.Errorf("next hop has %q, want the parent's %q", hop, traceparent)
	}
	_, run := on.Start(Extract(t.Context(), hop, ""), Run, Attributes{})
	run.End(nil)
	root, _ := off.Emit(&Span{Op: Queue, Start: 1, End: 2})
	if !strings.HasSuffix(root, "-00") {
		t.Errorf("root that the sampler refused has %q, want one that says so", root)
	}
	// A forged parent is as none: the node's own sampler takes the span as a root.
	on.Emit(&Span{Op: Queue, Traceparent: "00-forged", Start: 1, End: 2})
	if err := errors.Join(off.Flush(waitContext(t)), on.Flush(waitContext(t))); err != nil {
		t.Fatal(err)
	}
	if got := collector.Spans(); len(got) != 1 || got[0].ParentID != "" {
		t.Errorf("collector has %+v, want only the root", got)
	}
}

func TestDeadCollectorBlocksNobody(t *testing.T) {
	clearEnv(t)
	t.Setenv("OTEL_BSP_MAX_QUEUE_SIZE", "64")
	t.Setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "16")
	collector := otlp.Start(t)
	resume := collector.Stall()
	defer resume()
	for name, endpoint := range map[string]string{"down": "http://127.0.0.1:1", "hanging": collector.Endpoint()} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
			tracer, err := Open(t.Context(), Config{})
			if err != nil {
				t.Fatal(err)
			}
			const emitted = 1000
			for range emitted {
				if next, _ := tracer.Emit(&Span{Op: Queue, Start: 1, End: 2}); next == "" {
					t.Fatal("span has no traceparent")
				}
			}
			// At most one batch is with the exporter while the queue is full.
			if got := tracer.Stats().Dropped; got < emitted-64-16 {
				t.Errorf("%d spans dropped, want at least %d", got, emitted-64-16)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()
			if err := tracer.Close(ctx); err == nil {
				t.Error("Close reports no error, though spans were lost")
			}
			if s := tracer.Stats(); s.Exported != 0 || s.Dropped+s.Failed != emitted {
				t.Errorf("after Close stats are %+v, want %d spans lost", s, emitted)
			}
			// Later spans are dropped, and closing again is harmless.
			tracer.Emit(&Span{Op: Queue})
			if err := tracer.Close(ctx); err != nil {
				t.Errorf("second Close: %v", err)
			}
		})
	}
}

func TestCollectorThatRefusesIsCounted(t *testing.T) {
	clearEnv(t)
	collector := otlp.Start(t)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.Endpoint())
	tracer := mustOpen(t, Config{})
	collector.Refuse(status.Error(codes.PermissionDenied, "\x1b[2Jno\n"))
	tracer.Emit(&Span{Op: Queue, Start: 1, End: 2})
	err := tracer.Flush(waitContext(t))
	if !errors.Is(err, errExport) || strings.ContainsAny(err.Error(), "\x1b\n") {
		t.Errorf("Flush says %v, want errExport without control characters", err)
	}
	collector.Refuse(nil)
	tracer.Emit(&Span{Op: Queue, Start: 1, End: 2})
	if err := tracer.Flush(waitContext(t)); err != nil {
		t.Fatal(err)
	}
	if s := tracer.Stats(); s.Exported != 1 || s.Failed != 1 {
		t.Errorf("stats are %+v, want one exported and one failed", s)
	}
}

func TestGlobalProvider(t *testing.T) {
	t.Parallel()
	executable, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, scenario := range []string{"use", "install"} {
		t.Run(scenario, func(t *testing.T) {
			t.Parallel()
			collector := otlp.Start(t)
			cmd := exec.CommandContext(waitContext(t), executable)
			cmd.Env = append(environ(), childEnv+"="+scenario, "OTEL_EXPORTER_OTLP_ENDPOINT="+collector.Endpoint())
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("child: %v\n%s", err, out)
			}
			want := ""
			if scenario == "install" {
				want = "run\n  load\n"
			}
			if got := collector.Spans().Tree(); got != want {
				t.Errorf("collector has\n%swant\n%s", got, want)
			}
		})
	}
}

// runChild runs a scenario in a process of its own, whose global provider it changes.
func runChild(ctx context.Context, scenario string) error {
	if installed(otel.GetTracerProvider()) {
		return errors.New("OpenTelemetry's placeholder is taken for the program's provider")
	}
	if scenario == "install" {
		tracer, err := Open(ctx, Config{InstallGlobal: true})
		if err != nil {
			return err
		}
		if installed(otel.GetTracerProvider()) {
			return errors.New("our own provider is taken for the program's")
		}
		runCtx, run := tracer.Start(ctx, Run, Attributes{})
		_, load := otel.Tracer("user").Start(runCtx, "load")
		load.End()
		run.End(nil)
		return tracer.Close(ctx)
	}

	users := tracetest.NewInMemoryExporter()
	otel.SetTracerProvider(sdktrace.NewTracerProvider(sdktrace.WithBatcher(users)))
	tracer, err := Open(ctx, Config{UseGlobal: true, InstallGlobal: true})
	if err != nil {
		return err
	}
	parentCtx, parent := otel.Tracer("user").Start(ctx, "request")
	submitCtx, submit := tracer.Start(parentCtx, Submit, Attributes{})
	traceparent, tracestate := Inject(submitCtx)
	hop, _ := tracer.Emit(&Span{Op: Queue, Traceparent: traceparent, Tracestate: tracestate, Start: 1, End: 2})
	submit.End(nil)
	parent.End()
	if err := tracer.Close(ctx); err != nil {
		return err
	}
	spans := users.GetSpans()
	if len(spans) != 3 {
		return fmt.Errorf("the program's exporter has %d spans, want 3", len(spans))
	}
	for _, s := range spans {
		if s.SpanContext.TraceID() != parent.SpanContext().TraceID() {
			return fmt.Errorf("span %q is in another trace", s.Name)
		}
	}
	if queue := spans[0]; queue.Name != "queue" || format(queue.SpanContext) != hop || format(queue.Parent) != traceparent {
		return fmt.Errorf("queue span is %+v", queue)
	}
	return nil
}
