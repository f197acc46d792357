package service

import (
	"strings"
	"testing"
	"time"

	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"
)

// Actors: the order of their calls, their lives and their ends.

const (
	died        = mobulav1.ErrorKind_ERROR_KIND_ACTOR_DIED
	unavailable = mobulav1.ErrorKind_ERROR_KIND_ACTOR_UNAVAILABLE
)

// restarts sets max_restarts.
func restarts(n int32) func(*mobulav1.Template) {
	return options(func(o *mobulav1.Options) { o.MaxRestarts = &n })
}

// named sets the name.
func named(name string, ifExists bool) func(*mobulav1.Template) {
	return options(func(o *mobulav1.Options) { o.Name, o.GetIfExists = name, ifExists })
}

// actorWorld is a world with an actor.
func actorWorld(t *testing.T, change ...func(*mobulav1.Template)) (w *world, d, wk *peer, made call) {
	t.Helper()
	w = open(t)
	d = w.driver()
	made = d.submit(d.template(anActor, change...))
	wk = w.worker()
	wk.done(wk.executes(made), "made")
	if got := d.result(made, 0); got != "made" {
		t.Fatal(got)
	}
	return w, d, wk, made
}

func TestCallsRunInTheOrderOfTheirCaller(t *testing.T) {
	t.Parallel()
	_, d, wk, made := actorWorld(t)
	m, f := d.template(aMethod), d.template(aFunction)
	arg := d.submit(f)
	e := wk.executes(arg)
	first := d.submit(m, on(made), refs(arg.object(0)))
	second := d.submit(m, on(made))
	d.silence()
	wk.silence() // the second waits for the first, and that for its argument
	theirs := wk.submit(wk.template(aMethod), on(made))
	wk.done(wk.executes(theirs), "theirs") // another caller does not
	if got := wk.result(theirs, 0); got != "theirs" {
		t.Error(got)
	}
	wk.done(e, "arg")
	if got := text(wk.executes(first).GetResolved()[0].GetValue()); got != "arg" {
		t.Error(got)
	}
	wk.executes(second)
}

func TestOutOfOrderCallsDoNotWaitForEachOther(t *testing.T) {
	t.Parallel()
	_, d, wk, made := actorWorld(t, options(func(o *mobulav1.Options) { o.AllowOutOfOrderExecution = true }))
	m := d.template(aMethod)
	arg := d.submit(d.template(aFunction))
	e := wk.executes(arg)
	first, second := d.submit(m, on(made), refs(arg.object(0))), d.submit(m, on(made))
	wk.executes(second)
	wk.done(e, "arg")
	wk.executes(first)
}

func TestACallWithAFailedArgumentFailsAndTheNextGoesOn(t *testing.T) {
	t.Parallel()
	_, d, wk, made := actorWorld(t)
	m := d.template(aMethod)
	arg := d.submit(d.template(aFunction))
	e := wk.executes(arg)
	first, second := d.submit(m, on(made), refs(arg.object(0))), d.submit(m, on(made))
	d.silence()
	wk.failed(e)
	wk.executes(second)
	got := d.results(arg, first)
	if got[first.GetSequence()] != mobulav1.ErrorKind_ERROR_KIND_TASK_FAILED.String() {
		t.Errorf("outcomes %v", got)
	}
}

func TestAnActorEndsWithItsLastHandleAndItsLastCall(t *testing.T) {
	t.Parallel()
	w, d, wk, made := actorWorld(t)
	c := d.submit(d.template(aMethod), on(made))
	e := wk.executes(c)
	d.release(made.object(0))
	d.silence()
	wk.silence() // a call holds it
	wk.done(e, "called")
	if got := string(expect[*mobulav1.ActorGone](wk).GetActorId()); got != string(made.TaskId) {
		t.Errorf("actor %x is gone", got)
	}
	d.result(c, 0)
	if e := d.failure(d.submit(d.template(aMethod), on(made)), died); e.GetExecution() != notExecuted {
		t.Errorf("%v", e)
	}
	d.goodbye()
	w.quiescent()
}

func TestAnActorWithoutHandlesEndsWhenItIsMade(t *testing.T) {
	t.Parallel()
	w := open(t)
	d := w.driver()
	made := d.submit(d.template(anActor))
	wk := w.worker()
	e := wk.executes(made)
	d.release(made.object(0))
	d.silence()
	wk.done(e, "made")
	expect[*mobulav1.ActorGone](wk)
	d.silenceOrResult()
	w.locked(func(n *Node) {
		if len(n.actors) != 0 {
			t.Errorf("%d actors are left", len(n.actors))
		}
	})
}

