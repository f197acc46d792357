package scheduler

import (
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/mobula-dev/mobula/nodemanager/resource"
)

// machine makes random events, as a caller and its workers could, and tells the oracle of each.
type machine struct {
	*oracle
	jobs    []*Job
	classes []*Class
	number  int // of the newest task
	all     []*Task
}

func newMachine(t *rapid.T) *machine {
	set := resource.NewSet()
	capacity := resource.Request{
		CPUs: rapid.Int64Range(1, 4).Draw(t, "cpus") * resource.Unit, GPUs: 2 * resource.Unit,
		Memory: 1 << 30, Custom: map[string]int64{"tape": 2 * resource.Unit},
	}
	ledger, err := set.NewLedger(capacity)
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(Config{
		MaxWorkers: rapid.IntRange(2, 8).Draw(t, "maxWorkers"), MaxStarting: rapid.IntRange(1, 3).Draw(t, "maxStarting"),
		IdleTimeoutNs: int64(50 * time.Millisecond), StartBackoffNs: int64(time.Millisecond), FreeLanes: 3, ReserveAfterNs: int64(20 * time.Millisecond),
	}, ledger)
	if err != nil {
		t.Fatal(err)
	}
	m := &machine{oracle: &oracle{
		t: t, s: s, now: 1, lanes: map[*Lane]*laneModel{}, queues: map[*Class][]*Task{},
		missing: map[*Task]int{}, ranN: map[*Task]int{}, total: map[resource.Column]int64{},
	}}
	for i := range ledger.Columns() {
		m.total[resource.Column(i)] = ledger.Total(resource.Column(i))
	}
	for range 2 {
		m.addJob(set)
	}
	return m
}

// addJob adds a job with a class of each sort.
func (m *machine) addJob(set *resource.Set) {
	j := m.s.NewJob(nil)
	m.jobs = append(m.jobs, j)
	for i, spec := range []struct {
		request resource.Request
		running *resource.Request
		kind    Kind
		actor   bool
	}{
		{request: resource.Request{CPUs: resource.Unit}, kind: Shared},
		{request: resource.Request{CPUs: resource.Unit}, kind: Shared},
		{request: resource.Request{CPUs: resource.Unit / 2, Memory: 1 << 28}, kind: Shared},
		{request: resource.Request{}, kind: Shared},
		{request: resource.Request{CPUs: resource.Unit}, kind: Isolated},
		{request: resource.Request{CPUs: m.total[resource.CPU], Custom: map[string]int64{"tape": resource.Unit}}, kind: Shared},
		{request: resource.Request{CPUs: resource.Unit, GPUs: resource.Unit / 4}, kind: Isolated},
		{request: resource.Request{GPUs: resource.Unit}, kind: Isolated},
		{request: resource.Request{CPUs: resource.Unit}, running: &resource.Request{}, kind: Shared, actor: true},
		{request: resource.Request{CPUs: resource.Unit / 2}, kind: Isolated, actor: true},
	} {
		shape, err := set.Shape(spec.request)
		if err != nil {
			m.t.Fatal(err)
		}
		var running *resource.Shape
		if spec.running != nil {
			if running, err = set.Shape(*spec.running); err != nil {
				m.t.Fatal(err)
			}
		}
		m.classes = append(m.classes, m.s.Class(j, Spec{Function: uint64(i), Shape: shape, Running: running, Kind: spec.kind, Actor: spec.actor}))
	}
}

func (m *machine) queued(t *Task, front bool) {
	if front {
		m.queues[t.Class] = append([]*Task{t}, m.queues[t.Class]...)
	} else {
		m.queues[t.Class] = append(slices.Clone(m.queues[t.Class]), t)
	}
}

func (m *machine) submit(c *Class, missing int) *Task {
	m.number++
	t := &Task{Class: c, Record: m.number}
	m.all = append(m.all, t)
	if missing > 0 {
		m.missing[t] = missing
	} else {
		m.queued(t, false)
	}
	m.s.Submit(t, missing, m.now)
	m.settle()
	return t
}

func (m *machine) argReady(t *Task) {
	if m.missing[t]--; m.missing[t] == 0 {
		delete(m.missing, t)
		m.queued(t, false)
	}
	m.s.ArgReady(t, m.now)
	m.settle()
}

// finish ends the head of a lane, whether it waits or not.
func (m *machine) finish(l *laneModel, run int64) {
	t := l.tasks[0]
	if t.Class.spec.Actor {
		l.actor = true
		if r := t.Class.spec.Running; r != nil {
			l.shape = r
		}
	}
	l.lent = false
	m.leave(l, t)
	m.doneN++
	if !m.s.Done(t, run, m.now) {
		m.t.Fatalf("done of task %d is refused", t.Record)
	}
	m.settle()
}

