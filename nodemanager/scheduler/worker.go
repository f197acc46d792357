package scheduler

import "slices"

// workerState is a worker's life: starting → ready → (retiring →) stopping → gone, and from any of them → gone.
type workerState uint8

const (
	workerStarting workerState = iota
	workerReady
	workerRetiring // takes nothing new
	workerStopping // StopWorker is out
	workerGone
)

// String names the state for people.
func (s workerState) String() string {
	switch s {
	case workerStarting:
		return "starting"
	case workerReady:
		return "ready"
	case workerRetiring:
		return "retiring"
	case workerStopping:
		return "stopping"
	case workerGone:
		return "gone"
	default:
		return "unknown state"
	}
}

// Worker is a worker process as the scheduler sees it. The scheduler makes it with the effect StartWorker.
type Worker struct {
	// Record is the caller's, never touched here.
	Record any

	group     *group
	state     workerState
	served    bool // has got a task
	lanes     laneSet
	spare     []*Lane // to be used again
	numbers   uint32  // lanes ever made
	lent      int     // lanes whose tasks wait
	idleSince int64   // when it last had no lane, in nanoseconds
	idleLinks links[Worker]
}

func (w *Worker) links() *links[Worker] { return &w.idleLinks }

// Job returns the job whose tasks the worker runs.
func (w *Worker) Job() *Job { return w.group.job }

// Kind returns with whom the process is shared.
func (w *Worker) Kind() Kind { return w.group.kind }

// Env returns the process's environment as Spec has it.
func (w *Worker) Env() string { return w.group.env }

// State names where the worker stands in its life, for people.
func (w *Worker) State() string { return w.state.String() }

// Lanes returns the number of lanes that are leased on the worker.
func (w *Worker) Lanes() int { return len(w.lanes.lanes) }

// Actors returns the lanes of the actors that were made on the worker.
func (w *Worker) Actors() []*Lane {
	var actors []*Lane
	for _, l := range w.lanes.lanes {
		if l.state == laneActor {
			actors = append(actors, l)
		}
	}
	return actors
}

// OldestRunning returns the task that has run longest on the worker among those that do not wait, or nil: the one to count when a process
// says that it waits and does not know which task does.
func (w *Worker) OldestRunning() *Task {
	var oldest *Lane
	for _, l := range w.lanes.lanes {
		if l.state == laneTasks && !l.lent && l.tasks.n > 0 && (oldest == nil || l.headSince < oldest.headSince) {
			oldest = l
		}
	}
	if oldest == nil {
		return nil
	}
	return oldest.tasks.first
}

// lane returns a spare lane of the worker.
func (w *Worker) lane() *Lane {
	if n := len(w.spare); n > 0 {
		l := w.spare[n-1]
		w.spare = w.spare[:n-1]
		return l
	}
	l := &Lane{worker: w, number: w.numbers}
	w.numbers++
	return l
}

// group is the workers of a job that are alike.
type group struct {
	job      *Job
	kind     Kind
	env      string
	classes  []*Class
	shared   *Worker   // of a shared group: the ready one
	idle     []*Worker // of an isolated group: ready, without a lane; the last was used last
	all      []*Worker // not gone
	starting int
	failures int   // starts that failed in a row
	retryAt  int64 // before this time nothing is started
}

// group finds or makes a group of a job; jobs have few.
func (j *Job) group(kind Kind, env string) *group {
	for _, g := range j.groups {
		if g.kind == kind && g.env == env {
			return g
		}
	}
	g := &group{job: j, kind: kind, env: env}
	j.groups = append(j.groups, g)
	return g
}

// pick returns a worker that can carry one more lane, or nil.
func (g *group) pick() *Worker {
	if g.kind == Shared {
		return g.shared
	}
	if n := len(g.idle); n > 0 {
		return g.idle[n-1]
	}
	return nil
}

// want starts workers for the queued tasks of a class that fits and has none: one for a shared group, as many as tasks fit for an
// isolated one.
func (s *Scheduler) want(c *Class, now int64) {
	g := c.group
	n := 1
	if g.kind == Isolated {
		n = s.ledger.Room(c.spec.Shape, min(c.queue.n, max(1, s.cfg.FreeLanes-c.running)))
	}
	c.atLimit = false
	for g.starting < n {
		if !s.start(g, now) {
			c.atLimit = s.full()
			return
		}
	}
}

