package service

import (
	"testing"
	"time"

	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"
)

// Cancellation and deadlines, in every state of a task.

const (
	cancelled = mobulav1.ErrorKind_ERROR_KIND_CANCELLED
	expired   = mobulav1.ErrorKind_ERROR_KIND_DEADLINE_EXCEEDED
)

func TestACancelledTaskThatWaitsForArgumentsIsDropped(t *testing.T) {
	t.Parallel()
	w := open(t)
	d := w.driver()
	f := d.template(aFunction)
	arg := d.submit(f)
	c := d.submit(f, refs(arg.object(0)))
	d.cancel(c, false)
	if e := d.failure(c, cancelled); e.GetExecution() != notExecuted {
		t.Errorf("%v", e)
	}
	wk := w.worker()
	wk.done(wk.executes(arg), "arg")
	d.result(arg, 0)
	wk.silence()
	d.release(arg.object(0), c.object(0))
	d.has(0)
}

func TestACancelledTaskThatIsQueuedIsDropped(t *testing.T) {
	t.Parallel()
	w := open(t)
	d := w.driver()
	f := d.template(aFunction)
	running := d.submit(f)
	wk := w.worker()
	wk.executes(running)
	c := d.submit(f)
	d.cancel(c, false)
	if e := d.failure(c, cancelled); e.GetExecution() != notExecuted || e.GetFunction() != "f" {
		t.Errorf("%v", e)
	}
}

func TestATaskThatIsSubmittedAndCancelledInOneWriteIsDropped(t *testing.T) {
	t.Parallel()
	w := open(t)
	d := w.driver()
	f := d.template(aFunction)
	first := d.submit(f)
	wk := w.worker()
	wk.done(wk.executes(first), "warm")
	d.result(first, 0)
	c := d.submission(f)
	o := c.object(0)
	d.send(c.Submit, &mobulav1.Cancel{ObjectId: o[:], Recursive: true})
	if e := d.failure(c, cancelled); e.GetExecution() != notExecuted {
		t.Errorf("%v", e)
	}
	next := d.submit(f)
	wk.done(wk.executes(next), "next")
	if got := d.result(next, 0); got != "next" {
		t.Error(got)
	}
	d.goodbye()
	w.quiescent()
}

func TestARunningTaskIsToldAndResolvesWhenItReturns(t *testing.T) {
	t.Parallel()
	for name, outcome := range map[string]struct {
		end  func(wk *peer, e *mobulav1.Execute)
		want string
	}{
		"with an error":   {func(wk *peer, e *mobulav1.Execute) { wk.failed(e) }, cancelled.String()},
		"with its result": {func(wk *peer, e *mobulav1.Execute) { wk.done(e, "in time") }, "in time"},
		"with its death":  {func(wk *peer, _ *mobulav1.Execute) { wk.crash() }, cancelled.String()},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := open(t)
			d := w.driver()
			c := d.submit(d.template(aFunction))
			wk := w.worker()
			e := wk.executes(c)
			d.cancel(c, false)
			if m := expect[*mobulav1.CancelTask](wk); m.GetHandle() != e.GetHandle() || m.GetReason() == "" {
				t.Errorf("%v", m)
			}
			d.silence() // not yet
			outcome.end(wk, e)
			if got := d.result(c, 0); got != outcome.want {
				t.Errorf("outcome %s", got)
			}
			d.goodbye()
			w.quiescent()
		})
	}
}

func TestATaskThatIgnoresItsCancellationIsGivenUp(t *testing.T) {
	t.Parallel()
	w := open(t, func(c *Config) { c.Resources.CPUs = 3 * unit })
	d := w.driver()
	f := d.template(aFunction)
	c, sibling := d.submit(f), d.submit(f)
	wk := w.worker()
	e := wk.executes(c)
	s := wk.executes(sibling)
	d.cancel(c, false)
	expect[*mobulav1.CancelTask](wk)
	if f := d.failure(c, cancelled); f.GetExecution() != mayHave {
		t.Errorf("%v", f)
	}
	next := d.submit(f)
	w2 := w.worker() // the first one takes nothing new
	w2.done(w2.executes(next), "elsewhere")
	d.result(next, 0)
	wk.done(e, "far too late")
	wk.silence()
	wk.done(s, "sibling")
	if got := d.result(sibling, 0); got != "sibling" {
		t.Error(got)
	}
	wk.order() // and ends with its last other work
	d.goodbye()
	w.quiescent()
}

