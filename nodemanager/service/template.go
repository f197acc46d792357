package service

import (
	"fmt"
	"slices"
	"strings"

	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"
	"github.com/mobula-dev/mobula/internal/takeover"
	"github.com/mobula-dev/mobula/internal/takeover/guard"
	"github.com/mobula-dev/mobula/internal/wire"
)

// defaultRetries is how often a task is tried again after failures of the system.
const defaultRetries = 3

// template is what the calls registered under one number have in common.
type template struct {
	number   uint32 // the node's own numbering, for workers
	frame    *mobulav1.Template
	kind     mobulav1.TemplateKind
	name     string
	returns  uint32
	options  *mobulav1.Options
	retries  int32
	refused  *mobulav1.ErrorValue // set when the options cannot be honoured: every call fails with it
	classes  classes
	assigned map[string]int64 // resources that its tasks are told of: nil for one CPU
	language mobulav1.Language
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
	s.templates = append(s.templates, n.intern(s.job, m))
	return nil
}

// intern returns the job's template with that content, so that the sessions of a job share classes and workers see few numbers.
func (n *Node) intern(j *job, m *mobulav1.Template) *template {
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
		number: m.Id, frame: m, kind: m.GetKind(), name: m.GetName(), returns: max(m.GetNumReturns(), 1), options: o, language: m.GetLanguage(),
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
	} else if e := n.classify(t, j); e != nil {
		t.refused = e
	}
	j.templates[string(key)] = t
	return t
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
	case o.GetMaxConcurrency() < 0:
		return "max_concurrency is negative"
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
	if later := notHonoured(o); len(later) > 0 {
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
		case takeover.Reserved(name) || name == guard.EnvMark:
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
func notHonoured(o *mobulav1.Options) []string {
	return names([]option{
		{"accelerator_type", o.GetAcceleratorType() != ""},
		{"label_selector", len(o.GetLabelSelector()) > 0},
		{"fallback_strategy", len(o.GetFallbackStrategy()) > 0},
		{"scheduling_strategy", o.GetSchedulingStrategy() != nil},
		{"streaming", o.GetStreaming()},
		{"generator_backpressure", o.GetGeneratorBackpressure() != 0},
		{"max_calls", o.GetMaxCalls() != 0},
		{"concurrency_groups", len(o.GetConcurrencyGroups()) > 0},
		{"concurrency_group", o.GetConcurrencyGroup() != ""},
		{"runtime_env", o.GetRuntimeEnv() != ""},
		{"num_returns", o.NumReturns != nil},
		{"no_task_events", o.GetNoTaskEvents()},
		{"tensor_transport", o.GetTensorTransport()},
		{"object_store_memory", o.GetObjectStoreMemory() != 0},
		{"lifetime=detached", o.GetLifetime() == mobulav1.Lifetime_LIFETIME_DETACHED},
	})
}

// misplaced lists the options that are set and that do not belong to the kind.
func misplaced(kind mobulav1.TemplateKind, o *mobulav1.Options) []string {
	resources := []option{
		{"num_cpus", o.NumCpus != nil}, {"num_gpus", o.NumGpus != nil}, {"memory", o.Memory != nil},
		{"resources", len(o.GetResources()) > 0}, {"env", len(o.GetEnv()) > 0},
		{"isolation", o.GetIsolation() != mobulav1.Isolation_ISOLATION_UNSPECIFIED},
	}
	actors := []option{
		{"max_restarts", o.MaxRestarts != nil}, {"max_pending_calls", o.MaxPendingCalls != nil},
		{"max_concurrency", o.GetMaxConcurrency() != 0}, {"namespace", o.GetNamespace() != ""},
		{"get_if_exists", o.GetGetIfExists()}, {"allow_out_of_order_execution", o.GetAllowOutOfOrderExecution()},
	}
	tasks := []option{{"max_retries", o.MaxRetries != nil}}
	retryErrors := option{"retry_exceptions", o.GetRetryExceptions() || len(o.GetRetryExceptionNames()) > 0}
	methods := option{"max_task_retries", o.MaxTaskRetries != nil}
	switch kind {
	case mobulav1.TemplateKind_TEMPLATE_KIND_FUNCTION:
		return names(append(actors, methods))
	case mobulav1.TemplateKind_TEMPLATE_KIND_ACTOR:
		return names(append(tasks, retryErrors))
	default:
		return names(append(append(resources, tasks...), actors...))
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
