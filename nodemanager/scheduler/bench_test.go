package scheduler

import (
	"testing"
	"unsafe"

	"github.com/mobula-dev/mobula/nodemanager/resource"
)

// load is a scheduler with ready shared workers, one class per job, and tasks to be used again and again.
type load struct {
	s       *Scheduler
	classes []*Class
	ready   []*Task // dispatched, in order
	now     int64
}

func newLoad(tb testing.TB, jobs int) *load {
	tb.Helper()
	set := resource.NewSet()
	ledger, err := set.NewLedger(cpus(2))
	if err != nil {
		tb.Fatal(err)
	}
	s, err := New(Config{}, ledger)
	if err != nil {
		tb.Fatal(err)
	}
	shape, err := set.Shape(cpus(1))
	if err != nil {
		tb.Fatal(err)
	}
	l := &load{s: s, now: 1}
	for range jobs {
		j := s.NewJob(nil)
		l.classes = append(l.classes, s.Class(j, Spec{Function: 1, Shape: shape, Kind: Shared}))
		s.Prestart(j, Shared, "", 1, l.now)
	}
	l.settle()
	return l
}

func (l *load) settle() {
	for effects := l.s.Effects(); len(effects) > 0; effects = l.s.Effects() {
		for i := range effects {
			switch e := &effects[i]; e.Kind {
			case Dispatch:
				l.ready = append(l.ready, e.Task)
			case StartWorker:
				l.s.WorkerStarted(e.Worker, l.now)
			case WakeAt:
			default:
				panic("unexpected effect")
			}
		}
	}
}

// turn submits a batch of tasks and then ends them all as they are dispatched.
func (l *load) turn(tasks []Task) {
	for i := range tasks {
		l.s.Submit(&tasks[i], 0, l.now)
	}
	l.settle()
	for done := 0; len(l.ready) > done; { // settle adds to it
		l.now += 100
		l.s.Done(l.ready[done], 1000, l.now)
		if done++; len(l.ready)-done < 100 {
			l.settle()
		}
	}
	l.ready = l.ready[:0]
}

func benchmarkTurns(b *testing.B, jobs, batch int) {
	b.Helper()
	l := newLoad(b, jobs)
	tasks := make([]Task, batch)
	for i := range tasks {
		tasks[i].Class = l.classes[i%jobs]
	}
	for range 20 {
		l.turn(tasks)
	}
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		l.turn(tasks)
		n += batch
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/task")
}

func BenchmarkOneTaskAtATime(b *testing.B)        { benchmarkTurns(b, 1, 1) }
func BenchmarkThousandTasks(b *testing.B)         { benchmarkTurns(b, 1, 1000) }
func BenchmarkThousandTasksOf4Jobs(b *testing.B)  { benchmarkTurns(b, 4, 1000) }
func BenchmarkThousandTasksOf64Jobs(b *testing.B) { benchmarkTurns(b, 64, 1000) }
func BenchmarkMillionTasks(b *testing.B)          { benchmarkTurns(b, 1, 1_000_000) }

// TestSteadyStateAllocatesNothing: after the first round, submit, dispatch and done use what is there.
//
//nolint:paralleltest // AllocsPerRun counts the allocations of the whole process.
func TestSteadyStateAllocatesNothing(t *testing.T) {
	for _, batch := range []int{1, 1000} {
		l := newLoad(t, 2)
		tasks := make([]Task, batch)
		for i := range tasks {
			tasks[i].Class = l.classes[i%2]
		}
		for range 20 {
			l.turn(tasks)
		}
		if allocs := testing.AllocsPerRun(20, func() { l.turn(tasks) }); allocs > 0 {
			t.Errorf("batches of %d: %v allocations a batch", batch, allocs)
		}
	}
}

// TestQueuedTaskCostsItsOwnSizeOnly: a queued task is linked through itself, so a million of them cost the scheduler nothing beside.
//
//nolint:paralleltest // AllocsPerRun counts the allocations of the whole process.
func TestQueuedTaskCostsItsOwnSizeOnly(t *testing.T) {
	if size := unsafe.Sizeof(Task{}); size > 72 {
		t.Errorf("a task has %d bytes", size)
	}
	l := newLoad(t, 1)
	tasks := make([]Task, 20_000)
	next := 0
	for range 1000 { // fills the lane and grows what grows
		tasks[next].Class = l.classes[0]
		l.s.Submit(&tasks[next], 0, l.now)
		next++
	}
	l.settle()
	allocs := testing.AllocsPerRun(10_000, func() {
		tasks[next].Class = l.classes[0]
		l.s.Submit(&tasks[next], 0, l.now)
		next++
	})
	if allocs > 0 || l.classes[0].Queued() < 10_000 {
		t.Errorf("%v allocations a task, %d tasks are queued", allocs, l.classes[0].Queued())
	}
}
