package scheduler

import (
	"slices"

	"github.com/mobula-dev/mobula/nodemanager/resource"
)

// enqueue puts a task whose arguments are there into its class's queue.
func (s *Scheduler) enqueue(t *Task, front bool) {
	c := t.Class
	t.state = Queued
	if front {
		c.queue.pushFront(t)
	} else {
		c.queue.pushBack(t)
	}
	if c.queue.n == 1 {
		if c.job.ring.n == 0 {
			c.job.used = max(c.job.used, s.floor)
		}
		c.job.ring.pushBack(c)
		s.ring.pushBack(c.job)
		s.active++
	}
}

// dequeue takes a task out of its class's queue.
func (s *Scheduler) dequeue(t *Task) {
	c := t.Class
	c.queue.remove(t)
	if c.queue.n == 0 {
		c.job.ring.remove(c)
		if c.job.ring.n == 0 {
			s.ring.remove(c.job)
		}
		s.active--
		s.reserve.satisfied(c)
	}
}

// Submit gives the scheduler a task that is Idle and has a Class. It waits for missing arguments first, if there are any; then it is
// queued. If the node can never run it, or its job is gone, it stays Idle, with the effect Infeasible.
func (s *Scheduler) Submit(t *Task, missing int, now int64) {
	if t.state != Idle {
		panic("scheduler: submitted task is not idle")
	}
	c := t.Class
	if c.infeasible || c.job.gone {
		s.emit(Effect{Kind: Infeasible, Task: t})
		return
	}
	if missing > 0 {
		t.state, t.missing = Waiting, int32(missing)
		c.job.waiting.pushBack(t)
		return
	}
	s.enqueue(t, false)
	s.try(c, now)
}

// Requeue gives the scheduler a task whose arguments are there, to run it again: at the front of its queue or at the back, and, if isolate
// is set, alone in a process of its own, so that it can be blamed for what happens to the process. For that its Class is changed.
func (s *Scheduler) Requeue(t *Task, front, isolate bool, now int64) {
	if t.state != Idle {
		panic("scheduler: requeued task is not idle")
	}
	if isolate {
		t.Class = s.isolated(t.Class)
	}
	if !front || t.Class.infeasible || t.Class.job.gone {
		s.Submit(t, 0, now)
		return
	}
	s.enqueue(t, true)
	s.try(t.Class, now)
}

// Reason says why a task is Infeasible: the column that can never be met; false when its job is gone.
func (s *Scheduler) Reason(t *Task) (resource.Shortage, bool) {
	return t.Class.ledgers[0].Infeasible(t.Class.spec.Shape)
}

// ArgReady says that one missing argument of a task is there. For a task that is not Waiting it does nothing.
func (s *Scheduler) ArgReady(t *Task, now int64) {
	if t.state != Waiting {
		return
	}
	if t.missing--; t.missing > 0 {
		return
	}
	t.Class.job.waiting.remove(t)
	s.enqueue(t, false)
	s.try(t.Class, now)
}

// Done says that a worker has finished a task, in which it ran for runNs nanoseconds. The lane of an actor's creation is now the actor's;
// if the creation failed, the caller calls ActorGone next. It returns false, and does nothing, for a task that no worker has.
func (s *Scheduler) Done(t *Task, runNs, now int64) bool {
	if t.state != Dispatched && t.state != Blocked {
		return false
	}
	l, c := t.lane, t.Class
	if t.state == Blocked {
		s.reclaim(l)
	}
	s.left(t, now)
	c.observe(runNs, &s.cfg)
	if c.spec.Actor {
		s.becomeActor(l, now)
		return true
	}
	s.settle(l, now)
	return true
}

// becomeActor turns the lane of a finished creation into its actor's.
func (s *Scheduler) becomeActor(l *Lane, now int64) {
	c := l.class
	l.state = laneActor
	c.running--
	c.lanes.remove(l)
	if run := c.spec.Running; run != nil {
		l.ledger.Shrink(l.shape, run)
		s.account(c, l.shape, -1)
		s.account(c, run, 1)
		l.shape = run
	}
	s.dispatch(now)
}

// ActorGone says that an actor is over; its lane's lease ends, and so does an isolated worker, which nobody else may use after it.
func (s *Scheduler) ActorGone(l *Lane, now int64) {
	if l.state != laneActor {
		return
	}
	s.end(l, now)
	s.dispatch(now)
}