func TestAFailedConstructorFailsTheCalls(t *testing.T) {
	t.Parallel()
	w := open(t)
	d := w.driver()
	made := d.submit(d.template(anActor, restarts(5)))
	c := d.submit(d.template(aMethod), on(made))
	wk := w.worker()
	wk.failed(wk.executes(made))
	if e := d.failure(made, mobulav1.ErrorKind_ERROR_KIND_TASK_FAILED); e.GetMessage() != "the user's error" {
		t.Errorf("%v", e)
	}
	if e := d.failure(c, died); e.GetExecution() != notExecuted {
		t.Errorf("%v", e)
	}
	d.goodbye()
	w.quiescent()
}

func TestAnActorDiesWithItsProcess(t *testing.T) {
	t.Parallel()
	w, d, wk, made := actorWorld(t)
	m := d.template(aMethod)
	running := d.submit(m, on(made))
	wk.executes(running)
	wk.crash()
	if e := d.failure(running, died); e.GetExecution() != mayHave || e.GetCause().GetStack() == "" {
		t.Errorf("%v", e)
	}
	if e := d.failure(d.submit(m, on(made)), died); e.GetExecution() != notExecuted {
		t.Errorf("%v", e)
	}
	d.goodbye()
	w.quiescent()
}

func TestARestartedActorIsMadeAnewAndRepeatsNoCall(t *testing.T) {
	t.Parallel()
	w := open(t)
	d := w.driver()
	arg := d.put(value("what it is made of"))
	made := d.submit(d.template(anActor, restarts(1)), refs(arg))
	d.release(arg)
	wk := w.worker()
	wk.done(wk.executes(made), "made")
	d.result(made, 0)
	m := d.template(aMethod)
	running := d.submit(m, on(made))
	wk.executes(running)
	wk.crash()
	if e := d.failure(running, unavailable); e.GetExecution() != mayHave {
		t.Errorf("%v", e)
	}
	waiting := d.submit(m, on(made))
	w2 := w.worker()
	e := w2.executes(made)
	if e.GetIncarnation() != 2 || text(e.GetResolved()[0].GetValue()) != "what it is made of" {
		t.Errorf("made anew with %v", e)
	}
	w2.silence() // calls wait for the constructor
	w2.done(e, "made")
	e = w2.executes(waiting)
	if e.GetIncarnation() != 2 {
		t.Errorf("called with %v", e)
	}
	w2.crash() // it has no restarts left
	if e := d.failure(waiting, died); e.GetExecution() != mayHave {
		t.Errorf("%v", e)
	}
	d.goodbye()
	w.quiescent()
}

func TestCallsWithRetriesRunAgainInTheirOrder(t *testing.T) {
	t.Parallel()
	w, d, wk, made := actorWorld(t, restarts(-1))
	one := int32(1)
	m := d.template(aMethod, options(func(o *mobulav1.Options) { o.MaxTaskRetries = &one }))
	a, b := d.submit(m, on(made)), d.submit(m, on(made))
	wk.executes(a)
	wk.executes(b)
	wk.crash()
	c := d.submit(m, on(made))
	w2 := w.worker()
	w2.done(w2.executes(made), "made")
	for _, x := range []call{a, b} {
		if e := w2.executes(x); e.GetAttempt() != 2 {
			t.Errorf("attempt %d", e.GetAttempt())
		}
	}
	w2.executes(c)
	w2.crash()
	d.failure(a, unavailable)
	d.failure(b, unavailable)
	w3 := w.worker()
	w3.done(w3.executes(made), "made")
	w3.done(w3.executes(c), "c")
	if got := d.result(c, 0); got != "c" {
		t.Error(got)
	}
}

