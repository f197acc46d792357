package service

import (
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"
	"github.com/mobula-dev/mobula/internal/id"
	"github.com/mobula-dev/mobula/internal/takeover"
	"github.com/mobula-dev/mobula/nodemanager/scheduler"
	"github.com/mobula-dev/mobula/nodemanager/workerpool"
)

// A runtime environment that needs something (packages, a working directory) is set up once for a job, before any of its workers starts, by
// a process that does nothing else. Tasks wait for it as they wait for an argument, so that they take no place in the queues meanwhile, and
// fail at once when it cannot be. What is made is kept outside of the job: a second job finds it there.
//
//	idle ──first task, or eager──► building ──exit code 0──► ready
//	  ▲                                └─────else─────► failed ──first task after environmentRetry──► building

// environmentState is where an environment is in its life.
type environmentState uint8

const (
	environmentIdle environmentState = iota
	environmentBuilding
	environmentReady
	environmentFailed
)

const (
	// environmentRetry is how long tasks fail with what an environment failed with before, without another try.
	environmentRetry = time.Minute
	// buildersMax bounds the environments of a node that are set up at the same time; the others wait.
	buildersMax = 4
)

// environment is one runtime environment of a job.
type environment struct {
	job      *job
	key      string // as the scheduler has it
	runtime  runtimeEnv
	state    environmentState
	builder  id.Worker // of the process that sets it up
	since    int64     // in its state, on the node's clock
	took     int64     // how long it was being set up the last time
	failure  *mobulav1.ErrorValue
	waiting  []*task
	prestart bool // the job's own: a worker is started when it is ready
}

// builders are the environments of a node that are being set up, and those that wait for it.
type builders struct {
	running map[id.Worker]*environment
	queue   []*environment
}

// environmentFor returns the environment of a job's workers with that key, nil when nothing is to be set up.
func (n *Node) environmentFor(j *job, key string) *environment {
	if e := j.environments[key]; e != nil {
		return e
	}
	if workerLanguage(j, key) != mobulav1.Language_LANGUAGE_PYTHON {
		return nil
	}
	r := j.runtimeOf(key)
	if !r.builds() {
		return nil
	}
	e := &environment{job: j, key: key, runtime: r}
	if j.environments == nil {
		j.environments = make(map[string]*environment)
	}
	j.environments[key] = e
	return e
}

// awaitEnvironment has a task wait until its environment is set up; the error says that it cannot be.
func (n *Node) awaitEnvironment(t *task) *mobulav1.ErrorValue {
	e := t.tmpl.env
	if e == nil || e.state == environmentReady {
		return nil
	}
	if e.state == environmentFailed && n.now-e.since < int64(environmentRetry) {
		return e.failureOf(t)
	}
	n.setUp(e)
	t.missing++
	e.waiting = append(e.waiting, t)
	return nil
}

// setUp begins to set an environment up, unless that is under way.
func (n *Node) setUp(e *environment) {
	if e.state == environmentBuilding {
		return
	}
	e.state, e.since = environmentBuilding, n.now
	if len(n.builders.running) >= buildersMax {
		n.builders.queue = append(n.builders.queue, e)
		return
	}
	n.startBuilder(e)
}

// startBuilder starts the process that sets an environment up.
func (n *Node) startBuilder(e *environment) {
	_, _ = rand.Read(e.builder[:]) // never fails: crypto/rand ends the process instead
	if n.builders.running == nil {
		n.builders.running = make(map[id.Worker]*environment)
	}
	n.builders.running[e.builder] = e
	spec := n.workerSpec(e.job, e.key, true)
	spec.Worker, spec.Fork, spec.LogName = e.builder, false, logOfSetup
	spec.Env[envRuntimeOnly] = "1"
	n.aside(func() {
		p, err := n.launch(spec)
		n.locked(func() {
			switch {
			case err != nil:
				n.environmentBuilt(e, fmt.Sprintf("%v", err))
			case e.job.ended:
				p.Served()
				n.endBuilder(e)
			default:
				p.Served() // that it fails says nothing about the job's workers
			}
		})
	})
}

// endBuilder ends the process that sets an environment up.
func (n *Node) endBuilder(e *environment) {
	if err := n.pool.Kill(e.builder, workerpool.CauseCancelled); err != nil && !errors.Is(err, workerpool.ErrNotRunning) {
		n.log.Error("the process that sets a runtime environment up could not be ended", "error", err)
	}
}

