package core

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"time"

	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"

	"github.com/mobula-dev/mobula/clients/go/mobula/internal/nodetest"
	"github.com/mobula-dev/mobula/clients/go/mobula/internal/session"
	"github.com/mobula-dev/mobula/internal/id"
)

// runtimeOn returns the runtime of a driver whose node does what the test says.
func runtimeOn(t testing.TB, change ...func(*mobulav1.Welcome)) (*nodetest.Node, *Runtime) {
	t.Helper()
	n, nc := nodetest.New(t, change...)
	s, err := session.Open(nodetest.Context(t), nc, session.Config{Hello: new(mobulav1.Hello)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		n.Hangup()
		<-s.Done()
	})
	rt := &Runtime{Session: s}
	s.SetOwner(rt)
	return n, rt
}

var work = Register(&Func{Kind: mobulav1.TemplateKind_TEMPLATE_KIND_FUNCTION, Name: "coretest.Work", Params: []string{"x"}, Returns: 1}, nil, nil)

// begin submits a call of work with ctx and returns its result.
func begin(ctx context.Context, t testing.TB) *session.Object {
	t.Helper()
	c := Begin(ctx, work, 1, nil)
	Arg(c, 7)
	objects, err := c.Submit()
	if err != nil {
		t.Fatal(err)
	}
	return &objects[0]
}

// cancelled receives the next cancellation.
func cancelled(t testing.TB, n *nodetest.Node) id.Object {
	t.Helper()
	for {
		var m mobulav1.Cancel
		if kind, payload := n.Next(); kind == mobulav1.FrameKind_FRAME_KIND_CANCEL {
			if err := m.UnmarshalVT(payload); err != nil || !m.GetRecursive() || m.GetForce() {
				t.Fatalf("%v (%v), want one that is recursive and not forced", &m, err)
			}
			return id.Object(m.GetObjectId())
		}
	}
}

func TestTheEndOfAContextCancelsWhatWasSubmittedWithItAndStillRuns(t *testing.T) {
	t.Parallel()
	n, rt := runtimeOn(t)
	outer, cancelOuter := context.WithCancel(WithRuntime(t.Context(), rt))
	defer cancelOuter()
	inner, cancelInner := context.WithCancel(outer)
	defer cancelInner()
	first, done, second := begin(inner, t), begin(inner, t), begin(context.WithValue(inner, contextKey{}, inner.Value(contextKey{})), t)
	beside := begin(outer, t)
	n.Send(mobulav1.FrameKind_FRAME_KIND_RESULT, &mobulav1.Result{Sequence: 2, Value: nothing(t)})
	if _, err := done.Await(nodetest.Context(t), nil); err != nil {
		t.Fatal(err)
	}
	cancelInner()
	if got := []id.Object{cancelled(t, n), cancelled(t, n)}; got[0] != first.ID() || got[1] != second.ID() {
		t.Errorf("cancelled %v, want %v and %v", got, first.ID(), second.ID())
	}
	cancelOuter()
	if got := cancelled(t, n); got != beside.ID() {
		t.Errorf("cancelled %v, want %v", got, beside.ID())
	}
	runtime.KeepAlive(first)
	runtime.KeepAlive(second)
	runtime.KeepAlive(beside)
}

// nothing is the encoded value of a function without results.
func nothing(t testing.TB) []byte {
	t.Helper()
	v := mobulav1.Value{Format: mobulav1.ValueFormat_VALUE_FORMAT_MSGPACK, Meta: []byte{0xc0}}
	b, err := v.MarshalVT()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestWhatATaskLeavesBehindGoesOnWhenItReturns(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(context.Context) context.Context{
		"the task returned": func(ctx context.Context) context.Context {
			ctx, cancel := context.WithCancelCause(ctx)
			cancelLater(t, func() { cancel(ErrReturned) })
			return ctx
		},
		"its time is over, which the node knows": func(ctx context.Context) context.Context {
			ctx, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
			t.Cleanup(cancel)
			return ctx
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n, rt := runtimeOn(t)
			ctx := end(WithRuntime(t.Context(), rt))
			left := begin(ctx, t)
			<-ctx.Done()
			other, cancel := context.WithCancel(WithRuntime(t.Context(), rt))
			o := begin(other, t)
			cancel()
			if got := cancelled(t, n); got != o.ID() {
				t.Errorf("cancelled %v, want %v alone", got, o.ID())
			}
			runtime.KeepAlive(left)
			runtime.KeepAlive(o)
		})
	}
}

// cancelLater calls cancel when the test that begins with it has had the time to submit.
func cancelLater(t *testing.T, cancel func()) {
	t.Helper()
	timer := time.AfterFunc(50*time.Millisecond, cancel)
	t.Cleanup(func() { timer.Stop() })
}

func TestAWatchForgetsTasksThatAreDone(t *testing.T) {
	t.Parallel()
	n, rt := runtimeOn(t)
	ctx, cancel := context.WithCancel(WithRuntime(t.Context(), rt))
	defer cancel()
	n.Drain(func(kind mobulav1.FrameKind, payload []byte) {
		var m mobulav1.Submit
		if kind == mobulav1.FrameKind_FRAME_KIND_SUBMIT && m.UnmarshalVT(payload) == nil {
			n.Send(mobulav1.FrameKind_FRAME_KIND_RESULT, &mobulav1.Result{Sequence: m.GetSequence(), Value: nothing(t)})
		}
	})
	for range 20 * pruneFirst {
		if _, err := begin(ctx, t).Await(nodetest.Context(t), nil); err != nil {
			t.Fatal(err)
		}
	}
	rt.watch.mu.Lock()
	kept := len(rt.watch.all[ctx.Done()].tasks)
	rt.watch.mu.Unlock()
	if kept > 2*pruneFirst {
		t.Errorf("%d tasks are watched, and all are done", kept)
	}
	cancel()
	for deadline := nodetest.Context(t); ; {
		rt.watch.mu.Lock()
		left := len(rt.watch.all)
		rt.watch.mu.Unlock()
		if left == 0 {
			return
		}
		if deadline.Err() != nil {
			t.Fatal("a context that has ended is still watched")
		}
		runtime.Gosched()
	}
}

func TestACallWithAContextThatHasEndedIsNotSubmitted(t *testing.T) {
	t.Parallel()
	_, rt := runtimeOn(t)
	why := errors.New("too late")
	ended, cancel := context.WithCancelCause(WithRuntime(t.Context(), rt))
	cancel(why)
	past, stop := context.WithDeadline(WithRuntime(t.Context(), rt), time.Now().Add(-time.Second))
	defer stop()
	returned, leave := context.WithCancelCause(WithRuntime(t.Context(), rt))
	leave(ErrReturned)
	for name, c := range map[string]struct {
		ctx  context.Context
		want error
	}{
		"cancelled": {ended, why}, "expired": {past, context.DeadlineExceeded},
		"of a task that has returned": {returned, nil}, "without a runtime": {t.Context(), ErrNoRuntime},
	} {
		call := Begin(c.ctx, work, 1, nil)
		Arg(call, 1)
		if _, err := call.Submit(); !errors.Is(err, c.want) || (c.want == nil) != (err == nil) {
			t.Errorf("a call with a context that is %s: %v, want %v", name, err, c.want)
		}
	}
}
