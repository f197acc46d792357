package service

import (
	"testing"

	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"
	"github.com/mobula-dev/mobula/nodemanager/scheduler"
)

// Waiting inside tasks, and lanes that give tasks back.

// piped makes lanes take several tasks once one has run.
func piped(c *Config) {
	c.Scheduler.PipelineTargetNs = int64(1e9)
}

// warm runs calls of f until lanes take several at once.
func warm(d, wk *peer, f uint32) {
	d.t.Helper()
	for range 6 {
		c := d.submit(f)
		wk.done(wk.executes(c), "warm")
		d.result(c, 0)
	}
}

func blocked(e *mobulav1.Execute, returned ...*mobulav1.Execute) *mobulav1.Blocked {
	m := &mobulav1.Blocked{Handle: e.GetHandle()}
	for _, r := range returned {
		m.Returned = append(m.Returned, r.GetHandle())
	}
	return m
}

// pipedWorld is a world in which a lane has head running and behind waiting in it.
func pipedWorld(t *testing.T, change ...func(*mobulav1.Template)) (w *world, d, wk *peer, head, behind call, runs, waits *mobulav1.Execute) {
	t.Helper()
	w = open(t, piped)
	d = w.driver()
	f := d.template(aFunction, change...)
	c := d.submit(f)
	wk = w.worker()
	wk.done(wk.executes(c), "first")
	d.result(c, 0)
	warm(d, wk, f)
	head, behind = d.submission(f), d.submission(f)
	d.send(head.Submit, behind.Submit)
	runs, waits = wk.executes(head), wk.executes(behind)
	if runs.GetLane() != waits.GetLane() {
		t.Fatalf("lanes %d and %d", runs.GetLane(), waits.GetLane())
	}
	return w, d, wk, head, behind, runs, waits
}

func TestATaskThatWaitsLendsItsCPU(t *testing.T) {
	t.Parallel()
	w := open(t)
	d := w.driver()
	f := d.template(aFunction)
	parent := d.submit(f)
	wk := w.worker()
	p := wk.executes(parent)
	child := wk.submit(wk.template(aFunction), func(m *mobulav1.Submit) { m.Parent = p.GetHandle() })
	wk.silence() // the only CPU is taken
	wk.send(blocked(p))
	c := wk.executes(child)
	if c.GetLane() == p.GetLane() {
		t.Error("the child waits behind its parent")
	}
	wk.done(c, "child")
	if got := wk.result(child, 0); got != "child" {
		t.Error(got)
	}
	wk.send(&mobulav1.Unblocked{Handle: p.GetHandle()})
	wk.silence()
	another := d.submit(f)
	d.silence()
	wk.silence() // the CPU is taken again
	wk.done(p, "parent")
	wk.done(wk.executes(another), "another")
	if got := d.results(parent, another); got[1] != "parent" || got[2] != "another" {
		t.Errorf("outcomes %v", got)
	}
	d.goodbye()
	w.quiescent()
}

func TestTasksBehindOneThatWaitsRunElsewhere(t *testing.T) {
	t.Parallel()
	w, d, wk, head, behind, runs, waits := pipedWorld(t)
	wk.send(blocked(runs, waits))
	e := wk.executes(behind)
	if e.GetLane() == runs.GetLane() || e.GetHandle() == waits.GetHandle() || e.GetAttempt() != 1 {
		t.Errorf("executed as %v after %v", e, waits)
	}
	wk.done(waits, "too late") // of a handle that is not valid any more
	wk.done(e, "behind")
	wk.done(runs, "head")
	if got := d.results(head, behind); got[head.GetSequence()] != "head" || got[behind.GetSequence()] != "behind" {
		t.Errorf("outcomes %v", got)
	}
	d.goodbye()
	w.quiescent()
}

func TestTasksBehindALongOneAreAskedBack(t *testing.T) {
	t.Parallel()
	w, d, wk, head, behind, runs, waits := pipedWorld(t)
	w.locked(func(n *Node) { n.sched.Tick(n.now + int64(2e9*3600)) })
	r := expect[*mobulav1.Revoke](wk)
	if r.GetLane() != runs.GetLane() {
		t.Errorf("revoke of lane %d", r.GetLane())
	}
	wk.send(&mobulav1.Revoked{Lane: r.GetLane(), Returned: []uint64{waits.GetHandle()}})
	wk.silence() // there is no other CPU
	wk.done(runs, "head")
	wk.done(wk.executes(behind), "behind")
	if got := d.results(head, behind); got[head.GetSequence()] != "head" || got[behind.GetSequence()] != "behind" {
		t.Errorf("outcomes %v", got)
	}
}

func TestACancelledTaskThatIsGivenBackEndsAtOnce(t *testing.T) {
	t.Parallel()
	w, d, wk, _, behind, runs, waits := pipedWorld(t)
	w.locked(func(n *Node) { n.sched.Tick(n.now + int64(2e9*3600)) })
	r := expect[*mobulav1.Revoke](wk)
	d.cancel(behind, false)
	d.silence()
	expect[*mobulav1.CancelTask](wk)
	wk.send(&mobulav1.Revoked{Lane: r.GetLane(), Returned: []uint64{waits.GetHandle()}})
	if e := d.failure(behind, cancelled); e.GetExecution() == mobulav1.Execution_EXECUTION_FAILED {
		t.Errorf("%v", e)
	}
	wk.done(runs, "head")
	wk.silence()
}

