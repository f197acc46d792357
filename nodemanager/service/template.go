package service

import (
	"fmt"
	"slices"
	"strings"

	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"
	"github.com/mobula-dev/mobula/internal/id"
	"github.com/mobula-dev/mobula/internal/takeover"
	"github.com/mobula-dev/mobula/internal/takeover/guard"
	"github.com/mobula-dev/mobula/internal/wire"
	"github.com/mobula-dev/mobula/nodemanager/ownership"
)

// defaultRetries is how often a task is tried again after failures of the system.
const defaultRetries = 3

// template is what the calls registered under one number have in common.
type template struct {
	job      *job
	number   uint32 // the node's own numbering, for workers
	frame    *mobulav1.Template
	kind     mobulav1.TemplateKind
	name     string
	returns  uint32
	options  *mobulav1.Options
	retries  int32
	refused  *mobulav1.ErrorValue // set when the options cannot be honoured: every call fails with it
	classes  classes
	env      *environment     // of its workers; nil when nothing is to be set up for it
	group    *placement       // the placement group in which its tasks run; nil outside of one
	assigned map[string]int64 // resources that its tasks are told of: nil for one CPU
	language mobulav1.Language
	code     *ownership.Object // of its definition, held until the job is over; nil when its name says where the code is
}

func (n *Node) onTemplate(s *session, payload []byte) error {
	m := new(mobulav1.Template)
	if err := m.UnmarshalVT(payload); err != nil {
		return err
	}
	if int(m.GetId()) != len(s.templates)+1 {
		return &wire.ProtocolError{Reason: fmt.Sprintf("template %d after %d", m.GetId(), len(s.templates))}
	}
	if len(s.templates) >= n.limits.templates {
		return &wire.ProtocolError{Reason: fmt.Sprintf("more than %d templates", n.limits.templates)}
	}
	if m.GetNumReturns() > n.limits.returns {
		return &wire.ProtocolError{Reason: fmt.Sprintf("%d results", m.GetNumReturns())}
	}
	if len(m.GetDescription()) > n.limits.description {
		return &wire.ProtocolError{Reason: fmt.Sprintf("description of %d bytes", len(m.GetDescription()))}
	}
	s.templates = append(s.templates, n.intern(s, m))
	return nil
}

// intern returns the job's template with that content, so that the sessions of a job share classes and workers see few numbers.
func (n *Node) intern(s *session, m *mobulav1.Template) *template {
	j := s.job
	m.Id = 0
	key, err := m.MarshalVT()
	if err != nil {
		panic("invariant: a template encodes: " + err.Error())
	}
	if t := j.templates[string(key)]; t != nil {
		return t
	}
	n.templates++
	m.Id = n.templates
	o := m.GetOptions()
	if o == nil {
		o = new(mobulav1.Options)
	}
	t := &template{
		job: j, number: m.Id, frame: m, kind: m.GetKind(), name: m.GetName(), returns: max(m.GetNumReturns(), 1), options: o, language: m.GetLanguage(),
	}
	switch {
	case o.GetStreaming():
		t.returns = 1
	case o.NumReturns != nil && o.GetNumReturns() >= 0:
		t.returns = max(1, uint32(o.GetNumReturns()))
	}
	t.retries = defaultRetries
	if o.MaxRetries != nil {
		t.retries = o.GetMaxRetries()
	}
	switch t.kind { //nolint:exhaustive // of a function it is max_retries, and what is not known is refused below
	case mobulav1.TemplateKind_TEMPLATE_KIND_METHOD:
		t.retries = o.GetMaxTaskRetries()
	case mobulav1.TemplateKind_TEMPLATE_KIND_ACTOR:
		t.retries = 0
	}
	if reason := n.refusal(t, j); reason != "" {
		t.refused = &mobulav1.ErrorValue{
			Kind: mobulav1.ErrorKind_ERROR_KIND_INVALID_ARGUMENT, Message: reason, Function: t.name,
			Execution: mobulav1.Execution_EXECUTION_NOT_EXECUTED,
		}
	} else if _, err := parseRuntimeEnv(o.GetRuntimeEnv()); err != nil {
		t.refused = refusedRuntimeEnv(t, err)
	} else if e := n.classify(t, j); e != nil {
		t.refused = e
	} else if e := n.holdCode(s, t); e != nil {
		t.refused = e
	}
	j.templates[string(key)] = t
	return t
}

