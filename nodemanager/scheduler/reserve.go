package scheduler

import "github.com/mobula-dev/mobula/nodemanager/resource"

// reservationMax bounds how long one reservation may keep resources free in a row.
const reservationMax = minute

// reservation keeps a class that needs much at once from being starved by classes that need little. When a class does not fit and another
// that competes with it is served, without a better claim, it has been passed over. If it still waits after ReserveAfterNs, the columns
// that it is short of are kept for it: nothing else that needs them starts, until it fits or the time is over. Then the others have as
// long a turn, and the next reservation is twice as long, so that it succeeds however long the others' tasks run (up to reservationMax),
// and half the time nothing is kept from them.
//
// It is active only while tasks that run and do not wait hold what is missing: they end, or wait and lend. So it cannot deadlock with
// tasks that wait for tasks. There is at most one at a time.
type reservation struct {
	class  *Class
	active bool
	span   int64 // how long it is active, in nanoseconds
	due    int64 // when it becomes active, or stops being so
	lifted bool  // an active one has ended, so others may fit: dispatch is due
}

// satisfied ends the reservation of a class that was served or has nothing queued.
func (r *reservation) satisfied(c *Class) {
	if r.class == c {
		*r = reservation{lifted: r.lifted || r.active}
	}
}

// afterLift gives what was kept to others when a reservation has ended.
func (s *Scheduler) afterLift(now int64) {
	if s.reserve.lifted {
		s.dispatch(now)
	}
}

// forbids reports whether a class must not start anything because it would take what is kept for another.
func (r *reservation) forbids(ledger *resource.Ledger, c *Class) bool {
	return r.active && r.class != c && c.spec.Pool == nil && competes(ledger, r.class, c)
}

// competes reports whether c needs some of what d is short of.
func competes(ledger *resource.Ledger, d, c *Class) bool {
	shape := d.spec.Shape
	for i := range shape.Len() {
		column, amount := shape.At(i)
		if c.spec.Shape.Need(column) > 0 && (ledger.Free(column) < amount || column == resource.GPU) {
			return true
		}
	}
	return false
}

// pass notes which class was passed over, if any, now that c is served.
func (s *Scheduler) pass(c *Class, now int64) {
	if s.active == 0 || s.active == 1 && c.queue.n > 0 || s.reserve.class != nil || s.cfg.ReserveAfterNs < 0 || c.spec.Pool != nil {
		return
	}
	for j := s.ring.first; j != nil; j = j.ringLinks.next {
		if j != c.job && j.share > c.job.share {
			continue
		}
		for d := j.ring.first; d != nil; d = d.ringLinks.next {
			if d != c && d.spec.Pool == nil && !s.fits(d) && competes(s.ledger, d, c) && d.spec.Shape != c.spec.Shape {
				span := s.cfg.ReserveAfterNs
				s.reserve.class, s.reserve.span, s.reserve.due = d, span, now+span
				s.wakeAt(now + span)
				return
			}
		}
	}
}

// review turns the reservation on and off as time and what is held demand.
func (s *Scheduler) review(now int64) {
	r := &s.reserve
	if r.class == nil {
		return
	}
	switch {
	case r.active && !s.reachable(r.class):
		r.active, r.due = false, now+r.span
	case r.active && now >= r.due:
		r.active = false
		r.span = min(2*r.span, reservationMax)
		r.due = now + r.span
	case !r.active && now >= r.due:
		r.active, r.due = s.reachable(r.class), now+r.span
	}
	s.wakeAt(r.due)
}

// reachable reports whether a class would fit once all tasks that run and do not wait have ended.
func (s *Scheduler) reachable(c *Class) bool {
	shape := c.spec.Shape
	for i := range shape.Len() {
		column, amount := shape.At(i)
		free := s.ledger.Free(column)
		for _, j := range s.jobs {
			for _, o := range j.ordered {
				if !o.spec.Actor && o.spec.Pool == nil {
					free += int64(o.running) * o.spec.Shape.Need(column)
				}
			}
		}
		if free < amount {
			return false
		}
	}
	return true
}
