package service

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"
	"github.com/mobula-dev/mobula/internal/id"
	"github.com/mobula-dev/mobula/nodemanager/scheduler"
	"github.com/mobula-dev/mobula/nodemanager/workerpool"
)

// When the machine, or the container, is about to run out of memory the node ends a worker of its choice, before the kernel ends a process of
// its own. What that worker ran is tried again after a pause, and has a budget of its own for this, beside max_retries: a task is not to blame
// for what others use. While nothing runs, nothing is looked at.

// MemoryMonitor says when workers are ended for lack of memory. The zero value is usable.
type MemoryMonitor struct {
	// Threshold is the part of the memory above which a worker is ended; 0 means 0.95, 1 and more never.
	Threshold float64
	// Interval is how often the memory is looked at while something runs; 0 means 250 ms.
	Interval time.Duration
	// Retries is how often a task may be ended for lack of memory and run again; 0 means 8, and below 0 is without limit.
	Retries int
	// RetryDelay is the pause before the first such run, doubled each time up to a minute; 0 means a second.
	RetryDelay time.Duration
	// Source tells what is used; nil is the system.
	Source MemorySource
}

// MemorySource tells how much memory is used. Its methods are called from one goroutine at a time, without locks.
type MemorySource interface {
	// Use returns how much of how much the machine or the container uses, whichever is closer to its end, without what can be dropped.
	Use() (used, total uint64, err error)
	// Groups returns how much each of these process groups has for itself.
	Groups(pids []int) map[int]uint64
}

func (m MemoryMonitor) complete() MemoryMonitor {
	if m.Threshold == 0 {
		m.Threshold = 0.95
	}
	if m.Interval == 0 {
		m.Interval = 250 * time.Millisecond
	}
	if m.Retries == 0 {
		m.Retries = 8
	}
	if m.RetryDelay == 0 {
		m.RetryDelay = time.Second
	}
	if m.Source == nil {
		m.Source = systemMemory()
	}
	return m
}

// memoryWatch is the state of the monitor; guarded by Node.mu.
type memoryWatch struct {
	cfg     MemoryMonitor
	armed   bool                  // a look is due or under way
	victim  id.Worker             // that was ended last
	waiting map[*task]*time.Timer // tasks that pause before they run again
}

// memoryWorker is a worker as the policy sees it.
type memoryWorker struct {
	id        id.Worker
	job       id.Job
	pid       int
	what      string // that it runs, for people
	bytes     uint64
	since     int64 // when the newest of what it runs began
	retriable bool  // whether all that it runs may run again
}

// memoryVictim chooses the worker to end, -1 for none. Those that only run what may run again go first; of them those of the job that uses most;
// and of them the one that began last, which loses least, among those that use at least half as much as the largest: to end a small one
// would help nobody.
func memoryVictim(workers []memoryWorker) int {
	retriable := slices.ContainsFunc(workers, func(w memoryWorker) bool { return w.retriable })
	eligible := func(w memoryWorker) bool { return w.retriable == retriable }
	byJob := make(map[id.Job]uint64)
	for _, w := range workers {
		if eligible(w) {
			byJob[w.job] += w.bytes
		}
	}
	var job id.Job
	most, largest, found := uint64(0), uint64(0), false
	for _, w := range workers { // not over the map, whose order is any
		if eligible(w) && (!found || byJob[w.job] > most) {
			job, most, found = w.job, byJob[w.job], true
		}
	}
	for _, w := range workers {
		if eligible(w) && w.job == job {
			largest = max(largest, w.bytes)
		}
	}
	victim := -1
	for i, w := range workers {
		if !eligible(w) || w.job != job || w.bytes < largest/2 {
			continue
		}
		if victim < 0 || w.since > workers[victim].since || w.since == workers[victim].since && w.bytes > workers[victim].bytes {
			victim = i
		}
	}
	return victim
}