func TestATaskThatWasGivenUpMayStillBlock(t *testing.T) {
	t.Parallel()
	w, d, wk, head, behind, runs, waits := pipedWorld(t, retries(0))
	d.cancel(head, false)
	expect[*mobulav1.CancelTask](wk)
	d.failure(head, cancelled)
	wk.send(blocked(runs, waits))
	w2 := w.worker()
	w2.done(w2.executes(behind), "behind")
	if got := d.result(behind, 0); got != "behind" {
		t.Error(got)
	}
	wk.order()
	d.goodbye()
	w.quiescent()
}

func TestAWorkerThatIsGivenUpEndsWithItsLastActor(t *testing.T) {
	t.Parallel()
	w := open(t)
	d := w.driver()
	made := d.submit(d.template(anActor))
	wk := w.worker()
	wk.done(wk.executes(made), "made")
	d.result(made, 0)
	c := d.submit(d.template(aFunction))
	wk.executes(c)
	d.cancel(c, false)
	expect[*mobulav1.CancelTask](wk)
	d.failure(c, cancelled)
	d.send(&mobulav1.KillActor{ActorId: made.TaskId, NoRestart: true})
	wk.order()
	d.goodbye()
	w.quiescent()
}

func TestAForcedCancellationKillsTheProcessAndChargesNobodyElse(t *testing.T) {
	t.Parallel()
	w := open(t, func(c *Config) { c.Resources.CPUs = 2 * unit })
	d := w.driver()
	f, one := d.template(aFunction), d.template(aFunction, retries(1))
	c, sibling := d.submit(f), d.submit(one)
	wk := w.worker()
	wk.executes(c)
	wk.executes(sibling)
	d.cancel(c, true)
	wk.order()
	if f := d.failure(c, cancelled); f.GetExecution() != mayHave {
		t.Errorf("%v", f)
	}
	w2 := w.worker()
	w2.executes(sibling)
	w2.crash() // its one retry is still there
	w3 := w.worker()
	w3.done(w3.executes(sibling), "sibling")
	if got := d.result(sibling, 0); got != "sibling" {
		t.Error(got)
	}
}

func TestCancellationReachesWhatTheTaskHasSubmitted(t *testing.T) {
	t.Parallel()
	w := open(t)
	d := w.driver()
	parent := d.submit(d.template(aFunction))
	wk := w.worker()
	e := wk.executes(parent)
	f := wk.template(aFunction)
	child := wk.submit(f, func(m *mobulav1.Submit) { m.Parent = e.GetHandle() })
	stranger := wk.submit(f)
	wk.silence()
	d.cancel(parent, false)
	d.silence()
	got := map[string]bool{}
	for range 2 {
		kind, payload, err := wk.next()
		if err != nil {
			t.Fatal(err)
		}
		got[kind.String()] = true
		var r mobulav1.Result
		if kind == mobulav1.FrameKind_FRAME_KIND_RESULT && (r.UnmarshalVT(payload) != nil || r.GetSequence() != child.GetSequence()) {
			t.Errorf("submission %d ended", r.GetSequence())
		}
	}
	if len(got) != 2 {
		t.Errorf("the worker is told %v", got)
	}
	wk.failed(e)
	wk.done(wk.executes(stranger), "stranger")
	if got := wk.result(stranger, 0); got != "stranger" {
		t.Error(got)
	}
}

func TestCancellingWhatIsDoneChangesNothing(t *testing.T) {
	t.Parallel()
	w := open(t)
	d := w.driver()
	c := d.submit(d.template(aFunction))
	wk := w.worker()
	wk.done(wk.executes(c), "done")
	d.result(c, 0)
	d.cancel(c, true)
	o := d.put(value("no task"))
	d.send(&mobulav1.Cancel{ObjectId: o[:]}, &mobulav1.Cancel{ObjectId: make([]byte, 20)})
	d.get(c.object(0))
	if got := d.answer(c.object(0)); got != "done" {
		t.Errorf("got %q", got)
	}
}