// holdCode holds the definition of a template for as long as the job is there, and so the workers that may need it.
func (n *Node) holdCode(s *session, t *template) *mobulav1.ErrorValue {
	definition := t.frame.GetDefinition()
	if len(definition) == 0 {
		return nil
	}
	oid, err := id.ObjectFromBytes(definition)
	if err != nil {
		return &mobulav1.ErrorValue{
			Kind: mobulav1.ErrorKind_ERROR_KIND_INVALID_ARGUMENT, Message: "the definition of " + t.name + ": " + err.Error(), Function: t.name,
			Execution: mobulav1.Execution_EXECUTION_NOT_EXECUTED,
		}
	}
	o := n.lookup(s, oid)
	if o == nil {
		e := unknownObject(oid)
		e.Message, e.Function = "the code of "+t.name+" is lost: "+e.GetMessage(), t.name
		return e
	}
	n.dir.Retain(o)
	t.code = o
	return nil
}

// refusal says why a template's options cannot be honoured, or nothing.
func (n *Node) refusal(t *template, j *job) string {
	o := t.options
	switch {
	case t.name == "" || len(t.name) > n.limits.name:
		return fmt.Sprintf("function name has %d bytes; it needs 1 to %d", len(t.name), n.limits.name)
	case len(o.GetName()) > n.limits.name || len(o.GetNamespace()) > n.limits.name:
		return fmt.Sprintf("name or namespace is longer than %d bytes", n.limits.name)
	case t.retries < -1 || o.GetMaxRestarts() < -1 || o.GetMaxTaskRetries() < -1 || o.GetMaxPendingCalls() < -1:
		return "a number of retries, restarts or pending calls is below -1, which is without limit"
	case o.GetMaxConcurrency() < 0 || o.GetMaxCalls() < 0 || o.GetGeneratorBackpressure() < 0:
		return "max_concurrency, max_calls or generator_backpressure is negative"
	case o.GetNumReturns() < 0 || uint32(o.GetNumReturns()) > n.limits.returns:
		return fmt.Sprintf("num_returns is %d; it can be 0 to %d", o.GetNumReturns(), n.limits.returns)
	case o.GetGeneratorBackpressure() > 0 && !o.GetStreaming():
		return "generator_backpressure needs streaming"
	case t.kind < mobulav1.TemplateKind_TEMPLATE_KIND_FUNCTION || t.kind > mobulav1.TemplateKind_TEMPLATE_KIND_METHOD:
		return fmt.Sprintf("template kind %v is not known", t.kind)
	case o.GetIsolation() == mobulav1.Isolation_ISOLATION_SHARED && o.GetNumGpus() > 0:
		return "work with a GPU has a process of its own: isolation cannot be shared"
	case o.GetGetIfExists() && o.GetName() == "":
		return "get_if_exists needs a name"
	case len(o.GetLabels()) > n.limits.labels:
		return fmt.Sprintf("more than %d labels", n.limits.labels)
	case o.GetNamespace() != "" && o.GetName() == "":
		return "namespace needs a name"
	case o.GetIsolation() > mobulav1.Isolation_ISOLATION_PROCESS || o.GetIsolation() < 0:
		return fmt.Sprintf("isolation %d is not known", o.GetIsolation())
	case o.GetLifetime() > mobulav1.Lifetime_LIFETIME_DETACHED || o.GetLifetime() < 0:
		return fmt.Sprintf("lifetime %d is not known", o.GetLifetime())
	}
	for name, value := range o.GetLabels() {
		if len(name) > n.limits.name || len(value) > n.limits.name {
			return fmt.Sprintf("a label is longer than %d bytes", n.limits.name)
		}
	}
	for name, limit := range o.GetConcurrencyGroups() {
		if name == "" || len(name) > n.limits.name || limit < 1 {
			return fmt.Sprintf("concurrency group %q runs %d calls; it needs a name of 1 to %d bytes and at least one call", name, limit, n.limits.name)
		}
	}
	for name := range o.GetResources() {
		if name == "" || len(name) > n.limits.name {
			return fmt.Sprintf("the name of a resource has %d bytes; it needs 1 to %d", len(name), n.limits.name)
		}
	}
	if reason := badEnv(o.GetEnv()); reason != "" {
		return reason
	}
	if reason := j.notServed(t); reason != "" {
		return reason
	}
	if later := notHonoured(t.language, o); len(later) > 0 {
		return "this version of Mobula does not honour the options " + strings.Join(later, ", ") +
			": it refuses them rather than ignore them"
	}
	if wrong := misplaced(t.kind, o); len(wrong) > 0 {
		return fmt.Sprintf("the options %s do not apply to %s", strings.Join(wrong, ", "), kindName(t.kind))
	}
	return ""
}

// badEnv says what is wrong with variables for workers, or nothing.
func badEnv(env map[string]string) string {
	for name, value := range env {
		switch {
		case name == "" || strings.ContainsAny(name, "=\x00") || strings.ContainsRune(value, 0):
			return fmt.Sprintf("environment variable %q is malformed", name)
		case takeover.Reserved(name), name == guard.EnvMark, name == envLanguage, name == envExecutable:
			return fmt.Sprintf("environment variable %s is reserved", name)
		}
	}
	return ""
}