// watchMemory sees to it that the memory is looked at while something runs.
func (n *Node) watchMemory() {
	m := &n.memory
	if m.armed || m.cfg.Threshold >= 1 || n.closed {
		return
	}
	m.armed = true
	time.AfterFunc(m.cfg.Interval, n.lookAtMemory)
}

// lookAtMemory ends a worker if there is too little memory.
func (n *Node) lookAtMemory() {
	n.mu.Lock()
	ended := n.closed
	n.mu.Unlock()
	if ended {
		return
	}
	used, total, err := n.memory.cfg.Source.Use() // its configuration never changes
	var workers []memoryWorker
	if err == nil && total > 0 && float64(used) > n.memory.cfg.Threshold*float64(total) {
		workers = n.measureWorkers()
	}
	n.locked(func() {
		n.memory.armed = false
		if err != nil {
			n.log.Warn("the memory is not watched, because the system does not tell how much is used", "error", err)
			return // the next task tries again
		}
		if len(workers) > 0 {
			n.makeRoom(workers, used, total)
		}
		if n.runsSomething() {
			n.watchMemory()
		}
	})
}

// runsSomething reports whether a worker has a task or an actor.
func (n *Node) runsSomething() bool {
	for _, w := range n.workers {
		if w.flying > 0 || len(w.actors) > 0 {
			return true
		}
	}
	return false
}

// measureWorkers returns what the policy is to know of the workers that run something.
func (n *Node) measureWorkers() []memoryWorker {
	n.mu.Lock()
	var workers []memoryWorker
	var pids []int
	tasks := make(map[*worker][]*task)
	for _, slot := range n.handles.slots {
		if t := slot.task; t != nil {
			tasks[t.worker] = append(tasks[t.worker], t)
		}
	}
	for _, wid := range sortedIDs(n.workers) {
		w := n.workers[wid]
		if !w.ready || w.process == nil || w.flying == 0 && len(w.actors) == 0 {
			continue
		}
		pids = append(pids, w.process.PID())
		workers = append(workers, w.forMemory(tasks[w]))
	}
	n.mu.Unlock()
	bytes := n.memory.cfg.Source.Groups(pids)
	for i := range workers {
		workers[i].bytes = bytes[workers[i].pid]
	}
	return workers
}

// forMemory describes a worker that has these tasks to the policy, without what it uses.
func (w *worker) forMemory(tasks []*task) memoryWorker {
	m := memoryWorker{id: w.id, job: w.job.id, pid: w.process.PID(), since: w.latest, retriable: true}
	var names []string
	for _, a := range sortedActors(w.actors) {
		m.retriable = m.retriable && a.restarts != 0
		names = append(names, a.tmpl.name)
	}
	const most = 3 // names
	for _, t := range tasks {
		if len(names) <= most && t.tmpl.kind != mobulav1.TemplateKind_TEMPLATE_KIND_METHOD && !slices.Contains(names, t.tmpl.name) {
			names = append(names, t.tmpl.name)
		}
		switch {
		case t.actor == nil:
			m.retriable = m.retriable && t.retries != 0
		case t.tmpl.kind == mobulav1.TemplateKind_TEMPLATE_KIND_ACTOR:
			m.retriable = m.retriable && t.actor.restarts != 0
		}
	}
	if len(names) > most {
		names = append(names[:most], "…")
	}
	m.what = strings.Join(names, ", ")
	return m
}

// makeRoom ends the worker that the policy chooses, unless one is on its way to its end.
func (n *Node) makeRoom(workers []memoryWorker, used, total uint64) {
	if n.workers[n.memory.victim] != nil {
		return
	}
	i := memoryVictim(workers)
	if i < 0 {
		return
	}
	v := workers[i]
	w := n.workers[v.id]
	if w == nil || w.killed != "" {
		return
	}
	w.killed, w.outOfMemory = n.shortage(v, workers, used, total), true
	n.memory.victim = v.id
	n.log.Warn("a worker is ended for lack of memory", "worker", v.id, "pid", v.pid, "bytes", v.bytes, "used", used, "total", total)
	if err := n.pool.Kill(v.id, workerpool.CauseMemory); err != nil && !errors.Is(err, workerpool.ErrNotRunning) {
		n.log.Error("worker could not be killed", "pid", v.pid, "error", err)
	}
}

