package service

import (
	"slices"
	"testing"
	"time"

	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"
)

func TestARuntimeEnvironmentIsRead(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text    string
		builds  bool
		timeout time.Duration
	}{
		{"", false, setupTimeout},
		{`{"env_vars":{"A":"1"},"nobody":"knows"}`, false, setupTimeout},
		{`{"worker_process_setup_hook":"m.f"}`, false, setupTimeout},
		{`{"pip":{"packages":["x"]},"config":{"setup_timeout_seconds":2.5}}`, true, 2500 * time.Millisecond},
		{`{"uv":{"packages":["x"]},"config":{"setup_timeout_seconds":-1}}`, true, setupForever},
		{`{"working_dir":"file:///x"}`, false, setupTimeout},
		{`{"working_dir":"file:///x.zip"}`, true, setupTimeout},
		{`{"py_modules":["file:///x","https://h/m"]}`, true, setupTimeout},
		{`{"py_executable":"python"}`, true, setupTimeout},
	} {
		r, err := parseRuntimeEnv(c.text)
		if err != nil || r.builds() != c.builds || r.timeout() != c.timeout {
			t.Errorf("%s: builds %v, within %v, error %v", c.text, r.builds(), r.timeout(), err)
		}
	}
}

func TestARuntimeEnvironmentChangesHowWorkersStart(t *testing.T) {
	t.Parallel()
	w := open(t)
	d := w.driver(inPythonHello, func(h *mobulav1.Hello) {
		h.WorkerEnv = map[string]string{envRuntime: `{"config":{"start":"spawn"},"env_vars":{"A":"${B}/a","B":"${B}"}}`, "B": "b"}
	})
	if s := w.process().spec; s.Fork || s.Env["A"] != "b/a" || s.Env["B"] != "b" || s.Args[len(s.Args)-1] != "mobula._zygote" {
		t.Errorf("started as %+v", s)
	}
	d.submit(d.template(aFunction, inPython, options(func(o *mobulav1.Options) { o.RuntimeEnv = `{"env_vars":{"A":"other"}}` })))
	for {
		if s := w.process().spec; s.Env["A"] == "other" {
			if !s.Fork || s.Env["B"] != "b" || s.Env[envRuntime] != `{"env_vars":{"A":"other"}}` {
				t.Errorf("started as %+v", s)
			}
			return
		}
	}
}

func TestTheJobsOwnRuntimeEnvironmentIsItsDefault(t *testing.T) {
	t.Parallel()
	j := &job{language: mobulav1.Language_LANGUAGE_PYTHON, env: map[string]string{envRuntime: `{"env_vars":{"A":"1"}}`}}
	own := &template{job: j, language: j.language, options: &mobulav1.Options{RuntimeEnv: j.env[envRuntime], Env: map[string]string{"A": "1"}}}
	if len(own.environment()) > 0 {
		t.Error("a task that names the job's environment is not in it")
	}
	other := &template{job: j, language: j.language, options: &mobulav1.Options{RuntimeEnv: `{"env_vars":{"A":"2"}}`, Env: map[string]string{"A": "2"}}}
	if len(other.environment()) == 0 {
		t.Error("a task with another environment is in the job's")
	}
}

func TestARuntimeEnvironmentThatCannotBeReadIsRefused(t *testing.T) {
	t.Parallel()
	w := open(t)
	d, _ := w.pythonDriver()
	for _, text := range []string{"[]", "{", "null", `{"working_dir":7}`, `{"config":{"start":"sideways"}}`, `{"env_vars":{"A=B":"x"}}`} {
		c := d.submit(d.template(aFunction, inPython, options(func(o *mobulav1.Options) { o.RuntimeEnv = text })))
		d.failure(c, mobulav1.ErrorKind_ERROR_KIND_RUNTIME_ENV)
	}
}

func FuzzRuntimeEnv(f *testing.F) {
	f.Add(`{"working_dir":"/"}`)
	f.Add(`{"pip":[],"config":{"start":"spawn","setup_timeout_seconds":1e300}}`)
	f.Add(`{"env_vars":{"A":"${A}${"}}`)
	f.Fuzz(func(t *testing.T, text string) {
		r, err := parseRuntimeEnv(text)
		if err != nil {
			return
		}
		if d := r.timeout(); d <= 0 && r.Config.SetupTimeoutSeconds != 0 && r.Config.SetupTimeoutSeconds > 1e-9 {
			t.Errorf("%q has a timeout of %v", text, d)
		}
		for _, v := range r.EnvVars {
			expand(v, r.EnvVars)
		}
	})
}

// builder waits for the next process that sets an environment up.
func (w *world) builder() *proc {
	w.t.Helper()
	for {
		if p := w.process(); p.spec.Env[envRuntimeOnly] != "" {
			return p
		}
	}
}

var inEnvironment = options(func(o *mobulav1.Options) { o.RuntimeEnv = `{"pip":{"packages":["x"]}}` })

func inNewEnvironment(text string) func(*mobulav1.Template) {
	return options(func(o *mobulav1.Options) { o.RuntimeEnv = `{"pip":{"packages":["` + text + `"]}}` })
}

var runtimeArgs = []string{"-P", "-m", "mobula._runtime_env"}

func isBuilder(p *proc) bool {
	return !p.spec.Fork && slices.Equal(p.spec.Args[len(p.spec.Args)-3:], runtimeArgs)
}
