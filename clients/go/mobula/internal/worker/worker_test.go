package worker

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"

	"github.com/mobula-dev/mobula/clients/go/mobula/internal/codec"
	"github.com/mobula-dev/mobula/clients/go/mobula/internal/core"
	"github.com/mobula-dev/mobula/clients/go/mobula/internal/nodetest"
	"github.com/mobula-dev/mobula/clients/go/mobula/internal/session"
	"github.com/mobula-dev/mobula/internal/errorvalue"
	"github.com/mobula-dev/mobula/internal/id"
	"github.com/mobula-dev/mobula/internal/wire"
)

// host is a worker, its node, and what the functions below do in it.
type host struct {
	*nodetest.Node
	t testing.TB
	w *Worker
}

// bodies are what registered functions do, by the name that their calls give as the argument: tests add theirs.
var bodies sync.Map

// body registers what a call with that argument does.
func (h *host) body(name string, f func(ctx context.Context) error) string {
	name = h.t.Name() + "/" + name
	bodies.Store(name, f)
	h.t.Cleanup(func() { bodies.Delete(name) })
	return name
}

// run is the handler of every function and method.
func run(ctx context.Context, in *core.Args, out *core.Results) error {
	name := core.Next[string](in)
	if err := in.Err(); err != nil {
		return err
	}
	f, ok := bodies.Load(name)
	if !ok {
		core.Set(out, name)
		return out.Err()
	}
	if err := f.(func(context.Context) error)(ctx); err != nil { //nolint:errcheck,forcetypeassert // body stores nothing else
		return out.Fail(err)
	}
	core.Set(out, name)
	return out.Err()
}

// shop is the actor. Its Close runs the body of its name, if there is one.
type shop struct{ name string }

func (s *shop) Close() error {
	if f, ok := bodies.Load(s.name + " closes"); ok {
		return f.(func(context.Context) error)(context.Background()) //nolint:errcheck,forcetypeassert // body stores nothing else
	}
	return nil
}

const (
	aFunction = mobulav1.TemplateKind_TEMPLATE_KIND_FUNCTION
	anActor   = mobulav1.TemplateKind_TEMPLATE_KIND_ACTOR
	aMethod   = mobulav1.TemplateKind_TEMPLATE_KIND_METHOD
)

var functions = map[mobulav1.TemplateKind]*core.Func{
	aFunction: core.Register(&core.Func{Kind: aFunction, Name: "workertest.Run", Returns: 1, Params: []string{"name"}, Function: run}, nil, nil),
	anActor: core.Register(&core.Func{Kind: anActor, Name: "workertest.NewShop", Returns: 1, Constructor: func(ctx context.Context, in *core.Args) (any, error) {
		name := core.Next[string](in)
		if f, ok := bodies.Load(name); ok {
			return &shop{name}, f.(func(context.Context) error)(ctx) //nolint:errcheck,forcetypeassert // body stores nothing else
		}
		return &shop{name}, in.Err()
	}}, nil, nil),
	aMethod: core.Register(&core.Func{Kind: aMethod, Name: "workertest.Shop.Run", Returns: 1,
		Method: func(ctx context.Context, _ any, in *core.Args, out *core.Results) error { return run(ctx, in, out) }}, nil, nil),
}

