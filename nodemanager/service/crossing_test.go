package service

import (
	"testing"

	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"
	"github.com/mobula-dev/mobula/internal/id"
)

// Values and refs that go from job to job with the calls of actors that are found by their names.

// crossing is a world with an actor of d's job, and a driver of another job that has found it.
func crossing(t *testing.T) (w *world, d, wk, other *peer, made call) {
	t.Helper()
	w, d, wk, made = actorWorld(t, named("n", false), options(func(o *mobulav1.Options) { o.Lifetime = mobulav1.Lifetime_LIFETIME_DETACHED }))
	other = w.driver()
	if other.lookUp("n").GetActor() == nil {
		t.Fatal("the actor is not found")
	}
	return w, d, wk, other, made
}

func TestALargeResultOfAnotherJobsActorIsReadWhereItLies(t *testing.T) {
	t.Parallel()
	w, d, wk, other, made := crossing(t)
	c := other.submit(other.template(aMethod), on(made))
	e := wk.executes(c)
	g := wk.room(1 << 20)
	wk.send(&mobulav1.Done{Handle: e.GetHandle(), RunNs: 1, Results: [][]byte{stored(g, 4096)}})
	other.shown(g)
	if b := other.place(c.GetSequence()); b.GetOffset() != 4096 {
		t.Errorf("%v", b)
	}
	d.get(c.object(0)) // it is not the business of the actor's own driver
	if got := d.answer(c.object(0)); got != lost.String() {
		t.Errorf("got %q", got)
	}
	d.send(&mobulav1.KillActor{ActorId: made.TaskId, NoRestart: true})
	d.goodbye()
	wk.order()
	other.get(c.object(0)) // with its job and its writer gone
	other.place(0)
	other.release(c.object(0), made.object(0))
	expect[*mobulav1.SegmentGone](other)
	other.goodbye()
	w.quiescent()
}

func TestAnotherJobsArgumentsAreKeptWhenTheirDriverIsGone(t *testing.T) {
	t.Parallel()
	w, d, wk, other, made := crossing(t)
	g := other.room(1 << 20)
	given := other.put(stored(g, 0))
	deep := other.put(value("deep"))
	box := other.put(value("box", deep))
	c := other.submit(other.template(aMethod), on(made), refs(given), inside(box))
	wk.shown(g)
	e := wk.executes(c)
	wk.get(box)
	if got := wk.answer(box); got != "box" {
		t.Errorf("got %q", got)
	}
	wk.get(deep) // what a value that it may read contains
	if got := wk.answer(deep); got != "deep" {
		t.Errorf("got %q", got)
	}
	wk.hold(given, deep)
	wk.done(e, "kept")
	other.result(c, 0)
	other.goodbye()
	other.hungUp()
	wk.get(given)
	wk.place(0)
	wk.get(deep)
	if got := wk.answer(deep); got != "deep" {
		t.Errorf("got %q", got)
	}
	wk.get(box)
	if got := wk.answer(box); got != lost.String() {
		t.Errorf("what nobody holds: %q", got)
	}
	use := wk.submit(wk.template(aMethod), on(made), refs(given), inside(deep)) // and passes it on
	wk.done(wk.executes(use), "used")
	wk.result(use, 0)
	wk.release(given, deep, use.object(0))
	expect[*mobulav1.SegmentGone](wk)
	d.send(&mobulav1.KillActor{ActorId: made.TaskId, NoRestart: true})
	d.goodbye()
	w.quiescent()
}

func TestRefsInsideAResultAreForEveryJobThatIsGivenThem(t *testing.T) {
	t.Parallel()
	w, d, wk, other, made := crossing(t)
	third := w.driver()
	third.lookUp("n")
	leaf := wk.put(value("leaf"))
	branch := wk.put(value("branch", leaf))
	for _, p := range []*peer{other, third} {
		c := p.submit(p.template(aMethod), on(made))
		e := wk.executes(c)
		wk.send(&mobulav1.Done{Handle: e.GetHandle(), RunNs: 1, Results: [][]byte{value("tree", branch)}})
		if got := p.result(c, 0); got != "tree" {
			t.Fatalf("got %q", got)
		}
		p.hold(branch)
		p.release(c.object(0))
		p.get(branch)
		if got := p.answer(branch); got != "branch" {
			t.Errorf("got %q", got)
		}
		p.get(leaf)
		if got := p.answer(leaf); got != "leaf" {
			t.Errorf("got %q", got)
		}
	}
	wk.release(leaf, branch)
	again := other.submit(other.template(aMethod), on(made), inside(branch)) // and back
	wk.done(wk.executes(again), "seen")
	other.result(again, 0)
	other.release(branch, again.object(0))
	third.send(&mobulav1.Cancel{ObjectId: leaf[:]}) // nothing to cancel: that is no violation
	third.release(branch)
	third.has(1) // the actor
	d.send(&mobulav1.KillActor{ActorId: made.TaskId, NoRestart: true})
	for _, p := range []*peer{d, other, third} {
		p.goodbye()
	}
	w.quiescent()
}

