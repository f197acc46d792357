package integration

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/mobula-dev/mobula/clients/go/mobula"
	"github.com/mobula-dev/mobula/tests/harness"
	"github.com/mobula-dev/mobula/tests/harness/gate"
	"github.com/mobula-dev/mobula/tests/integration/work"
)

// cancelled waits for a ref that must resolve to Cancelled.
func cancelled[T any](t *testing.T, ref mobula.Ref[T], execution mobula.Execution) {
	t.Helper()
	e := harness.Failure(t, ref, mobula.Cancelled)
	if e.Execution != execution || !errors.Is(e, context.Canceled) {
		t.Errorf("the error says %v (is context.Canceled: %v), want %v: %+v", e.Execution, errors.Is(e, context.Canceled), execution, e)
	}
}

func TestCancelledTaskEnds(t *testing.T) {
	t.Parallel()
	harness.Alone(t, func() {
		ctx := harness.Open(t, mobula.WithCPUs(1))
		g := gate.New(t)
		t.Run("before it begins", func(t *testing.T) {
			holder := work.StopRemote(ctx, g.Address(), "holder")
			h := g.Await(t, "holder")
			queued := work.StopRemote(ctx, g.Address(), "never")
			waiting := work.AddRefs(ctx, work.AddRemote(ctx, 1, 1), mobula.Val(1))
			if err := errors.Join(mobula.Cancel(queued), mobula.Cancel(waiting)); err != nil {
				t.Fatal(err)
			}
			cancelled(t, queued, mobula.NotExecuted)
			cancelled(t, waiting, mobula.NotExecuted)
			h.Release("")
			harness.Get(t, holder)
		})
		t.Run("while it runs, by its context", func(t *testing.T) {
			running := work.StopRemote(ctx, g.Address(), "running")
			v := g.Await(t, "running")
			if err := mobula.Cancel(running); err != nil {
				t.Fatal(err)
			}
			cancelled(t, running, mobula.MayHaveExecuted)
			v.AwaitGone(t)
			if now := harness.Get(t, work.HereRemote(ctx)); now.PID != v.PID {
				t.Error("its process was ended although it returned")
			}
		})
		t.Run("not when it is done", func(t *testing.T) {
			done := work.AddRemote(ctx, 1, 2)
			harness.Get(t, done)
			if err := mobula.Cancel(done); err != nil {
				t.Fatal(err)
			}
			if got := harness.Get(t, done); got != 3 {
				t.Errorf("got %d, want 3", got)
			}
		})
		t.Run("with what depends on it", func(t *testing.T) {
			head := work.StopRemote(ctx, g.Address(), "head")
			v := g.Await(t, "head")
			dependent := work.TextOfRefs(ctx, head)
			second := work.EchoTextRefs(ctx, dependent)
			if err := mobula.Cancel(head); err != nil {
				t.Fatal(err)
			}
			cancelled(t, dependent, mobula.NotExecuted)
			cancelled(t, second, mobula.NotExecuted)
			v.AwaitGone(t)
		})
		t.Run("with what it submitted", func(t *testing.T) {
			parent := work.ParentRemote(ctx, g.Address(), "parent")
			v := g.Await(t, "parent")
			if err := mobula.Cancel(parent); err != nil {
				t.Fatal(err)
			}
			cancelled(t, parent, mobula.MayHaveExecuted)
			v.AwaitGone(t)
			harness.Get(t, work.HereRemote(ctx)) // had its child been left, that would have the only CPU now
			if g.Count("parent child") != 0 {
				t.Error("its child ran")
			}
		})
	})
}

func TestTaskThatIgnoresCancellationIsAbandonedAndItsProcessReplaced(t *testing.T) {
	t.Parallel()
	harness.Alone(t, func() {
		ctx := harness.Open(t, mobula.WithCPUs(3)) // the abandoned task keeps one while it lives
		g := gate.New(t)
		deaf := work.DeafRemote(ctx, g.Address(), "deaf")
		d := g.Await(t, "deaf")
		sibling := work.StopRemote(ctx, g.Address(), "sibling")
		s := g.Await(t, "sibling")
		if s.PID != d.PID {
			t.Fatalf("the tasks run in processes %d and %d, want one", d.PID, s.PID)
		}
		if err := mobula.Cancel(deaf); err != nil {
			t.Fatal(err)
		}
		cancelled(t, deaf, mobula.MayHaveExecuted)
		if fresh := harness.Get(t, work.HereRemote(ctx)); fresh.PID == d.PID {
			t.Error("the process that holds the abandoned task takes new ones")
		}
		s.Release("")
		if w := harness.Get(t, sibling); w.Attempt != 1 {
			t.Errorf("the sibling of the abandoned task ended in attempt %d, want 1", w.Attempt)
		}
		d.AwaitGone(t) // with its process
		if !harness.Get(t, work.WholeRemote(ctx, mobula.CPU(3))) {
			t.Error("the CPUs are not free")
		}
	})
}

