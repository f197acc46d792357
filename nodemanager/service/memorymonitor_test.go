package service

import (
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"pgregory.net/rapid"

	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"
	"github.com/mobula-dev/mobula/internal/id"
	"github.com/mobula-dev/mobula/nodemanager/workerpool"
)

func TestTheRightWorkerIsEndedForLackOfMemory(t *testing.T) {
	t.Parallel()
	const a, b = 1, 2
	worker := func(job byte, bytes uint64, since int64, retriable bool) memoryWorker {
		return memoryWorker{job: id.Job{job}, bytes: bytes, since: since, retriable: retriable}
	}
	for _, c := range []struct {
		name    string
		workers []memoryWorker
		want    int
	}{
		{"nobody", nil, -1},
		{"the only one", []memoryWorker{worker(a, 1, 1, false)}, 0},
		{"the newest of those alike", []memoryWorker{worker(a, 10, 1, true), worker(a, 10, 3, true), worker(a, 10, 2, true)}, 1},
		{"one that may run again before one that may not", []memoryWorker{worker(a, 99, 9, false), worker(a, 1, 1, true)}, 1},
		{"of the job that uses most together", []memoryWorker{worker(b, 9, 9, true), worker(a, 6, 1, true), worker(a, 6, 2, true)}, 2},
		{"not a newer one that is small", []memoryWorker{worker(a, 100, 1, true), worker(a, 1, 9, true)}, 0},
		{"a newer one that is half as large", []memoryWorker{worker(a, 100, 1, true), worker(a, 50, 9, true)}, 1},
		{"the largest of those that began together", []memoryWorker{worker(a, 60, 1, true), worker(a, 100, 1, true)}, 1},
		{"what may not run again when there is nothing else", []memoryWorker{worker(a, 5, 1, false), worker(b, 9, 1, false)}, 1},
		{"somebody when nothing is known", []memoryWorker{worker(a, 0, 1, true), worker(b, 0, 2, true)}, 0},
	} {
		if got := memoryVictim(c.workers); got != c.want {
			t.Errorf("%s: %d is ended, want %d", c.name, got, c.want)
		}
	}
}

func TestTheChoiceOfAVictimKeepsItsPromises(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		workers := rapid.SliceOf(rapid.Custom(func(t *rapid.T) memoryWorker {
			return memoryWorker{
				job: id.Job{rapid.Byte().Draw(t, "job") % 3}, bytes: rapid.Uint64Range(0, 1<<40).Draw(t, "bytes"),
				since: rapid.Int64Range(0, 5).Draw(t, "since"), retriable: rapid.Bool().Draw(t, "retriable"),
			}
		})).Draw(t, "workers")
		i := memoryVictim(workers)
		if len(workers) == 0 || i < 0 {
			if i >= 0 || len(workers) > 0 {
				t.Fatalf("%d of %d workers", i, len(workers))
			}
			return
		}
		v := workers[i]
		sums := make(map[id.Job]uint64)
		for _, w := range workers {
			if w.retriable && !v.retriable {
				t.Fatal("one that may not run again is ended while one that may is there")
			}
			if w.retriable == v.retriable {
				sums[w.job] += w.bytes
			}
		}
		for _, w := range workers {
			switch {
			case w.retriable != v.retriable:
			case sums[w.job] > sums[v.job]:
				t.Fatal("another job uses more")
			case w.job == v.job && v.bytes < w.bytes/2:
				t.Fatal("another of the job uses more than twice as much")
			case w.job == v.job && w.since > v.since && w.bytes >= v.bytes && w.bytes > 0 && v.bytes >= w.bytes:
				t.Fatal("one as large has begun later")
			}
		}
	})
}

// memory is a MemorySource that a test plays.
type memory struct {
	mu    sync.Mutex // guards the fields below
	used  uint64
	bytes uint64
	looks chan struct{}
}

func (m *memory) Use() (used, total uint64, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	select {
	case m.looks <- struct{}{}:
	default:
	}
	return m.used, 100 << 30, nil
}

func (m *memory) Groups(pids []int) map[int]uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := make(map[int]uint64)
	for _, pid := range pids {
		out[pid] = m.bytes
	}
	return out
}

func (m *memory) set(used uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.used = used
}

// short makes a world in which there is too little memory when the test says so.
func short(t *testing.T, retries int) (*world, *memory) {
	t.Helper()
	m := &memory{bytes: 7 << 30, looks: make(chan struct{}, 1)}
	return open(t, func(c *Config) {
		c.Memory = MemoryMonitor{Interval: time.Millisecond, RetryDelay: time.Millisecond, Retries: retries, Source: m}
	}), m
}