func TestACallOfAnActorIsCancelledAloneEvenByForce(t *testing.T) {
	t.Parallel()
	w := open(t)
	d := w.driver()
	made := d.submit(d.template(anActor))
	m := d.template(aMethod)
	wk := w.worker()
	wk.done(wk.executes(made), "made")
	d.result(made, 0)
	running, waiting := d.submit(m, on(made)), d.submit(m, on(made), refs(made.object(0)))
	e := wk.executes(running)
	wk.executes(waiting)
	d.cancel(running, true)
	if got := expect[*mobulav1.CancelTask](wk); got.GetHandle() != e.GetHandle() {
		t.Errorf("%v", got)
	}
	wk.failed(e)
	d.failure(running, cancelled)
	after := d.submit(m, on(made))
	wk.executes(after)
}

func TestACallThatWaitsAtItsActorIsDroppedWhenItIsCancelled(t *testing.T) {
	t.Parallel()
	w := open(t)
	d := w.driver()
	made := d.submit(d.template(anActor))
	m := d.template(aMethod)
	first, second := d.submit(m, on(made)), d.submit(m, on(made))
	d.cancel(first, false)
	if e := d.failure(first, cancelled); e.GetExecution() != notExecuted {
		t.Errorf("%v", e)
	}
	wk := w.worker()
	wk.done(wk.executes(made), "made")
	wk.done(wk.executes(second), "second")
	if got := d.results(made, second); got[3] != "second" {
		t.Errorf("outcomes %v", got)
	}
}

// within gives a call that long.
func within(d time.Duration) func(*mobulav1.Submit) {
	return func(m *mobulav1.Submit) { m.TimeoutNs = int64(d) }
}

func TestDeadlinesEndTasksWhereverTheyAre(t *testing.T) {
	t.Parallel()
	const soon = 20 * time.Millisecond
	t.Run("waiting", func(t *testing.T) {
		t.Parallel()
		d := open(t).driver()
		f := d.template(aFunction)
		arg := d.submit(f)
		if e := d.failure(d.submit(f, refs(arg.object(0)), within(soon)), expired); e.GetExecution() != notExecuted {
			t.Errorf("%v", e)
		}
	})
	t.Run("queued", func(t *testing.T) {
		t.Parallel()
		d := open(t).driver()
		if e := d.failure(d.submit(d.template(aFunction), within(soon)), expired); e.GetExecution() != notExecuted {
			t.Errorf("%v", e)
		}
	})
	t.Run("running", func(t *testing.T) {
		t.Parallel()
		w := open(t)
		d := w.driver()
		f := d.template(aFunction)
		first := d.submit(f)
		wk := w.worker()
		wk.done(wk.executes(first), "warm")
		d.result(first, 0)
		c := d.submit(f, within(time.Second/4))
		e := wk.executes(c)
		if left := e.GetTimeoutNs(); left <= 0 || left > int64(time.Second/4) {
			t.Errorf("the worker has %d ns", left)
		}
		if m := expect[*mobulav1.CancelTask](wk); m.GetHandle() != e.GetHandle() {
			t.Errorf("%v", m)
		}
		wk.failed(e)
		if e := d.failure(c, expired); e.GetExecution() != mayHave {
			t.Errorf("%v", e)
		}
	})
	t.Run("creation of an actor", func(t *testing.T) {
		t.Parallel()
		d := open(t).driver()
		made := d.submit(d.template(anActor), within(soon))
		c := d.submit(d.template(aMethod), on(made))
		if got := d.results(made, c); got[2] != mobulav1.ErrorKind_ERROR_KIND_ACTOR_DIED.String() {
			t.Errorf("outcomes %v", got)
		}
	})
}

func TestATaskCannotBeItsOwnParent(t *testing.T) {
	t.Parallel()
	w := open(t)
	d := w.driver()
	f := d.template(aFunction)
	first := d.submit(f)
	wk := w.worker()
	e := wk.executes(first)
	wk.done(e, "done")
	d.result(first, 0)
	next := e.GetHandle() + 1<<32 // the handle that the next call will have
	c := d.submit(f, func(m *mobulav1.Submit) { m.Parent = next })
	if e := wk.executes(c); e.GetHandle() != next {
		t.Fatalf("handle %x, want %x", e.GetHandle(), next)
	}
	d.cancel(c, false)
	expect[*mobulav1.CancelTask](wk)
}
