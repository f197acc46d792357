package service

import (
	"slices"
	"testing"

	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"
)

// Jobs that call functions of other languages than their driver's.

func TestAGoDriverCallsPythonFunctions(t *testing.T) {
	t.Parallel()
	w := open(t)
	d := w.driver(func(h *mobulav1.Hello) {
		h.WorkingDir, h.WorkerEnv = "/work", map[string]string{envInterpreter: "/opt/python", "PYTHONPATH": "/lib"}
	})
	c := d.submit(d.template(aFunction, inPython, func(m *mobulav1.Template) { m.Name, m.Portable = "package.function", true }))
	wk := w.pythonWorker()
	s := wk.process.spec
	if want := []string{"/opt/python", "-P", "-m", "mobula._zygote"}; !s.Fork || !s.Isolated || s.Path != "/opt/python" || !slices.Equal(s.Args, want) {
		t.Errorf("started as %+v", s)
	}
	if s.Env[envPath] != "/work" || s.Env["PYTHONPATH"] != "/lib" || s.Env["GOMAXPROCS"] != "" {
		t.Errorf("environment %v", s.Env)
	}
	wk.done(wk.executes(c), "from Python")
	if got := d.result(c, 0); got != "from Python" {
		t.Error(got)
	}
	own := d.submit(d.template(aFunction))
	gopher := w.worker()
	gopher.done(gopher.executes(own), "from Go")
	if got := d.result(own, 0); got != "from Go" {
		t.Error(got)
	}
	d.goodbye()
	w.quiescent()
}

func TestAPythonDriverCallsGoFunctions(t *testing.T) {
	t.Parallel()
	w := open(t)
	d, _ := w.pythonDriver()
	c := d.submit(d.template(aFunction, func(m *mobulav1.Template) { m.Executable, m.Fingerprint = "/bin/sh", 0 }))
	var wk *peer
	for wk == nil {
		if x := w.process(); x.spec.Path == "/bin/sh" {
			if x.spec.Fork || x.spec.Isolated || !slices.Equal(x.spec.Args, []string{"sh"}) || x.spec.Env["GOMAXPROCS"] != "1" {
				t.Errorf("started as %+v", x.spec)
			}
			wk = x.peer(w)
			wk.send(x.hello())
			wk.welcome = expect[*mobulav1.Welcome](wk)
		}
	}
	wk.done(wk.executes(c), "from Go")
	if got := d.result(c, 0); got != "from Go" {
		t.Error(got)
	}
	for _, program := range []string{"", "sh", "/does/not/exist", "/tmp", "/etc/passwd"} {
		c := d.submit(d.template(aFunction, func(m *mobulav1.Template) { m.Executable = program }))
		d.failure(c, mobulav1.ErrorKind_ERROR_KIND_INVALID_ARGUMENT)
	}
}

func TestAWorkerOfAnotherLanguageThanWasStartedIsRefused(t *testing.T) {
	t.Parallel()
	w := open(t)
	w.driver(inPythonHello)
	x := w.process()
	p := x.peer(w)
	p.send(x.hello())
	if r := expect[*mobulav1.Refused](p); r.GetError().GetKind() != mobulav1.ErrorKind_ERROR_KIND_INVALID_ARGUMENT {
		t.Error(r)
	}
}
