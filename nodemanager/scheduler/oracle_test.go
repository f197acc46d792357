package scheduler

import (
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/mobula-dev/mobula/nodemanager/resource"
)

// oracle is a dumb second book of everything: slices and maps, everything recomputed for every question. It learns of events from the
// machine that makes them and checks every effect against what must hold.
type oracle struct {
	t     *rapid.T
	s     *Scheduler
	total map[resource.Column]int64
	now   int64
	wake  int64 // 0 is none

	queues  map[*Class][]*Task // in the order in which they must be dispatched
	missing map[*Task]int
	lanes   map[*Lane]*laneModel
	workers []*workerModel
	revokes []*Lane // to be answered
	idle    []*Task // handed back, to be submitted again or forgotten
	doneN   int
	ranN    map[*Task]int // dispatches that were not taken back
}

type laneModel struct {
	lane  *Lane
	tasks []*Task
	lent  bool
	actor bool
	shape *resource.Shape
	since int64
}

type workerModel struct {
	w        *Worker
	starting bool
	stopping bool
	retiring bool
}

func (o *oracle) lanesOf(w *Worker) []*laneModel {
	var found []*laneModel
	for _, l := range o.sortedLanes() {
		if l.lane.Worker() == w {
			found = append(found, l)
		}
	}
	return found
}

// sortedLanes lists the lanes in an order that does not depend on the map, so that failures can be replayed.
func (o *oracle) sortedLanes() []*laneModel {
	var found []*laneModel
	for _, w := range o.workers {
		var own []*laneModel
		for l, m := range o.lanes {
			if l.Worker() == w.w {
				own = append(own, m)
			}
		}
		slices.SortFunc(own, func(a, b *laneModel) int { return int(a.lane.Number()) - int(b.lane.Number()) })
		found = append(found, own...)
	}
	return found
}

// free recomputes what is free of each column.
func (o *oracle) free() map[resource.Column]int64 {
	free := maps.Clone(o.total)
	for _, l := range o.lanes {
		for i := range l.shape.Len() {
			if c, amount := l.shape.At(i); !l.lent || c != resource.CPU {
				free[c] -= amount
			}
		}
	}
	return free
}

// deviceFree recomputes what is free of each GPU.
func (o *oracle) deviceFree() []int64 {
	free := make([]int64, o.total[resource.GPU]/resource.Unit)
	for i := range free {
		free[i] = resource.Unit
	}
	for _, l := range o.lanes {
		for _, d := range l.lane.Devices().Append(nil) {
			free[d] -= min(resource.Unit, l.shape.Need(resource.GPU))
		}
	}
	return free
}

// fits says whether a shape fits what is free.
func (o *oracle) fits(shape *resource.Shape) bool {
	free := o.free()
	for i := range shape.Len() {
		if c, amount := shape.At(i); free[c] < amount {
			return false
		}
	}
	gpu := shape.Need(resource.GPU)
	if gpu == 0 {
		return true
	}
	whole := int64(0)
	for _, f := range o.deviceFree() {
		if gpu < resource.Unit && f >= gpu {
			return true
		}
		if f == resource.Unit {
			whole += f
		}
	}
	return gpu >= resource.Unit && whole >= gpu
}

// carrier says whether a ready worker could carry one more lane of a class.
func (o *oracle) carrier(c *Class) bool {
	return slices.ContainsFunc(o.workers, func(w *workerModel) bool {
		return !w.starting && !w.stopping && !w.retiring && w.w.group == c.group &&
			(w.w.Kind() == Shared || len(o.lanesOf(w.w)) == 0)
	})
}

// openable says whether work conservation demands that a lane of the class be opened.
func (o *oracle) openable(c *Class) bool {
	if c.spec.Shape.Empty() {
		running := 0
		for _, l := range o.lanes {
			if l.lane.Class() == c && !l.lent && !l.actor {
				running++
			}
		}
		if running >= o.s.cfg.FreeLanes {
			return false
		}
	}
	return len(o.queues[c]) > 0 && o.fits(c.spec.Shape) && o.carrier(c) && !o.s.reserve.forbids(o.s.ledger, c)
}

// settle takes the effects of an event into the books, checking each, and then all invariants.
func (o *oracle) settle() {
	o.t.Helper()
	for _, e := range o.s.Effects() {
		o.apply(e)
	}
	if err := o.s.check(); err != nil {
		o.t.Fatalf("invariant: %v", err)
	}
	for c := range o.queues {
		if o.openable(c) {
			o.t.Fatalf("not work-conserving: class %v has %d queued tasks, fits and has a worker", c.spec, len(o.queues[c]))
		}
	}
}

func (o *oracle) apply(e Effect) {
	o.t.Helper()
	switch e.Kind {
	case Dispatch:
		o.dispatched(e)
	case StartWorker:
		o.workers = append(o.workers, &workerModel{w: e.Worker, starting: true})
	case StopWorker:
		m := o.worker(e.Worker)
		if m.stopping || len(o.lanesOf(e.Worker)) > 0 && !e.Worker.Job().gone {
			o.t.Fatalf("worker is stopped twice or with lanes")
		}
		m.stopping = true
	case Revoke:
		if slices.Contains(o.revokes, e.Lane) {
			o.t.Fatalf("lane is revoked twice")
		}
		o.revokes = append(o.revokes, e.Lane)
	case StartFailed:
		o.unqueue(e.Task)
		o.idle = append(o.idle, e.Task)
	case WakeAt:
		if e.Time < o.now-int64(time.Hour) {
			o.t.Fatalf("wake at %d is long past", e.Time)
		}
		o.wake = e.Time
	case Warn:
	case Infeasible:
		o.t.Fatalf("nothing here is infeasible")
	default:
		o.t.Fatalf("unknown effect %v", e.Kind)
	}
}

