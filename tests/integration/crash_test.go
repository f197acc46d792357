package integration

import (
	"context"
	"fmt"
	"strings"
	"syscall"
	"testing"

	"github.com/mobula-dev/mobula/clients/go/mobula"
	"github.com/mobula-dev/mobula/tests/harness"
	"github.com/mobula-dev/mobula/tests/harness/gate"
	"github.com/mobula-dev/mobula/tests/integration/work"
)

// crashSigns is what the error of each crash must say, somewhere.
var crashSigns = map[string]string{
	work.CrashExit:     "3",
	work.CrashZero:     "0",
	work.CrashKill:     "SIGKILL",
	work.CrashSegv:     "SIGSEGV: segmentation violation",
	work.CrashFatal:    "unlock of unlocked mutex",
	work.CrashOverflow: "stack overflow",
	work.CrashChild:    "panic: in a child goroutine",
}

func TestCrashOfAnyKindIsRetriedAndThenBlamedWithItsReason(t *testing.T) {
	t.Parallel()
	harness.Alone(t, func() {
		ctx := harness.Open(t)
		g := gate.New(t)
		for _, how := range work.Crashes {
			t.Run(how, func(t *testing.T) {
				g.Open(how, "")
				const retries = 1
				e := harness.Failure(t, work.CrashRemote(ctx, g.Address(), how, how, mobula.MaxRetries(retries)), mobula.WorkerCrashed)
				if got := g.Count(how); got != retries+1 {
					t.Errorf("it ran %d times, want %d: %+v", got, retries+1, e)
				}
				if e.Execution != mobula.MayHaveExecuted || e.PID == 0 || e.Attempt != retries+1 || !strings.HasSuffix(e.Function, "work.Crash") {
					t.Errorf("error lacks something: %#v", e)
				}
				if all := fmt.Sprintf("%+v", e); !strings.Contains(all, crashSigns[how]) {
					t.Errorf("error does not say %q: %s", crashSigns[how], all)
				}
				if got := harness.Get(t, work.AddRemote(ctx, 1, 2)); got != 3 {
					t.Errorf("the next task returned %d, want 3", got)
				}
			})
		}
	})
}

func TestCrashIsSurvivedWhenARetrySucceeds(t *testing.T) {
	t.Parallel()
	harness.Alone(t, func() {
		ctx := harness.Open(t)
		g := gate.New(t)
		ref := work.CrashRemote(ctx, g.Address(), "twice", work.CrashFatal) // three retries unless told otherwise
		g.Await(t, "twice").Release("")
		g.Await(t, "twice").Release("")
		g.Await(t, "twice").Release("live")
		if got := harness.Get(t, ref); got != 3 {
			t.Errorf("it succeeded in attempt %d, want 3", got)
		}
	})
}

func TestWithoutRetriesATaskRunsAtMostOnce(t *testing.T) {
	t.Parallel()
	harness.Alone(t, func() {
		ctx := harness.Open(t)
		g := gate.New(t)
		bystander := work.StopRemote(ctx, g.Address(), "bystander", mobula.MaxRetries(0))
		seen := g.Await(t, "bystander")
		g.Open("crash", "")
		harness.Fails(t, work.CrashRemote(ctx, g.Address(), "crash", work.CrashKill, mobula.MaxRetries(0)), mobula.WorkerCrashed)
		e := harness.Failure(t, bystander, mobula.WorkerCrashed)
		if e.Execution != mobula.MayHaveExecuted || e.PID != seen.PID {
			t.Errorf("the bystander's error says execution %v in process %d, want %v in %d", e.Execution, e.PID, mobula.MayHaveExecuted, seen.PID)
		}
		if a, b := g.Count("crash"), g.Count("bystander"); a != 1 || b != 1 {
			t.Errorf("the tasks ran %d and %d times, want once", a, b)
		}
	})
}

