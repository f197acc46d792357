package scheduler

import (
	"strings"
	"testing"
	"time"

	"github.com/mobula-dev/mobula/nodemanager/resource"
)

// measure runs a few tasks of a class so that its run time is known.
func (m *sim) measure(c *Class, length time.Duration) {
	for range 40 {
		m.submit(c, length)
	}
	m.run(0)
}

func TestOneTaskOfAJobIsNotDelayedByAMillionOfAnother(t *testing.T) {
	t.Parallel()
	for _, length := range []time.Duration{time.Microsecond, 100 * time.Microsecond, 20 * time.Millisecond} {
		m := newSim(t, Config{}, cpus(2))
		a, b := m.s.NewJob(nil), m.s.NewJob(nil)
		many, one := m.class(a, 1, Shared, cpus(1)), m.class(b, 1, Shared, cpus(1))
		m.measure(many, length)
		m.measure(one, time.Microsecond)
		for range 50_000 {
			m.submit(many, length)
		}
		m.run(time.Duration(m.now) + 5*length)
		task := m.submit(one, time.Microsecond)
		m.run(time.Duration(m.now) + 3*length + 10*time.Millisecond)
		// A pipeline of 1 ms (measured means lag a little) or one task, and the messages.
		limit := max(length, 1500*time.Microsecond) + time.Duration(6*simLatency)
		if wait := time.Duration(task.ended - task.asked); task.ended == 0 || wait > limit {
			t.Errorf("behind tasks of %v: the other job's task took %v, allowed is %v", length, wait, limit)
		}
	}
}

func TestJobsShareTheNodeEqually(t *testing.T) {
	t.Parallel()
	for _, n := range []float64{1, 2, 3, 4} {
		m := newSim(t, Config{}, cpus(n))
		var ran [3]time.Duration
		index := map[*Job]int{}
		m.onDone = func(t *simTask) { ran[index[t.Class.job]] += time.Duration(t.length) }
		for i := range ran {
			j := m.s.NewJob(nil)
			index[j] = i
			length := []time.Duration{50 * time.Microsecond, 400 * time.Microsecond, 3 * time.Millisecond}[i]
			c := m.class(j, 1, Shared, cpus(1))
			for range int(n * 3 * float64(time.Second/length) / 2) {
				m.submit(c, length)
			}
		}
		m.run(2 * time.Second)
		total := ran[0] + ran[1] + ran[2]
		for i, d := range ran {
			if share := float64(d) / float64(total); share < 0.2 || share > 0.47 {
				t.Errorf("%v CPUs: job %d ran for %v of %v", n, i, d, total)
			}
		}
		if used := float64(total) / n / float64(2*time.Second); used < 0.75 {
			t.Errorf("%v CPUs: only %.2f of the time is used", n, used)
		}
	}
}

func TestClassesOfAJobTakeTurns(t *testing.T) {
	t.Parallel()
	m := newSim(t, Config{}, cpus(1))
	j := m.s.NewJob(nil)
	many, one := m.class(j, 1, Shared, cpus(1)), m.class(j, 2, Shared, cpus(1))
	m.measure(many, 100*time.Microsecond)
	for range 10_000 {
		m.submit(many, 100*time.Microsecond)
	}
	task := m.submit(one, time.Microsecond)
	m.run(time.Duration(m.now) + 10*time.Millisecond)
	if wait := time.Duration(task.ended - task.asked); task.ended == 0 || wait > 2*time.Millisecond {
		t.Errorf("a task of another function waited %v", wait)
	}
}

