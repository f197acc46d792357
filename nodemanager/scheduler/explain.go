package scheduler

import (
	"fmt"
	"slices"
	"strings"

	"github.com/mobula-dev/mobula/nodemanager/resource"
)

// aheadMax bounds how many tasks Explain counts, because it runs under the node's lock.
const aheadMax = 10_000

// Explanation says where a task stands and why it does not run.
type Explanation struct {
	// State is where the task stands.
	State State
	// MissingArgs is the number of arguments that it waits for.
	MissingArgs int
	// Ahead is the number of tasks of its class before it: in the queue, or in its lane when it is dispatched. MoreAhead says that the count
	// stopped there.
	Ahead     int
	MoreAhead bool
	// Short lists what its class is short of, with who holds it. Empty, resources are not what it waits for.
	Short []Short
	// NoWorker says why there is no worker for it; empty when there is one.
	NoWorker string
	// ReservedFor is the class for which what it needs is being kept; nil when there is none.
	ReservedFor *Class
	// Closed says that the pool from which it is served does not have its resources yet.
	Closed bool
	// Contested says that lanes of its class are being left to other classes, whose turn it is.
	Contested bool
	// Worker is where it was dispatched to.
	Worker *Worker
	// HeadNs is for how many nanoseconds the head of its lane has run, when it is dispatched: the task itself or what it stands behind.
	HeadNs int64
}

// Short is a resource of which too little is free, and the classes that hold it.
type Short struct {
	resource.Shortage
	Holders []Holder
}

// Holder is a class that holds a resource.
type Holder struct {
	Class *Class
	// Lanes is the number of lanes that hold it, Actors how many of these belong to actors.
	Lanes, Actors int
	// Amount is how much they hold, without what is lent.
	Amount int64
}

// Explain says why a task does not run yet.
func (s *Scheduler) Explain(t *Task, now int64) Explanation {
	e := Explanation{State: t.state}
	switch t.state {
	case Idle:
	case Waiting:
		e.MissingArgs = int(t.missing)
	case Queued:
		s.explainQueued(&e, t.Class, now)
		e.Ahead, e.MoreAhead = ahead(t)
	case Dispatched, Blocked:
		e.Worker = t.lane.worker
		e.HeadNs = now - t.lane.headSince
		e.Ahead, e.MoreAhead = ahead(t)
	default:
		panic("scheduler: unknown task state")
	}
	return e
}

// ahead counts the tasks before one in its list, and reports whether there are more than it counted.
func ahead(t *Task) (n int, more bool) {
	for p := t.prev; p != nil; p = p.prev {
		if n == aheadMax {
			return n, true
		}
		n++
	}
	return n, false
}

func (s *Scheduler) explainQueued(e *Explanation, c *Class, now int64) {
	if c.spec.Pool != nil && !c.spec.Pool.Opened() {
		e.Closed = true
		return
	}
	for _, short := range c.ledgers[0].Short(c.spec.Shape) {
		e.Short = append(e.Short, Short{Shortage: short, Holders: s.holders(c.ledgers, short.Column)})
	}
	if s.reserve.forbids(s.ledger, c) {
		e.ReservedFor = s.reserve.class
	}
	e.Contested = len(c.lanes.lanes) > 0 && s.contested(c)
	if g := c.group; g.pick() == nil {
		switch {
		case g.starting > 0:
			e.NoWorker = fmt.Sprintf("%d workers are starting", g.starting)
		case now < g.retryAt:
			e.NoWorker = fmt.Sprintf("%d starts failed, the next is in %s", g.failures, seconds(g.retryAt-now))
		case s.full():
			e.NoWorker = fmt.Sprintf("the limit of %d workers is reached", s.cfg.MaxWorkers)
		case s.starting >= s.cfg.MaxStarting:
			e.NoWorker = fmt.Sprintf("%d workers of others are starting", s.starting)
		default:
			e.NoWorker = "all workers are in use"
		}
	}
}