// start starts a worker. Template k is of kind k; template 10+n is the actor with max_concurrency n; template 99 is not in this program.
func start(t testing.TB) *host {
	t.Helper()
	n, nc := nodetest.New(t)
	h := &host{Node: n, t: t, w: New()}
	s, err := session.Open(nodetest.Context(t), nc, session.Config{
		Hello: new(mobulav1.Hello), Worker: h.w,
		Opened: func(s *session.Session) {
			rt := &core.Runtime{Session: s, Worker: h.w}
			s.SetOwner(rt)
			h.w.Attach(rt)
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.Hangup(); <-s.Done() })
	for kind, f := range functions {
		n.Send(mobulav1.FrameKind_FRAME_KIND_TEMPLATE, &mobulav1.Template{Id: uint32(kind), Kind: kind, Name: f.Name})
	}
	n.Send(mobulav1.FrameKind_FRAME_KIND_TEMPLATE, &mobulav1.Template{
		Id: 14, Kind: anActor, Name: functions[anActor].Name, Options: &mobulav1.Options{MaxConcurrency: 4},
	})
	n.Send(mobulav1.FrameKind_FRAME_KIND_TEMPLATE, &mobulav1.Template{Id: 99, Kind: aFunction, Name: "workertest.Elsewhere"})
	return h
}

// handles counts the calls of all tests.
var handles struct {
	mu   sync.Mutex // guards last
	last uint64
}

// call sends a call and returns its handle.
func (h *host) call(lane, template uint32, arg string, change ...func(*mobulav1.Execute)) uint64 {
	h.t.Helper()
	handles.mu.Lock()
	handles.last++
	handle := handles.last
	handles.mu.Unlock()
	m := &mobulav1.Execute{Handle: handle, Lane: lane, Template: template, TaskId: make([]byte, 16), Attempt: 1, Args: args(h.t, arg)}
	for _, c := range change {
		c(m)
	}
	h.Send(mobulav1.FrameKind_FRAME_KIND_EXECUTE, m)
	return handle
}

// of makes a call one of an actor.
func of(a id.Actor) func(*mobulav1.Execute) {
	return func(m *mobulav1.Execute) { m.ActorId = a[:] }
}

// args are the arguments of a call: one text, and refs that it has inside.
func args(t testing.TB, text string, refs ...id.Object) []byte {
	t.Helper()
	var e codec.Encoder
	e.BeginArray(1)
	if err := codec.Encode(&e, text); err != nil {
		t.Fatal(err)
	}
	f := e.Finish()
	v := mobulav1.Value{Format: mobulav1.ValueFormat_VALUE_FORMAT_MSGPACK, Meta: f.Meta, Buffers: f.Buffers}
	for _, r := range refs {
		v.Refs = append(v.Refs, r[:]...)
	}
	b, err := v.MarshalVT()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// done receives the outcome of the call that must be the next to end.
func (h *host) done(handle uint64) *mobulav1.Done {
	h.t.Helper()
	m := new(mobulav1.Done)
	h.Receive(mobulav1.FrameKind_FRAME_KIND_DONE, m)
	if m.GetHandle() != handle {
		h.t.Fatalf("call %d ended: %v; want call %d", m.GetHandle(), outcomeOf(m), handle)
	}
	return m
}

// ok receives a success.
func (h *host) ok(handles ...uint64) {
	h.t.Helper()
	for _, handle := range handles {
		if m := h.done(handle); m.GetFailed() {
			h.t.Fatalf("call %d failed: %v", handle, outcomeOf(m))
		}
	}
}

// failed receives a failure whose text has the given words.
func (h *host) failed(handle uint64, words string) *mobulav1.ErrorValue {
	h.t.Helper()
	m := h.done(handle)
	e := errorvalue.Decode(m.GetResults()[0])
	if !m.GetFailed() || !strings.Contains(e.GetMessage(), words) {
		h.t.Fatalf("call %d: %v; want a failure that says %q", handle, outcomeOf(m), words)
	}
	return e
}

func outcomeOf(m *mobulav1.Done) string {
	if !m.GetFailed() {
		return "success"
	}
	return errorvalue.Decode(m.GetResults()[0]).String()
}

// gate is a body that waits.
type gate struct {
	name    string
	entered chan struct{}
	open    chan struct{}
}

// gate registers a body that says that it runs, and waits until it is opened or its context has ended.
func (h *host) gate(name string) *gate {
	g := &gate{entered: make(chan struct{}, 100), open: make(chan struct{})}
	g.name = h.body(name, func(ctx context.Context) error {
		g.entered <- struct{}{}
		select {
		case <-g.open:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	})
	return g
}

// wait waits until the body runs once more.
func (g *gate) wait(t *testing.T) {
	t.Helper()
	select {
	case <-g.entered:
	case <-nodetest.Context(t).Done():
		t.Fatalf("%s does not run", g.name)
	}
}

// deaf is a gate that does not heed its context.
func (h *host) deaf(name string) *gate {
	g := &gate{entered: make(chan struct{}, 100), open: make(chan struct{})}
	g.name = h.body(name, func(context.Context) error { g.entered <- struct{}{}; <-g.open; return nil })
	return g
}

func TestCallsOfALaneRunOneAfterAnotherAndLanesSideBySide(t *testing.T) {
	t.Parallel()
	h := start(t)
	g := h.gate("wait")
	first, second := h.call(1, uint32(aFunction), g.name), h.call(1, uint32(aFunction), "second")
	g.wait(t)
	h.ok(h.call(2, uint32(aFunction), "beside"))
	close(g.open)
	h.ok(first, second)
}

func TestAnEndOfTheGoroutineIsTheCallsFailureAndTheLaneGoesOn(t *testing.T) {
	t.Parallel()
	h := start(t)
	exit := h.body("exit", func(context.Context) error { runtime.Goexit(); return nil })
	first, second, third := h.call(1, uint32(aFunction), exit), h.call(1, uint32(aFunction), exit), h.call(1, uint32(aFunction), "after")
	for _, handle := range []uint64{first, second} {
		e := h.failed(handle, "runtime.Goexit")
		if e.GetKind() != mobulav1.ErrorKind_ERROR_KIND_TASK_FAILED || e.GetExecution() != mobulav1.Execution_EXECUTION_FAILED {
			t.Errorf("kind %v, %v", e.GetKind(), e.GetExecution())
		}
	}
	h.ok(third, h.call(1, uint32(aFunction), "later"))
}

func TestAnEndOfTheGoroutineInAnActorLeavesItAlive(t *testing.T) {
	t.Parallel()
	h := start(t)
	a := id.Actor{1}
	exit := h.body("exit", func(context.Context) error { runtime.Goexit(); return nil })
	h.failed(h.call(1, uint32(anActor), exit, of(a)), "runtime.Goexit")
	h.ok(h.call(1, 14, "", of(a)))
	for range 8 { // more than run at a time
		h.failed(h.call(1, uint32(aMethod), exit, of(a)), "runtime.Goexit")
	}
	g := h.gate("together")
	var calls []uint64
	for range 4 {
		calls = append(calls, h.call(1, uint32(aMethod), g.name, of(a)))
	}
	for range calls { // all at once: no goroutine was lost
		g.wait(t)
	}
	close(g.open)
	for range calls {
		h.Receive(mobulav1.FrameKind_FRAME_KIND_DONE, new(mobulav1.Done))
	}
}

func TestRefsOfAFunctionThatEndsItsGoroutineAreHeldLikeAnyOthers(t *testing.T) {
	t.Parallel()
	h := start(t)
	exit := h.body("exit", func(context.Context) error { runtime.Goexit(); return nil })
	oid := id.Task{7}.Object(0)
	handle := h.call(1, uint32(aFunction), exit, func(m *mobulav1.Execute) { m.Args = args(t, exit, oid) })
	var m mobulav1.Hold
	h.Receive(mobulav1.FrameKind_FRAME_KIND_HOLD, &m) // before Done
	if string(m.GetObjectIds()) != string(oid[:]) {
		t.Errorf("holds %x", m.GetObjectIds())
	}
	h.failed(handle, "runtime.Goexit")
}

// nilError is a user's error that panics when it is nil and read.
type nilError struct{ text string }

func (e *nilError) Error() string { return e.text }

// listError is a user's error that cannot be compared.
type listError []string

func (l listError) Error() string { return strings.Join(l, ", ") }

// nobody is a list without anybody, whatever its caller believes.
func nobody(int) []string { return nil }

func TestFailuresOfFunctionsAreTheirsAndNotTheWorkers(t *testing.T) {
	t.Parallel()
	h := start(t)
	for name, c := range map[string]struct {
		body  func(context.Context) error
		words string
	}{
		"an error":                      {func(context.Context) error { return errors.New("no luck") }, "no luck"},
		"an error that is a list":       {func(context.Context) error { return listError{"a", "b"} }, "a, b"},
		"an error that is a nil":        {func(context.Context) error { var e *nilError; return e }, "panics when it is read"},
		"an error of a megabyte":        {func(context.Context) error { return errors.New(strings.Repeat("long ", 1<<18)) }, "long long"},
		"an error that is not UTF-8":    {func(context.Context) error { return errors.New("broken \xff") }, "broken \uFFFD"},
		"a panic":                       {func(context.Context) error { panic("ouch") }, "panic: ouch"},
		"a panic with an error":         {func(context.Context) error { panic(listError{"a"}) }, "panic: a"},
		"a panic of the runtime":        {func(context.Context) error { return listError{nobody(7)[7]} }, "index out of range"},
		"a panic with nothing":          {func(context.Context) error { panic(nil) }, "panic called with nil"},
		"a panic that panics when read": {func(context.Context) error { var e *nilError; panic(e) }, "panic"},
	} {
		handle := h.call(1, uint32(aFunction), h.body(name, c.body))
		e := h.failed(handle, c.words)
		if e.GetKind() != mobulav1.ErrorKind_ERROR_KIND_TASK_FAILED || e.GetFunction() != "workertest.Run" || e.GetPid() == 0 || e.GetAttempt() != 1 {
			t.Errorf("%s: %v", name, e)
		}
		if strings.HasPrefix(name, "a panic") && !strings.Contains(e.GetStack(), "worker_test.go") && c.words != "panic" {
			t.Errorf("%s: the stack does not name the place:\n%s", name, e.GetStack())
		}
	}
}

func TestACallThatCannotRunIsNotExecuted(t *testing.T) {
	t.Parallel()
	h := start(t)
	h.failed(h.call(1, 99, "x"), "workertest.Elsewhere is not in this program")
	h.failed(h.call(1, uint32(aMethod), "x", of(id.Actor{9})), "is not in this process")
	h.failed(h.call(1, uint32(aFunction), "x", func(m *mobulav1.Execute) { m.Args = []byte{0xff} }), "read value")
	h.failed(h.call(1, uint32(aFunction), "x", func(m *mobulav1.Execute) { m.TaskId = []byte("abc") }), "3 bytes")
	h.ok(h.call(1, uint32(aFunction), "goes on"))
}

func TestAResultThatIsTooLongForItsFrameIsAnError(t *testing.T) {
	t.Parallel()
	h := start(t)
	h.ok(h.call(1, uint32(aFunction), strings.Repeat("x", 99<<10)))
	many := core.Register(&core.Func{Kind: aFunction, Name: "workertest.Many", Returns: 20, Function: func(_ context.Context, _ *core.Args, out *core.Results) error {
		for range 20 {
			core.Set(out, strings.Repeat("x", 99<<10))
		}
		return out.Err()
	}}, nil, nil)
	h.Send(mobulav1.FrameKind_FRAME_KIND_TEMPLATE, &mobulav1.Template{Id: 50, Kind: aFunction, Name: many.Name})
	h.failed(h.call(1, 50, "x"), "frame exceeds 1 MiB")
	h.ok(h.call(1, uint32(aFunction), "goes on"))
}

func TestAnEndedActorsLaneIsFreeForOthers(t *testing.T) {
	t.Parallel()
	for name, template := range map[string]uint32{"that ran one call at a time": uint32(anActor), "that ran four at a time": 14} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := start(t)
			a := id.Actor{byte(template)}
			h.ok(h.call(1, template, "", of(a)))
			h.ok(h.call(1, uint32(aMethod), "before", of(a))) // the lane was empty in between
			g := h.deaf("does not end")
			stuck := h.call(1, uint32(aMethod), g.name, of(a))
			g.wait(t)
			h.Send(mobulav1.FrameKind_FRAME_KIND_ACTOR_GONE, &mobulav1.ActorGone{ActorId: a[:]})

			one := h.gate("one")
			first, second := h.call(1, uint32(aFunction), one.name), h.call(1, uint32(aFunction), one.name)
			one.wait(t) // does not wait for the method of the actor that is gone
			query(h)
			if len(one.entered) > 0 {
				t.Error("two tasks of one lane run at a time")
			}
			close(one.open)
			h.ok(first, second)
			close(g.open)
			h.ok(stuck)
			h.ok(h.call(1, uint32(aFunction), "later"))
		})
	}
}

