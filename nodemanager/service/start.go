package service

import (
	"maps"
	"path/filepath"
	"slices"
	"strconv"

	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"
	"github.com/mobula-dev/mobula/internal/wire"
	"github.com/mobula-dev/mobula/nodemanager/scheduler"
	"github.com/mobula-dev/mobula/nodemanager/workerpool"
)

// workerSpec says how a worker of a job is started, but for its id.
func (n *Node) workerSpec(j *job, env string, isolated bool) workerpool.Spec {
	spec := workerpool.Spec{
		Job: j.id, Node: n.id, Dir: j.workingDir, LogName: logOfWorker, Isolated: isolated, Env: n.workerEnv(j, isolated, env),
	}
	language := workerLanguage(j, env)
	if executable := j.envs[env][envExecutable]; executable != "" {
		spec.Path, spec.Args = executable, []string{filepath.Base(executable)}
		return spec
	}
	if language == mobulav1.Language_LANGUAGE_PYTHON {
		args := j.workerArgs
		if j.language != language {
			args = []string{n.foreignPython(j, &spec)}
		}
		// -P keeps the working directory off the path until the worker has imported what it needs: a random.py of the user's must not be that of the library.
		spec.Path, spec.Args, spec.Fork = args[0], slices.Concat(args, []string{"-P", "-m", "mobula._zygote"}), true
		r := j.runtimeOf(env)
		r.apply(&spec, n.directory())
		return spec
	}
	spec.Executable, spec.Path = j.executable, j.path
	spec.Args = append([]string{filepath.Base(j.program)}, j.workerArgs...)
	return spec
}

// workerEnv is the environment of a worker beside what it inherits. A shared Go worker uses as many CPUs as the node has; an isolated one
// as many as a task usually has, one.
func (n *Node) workerEnv(j *job, isolated bool, env string) map[string]string {
	vars := make(map[string]string)
	if workerLanguage(j, env) == mobulav1.Language_LANGUAGE_GO {
		vars["GOMAXPROCS"] = strconv.Itoa(n.cpus)
		if isolated {
			vars["GOMAXPROCS"] = "1"
		}
	}
	maps.Copy(vars, j.env)
	maps.Copy(vars, j.envs[env])
	r := j.runtimeOf(env)
	r.setVariables(vars)
	return vars
}

// prestart starts a first worker before it is needed, if the job can have one.
func (n *Node) prestart(j *job) {
	switch {
	case j.language == mobulav1.Language_LANGUAGE_PYTHON:
		e := n.environmentFor(j, "")
		switch {
		case e == nil:
			n.sched.Prestart(j.sched, scheduler.Isolated, "", 1, n.now)
		case e.runtime.Config.EagerInstall == nil || *e.runtime.Config.EagerInstall:
			e.prestart = true
			n.setUp(e)
		}
	case j.language == mobulav1.Language_LANGUAGE_GO && len(j.functions) > 0 && (j.executable != nil || j.path != ""):
		n.sched.Prestart(j.sched, scheduler.Shared, "", 1, n.now)
	}
}

// staff starts the workers that a Python job will need once it has begun to use them: as many as the node has CPUs. Each is a process, and a
// driver that only looks around should not have them.
func (n *Node) staff(j *job) {
	if j.staffed || j.language != mobulav1.Language_LANGUAGE_PYTHON || j.ended {
		return
	}
	j.staffed = true
	n.sched.Prestart(j.sched, scheduler.Isolated, "", min(n.cpus, prestartMax), n.now)
}

// prestartMax bounds the workers that are started before they are needed.
const prestartMax = 32

// nudge sends a frame to a worker that may be busy with user code, and has a Python one look at it: its one thread that may run Python code
// does not read while it runs a task.
func (n *Node) nudge(w *worker, kind mobulav1.FrameKind, m wire.Message) {
	p := w.process
	if w.session == nil || p == nil || w.language != mobulav1.Language_LANGUAGE_PYTHON {
		n.send(w.session, kind, m)
		return
	}
	if w.session.conn.SendThen(kind, m, p.Nudge) == nil { // a connection that has failed is noticed by its reader
		n.mark(w.session)
	}
}
