package service

import (
	"strings"
	"testing"

	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"
	"github.com/mobula-dev/mobula/internal/id"
)

// Objects live for as long as section 5 of docs/protocol.md says, and not longer.

const lost = mobulav1.ErrorKind_ERROR_KIND_OBJECT_LOST

// has fails unless the node has that many objects once it has handled all that the peer has sent.
func (p *peer) has(objects int) {
	p.t.Helper()
	p.silence()
	if got := p.w.objects(); got != objects {
		p.t.Fatalf("the node has %d objects, want %d", got, objects)
	}
}

func TestAPutLivesUntilItsLastHoldIsDropped(t *testing.T) {
	t.Parallel()
	w := open(t)
	d := w.driver()
	o := d.put(value("put"))
	d.get(o)
	if got := d.answer(o); got != "put" {
		t.Errorf("got %q", got)
	}
	d.hold(o)
	d.release(o)
	d.has(1)
	d.release(o)
	d.has(0)
	d.get(o)
	if got := d.answer(o); got != lost.String() {
		t.Errorf("got %q", got)
	}
}

func TestAResultThatNobodyHoldsGoesWhenItComes(t *testing.T) {
	t.Parallel()
	w := open(t)
	d := w.driver()
	c := d.submit(d.template(aFunction))
	wk := w.worker()
	e := wk.executes(c)
	d.release(c.object(0))
	d.has(1)
	wk.done(e, "late")
	wk.has(0)
	if got := d.result(c, 0); got != "late" {
		t.Errorf("the submitter is told %q", got)
	}
}

func TestArgumentsAreHeldUntilTheirTaskIsDone(t *testing.T) {
	t.Parallel()
	w := open(t)
	d := w.driver()
	f := d.template(aFunction)
	given, passed := d.put(value("given")), d.put(value("passed on"))
	c := d.submit(f, inside(passed), refs(given))
	d.release(given, passed)
	d.has(3)
	wk := w.worker()
	e := wk.executes(c)
	if len(e.GetResolved()) != 1 || text(e.GetResolved()[0].GetValue()) != "given" {
		t.Errorf("resolved arguments %v", e.GetResolved())
	}
	wk.get(passed) // a ref inside the arguments needs no hold of its own
	if got := wk.answer(passed); got != "passed on" {
		t.Errorf("got %q", got)
	}
	wk.hold(passed) // beyond the task it does
	wk.done(e, "done")
	wk.has(2)
	d.result(c, 0)
	d.release(c.object(0))
	d.has(1)
	wk.release(passed)
	wk.has(0)
}

func TestRefsInsideAValueLiveAsLongAsTheValue(t *testing.T) {
	t.Parallel()
	w := open(t)
	d := w.driver()
	leaf := d.put(value("leaf"))
	inner := d.put(value("inner", leaf))
	outer := d.put(value("outer", inner, leaf))
	d.release(leaf, inner)
	d.has(3)
	d.get(leaf)
	if got := d.answer(leaf); got != "leaf" {
		t.Errorf("got %q", got)
	}
	d.release(outer)
	d.has(0)
}

func TestACircleOfRefsEndsWithItsJob(t *testing.T) {
	t.Parallel()
	w := open(t)
	d := w.driver()
	f := d.template(aFunction, returns(2))
	c := d.submit(f)
	wk := w.worker()
	e := wk.executes(c)
	wk.send(&mobulav1.Done{Handle: e.GetHandle(), RunNs: 1, Results: [][]byte{value("to the other", c.object(1)), value("to both", c.object(0), c.object(1))}})
	d.result(c, 0)
	d.result(c, 1)
	d.release(c.object(0), c.object(1))
	d.has(2)
	d.goodbye()
	d.hungUp()
	wk.hangUp()
	w.quiescent()
}

func TestAResultHoldsTheRefsInsideIt(t *testing.T) {
	t.Parallel()
	w := open(t)
	d := w.driver()
	c := d.submit(d.template(aFunction))
	wk := w.worker()
	e := wk.executes(c)
	o := wk.put(value("made inside"))
	wk.send(&mobulav1.Done{Handle: e.GetHandle(), RunNs: 1, Results: [][]byte{value("box", o)}}, &mobulav1.Release{ObjectIds: o[:]})
	d.result(c, 0)
	d.has(2)
	d.get(o)
	if got := d.answer(o); got != "made inside" {
		t.Errorf("got %q", got)
	}
	d.release(c.object(0))
	d.has(0)
}