// query lets a call on a lane of its own pass: what was sent before it was handled.
func query(h *host) {
	h.t.Helper()
	h.ok(h.call(1000, uint32(aFunction), "passes"))
}

func TestAnActorsEndCancelsItsCallsAndClosesIt(t *testing.T) {
	t.Parallel()
	h := start(t)
	a := id.Actor{3}
	closed := make(chan struct{})
	bodies.Store(t.Name()+" closes", func(context.Context) error { close(closed); panic("it closes badly") })
	h.ok(h.call(1, uint32(anActor), t.Name(), of(a)))
	g := h.gate("running")
	running, queued := h.call(1, uint32(aMethod), g.name, of(a)), h.call(1, uint32(aMethod), "queued", of(a))
	g.wait(t)
	h.Send(mobulav1.FrameKind_FRAME_KIND_ACTOR_GONE, &mobulav1.ActorGone{ActorId: a[:]})
	h.failed(running, "has ended")
	h.failed(queued, "has ended")
	<-closed
	h.ok(h.call(1, uint32(aFunction), "goes on"))
}

func TestACallThatIsCancelledBeforeItBeginsDoesNotRun(t *testing.T) {
	t.Parallel()
	h := start(t)
	g := h.gate("first")
	first, second := h.call(1, uint32(aFunction), g.name), h.call(1, uint32(aFunction), g.name)
	g.wait(t)
	for _, handle := range []uint64{second, first, 1 << 60} { // the last is nobody's
		h.Send(mobulav1.FrameKind_FRAME_KIND_CANCEL_TASK, &mobulav1.CancelTask{Handle: handle, Reason: fmt.Sprint("enough of ", handle)})
	}
	h.failed(first, fmt.Sprint("enough of ", first))
	h.failed(second, fmt.Sprint("enough of ", second))
	if len(g.entered) > 0 {
		t.Error("a call ran that was cancelled before")
	}
}

