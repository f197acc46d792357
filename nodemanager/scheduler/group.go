package scheduler

import "slices"

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

// want starts a worker for the queued tasks of a class that fits and has none, if not enough are being started: one for a shared group,
// as many as tasks fit for an isolated one.
func (s *Scheduler) want(c *Class, now int64) bool {
	g := c.group
	n := 1
	if g.kind == Isolated {
		n = c.room(min(c.queue.n, max(1, s.cfg.FreeLanes-c.running)))
	}
	c.atLimit = s.full()
	return g.starting < n && s.start(g, now)
}

// room returns how many lanes of a class fit side by side, at most limit.
func (c *Class) room(limit int) int {
	n := 0
	for _, l := range c.ledgers {
		n += l.Room(c.spec.Shape, limit-n)
	}
	return n
}

// full reports whether MaxWorkers forbids another worker.
func (s *Scheduler) full() bool { return s.workers-s.exempt >= s.cfg.MaxWorkers }

// start starts a worker of a group unless something forbids it at present. Whatever forbids it ends with an event that tries again.
func (s *Scheduler) start(g *group, now int64) bool {
	if now < g.retryAt {
		s.wakeAt(g.retryAt)
		return false
	}
	if s.full() || s.starting >= s.cfg.MaxStarting {
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

// evictable returns the worker that has been idle longest among those that may make room for another group, or nil. One that was started
// for queued tasks serves first: each start leads to a turn, however the groups compete.
func (s *Scheduler) evictable() *Worker {
	for w := s.idle.first; w != nil; w = w.idleLinks.next {
		if w.served || !w.group.hungry() {
			return w
		}
	}
	return nil
}

// hungry reports whether a group has queued tasks.
func (g *group) hungry() bool {
	return slices.ContainsFunc(g.classes, func(c *Class) bool { return c.queue.n > 0 })
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
	for range n - g.starting - len(g.idle) {
		s.start(g, now)
	}
}

// startFailed counts a failed start: the group pauses, or gives its queued tasks up. Starts that were under way together count once.
func (s *Scheduler) startFailed(g *group, now int64) {
	if now < g.retryAt {
		return
	}
	pause := s.cfg.StartBackoffNs
	for range g.failures {
		pause = min(2*pause, s.cfg.StartBackoffMaxNs)
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

// stopIdle stops the workers that have been idle for too long, except the last few of each job.
func (s *Scheduler) stopIdle(now int64) {
	for w := s.idle.first; w != nil; {
		next := w.idleLinks.next
		switch due := w.idleSince + s.cfg.IdleTimeoutNs; {
		case due > now:
			s.wakeAt(due)
			return
		case w.group.job.standing > s.cfg.WarmWorkers:
			s.stop(w)
		}
		w = next
	}
}
