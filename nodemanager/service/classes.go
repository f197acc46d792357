package service

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"
	"github.com/mobula-dev/mobula/nodemanager/resource"
	"github.com/mobula-dev/mobula/nodemanager/scheduler"
)

// classes are the scheduler's view of a template: as it is, and for tasks that must run alone.
type classes struct {
	plain *scheduler.Class
}

// class returns the class in which the task is scheduled.
func (t *task) class() *scheduler.Class { return t.tmpl.classes.plain }

// unit is one CPU, one GPU or one unit of a custom resource.
const unit = resource.Unit

// classify turns a template's options into what the scheduler needs; the error says why they cannot be met.
func (n *Node) classify(t *template, j *job) *mobulav1.ErrorValue {
	if t.kind == mobulav1.TemplateKind_TEMPLATE_KIND_METHOD {
		return nil // calls do not pass through the queues
	}
	o := t.options
	actor := t.kind == mobulav1.TemplateKind_TEMPLATE_KIND_ACTOR
	request := resource.Request{CPUs: unit, GPUs: o.GetNumGpus(), Memory: o.GetMemory(), Custom: o.GetResources()}
	if o.NumCpus != nil {
		request.CPUs = o.GetNumCpus()
	}
	if kind := o.GetAcceleratorType(); kind != "" {
		request.Custom = maps.Clone(request.Custom)
		if request.Custom == nil {
			request.Custom = make(map[string]int64)
		}
		request.Custom[acceleratorPrefix+kind] = acceleratorUnits
	}
	shape, err := n.resources.Shape(request)
	if err != nil {
		return refusedResources(t, err)
	}
	spec := scheduler.Spec{Function: uint64(t.number), Shape: shape, Kind: scheduler.Shared, Env: envKey(t.environment()), Actor: actor}
	if o.GetIsolation() == mobulav1.Isolation_ISOLATION_PROCESS || o.GetNumGpus() > 0 || t.language != mobulav1.Language_LANGUAGE_GO {
		spec.Kind = scheduler.Isolated
	}
	if actor && o.NumCpus == nil {
		running := request
		running.CPUs = 0
		if spec.Running, err = n.resources.Shape(running); err != nil {
			return refusedResources(t, err)
		}
	}
	if e := n.locate(t, j, &spec); e != nil {
		return e
	}
	t.classes.plain = n.sched.Class(j.sched, spec)
	j.envs[spec.Env] = t.environment()
	t.env = n.environmentFor(j, spec.Env)
	if request.CPUs != unit || request.GPUs > 0 || request.Memory > 0 || len(request.Custom) > 0 {
		t.assigned = map[string]int64{"CPU": request.CPUs}
		if request.GPUs > 0 {
			t.assigned["GPU"] = request.GPUs
		}
		if request.Memory > 0 {
			t.assigned["memory"] = request.Memory
		}
		maps.Copy(t.assigned, request.Custom)
	}
	return nil
}

// A node that has accelerators of a type has a resource of that name; work that asks for the type takes so little of it that this never limits how much
// runs there.
const (
	acceleratorPrefix = "accelerator_type:"
	acceleratorUnits  = unit / 1000
)

// refusedResources is the outcome of a call that asks for a quantity that cannot be.
func refusedResources(t *template, err error) *mobulav1.ErrorValue {
	e := &mobulav1.ErrorValue{
		Kind: mobulav1.ErrorKind_ERROR_KIND_INVALID_ARGUMENT, Function: t.name, Message: fmt.Sprintf("%s asks for resources that cannot be: %v", t.name, err),
		Execution: mobulav1.Execution_EXECUTION_NOT_EXECUTED,
	}
	if r, ok := errors.AsType[*resource.Error](err); ok {
		e.Hint = "change the option for " + r.Resource
	}
	return e
}

// envKey is the canonical form of an environment: workers are shared only within one.
func envKey(env map[string]string) string {
	if len(env) == 0 {
		return ""
	}
	pairs := make([]string, 0, len(env))
	for name, value := range env {
		pairs = append(pairs, name+"="+value)
	}
	slices.Sort(pairs)
	return strings.Join(pairs, "\x00")
}