func TestOnlyTheGuiltyFailsWhenAProcessCrashes(t *testing.T) {
	t.Parallel()
	harness.Alone(t, func() {
		const siblings = 7
		ctx := harness.Open(t, mobula.WithCPUs(siblings+1))
		g := gate.New(t)
		var refs []mobula.Ref[work.Where]
		for i := range siblings {
			refs = append(refs, work.StopRemote(ctx, g.Address(), fmt.Sprintf("sibling %d", i), mobula.MaxRetries(1)))
		}
		guilty := work.CrashRemote(ctx, g.Address(), "guilty", work.CrashFatal, mobula.MaxRetries(2))
		first := g.Await(t, "guilty")
		for i := range siblings {
			if v := g.Await(t, fmt.Sprintf("sibling %d", i)); v.PID != first.PID {
				t.Fatalf("the siblings do not share a process: %d and %d", v.PID, first.PID)
			}
		}
		g.Open("guilty", "")
		first.AwaitGone(t)
		for i := range siblings {
			g.Open(fmt.Sprintf("sibling %d", i), "")
		}
		e := harness.Failure(t, guilty, mobula.WorkerCrashed)
		if got := g.Count("guilty"); got != 3 || e.Attempt != 3 {
			t.Errorf("the guilty task ran %d times and its error is of attempt %d, want 3", got, e.Attempt)
		}
		for i, ref := range refs {
			if w := harness.Get(t, ref); w.Attempt != 2 || w.PID == first.PID {
				t.Errorf("sibling %d ended in attempt %d in process %d", i, w.Attempt, w.PID)
			}
			if got := g.Count(fmt.Sprintf("sibling %d", i)); got != 2 {
				t.Errorf("sibling %d ran %d times, want 2", i, got)
			}
		}
	})
}

// killSteps are the steps of a call at which its worker is killed. Each returns the ref of a call that was interrupted there, and a
// function that lets its next attempt go on.
var killSteps = []struct {
	name string
	call func(ctx context.Context, t *testing.T, g *gate.Gate, options ...mobula.Option) (mobula.Ref[work.Where], func())
	// ran is how often the call has had its effect when the worker is killed.
	ran int
}{
	{"before the worker reads it", func(ctx context.Context, t *testing.T, g *gate.Gate, options ...mobula.Option) (mobula.Ref[work.Where], func()) {
		t.Helper()
		pid := harness.Get(t, work.HereRemote(ctx)).PID
		harness.Stop(t, pid)
		ref := work.EffectRemote(ctx, g.Address(), "step", options...)
		harness.Get(t, work.HereRemote(ctx, mobula.IsolateProcess())) // the node has dealt with what was submitted before
		kill(t, pid, syscall.SIGKILL)
		return ref, func() { openBoth(g) }
	}, 0},
	{"while it runs", func(ctx context.Context, t *testing.T, g *gate.Gate, options ...mobula.Option) (mobula.Ref[work.Where], func()) {
		t.Helper()
		ref := work.EffectRemote(ctx, g.Address(), "step", options...)
		v := g.Await(t, "step")
		kill(t, v.PID, syscall.SIGKILL)
		v.AwaitGone(t)
		return ref, func() { openBoth(g) }
	}, 1},
	{"after its effect and before its reply", func(ctx context.Context, t *testing.T, g *gate.Gate, options ...mobula.Option) (mobula.Ref[work.Where], func()) {
		t.Helper()
		ref := work.EffectRemote(ctx, g.Address(), "step", options...)
		g.Await(t, "step").Release("")
		v := g.Await(t, "step done")
		kill(t, v.PID, syscall.SIGKILL)
		v.AwaitGone(t)
		return ref, func() { openBoth(g) }
	}, 1},
	{"while it is stopped", func(ctx context.Context, t *testing.T, g *gate.Gate, options ...mobula.Option) (mobula.Ref[work.Where], func()) {
		t.Helper()
		ref := work.EffectRemote(ctx, g.Address(), "step", options...)
		v := g.Await(t, "step")
		harness.Stop(t, v.PID)
		v.Release("")
		kill(t, v.PID, syscall.SIGKILL)
		v.AwaitGone(t)
		return ref, func() { openBoth(g) }
	}, 1},
}