// full reports whether MaxWorkers forbids another worker.
func (s *Scheduler) full() bool { return s.workers-s.exempt >= s.cfg.MaxWorkers }

// start starts a worker of a group unless something forbids it at present. Whatever forbids it ends with an event that tries again.
func (s *Scheduler) start(g *group, now int64) bool {
	if now < g.retryAt {
		s.wakeAt(g.retryAt)
		return false
	}
	if s.full() {
		s.evict(g)
		return false
	}
	if s.starting >= s.cfg.MaxStarting {
		return false
	}
	w := &Worker{group: g}
	w.lanes.place = ofWorker
	g.all = append(g.all, w)
	g.starting++
	s.starting++
	s.workers++
	g.job.workers++
	g.job.standing++
	s.emit(Effect{Kind: StartWorker, Worker: w})
	s.warn()
	return true
}

// evict stops the worker that has been idle longest to make room for one of another group.
func (s *Scheduler) evict(g *group) {
	if s.stopping > 0 {
		return
	}
	for w := s.idle.first; w != nil; w = w.idleLinks.next {
		if w.group != g {
			s.stop(w)
			return
		}
	}
}

// warn tells once of each doubling of the workers beyond MaxWorkers.
func (s *Scheduler) warn() {
	if s.workers >= s.warnAt {
		s.emit(Effect{Kind: Warn, Count: s.workers})
		s.warnAt = 2 * s.workers
	}
}

// Prestart starts up to n workers (one, if shared) of a job ahead of need, as far as the limits allow now.
func (s *Scheduler) Prestart(j *Job, kind Kind, env string, n int, now int64) {
	if j.gone {
		return
	}
	g := j.group(kind, env)
	if kind == Shared {
		n = 1
		if g.shared != nil {
			n = 0
		}
	}
	for g.starting+len(g.idle) < n && s.start(g, now) {
	}
}

// WorkerStarted says that a worker's process is ready for tasks.
func (s *Scheduler) WorkerStarted(w *Worker, now int64) {
	if w.state != workerStarting {
		return // it was stopped meanwhile
	}
	g := w.group
	w.state = workerReady
	g.starting--
	s.starting--
	g.failures, g.retryAt = 0, 0
	if g.kind == Shared {
		g.shared = w
	}
	s.rest(w, false, now)
	s.dispatch(now)
}

// WorkerStartFailed says that a worker's process could not be started, or ended before it was ready.
func (s *Scheduler) WorkerStartFailed(w *Worker, now int64) { s.WorkerGone(w, now) }

// Gone is what a worker leaves behind when its process has ended. All tasks in it are Idle again.
type Gone struct {
	// Started are the heads of the lanes and the tasks that waited: they may have begun.
	Started []*Task
	// Behind are the tasks behind the heads, lane by lane in order. They have not begun if the worker sends Done of a task before it begins
	// the next; if it gathers several Done in one write, some may have begun and even ended.
	Behind []*Task
	// Actors are the caller's records of the actors that were on the worker.
	Actors []any
}

// WorkerGone says that a worker's process has ended, for whatever reason. What it held is free again; the caller decides which of its
// tasks to Requeue.
func (s *Scheduler) WorkerGone(w *Worker, now int64) Gone {
	var gone Gone
	if w.state == workerGone {
		return gone
	}
	g := w.group
	failed := w.state == workerStarting || w.state == workerReady && !w.served
	s.leave(w)
	w.state = workerGone
	for len(w.lanes.lanes) > 0 {
		l := w.lanes.lanes[0]
		if l.state == laneActor {
			gone.Actors = append(gone.Actors, l.Record)
		}
		if head := l.tasks.first; head != nil {
			s.left(head, now)
			gone.Started = append(gone.Started, head)
			gone.Behind = l.tasks.drain(gone.Behind)
		}
		s.end(l, now)
	}
	g.all = slices.DeleteFunc(g.all, func(o *Worker) bool { return o == w })
	s.workers--
	g.job.workers--
	if s.workers <= s.cfg.MaxWorkers {
		s.warnAt = s.cfg.MaxWorkers + 1
	}
	if failed && !g.job.gone {
		s.startFailed(g, now)
	}
	s.forget(g.job)
	s.dispatch(now)
	return gone
}