func TestAKilledActorFailsItsCalls(t *testing.T) {
	t.Parallel()
	for name, noRestart := range map[string]bool{"for good": true, "with a restart": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, d, wk, made := actorWorld(t, restarts(1))
			m := d.template(aMethod)
			running := d.submit(m, on(made))
			e := wk.executes(running)
			d.send(&mobulav1.KillActor{ActorId: made.TaskId, NoRestart: noRestart})
			expect[*mobulav1.ActorGone](wk)
			wk.done(e, "too late")
			if !noRestart {
				if e := d.failure(running, unavailable); e.GetExecution() != mayHave {
					t.Errorf("%v", e)
				}
				after := d.submit(m, on(made))
				if e := wk.executes(made); e.GetIncarnation() != 2 {
					t.Errorf("incarnation %d", e.GetIncarnation())
				} else {
					wk.done(e, "made")
				}
				wk.executes(after)
				return
			}
			if e := d.failure(running, died); e.GetExecution() != mayHave {
				t.Errorf("%v", e)
			}
			if e := d.failure(d.submit(m, on(made)), died); e.GetExecution() != notExecuted {
				t.Errorf("%v", e)
			}
			d.goodbye()
			w.quiescent()
		})
	}
}

func TestAnActorThatIsKilledWhileItIsMadeIsDead(t *testing.T) {
	t.Parallel()
	w := open(t)
	d := w.driver()
	made := d.submit(d.template(anActor, restarts(3)))
	c := d.submit(d.template(aMethod), on(made))
	wk := w.worker()
	wk.executes(made)
	d.send(&mobulav1.KillActor{ActorId: made.TaskId})
	wk.order()
	for s, outcome := range d.results(made, c) {
		if outcome != died.String() {
			t.Errorf("submission %d: %s", s, outcome)
		}
	}
	d.goodbye()
	w.quiescent()
}

func TestAnActorMayEndItself(t *testing.T) {
	t.Parallel()
	w, d, wk, made := actorWorld(t, restarts(5))
	m := d.template(aMethod)
	a, b := d.submit(m, on(made)), d.submit(m, on(made))
	e := wk.executes(a)
	wk.executes(b)
	wk.send(&mobulav1.Done{Handle: e.GetHandle(), RunNs: 1, ExitActor: true, Results: [][]byte{value("bye")}})
	expect[*mobulav1.ActorGone](wk)
	got := d.results(a, b)
	if got[2] != "bye" || got[3] != died.String() {
		t.Errorf("outcomes %v", got)
	}
	d.goodbye()
	w.quiescent()
}

func TestPendingCallsAreLimited(t *testing.T) {
	t.Parallel()
	two := int32(2)
	_, d, wk, made := actorWorld(t, options(func(o *mobulav1.Options) { o.MaxPendingCalls = &two }))
	m := d.template(aMethod)
	a, b := d.submit(m, on(made)), d.submit(m, on(made))
	if e := d.failure(d.submit(m, on(made)), mobulav1.ErrorKind_ERROR_KIND_PENDING_CALLS_LIMIT); e.GetExecution() != notExecuted {
		t.Errorf("%v", e)
	}
	wk.done(wk.executes(a), "a")
	d.result(a, 0)
	wk.executes(b)
	wk.executes(d.submit(m, on(made)))
}

func TestARetriedUsersErrorOfACallComesFirst(t *testing.T) {
	t.Parallel()
	one := int32(1)
	_, d, wk, made := actorWorld(t)
	m := d.template(aMethod, options(func(o *mobulav1.Options) { o.MaxTaskRetries, o.RetryExceptionNames = &one, []string{"transient"} }))
	a, b := d.submit(m, on(made)), d.submit(m, on(made))
	d.silence() // both are there before the first fails
	ea := wk.executes(a)
	wk.failed(ea, "transient")
	wk.failed(wk.executes(b), "permanent")
	if e := wk.executes(a); e.GetAttempt() != 2 {
		t.Errorf("attempt %d", e.GetAttempt())
	} else {
		wk.failed(e, "transient")
	}
	d.failure(b, mobulav1.ErrorKind_ERROR_KIND_TASK_FAILED)
	d.failure(a, mobulav1.ErrorKind_ERROR_KIND_TASK_FAILED)
}

func TestNamesAreUnique(t *testing.T) {
	t.Parallel()
	w, d, _, made := actorWorld(t, named("n", false))
	second := w.driver().submitNamed(t, "n", false)
	if second != mobulav1.ErrorKind_ERROR_KIND_ALREADY_EXISTS.String() {
		t.Errorf("second actor: %s", second)
	}
	d.send(&mobulav1.KillActor{ActorId: made.TaskId, NoRestart: true})
	d.silence()
	await(t, func() string {
		w.control.mu.Lock()
		defer w.control.mu.Unlock()
		if w.control.names["tests\x00n"].GetStatus() != mobulav1.ActorStatus_ACTOR_STATUS_DEAD {
			return "the death is not recorded"
		}
		return ""
	})
	d2 := w.driver()
	again := d2.submit(d2.template(anActor, named("n", false)))
	wk := w.worker()
	wk.done(wk.executes(again), "made")
	if got := d2.result(again, 0); got != "made" {
		t.Error(got)
	}
}