func TestNestedGetsNeverDeadlockToAnyDepth(t *testing.T) {
	t.Parallel()
	for _, kind := range []Kind{Shared, Isolated} {
		m := newSim(t, Config{MaxWorkers: 3}, cpus(1))
		c := m.class(m.s.NewJob(nil), 1, kind, cpus(1))
		m.measure(c, 10*time.Microsecond) // so that tasks are pipelined into lanes that then block
		chain := m.task(c, 10*time.Microsecond)
		for range 1000 {
			chain = m.task(c, 10*time.Microsecond, chain)
		}
		for range 100 {
			m.submit(c, 10*time.Microsecond)
		}
		m.enter(chain)
		for range 100 {
			m.submit(c, 10*time.Microsecond)
		}
		m.run(0)
		m.balanced()
		if workers := m.s.Stats().Workers; kind == Isolated && workers < 1000 {
			t.Errorf("a chain of 1001 isolated tasks ran on %d workers", workers)
		}
	}
}

func TestTooManyWaitingWorkersAreToldOf(t *testing.T) {
	t.Parallel()
	m := newSim(t, Config{MaxWorkers: 2}, cpus(1))
	c := m.class(m.s.NewJob(nil), 1, Isolated, cpus(1))
	var counts []int
	var tasks []*Task
	settle := func() {
		for effects := m.s.Effects(); len(effects) > 0; effects = m.s.Effects() {
			for _, e := range effects {
				if e.Kind == Warn {
					counts = append(counts, e.Count)
				}
				if e.Kind == StartWorker {
					m.s.WorkerStarted(e.Worker, m.now)
				}
			}
		}
	}
	for range 8 {
		task := &Task{Class: c}
		tasks = append(tasks, task)
		m.s.Submit(task, 0, m.now)
		settle()
		m.s.Blocked(task, nil, m.now)
		settle()
	}
	if len(counts) != 2 || counts[0] != 3 || counts[1] != 6 {
		t.Errorf("warnings at %v workers, want 3 and 6", counts)
	}
	for _, task := range tasks {
		m.s.Done(task, 1, m.now)
	}
}

func TestLongTasksAreNeverStuckBehindOneAnother(t *testing.T) {
	t.Parallel()
	m := newSim(t, Config{}, cpus(2))
	c := m.class(m.s.NewJob(nil), 1, Shared, cpus(1))
	m.measure(c, 5*time.Microsecond)
	if c.Depth() < 100 {
		t.Fatalf("depth is %d after runs of 5 µs", c.Depth())
	}
	first := m.submit(c, 10*time.Second) // an outlier, with short ones behind it
	var rest []*simTask
	for range 300 {
		rest = append(rest, m.submit(c, 5*time.Microsecond))
	}
	m.run(time.Duration(m.now) + 100*time.Millisecond)
	for i, task := range rest {
		if wait := time.Duration(task.ended - task.asked); task.ended == 0 || wait > 12*time.Millisecond {
			t.Fatalf("short task %d waited %v behind a long one", i, wait)
		}
	}
	if first.State() != Dispatched {
		t.Errorf("the long task is %v", first.State())
	}
	m.run(0)
	m.balanced()
}

func TestUnknownFunctionsAreNotPipelined(t *testing.T) {
	t.Parallel()
	m := newSim(t, Config{}, cpus(4))
	c := m.class(m.s.NewJob(nil), 1, Shared, cpus(1))
	for range 8 {
		m.submit(c, time.Second)
	}
	m.run(0)
	// 8 tasks of 1 s on 4 CPUs take 2 s and a start; one stuck behind another would make it 3 s.
	if m.now > int64(2100*time.Millisecond) {
		t.Errorf("took %v", time.Duration(m.now))
	}
}

func TestAClassThatNeedsMuchIsNotStarved(t *testing.T) {
	t.Parallel()
	for _, length := range []time.Duration{time.Millisecond, 3 * time.Second} {
		m := newSim(t, Config{}, cpus(4))
		j := m.s.NewJob(nil)
		small, big := m.class(j, 1, Shared, cpus(1)), m.class(j, 2, Shared, cpus(4))
		again := func() { m.submit(small, length) }
		m.onDone = func(task *simTask) {
			if task.Class == small {
				m.after(0, again)
			}
		}
		for i := range 8 { // staggered, so that four CPUs are never free together by chance
			m.after(int64(i)*int64(length)/8, again)
		}
		m.run(time.Second)
		task := m.submit(big, time.Millisecond)
		m.run(40 * time.Second)
		limit := 2*time.Second + 5*length
		if wait := time.Duration(task.ended - task.asked); task.ended == 0 || wait > limit {
			t.Errorf("among tasks of %v: the big one took %v, allowed is %v", length, wait, limit)
		}
	}
}

