package service

import (
	"strings"
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"

	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"
)

// decision says where an option is accepted and, because none is ignored, what honours it. A kind that is not named refuses it.
type decision struct {
	set     func(*mobulav1.Options)
	honours map[mobulav1.TemplateKind]string
}

// Who honours what is accepted, in words and by the test that shows it.
func decisions() map[protoreflect.Name]decision {
	one, some := int64(unit), int32(2)
	f, a, m := aFunction, anActor, aMethod
	type by = map[mobulav1.TemplateKind]string
	return map[protoreflect.Name]decision{
		"num_cpus":  {func(o *mobulav1.Options) { o.NumCpus = &one }, by{f: "classify", a: "classify"}},
		"num_gpus":  {func(o *mobulav1.Options) { o.NumGpus = &one }, by{f: "classify", a: "classify"}},
		"memory":    {func(o *mobulav1.Options) { o.Memory = &one }, by{f: "classify", a: "classify"}},
		"resources": {func(o *mobulav1.Options) { o.Resources = map[string]int64{"pump": unit} }, by{f: "classify", a: "classify"}},
		"env":       {func(o *mobulav1.Options) { o.Env = map[string]string{"X": "y"} }, by{f: "workerEnv", a: "workerEnv"}},
		"isolation": {func(o *mobulav1.Options) { o.Isolation = mobulav1.Isolation_ISOLATION_PROCESS }, by{f: "classify", a: "classify"}},
		"max_retries": {func(o *mobulav1.Options) { o.MaxRetries = &some },
			by{f: "TestTasksRunAgainWhenTheirProcessDies"}},
		"retry_exceptions": {func(o *mobulav1.Options) { o.RetryExceptions = true },
			by{f: "TestAUsersErrorIsRetriedAsTheOptionsSay", m: "TestARetriedUsersErrorOfACallComesFirst"}},
		"retry_exception_names": {func(o *mobulav1.Options) { o.RetryExceptions, o.RetryExceptionNames = true, []string{"x"} },
			by{f: "TestAUsersErrorIsRetriedAsTheOptionsSay", m: "TestARetriedUsersErrorOfACallComesFirst"}},
		"max_restarts":      {func(o *mobulav1.Options) { o.MaxRestarts = &some }, by{a: "TestARestartedActorIsMadeAnewAndRepeatsNoCall"}},
		"max_task_retries":  {func(o *mobulav1.Options) { o.MaxTaskRetries = &some }, by{a: "callActor: the default of its methods", m: "TestCallsWithRetriesRunAgainInTheirOrder"}},
		"max_pending_calls": {func(o *mobulav1.Options) { o.MaxPendingCalls = &some }, by{a: "TestPendingCallsAreLimited"}},
		"max_concurrency":   {func(o *mobulav1.Options) { o.MaxConcurrency = 2 }, by{a: "the worker; TestActorsLendTheirCPUWhileAllTheirCallsWait"}},
		"allow_out_of_order_execution": {func(o *mobulav1.Options) { o.AllowOutOfOrderExecution = true },
			by{a: "TestOutOfOrderCallsDoNotWaitForEachOther"}},
		"lifetime":      {func(o *mobulav1.Options) { o.Lifetime = mobulav1.Lifetime_LIFETIME_NON_DETACHED }, by{f: "it is the default", a: "it is the default", m: "it is the default"}},
		"get_if_exists": {func(o *mobulav1.Options) { o.Name, o.GetIfExists = "n", true }, by{a: "TestAnExistingActorIsUsedThroughAHandleOfItsOwn"}},
		"namespace":     {func(o *mobulav1.Options) { o.Name, o.Namespace = "n", "s" }, by{a: "claimName"}},
		"name":          {func(o *mobulav1.Options) { o.Name = "n" }, by{f: "taskRow", a: "TestNamesAreUnique", m: "taskRow"}},

		"num_returns":    {func(o *mobulav1.Options) { o.NumReturns = &some }, by{f: "TestTheOptionNumReturnsCounts", m: "TestTheOptionNumReturnsCounts"}},
		"labels":         {func(o *mobulav1.Options) { o.Labels = map[string]string{"k": "v"} }, by{f: "taskRow", a: "actorRow", m: "taskRow"}},
		"no_task_events": {func(o *mobulav1.Options) { o.NoTaskEvents = true }, by{f: "ListTasks", a: "ListTasks", m: "ListTasks"}},
		"accelerator_type": {func(o *mobulav1.Options) { o.AcceleratorType = "H200" },
			by{f: "TestATypeOfAcceleratorIsAResource", a: "TestATypeOfAcceleratorIsAResource"}},
		"label_selector": {func(o *mobulav1.Options) { o.LabelSelector = map[string]string{"zone": "!a"} },
			by{f: "TestNodesAreChosenByIDAndLabels", a: "TestNodesAreChosenByIDAndLabels"}},
		"fallback_strategy": {func(o *mobulav1.Options) { o.FallbackStrategy = []string{"zone=b"} },
			by{f: "TestNodesAreChosenByIDAndLabels", a: "TestNodesAreChosenByIDAndLabels"}},
		"scheduling_strategy": {func(o *mobulav1.Options) { o.SchedulingStrategy = new(mobulav1.SchedulingStrategy) },
			by{f: "TestNodesAreChosenByIDAndLabels", a: "TestNodesAreChosenByIDAndLabels"}},
		"streaming":              {set: func(o *mobulav1.Options) { o.Streaming = true }},
		"generator_backpressure": {set: func(o *mobulav1.Options) { o.GeneratorBackpressure = 1 }},
		"max_calls":              {set: func(o *mobulav1.Options) { o.MaxCalls = 1 }},
		"concurrency_groups":     {set: func(o *mobulav1.Options) { o.ConcurrencyGroups = map[string]int32{"io": 2} }},
		"concurrency_group":      {set: func(o *mobulav1.Options) { o.ConcurrencyGroup = "io" }},
		"runtime_env":            {set: func(o *mobulav1.Options) { o.RuntimeEnv = "{}" }},
		"tensor_transport":       {set: func(o *mobulav1.Options) { o.TensorTransport = true }},
		"object_store_memory":    {set: func(o *mobulav1.Options) { o.ObjectStoreMemory = 1 }},
	}
}

