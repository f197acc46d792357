package scheduler

import (
	"slices"

	"github.com/mobula-dev/mobula/nodemanager/resource"
)

// dispatch opens lanes for queued tasks, the fairest first, until nothing more fits, and then asks for the workers that are missing.
func (s *Scheduler) dispatch(now int64) {
	s.reserve.lifted = false
	if s.active == 0 {
		return
	}
	s.review(now)
	for c := s.pick(now); c != nil; c = s.pick(now) {
		if c.group.pick() == nil {
			s.stop(s.evictable())
			continue
		}
		s.open(c, now)
	}
	s.prime(now)
	for more := true; more; { // one worker for each in turn
		more = false
		for j := s.ring.first; j != nil; j = j.ringLinks.next {
			for c := j.ring.first; c != nil; c = c.ringLinks.next {
				more = s.staff(c, now) || more
			}
		}
	}
}

// try does what a task that was just queued makes possible. Tasks of other classes that could be dispatched have been, so only its own
// class is looked at.
func (s *Scheduler) try(c *Class, now int64) {
	for c.queue.n > 0 && s.runnable(c) {
		s.open(c, now)
	}
	s.prime(now)
	for more := true; more; {
		more = s.staff(c, now)
	}
	if c.queue.n > 0 && s.displaces(c, now) {
		s.stop(s.evictable())
	}
	s.fill(c, now)
}

// runnable reports whether a lane can be opened for a class now.
func (s *Scheduler) runnable(c *Class) bool {
	return c.group.pick() != nil && s.fits(c) && !s.reserve.forbids(s.ledger, c)
}

// staff starts a worker for a class whose queued tasks have all but that, and reports whether it did.
func (s *Scheduler) staff(c *Class, now int64) bool {
	return c.queue.n > 0 && c.group.pick() == nil && s.fits(c) && !s.reserve.forbids(s.ledger, c) && s.want(c, now)
}

// displaces reports whether a class lacks only a worker, and another group has an idle one that keeps it from being started.
func (s *Scheduler) displaces(c *Class, now int64) bool {
	g := c.group
	return s.full() && s.stopping == 0 && g.starting == 0 && now >= g.retryAt && g.pick() == nil &&
		s.fits(c) && !s.reserve.forbids(s.ledger, c) && s.evictable() != nil
}

// fits reports whether there are resources for one more lane of a class.
func (s *Scheduler) fits(c *Class) bool {
	if c.spec.Pool != nil && !c.spec.Pool.Opened() {
		return false
	}
	if c.spec.Shape.Empty() {
		return c.running < s.cfg.FreeLanes
	}
	return c.fitting() != nil
}

// fitting returns the accounts that have room for one more lane of a class, or nil.
func (c *Class) fitting() *resource.Ledger {
	for _, l := range c.ledgers {
		if l.Fits(c.spec.Shape) {
			return l
		}
	}
	return nil
}

// overdrawn reports whether anything that a lane of the class holds is owed to others.
func (c *Class) overdrawn() bool {
	return slices.ContainsFunc(c.ledgers, func(l *resource.Ledger) bool { return l.Overdrawn(c.spec.Shape) })
}

// pick returns the class that is to have the next lane: of the job that comes first, the first in turn that can. It may be one that needs
// an idle worker of others to be evicted.
func (s *Scheduler) pick(now int64) *Class {
	var best *Class
	for j := s.ring.first; j != nil; j = j.ringLinks.next {
		if best != nil && !j.before(best.job) {
			continue
		}
		for c := j.ring.first; c != nil; c = c.ringLinks.next {
			if s.runnable(c) || s.displaces(c, now) {
				best = c
				break
			}
		}
	}
	return best
}

// before reports whether a job is to be served before another: by share, then by what they have used. Equals are served by the ring.
func (j *Job) before(o *Job) bool {
	return j.share < o.share || j.share == o.share && j.used < o.used
}

// mayKeep reports whether a lane of a class may go on with more of its tasks, rather than end so that others get what it holds.
func (s *Scheduler) mayKeep(c *Class) bool {
	return !c.job.gone && !c.overdrawn() && !s.reserve.forbids(s.ledger, c) && !s.contested(c)
}

// contested reports whether another class with queued tasks has a better claim on what a lane of c holds: it would fit, or get a worker,
// if the lane ended; and then it would still hold no more than c holds now, by share between jobs and by lanes within one.
func (s *Scheduler) contested(c *Class) bool {
	if s.active == 0 || s.active == 1 && c.queue.n > 0 {
		return false
	}
	for j := s.ring.first; j != nil; j = j.ringLinks.next {
		for d := j.ring.first; d != nil; d = d.ringLinks.next {
			if d == c || !s.claims(d, c) {
				continue
			}
			if s.fits(d) {
				if d.atLimit && s.full() && c.spec.Kind == Isolated {
					return true
				}
				continue // it waits for a worker that is being started, not for this lane
			}
			if d.spec.Pool == c.spec.Pool && slices.ContainsFunc(c.ledgers, func(l *resource.Ledger) bool { return l.FitsWith(d.spec.Shape, c.spec.Shape) }) {
				return true
			}
		}
	}
	return false
}

// claims reports whether giving a lane of c to d would leave d with no more than c has now.
func (s *Scheduler) claims(d, c *Class) bool {
	if d.job == c.job {
		return d.running < c.running
	}
	share := s.shareWith(d.job, d.spec.Shape)
	return share < c.job.share || share == c.job.share && d.job.used <= c.job.used
}
