package scheduler

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/mobula-dev/mobula/nodemanager/resource"
)

const (
	simLatency = 30 * int64(time.Microsecond) // one way between node and worker
	simStart   = 20 * int64(time.Millisecond) // of a worker process
)

// sim is a node with worker processes in virtual time: messages take time, tasks run, wait for their children, and workers die.
type sim struct {
	t       rapid.TB
	s       *Scheduler
	set     *resource.Set
	now     int64
	agenda  []appointment // by time, the next last
	seq     int64
	wake    int64
	tasks   map[*Task]*simTask
	workers []*simWorker
	process map[*Worker]*simWorker
	left    int // tasks that have not finished
	begun   int
	checks  bool // verify all invariants after every event
	starts  int
	refuse  func(start int) bool // which starts of workers fail; nil is none
	onDone  func(*simTask)
}

type simTask struct {
	Task
	length   int64
	children []*simTask
	parent   *simTask
	made     bool // its children were submitted
	pending  int  // children that have not finished
	at       *simWorker
	attempt  int
	asked    int64 // when it was submitted
	ended    int64
}

// simWorker is what happens inside a worker process: lanes run their tasks one after another.
type simWorker struct {
	w     *Worker
	lanes map[uint32]*simLane
	dead  bool
}

type simLane struct {
	tasks   []*simTask // the first runs
	running bool
}

type appointment struct {
	at, seq int64
	do      func()
}

func newSim(t rapid.TB, cfg Config, capacity resource.Request) *sim {
	t.Helper()
	set := resource.NewSet()
	ledger, err := set.NewLedger(capacity)
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(cfg, ledger)
	if err != nil {
		t.Fatal(err)
	}
	return &sim{t: t, s: s, set: set, wake: never, now: 1, tasks: map[*Task]*simTask{}, process: map[*Worker]*simWorker{}}
}

func cpus(n float64) resource.Request {
	return resource.Request{CPUs: int64(n * resource.Unit)}
}

func (m *sim) class(j *Job, function uint64, kind Kind, request resource.Request) *Class {
	m.t.Helper()
	shape, err := m.set.Shape(request)
	if err != nil {
		m.t.Fatal(err)
	}
	return m.s.Class(j, Spec{Function: function, Shape: shape, Kind: kind})
}

func (m *sim) after(d int64, do func()) {
	m.seq++
	a := appointment{m.now + d, m.seq, do}
	i, _ := slices.BinarySearchFunc(m.agenda, a, func(x, y appointment) int {
		return cmp.Or(cmp.Compare(y.at, x.at), cmp.Compare(y.seq, x.seq))
	})
	m.agenda = slices.Insert(m.agenda, i, a)
}

func (m *sim) submit(c *Class, length time.Duration, children ...*simTask) *simTask {
	t := m.task(c, length, children...)
	m.enter(t)
	return t
}

// task makes a task without submitting it.
func (m *sim) task(c *Class, length time.Duration, children ...*simTask) *simTask {
	t := &simTask{length: int64(length), children: children}
	t.Class = c
	m.tasks[&t.Task] = t
	for _, child := range children {
		child.parent = t
	}
	return t
}

func (m *sim) enter(t *simTask) {
	m.left++
	t.asked = m.now
	m.s.Submit(&t.Task, 0, m.now)
	m.effects()
}

func (m *sim) effects() {
	for _, e := range m.s.Effects() {
		m.apply(e)
	}
	if m.checks {
		if err := m.s.check(); err != nil {
			m.t.Fatalf("invariant at %v: %v", time.Duration(m.now), err)
		}
	}
	for _, l := range m.s.piped.lanes {
		if age := m.now - l.headSince; !l.revoking && age > int64(10*time.Millisecond) {
			m.t.Fatalf("%d tasks stand behind a head that has run for %v", l.tasks.n-1, time.Duration(age))
		}
	}
}