// reserved returns a node of two CPUs and two tapes on which a big task, passed over for more than a second, has a reservation: a task of
// class holder runs, and small tasks are queued.
func reserved(t *testing.T, children ...time.Duration) (m *sim, big *simTask, born []*simTask) {
	t.Helper()
	m = newSim(t, Config{}, resource.Request{CPUs: 2 * resource.Unit, Custom: map[string]int64{"tape": 2 * resource.Unit}})
	j := m.s.NewJob(nil)
	small := m.class(j, 1, Shared, cpus(1))
	holder := m.class(j, 2, Shared, resource.Request{CPUs: resource.Unit, Custom: map[string]int64{"tape": resource.Unit}})
	large := m.class(j, 3, Shared, resource.Request{CPUs: 2 * resource.Unit, Custom: map[string]int64{"tape": 2 * resource.Unit}})
	for _, length := range children {
		born = append(born, m.task(small, length))
	}
	m.enter(m.task(holder, 3*time.Second, born...)) // if it has children, it waits for them from 1.5 s on
	m.run(30 * time.Millisecond)
	big = m.submit(large, time.Millisecond)
	for range 20 {
		m.submit(small, 100*time.Millisecond)
	}
	m.run(1200 * time.Millisecond)
	if !m.s.reserve.active || m.s.reserve.class != large {
		t.Fatalf("no reservation: %+v", m.s.reserve)
	}
	return m, big, born
}

func TestReservationEndsWhenWhatIsMissingIsHeldByATaskThatWaits(t *testing.T) {
	t.Parallel()
	m, _, born := reserved(t, time.Millisecond, time.Millisecond)
	m.run(1600 * time.Millisecond)
	if free := m.s.ledger.Free(resource.CPU); free > 0 {
		t.Errorf("%d units of CPU are kept for a task that cannot have the tape", free)
	}
	m.run(0)
	for _, child := range born { // behind the small ones that were queued before
		if ended := time.Duration(child.ended); ended > 2500*time.Millisecond {
			t.Errorf("child of the task that holds the tape ended at %v", ended)
		}
	}
	m.balanced()
}

func TestReservationIsNotMadeWhenATaskThatWaitsHoldsWhatIsMissing(t *testing.T) {
	t.Parallel()
	m := newSim(t, Config{}, resource.Request{CPUs: 2 * resource.Unit, Custom: map[string]int64{"tape": 2 * resource.Unit}})
	j := m.s.NewJob(nil)
	small := m.class(j, 1, Shared, cpus(1))
	holder := m.class(j, 2, Shared, resource.Request{CPUs: resource.Unit, Custom: map[string]int64{"tape": resource.Unit}})
	large := m.class(j, 3, Shared, resource.Request{CPUs: 2 * resource.Unit, Custom: map[string]int64{"tape": 2 * resource.Unit}})
	var children []*simTask
	for range 60 {
		children = append(children, m.task(small, 100*time.Millisecond))
	}
	m.enter(m.task(holder, time.Millisecond, children...))
	m.run(100 * time.Millisecond)
	m.submit(large, time.Millisecond)
	m.run(0)
	// 60 children of 100 ms on two CPUs take 3 s; kept CPUs would make it more.
	if m.now > int64(3200*time.Millisecond) {
		t.Errorf("took %v", time.Duration(m.now))
	}
	m.balanced()
}