// holders lists the classes that hold some of a column, job by job in the order in which they came.
func (s *Scheduler) holders(of []*resource.Ledger, c resource.Column) []Holder {
	var holders []Holder
	index := make(map[*Class]int)
	for _, j := range s.jobs {
		for _, g := range j.groups {
			for _, w := range g.all {
				for _, l := range w.lanes.lanes {
					amount := l.holds(c)
					if amount == 0 || !slices.Contains(of, l.ledger) {
						continue
					}
					i, known := index[l.class]
					if !known {
						i = len(holders)
						index[l.class] = i
						holders = append(holders, Holder{Class: l.class})
					}
					h := &holders[i]
					h.Lanes++
					h.Amount += amount
					if l.state == laneActor {
						h.Actors++
					}
				}
			}
		}
	}
	return holders
}

// holds returns how much of a column a lane holds, without what it has lent.
func (l *Lane) holds(c resource.Column) int64 {
	if l.lent && c == resource.CPU {
		return 0
	}
	return l.shape.Need(c)
}

// String writes the explanation in one line for people; the caller adds names of functions and jobs.
func (e Explanation) String() string {
	var b strings.Builder
	b.WriteString(e.State.String())
	if e.MissingArgs > 0 {
		fmt.Fprintf(&b, "; %d arguments are missing", e.MissingArgs)
	}
	for _, short := range e.Short {
		fmt.Fprintf(&b, "; short of %s", short.Shortage)
	}
	if e.Closed {
		b.WriteString("; its placement group does not have its resources yet")
	}
	if e.NoWorker != "" {
		fmt.Fprintf(&b, "; no worker: %s", e.NoWorker)
	}
	if e.ReservedFor != nil {
		b.WriteString("; what it needs is kept for a class that was passed over")
	}
	if e.Contested {
		b.WriteString("; it is the turn of other classes")
	}
	if e.Ahead > 0 {
		more := ""
		if e.MoreAhead {
			more = "at least "
		}
		fmt.Fprintf(&b, "; behind %s%d tasks of its class", more, e.Ahead)
	}
	if e.HeadNs > 0 {
		fmt.Fprintf(&b, "; the head of its lane has run for %s", seconds(e.HeadNs))
	}
	return b.String()
}

// seconds writes nanoseconds for people.
func seconds(ns int64) string { return fmt.Sprintf("%.3f s", float64(ns)/float64(second)) }

// Stats is a picture of the scheduler at a moment.
type Stats struct {
	// Workers is the number of workers that were started and are not gone; of these Starting are not ready, Idle have no lane, and Waiting
	// contain a task that waits, so that they do not count against MaxWorkers.
	Workers, Starting, Idle, Waiting int
	// Classes has a row for each class that has queued tasks or lanes.
	Classes []ClassStats
	// Resources has a row for each column that the node has something of.
	Resources []ResourceStats
}

// ClassStats is a class in Stats.
type ClassStats struct {
	Class *Class
	// Queued is the number of queued tasks; Lanes that of lanes that run tasks, of which Running are not blocked.
	Queued, Lanes, Running int
}

// ResourceStats is a column in Stats; amounts as in package resource.
type ResourceStats struct {
	Name        string
	Total, Free int64
}

// Stats returns a picture of the scheduler; its cost is linear in classes, not in tasks.
func (s *Scheduler) Stats() Stats {
	st := Stats{Workers: s.workers, Starting: s.starting, Idle: s.idle.n, Waiting: s.exempt}
	for _, j := range s.jobs {
		for _, c := range j.ordered {
			if c.queue.n > 0 || len(c.lanes.lanes) > 0 {
				st.Classes = append(st.Classes, ClassStats{Class: c, Queued: c.queue.n, Lanes: len(c.lanes.lanes), Running: c.running})
			}
		}
	}
	for i := range s.ledger.Columns() {
		if c := resource.Column(i); s.ledger.Total(c) > 0 {
			st.Resources = append(st.Resources, ResourceStats{Name: s.ledger.Name(c), Total: s.ledger.Total(c), Free: s.ledger.Free(c)})
		}
	}
	return st
}