// shortage says for people why a worker was ended, and who used how much.
func (n *Node) shortage(v memoryWorker, workers []memoryWorker, used, total uint64) string {
	text := fmt.Sprintf("the machine or the container ran short of memory: %s of %s were in use, %.1f %%, and the node keeps that below %.4g %%. It ended the worker (pid %d) that ran %s and had %s.",
		gibibytes(used), gibibytes(total), 100*float64(used)/float64(total), 100*n.memory.cfg.Threshold, v.pid, v.what, gibibytes(v.bytes))
	sorted := slices.SortedStableFunc(slices.Values(workers), func(a, b memoryWorker) int { return cmp.Compare(b.bytes, a.bytes) })
	const most = 5
	var lines []string
	for _, w := range sorted[:min(most, len(sorted))] {
		if w.job == v.job { // jobs do not learn of each other
			lines = append(lines, fmt.Sprintf("%s (pid %d) %s", w.what, w.pid, gibibytes(w.bytes)))
		}
	}
	return text + " Workers of this job that had most: " + strings.Join(lines, ", ")
}

// gibibytes writes a number of bytes for people.
func gibibytes(n uint64) string { return fmt.Sprintf("%.2f GiB", float64(n)/(1<<30)) }

// outOfMemory is what the end of a worker for lack of memory, by the node or by the kernel, means for what it ran; nil for another end.
func (n *Node) outOfMemory(w *worker, exit workerpool.ExitReason) *mobulav1.ErrorValue {
	kernel := exit.Kind == workerpool.OOMSuspected
	if !w.outOfMemory && !kernel {
		return nil
	}
	e := &mobulav1.ErrorValue{
		Kind: mobulav1.ErrorKind_ERROR_KIND_OUT_OF_MEMORY, Message: w.killed, Pid: w.pid(), Stack: stackOf(exit),
		Execution: mobulav1.Execution_EXECUTION_MAY_HAVE_EXECUTED,
		Hint:      "let fewer tasks run at a time (num_cpus, memory), or give each less to do",
	}
	if kernel {
		e.Message = exit.String()
	}
	return e
}

// tryAgainWithMemory runs a task again that was ended for lack of memory, after a pause, or fails it when that happened too often.
func (n *Node) tryAgainWithMemory(t *task, cause *mobulav1.ErrorValue, alone bool) {
	m := &n.memory
	x := t.extend()
	if m.cfg.Retries >= 0 && int(x.shortages) >= m.cfg.Retries {
		e := n.crashOf(t, cause, alone)
		e.Hint = fmt.Sprintf("it was ended for lack of memory %d times; %s", x.shortages+1, cause.GetHint())
		n.fail(t, e)
		return
	}
	pause := min(m.cfg.RetryDelay<<min(x.shortages, 10), time.Minute)
	x.shortages++
	t.attempt++
	if m.waiting == nil {
		m.waiting = make(map[*task]*time.Timer)
	}
	m.waiting[t] = time.AfterFunc(pause, func() {
		n.locked(func() {
			if m.waiting[t] == nil {
				return // its job has ended
			}
			delete(m.waiting, t)
			if !t.done && t.sched.State() == scheduler.Idle {
				n.sched.Requeue(&t.sched, false, true, n.now)
			}
		})
	})
}

// endPauses fails the tasks of a job that has ended and that pause before they run again.
func (n *Node) endPauses(j *job, gone *mobulav1.ErrorValue) {
	for t, timer := range n.memory.waiting {
		if t.tmpl.job != j {
			continue
		}
		timer.Stop()
		delete(n.memory.waiting, t)
		if !t.done {
			n.fail(t, gone)
		}
	}
}
