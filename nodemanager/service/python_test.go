package service

import (
	"bytes"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"
	"github.com/mobula-dev/mobula/nodemanager/resource"
	"github.com/mobula-dev/mobula/nodemanager/workerpool"
)

// Jobs of Python drivers: workers that are forked, code that comes by value, and what only Python's workers do.

// pythonDriver opens the session of a Python driver, and of the worker that is started for it.
func (w *world) pythonDriver() (d, wk *peer) {
	w.t.Helper()
	d = w.driver(inPythonHello)
	return d, w.pythonWorker()
}

func inPythonHello(h *mobulav1.Hello) {
	h.Language, h.Functions, h.WorkerArgs, h.WorkingDir = mobulav1.Language_LANGUAGE_PYTHON, nil, []string{"/bin/python", "-X", "dev"}, "/tmp"
}

func (w *world) pythonWorker() *peer {
	w.t.Helper()
	x := w.process()
	p := x.peer(w)
	h := x.hello()
	h.Language, h.Functions = mobulav1.Language_LANGUAGE_PYTHON, nil
	p.send(h)
	p.welcome = expect[*mobulav1.Welcome](p)
	return p
}

// inPython makes a template one of Python.
func inPython(m *mobulav1.Template) { m.Language, m.Fingerprint = mobulav1.Language_LANGUAGE_PYTHON, 0 }

// nudged waits for a signal of the node to the worker.
func (p *peer) nudged() {
	p.t.Helper()
	select {
	case <-p.process.nudges:
	case <-time.After(patience):
		p.t.Fatal("the node does not nudge the worker")
	}
}

func TestAPythonJobForksItsWorkers(t *testing.T) {
	t.Parallel()
	w := open(t)
	d, wk := w.pythonDriver()
	s := wk.process.spec
	if want := []string{"/bin/python", "-X", "dev", "-P", "-m", "mobula._zygote"}; !s.Fork || !s.Isolated || s.Path != "/bin/python" || !slices.Equal(s.Args, want) || s.Dir != "/tmp" {
		t.Errorf("started as %+v", s)
	}
	c := d.submit(d.template(aFunction, inPython, func(m *mobulav1.Template) { m.Name = "any.name" }))
	wk.done(wk.executes(c), "result")
	if got := d.result(c, 0); got != "result" {
		t.Error(got)
	}
	d.goodbye()
	w.quiescent()
}

func TestAPythonDriverNamesItsInterpreter(t *testing.T) {
	t.Parallel()
	w := open(t)
	p := w.connect(func(nc net.Conn) error { return w.n.handshake(nc, nil) })
	h := hello()
	h.Language = mobulav1.Language_LANGUAGE_PYTHON
	p.send(h)
	if r := expect[*mobulav1.Refused](p); !strings.Contains(r.GetError().GetMessage(), "interpreter") {
		t.Error(r)
	}
}

func TestTheCodeOfATemplateLivesAsLongAsItsJob(t *testing.T) {
	t.Parallel()
	w := open(t)
	d, wk := w.pythonDriver()
	code := d.put(value("code"))
	f := d.template(aFunction, inPython, func(m *mobulav1.Template) { m.Definition = code[:] })
	d.release(code)
	c := d.submit(f)
	e := wk.executes(c)
	wk.get(code)
	if got := wk.answer(code); got != "code" {
		t.Error(got)
	}
	wk.done(e, "result")
	d.result(c, 0)
	d.goodbye()
	w.quiescent()
}

func TestATemplateWhoseCodeIsLostIsRefused(t *testing.T) {
	t.Parallel()
	w := open(t)
	d, _ := w.pythonDriver()
	code := d.put(value("code"))
	d.release(code)
	c := d.submit(d.template(aFunction, inPython, func(m *mobulav1.Template) { m.Definition = code[:] }))
	if e := d.failure(c, mobulav1.ErrorKind_ERROR_KIND_OBJECT_LOST); !strings.Contains(e.GetMessage(), "code") {
		t.Error(e)
	}
}