func TestWhatWasReservedIsUsedAtOnceWhenItsTaskIsCancelled(t *testing.T) {
	t.Parallel()
	m, big, _ := reserved(t)
	if free := m.s.ledger.Free(resource.CPU); free != resource.Unit {
		t.Fatalf("%d units of CPU are kept", free)
	}
	m.s.Cancel(&big.Task, m.now)
	m.left--
	m.effects()
	if free := m.s.ledger.Free(resource.CPU); free != 0 {
		t.Errorf("%d units of CPU stay free though tasks are queued", free)
	}
	m.run(0)
}

func TestATaskOnItsWayToALaneThatBlocksIsAskedBackAtOnce(t *testing.T) {
	t.Parallel()
	m := newSim(t, Config{}, cpus(1))
	c := m.class(m.s.NewJob(nil), 1, Shared, cpus(1))
	m.measure(c, 5*time.Microsecond)
	var tasks []*Task
	for range 3 {
		task := &Task{Class: c}
		m.s.Submit(task, 0, m.now)
		tasks = append(tasks, task)
	}
	m.s.Effects()
	lane := tasks[0].Lane()
	m.s.Blocked(tasks[0], tasks[1:2], m.now) // the third had not reached the worker
	var revoked, dispatched bool
	for _, e := range m.s.Effects() {
		revoked = revoked || e.Kind == Revoke && e.Lane == lane
		dispatched = dispatched || e.Kind == Dispatch && e.Task == tasks[1] && e.Lane != lane
	}
	if !revoked || !dispatched {
		t.Errorf("revoked %t, what was returned dispatched %t", revoked, dispatched)
	}
	m.s.Revoked(lane, tasks[2:], m.now)
	if tasks[2].State() == Dispatched && tasks[2].Lane() == lane {
		t.Error("the task is still behind the one that waits")
	}
}

func TestTasksFailWhenNoWorkerStarts(t *testing.T) {
	t.Parallel()
	m := newSim(t, Config{}, cpus(2))
	m.refuse = func(int) bool { return true }
	c := m.class(m.s.NewJob(nil), 1, Isolated, cpus(1))
	tasks := []*simTask{m.submit(c, time.Millisecond), m.submit(c, time.Millisecond), m.submit(c, time.Millisecond)}
	m.run(0)
	for _, task := range tasks {
		if task.State() != Idle || task.ended == 0 {
			t.Errorf("task is %v, not handed back", task.State())
		}
	}
	// Three rounds of at most two starts, with pauses of 100 and 200 ms between them.
	if m.starts > 6 || m.now < int64(300*time.Millisecond) || m.now > int64(time.Second) {
		t.Errorf("%d starts in %v", m.starts, time.Duration(m.now))
	}
}

func TestIdleWorkersAreStoppedButTheWarmOnes(t *testing.T) {
	t.Parallel()
	m := newSim(t, Config{IdleTimeoutNs: int64(time.Second), WarmWorkers: 2}, cpus(4))
	c := m.class(m.s.NewJob(nil), 1, Isolated, cpus(1))
	for range 8 {
		m.submit(c, 100*time.Millisecond)
	}
	m.run(0)
	if workers := m.s.Stats().Workers; workers != 4 {
		t.Fatalf("%d workers for 4 CPUs", workers)
	}
	m.run(time.Duration(m.now) + 5*time.Second)
	if workers := m.s.Stats().Workers; workers != 2 {
		t.Errorf("%d workers stay, want 2", workers)
	}
}

func TestAnIdleWorkerMakesRoomForAnotherGroup(t *testing.T) {
	t.Parallel()
	m := newSim(t, Config{MaxWorkers: 1}, cpus(2))
	a, b := m.class(m.s.NewJob(nil), 1, Isolated, cpus(1)), m.class(m.s.NewJob(nil), 1, Isolated, cpus(1))
	for range 50 {
		m.submit(a, 10*time.Millisecond)
	}
	m.run(100 * time.Millisecond)
	task := m.submit(b, time.Millisecond)
	m.run(0)
	if wait := time.Duration(task.ended - task.asked); wait > 50*time.Millisecond {
		t.Errorf("at the limit of workers another job's task took %v", wait)
	}
}

