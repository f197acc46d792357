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
		s.wakeAt(now + s.cfg.IdleTimeoutNs)
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