// submitNamed makes an actor with that name and returns its outcome.
func (p *peer) submitNamed(t *testing.T, name string, ifExists bool) string {
	t.Helper()
	return p.result(p.submit(p.template(anActor, named(name, ifExists))), 0)
}

func TestAnExistingActorIsUsedThroughAHandleOfItsOwn(t *testing.T) {
	t.Parallel()
	w, d, wk, made := actorWorld(t, named("n", true))
	other := w.driver()
	alias := other.submit(other.template(anActor, named("n", true)))
	early := other.submit(other.template(aMethod), on(alias)) // before it is known whose name it is
	e := wk.execute()
	if string(e.GetActorId()) != string(made.TaskId) {
		t.Errorf("call of actor %x, want %x", e.GetActorId(), made.TaskId)
	}
	wk.done(e, "early")
	if got := other.results(alias, early); got[2] != "early" {
		t.Errorf("outcomes %v", got)
	}
	d.release(made.object(0))
	d.silence()
	wk.silence() // the alias holds it
	c := other.submit(other.template(aMethod), on(alias))
	wk.done(wk.executes(c), "late")
	other.result(c, 0)
	other.release(alias.object(0))
	expect[*mobulav1.ActorGone](wk)
	other.goodbye()
	d.goodbye()
	w.quiescent()
}

func TestANamedActorIsFoundAndHeld(t *testing.T) {
	t.Parallel()
	w, d, wk, made := actorWorld(t, named("n", false))
	other := w.driver()
	ask := func(name string) *mobulav1.Reply {
		other.last.query++
		other.send(&mobulav1.Query{Id: other.last.query, Kind: &mobulav1.Query_GetActor{GetActor: &mobulav1.GetActor{Name: name}}})
		return expect[*mobulav1.Reply](other)
	}
	if r := ask("nobody"); r.GetError().GetKind() != mobulav1.ErrorKind_ERROR_KIND_NOT_FOUND {
		t.Errorf("%v", r)
	}
	if r := ask("n"); string(r.GetActor().GetActorId()) != string(made.TaskId) || r.GetActor().GetClass() != "A" {
		t.Errorf("%v", r)
	}
	d.release(made.object(0))
	d.silence()
	wk.silence()
	other.release(made.object(0))
	expect[*mobulav1.ActorGone](wk)
	other.silence()
	if r := ask("n"); r.GetError().GetKind() != died {
		t.Errorf("%v", r)
	}
}

func TestASessionThatEndsWhileItAsksForAnActorHoldsNothing(t *testing.T) {
	t.Parallel()
	w, d, wk, made := actorWorld(t, named("n", false))
	other := w.driver()
	release := w.control.hold()
	other.send(&mobulav1.Query{Id: 1, Kind: &mobulav1.Query_GetActor{GetActor: &mobulav1.GetActor{Name: "n"}}})
	other.goodbye()
	release()
	d.silence()
	d.release(made.object(0))
	expect[*mobulav1.ActorGone](wk)
	d.goodbye()
	w.quiescent()
}

func TestTheControlPlaneMayEndAnActor(t *testing.T) {
	t.Parallel()
	w, d, wk, made := actorWorld(t, restarts(5))
	w.control.effects <- &mobulav1.Effect{Id: 1, Kind: &mobulav1.Effect_EndActor{EndActor: &mobulav1.EndActorEffect{ActorId: made.TaskId, Incarnation: 1, Reason: "it must go"}}}
	expect[*mobulav1.ActorGone](wk)
	d.failure(d.submit(d.template(aMethod), on(made)), died)
}

func TestAnActorWhoseNameIsNotDecidedOnFails(t *testing.T) {
	t.Parallel()
	w := open(t)
	w.locked(func(n *Node) { n.limits.claim = time.Millisecond })
	d := w.driver()
	release := w.control.hold()
	e := d.failure(d.submit(d.template(anActor, named("n", false))), mobulav1.ErrorKind_ERROR_KIND_UNAVAILABLE)
	if e.GetExecution() != mobulav1.Execution_EXECUTION_MAY_HAVE_EXECUTED || !strings.Contains(e.GetMessage(), "did not answer") {
		t.Error(e)
	}
	release()
}