func (m *machine) block(l *laneModel, keep int) {
	l.lent = true
	behind := slices.Clone(l.tasks[1:])
	returned := behind[:len(behind)-min(keep, len(behind))]
	head := l.tasks[0]
	m.takeBack(l, returned)
	if !m.s.Blocked(head, returned, m.now) {
		m.t.Fatalf("blocked of task %d is refused", head.Record)
	}
	m.settle()
}

func (m *machine) unblock(l *laneModel) {
	l.lent = false
	l.since = m.now
	if !m.s.Unblocked(l.tasks[0], m.now) {
		m.t.Fatalf("unblocked of task %d is refused", l.tasks[0].Record)
	}
	m.settle()
}

// answer gives back what has not begun in a revoked lane: everything but the head.
func (m *machine) answer(lane *Lane, withHead bool) {
	m.revokes = slices.DeleteFunc(m.revokes, func(l *Lane) bool { return l == lane })
	var returned []*Task
	if l := m.lanes[lane]; l != nil && len(l.tasks) > 0 {
		from := 1
		if withHead && !l.lent {
			from = 0
		}
		returned = slices.Clone(l.tasks[from:])
		m.takeBack(l, returned)
	}
	m.s.Revoked(lane, returned, m.now)
	m.settle()
}

// lose ends a worker's process and puts what it had among the idle tasks.
func (m *machine) lose(w *workerModel) {
	var heads, behind []*Task
	var actors int
	for _, l := range m.lanesOf(w.w) {
		if l.actor {
			actors++
		} else if len(l.tasks) > 0 {
			heads, behind = append(heads, l.tasks[0]), append(behind, l.tasks[1:]...)
		}
		delete(m.lanes, l.lane)
	}
	m.revokes = slices.DeleteFunc(m.revokes, func(l *Lane) bool { return l.Worker() == w.w })
	m.workers = slices.DeleteFunc(m.workers, func(o *workerModel) bool { return o == w })
	gone := m.s.WorkerGone(w.w, m.now)
	if !sameTasks(gone.Started, heads) || !sameTasks(gone.Behind, behind) || len(gone.Actors) != actors {
		m.t.Fatalf("worker left %d started, %d behind, %d actors; want %d, %d, %d", len(gone.Started), len(gone.Behind), len(gone.Actors),
			len(heads), len(behind), actors)
	}
	m.idle = append(append(m.idle, gone.Started...), gone.Behind...)
	m.settle()
}

func (m *machine) endJob(j *Job) {
	want := 0
	for _, t := range m.all {
		if t.Class.job == j && t.state != Idle {
			want++
		}
	}
	for c := range m.queues {
		if c.job == j {
			delete(m.queues, c)
		}
	}
	for t := range m.missing {
		if t.Class.job == j {
			delete(m.missing, t)
		}
	}
	m.idle = slices.DeleteFunc(m.idle, func(t *Task) bool { return t.Class.job == j })
	m.classes = slices.DeleteFunc(m.classes, func(c *Class) bool { return c.job == j })
	m.jobs = slices.DeleteFunc(m.jobs, func(o *Job) bool { return o == j })
	for _, l := range m.lanes {
		if l.lane.Class().job == j {
			l.tasks = nil
		}
	}
	tasks := m.s.JobGone(j, m.now)
	if len(tasks) != want {
		m.t.Fatalf("job hands back %d tasks, had %d", len(tasks), want)
	}
	for _, t := range tasks {
		if t.state != Idle || t.Class.job != j {
			m.t.Fatalf("task %d comes back %v", t.Record, t.state)
		}
	}
	m.settle()
}

func sameTasks(a, b []*Task) bool {
	number := func(t *Task) int { n, _ := t.Record.(int); return n }
	byNumber := func(x, y *Task) int { return number(x) - number(y) }
	return slices.Equal(slices.SortedFunc(slices.Values(a), byNumber), slices.SortedFunc(slices.Values(b), byNumber))
}

// lanesThat lists the lanes for which a condition holds.
func (m *machine) lanesThat(ok func(*laneModel) bool) []*laneModel {
	return slices.DeleteFunc(m.sortedLanes(), func(l *laneModel) bool { return !ok(l) })
}

func running(l *laneModel) bool { return !l.actor && len(l.tasks) > 0 }

// some does something with one of a list, and nothing when the list is empty: skipping instead would make short fuzz inputs fail.
func some[T any](t *rapid.T, label string, from []T, do func(T)) {
	if len(from) > 0 {
		do(from[rapid.IntRange(0, len(from)-1).Draw(t, label)])
	}
}