func TestPrestartedWorkerRunsTheFirstTaskAtOnce(t *testing.T) {
	t.Parallel()
	m := newSim(t, Config{}, cpus(2))
	j := m.s.NewJob(nil)
	m.s.Prestart(j, Shared, "", 3, m.now)
	m.s.Prestart(j, Isolated, "", 2, m.now)
	m.effects()
	m.run(100 * time.Millisecond)
	if m.starts != 3 {
		t.Errorf("%d workers were started, want one shared and two isolated", m.starts)
	}
	task := m.submit(m.class(j, 1, Shared, cpus(1)), time.Microsecond)
	m.run(0)
	if wait := time.Duration(task.ended - task.asked); wait > time.Millisecond {
		t.Errorf("the first task took %v", wait)
	}
}

func TestFractionsOfGPUsArePackedAndTold(t *testing.T) {
	t.Parallel()
	m := newSim(t, Config{}, resource.Request{CPUs: 8 * resource.Unit, GPUs: 2 * resource.Unit})
	j := m.s.NewJob(nil)
	half, whole := m.class(j, 1, Shared, resource.Request{GPUs: resource.Unit / 2}), m.class(j, 2, Shared, resource.Request{GPUs: resource.Unit})
	for range 2 {
		m.submit(half, time.Second)
	}
	w := m.submit(whole, time.Second)
	m.run(500 * time.Millisecond)
	if w.State() != Dispatched || w.Lane().Devices() != 2 {
		t.Errorf("the whole device: task is %v", w.State())
	}
	m.run(0)
	m.balanced()
}

func TestExplainSaysWhatATaskWaitsFor(t *testing.T) {
	t.Parallel()
	m := newSim(t, Config{}, resource.Request{CPUs: 2 * resource.Unit, Memory: 100})
	j := m.s.NewJob(nil)
	c := m.class(j, 1, Shared, resource.Request{CPUs: resource.Unit, Memory: 60})
	waiting := &Task{Class: c}
	m.s.Submit(waiting, 2, m.now)
	explain := func(task *Task, parts ...string) {
		t.Helper()
		got := m.s.Explain(task, m.now).String()
		for _, part := range parts {
			if !strings.Contains(got, part) {
				t.Errorf("explanation %q does not say %q", got, part)
			}
		}
	}
	explain(waiting, "2 arguments are missing")
	first, second, third := m.submit(c, time.Second), m.submit(c, time.Second), m.submit(c, time.Second)
	explain(&first.Task, "queued", "1 workers are starting")
	m.run(500 * time.Millisecond)
	explain(&first.Task, "dispatched", "has run for 0.480 s")
	explain(&second.Task, "queued", "memory: needs 60 bytes, free 40 bytes of 100 bytes")
	explain(&third.Task, "behind 1 tasks")
	e := m.s.Explain(&second.Task, m.now)
	if len(e.Short) != 1 || len(e.Short[0].Holders) != 1 || e.Short[0].Holders[0].Class != c || e.Short[0].Holders[0].Amount != 60 {
		t.Errorf("holders: %+v", e.Short)
	}
	m.s.Cancel(waiting, m.now)
	m.run(0)
	m.balanced()
}

func TestInfeasibleTasksAreHandedBackWithTheReason(t *testing.T) {
	t.Parallel()
	m := newSim(t, Config{}, cpus(2))
	c := m.class(m.s.NewJob(nil), 1, Shared, resource.Request{CPUs: resource.Unit, Custom: map[string]int64{"tape": resource.Unit}})
	task := &Task{Class: c}
	m.s.Submit(task, 3, m.now)
	effects := m.s.Effects()
	if len(effects) != 1 || effects[0].Kind != Infeasible || effects[0].Task != task || task.State() != Idle {
		t.Fatalf("effects %+v", effects)
	}
	if reason, never := m.s.Reason(task); !never || reason.String() != "tape: needs 1, free 0 of 0" {
		t.Errorf("reason %v", reason)
	}
}

