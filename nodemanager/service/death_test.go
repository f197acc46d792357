package service

import (
	"errors"
	"syscall"
	"testing"

	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"
	"github.com/mobula-dev/mobula/internal/errorvalue"
	"github.com/mobula-dev/mobula/nodemanager/workerpool"
)

// Processes that die, at every step of what they do.

const (
	crashed     = mobulav1.ErrorKind_ERROR_KIND_WORKER_CRASHED
	notExecuted = mobulav1.Execution_EXECUTION_NOT_EXECUTED
	mayHave     = mobulav1.Execution_EXECUTION_MAY_HAVE_EXECUTED
)

// retries sets max_retries.
func retries(n int32) func(*mobulav1.Template) {
	return options(func(o *mobulav1.Options) { o.MaxRetries = &n })
}

func TestTasksRunAgainWhenTheirProcessDies(t *testing.T) {
	t.Parallel()
	w := open(t)
	d := w.driver()
	c := d.submit(d.template(aFunction, retries(2)))
	for attempt := uint32(1); attempt <= 2; attempt++ {
		wk := w.worker()
		if e := wk.executes(c); e.GetAttempt() != attempt || !e.GetMayRunAgain() {
			t.Fatalf("attempt %d, may run again %v", e.GetAttempt(), e.GetMayRunAgain())
		}
		wk.crash()
	}
	wk := w.worker()
	wk.done(wk.executes(c), "at last")
	if got := d.result(c, 0); got != "at last" {
		t.Error(got)
	}
	d.goodbye()
	w.quiescent()
}

func TestWhatAProcessSentLastCounts(t *testing.T) {
	t.Parallel()
	w := open(t)
	d := w.driver()
	c := d.submit(d.template(aFunction, retries(0)))
	wk := w.worker()
	e := wk.executes(c)
	wk.process.exitUnread(workerpool.ExitReason{Kind: workerpool.Signaled, Signal: syscall.SIGSEGV, Code: -1})
	known := make(chan struct{})
	wk.process.p.events <- func() { close(known) }
	<-known
	wk.done(e, "its last words") // as if they had been on their way
	wk.hangUp()
	if got := d.result(c, 0); got != "its last words" {
		t.Error(got)
	}
	d.goodbye()
	w.quiescent()
}

// Ids of children are derived in the last attempt too, or it would repeat what the attempts before it have done.
func TestTheLastAttemptJoinsTheWorkOfThoseBeforeIt(t *testing.T) {
	t.Parallel()
	w := open(t)
	d := w.driver()
	c := d.submit(d.template(aFunction, retries(1)))
	w1 := w.worker()
	w1.executes(c)
	w1.crash()
	if e := w.worker().executes(c); !e.GetMayRunAgain() {
		t.Error("the last attempt draws ids of its own")
	}
}

func TestATaskThatUsesUpItsRetriesTellsWhy(t *testing.T) {
	t.Parallel()
	w := open(t)
	d := w.driver()
	c := d.submit(d.template(aFunction, retries(1)))
	for range 2 {
		wk := w.worker()
		wk.executes(c)
		wk.crash()
	}
	e := d.failure(c, crashed)
	if e.GetExecution() != mayHave || e.GetAttempt() != 2 || e.GetStack() != "its last line\n" || e.GetFunction() != "f" {
		t.Errorf("%v", e)
	}
}

func TestWithoutRetriesATaskMayHaveRunOnce(t *testing.T) {
	t.Parallel()
	w := open(t)
	d := w.driver()
	c := d.submit(d.template(aFunction, retries(0)))
	wk := w.worker()
	if e := wk.executes(c); e.GetMayRunAgain() {
		t.Error("ids of its children are derived")
	}
	wk.crash()
	if e := d.failure(c, crashed); e.GetExecution() != mayHave || e.GetHint() == "" {
		t.Errorf("%v", e)
	}
}

func TestAProcessThatDiesAloneIsToBlameForThoseItDiedBeside(t *testing.T) {
	t.Parallel()
	w := open(t, func(c *Config) { c.Resources.CPUs = 2 * unit })
	d := w.driver()
	f := d.template(aFunction, retries(1))
	guilty, innocent := d.submit(f), d.submit(f)
	w1 := w.worker()
	w1.executes(guilty)
	w1.executes(innocent)
	w1.crash() // which of them did it?
	w2, w3 := w.worker(), w.worker()
	if !w2.process.spec.Isolated || !w3.process.spec.Isolated {
		t.Error("suspects run beside others")
	}
	for _, wk := range []*peer{w2, w3} {
		e := wk.execute()
		if string(e.GetTaskId()) == string(guilty.TaskId) {
			wk.crash()
		} else {
			wk.done(e, "innocent")
		}
	}
	got := d.results(guilty, innocent)
	if got[1] != crashed.String() || got[2] != "innocent" {
		t.Errorf("outcomes %v", got)
	}
}

