package scheduler

import (
	"slices"

	"github.com/mobula-dev/mobula/nodemanager/resource"
)

// laneState says what a lane is leased for.
type laneState uint8

const (
	laneSpare  laneState = iota // no lease; kept by its worker to be used again
	laneTasks                   // runs tasks of its class
	laneActor                   // belongs to an actor that was made
	laneZombie                  // its lease ended while a Revoke was out; spare when that is answered
)

// Lane is a lease: resources on a worker for tasks that run one after another, or for an actor. Lanes are used again: a pointer is good
// while a task in it is Dispatched or Blocked, or until ActorGone.
type Lane struct {
	// Record is the caller's: what it keeps for an actor. It is nil again when the lease ends.
	Record any

	worker    *Worker
	class     *Class
	shape     *resource.Shape  // what it holds, or has lent
	ledger    *resource.Ledger // from where
	devices   resource.Devices
	number    uint32
	state     laneState
	lent      bool // its CPUs are lent: what runs in it waits
	revoking  bool // a Revoke is out
	tasks     taskList
	headSince int64         // when the head became the head, in nanoseconds
	at        [places]int32 // position in the set of each place, from 1; 0 is none
}

// Worker returns the worker on which the lane is.
func (l *Lane) Worker() *Worker { return l.worker }

// Class returns the class of the lane's tasks, or of its actor.
func (l *Lane) Class() *Class { return l.class }

// Number returns the lane's number on its worker: small, from 0, used again.
func (l *Lane) Number() uint32 { return l.number }

// Devices returns the GPUs that the lane holds.
func (l *Lane) Devices() resource.Devices { return l.devices }

// Shape returns what the lane holds, including CPUs that it has lent.
func (l *Lane) Shape() *resource.Shape { return l.shape }

// Len returns the number of tasks in the lane.
func (l *Lane) Len() int { return l.tasks.n }

// overdue reports whether the head has run for so long that nothing may wait behind it.
func (s *Scheduler) overdue(l *Lane, now int64) bool {
	return now-l.headSince >= s.cfg.RevokeAfterNs
}

// takes reports whether the lane is one to which more tasks may be given at all.
func (l *Lane) takes() bool {
	return l.state == laneTasks && !l.lent && !l.revoking && l.worker.state == workerReady
}

// open makes a lane for the first queued task of a class, which runnable has approved.
func (s *Scheduler) open(c *Class, now int64) {
	w := c.group.pick()
	l := w.lane()
	l.class, l.shape, l.ledger, l.state = c, c.spec.Shape, c.fitting(), laneTasks
	l.devices, _ = l.ledger.Take(l.shape)
	s.account(c, l.shape, 1)
	s.busy(w)
	w.lanes.add(l)
	c.lanes.add(l)
	c.running++
	c.atLimit = false
	s.floor = max(s.floor, c.job.used)
	s.assign(l, now)
	s.fresh = append(s.fresh, l)
	s.yield(c)
	s.reserve.satisfied(c)
	s.pass(c, now)
}

// assign gives the first queued task of a lane's class to the lane.
func (s *Scheduler) assign(l *Lane, now int64) {
	c := l.class
	t := c.queue.first
	s.dequeue(t)
	t.state, t.lane = Dispatched, l
	l.tasks.pushBack(t)
	l.worker.served = true
	switch l.tasks.n {
	case 1:
		l.headSince = now
	case 2:
		s.piped.add(l)
		s.wakeAt(l.headSince + s.cfg.RevokeAfterNs)
	}
	s.emit(Effect{Kind: Dispatch, Task: t, Lane: l, Worker: l.worker})
}

// yield puts a class that was served, and its job, behind all others.
func (s *Scheduler) yield(c *Class) {
	c.job.ring.moveToBack(c)
	s.ring.moveToBack(c.job)
}

// prime gives the lanes that were just opened their first pipelines, in turn. A turn is a pipeline, not a task, whoever else waits, or
// jobs with short tasks would get less than those with long ones.
func (s *Scheduler) prime(now int64) {
	for more := true; more; {
		more = false
		for _, l := range s.fresh {
			if c := l.class; c.queue.n > 0 && l.tasks.n < c.depth && !s.reserve.forbids(s.ledger, c) && !l.ledger.Overdrawn(l.shape) {
				s.assign(l, now)
				more = true
			}
		}
	}
	for _, l := range s.fresh {
		s.offer(l)
	}
	s.fresh = s.fresh[:0]
}

// offer lists a lane among those that may take more tasks, if it is half empty: filling by halves makes few and full frames.
func (s *Scheduler) offer(l *Lane) {
	c := l.class
	if c.depth > 1 && l.tasks.n <= c.depth/2 && l.takes() {
		c.roomy.add(l)
	}
}

