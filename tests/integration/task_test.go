package integration

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/mobula-dev/mobula/clients/go/mobula"
	"github.com/mobula-dev/mobula/tests/harness"
	"github.com/mobula-dev/mobula/tests/harness/gate"
	"github.com/mobula-dev/mobula/tests/integration/work"
)

func TestTasksReturnTheirResults(t *testing.T) {
	t.Parallel()
	harness.Alone(t, func() {
		ctx := harness.Open(t)
		t.Run("a value", func(t *testing.T) {
			if got := harness.Get(t, work.AddRemote(ctx, 2, 3)); got != 5 {
				t.Errorf("got %d, want 5", got)
			}
		})
		t.Run("several values", func(t *testing.T) {
			q, r := work.DivideRemote(ctx, 17, 5)
			if got := [2]int{harness.Get(t, q), harness.Get(t, r)}; got != [2]int{3, 2} {
				t.Errorf("got %v, want [3 2]", got)
			}
		})
		t.Run("the same value as often as it is asked for", func(t *testing.T) {
			ref := work.AddRemote(ctx, 1, 1)
			for range 3 {
				if got := harness.Get(t, ref); got != 2 {
					t.Errorf("got %d, want 2", got)
				}
			}
		})
		t.Run("values of all lengths around the limit of what goes inline", func(t *testing.T) {
			for _, n := range []int{0, 1, 100<<10 - 16, 100 << 10, 100<<10 + 16, 1 << 20, 5 << 20} {
				in := bytes.Repeat([]byte{byte(n), 7, 9}, n/3+1)[:n]
				if got := harness.Get(t, work.EchoRemote(ctx, in)); !bytes.Equal(got, in) {
					t.Errorf("%d bytes came back as %d others", n, len(got))
				}
			}
		})
		t.Run("a put value as it was", func(t *testing.T) {
			in := []byte("before")
			ref, err := mobula.Put(ctx, in)
			if err != nil {
				t.Fatal(err)
			}
			copy(in, "after!")
			if got := harness.Get(t, ref); string(got) != "before" {
				t.Errorf("got %q, want what was put", got)
			}
		})
		t.Run("a large put value", func(t *testing.T) {
			in := bytes.Repeat([]byte("abc"), 1<<20)
			ref, err := mobula.Put(ctx, in)
			if err != nil {
				t.Fatal(err)
			}
			if got := harness.Get(t, ref); !bytes.Equal(got, in) {
				t.Errorf("got %d other bytes", len(got))
			}
			if err := ref.View(ctx, func(got []byte) error {
				if !bytes.Equal(got, in) {
					t.Errorf("the view has %d other bytes", len(got))
				}
				return nil
			}); err != nil {
				t.Error(err)
			}
		})
	})
}

func TestRefsAreArguments(t *testing.T) {
	t.Parallel()
	harness.Alone(t, func() {
		ctx := harness.Open(t)
		t.Run("whose values the task gets", func(t *testing.T) {
			a := work.AddRemote(ctx, 1, 2)
			if got := harness.Get(t, work.AddRefs(ctx, a, a)); got != 6 {
				t.Errorf("got %d, want 6", got)
			}
		})
		t.Run("mixed with values", func(t *testing.T) {
			put, err := mobula.Put(ctx, 40)
			if err != nil {
				t.Fatal(err)
			}
			if got := harness.Get(t, work.AddRefs(ctx, put, mobula.Val(2))); got != 42 {
				t.Errorf("got %d, want 42", got)
			}
		})
		t.Run("in a chain of a thousand", func(t *testing.T) {
			r := work.AddRemote(ctx, 0, 0)
			for range 1000 {
				r = work.AddRefs(ctx, r, mobula.Val(1))
			}
			if got := harness.Get(t, r); got != 1000 {
				t.Errorf("got %d, want 1000", got)
			}
		})
		t.Run("inside structs, slices and maps, which the task gets as refs", func(t *testing.T) {
			box := harness.Get(t, work.PackRemote(ctx, 10))
			if got := harness.Get(t, work.UnpackRemote(ctx, box)); got != 60 {
				t.Errorf("got %d, want 60", got)
			}
			if got := harness.Get(t, box.Deep.One); got != 14 {
				t.Errorf("got %d, want 14", got)
			}
		})
		t.Run("to boxes of refs that nobody else holds", func(t *testing.T) {
			if got := harness.Get(t, work.UnpackRefs(ctx, work.PackRemote(ctx, 20))); got != 110 {
				t.Errorf("got %d, want 110", got)
			}
		})
		t.Run("inside refs, whose inner values outlive the outer ones", func(t *testing.T) {
			outer := work.NestRemote(ctx, 9)
			middle := harness.Get(t, outer)
			outer.Release()
			inner := harness.Get(t, middle)
			if got := harness.Get(t, inner); got != 9 {
				t.Errorf("got %d, want 9", got)
			}
		})
	})
}