func TestAValueWithARefThatNobodyHoldsIsLost(t *testing.T) {
	t.Parallel()
	w := open(t)
	d := w.driver()
	unknown := id.Task{1}.Object(0)
	o := d.put(value("box", unknown))
	d.get(o)
	if got := d.answer(o); got != lost.String() {
		t.Errorf("got %q", got)
	}
	f := d.template(aFunction)
	for _, c := range []call{d.submit(f, refs(unknown)), d.submit(f, inside(unknown))} {
		if e := d.failure(c, lost); e.GetExecution() != notExecuted {
			t.Errorf("%v", e)
		}
	}
}

func TestTheEndOfASessionDropsItsHolds(t *testing.T) {
	t.Parallel()
	w := open(t)
	d := w.driver()
	c := d.submit(d.template(aFunction))
	wk := w.worker()
	wk.executes(c)
	o := wk.put(value("shared"))
	wk.silence()
	d.hold(o)
	d.has(2)
	wk.hungUp()
	d.has(2)
	d.release(o)
	d.has(1)
	d.hungUp()
	w.quiescent()
}

func TestJobsDoNotSeeEachOthersObjects(t *testing.T) {
	t.Parallel()
	w := open(t)
	d, other := w.driver(), w.driver()
	o := d.put(value("secret"))
	d.silence()
	other.hold(o)
	other.get(o)
	if got := other.answer(o); got != lost.String() {
		t.Errorf("got %q", got)
	}
	f := other.template(aFunction)
	for _, c := range []call{other.submit(f, refs(o)), other.submit(f, inside(o))} {
		other.failure(c, lost)
	}
	box := other.put(value("box", o))
	other.get(box)
	if got := other.answer(box); got != lost.String() {
		t.Errorf("got %q", got)
	}
	other.send(&mobulav1.Cancel{ObjectId: o[:], Force: true}, &mobulav1.Put{ObjectId: o[:], Value: value("forged")})
	other.cutOff()
	d.get(o)
	if got := d.answer(o); got != "secret" {
		t.Errorf("got %q", got)
	}
}

func TestAReleaseOfWhatIsNotHeldIsAViolation(t *testing.T) {
	t.Parallel()
	w := open(t)
	d, wk := w.pythonDriver()
	o := d.put(value("the driver's"))
	d.silence()
	wk.release(o)
	wk.cutOff()
	d.has(1)
}

func TestAReleaseOfWhatIsGoneIsNone(t *testing.T) {
	t.Parallel()
	w := open(t)
	d := w.driver()
	d.release(id.Task{1}.Object(0))
	d.silence()
}

func TestReadinessIsToldWithoutTheValue(t *testing.T) {
	t.Parallel()
	w := open(t)
	d := w.driver()
	o := d.put(value("here"))
	d.send(&mobulav1.Get{ObjectIds: o[:], ReadyOnly: true})
	if got := d.answer(o); got != "ready" {
		t.Errorf("got %q", got)
	}
}

func TestPuttingTwiceKeepsTheFirstValue(t *testing.T) {
	t.Parallel()
	w := open(t)
	d := w.driver()
	o := d.put(value("first"))
	d.send(&mobulav1.Put{ObjectId: o[:], Value: value("second")})
	d.get(o)
	if got := d.answer(o); got != "first" {
		t.Errorf("got %q", got)
	}
	d.release(o)
	d.has(1) // each put gave a hold
	d.release(o)
	d.has(0)
}

// A violation must not leave behind what it was about.
func TestAViolationLeavesNothing(t *testing.T) {
	t.Parallel()
	foreign := must(&mobulav1.Value{Format: mobulav1.ValueFormat_VALUE_FORMAT_MSGPACK, Block: &mobulav1.Block{Segment: 7, Size: 64}})
	for name, bad := range map[string]func(d *peer){
		"put of a block that is not the putter's": func(d *peer) { d.put(foreign) },
		"put of garbage":       func(d *peer) { d.put([]byte{0xff}) },
		"put without a format": func(d *peer) { d.put(nil) },
		"put of too much":      func(d *peer) { d.put(value(strings.Repeat("x", inlineMax+1))) },
		"put of half a ref": func(d *peer) {
			d.put(must(&mobulav1.Value{Format: mobulav1.ValueFormat_VALUE_FORMAT_MSGPACK, Refs: []byte{1}}))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := open(t)
			d := w.driver()
			bad(d)
			d.cutOff()
			w.quiescent()
		})
	}
}