func TestForcedCancellationKillsTheProcessAndSparesTheSiblings(t *testing.T) {
	t.Parallel()
	harness.Alone(t, func() {
		ctx := harness.Open(t)
		g := gate.New(t)
		deaf := work.DeafRemote(ctx, g.Address(), "deaf")
		d := g.Await(t, "deaf")
		sibling := work.StopRemote(ctx, g.Address(), "sibling", mobula.MaxRetries(1))
		g.Await(t, "sibling")
		if err := mobula.CancelForce(deaf); err != nil {
			t.Fatal(err)
		}
		cancelled(t, deaf, mobula.MayHaveExecuted)
		d.AwaitGone(t)
		g.Open("sibling", "")
		if w := harness.Get(t, sibling); w.Attempt != 2 || w.PID == d.PID {
			t.Errorf("the sibling ended in attempt %d in process %d, want 2 in another than %d", w.Attempt, w.PID, d.PID)
		}
		if got := g.Count("deaf"); got != 1 {
			t.Errorf("the cancelled task ran %d times, want once", got)
		}
	})
}

func TestCallersContextEndsTheTask(t *testing.T) {
	t.Parallel()
	harness.Alone(t, func() {
		ctx := harness.Open(t)
		g := gate.New(t)
		scope, cancel := context.WithCancel(ctx)
		running := work.StopRemote(scope, g.Address(), "running")
		v := g.Await(t, "running")
		other := work.StopRemote(ctx, g.Address(), "other")
		cancel()
		cancelled(t, running, mobula.MayHaveExecuted)
		v.AwaitGone(t)
		cancelled(t, work.AddRemote(scope, 1, 1), mobula.NotExecuted)
		g.Open("other", "")
		harness.Get(t, other) // it was submitted with another context
	})
}

func TestGetEndsWithItsContextAndTheTaskGoesOn(t *testing.T) {
	t.Parallel()
	harness.Alone(t, func() {
		ctx := harness.Open(t)
		g := gate.New(t)
		running := work.StopRemote(ctx, g.Address(), "running")
		v := g.Await(t, "running")
		short, cancel := context.WithTimeout(ctx, time.Millisecond)
		defer cancel()
		_, err := running.Get(short)
		if e := harness.Kind(t, err, mobula.DeadlineExceeded); !errors.Is(e, context.DeadlineExceeded) {
			t.Errorf("errors.Is does not find the context's error in %v", err)
		}
		ended, end := context.WithCancel(ctx)
		end()
		_, err = running.Get(ended)
		if e := harness.Kind(t, err, mobula.Cancelled); !errors.Is(e, context.Canceled) {
			t.Errorf("errors.Is does not find the context's error in %v", err)
		}
		v.Release("")
		harness.Get(t, running)
	})
}

func TestCallsOfActorsAreCancelled(t *testing.T) {
	t.Parallel()
	harness.Alone(t, func() {
		ctx := harness.Open(t)
		g := gate.New(t)
		log := work.NewLogRemote(ctx, "first")
		running := log.StopRemote(ctx, g.Address(), "running")
		v := g.Await(t, "running")
		queued := log.AppendRemote(ctx, "never")
		last := log.AppendRemote(ctx, "last")
		if err := mobula.Cancel(queued); err != nil {
			t.Fatal(err)
		}
		if err := mobula.CancelForce(running); err != nil { // a call is never killed
			t.Fatal(err)
		}
		cancelled(t, running, mobula.MayHaveExecuted)
		v.AwaitGone(t)
		harness.Fails(t, queued, mobula.Cancelled)
		harness.Get(t, last)
		if lines := harness.Get(t, log.LinesRemote(ctx)); !slices.Equal(lines, []string{"first", "last"}) {
			t.Errorf("the actor has %q", lines)
		}
		if got := harness.Get(t, log.IncarnationRemote(ctx)); got != 1 {
			t.Errorf("the actor is in incarnation %d, want 1", got)
		}
	})
}