func (m *sim) apply(e Effect) {
	switch e.Kind {
	case Dispatch:
		t, w, number := m.tasks[e.Task], m.process[e.Worker], e.Lane.Number()
		t.at, t.attempt = w, t.attempt+1
		m.after(simLatency, func() { w.receive(m, number, t) })
	case StartWorker:
		m.starts++
		if m.refuse != nil && m.refuse(m.starts) {
			m.after(simStart, func() { m.s.WorkerStartFailed(e.Worker, m.now) })
			return
		}
		w := &simWorker{w: e.Worker, lanes: map[uint32]*simLane{}}
		m.process[e.Worker] = w
		m.workers = append(m.workers, w)
		m.after(simStart, func() { m.s.WorkerStarted(e.Worker, m.now) })
	case StopWorker:
		m.after(simLatency, func() { m.s.WorkerGone(e.Worker, m.now) })
	case Revoke:
		w, lane := m.process[e.Worker], e.Lane
		m.after(simLatency, func() { w.revoked(m, lane) })
	case WakeAt:
		m.wake = e.Time
	case StartFailed:
		m.left--
		m.finished(m.tasks[e.Task])
	case Infeasible:
		m.t.Fatalf("infeasible task")
	case Warn:
	default:
		m.t.Fatalf("unknown effect %v", e.Kind)
	}
}

// receive puts a task into a lane of a worker.
func (w *simWorker) receive(m *sim, number uint32, t *simTask) {
	if w.dead {
		return
	}
	l := w.lanes[number]
	if l == nil {
		l = &simLane{}
		w.lanes[number] = l
	}
	l.tasks = append(l.tasks, t)
	w.next(m, l)
}

// next begins the first task of a lane if none runs.
func (w *simWorker) next(m *sim, l *simLane) {
	if l.running || len(l.tasks) == 0 {
		return
	}
	l.running = true
	t := l.tasks[0]
	m.begun++
	if len(t.children) == 0 {
		m.after(t.length, func() { w.done(m, l, t) })
		return
	}
	m.after(t.length/2, func() { w.wait(m, l, t) })
}

// wait submits the children of a running task and blocks until they have finished.
func (w *simWorker) wait(m *sim, l *simLane, t *simTask) {
	if w.dead {
		return
	}
	if !t.made {
		t.made, t.pending = true, len(t.children)
		for _, child := range t.children {
			m.enter(child)
		}
	}
	returned := make([]*Task, 0, len(l.tasks))
	for _, behind := range l.tasks[1:] {
		returned = append(returned, &behind.Task)
	}
	l.tasks = l.tasks[:1]
	attempt := t.attempt
	m.after(simLatency, func() {
		if w.dead || t.attempt != attempt {
			return
		}
		if !m.s.Blocked(&t.Task, returned, m.now) {
			m.t.Fatalf("blocked is refused")
		}
		w.resume(m, l, t)
	})
}

// resume lets a task that waits go on if its children have finished.
func (w *simWorker) resume(m *sim, l *simLane, t *simTask) {
	if t.pending > 0 || w.dead || t.State() != Blocked {
		return
	}
	m.s.Unblocked(&t.Task, m.now)
	m.after(t.length/2, func() { w.done(m, l, t) })
}

func (w *simWorker) done(m *sim, l *simLane, t *simTask) {
	if w.dead {
		return
	}
	l.tasks = l.tasks[1:]
	l.running = false
	w.next(m, l)
	m.after(simLatency, func() {
		if w.dead {
			return
		}
		if !m.s.Done(&t.Task, t.length, m.now) {
			m.t.Fatalf("done is refused")
		}
		m.left--
		m.finished(t)
	})
}

// finished tells the parent of a task that it has ended.
func (m *sim) finished(t *simTask) {
	t.ended = m.now
	if m.onDone != nil {
		m.onDone(t)
	}
	p := t.parent
	if p == nil {
		return
	}
	if p.pending--; p.pending == 0 && p.State() == Blocked {
		p.at.resume(m, p.at.laneOf(p), p)
	}
}

func (w *simWorker) laneOf(t *simTask) *simLane {
	for _, l := range w.lanes {
		if len(l.tasks) > 0 && l.tasks[0] == t {
			return l
		}
	}
	return nil
}

func (w *simWorker) revoked(m *sim, lane *Lane) {
	if w.dead {
		return
	}
	var returned []*Task
	if l := w.lanes[lane.Number()]; l != nil && len(l.tasks) > 0 {
		for _, behind := range l.tasks[1:] {
			returned = append(returned, &behind.Task)
		}
		l.tasks = l.tasks[:1]
	}
	m.after(simLatency, func() {
		if !w.dead {
			m.s.Revoked(lane, returned, m.now)
		}
	})
}

