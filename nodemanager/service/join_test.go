package service

import (
	"fmt"
	"testing"

	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"
)

// Tasks that are submitted again, and failures that pass through tasks.

func TestATaskThatIsSubmittedAgainJoinsTheOneThatRuns(t *testing.T) {
	t.Parallel()
	w := open(t)
	d := w.driver()
	f := d.template(aFunction)
	c := d.submit(f)
	again := d.submit(f, as(c.id))
	wk := w.worker()
	wk.done(wk.executes(c), "once")
	if got := d.results(c, again); got[1] != "once" || got[2] != "once" {
		t.Errorf("outcomes %v", got)
	}
	third := d.submit(f, as(c.id))
	if got := d.result(third, 0); got != "once" {
		t.Error(got)
	}
	wk.silence()
	d.release(c.object(0), c.object(0))
	d.has(1)
	d.release(c.object(0))
	d.has(0)
}

func TestAFailedTaskThatIsSubmittedAgainRunsAgain(t *testing.T) {
	t.Parallel()
	w := open(t)
	d := w.driver()
	f := d.template(aFunction)
	c := d.submit(f)
	wk := w.worker()
	wk.failed(wk.executes(c))
	d.failure(c, mobulav1.ErrorKind_ERROR_KIND_TASK_FAILED)
	again := d.submit(f, as(c.id))
	wk.done(wk.executes(again), "this time")
	if got := d.result(again, 0); got != "this time" {
		t.Error(got)
	}
	d.goodbye()
	w.quiescent()
}

func TestHoldsOnAFailedResultCountForItsSuccessor(t *testing.T) {
	t.Parallel()
	w := open(t)
	d := w.driver()
	f := d.template(aFunction)
	c := d.submit(f)
	wk := w.worker()
	wk.failed(wk.executes(c))
	d.failure(c, mobulav1.ErrorKind_ERROR_KIND_TASK_FAILED)
	wk.hold(c.object(0))
	wk.silence()
	again := d.submit(f, as(c.id))
	wk.done(wk.executes(again), "this time")
	d.result(again, 0)
	d.release(c.object(0)) // the first handle is collected
	d.get(c.object(0))
	if got := d.answer(c.object(0)); got != "this time" {
		t.Error(got)
	}
	wk.release(c.object(0)) // it may: it took a hold
	wk.silence()
	d.release(c.object(0))
	d.has(0)
}

func TestATaskWhoseResultsPartlyLiveIsRunAgain(t *testing.T) {
	t.Parallel()
	for dropped := range uint32(2) {
		t.Run(fmt.Sprintf("without result %d", dropped), func(t *testing.T) {
			t.Parallel()
			w := open(t)
			d := w.driver()
			f := d.template(aFunction, returns(2))
			c := d.submit(f)
			wk := w.worker()
			wk.done(wk.executes(c), "a", "b")
			d.result(c, 0)
			d.result(c, 1)
			d.release(c.object(dropped))
			again := d.submit(f, as(c.id))
			wk.done(wk.executes(again), "a again", "b again")
			if a, b := d.result(again, 0), d.result(again, 1); a != "a again" || b != "b again" {
				t.Errorf("%q, %q", a, b)
			}
			d.goodbye()
			w.quiescent()
		})
	}
}

func TestATaskWithAnotherNumberOfResultsIsAnother(t *testing.T) {
	t.Parallel()
	w := open(t)
	d := w.driver()
	c := d.submit(d.template(aFunction))
	again := d.submit(d.template(aFunction, returns(2)), as(c.id))
	wk := w.worker()
	wk.done(wk.executes(c), "one")
	d.result(c, 0)
	wk.done(wk.executes(again), "two", "results")
	d.result(again, 0)
	if got := d.result(again, 1); got != "results" {
		t.Error(got)
	}
}

func TestAFailedArgumentIsTheCauseOfTheFailure(t *testing.T) {
	t.Parallel()
	w := open(t)
	d := w.driver()
	f := d.template(aFunction)
	arg, never := d.submit(f), d.submit(f)
	c := d.submit(f, refs(never.object(0), arg.object(0)))
	wk := w.worker()
	wk.failed(wk.executes(arg)) // the other argument is still to come
	d.failure(arg, mobulav1.ErrorKind_ERROR_KIND_TASK_FAILED)
	e := d.failure(c, mobulav1.ErrorKind_ERROR_KIND_TASK_FAILED)
	if e.GetExecution() != notExecuted || e.GetCause().GetMessage() != "the user's error" || string(e.GetCause().GetTaskId()) != string(arg.TaskId) {
		t.Errorf("%v", e)
	}
	late := d.submit(f, refs(arg.object(0)))
	if e := d.failure(late, mobulav1.ErrorKind_ERROR_KIND_TASK_FAILED); e.GetCause() == nil {
		t.Errorf("%v", e)
	}
}

// What each of a chain of tasks tells is the first failure: as long at the end of the chain as at its beginning.
func TestAFailureDoesNotGrowAlongAChainOfTasks(t *testing.T) {
	t.Parallel()
	w := open(t)
	d := w.driver()
	f := d.template(aFunction)
	chain := []call{d.submit(f)}
	for range 400 {
		chain = append(chain, d.submit(f, refs(chain[len(chain)-1].object(0))))
	}
	wk := w.worker()
	wk.failed(wk.executes(chain[0]))
	for range chain[1:] {
		expect[*mobulav1.Result](d)
	}
	e := d.failure(chain[400], mobulav1.ErrorKind_ERROR_KIND_TASK_FAILED)
	if size := e.SizeVT(); size > 2000 || e.GetCause().GetMessage() != "the user's error" {
		t.Errorf("an error of %d bytes: %.300v", size, e)
	}
}

func TestAUsersErrorIsRetriedAsTheOptionsSay(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change   func(*mobulav1.Options)
		attempts int
	}{
		"not":           {func(*mobulav1.Options) {}, 1},
		"any":           {func(o *mobulav1.Options) { o.RetryExceptions = true }, 4},
		"of that name":  {func(o *mobulav1.Options) { o.RetryExceptions, o.RetryExceptionNames = true, []string{"x", "transient"} }, 4},
		"of other name": {func(o *mobulav1.Options) { o.RetryExceptions, o.RetryExceptionNames = true, []string{"x"} }, 1},
		"none left": {func(o *mobulav1.Options) {
			zero := int32(0)
			o.RetryExceptions, o.MaxRetries = true, &zero
		}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := open(t)
			d := w.driver()
			s := d.submit(d.template(aFunction, options(c.change)))
			wk := w.worker()
			for attempt := range c.attempts {
				e := wk.executes(s)
				if int(e.GetAttempt()) != attempt+1 {
					t.Errorf("attempt %d, want %d", e.GetAttempt(), attempt+1)
				}
				wk.failed(e, "transient")
			}
			d.failure(s, mobulav1.ErrorKind_ERROR_KIND_TASK_FAILED)
		})
	}
}