// leave takes a worker out of the lists of its state.
func (s *Scheduler) leave(w *Worker) {
	g := w.group
	switch w.state {
	case workerStarting:
		g.starting--
		s.starting--
		g.job.standing--
	case workerReady:
		g.job.standing--
		if g.shared == w {
			g.shared = nil
		}
		s.busy(w)
	case workerRetiring:
	case workerStopping:
		s.stopping--
	case workerGone:
	default:
		panic("scheduler: unknown worker state")
	}
}

// startFailed counts a failed start: the group pauses, or gives its queued tasks up. Starts that were under way together count once.
func (s *Scheduler) startFailed(g *group, now int64) {
	if now < g.retryAt {
		return
	}
	pause := int64(s.cfg.StartBackoff)
	for range g.failures {
		pause = min(2*pause, int64(s.cfg.StartBackoffMax))
	}
	g.retryAt = now + pause
	g.failures++
	if g.failures < s.cfg.StartAttempts || g.shared != nil || len(g.all) > g.starting {
		g.failures = min(g.failures, s.cfg.StartAttempts)
		return // later attempts, or workers that do run, will serve the tasks
	}
	g.failures = 0
	for _, c := range g.classes {
		for c.queue.n > 0 {
			t := c.queue.first
			s.dequeue(t)
			t.state = Idle
			s.emit(Effect{Kind: StartFailed, Task: t})
		}
	}
}

// Retire makes a worker take nothing new. It is stopped when its last lane ends.
func (s *Scheduler) Retire(w *Worker, now int64) {
	if w.state != workerReady {
		return
	}
	s.leave(w)
	w.state = workerRetiring
	for _, l := range w.lanes.lanes {
		if l.state == laneTasks {
			l.class.roomy.remove(l)
		}
	}
	s.rest(w, false, now)
	s.dispatch(now)
}

// rest says that a worker may have no lane any more. A spent worker held an isolated actor, whose state must not leak into other tasks.
func (s *Scheduler) rest(w *Worker, spent bool, now int64) {
	if len(w.lanes.lanes) > 0 {
		return
	}
	switch w.state {
	case workerReady:
		if spent {
			s.stop(w)
			return
		}
		w.idleSince = now
		s.idle.pushBack(w)
		if w.group.kind == Isolated {
			w.group.idle = append(w.group.idle, w)
		}
		s.wakeAt(now + int64(s.cfg.IdleTimeout))
	case workerRetiring:
		s.stop(w)
	case workerStarting, workerStopping, workerGone:
	default:
		panic("scheduler: unknown worker state")
	}
}

// busy takes a worker out of the idle ones.
func (s *Scheduler) busy(w *Worker) {
	s.idle.remove(w)
	idle := w.group.idle
	if n := len(idle); n > 0 && idle[n-1] == w {
		w.group.idle = idle[:n-1]
	} else if n > 0 {
		w.group.idle = slices.DeleteFunc(idle, func(o *Worker) bool { return o == w })
	}
}

// stop asks for the end of a worker.
func (s *Scheduler) stop(w *Worker) {
	if w.state == workerStopping || w.state == workerGone {
		return
	}
	s.leave(w)
	w.state = workerStopping
	s.stopping++
	s.emit(Effect{Kind: StopWorker, Worker: w})
}

// stopIdle stops the workers that have been idle for too long, except the last few of each job.
func (s *Scheduler) stopIdle(now int64) {
	for w := s.idle.first; w != nil; {
		next := w.idleLinks.next
		switch due := w.idleSince + int64(s.cfg.IdleTimeout); {
		case due > now:
			s.wakeAt(due)
			return
		case w.group.job.standing > s.cfg.WarmWorkers:
			s.stop(w)
		}
		w = next
	}
}