// fill pipelines queued tasks of a class into its lanes with room. It ends the events that serve a class.
func (s *Scheduler) fill(c *Class, now int64) {
	s.pipeline(c, now)
	s.afterLift(now)
}

// pipeline gives tasks to the lanes with room in turn.
func (s *Scheduler) pipeline(c *Class, now int64) {
	if c.queue.n == 0 || len(c.roomy.lanes) == 0 || !s.mayKeep(c) {
		return
	}
	for c.queue.n > 0 && len(c.roomy.lanes) > 0 {
		if c.cursor >= len(c.roomy.lanes) {
			c.cursor = 0
		}
		l := c.roomy.lanes[c.cursor]
		if l.tasks.n >= c.depth || !l.takes() || s.overdue(l, now) {
			c.roomy.remove(l)
			continue
		}
		s.assign(l, now)
		c.cursor++
	}
}

// left takes a task out of its lane and makes it Idle.
func (s *Scheduler) left(t *Task, now int64) {
	l := t.lane
	if l.tasks.first == t {
		l.headSince = now
	}
	l.tasks.remove(t)
	t.lane, t.state = nil, Idle
	if l.tasks.n <= 1 {
		s.piped.remove(l)
	}
}

// settle decides what becomes of a lane that tasks have left: it gets more, or its lease ends and whoever is next gets what it held.
func (s *Scheduler) settle(l *Lane, now int64) {
	c := l.class
	if l.tasks.n == 0 {
		if c.queue.n == 0 || c.alone || !l.takes() || !s.mayKeep(c) {
			s.end(l, now)
			s.dispatch(now)
			return
		}
		s.assign(l, now)
		s.pass(c, now)
	}
	s.offer(l)
	s.fill(c, now)
}

// end ends a lane's lease.
func (s *Scheduler) end(l *Lane, now int64) {
	c, w := l.class, l.worker
	if l.lent {
		s.reclaim(l)
	}
	if l.state == laneTasks {
		c.running--
	}
	l.ledger.Give(l.shape, l.devices)
	s.account(c, l.shape, -1)
	s.yield(c)
	s.piped.remove(l)
	c.roomy.remove(l)
	c.lanes.remove(l)
	w.lanes.remove(l)
	spent := l.state == laneActor && w.group.kind == Isolated
	l.class, l.shape, l.ledger, l.devices, l.Record = nil, nil, nil, 0, nil
	if l.revoking {
		l.state = laneZombie
	} else {
		l.state = laneSpare
		w.spare = append(w.spare, l)
	}
	if len(w.lanes.lanes) == 0 {
		s.rest(w, spent, now)
	}
}

// lend gives the CPUs of a lane to others while what runs in it waits.
func (s *Scheduler) lend(l *Lane) {
	l.lent = true
	l.ledger.Lend(l.shape)
	s.accountCPU(l.class, l.shape, -1)
	if l.state == laneTasks {
		l.class.running--
	}
	l.class.roomy.remove(l)
	if l.worker.lent++; l.worker.lent == 1 {
		s.exempt++
	}
}

// reclaim takes the CPUs of a lane again.
func (s *Scheduler) reclaim(l *Lane) {
	l.lent = false
	l.ledger.Reclaim(l.shape)
	s.accountCPU(l.class, l.shape, 1)
	if l.state == laneTasks {
		l.class.running++
	}
	if l.worker.lent--; l.worker.lent == 0 {
		s.exempt--
	}
}

// takeBack queues tasks again, in their order before all others of their class, that a worker has returned from a lane. What is not in
// the lane or is waiting in it cannot have been returned and is passed over: a worker may be wrong.
func (s *Scheduler) takeBack(l *Lane, returned []*Task, now int64) {
	for _, t := range slices.Backward(returned) {
		if t.lane == l && t.state == Dispatched {
			s.left(t, now)
			s.enqueue(t, true)
		}
	}
}

// revokeOverdue asks back what stands behind heads that have run too long, and asks to be woken for the next such time.
func (s *Scheduler) revokeOverdue(now int64) {
	for _, l := range s.piped.lanes {
		switch {
		case l.revoking:
		case s.overdue(l, now):
			s.revoke(l)
		default:
			s.wakeAt(l.headSince + s.cfg.RevokeAfterNs)
		}
	}
}

func (s *Scheduler) revoke(l *Lane) {
	l.revoking = true
	l.class.roomy.remove(l)
	s.emit(Effect{Kind: Revoke, Lane: l, Worker: l.worker})
}