// A new field of Options fails this test until it was decided what becomes of it.
func TestEveryOptionIsHonouredOrRefused(t *testing.T) {
	t.Parallel()
	w := open(t)
	all := decisions()
	fields := new(mobulav1.Options).ProtoReflect().Descriptor().Fields()
	for i := range fields.Len() {
		name := fields.Get(i).Name()
		decided, ok := all[name]
		if !ok {
			t.Errorf("option %s: is it honoured or refused?", name)
			continue
		}
		for kind := aFunction; kind <= aMethod; kind++ {
			refused := w.refusalOf(t, kind, options(decided.set))
			honoured := decided.honours[kind] != ""
			switch {
			case honoured && refused != "":
				t.Errorf("option %s of %s is refused: %s", name, kindName(kind), refused)
			case !honoured && refused == "":
				t.Errorf("option %s of %s is accepted, and nothing honours it", name, kindName(kind))
			case !honoured && !strings.Contains(refused, strings.TrimSuffix(string(name), "_names")):
				t.Errorf("option %s of %s is refused without being named: %s", name, kindName(kind), refused)
			}
		}
	}
}

// refusalOf is why a template is refused; nothing when it is accepted.
func (w *world) refusalOf(t *testing.T, kind mobulav1.TemplateKind, change ...func(*mobulav1.Template)) string {
	t.Helper()
	return w.refusalIn(t, mobulav1.Language_LANGUAGE_GO, kind, change...)
}

// refusalIn is refusalOf in a job of the given language.
func (w *world) refusalIn(t *testing.T, language mobulav1.Language, kind mobulav1.TemplateKind, change ...func(*mobulav1.Template)) string {
	t.Helper()
	m := &mobulav1.Template{
		Kind: kind, Name: "f", Language: mobulav1.Language_LANGUAGE_GO, Fingerprint: 7, NumReturns: 1, Options: new(mobulav1.Options),
	}
	for _, c := range change {
		c(m)
	}
	refused := ""
	w.locked(func(n *Node) {
		j := &job{language: language, templates: make(map[string]*template), envs: make(map[string]map[string]string),
			functions: map[string]uint64{"f": 7}, sched: n.sched.NewJob(nil)}
		if e := n.intern(&session{job: j}, m).refused; e != nil {
			if e.GetKind() != mobulav1.ErrorKind_ERROR_KIND_INVALID_ARGUMENT || e.GetExecution() != notExecuted {
				t.Errorf("%v", e)
			}
			refused = e.GetMessage() + " " + e.GetHint()
		}
	})
	return refused
}