func TestADeadlineEndsTheContextOfACall(t *testing.T) {
	t.Parallel()
	h := start(t)
	g := h.gate("slow")
	e := h.failed(h.call(1, uint32(aFunction), g.name, func(m *mobulav1.Execute) { m.TimeoutNs = int64(20 * time.Millisecond) }), "deadline exceeded")
	if !errors.Is(core.FromValue(e), context.DeadlineExceeded) {
		t.Error("errors.Is does not find the deadline")
	}
}

func TestRevokeGivesBackWhatHasNotBegun(t *testing.T) {
	t.Parallel()
	h := start(t)
	g := h.gate("first")
	first, second, third := h.call(1, uint32(aFunction), g.name), h.call(1, uint32(aFunction), "x"), h.call(1, uint32(aFunction), "y")
	g.wait(t)
	for _, want := range [][]uint64{{second, third}, nil} {
		h.Send(mobulav1.FrameKind_FRAME_KIND_REVOKE, &mobulav1.Revoke{Lane: 1})
		var m mobulav1.Revoked
		h.Receive(mobulav1.FrameKind_FRAME_KIND_REVOKED, &m)
		if m.GetLane() != 1 || !slices.Equal(m.GetReturned(), want) {
			t.Errorf("revoked %v, want %v", m.GetReturned(), want)
		}
	}
	close(g.open)
	h.ok(first)
}

