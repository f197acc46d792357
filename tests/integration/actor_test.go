package integration

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/mobula-dev/mobula/clients/go/mobula"
	"github.com/mobula-dev/mobula/tests/harness"
	"github.com/mobula-dev/mobula/tests/harness/gate"
	"github.com/mobula-dev/mobula/tests/integration/work"
)

// ready waits for an actor's constructor.
func ready(t *testing.T, h mobula.Handle) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), harness.Patience)
	defer cancel()
	err := h.WaitReady(ctx)
	if ctx.Err() != nil {
		t.Fatalf("the actor is not ready within %v: %v", harness.Patience, err)
	}
	return err
}

// mustBeReady waits for an actor whose constructor must succeed.
func mustBeReady(t *testing.T, h mobula.Handle) {
	t.Helper()
	if err := ready(t, h); err != nil {
		t.Fatalf("make an actor: %+v", err)
	}
}

func TestActorKeepsItsStateAndTheOrderOfEachCaller(t *testing.T) {
	t.Parallel()
	harness.Alone(t, func() {
		ctx := harness.Open(t)
		const callers, calls = 8, 200
		log := work.NewLogRemote(ctx, "first")
		var all sync.WaitGroup
		for c := range callers {
			all.Go(func() {
				name := fmt.Sprintf("goroutine%d", c)
				last := mobula.Ref[int]{}
				for i := range calls {
					last = log.AppendRemote(ctx, fmt.Sprintf("%s %d", name, i))
				}
				if n, err := last.Get(ctx); err != nil || n < calls+1 {
					t.Errorf("caller %d: %d, %v", c, n, err)
				}
			})
		}
		var others []mobula.Ref[int]
		for c := range callers {
			others = append(others, work.TellAllRemote(ctx, log, fmt.Sprintf("task%d", c), calls))
		}
		all.Wait()
		for _, r := range others {
			harness.Get(t, r)
		}
		lines := harness.Get(t, log.LinesRemote(ctx))
		if len(lines) != 1+2*callers*calls {
			t.Fatalf("the log has %d lines, want %d", len(lines), 1+2*callers*calls)
		}
		checkOrder(t, lines[1:])
	})
}

// checkOrder checks that the lines of each caller are numbered in order.
func checkOrder(t *testing.T, lines []string) {
	t.Helper()
	next := map[string]int{}
	for at, line := range lines {
		name, number, _ := strings.Cut(line, " ")
		if number != fmt.Sprint(next[name]) {
			t.Fatalf("line %d is %q, want number %d of that caller", at, line, next[name])
		}
		next[name]++
	}
}

func TestActorWaitsForTheArgumentsOfItsCallsInOrder(t *testing.T) {
	t.Parallel()
	harness.Alone(t, func() {
		ctx := harness.Open(t)
		g := gate.New(t)
		log := work.NewLogRemote(ctx, "first")
		slow := work.StopRemote(ctx, g.Address(), "slow")
		name := work.EchoTextRefs(ctx, work.TextOfRefs(ctx, slow))
		behind := log.AppendRefs(ctx, name)
		after := log.AppendRemote(ctx, "after")
		g.Await(t, "slow")
		if after.Ready() {
			t.Error("a call overtook one of the same caller that waits for its argument")
		}
		g.Open("slow", "")
		if a, b := harness.Get(t, behind), harness.Get(t, after); a != 2 || b != 3 {
			t.Errorf("the calls ran as numbers %d and %d, want 2 and 3", a, b)
		}
	})
}

func TestFailedConstructorFailsTheActorAndEveryCall(t *testing.T) {
	t.Parallel()
	harness.Alone(t, func() {
		ctx := harness.Open(t)
		for _, reason := range []string{"no luck", "panic"} {
			t.Run(reason, func(t *testing.T) {
				log := work.NewLogFailingRemote(ctx, reason, mobula.MaxRestarts(3))
				early := log.AppendRemote(ctx, "early")
				err := ready(t, log.Handle)
				if err == nil {
					t.Fatal("the actor is ready")
				}
				for _, call := range []mobula.Ref[int]{early, log.AppendRemote(ctx, "late")} {
					died := harness.Failure(t, call, mobula.ActorDied)
					if died.Execution != mobula.NotExecuted {
						t.Errorf("the call says %v, want %v", died.Execution, mobula.NotExecuted)
					}
					checkConstructorError(t, died, reason)
				}
				checkConstructorError(t, err, reason)
			})
		}
	})
}