func TestAPythonWorkerIsNudgedToSeeACancellation(t *testing.T) {
	t.Parallel()
	w := open(t)
	d, wk := w.pythonDriver()
	c := d.submit(d.template(aFunction, inPython))
	e := wk.executes(c)
	d.cancel(c, false)
	if got := expect[*mobulav1.CancelTask](wk); got.GetHandle() != e.GetHandle() {
		t.Error(got)
	}
	wk.nudged()
	wk.failed(e)
	d.failure(c, cancelled)
}

func TestACancelledCallOfAPythonActorIsTheWorkersToDecide(t *testing.T) {
	t.Parallel()
	w := open(t)
	d, wk := w.pythonDriver()
	a := d.submit(d.template(anActor, inPython))
	wk.done(wk.executes(a), "actor")
	d.result(a, 0)
	m := d.template(aMethod, inPython)
	c, behind := d.submit(m, on(a)), d.submit(m, on(a))
	e, f := wk.executes(c), wk.executes(behind)
	d.cancel(c, true) // force is for tasks: an actor is killed by name
	expect[*mobulav1.CancelTask](wk)
	wk.nudged()
	wk.done(e, "all the same")
	if got := d.result(c, 0); got != "all the same" {
		t.Error(got)
	}
	wk.done(f, "behind")
	d.result(behind, 0)
}

func TestAWorkerThatLeavesLosesNothing(t *testing.T) {
	t.Parallel()
	w := open(t, func(c *Config) { c.Scheduler.PipelineTargetNs = 1e9 })
	d, wk := w.pythonDriver()
	f := d.template(aFunction, inPython, options(func(o *mobulav1.Options) { none := int32(0); o.MaxRetries, o.MaxCalls = &none, 1 }))
	warm := d.submit(f)
	wk.done(wk.executes(warm), "warm")
	d.result(warm, 0)
	first, second, third := d.submit(f), d.submit(f), d.submit(f)
	e := wk.executes(first)
	v := value("first")
	wk.send(&mobulav1.Done{Handle: e.GetHandle(), Results: [][]byte{v}, RunNs: 1000, ExitWorker: true})
	if got := d.result(first, 0); got != "first" {
		t.Error(got)
	}
	wk.hangUp()
	wk.process.exit(workerpool.ExitReason{Kind: workerpool.Clean})
	next := w.pythonWorker()
	for _, c := range []call{second, third} {
		again := next.executes(c)
		if again.GetAttempt() != 1 {
			t.Errorf("attempt %d", again.GetAttempt())
		}
		next.done(again, "later")
		d.result(c, 0)
	}
}

// A process that knows an id of another job's, from wherever, may not use it: its release is passed over, as its Hold was.
func TestAReleaseOfWhatCouldNotBeHeldIsPassedOver(t *testing.T) {
	t.Parallel()
	w := open(t)
	a, b := w.driver(), w.driver()
	o := a.put(value("a's"))
	a.silence()
	b.hold(o)
	b.release(o)
	b.silence()
	a.release(o)
	a.has(0)
}

func TestResolvedArgumentsCanBeHeld(t *testing.T) {
	t.Parallel()
	w := open(t)
	d, wk := w.pythonDriver()
	arg := d.put(value("arg"))
	c := d.submit(d.template(aFunction, inPython), refs(arg))
	d.release(arg)
	e := wk.executes(c)
	if got := e.GetResolved()[0].GetObjectId(); !bytes.Equal(got, arg[:]) {
		t.Fatalf("argument %x, want %v", got, arg)
	}
	wk.hold(arg)
	wk.done(e, "result")
	d.result(c, 0)
	wk.get(arg)
	if got := wk.answer(arg); got != "arg" {
		t.Error(got)
	}
}