// only lists what of a list meets a condition.
func only[T any](from []T, ok func(T) bool) []T {
	return slices.DeleteFunc(slices.Clone(from), func(v T) bool { return !ok(v) })
}

// actions are the events of the random machine.
func (m *machine) actions() map[string]func(*rapid.T) {
	actions := m.processActions()
	maps.Copy(actions, m.taskActions())
	maps.Copy(actions, m.actorActions())
	return actions
}

func (m *machine) taskActions() map[string]func(*rapid.T) {
	runs := []int64{0, 1_000, 20_000, 300_000, 3_000_000, 5_000_000_000}
	return map[string]func(*rapid.T){
		"submit": func(t *rapid.T) {
			some(t, "class", m.classes, func(c *Class) {
				m.submit(c, rapid.SampledFrom([]int{0, 0, 0, 1, 2}).Draw(t, "missing"))
			})
		},
		"burst": func(t *rapid.T) {
			some(t, "class", m.classes, func(c *Class) {
				for range rapid.IntRange(2, 20).Draw(t, "n") {
					m.submit(c, 0)
				}
			})
		},
		"argReady": func(t *rapid.T) {
			some(t, "task", only(m.all, func(t *Task) bool { return m.missing[t] > 0 }), m.argReady)
		},
		"finish": func(t *rapid.T) {
			some(t, "lane", m.lanesThat(running), func(l *laneModel) { m.finish(l, rapid.SampledFrom(runs).Draw(t, "run")) })
		},
		"finishMany": func(t *rapid.T) {
			for range rapid.IntRange(1, 12).Draw(t, "n") {
				some(t, "lane", m.lanesThat(running), func(l *laneModel) { m.finish(l, 1_000) })
			}
		},
		"block": func(t *rapid.T) {
			some(t, "lane", m.lanesThat(func(l *laneModel) bool { return running(l) && !l.lent }), func(l *laneModel) {
				m.block(l, rapid.IntRange(0, 2).Draw(t, "keep"))
			})
		},
		"unblock": func(t *rapid.T) {
			some(t, "lane", m.lanesThat(func(l *laneModel) bool { return running(l) && l.lent }), m.unblock)
		},
		"requeue": func(t *rapid.T) {
			some(t, "task", m.idle, func(task *Task) {
				m.requeue(task, rapid.Bool().Draw(t, "front"), rapid.Bool().Draw(t, "isolate"))
			})
		},
		"cancel": func(t *rapid.T) { some(t, "task", m.all, m.cancel) },
		"stale":  func(t *rapid.T) { some(t, "task", m.all, m.stale) },
		"explain": func(t *rapid.T) {
			some(t, "task", m.all, func(task *Task) { _ = m.s.Explain(task, m.now).String() })
			_ = m.s.Stats()
		},
	}
}

func (m *machine) processActions() map[string]func(*rapid.T) {
	return map[string]func(*rapid.T){
		"answer": func(t *rapid.T) {
			some(t, "revoke", m.revokes, func(l *Lane) { m.answer(l, rapid.Bool().Draw(t, "withHead")) })
		},
		"started": func(t *rapid.T) {
			some(t, "worker", only(m.workers, func(w *workerModel) bool { return w.starting && !w.stopping }), m.started)
		},
		"lose": func(t *rapid.T) { some(t, "worker", m.workers, m.lose) },
		"stopped": func(t *rapid.T) {
			some(t, "worker", only(m.workers, func(w *workerModel) bool { return w.stopping }), m.lose)
		},
		"retire": func(t *rapid.T) {
			some(t, "worker", only(m.workers, func(w *workerModel) bool { return !w.starting && !w.stopping }), func(w *workerModel) {
				w.retiring = true
				m.s.Retire(w.w, m.now)
				m.settle()
			})
		},
		"prestart": func(t *rapid.T) {
			some(t, "class", m.classes, func(c *Class) {
				m.s.Prestart(c.job, c.spec.Kind, "", rapid.IntRange(0, 3).Draw(t, "n"), m.now)
				m.settle()
			})
		},
		"jobGone": func(t *rapid.T) {
			if len(m.jobs) == 2 && rapid.IntRange(0, 20).Draw(t, "really") == 0 {
				some(t, "job", m.jobs, m.endJob)
			}
		},
		"tick": func(t *rapid.T) {
			m.tick(rapid.SampledFrom([]int64{1_000, 1_000_000, 15_000_000, 60_000_000}).Draw(t, "ns"))
		},
	}
}