func checkConstructorError(t *testing.T, err error, reason string) {
	t.Helper()
	if reason == "panic" {
		if all := fmt.Sprintf("%+v", err); !strings.Contains(all, "the constructor panics") || !strings.Contains(all, "NewLogFailing") {
			t.Errorf("the error lacks the panic or its stack: %s", all)
		}
		return
	}
	if !errors.Is(err, work.ErrEmpty) || !strings.Contains(err.Error(), reason) {
		t.Errorf("the error is not the constructor's: %+v", err)
	}
}

func TestMethodsErrorsAndPanicsLeaveTheActorAlive(t *testing.T) {
	t.Parallel()
	harness.Alone(t, func() {
		ctx := harness.Open(t)
		log := work.NewLogRemote(ctx, "first")
		if e := harness.Failure(t, log.FailRemote(ctx), mobula.TaskFailed); !errors.Is(e, work.ErrEmpty) || !strings.HasSuffix(e.Function, "work.Log.Fail") {
			t.Errorf("the error is not the method's: %+v", e)
		}
		if e := harness.Failure(t, log.PanicRemote(ctx), mobula.TaskFailed); !strings.Contains(e.Stack, "work.(*Log).Panic") {
			t.Errorf("the stack is not the method's: %+v", e)
		}
		if got := harness.Get(t, log.AppendRemote(ctx, "on")); got != 2 {
			t.Errorf("the log has %d lines, want 2", got)
		}
	})
}

func TestActorIsFoundByItsName(t *testing.T) {
	t.Parallel()
	harness.Alone(t, func() {
		ctx := harness.Open(t)
		log := work.NewLogRemote(ctx, "first", mobula.Name("diary"))
		mustBeReady(t, log.Handle)
		found, err := work.GetLog(ctx, "diary")
		if err != nil {
			t.Fatal(err)
		}
		if got := harness.Get(t, found.AppendRemote(ctx, "second")); got != 2 || found.ID() != log.ID() {
			t.Errorf("found %s with %d lines, want %s with 2", found.ID(), got, log.ID())
		}
		t.Run("and by nobody under another name, namespace or class", func(t *testing.T) {
			_, err := work.GetLog(ctx, "other")
			harness.HasKind(t, err, mobula.NotFound)
			_, err = work.GetLog(ctx, "diary", mobula.Namespace("elsewhere"))
			harness.HasKind(t, err, mobula.NotFound)
			_, err = work.GetCloser(ctx, "diary")
			harness.HasKind(t, err, mobula.InvalidArgument)
		})
		t.Run("which nobody else gets while it lives", func(t *testing.T) {
			second := work.NewLogRemote(ctx, "second", mobula.Name("diary"))
			harness.HasKind(t, ready(t, second.Handle), mobula.AlreadyExists)
		})
		t.Run("also by a constructor that may find it", func(t *testing.T) {
			same := work.NewLogRemote(ctx, "unused", mobula.Name("diary"), mobula.GetIfExists())
			mustBeReady(t, same.Handle)
			if got := harness.Get(t, same.LinesRemote(ctx)); !slices.Equal(got, []string{"first", "second"}) {
				t.Errorf("the constructor made another actor, with %q", got)
			}
		})
		t.Run("which is free when it is dead", func(t *testing.T) {
			if err := mobula.Kill(log); err != nil {
				t.Fatal(err)
			}
			harness.Fails(t, log.AppendRemote(ctx, "late"), mobula.ActorDied)
			again := work.NewLogRemote(ctx, "reborn", mobula.Name("diary"))
			mustBeReady(t, again.Handle)
			if got := harness.Get(t, again.LinesRemote(ctx)); !slices.Equal(got, []string{"reborn"}) {
				t.Errorf("the new actor has %q", got)
			}
		})
	})
}

func TestOneOfManyConstructorsOfANameWins(t *testing.T) {
	t.Parallel()
	harness.Alone(t, func() {
		ctx := harness.Open(t)
		const n = 30
		var mu sync.Mutex
		ids := map[string]bool{}
		var all sync.WaitGroup
		for i := range n {
			all.Go(func() {
				h := work.NewLogRemote(ctx, fmt.Sprint(i), mobula.Name("one"), mobula.GetIfExists())
				lines, err := h.LinesRemote(ctx).Get(ctx)
				if err != nil || len(lines) != 1 {
					t.Errorf("lines %q, %v", lines, err)
					return
				}
				mu.Lock()
				defer mu.Unlock()
				ids[lines[0]] = true
			})
		}
		all.Wait()
		if len(ids) != 1 {
			t.Errorf("the constructors made %d actors, want one: %v", len(ids), ids)
		}
	})
}