func TestACallThatWaitsLendsItsCPUAndGivesBackItsQueue(t *testing.T) {
	t.Parallel()
	h := start(t)
	outcome := make(chan error, 1)
	get := h.body("get", func(ctx context.Context) error {
		rt, _ := core.From(ctx)
		o := rt.Session.NewScope(nil).Object(id.Task{5}.Object(0))
		_, err := core.Get[string](context.WithoutCancel(ctx), rt, o)
		outcome <- err
		return err
	})
	waits, behind := h.call(1, uint32(aFunction), get), h.call(1, uint32(aFunction), "behind")
	var blocked mobulav1.Blocked
	var asked mobulav1.Get
	for range 2 { // in either order
		kind, payload := h.Next()
		switch kind {
		case mobulav1.FrameKind_FRAME_KIND_BLOCKED:
			if err := blocked.UnmarshalVT(payload); err != nil {
				t.Fatal(err)
			}
		case mobulav1.FrameKind_FRAME_KIND_GET:
			if err := asked.UnmarshalVT(payload); err != nil {
				t.Fatal(err)
			}
		default:
			t.Fatalf("the worker sent %v", kind)
		}
	}
	if blocked.GetHandle() != waits || !slices.Equal(blocked.GetReturned(), []uint64{behind}) {
		t.Errorf("blocked: %v, want call %d with %d behind it", &blocked, waits, behind)
	}
	h.Send(mobulav1.FrameKind_FRAME_KIND_RESULT, &mobulav1.Result{ObjectId: asked.GetObjectIds(), Value: result(t, "value")})
	var unblocked mobulav1.Unblocked
	h.Receive(mobulav1.FrameKind_FRAME_KIND_UNBLOCKED, &unblocked)
	if unblocked.GetHandle() != waits || <-outcome != nil {
		t.Errorf("unblocked: %v, want call %d", &unblocked, waits)
	}
	h.ok(waits)
}