// ActorBlocked says that all that runs in an actor waits inside get: its CPUs are lent.
func (s *Scheduler) ActorBlocked(l *Lane, now int64) {
	if l.state == laneActor && !l.lent {
		s.lend(l)
		s.dispatch(now)
	}
}

// ActorUnblocked says that something in the actor goes on: its CPUs are taken again.
func (s *Scheduler) ActorUnblocked(l *Lane) {
	if l.state == laneActor && l.lent {
		s.reclaim(l)
	}
}

// Cancel takes back a task that no worker has; it is Idle then. For a task that a worker has it returns false: the caller tells the worker,
// and Done comes.
func (s *Scheduler) Cancel(t *Task, now int64) bool {
	switch t.state {
	case Waiting:
		t.Class.job.waiting.remove(t)
	case Queued:
		s.dequeue(t)
	case Idle, Dispatched, Blocked:
		return false
	default:
		panic("scheduler: unknown task state")
	}
	t.state, t.missing = Idle, 0
	s.afterLift(now)
	return true
}

// Blocked says that a running task waits inside get, and which tasks behind it in its lane the worker gives back. Tasks that crossed this
// on their way to the worker are asked back with Revoke. It returns false for a task that no worker has. Saying it again, with more
// tasks, is right.
func (s *Scheduler) Blocked(t *Task, returned []*Task, now int64) bool {
	l := t.lane
	if t.state == Dispatched && !l.lent {
		t.state = Blocked
		s.lend(l)
	}
	if t.state != Blocked {
		return false
	}
	s.takeBack(l, returned, now)
	if l.tasks.n > 1 && !l.revoking {
		s.revoke(l)
	}
	c := l.class
	s.dispatch(now)
	s.fill(c, now)
	return true
}

// Unblocked says that a task that waited goes on. It has its CPUs again at once. It returns false for a task that does not wait.
func (s *Scheduler) Unblocked(t *Task, now int64) bool {
	if t.state != Blocked {
		return false
	}
	t.state = Dispatched
	s.reclaim(t.lane)
	t.lane.headSince = now
	s.offer(t.lane)
	return true
}

// Revoked answers the effect Revoke: these tasks of the lane have not begun and never will there.
func (s *Scheduler) Revoked(l *Lane, returned []*Task, now int64) {
	l.revoking = false
	switch l.state {
	case laneZombie:
		l.state = laneSpare
		l.worker.spare = append(l.worker.spare, l)
		return
	case laneSpare, laneActor:
		return
	case laneTasks:
	default:
		panic("scheduler: unknown lane state")
	}
	c := l.class
	if c.job.gone {
		return // its tasks were handed back; the lane ends with its worker
	}
	s.takeBack(l, returned, now)
	if l.tasks.n > 1 {
		s.wakeAt(now + s.cfg.RevokeAfterNs) // the worker kept some: ask again
	}
	if l.tasks.n == 0 {
		s.end(l, now) // not even the head had begun
	}
	s.dispatch(now)
	s.fill(c, now)
}

// JobGone says that a job is over. It hands back all its tasks, in an order of no meaning, and asks for the end of its workers; what they
// hold is free when they are gone.
func (s *Scheduler) JobGone(j *Job, now int64) []*Task {
	if j.gone {
		return nil
	}
	j.gone = true
	var tasks []*Task
	for _, g := range j.groups {
		for _, w := range slices.Clone(g.all) {
			for _, l := range w.lanes.lanes {
				tasks = l.tasks.drain(tasks)
				s.piped.remove(l)
			}
			s.stop(w)
		}
	}
	for _, c := range j.ordered {
		for c.queue.n > 0 {
			t := c.queue.first
			s.dequeue(t)
			t.state = Idle
			tasks = append(tasks, t)
		}
	}
	tasks = j.waiting.drain(tasks)
	s.forget(j)
	s.dispatch(now)
	return tasks
}

// forget drops a job that is gone when its last worker is.
func (s *Scheduler) forget(j *Job) {
	if j.gone && j.workers == 0 {
		s.jobs = slices.DeleteFunc(s.jobs, func(o *Job) bool { return o == j })
	}
}