// builderEnded deals with the end of a process that sets an environment up.
func (n *Node) builderEnded(e *environment, exit workerpool.ExitReason) {
	if exit.Kind == workerpool.Clean {
		n.environmentBuilt(e, "")
		return
	}
	why := exit.String()
	if refused, ok := errors.AsType[*takeover.RefusedError](exit.Err); ok {
		why = refused.Reason
	} else if late, ok := errors.AsType[*takeover.TimeoutError](exit.Err); ok {
		why = fmt.Sprintf("it took longer than %v (config.setup_timeout_seconds)", late.After)
	} else if len(exit.LastLines) > 0 {
		why += ":\n" + strings.Join(exit.LastLines, "\n")
	}
	n.environmentBuilt(e, why)
}

// environmentBuilt lets the tasks of an environment that is set up go on, or fails them if why says that it could not be.
func (n *Node) environmentBuilt(e *environment, why string) {
	if n.builders.running[e.builder] != e {
		return
	}
	delete(n.builders.running, e.builder)
	waiting := e.waiting
	e.waiting, e.took, e.since = nil, n.now-e.since, n.now
	if why == "" {
		e.state, e.failure = environmentReady, nil
		n.environmentReady(e, waiting)
	} else {
		e.state = environmentFailed
		e.failure = &mobulav1.ErrorValue{
			Kind: mobulav1.ErrorKind_ERROR_KIND_RUNTIME_ENV, Message: why, Execution: mobulav1.Execution_EXECUTION_NOT_EXECUTED,
			Hint: fmt.Sprintf("it is tried again for tasks that are submitted %v after this", environmentRetry),
		}
		if !e.job.ended && !n.closed {
			n.log.Warn("a runtime environment could not be set up", "job", e.job.id, "error", why)
		}
		for _, t := range waiting {
			if !t.done {
				n.sched.Cancel(&t.sched, n.now)
				n.fail(t, e.failureOf(t))
			}
		}
	}
	n.nextBuilder()
}

// nextBuilder starts to set up what has waited longest for its turn.
func (n *Node) nextBuilder() {
	for len(n.builders.queue) > 0 && len(n.builders.running) < buildersMax {
		e := n.builders.queue[0]
		n.builders.queue = n.builders.queue[1:]
		if !e.job.ended {
			n.startBuilder(e)
		}
	}
}

func (n *Node) environmentReady(e *environment, waiting []*task) {
	for _, t := range waiting {
		if t.done {
			continue
		}
		if t.missing--; t.missing == 0 {
			t.queued = n.now
		}
		n.sched.ArgReady(&t.sched, n.now) // nothing happens to an actor that waits for its name: it is scheduled later
	}
	if e.prestart && !e.job.ended {
		n.sched.Prestart(e.job.sched, scheduler.Isolated, e.key, 1, n.now)
	}
}

// failureOf is the outcome of a task whose environment could not be set up.
func (e *environment) failureOf(t *task) *mobulav1.ErrorValue {
	f := proto.CloneOf(e.failure)
	f.Message = fmt.Sprintf("the runtime environment of %s could not be set up: %s", t.tmpl.name, f.GetMessage())
	if t.tmpl.kind == mobulav1.TemplateKind_TEMPLATE_KIND_ACTOR {
		f.Cause = e.failure // of the actor's death
	}
	return f
}

// endEnvironments ends what is being set up for a job that has ended.
func (n *Node) endEnvironments(j *job) {
	for _, e := range j.sortedEnvironments() {
		e.waiting = nil
		if n.builders.running[e.builder] == e {
			n.endBuilder(e)
		}
	}
}

// explainEnvironment says that a task waits for its environment, or nothing.
func (n *Node) explainEnvironment(t *task) string {
	e := t.tmpl.env
	if e == nil || e.state != environmentBuilding || t.tmpl.kind == mobulav1.TemplateKind_TEMPLATE_KIND_METHOD {
		return ""
	}
	return fmt.Sprintf("waits for its runtime environment, which has been set up for %v", time.Duration(n.now-e.since).Round(time.Second))
}

// stillborn enters an actor whose environment cannot be set up and ends it: calls of it see why.
func (n *Node) stillborn(t *task, e *mobulav1.ErrorValue) {
	t.missing++ // so that it is not dispatched
	n.createActor(t)
	if !t.done {
		n.sched.Cancel(&t.sched, n.now)
		n.fail(t, e)
	}
}