func TestNestedGetsNeverDeadlock(t *testing.T) {
	t.Parallel()
	harness.Alone(t, func() {
		ctx := harness.Open(t, mobula.WithCPUs(1))
		t.Run("to a depth of 100 on one CPU", func(t *testing.T) {
			if got := harness.Get(t, work.DepthRemote(ctx, 100)); got != 100 {
				t.Errorf("got %d, want 100", got)
			}
		})
		t.Run("in eight trees at the same time", func(t *testing.T) {
			var refs []mobula.Ref[int]
			for range 8 {
				refs = append(refs, work.DepthRemote(ctx, 20), work.FanRemote(ctx, 50))
			}
			for i, r := range refs {
				want := 20
				if i%2 == 1 {
					want = 50*49/2 + 50
				}
				if got := harness.Get(t, r); got != want {
					t.Errorf("tree %d returned %d, want %d", i, got, want)
				}
			}
		})
		t.Run("in processes of their own", func(t *testing.T) {
			if got := harness.Get(t, work.DepthRemote(ctx, 5, mobula.IsolateProcess())); got != 5 {
				t.Errorf("got %d, want 5", got)
			}
		})
	})
}

func TestErrorsOfTasksAreTheUsersOwn(t *testing.T) {
	t.Parallel()
	harness.Alone(t, func() {
		ctx := harness.Open(t)
		t.Run("with the function, the attempt, the process and the call site", func(t *testing.T) {
			e := harness.Failure(t, work.FailRemote(ctx, work.FailPlain), mobula.TaskFailed)
			if !strings.Contains(e.Message, "something plain") || e.Execution != mobula.Failed || e.Attempt != 1 || e.PID == 0 || e.TaskID == "" {
				t.Errorf("error lacks something: %#v", e)
			}
			if !strings.HasSuffix(e.Function, "work.Fail") || !strings.Contains(e.CallSite, "task_test.go:") {
				t.Errorf("function %q, call site %q", e.Function, e.CallSite)
			}
		})
		t.Run("on every result", func(t *testing.T) {
			q, r := work.DivideRemote(ctx, 1, 0)
			for _, ref := range []mobula.Ref[int]{q, r} {
				if e := harness.Failure(t, ref, mobula.TaskFailed); !errors.Is(e, work.ErrEmpty) {
					t.Errorf("the sentinel is not in %v", e)
				}
			}
		})
		for _, hops := range []int{-1, 0, 1, 4} {
			t.Run(fmt.Sprintf("found through %d hops", hops+1), func(t *testing.T) {
				for _, how := range []string{work.FailSentinel, work.FailTyped, work.FailJoined} {
					checkUserError(t, relay(ctx, hops, how), how)
				}
			})
		}
	})
}

func relay(ctx context.Context, hops int, how string) mobula.Ref[struct{}] {
	if hops < 0 {
		return work.FailRemote(ctx, how)
	}
	return work.RelayRemote(ctx, hops, how)
}

// checkUserError checks that errors.Is and errors.As find what work.Fail failed with.
func checkUserError(t *testing.T, ref mobula.Ref[struct{}], how string) {
	t.Helper()
	e := harness.Failure(t, ref, mobula.TaskFailed)
	if want := how != work.FailTyped; errors.Is(e, work.ErrEmpty) != want {
		t.Errorf("%s: errors.Is finds the sentinel: %v, want %v, in %+v", how, !want, want, e)
	}
	var small *work.TooSmallError
	if want := how != work.FailSentinel; errors.As(e, &small) != want {
		t.Errorf("%s: errors.As finds the typed error: %v, want %v, in %+v", how, !want, want, e)
	} else if want && *small != (work.TooSmallError{Want: 7, Have: 3}) {
		t.Errorf("%s: the typed error came as %+v", how, *small)
	}
}

func TestFailedArgumentFailsTheTaskWithItsCause(t *testing.T) {
	t.Parallel()
	harness.Alone(t, func() {
		ctx := harness.Open(t)
		g := gate.New(t)
		slow := work.FlakyRemote(ctx, g.Address(), "slow")
		defer g.Open("slow", "")
		_, failed := work.DivideRemote(ctx, 1, 0)
		sum := work.AddRefs(ctx, failed, slow)
		e := harness.Failure(t, sum, mobula.TaskFailed) // although the other argument is not there
		if !errors.Is(e, work.ErrEmpty) || e.Execution != mobula.NotExecuted {
			t.Errorf("error does not say what failed, or that the task did not run: %+v", e)
		}
		var cause *mobula.Error
		if !errors.As(errors.Unwrap(e), &cause) || !strings.HasSuffix(cause.Function, "work.Divide") {
			t.Errorf("the cause is not the argument's error: %+v", e)
		}
		e = harness.Failure(t, work.AddRefs(ctx, sum, sum), mobula.TaskFailed)
		if !errors.Is(e, work.ErrEmpty) {
			t.Errorf("the cause is lost behind two tasks: %+v", e)
		}
	})
}

func TestPanicIsTheTasksFailureWithItsStack(t *testing.T) {
	t.Parallel()
	harness.Alone(t, func() {
		ctx := harness.Open(t)
		pid := harness.Get(t, work.HereRemote(ctx)).PID
		e := harness.Failure(t, work.PanicRemote(ctx, "no more fish"), mobula.TaskFailed)
		if !strings.Contains(e.Message, "no more fish") || !strings.Contains(e.Stack, "deepPanic") || e.Execution != mobula.Failed {
			t.Errorf("error lacks the panic's text or stack: %+v", e)
		}
		if e := harness.Failure(t, work.PanicRemote(ctx, "error"), mobula.TaskFailed); !errors.Is(e, work.ErrEmpty) {
			t.Errorf("the error that was the panic's value is not found: %+v", e)
		}
		if after := harness.Get(t, work.HereRemote(ctx)).PID; after != pid {
			t.Errorf("the panic ended its process")
		}
	})
}