func (m *machine) actorActions() map[string]func(*rapid.T) {
	return map[string]func(*rapid.T){
		"actorBlocked": func(t *rapid.T) {
			some(t, "lane", m.lanesThat(func(l *laneModel) bool { return l.actor && !l.lent }), func(l *laneModel) {
				l.lent = true
				m.s.ActorBlocked(l.lane, m.now)
				m.settle()
			})
		},
		"actorUnblocked": func(t *rapid.T) {
			some(t, "lane", m.lanesThat(func(l *laneModel) bool { return l.actor && l.lent }), func(l *laneModel) {
				l.lent = false
				m.s.ActorUnblocked(l.lane)
				m.settle()
			})
		},
		"actorGone": func(t *rapid.T) {
			some(t, "lane", m.lanesThat(func(l *laneModel) bool { return l.actor }), m.actorGone)
		},
	}
}

func (m *machine) started(w *workerModel) {
	w.starting = false
	m.s.WorkerStarted(w.w, m.now)
	m.settle()
}

func (m *machine) actorGone(l *laneModel) {
	delete(m.lanes, l.lane)
	m.s.ActorGone(l.lane, m.now)
	m.settle()
}

func (m *machine) requeue(task *Task, front, isolate bool) {
	m.idle = slices.DeleteFunc(m.idle, func(o *Task) bool { return o == task })
	if isolate {
		task.Class = m.s.isolated(task.Class)
	}
	m.queued(task, front)
	m.s.Requeue(task, front, isolate, m.now)
	m.settle()
}

func (m *machine) cancel(task *Task) {
	state := task.State()
	if state == Queued {
		m.unqueue(task)
	}
	delete(m.missing, task)
	if got, want := m.s.Cancel(task, m.now), state == Queued || state == Waiting; got != want {
		m.t.Fatalf("cancel of a task that is %v: %t", state, got)
	}
	m.settle()
}

// stale tells of a task that no worker has, as a confused worker could.
func (m *machine) stale(task *Task) {
	if task.state != Idle && task.state != Queued {
		return
	}
	if m.s.Done(task, 1, m.now) || m.s.Blocked(task, []*Task{task}, m.now) || m.s.Unblocked(task, m.now) {
		m.t.Fatalf("a worker's word on a task that it does not have is taken")
	}
	m.settle()
}

func (m *machine) tick(ns int64) {
	m.now += ns
	if m.wake != 0 && m.wake <= m.now {
		m.wake = 0
		m.s.Tick(m.now)
		m.settle()
	}
}

// drain lets everything end: arguments come, workers start and answer, tasks finish, timers fire.
func (m *machine) drain() {
	for step := 0; ; step++ {
		if step > 10_000 {
			m.t.Fatalf("tasks are left: %v", m.s.Stats())
		}
		busy := false
		for _, t := range m.all {
			for m.missing[t] > 0 {
				m.argReady(t)
			}
		}
		for _, w := range slices.Clone(m.workers) {
			switch {
			case w.stopping:
				m.lose(w)
			case w.starting:
				m.started(w)
			}
		}
		for _, lane := range slices.Clone(m.revokes) {
			m.answer(lane, false)
		}
		for _, l := range m.sortedLanes() {
			if m.lanes[l.lane] != l {
				continue // its worker was lost meanwhile
			}
			busy = true
			if l.actor {
				m.actorGone(l)
			} else if len(l.tasks) > 0 {
				m.finish(l, 1_000)
			}
		}
		m.tick(5_000_000)
		queued := 0
		for _, q := range m.queues {
			queued += len(q)
		}
		if !busy && queued == 0 && len(m.missing) == 0 {
			return
		}
	}
}

func schedulerMachine(t *rapid.T) {
	m := newMachine(t)
	for range 3 { // long histories find more than many short ones
		t.Repeat(m.actions())
	}
	m.drain()
	for c, total := range m.total {
		if free := m.s.Ledger().Free(c); free != total {
			t.Fatalf("column %d ends with %d free of %d", c, free, total)
		}
	}
	for _, task := range m.all {
		if task.state != Idle {
			t.Fatalf("task %d ends %v", task.Record, task.state)
		}
	}
}

// TestSchedulerAgreesWithOracle: whatever happens in whatever order, nothing is over-committed, lost, run twice or out of order; nothing
// that could run waits; everything ends; the ledger is balanced.
func TestSchedulerAgreesWithOracle(t *testing.T) {
	t.Parallel()
	for _, part := range []string{"first", "second", "third"} {
		t.Run(part, func(t *testing.T) {
			t.Parallel()
			rapid.Check(t, schedulerMachine)
		})
	}
}

func FuzzSchedulerAgreesWithOracle(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte("a seed that is long enough to make some events happen in the machine of tasks, lanes and workers"))
	f.Fuzz(rapid.MakeFuzz(schedulerMachine))
}