func TestCancellationsThatRaceResolveEveryRef(t *testing.T) {
	t.Parallel()
	harness.Alone(t, func() {
		ctx := harness.Open(t)
		const n = 2000
		refs := make([]mobula.Ref[int], n)
		var all sync.WaitGroup
		for i := range refs {
			refs[i] = work.AddRemote(ctx, i, 1)
			all.Go(func() {
				if err := mobula.Cancel(refs[i]); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		wait, cancel := context.WithTimeout(ctx, harness.Patience)
		defer cancel()
		for i, r := range refs {
			if v, err := r.Get(wait); err != nil {
				harness.HasKind(t, err, mobula.Cancelled)
				if wait.Err() != nil {
					t.Fatalf("ref %d did not resolve", i)
				}
			} else if v != i+1 {
				t.Fatalf("ref %d is %d", i, v)
			}
		}
		if !harness.Get(t, work.WholeRemote(ctx)) {
			t.Error("the CPUs are not free")
		}
	})
}

func TestDeadlinesReachTheTask(t *testing.T) {
	t.Parallel()
	const arrive = 2 * time.Second // A deadline that lets the task begin, also on a busy machine, and that the test waits for.
	harness.Alone(t, func() {
		ctx := harness.Open(t, mobula.WithCPUs(1))
		g := gate.New(t)
		t.Run("which sees what is left", func(t *testing.T) {
			scope, cancel := context.WithTimeout(ctx, 20*time.Second)
			defer cancel()
			if left := harness.Get(t, work.RemainingRemote(scope)); left <= 0 || left > 20 {
				t.Errorf("the task has %v s left, want up to 20", left)
			}
			if left := harness.Get(t, work.RemainingRemote(ctx)); left != 0 {
				t.Errorf("a task without a deadline has %v s left", left)
			}
		})
		t.Run("which expires while it is queued", func(t *testing.T) {
			holder := work.StopRemote(ctx, g.Address(), "holder")
			h := g.Await(t, "holder")
			scope, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
			defer cancel()
			expired(t, work.StopRemote(scope, g.Address(), "never"), mobula.NotExecuted)
			h.Release("")
			harness.Get(t, holder)
			if g.Count("never") != 0 {
				t.Error("the expired task ran")
			}
		})
		t.Run("which expires while it runs", func(t *testing.T) {
			scope, cancel := context.WithTimeout(ctx, arrive)
			defer cancel()
			running := work.StopRemote(scope, g.Address(), "running")
			v := g.Await(t, "running")
			expired(t, running, mobula.MayHaveExecuted)
			v.AwaitGone(t)
		})
		t.Run("and is over before it is submitted", func(t *testing.T) {
			scope, cancel := context.WithTimeout(ctx, time.Nanosecond)
			defer cancel()
			<-scope.Done()
			expired(t, work.StopRemote(scope, g.Address(), "late"), mobula.NotExecuted)
		})
		t.Run("and the tasks that it submits", func(t *testing.T) {
			scope, cancel := context.WithTimeout(ctx, arrive)
			defer cancel()
			parent := work.ParentRemote(scope, g.Address(), "parent")
			g.Await(t, "parent").Release("")
			v := g.Await(t, "parent child")
			expired(t, parent, mobula.MayHaveExecuted)
			v.AwaitGone(t)
		})
	})
}

// expired waits for a ref that must resolve to DeadlineExceeded.
func expired[T any](t *testing.T, ref mobula.Ref[T], execution mobula.Execution) {
	t.Helper()
	e := harness.Failure(t, ref, mobula.DeadlineExceeded)
	if e.Execution != execution || !errors.Is(e, context.DeadlineExceeded) {
		t.Errorf("the error says %v (is context.DeadlineExceeded: %v), want %v: %+v", e.Execution, errors.Is(e, context.DeadlineExceeded), execution, e)
	}
}

func TestWaitReturnsWhatIsReady(t *testing.T) {
	t.Parallel()
	harness.Alone(t, func() {
		ctx := harness.Open(t)
		g := gate.New(t)
		a, b := work.FlakyRemote(ctx, g.Address(), "a"), work.FlakyRemote(ctx, g.Address(), "b")
		refs := []mobula.Ref[int]{a, mobula.Val(7), b}
		check := func(k int, timeout time.Duration, wantReady, wantRest []mobula.Ref[int]) {
			t.Helper()
			scope, cancel := context.WithTimeout(ctx, harness.Patience)
			defer cancel()
			ready, rest, err := mobula.Wait(scope, refs, k, timeout)
			if err != nil || !slices.Equal(ready, wantReady) || !slices.Equal(rest, wantRest) {
				t.Errorf("wait for %d: %d ready, %d not, %v", k, len(ready), len(rest), err)
			}
		}
		check(1, 0, refs[1:2], []mobula.Ref[int]{a, b})
		check(2, 10*time.Millisecond, refs[1:2], []mobula.Ref[int]{a, b})
		g.Await(t, "b").Release(work.FailPlain) // a failure is ready
		check(2, 0, []mobula.Ref[int]{refs[1], b}, refs[:1])
		check(3, 10*time.Millisecond, refs[1:], refs[:1])
		ended, end := context.WithTimeout(ctx, time.Millisecond)
		defer end()
		_, _, err := mobula.Wait(ended, refs, 3, 0)
		harness.HasKind(t, err, mobula.DeadlineExceeded)
		for _, k := range []int{0, -1, 4} {
			_, _, err := mobula.Wait(ctx, refs, k, 0)
			harness.HasKind(t, err, mobula.InvalidArgument)
		}
		_, _, err = mobula.Wait(ctx, []mobula.Ref[int]{a, {}}, 1, 0)
		harness.HasKind(t, err, mobula.InvalidArgument)
		g.Await(t, "a").Release("")
		check(3, 0, refs, []mobula.Ref[int]{})
	})
}

func TestWaitFindsEachRefAsItBecomesReady(t *testing.T) {
	t.Parallel()
	harness.Alone(t, func() {
		ctx := harness.Open(t, mobula.WithCPUs(8))
		g := gate.New(t)
		const n = 8
		var rest []mobula.Ref[int]
		for i := range n {
			rest = append(rest, work.FlakyRemote(ctx, g.Address(), fmt.Sprint(i)))
		}
		for _, i := range []int{3, 0, 7, 5, 1, 2, 6, 4} {
			g.Await(t, fmt.Sprint(i)).Release("")
			ready, others, err := mobula.Wait(ctx, rest, 1, harness.Patience)
			if err != nil || len(ready) != 1 || len(others) != len(rest)-1 {
				t.Fatalf("after %d: %d ready, %d not, %v", i, len(ready), len(others), err)
			}
			rest = others
		}
	})
}

func TestReleasedAndEmptyRefs(t *testing.T) {
	t.Parallel()
	harness.Alone(t, func() {
		ctx := harness.Open(t)
		t.Run("a released object lives on in what was made of it", func(t *testing.T) {
			put, err := mobula.Put(ctx, make([]byte, 1<<20))
			if err != nil {
				t.Fatal(err)
			}
			copied := work.EchoRefs(ctx, put)
			put.Release()
			if got := len(harness.Get(t, copied)); got != 1<<20 {
				t.Errorf("got %d bytes", got)
			}
		})
		t.Run("an empty ref and an empty handle are errors", func(t *testing.T) {
			harness.Fails(t, mobula.Ref[int]{}, mobula.InvalidArgument)
			harness.Fails(t, work.AddRefs(ctx, mobula.Ref[int]{}, mobula.Val(1)), mobula.InvalidArgument)
			harness.Fails(t, work.LogHandle{}.AppendRemote(ctx, "x"), mobula.InvalidArgument)
			harness.HasKind(t, mobula.Kill(work.LogHandle{}), mobula.InvalidArgument)
			harness.HasKind(t, mobula.Cancel(mobula.Ref[int]{}), mobula.InvalidArgument)
		})
	})
}

func TestStoppedSessionResolvesItsRefs(t *testing.T) {
	t.Parallel()
	harness.Alone(t, func() {
		harness.Fails(t, work.AddRemote(context.Background(), 1, 1), mobula.InvalidArgument) // there is no session yet
		ctx, stop := harness.OpenUntil(t)
		g := gate.New(t)
		running := work.StopRemote(ctx, g.Address(), "running")
		g.Await(t, "running")
		log := work.NewLogRemote(ctx, "first")
		done := work.AddRemote(ctx, 1, 2)
		harness.Get(t, done)
		stop()
		stop()
		harness.Fails(t, running, mobula.SessionClosed)
		if got := harness.Get(t, done); got != 3 {
			t.Errorf("a result that was there is %d", got)
		}
		if e := harness.Failure(t, work.AddRemote(ctx, 1, 1), mobula.SessionClosed); e.Execution != mobula.NotExecuted {
			t.Errorf("a call after the end says %v", e.Execution)
		}
		harness.Fails(t, log.AppendRemote(ctx, "late"), mobula.SessionClosed)
		_, err := mobula.Put(ctx, 1)
		harness.HasKind(t, err, mobula.SessionClosed)
		again := harness.Open(t)
		if got := harness.Get(t, work.AddRemote(again, 2, 2)); got != 4 {
			t.Errorf("in the next session: %d", got)
		}
		harness.Fails(t, work.AddRefs(again, done, done), mobula.InvalidArgument) // a ref of another session
	})
}