func TestTasksBehindInADeadProcessRunAgainWithoutCharge(t *testing.T) {
	t.Parallel()
	w, d, wk, head, behind, _, _ := pipedWorld(t, retries(1))
	wk.crash()
	got := map[string]uint32{}
	for range 2 {
		next := w.worker()
		e := next.execute()
		got[string(e.GetTaskId())] = e.GetAttempt()
		next.done(e, "again")
		d.silenceOrResult()
	}
	if got[string(head.TaskId)] != 2 || got[string(behind.TaskId)] != 1 {
		t.Errorf("attempts: head %d, behind %d", got[string(head.TaskId)], got[string(behind.TaskId)])
	}
}

func TestActorsLendTheirCPUWhileAllTheirCallsWait(t *testing.T) {
	t.Parallel()
	w := open(t)
	d := w.driver()
	one := int64(unit)
	actor := d.template(anActor, options(func(o *mobulav1.Options) { o.NumCpus, o.MaxConcurrency = &one, 2 }))
	made := d.submit(actor)
	wk := w.worker()
	wk.done(wk.executes(made), "made")
	d.result(made, 0)
	m, f := d.template(aMethod), d.template(aFunction)
	a, b := d.submit(m, on(made)), d.submit(m, on(made))
	ea, eb := wk.executes(a), wk.executes(b)
	task := d.submit(f)
	d.silence()
	wk.send(blocked(ea), blocked(ea)) // said twice, it counts once
	wk.silence()
	wk.send(blocked(eb))
	e := wk.executes(task)
	wk.done(e, "task")
	d.result(task, 0)
	wk.send(&mobulav1.Unblocked{Handle: ea.GetHandle()})
	wk.silence()
	again := d.submit(f)
	d.silence()
	wk.silence()
	wk.done(ea, "a")
	d.result(a, 0)
	wk.executes(again) // b alone waits
}

func TestLiesAboutLanesEndTheWorker(t *testing.T) {
	t.Parallel()
	for name, lie := range map[string]func(wk *peer, runs, waits *mobulav1.Execute){
		"blocked is not there": func(wk *peer, _, waits *mobulav1.Execute) { wk.send(blocked(&mobulav1.Execute{Handle: 99}, waits)) },
		"nothing was asked back": func(wk *peer, runs, waits *mobulav1.Execute) {
			wk.send(&mobulav1.Revoked{Lane: runs.GetLane(), Returned: []uint64{waits.GetHandle()}})
		},
		"returned is what blocked": func(wk *peer, runs, _ *mobulav1.Execute) { wk.send(blocked(runs, runs)) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, d, wk, head, behind, runs, waits := pipedWorld(t, retries(0))
			lie(wk, runs, waits)
			wk.cutOff()
			wk.crash()
			for s, outcome := range d.results(head, behind) {
				if outcome != crashed.String() {
					t.Errorf("submission %d: %s", s, outcome)
				}
			}
		})
	}
}

func TestAFrameOfAnotherWorkersTaskEndsTheSession(t *testing.T) {
	t.Parallel()
	for name, lie := range map[string]func(e *mobulav1.Execute) message{
		"done": func(e *mobulav1.Execute) message {
			return &mobulav1.Done{Handle: e.GetHandle(), Results: [][]byte{value("stolen")}}
		},
		"blocked": func(e *mobulav1.Execute) message { return blocked(&mobulav1.Execute{Handle: 1}, e) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := open(t)
			d, thief := w.driver(), w.driver()
			c := d.submit(d.template(aFunction))
			wk := w.worker()
			e := wk.executes(c)
			wk.send(blocked(e))
			wk.silence()
			other := thief.submit(thief.template(aFunction))
			wk2 := w.worker()
			wk2.executes(other)
			wk2.send(lie(e))
			wk2.cutOff()
			wk.done(e, "mine")
			if got := d.result(c, 0); got != "mine" {
				t.Error(got)
			}
		})
	}
}

func TestDriversMayNotSendWorkersFrames(t *testing.T) {
	t.Parallel()
	for _, m := range []message{
		&mobulav1.Done{Handle: 1}, &mobulav1.Blocked{Handle: 1}, &mobulav1.Unblocked{Handle: 1}, &mobulav1.Revoked{},
		&mobulav1.Execute{}, &mobulav1.Revoke{}, &mobulav1.Welcome{}, &mobulav1.Hello{}, &mobulav1.Result{}, &mobulav1.Reply{},
		&mobulav1.Notice{}, &mobulav1.Exit{}, &mobulav1.ActorGone{}, &mobulav1.CancelTask{}, &mobulav1.Refused{},
	} {
		w := open(t)
		d := w.driver()
		d.send(m)
		d.cutOff()
		w.quiescent()
	}
}

func TestTheSchedulersViewEndsWithTheWorker(t *testing.T) {
	t.Parallel()
	w, d, wk, _, _, runs, waits := pipedWorld(t, retries(0))
	wk.send(blocked(runs, waits))
	wk.execute()
	d.goodbye()
	w.quiescent()
	w.locked(func(n *Node) {
		for _, slot := range n.handles.slots {
			if slot.task != nil && slot.task.sched.State() != scheduler.Idle {
				t.Errorf("task %v is %v", slot.task.id(), slot.task.sched.State())
			}
		}
	})
}