// kindName says what a template makes, for people.
func kindName(k mobulav1.TemplateKind) string {
	switch k {
	case mobulav1.TemplateKind_TEMPLATE_KIND_FUNCTION:
		return "a task"
	case mobulav1.TemplateKind_TEMPLATE_KIND_ACTOR:
		return "an actor"
	case mobulav1.TemplateKind_TEMPLATE_KIND_METHOD:
		return "a method"
	default:
		return k.String()
	}
}

// option is one option's name and whether it is set.
type option struct {
	name string
	set  bool
}

func names(options []option) []string {
	var set []string
	for _, o := range options {
		if o.set {
			set = append(set, o.name)
		}
	}
	slices.Sort(set)
	return set
}

// notHonoured lists the options that are set and that this version does not honour.
func notHonoured(language mobulav1.Language, o *mobulav1.Options) []string {
	golang := language == mobulav1.Language_LANGUAGE_GO
	return names([]option{
		{"max_calls", golang && o.GetMaxCalls() != 0},
		{"concurrency_groups", golang && len(o.GetConcurrencyGroups()) > 0},
		{"concurrency_group", golang && o.GetConcurrencyGroup() != ""},
		{"streaming", golang && o.GetStreaming()},
		{"generator_backpressure", golang && o.GetGeneratorBackpressure() != 0},
		{"runtime_env", golang && o.GetRuntimeEnv() != ""},
		{"tensor_transport", o.GetTensorTransport()},
		{"object_store_memory", o.GetObjectStoreMemory() != 0},
	})
}

// misplaced lists the options that are set and that do not belong to the kind.
func misplaced(kind mobulav1.TemplateKind, o *mobulav1.Options) []string {
	resources := []option{
		{"num_cpus", o.NumCpus != nil}, {"num_gpus", o.NumGpus != nil}, {"memory", o.Memory != nil},
		{"resources", len(o.GetResources()) > 0}, {"env", len(o.GetEnv()) > 0},
		{"isolation", o.GetIsolation() != mobulav1.Isolation_ISOLATION_UNSPECIFIED},
		{"accelerator_type", o.GetAcceleratorType() != ""}, {"runtime_env", o.GetRuntimeEnv() != ""},
		{"label_selector", len(o.GetLabelSelector()) > 0}, {"fallback_strategy", len(o.GetFallbackStrategy()) > 0},
		{"scheduling_strategy", o.GetSchedulingStrategy() != nil},
	}
	actors := []option{
		{"max_restarts", o.MaxRestarts != nil}, {"max_pending_calls", o.MaxPendingCalls != nil},
		{"max_concurrency", o.GetMaxConcurrency() != 0}, {"namespace", o.GetNamespace() != ""},
		{"get_if_exists", o.GetGetIfExists()}, {"allow_out_of_order_execution", o.GetAllowOutOfOrderExecution()},
		{"concurrency_groups", len(o.GetConcurrencyGroups()) > 0}, {"lifetime=detached", o.GetLifetime() == mobulav1.Lifetime_LIFETIME_DETACHED},
	}
	streams := []option{{"streaming", o.GetStreaming()}, {"generator_backpressure", o.GetGeneratorBackpressure() != 0}}
	returns := option{"num_returns", o.NumReturns != nil}
	maxCalls, group := option{"max_calls", o.GetMaxCalls() != 0}, option{"concurrency_group", o.GetConcurrencyGroup() != ""}
	tasks := []option{{"max_retries", o.MaxRetries != nil}}
	retryErrors := option{"retry_exceptions", o.GetRetryExceptions() || len(o.GetRetryExceptionNames()) > 0}
	methods := option{"max_task_retries", o.MaxTaskRetries != nil}
	switch kind {
	case mobulav1.TemplateKind_TEMPLATE_KIND_FUNCTION:
		return names(append(actors, methods, group))
	case mobulav1.TemplateKind_TEMPLATE_KIND_ACTOR:
		return names(append(append(tasks, retryErrors, returns, maxCalls, group), streams...))
	default:
		return names(append(append(append(resources, tasks...), actors...), maxCalls))
	}
}

// retriable reports whether a user's error with these registered names is tried again.
func (t *template) retriable(errorNames []string) bool {
	o := t.options
	if only := o.GetRetryExceptionNames(); len(only) > 0 {
		return slices.ContainsFunc(errorNames, func(name string) bool { return slices.Contains(only, name) })
	}
	return o.GetRetryExceptions()
}