// A process that has lost its session is about to end. Nothing may be sent to it, and nothing may be lost or charged because of it.
func TestWorkThatComesWhenAWorkersSessionHasEndedRunsElsewhere(t *testing.T) {
	t.Parallel()
	w := open(t)
	w.procs.stubborn = true
	d := w.driver()
	f, once := d.template(aFunction), d.template(aFunction, retries(0))
	first := d.submit(f)
	w1 := w.worker()
	w1.done(w1.executes(first), "before")
	d.result(first, 0)
	w1.hungUp()
	after, alsoAfter := d.submit(f), d.submit(once)
	d.silence()
	w1.crash()
	w2 := w.worker()
	w2.done(w2.executes(after), "after")
	w2.done(w2.executes(alsoAfter), "also after")
	got := d.results(after, alsoAfter)
	if got[2] != "after" || got[3] != "also after" {
		t.Errorf("outcomes %v", got)
	}
}

func TestCallsThatComeWhenAnActorsSessionHasEndedFailOrWait(t *testing.T) {
	t.Parallel()
	for name, restarts := range map[string]int32{"without restarts": 0, "with a restart": 1} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := open(t)
			w.procs.stubborn = true
			d := w.driver()
			mayRestart := options(func(o *mobulav1.Options) { o.MaxRestarts = &restarts })
			made := d.submit(d.template(anActor, mayRestart))
			m := d.template(aMethod)
			w1 := w.worker()
			w1.done(w1.executes(made), "made")
			d.result(made, 0)
			w1.hungUp()
			c := d.submit(m, on(made))
			d.silence()
			w1.crash()
			if restarts == 0 {
				if e := d.failure(c, mobulav1.ErrorKind_ERROR_KIND_ACTOR_DIED); e.GetExecution() != notExecuted {
					t.Errorf("%v", e)
				}
				return
			}
			w2 := w.worker()
			w2.done(w2.executes(made), "made again")
			w2.done(w2.executes(c), "called")
			if got := d.result(c, 0); got != "called" {
				t.Error(got)
			}
		})
	}
}

func TestWorkersThatCannotBeStartedFailTheTasksThatNeedThem(t *testing.T) {
	t.Parallel()
	w := open(t, func(c *Config) { c.Scheduler.StartBackoffNs = 1 })
	w.procs.refuse = errors.New("no such program")
	d := w.driver()
	c := d.submit(d.template(aFunction))
	if e := d.failure(c, mobulav1.ErrorKind_ERROR_KIND_WORKER_START); e.GetExecution() != notExecuted {
		t.Errorf("%v", e)
	}
	d.goodbye()
	w.quiescent()
}

func TestAProcessThatDiesBeforeItsHelloIsNoTasksFault(t *testing.T) {
	t.Parallel()
	w := open(t, func(c *Config) { c.Scheduler.StartBackoffNs = 1 })
	d := w.driver()
	c := d.submit(d.template(aFunction, retries(0)))
	for range 2 {
		w.process().exit(workerpool.ExitReason{Kind: workerpool.TakeoverFailed, Err: errors.New("too slow")})
	}
	wk := w.worker()
	wk.done(wk.executes(c), "at last")
	if got := d.result(c, 0); got != "at last" {
		t.Error(got)
	}
}

// The process is there before the node has noted it: its hello may come first.
func TestAWorkerMaySayHelloBeforeTheNodeHasNotedItsStart(t *testing.T) {
	t.Parallel()
	w := open(t)
	gate := make(chan struct{})
	w.procs.gate = gate
	d := w.driver()
	c := d.submit(d.template(aFunction))
	wk := w.worker()
	wk.done(wk.executes(c), "quick")
	if got := d.result(c, 0); got != "quick" {
		t.Error(got)
	}
	close(gate)
	d.goodbye()
	w.quiescent()
}

func TestAProcessThatIsStartedForAJobThatHasEndedIsEnded(t *testing.T) {
	t.Parallel()
	w := open(t)
	gate := make(chan struct{})
	w.procs.gate = gate
	d := w.driver()
	d.submit(d.template(aFunction))
	x := w.process()
	d.goodbye()
	close(gate)
	<-x.orders
	w.quiescent()
}

func TestAMalformedOutcomeEndsTheWorkerAndFailsTheTask(t *testing.T) {
	t.Parallel()
	for name, results := range map[string][][]byte{
		"too many results": {value("a"), value("b")}, "no result": nil, "no value": {{0xff}}, "an empty value": {{}},
		"somebody else's block": {must(&mobulav1.Value{Format: mobulav1.ValueFormat_VALUE_FORMAT_MSGPACK, Block: &mobulav1.Block{Segment: 9, Size: 64}})},
	} {
		for kind, template := range map[string]mobulav1.TemplateKind{"task": aFunction, "actor": anActor, "method": aMethod} {
			t.Run(name+" of a "+kind, func(t *testing.T) {
				t.Parallel()
				w := open(t)
				d := w.driver()
				var c call
				var wk *peer
				if template == aMethod {
					made := d.submit(d.template(anActor))
					c = d.submit(d.template(aMethod), on(made))
					wk = w.worker()
					wk.done(wk.executes(made), "made")
					d.result(made, 0)
				} else {
					change := retries(0)
					if template == anActor {
						change = returns(1)
					}
					c = d.submit(d.template(template, change))
					wk = w.worker()
				}
				wk.send(&mobulav1.Done{Handle: wk.executes(c).GetHandle(), Results: results})
				r := expect[*mobulav1.Result](d)
				if e := errorvalue.Decode(r.GetValue()); r.GetSequence() != c.GetSequence() || e.GetKind() == 0 {
					t.Errorf("outcome %v", r)
				}
				wk.cutOff()
				d.goodbye()
				w.quiescent()
			})
		}
	}
}