func TestOldestRunningTaskIsTheOneThatDoesNotWait(t *testing.T) {
	t.Parallel()
	m := newSim(t, Config{}, cpus(3))
	c := m.class(m.s.NewJob(nil), 1, Shared, cpus(1))
	var tasks []*simTask
	for range 3 {
		tasks = append(tasks, m.submit(c, time.Second))
		m.run(time.Duration(m.now) + 50*time.Millisecond)
	}
	w := tasks[0].Lane().Worker()
	if w.Lanes() != 3 || w.Kind() != Shared || w.State() != "ready" {
		t.Fatalf("worker is %s with %d lanes", w.State(), w.Lanes())
	}
	for _, task := range tasks {
		if got := w.OldestRunning(); got != &task.Task {
			t.Fatalf("oldest running is %v, want %v", got, &task.Task)
		}
		m.s.Blocked(&task.Task, nil, m.now)
	}
	if got := w.OldestRunning(); got != nil {
		t.Errorf("all wait, and the oldest running is %v", got)
	}
}

func TestActorsHoldWhatTheyNeedToRun(t *testing.T) {
	t.Parallel()
	m := newSim(t, Config{}, cpus(1))
	j := m.s.NewJob(nil)
	place, err := m.set.Shape(cpus(1))
	if err != nil {
		t.Fatal(err)
	}
	none, err := m.set.Shape(cpus(0))
	if err != nil {
		t.Fatal(err)
	}
	light := m.s.Class(j, Spec{Function: 1, Shape: place, Running: none, Kind: Isolated, Actor: true})
	heavy := m.s.Class(j, Spec{Function: 2, Shape: place, Kind: Isolated, Actor: true})
	lanes := map[*Class]*Lane{}
	m.s.Prestart(j, Isolated, "", 1, m.now)
	m.effects()
	m.run(50 * time.Millisecond)
	for _, c := range []*Class{light, heavy} {
		task := m.submit(c, time.Millisecond)
		m.run(time.Duration(m.now) + 25*time.Millisecond)
		_ = task
	}
	m.run(time.Duration(m.now) + 50*time.Millisecond)
	for _, w := range m.workers {
		for _, l := range w.w.Actors() {
			lanes[l.Class()] = l
		}
	}
	if len(lanes) != 2 {
		t.Fatalf("%d actors", len(lanes))
	}
	after := m.submit(m.class(j, 3, Shared, cpus(1)), time.Millisecond)
	m.run(time.Duration(m.now) + 50*time.Millisecond)
	if after.State() != Queued {
		t.Errorf("task beside an actor that holds the CPU is %v", after.State())
	}
	m.s.ActorBlocked(lanes[heavy], m.now)
	m.effects()
	m.run(0)
	m.s.ActorUnblocked(lanes[heavy])
	for _, l := range lanes {
		w := l.Worker()
		m.s.ActorGone(l, m.now)
		m.effects()
		if w.State() != "stopping" {
			t.Errorf("worker of an isolated actor that is gone is %s", w.State())
		}
	}
	m.balanced()
}

func TestConfigIsRefusedWhenItCannotWork(t *testing.T) {
	t.Parallel()
	set := resource.NewSet()
	ledger, err := set.NewLedger(cpus(1))
	if err != nil {
		t.Fatal(err)
	}
	for _, cfg := range []Config{{MaxWorkers: -1}, {IdleTimeoutNs: -1}, {MaxDepth: -2}, {PipelineTargetNs: int64(2 * time.Hour)}} {
		if _, err := New(cfg, ledger); err == nil {
			t.Errorf("%+v is accepted", cfg)
		}
	}
}
