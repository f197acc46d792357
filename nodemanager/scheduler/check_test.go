package scheduler

import (
	"fmt"
	"slices"

	"github.com/mobula-dev/mobula/nodemanager/resource"
)

// check verifies every invariant of the state from scratch. Tests call it after every event; it costs time linear in tasks.
func (s *Scheduler) check() error {
	if err := s.ledger.Check(); err != nil {
		return fmt.Errorf("ledger: %w", err)
	}
	sum := census{taken: make([]int64, s.ledger.Columns())}
	for _, j := range s.jobs {
		if err := s.checkJob(j, &sum); err != nil {
			return err
		}
	}
	for i, taken := range sum.taken {
		c := resource.Column(i)
		if got := s.ledger.Total(c) - s.ledger.Free(c); got != taken {
			return fmt.Errorf("%s: ledger has %d taken, lanes hold %d", s.ledger.Name(c), got, taken)
		}
	}
	for _, n := range []struct {
		what      string
		got, want int
	}{
		{"active classes", s.active, sum.active}, {"jobs in the ring", s.ring.n, sum.rings}, {"workers", s.workers, sum.workers},
		{"exempt workers", s.exempt, sum.exempt}, {"starting workers", s.starting, sum.starting},
		{"stopping workers", s.stopping, sum.stopping}, {"idle workers", s.idle.n, sum.idle}, {"piped lanes", len(s.piped.lanes), sum.piped},
	} {
		if n.got != n.want {
			return fmt.Errorf("%s: %d are counted, %d exist", n.what, n.got, n.want)
		}
	}
	return nil
}

// census is what check counts.
type census struct {
	taken                                                           []int64
	active, rings, workers, exempt, starting, stopping, idle, piped int
}

func (s *Scheduler) checkJob(j *Job, sum *census) error {
	held := make([]int64, len(j.held))
	workers, standing := 0, 0
	for _, g := range j.groups {
		starting := 0
		for _, w := range g.all {
			if err := s.checkWorker(w, held, sum); err != nil {
				return err
			}
			workers++
			if w.state == workerStarting {
				starting++
			}
			if w.state == workerStarting || w.state == workerReady {
				standing++
			}
		}
		if starting != g.starting {
			return fmt.Errorf("group counts %d starting workers, has %d", g.starting, starting)
		}
		if g.shared != nil && g.shared.state != workerReady {
			return fmt.Errorf("shared worker of a group is %v", g.shared.state)
		}
	}
	if workers != j.workers || standing != j.standing {
		return fmt.Errorf("job counts %d workers, %d standing; has %d, %d", j.workers, j.standing, workers, standing)
	}
	if !slices.Equal(held, j.held) {
		return fmt.Errorf("job counts %v held, its lanes hold %v", j.held, held)
	}
	for c, amount := range held {
		sum.taken[c] += amount
	}
	for _, c := range j.ordered {
		if err := c.check(sum); err != nil {
			return err
		}
	}
	if j.ring.n > 0 {
		sum.rings++
	}
	return checkList(&j.waiting, func(t *Task) bool { return t.state == Waiting && t.missing > 0 && t.lane == nil })
}

func (s *Scheduler) checkWorker(w *Worker, held []int64, sum *census) error {
	sum.workers++
	switch w.state {
	case workerStarting:
		sum.starting++
	case workerStopping:
		sum.stopping++
	case workerReady:
		if len(w.lanes.lanes) == 0 {
			sum.idle++
		}
		if inGroup := slices.Contains(w.group.idle, w); inGroup != (w.group.kind == Isolated && len(w.lanes.lanes) == 0) {
			return fmt.Errorf("isolated worker with %d lanes is idle: %t", len(w.lanes.lanes), inGroup)
		}
	case workerRetiring:
	case workerGone:
		return fmt.Errorf("a worker that is gone is still listed")
	default:
		return fmt.Errorf("unknown worker state %d", w.state)
	}
	if w.group.kind == Isolated && len(w.lanes.lanes) > 1 {
		return fmt.Errorf("isolated worker has %d lanes", len(w.lanes.lanes))
	}
	lent := 0
	for _, l := range w.lanes.lanes {
		if err := s.checkLane(l); err != nil {
			return fmt.Errorf("lane %d: %w", l.number, err)
		}
		for c := range held {
			held[c] += l.holds(resource.Column(c))
		}
		if l.lent {
			lent++
		}
		if l.tasks.n > 1 {
			sum.piped++
		}
	}
	if lent != w.lent {
		return fmt.Errorf("worker counts %d lent lanes, has %d", w.lent, lent)
	}
	if lent > 0 {
		sum.exempt++
	}
	return nil
}

func (s *Scheduler) checkLane(l *Lane) error {
	switch l.state {
	case laneTasks:
		if l.tasks.n == 0 && !l.class.job.gone {
			return fmt.Errorf("leased without tasks")
		}
	case laneActor:
		if l.tasks.n != 0 {
			return fmt.Errorf("an actor's lane has tasks")
		}
	case laneSpare, laneZombie:
		return fmt.Errorf("listed without a lease")
	default:
		return fmt.Errorf("unknown state %d", l.state)
	}
	if l.tasks.n > s.cfg.MaxDepth || l.class.alone && l.tasks.n > 1 {
		return fmt.Errorf("has %d tasks", l.tasks.n)
	}
	waits := 0
	err := checkList(&l.tasks, func(t *Task) bool {
		if t.state == Blocked {
			waits++
		}
		return (t.state == Dispatched || t.state == Blocked) && t.lane == l && t.Class == l.class
	})
	if l.state == laneTasks && !l.class.job.gone && l.lent != (waits == 1) {
		return fmt.Errorf("lent is %t and %d tasks wait", l.lent, waits)
	}
	return err
}

func (c *Class) check(sum *census) error {
	if c.queue.n > 0 {
		sum.active++
	}
	if c.ringLinks.in != (c.queue.n > 0) || c.queue.n > 0 && !c.job.ringLinks.in {
		return fmt.Errorf("class with %d queued tasks: in its ring %t, its job %t", c.queue.n, c.ringLinks.in, c.job.ringLinks.in)
	}
	running := 0
	for _, l := range c.lanes.lanes {
		if l.class != c || l.state != laneTasks {
			return fmt.Errorf("class lists a lane that is not its own")
		}
		if !l.lent {
			running++
		}
	}
	if running != c.running {
		return fmt.Errorf("class counts %d running lanes, has %d", c.running, running)
	}
	for _, l := range c.roomy.lanes {
		if l.class != c || l.state != laneTasks || l.lent || l.revoking || l.worker.state == workerRetiring {
			return fmt.Errorf("a lane that takes nothing is offered")
		}
	}
	return checkList(&c.queue, func(t *Task) bool { return t.state == Queued && t.lane == nil && t.Class == c })
}

// checkList verifies the links of a list and a condition on its tasks.
func checkList(l *taskList, ok func(*Task) bool) error {
	n := 0
	var prev *Task
	for t := l.first; t != nil; t = t.next {
		if t.prev != prev || !ok(t) {
			return fmt.Errorf("task %d, %v: wrong in its list", t.Record, t.state)
		}
		prev = t
		n++
	}
	if l.last != prev || l.n != n {
		return fmt.Errorf("list counts %d tasks, has %d", l.n, n)
	}
	return nil
}