// result is an encoded text.
func result(t testing.TB, text string) []byte {
	t.Helper()
	var e codec.Encoder
	if err := codec.Encode(&e, text); err != nil {
		t.Fatal(err)
	}
	v := mobulav1.Value{Format: mobulav1.ValueFormat_VALUE_FORMAT_MSGPACK, Meta: e.Finish().Meta}
	b, err := v.MarshalVT()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestExitIsHeardOnceAndTwice(t *testing.T) {
	t.Parallel()
	h := start(t)
	for range 2 {
		h.Send(mobulav1.FrameKind_FRAME_KIND_EXIT, new(mobulav1.Exit))
	}
	<-h.w.Exiting()
	h.ok(h.call(1, uint32(aFunction), "still served"))
}

// FuzzFramesOfTheNode has the node tell a worker anything: the session may end, the process does not.
func FuzzFramesOfTheNode(f *testing.F) {
	add := func(kind mobulav1.FrameKind, m interface{ MarshalVT() ([]byte, error) }) {
		b, err := m.MarshalVT()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(uint16(kind), b)
	}
	add(mobulav1.FrameKind_FRAME_KIND_EXECUTE, &mobulav1.Execute{Handle: 1, Lane: 1, Template: 1, TaskId: make([]byte, 16), Args: args(f, "x")})
	add(mobulav1.FrameKind_FRAME_KIND_EXECUTE, &mobulav1.Execute{Handle: 1, Template: uint32(aMethod), ActorId: make([]byte, 16), TaskId: make([]byte, 16), Args: args(f, "x")})
	add(mobulav1.FrameKind_FRAME_KIND_EXECUTE, &mobulav1.Execute{Handle: 1, Template: uint32(aMethod), Resolved: []*mobulav1.ResolvedArg{{Position: 9, Value: args(f, "x")}}})
	add(mobulav1.FrameKind_FRAME_KIND_TEMPLATE, &mobulav1.Template{Id: 1, Kind: 77, Name: functions[anActor].Name})
	add(mobulav1.FrameKind_FRAME_KIND_REVOKE, &mobulav1.Revoke{Lane: 1})
	add(mobulav1.FrameKind_FRAME_KIND_CANCEL_TASK, &mobulav1.CancelTask{Handle: 1})
	add(mobulav1.FrameKind_FRAME_KIND_ACTOR_GONE, &mobulav1.ActorGone{ActorId: []byte("x")})
	add(mobulav1.FrameKind_FRAME_KIND_EXIT, new(mobulav1.Exit))
	f.Fuzz(func(t *testing.T, kind uint16, payload []byte) {
		h := start(t)
		ended := h.Drain(func(mobulav1.FrameKind, []byte) {})
		h.call(1, uint32(anActor), "", of(id.Actor{1}))
		payload = payload[:min(len(payload), wire.MaxPayload)]
		header := binary.LittleEndian.AppendUint32(nil, uint32(len(payload)))
		h.Write(append(binary.LittleEndian.AppendUint32(header, uint32(kind)), payload...))
		h.call(1, uint32(aMethod), "x", of(id.Actor{1}))
		h.Hangup()
		<-ended
	})
}