// kill ends a worker's process; what it had runs again.
func (m *sim) kill(w *simWorker, isolate bool) {
	if w.dead || w.w.state == workerStarting || w.w.state == workerGone {
		return
	}
	w.dead = true
	gone := m.s.WorkerGone(w.w, m.now)
	for _, t := range gone.Started {
		m.s.Requeue(t, true, isolate, m.now)
	}
	for _, t := range slices.Backward(gone.Behind) {
		m.s.Requeue(t, true, false, m.now)
	}
}

// run lets time pass until no task is left, or until a time if it is not 0.
func (m *sim) run(until time.Duration) {
	m.t.Helper()
	for m.left > 0 || until > 0 {
		next := m.wake
		if len(m.agenda) > 0 {
			next = min(next, m.agenda[len(m.agenda)-1].at)
		}
		switch {
		case until > 0 && next > int64(until):
			m.now = int64(until)
			return
		case next == never:
			m.t.Fatalf("%d tasks are left and nothing will happen: %+v", m.left, m.s.Stats())
		}
		m.now = max(m.now, next)
		if m.wake <= m.now {
			m.wake = never
			m.s.Tick(m.now)
		} else {
			last := len(m.agenda) - 1
			do := m.agenda[last].do
			m.agenda = m.agenda[:last]
			do()
		}
		m.effects()
	}
}

// balanced fails unless everything is free.
func (m *sim) balanced() {
	m.t.Helper()
	for c := range m.s.ledger.Columns() {
		column := resource.Column(c)
		if free, total := m.s.ledger.Free(column), m.s.ledger.Total(column); free != total {
			m.t.Fatalf("%s: %d free of %d at the end", m.s.ledger.Name(column), free, total)
		}
	}
}

// simulation runs a random load: functions whose tasks take from a microsecond to ten seconds, trees of nested tasks, two jobs, workers
// that die and workers that do not start.
func simulation(t *rapid.T) {
	seed := rapid.Uint64().Draw(t, "seed")
	r := rand.New(rand.NewPCG(seed, 0))
	m := newSim(t, Config{MaxWorkers: 2 + r.IntN(8), StartAttempts: 1000}, cpus(float64(1+r.IntN(4))))
	m.checks = true
	m.refuse = func(int) bool { return r.IntN(5) == 0 }
	var classes []*Class
	for range 2 {
		j := m.s.NewJob(nil)
		for f := range 3 {
			classes = append(classes, m.class(j, uint64(f), Kind(1+r.IntN(2)), cpus([]float64{0, 0.5, 1, 1}[r.IntN(4)])))
		}
	}
	length := func() time.Duration { // from 1 µs to 10 s, each power of ten as likely
		d := time.Microsecond
		for range r.IntN(8) {
			d *= 10
		}
		return d
	}
	usual := make([]time.Duration, len(classes))
	for i := range usual {
		usual[i] = length()
	}
	var grow func(depth int) *simTask
	grow = func(depth int) *simTask {
		i := r.IntN(len(classes))
		d := usual[i]
		if r.IntN(20) == 0 {
			d = length()
		}
		var children []*simTask
		for depth > 0 && r.IntN(3) == 0 && len(children) < 4 {
			children = append(children, grow(depth-1))
		}
		return m.task(classes[i], d, children...)
	}
	for range 1 + r.IntN(150) {
		task := grow(5)
		m.left++ // until it enters
		m.after(int64(r.IntN(int(length()))), func() { m.left--; m.enter(task) })
	}
	for range r.IntN(8) {
		m.after(int64(length()), func() {
			if len(m.workers) > 0 {
				m.kill(m.workers[r.IntN(len(m.workers))], r.IntN(2) == 0)
			}
		})
	}
	m.run(0)
	m.balanced()
}

// TestEveryTaskFinishesWhateverDies: in virtual time, with tasks of any length, nested ones, and workers that die or do not start.
func TestEveryTaskFinishesWhateverDies(t *testing.T) {
	t.Parallel()
	rapid.Check(t, simulation)
}

func FuzzEveryTaskFinishesWhateverDies(f *testing.F) {
	f.Add([]byte("12345678"))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})
	f.Fuzz(rapid.MakeFuzz(simulation))
}