func TestATaskThatWasEndedForLackOfMemoryRunsAgain(t *testing.T) {
	t.Parallel()
	w, m := short(t, 2)
	d, wk := w.pythonDriver()
	c := d.submit(d.template(aFunction, inPython, options(func(o *mobulav1.Options) { o.MaxRetries = new(int32(1)) })))
	for range 2 { // more often than max_retries: it is not to blame
		wk.execute()
		m.set(96 << 30)
		if cause := wk.order(); cause != string(workerpool.CauseMemory) {
			t.Errorf("it is ended because %s", cause)
		}
		m.set(10 << 30)
		wk = w.pythonWorker()
	}
	wk.execute()
	m.set(96 << 30)
	e := d.failure(c, mobulav1.ErrorKind_ERROR_KIND_OUT_OF_MEMORY)
	for _, words := range []string{"96.00 GiB of 100.00 GiB", "95 %", "that ran f and had 7.00 GiB", "f did not finish"} {
		if !strings.Contains(e.GetMessage(), words) {
			t.Errorf("%q does not say %q", e.GetMessage(), words)
		}
	}
	if !strings.Contains(e.GetHint(), "3 times") {
		t.Errorf("its hint is %q", e.GetHint())
	}
}

func TestATaskThatMayNotRunAgainFailsForLackOfMemory(t *testing.T) {
	t.Parallel()
	w, m := short(t, 0)
	d, wk := w.pythonDriver()
	c := d.submit(d.template(aFunction, inPython, options(func(o *mobulav1.Options) { o.MaxRetries = new(int32(0)) })))
	wk.execute()
	m.set(96 << 30)
	d.failure(c, mobulav1.ErrorKind_ERROR_KIND_OUT_OF_MEMORY)
}

func TestAnActorDiesForLackOfMemory(t *testing.T) {
	t.Parallel()
	w, m := short(t, 0)
	d, wk := w.pythonDriver()
	a := d.submit(d.template(anActor, inPython))
	wk.done(wk.execute(), "made")
	d.result(a, 0)
	c := d.submit(d.template(aMethod, inPython), on(a))
	wk.execute()
	m.set(96 << 30)
	if e := d.failure(c, mobulav1.ErrorKind_ERROR_KIND_ACTOR_DIED); e.GetCause().GetKind() != mobulav1.ErrorKind_ERROR_KIND_OUT_OF_MEMORY {
		t.Errorf("the actor's death has the cause %v", e.GetCause())
	}
}

func TestAWorkerThatTheKernelEndedForLackOfMemoryIsReportedLikewise(t *testing.T) {
	t.Parallel()
	w, _ := short(t, 0)
	d, wk := w.pythonDriver()
	c := d.submit(d.template(aFunction, inPython, options(func(o *mobulav1.Options) { o.MaxRetries = new(int32(0)) })))
	wk.execute()
	wk.process.exit(workerpool.ExitReason{Kind: workerpool.OOMSuspected, Signal: syscall.SIGKILL, Code: -1})
	if e := d.failure(c, mobulav1.ErrorKind_ERROR_KIND_OUT_OF_MEMORY); !strings.Contains(e.GetMessage(), "kernel") {
		t.Errorf("it says %q", e.GetMessage())
	}
}

func TestATaskThatPausesCanBeCancelledAndEndsWithItsJob(t *testing.T) {
	t.Parallel()
	m := &memory{looks: make(chan struct{}, 1)}
	w := open(t, func(c *Config) {
		c.Memory = MemoryMonitor{Interval: time.Millisecond, RetryDelay: time.Hour, Source: m}
	})
	d, wk := w.pythonDriver()
	f := d.template(aFunction, inPython)
	pause := func(wk *peer) call {
		c := d.submit(f)
		wk.executes(c)
		m.set(96 << 30)
		wk.order()
		m.set(0)
		await(t, func() string {
			w.n.mu.Lock()
			defer w.n.mu.Unlock()
			if len(w.n.memory.waiting) == 0 {
				return "no task pauses"
			}
			return ""
		})
		return c
	}
	d.cancel(pause(wk), false)
	expect[*mobulav1.Result](d)
	w.locked(func(n *Node) { clear(n.memory.waiting) })
	f2 := d.submit(f)
	wk = w.pythonWorker()
	wk.done(wk.executes(f2), "done")
	d.result(f2, 0)
	pause(wk)
	d.goodbye()
	w.quiescent()
}

func TestAnIdleNodeDoesNotLookAtItsMemory(t *testing.T) {
	t.Parallel()
	w, m := short(t, 0)
	d, wk := w.pythonDriver()
	c := d.submit(d.template(aFunction, inPython))
	e := wk.execute()
	<-m.looks
	<-m.looks
	wk.done(e, "done")
	d.result(c, 0)
	await(t, func() string {
		w.n.mu.Lock()
		defer w.n.mu.Unlock()
		if w.n.memory.armed {
			return "it looks on"
		}
		return ""
	})
}