func (o *oracle) worker(w *Worker) *workerModel {
	o.t.Helper()
	i := slices.IndexFunc(o.workers, func(m *workerModel) bool { return m.w == w })
	if i < 0 {
		o.t.Fatalf("unknown worker")
	}
	return o.workers[i]
}

func (o *oracle) dispatched(e Effect) {
	o.t.Helper()
	c := e.Task.Class
	if queue := o.queues[c]; len(queue) == 0 || queue[0] != e.Task {
		o.t.Fatalf("task %d is not the first of its class", e.Task.Record)
	}
	w := o.worker(e.Worker)
	if w.starting || w.stopping || w.retiring || e.Worker.group != c.group || e.Lane.Worker() != e.Worker {
		o.t.Fatalf("dispatch to a worker that must not get it: %+v", w)
	}
	l, open := o.lanes[e.Lane]
	if !open {
		if !o.fits(c.spec.Shape) {
			o.t.Fatalf("lane opened for %v, free is %v, devices %v", c.spec.Shape, o.free(), o.deviceFree())
		}
		if e.Worker.Kind() == Isolated && len(o.lanesOf(e.Worker)) > 0 {
			o.t.Fatalf("second lane on an isolated worker")
		}
		l = &laneModel{lane: e.Lane, shape: c.spec.Shape, since: o.now}
		o.lanes[e.Lane] = l
	} else {
		o.pipelined(l, c)
	}
	o.queues[c] = o.queues[c][1:]
	l.tasks = append(l.tasks, e.Task)
	o.ranN[e.Task]++
}

// pipelined checks that a task of a class may stand behind what a lane has.
func (o *oracle) pipelined(l *laneModel, c *Class) {
	o.t.Helper()
	depth := max(1, int(time.Millisecond)/max(1, int(c.MeanRunNs())))
	switch {
	case l.actor || l.lent || c.alone || l.lane.Class() != c:
		o.t.Fatalf("lane takes no tasks")
	case c.runs == 0:
		o.t.Fatalf("unmeasured tasks are pipelined")
	case len(l.tasks) >= min(256, depth+depth/8+1):
		o.t.Fatalf("lane has %d tasks with a mean of %d ns", len(l.tasks)+1, c.MeanRunNs())
	case o.now-l.since >= int64(10*time.Millisecond):
		o.t.Fatalf("task is put behind a head that has run for %d ns", o.now-l.since)
	case o.openable(c):
		o.t.Fatalf("task is pipelined though a lane could be opened")
	}
	for col, amount := range o.free() {
		if amount < 0 && l.shape.Need(col) > 0 {
			o.t.Fatalf("task is pipelined though %d is overdrawn", col)
		}
	}
}

// unqueue takes a task out of the queue of its class.
func (o *oracle) unqueue(t *Task) {
	o.t.Helper()
	i := slices.Index(o.queues[t.Class], t)
	if i < 0 {
		o.t.Fatalf("task %d is not queued", t.Record)
	}
	o.queues[t.Class] = slices.Delete(slices.Clone(o.queues[t.Class]), i, i+1)
}

// leave takes tasks out of a lane, and forgets the lane when it was the last.
func (o *oracle) leave(l *laneModel, tasks ...*Task) {
	if len(l.tasks) > 0 && slices.Contains(tasks, l.tasks[0]) {
		l.since = o.now
	}
	l.tasks = slices.DeleteFunc(l.tasks, func(t *Task) bool { return slices.Contains(tasks, t) })
	if len(l.tasks) == 0 && !l.actor {
		delete(o.lanes, l.lane)
	}
}

// takeBack moves tasks from a lane to the front of their queue.
func (o *oracle) takeBack(l *laneModel, returned []*Task) {
	if len(returned) == 0 {
		return
	}
	c := returned[0].Class
	o.leave(l, returned...)
	o.queues[c] = append(slices.Clone(returned), o.queues[c]...)
	for _, t := range returned {
		o.ranN[t]--
	}
}

// TestOracleCountsDevices keeps the oracle honest.
func TestOracleCountsDevices(t *testing.T) {
	t.Parallel()
	set := resource.NewSet()
	shape, err := set.Shape(resource.Request{GPUs: resource.Unit / 2})
	if err != nil {
		t.Fatal(err)
	}
	o := &oracle{total: map[resource.Column]int64{resource.GPU: resource.Unit}, lanes: map[*Lane]*laneModel{}}
	for i := range 3 {
		if got, want := o.fits(shape), i < 2; got != want {
			t.Fatalf("after %d halves: fits is %t", i, got)
		}
		l := &Lane{devices: 1}
		o.lanes[l] = &laneModel{lane: l, shape: shape}
	}
}