func TestConcurrencyGroupsCountWhenCPUsAreLent(t *testing.T) {
	t.Parallel()
	a := &actor{tmpl: &template{options: &mobulav1.Options{MaxConcurrency: 3, ConcurrencyGroups: map[string]int32{"io": 2, "cpu": 4}}}}
	if got := a.capacity(); got != 9 {
		t.Errorf("an actor that runs 3, 2 and 4 calls at once counts as %d", got)
	}
	if got := (&actor{tmpl: &template{options: new(mobulav1.Options)}}).capacity(); got != 1 {
		t.Errorf("a plain actor counts as %d", got)
	}
}

func TestTheOptionNumReturnsCounts(t *testing.T) {
	t.Parallel()
	w := open(t)
	d := w.driver()
	two := int32(2)
	c := d.submit(d.template(aFunction, options(func(o *mobulav1.Options) { o.NumReturns = &two })))
	wk := w.worker()
	wk.done(wk.executes(c), "one", "two")
	if got := []string{d.result(c, 0), d.result(c, 1)}; !slices.Equal(got, []string{"one", "two"}) {
		t.Error(got)
	}
}

func TestATypeOfAcceleratorIsAResource(t *testing.T) {
	t.Parallel()
	w := open(t, func(c *Config) {
		c.Resources = resource.Request{CPUs: 2 * unit, Custom: map[string]int64{"accelerator_type:H200": unit}}
	})
	d := w.driver()
	of := func(kind string) func(*mobulav1.Template) {
		return options(func(o *mobulav1.Options) { o.AcceleratorType = kind })
	}
	c := d.submit(d.template(aFunction, of("A100")))
	if e := d.failure(c, mobulav1.ErrorKind_ERROR_KIND_UNSCHEDULABLE); !strings.Contains(e.GetMessage(), "A100") {
		t.Error(e)
	}
	c = d.submit(d.template(aFunction, of("H200")))
	wk := w.worker()
	wk.done(wk.executes(c), "result")
	d.result(c, 0)
}

// What only Python's workers honour is accepted of Python and of nobody else.
func TestPythonHonoursMoreOptions(t *testing.T) {
	t.Parallel()
	w := open(t)
	for name, change := range map[string]func(*mobulav1.Template){
		"streaming": options(func(o *mobulav1.Options) { o.Streaming, o.GeneratorBackpressure = true, 3 }),
		"max_calls": options(func(o *mobulav1.Options) { o.MaxCalls = 1 }),
		"a group":   func(m *mobulav1.Template) { m.Kind, m.Options.ConcurrencyGroup = aMethod, "io" },
		"groups":    func(m *mobulav1.Template) { m.Kind, m.Options.ConcurrencyGroups = anActor, map[string]int32{"io": 2} },
	} {
		if w.refusalOf(t, aFunction, change) == "" {
			t.Errorf("%s of Go is accepted", name)
		}
		if why := w.refusalIn(t, mobulav1.Language_LANGUAGE_PYTHON, aFunction, change, inPython); why != "" {
			t.Errorf("%s of Python is refused: %s", name, why)
		}
	}
	for name, change := range map[string]func(*mobulav1.Template){
		"backpressure of what is no stream": options(func(o *mobulav1.Options) { o.GeneratorBackpressure = 3 }),
		"a stream of actors":                func(m *mobulav1.Template) { m.Kind, m.Options.Streaming = anActor, true },
		"a group of no calls":               func(m *mobulav1.Template) { m.Kind, m.Options.ConcurrencyGroups = anActor, map[string]int32{"io": 0} },
		"a negative number of runs":         options(func(o *mobulav1.Options) { o.MaxCalls = -1 }),
		"a negative number of results":      options(func(o *mobulav1.Options) { below := int32(-1); o.NumReturns = &below }),
	} {
		if w.refusalIn(t, mobulav1.Language_LANGUAGE_PYTHON, aFunction, change, inPython) == "" {
			t.Errorf("%s is accepted", name)
		}
	}
}
