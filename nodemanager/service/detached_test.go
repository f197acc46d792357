package service

import (
	"testing"

	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"
)

// Detached actors, which outlive their driver with all that they need.

func detachedActor(m *mobulav1.Template) {
	inPython(m)
	m.Options.Name, m.Options.Lifetime = "keeper", mobulav1.Lifetime_LIFETIME_DETACHED
}

// lookUp finds an actor by its name.
func (p *peer) lookUp(name string) *mobulav1.Reply {
	p.t.Helper()
	p.last.query++
	p.send(&mobulav1.Query{Id: p.last.query, Kind: &mobulav1.Query_GetActor{GetActor: &mobulav1.GetActor{Name: name}}})
	return expect[*mobulav1.Reply](p)
}

func TestADetachedActorOutlivesItsDriver(t *testing.T) {
	t.Parallel()
	w := open(t, func(c *Config) { c.Resources.CPUs = 4 * unit })
	d, wk := w.pythonDriver()
	code := d.put(value("code"))
	withCode := func(m *mobulav1.Template) { m.Definition = code[:] }
	keeper := d.submit(d.template(anActor, detachedActor, withCode))
	wk.done(wk.executes(keeper), "actor")
	d.result(keeper, 0)

	plain := d.submit(d.template(anActor, inPython))
	plainWorker := w.pythonWorker()
	plainWorker.done(plainWorker.executes(plain), "actor")
	d.result(plain, 0)
	running := d.submit(d.template(aFunction, inPython))
	runner := w.pythonWorker()
	runner.executes(running)

	d.goodbye()
	plainWorker.order() // its actor has no handle
	if why := runner.order(); why != "its work was cancelled" {
		t.Error(why)
	}

	other := w.driver(inPythonHello)
	w.process()
	found := other.lookUp("keeper").GetActor()
	if found == nil {
		t.Fatal("the actor is not found")
	}
	m := other.template(aMethod, inPython)
	call := other.submit(m, on(keeper))
	e := wk.executes(call)
	wk.get(code) // its job's objects are there
	if got := wk.answer(code); got != "code" {
		t.Error(got)
	}
	child := wk.submit(wk.template(aFunction, inPython), func(s *mobulav1.Submit) { s.Parent = e.GetHandle() })
	wk.send(&mobulav1.Blocked{Handle: e.GetHandle()})
	helper := w.pythonWorker()
	if helper.process.spec.Job != wk.process.spec.Job {
		t.Error("what a detached actor submits is of another job")
	}
	helper.done(helper.executes(child), "child")
	wk.result(child, 0)
	wk.done(e, "alive")
	if got := other.result(call, 0); got != "alive" {
		t.Error(got)
	}

	handle := keeper.object(0)
	other.send(&mobulav1.KillActor{ActorId: keeper.TaskId, NoRestart: true})
	late := other.submit(m, on(keeper))
	other.failure(late, mobulav1.ErrorKind_ERROR_KIND_ACTOR_DIED)
	other.release(handle)
	other.goodbye()
	w.quiescent()
}

func TestADetachedActorNeedsNoHandle(t *testing.T) {
	t.Parallel()
	w := open(t)
	d, wk := w.pythonDriver()
	keeper := d.submit(d.template(anActor, detachedActor))
	wk.done(wk.executes(keeper), "actor")
	d.result(keeper, 0)
	d.release(keeper.object(0))
	d.silence()
	if found := d.lookUp("keeper"); found.GetActor() == nil {
		t.Errorf("the actor ended with its last handle: %v", found)
	}
	d.send(&mobulav1.KillActor{ActorId: keeper.TaskId, NoRestart: true})
	d.goodbye()
	w.quiescent()
}

func TestAJobEndsWithItsLastDetachedActor(t *testing.T) {
	t.Parallel()
	w := open(t)
	d, wk := w.pythonDriver()
	keeper := d.submit(d.template(anActor, detachedActor))
	wk.done(wk.executes(keeper), "actor")
	d.result(keeper, 0)
	d.goodbye()
	w.locked(func(n *Node) {
		if len(n.jobs) != 1 || len(n.actors) != 1 {
			t.Errorf("%d jobs, %d actors", len(n.jobs), len(n.actors))
		}
	})
	wk.crash()
	w.quiescent()
}
