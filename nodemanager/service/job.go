package service

import (
	"fmt"
	"os"

	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"
	"github.com/mobula-dev/mobula/internal/id"
	"github.com/mobula-dev/mobula/nodemanager/scheduler"
)

// job is the work of one driver.
type job struct {
	id         id.Job
	namespace  string
	program    string
	language   mobulav1.Language
	driver     *session                     // nil when it has ended
	executable *os.File                     // from which Go workers are started
	path       string                       // of the executable where there is no descriptor
	envs       map[string]map[string]string // environments of tasks, by key
	// environments are those of envs, and that of the job, for which something is to be set up, by the same keys.
	environments map[string]*environment
	workerArgs   []string
	workingDir   string
	env          map[string]string
	functions    map[string]uint64 // what the driver's stubs call: name to fingerprint
	sched        *scheduler.Job
	templates    map[string]*template
	started      int64 // wall clock, unix nanoseconds
	staffed      bool  // workers were started ahead of need, after the first task

	bytes    uint64 // of specs and inline values
	maxBytes uint64
	tasks    int
	maxTasks int
	starved  []*session // waiting for room in the budget
	items    itemUse
	ended    bool
	lingers  bool // the driver has ended, and a detached actor has not
	ownsNode bool // the node ends with it
}

func (j *job) charge(n int) { j.bytes += uint64(n) }
func (j *job) refund(n int) { j.bytes -= uint64(n) }

// full reports whether the job may not queue more for now.
func (j *job) full() bool { return j.bytes >= j.maxBytes || j.tasks >= j.maxTasks }

// notServed says why the job's workers do not serve a template's function, or nothing.
func (j *job) notServed(t *template) string {
	if t.kind == mobulav1.TemplateKind_TEMPLATE_KIND_METHOD && t.frame.GetFingerprint() == 0 {
		return "" // of a class of which the caller knows the name alone, and maybe not the language: the actor's process says whether it has the method
	}
	if t.language != j.language {
		return j.notSpoken(t)
	}
	if t.frame.GetExecutable() != "" {
		return "a driver calls functions of its own language in its own program: the call must name no other"
	}
	if t.language != mobulav1.Language_LANGUAGE_GO {
		return "" // its code comes with it, or the worker looks for it by its name
	}
	fingerprint, ok := j.functions[t.name]
	switch {
	case !ok:
		return fmt.Sprintf("function %s is not known: no generated code registers it in this program; run go generate and import its package", t.name)
	case t.frame.GetFingerprint() != 0 && fingerprint != t.frame.GetFingerprint():
		return fmt.Sprintf("the stub of %s does not match the function that is served: run go generate and build again", t.name)
	default:
		return ""
	}
}