func TestTemplatesThatMakeNoSenseAreRefused(t *testing.T) {
	t.Parallel()
	w := open(t)
	long := strings.Repeat("x", 257)
	below := int32(-2)
	for name, change := range map[string]func(*mobulav1.Template){
		"no kind":                    func(m *mobulav1.Template) { m.Kind = 0 },
		"a kind that nobody knows":   func(m *mobulav1.Template) { m.Kind = 9 },
		"no name":                    func(m *mobulav1.Template) { m.Name = "" },
		"a long name":                func(m *mobulav1.Template) { m.Name = long },
		"an unknown function":        func(m *mobulav1.Template) { m.Name = "g" },
		"another signature":          func(m *mobulav1.Template) { m.Fingerprint = 8 },
		"a language without workers": func(m *mobulav1.Template) { m.Language = mobulav1.Language_LANGUAGE_TYPESCRIPT },
		"another program":            func(m *mobulav1.Template) { m.Executable = "/bin/sh" },
		"a long name of an actor":    func(m *mobulav1.Template) { m.Kind, m.Options.Name = anActor, long },
		"a long namespace":           func(m *mobulav1.Template) { m.Kind, m.Options.Name, m.Options.Namespace = anActor, "n", long },
		"a namespace without name":   func(m *mobulav1.Template) { m.Kind, m.Options.Namespace = anActor, "s" },
		"get_if_exists of no name":   func(m *mobulav1.Template) { m.Kind, m.Options.GetIfExists = anActor, true },
		"retries below -1":           func(m *mobulav1.Template) { m.Options.MaxRetries = &below },
		"restarts below -1":          func(m *mobulav1.Template) { m.Kind, m.Options.MaxRestarts = anActor, &below },
		"task retries below -1":      func(m *mobulav1.Template) { m.Kind, m.Options.MaxTaskRetries = aMethod, &below },
		"pending calls below -1":     func(m *mobulav1.Template) { m.Kind, m.Options.MaxPendingCalls = anActor, &below },
		"negative concurrency":       func(m *mobulav1.Template) { m.Kind, m.Options.MaxConcurrency = anActor, -1 },
		"negative CPUs":              func(m *mobulav1.Template) { q := int64(-1); m.Options.NumCpus = &q },
		"one GPU and a half":         func(m *mobulav1.Template) { q := int64(unit * 3 / 2); m.Options.NumGpus = &q },
		"a GPU in a shared process": func(m *mobulav1.Template) {
			q := int64(unit)
			m.Options.NumGpus, m.Options.Isolation = &q, mobulav1.Isolation_ISOLATION_SHARED
		},
		"an unknown isolation":  func(m *mobulav1.Template) { m.Options.Isolation = 9 },
		"an unknown lifetime":   func(m *mobulav1.Template) { m.Kind, m.Options.Lifetime = anActor, 9 },
		"a detached task":       func(m *mobulav1.Template) { m.Options.Lifetime = mobulav1.Lifetime_LIFETIME_DETACHED },
		"a variable of no name": func(m *mobulav1.Template) { m.Options.Env = map[string]string{"": "x"} },
		"a variable with =":     func(m *mobulav1.Template) { m.Options.Env = map[string]string{"A=B": "x"} },
	} {
		if w.refusalOf(t, aFunction, change) == "" {
			t.Errorf("%s is accepted", name)
		}
	}
}

func TestACallOfARefusedTemplateSaysWhy(t *testing.T) {
	t.Parallel()
	w := open(t)
	d := w.driver()
	c := d.submit(d.template(aFunction, func(m *mobulav1.Template) { m.Name = "unknown" }))
	if e := d.failure(c, mobulav1.ErrorKind_ERROR_KIND_INVALID_ARGUMENT); !strings.Contains(e.GetMessage(), "unknown") || e.GetExecution() != notExecuted {
		t.Errorf("%v", e)
	}
	impossible := int64(1000 * unit)
	c = d.submit(d.template(aFunction, options(func(o *mobulav1.Options) { o.NumCpus = &impossible })))
	if e := d.failure(c, mobulav1.ErrorKind_ERROR_KIND_UNSCHEDULABLE); !strings.Contains(e.GetMessage(), "CPU") {
		t.Errorf("%v", e)
	}
	d.goodbye()
	w.quiescent()
}

func TestTasksAreToldWhatTheyWereGiven(t *testing.T) {
	t.Parallel()
	w := open(t)
	d := w.driver()
	gpu, half := int64(unit), int64(unit/2)
	c := d.submit(d.template(aFunction, options(func(o *mobulav1.Options) {
		o.NumGpus, o.NumCpus, o.Env, o.Resources = &gpu, &half, map[string]string{"MODE": "fast"}, map[string]int64{"pump": unit}
	})))
	wk := w.worker()
	if s := wk.process.spec; !s.Isolated || s.Env["MODE"] != "fast" || s.Env["GOMAXPROCS"] != "1" {
		t.Errorf("started as %v", s)
	}
	e := wk.executes(c)
	if r := e.GetResources(); len(e.GetGpus()) != 1 || r["GPU"] != gpu || r["CPU"] != half || r["pump"] != unit {
		t.Errorf("given %v, GPUs %v", r, e.GetGpus())
	}
}