func TestARefWhoseJobEndsBeforeItsOutcomeIsAnError(t *testing.T) {
	t.Parallel()
	w, d, wk, other, made := crossing(t)
	pending := other.submit(other.template(aFunction))
	late := w.worker()
	late.executes(pending)
	c := other.submit(other.template(aMethod), on(made), inside(pending.object(0)))
	e := wk.executes(c)
	wk.hold(pending.object(0))
	wk.get(pending.object(0))
	wk.done(e, "kept")
	other.goodbye()
	if got := wk.answer(pending.object(0)); got != mobulav1.ErrorKind_ERROR_KIND_SESSION_CLOSED.String() {
		t.Errorf("got %q", got)
	}
	wk.release(pending.object(0))
	d.send(&mobulav1.KillActor{ActorId: made.TaskId, NoRestart: true})
	d.goodbye()
	w.quiescent()
}

func TestAnActorsHandleThatWasLookedUpCanBePassedOn(t *testing.T) {
	t.Parallel()
	w, d, wk, other, made := crossing(t)
	c := other.submit(other.template(aFunction), inside(made.object(0)))
	theirs := w.worker()
	e := theirs.executes(c)
	theirs.hold(made.object(0))
	call := theirs.submit(theirs.template(aMethod), on(made))
	wk.done(wk.executes(call), "called")
	if got := theirs.result(call, 0); got != "called" {
		t.Errorf("got %q", got)
	}
	theirs.done(e, "done")
	other.result(c, 0)
	d.send(&mobulav1.KillActor{ActorId: made.TaskId, NoRestart: true})
	d.goodbye()
	other.goodbye()
	w.quiescent()
}

func TestACircleThroughTwoJobsEndsWithThem(t *testing.T) {
	t.Parallel()
	w, d, wk, other, made := crossing(t)
	m := other.template(aMethod)
	c := other.submit(m, on(made))
	e := wk.executes(c)
	hint := other.submit(m, on(made), inside(c.object(0)))
	h := wk.executes(hint)
	box := wk.submit(wk.template(aMethod), on(made), inside(c.object(0)))
	b := wk.executes(box)
	wk.done(h, "hint")
	other.result(hint, 0)
	wk.send(
		&mobulav1.Done{Handle: b.GetHandle(), RunNs: 1, Results: [][]byte{value("of the actor's job", c.object(0))}},
		&mobulav1.Done{Handle: e.GetHandle(), RunNs: 1, Results: [][]byte{value("of the caller's", box.object(0))}},
	)
	wk.result(box, 0)
	wk.release(box.object(0))
	other.result(c, 0)
	other.release(c.object(0), hint.object(0))
	other.has(3)
	other.goodbye()
	other.hungUp()
	d.send(&mobulav1.KillActor{ActorId: made.TaskId, NoRestart: true})
	d.goodbye()
	w.quiescent()
}

func TestWhatManyProgramsLeaveBehindCountsForTheMemoryThatItHas(t *testing.T) {
	t.Parallel()
	w, d, wk, other, made := crossing(t)
	other.goodbye()
	var kept []id.Object
	for range 40 { // each in a segment of a sixteenth of the store
		p := w.driver()
		p.lookUp("n")
		o := p.put(stored(p.room(4<<20), 0))
		c := p.submit(p.template(aMethod), on(made), inside(o))
		e := wk.executes(c)
		wk.hold(o)
		wk.done(e, "kept")
		p.result(c, 0)
		p.goodbye()
		p.hungUp()
		kept = append(kept, o)
	}
	w.locked(func(n *Node) {
		if s := n.store.Stats(); s.Segments != len(kept) || s.UsedBytes > 1<<20 {
			t.Errorf("%+v", s)
		}
	})
	wk.release(kept...)
	d.send(&mobulav1.KillActor{ActorId: made.TaskId, NoRestart: true})
	d.goodbye()
	w.quiescent()
}

func TestWhatHasCrossedCanBeExplainedAndCancelled(t *testing.T) {
	t.Parallel()
	w, d, wk, other, made := crossing(t)
	pending := other.submit(other.template(aFunction))
	theirs := w.worker()
	running := theirs.executes(pending)
	c := other.submit(other.template(aMethod), on(made), inside(pending.object(0)))
	e := wk.executes(c)
	o := pending.object(0)
	wk.last.query++
	wk.send(&mobulav1.Query{Id: wk.last.query, Kind: &mobulav1.Query_Explain{Explain: &mobulav1.ExplainTask{ObjectId: o[:]}}})
	if r := expect[*mobulav1.Reply](wk); r.GetError() != nil || r.GetText() == "" {
		t.Errorf("%v", r)
	}
	wk.send(&mobulav1.Get{ObjectIds: o[:], ReadyOnly: true}, &mobulav1.Cancel{ObjectId: o[:]})
	expect[*mobulav1.CancelTask](theirs)
	theirs.failed(running)
	if got := wk.answer(o); got != "ready" {
		t.Errorf("got %q", got)
	}
	other.failure(pending, cancelled)
	wk.done(e, "done")
	other.result(c, 0)
	d.send(&mobulav1.KillActor{ActorId: made.TaskId, NoRestart: true})
	d.goodbye()
	other.goodbye()
	w.quiescent()
}