func openBoth(g *gate.Gate) {
	g.Open("step", "")
	g.Open("step done", "")
}

func kill(t *testing.T, pid int, s syscall.Signal) {
	t.Helper()
	if err := syscall.Kill(pid, s); err != nil {
		t.Fatalf("signal %v to process %d: %v", s, pid, err)
	}
}

func TestKilledWorkersCallRunsAgain(t *testing.T) {
	t.Parallel()
	for _, step := range killSteps {
		t.Run(step.name, func(t *testing.T) {
			t.Parallel()
			harness.Alone(t, func() {
				ctx := harness.Open(t)
				g := gate.New(t)
				ref, goOn := step.call(ctx, t, g)
				goOn()
				harness.Get(t, ref)
				if got := g.Count("step"); got != step.ran+1 {
					t.Errorf("it ran %d times, want %d", got, step.ran+1)
				}
				if !harness.Get(t, work.WholeRemote(ctx)) {
					t.Error("the node's CPUs are not free")
				}
			})
		})
	}
}

func TestKilledWorkersCallWithoutRetriesFailsAndHasRunAtMostOnce(t *testing.T) {
	t.Parallel()
	for _, step := range killSteps {
		t.Run(step.name, func(t *testing.T) {
			t.Parallel()
			harness.Alone(t, func() {
				ctx := harness.Open(t)
				g := gate.New(t)
				ref, goOn := step.call(ctx, t, g, mobula.MaxRetries(0))
				e := harness.Failure(t, ref, mobula.WorkerCrashed)
				if e.Execution != mobula.MayHaveExecuted || !strings.Contains(e.Error(), "SIGKILL") {
					t.Errorf("error does not say that it may have run, or what killed it: %v", e)
				}
				goOn()
				harness.Get(t, work.WholeRemote(ctx)) // nothing of it runs any more
				if got := g.Count("step"); got != step.ran {
					t.Errorf("it ran %d times, want %d", got, step.ran)
				}
			})
		})
	}
}

func TestUsersErrorsAreRetriedOnlyWhenAskedFor(t *testing.T) {
	t.Parallel()
	harness.Alone(t, func() {
		ctx := harness.Open(t)
		g := gate.New(t)
		for _, c := range []struct {
			name    string
			how     string
			options []mobula.Option
			runs    int
		}{
			{"not by default", work.FailSentinel, nil, 1},
			{"any error", work.FailPlain, []mobula.Option{mobula.RetryErrors(), mobula.MaxRetries(2)}, 3},
			{"a registered sentinel", work.FailSentinel, []mobula.Option{mobula.RetryErrors("work.ErrEmpty"), mobula.MaxRetries(2)}, 3},
			{"a registered type", work.FailTyped, []mobula.Option{mobula.RetryErrors("work.ErrEmpty", "work.TooSmall"), mobula.MaxRetries(1)}, 2},
			{"not another one", work.FailTyped, []mobula.Option{mobula.RetryErrors("work.ErrEmpty"), mobula.MaxRetries(2)}, 1},
			{"not without retries", work.FailPlain, []mobula.Option{mobula.RetryErrors(), mobula.MaxRetries(0)}, 1},
		} {
			t.Run(c.name, func(t *testing.T) {
				g.Open(c.name, c.how)
				e := harness.Failure(t, work.FlakyRemote(ctx, g.Address(), c.name, c.options...), mobula.TaskFailed)
				if got := g.Count(c.name); got != c.runs || e.Attempt != c.runs {
					t.Errorf("it ran %d times and the error is of attempt %d, want %d", got, e.Attempt, c.runs)
				}
			})
		}
		t.Run("until it succeeds", func(t *testing.T) {
			ref := work.FlakyRemote(ctx, g.Address(), "at last", mobula.RetryErrors())
			g.Await(t, "at last").Release(work.FailPlain)
			g.Await(t, "at last").Release("")
			if got := harness.Get(t, ref); got != 2 {
				t.Errorf("it succeeded in attempt %d, want 2", got)
			}
		})
	})
}