func TestActorEndsWhenNoHandleIsLeft(t *testing.T) {
	t.Parallel()
	harness.Alone(t, func() {
		ctx := harness.Open(t)
		g := gate.New(t)
		closer := work.NewCloserRemote(ctx, g.Address(), "dropped")
		harness.Get(t, closer.PIDRemote(ctx))
		keeper := work.NewLogRemote(ctx, "keeper")
		kept := work.NewLogRemote(ctx, "kept")
		harness.Get(t, keeper.KeepRemote(ctx, kept))
		drop(&closer)
		drop(&kept)
		g.Open("dropped", "")
		collect(t, "the actor is closed", func() bool { return g.Count("dropped") == 1 })
		if got := harness.Get(t, keeper.TellRemote(ctx, "still there")); got != 2 {
			t.Errorf("the actor that another one keeps has %d lines, want 2", got)
		}
	})
}

// drop forgets a handle.
func drop[T any](h *T) {
	var none T
	*h = none
}

// collect runs the garbage collector until condition holds: handles are given up by it.
func collect(t *testing.T, what string, condition func() bool) {
	t.Helper()
	harness.Eventually(t, harness.Patience, what, func() bool { gc(); return condition() })
}

func TestHandlesTravelInsideValues(t *testing.T) {
	t.Parallel()
	harness.Alone(t, func() {
		ctx := harness.Open(t)
		made := harness.Get(t, work.MakeLogRemote(ctx, "made by a task"))
		harness.Get(t, made.AppendRemote(ctx, "from the driver"))
		if got := harness.Get(t, work.TellAllRemote(ctx, made, "task", 3)); got != 5 {
			t.Errorf("the log has %d lines, want 5", got)
		}
		other := work.NewLogRemote(ctx, "other")
		back := harness.Get(t, other.SelfRemote(ctx, made))
		if got := harness.Get(t, back.AppendRemote(ctx, "through another actor")); got != 6 || back.ID() != made.ID() {
			t.Errorf("the handle that came back is of %s with %d lines", back.ID(), got)
		}
		harness.Get(t, other.KeepRemote(ctx, other)) // an actor that holds itself
		if got := harness.Get(t, other.AppendRemote(ctx, "fine")); got != 2 {
			t.Errorf("the log has %d lines, want 2", got)
		}
	})
}

func TestPendingCallsAreLimited(t *testing.T) {
	t.Parallel()
	harness.Alone(t, func() {
		ctx := harness.Open(t)
		g := gate.New(t)
		log := work.NewLogRemote(ctx, "first", mobula.MaxPendingCalls(3))
		mustBeReady(t, log.Handle)
		running := log.StopRemote(ctx, g.Address(), "running")
		g.Await(t, "running")
		queued := []mobula.Ref[int]{log.AppendRemote(ctx, "a"), log.AppendRemote(ctx, "b")}
		e := harness.Failure(t, log.AppendRemote(ctx, "too many"), mobula.PendingCallsLimit)
		if e.Execution != mobula.NotExecuted || e.Hint == "" {
			t.Errorf("the error lacks a hint, or that it did not run: %+v", e)
		}
		g.Open("running", "")
		harness.Get(t, running)
		for _, r := range queued {
			harness.Get(t, r)
		}
		if got := harness.Get(t, log.AppendRemote(ctx, "room again")); got != 4 {
			t.Errorf("the log has %d lines, want 4", got)
		}
	})
}

func TestConcurrentActorRunsThatManyCalls(t *testing.T) {
	t.Parallel()
	harness.Alone(t, func() {
		ctx := harness.Open(t)
		g := gate.New(t)
		const limit = 4
		log := work.NewLogRemote(ctx, "first", mobula.MaxConcurrency(limit))
		var refs []mobula.Ref[work.Where]
		for range limit + 2 {
			refs = append(refs, log.StopRemote(ctx, g.Address(), "method"))
		}
		for range limit {
			g.Await(t, "method")
		}
		harness.Get(t, work.HereRemote(ctx)) // time enough for another to come
		if g.Waiting("method") {
			t.Errorf("more than %d calls run at the same time", limit)
		}
		g.Open("method", "")
		for _, r := range refs[limit:] {
			harness.Get(t, r)
		}
	})
}
