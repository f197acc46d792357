package workerpool

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/mobula-dev/mobula/internal/id"
	"github.com/mobula-dev/mobula/internal/takeover"
)

// Event reports a change in a process's life.
type Event struct {
	Process *Process
	// Exit is why the process ended; nil when the event says that it is ready.
	Exit *ExitReason
}

// Pool owns the worker processes of a node. Its methods may be called from any goroutine.
type Pool struct {
	cfg      Config
	name     string // marks the pool's processes in their environment
	null     *os.File
	forker   *forker
	children *children
	oom      *oomCounter
	guard    *guardLink // nil unless Config.OwnProcess
	orphans  *orphans   // likewise
	stopRun  context.CancelFunc
	running  sync.WaitGroup // goroutines that end with the pool: notify, guard, orphans
	follows  sync.WaitGroup // one for each process, from admit to its last event

	// events never blocks a sender: a process has its slot until its Exited event was taken from here, and sends two events.
	events chan Event

	closeOnce sync.Once
	closeErr  error

	mu         sync.Mutex
	closed     bool                   // guarded by mu
	slots      int                    // processes whose last event was not taken; guarded by mu
	procs      map[id.Worker]*Process // from the start, as nil until it is forked, to the reaping; guarded by mu
	crashLoops map[id.Job]*crashLoop  // jobs whose last worker crashed; guarded by mu
	nests      map[string]*nest       // of jobs that fork their workers; guarded by mu
	zygotes    map[id.Worker]*zygote  // that have not ended, by their own ids; guarded by mu
}

// Open makes a pool. There may be one with Config.OwnProcess in a process.
func Open(cfg Config) (*Pool, error) {
	cfg, err := cfg.complete()
	if err != nil {
		return nil, err
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		return nil, fmt.Errorf("open worker pool: %w", err)
	}
	secret := takeover.NewSecret() // Only its randomness is used.
	p := &Pool{
		cfg: cfg, name: fmt.Sprintf("%x", secret[:8]), null: null,
		children: &children{pids: make(map[int]bool)}, oom: newOOMCounter(),
		events: make(chan Event, 2*cfg.ProcessesMax),
		procs:  make(map[id.Worker]*Process), crashLoops: make(map[id.Job]*crashLoop),
		nests: make(map[string]*nest), zygotes: make(map[id.Worker]*zygote),
	}
	p.forker = newForker()
	ctx, cancel := context.WithCancel(context.Background())
	p.stopRun = cancel
	if cfg.OwnProcess {
		if err := p.own(ctx); err != nil {
			cancel()
			p.forker.stop()
			return nil, errors.Join(fmt.Errorf("open worker pool: %w", err), null.Close())
		}
	}
	p.running.Go(p.notify)
	return p, nil
}

// own sets up what a process of the pool's own allows.
func (p *Pool) own(ctx context.Context) error {
	g, err := newGuardLink(p)
	if err != nil {
		return err
	}
	if err := adopt(true); err != nil {
		return err
	}
	p.guard = g
	p.orphans = &orphans{pool: p.name, children: p.children, alive: p.alive, kick: make(chan struct{}, 1)}
	p.running.Go(g.run)
	p.running.Go(func() { p.orphans.run(ctx) })
	return nil
}

// Start starts a worker. It returns once the process exists; the Ready event says when it has taken over its role, the Exited event when it has ended.
// Its own errors mean that nothing was started: *LimitError, *BackoffError, ErrRunning, ErrClosed, and what the system said.
func (p *Pool) Start(ctx context.Context, spec Spec) (*Process, error) {
	if err := spec.validate(); err != nil {
		return nil, fmt.Errorf("start worker %v: %w", spec.Worker, err)
	}
	if err := p.admit(spec); err != nil {
		return nil, fmt.Errorf("start worker %v: %w", spec.Worker, err)
	}
	pr, err := p.launch(ctx, spec)
	if err != nil {
		p.mu.Lock()
		p.slots--
		delete(p.procs, spec.Worker)
		p.mu.Unlock()
		p.follows.Done()
		return nil, fmt.Errorf("start worker %v: %w", spec.Worker, err)
	}
	if p.guard != nil {
		p.guard.add(pr.pid)
	}
	p.mu.Lock()
	p.procs[spec.Worker] = pr
	closed := p.closed
	p.mu.Unlock()
	if closed {
		_ = pr.kill(CauseShutdown) // Not reaped yet, so there is someone to kill.
	}
	go p.follow(pr)
	return pr, nil
}

// admit reserves a slot for the worker.
func (p *Pool) admit(spec Spec) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return ErrClosed
	}
	if _, ok := p.procs[spec.Worker]; ok {
		return ErrRunning
	}
	if c := p.crashLoops[spec.Job]; c != nil {
		if wait := c.wait(time.Now()); wait > 0 {
			return &BackoffError{Job: spec.Job, Crashes: c.crashes, RetryAfter: wait}
		}
	}
	if p.slots >= p.cfg.ProcessesMax {
		return &LimitError{Max: p.cfg.ProcessesMax}
	}
	p.slots++
	p.follows.Add(1)
	p.procs[spec.Worker] = nil
	return nil
}

// follow is the goroutine of one process. What an Exited event lets the receiver expect, a free id and a wait after a crash, holds before it is sent.
func (p *Pool) follow(pr *Process) {
	defer p.follows.Done()
	reason := p.supervise(pr, func() {
		if p.guard != nil {
			p.guard.need()
		}
		p.events <- Event{Process: pr}
	})
	p.mu.Lock()
	p.settle(pr, reason)
	delete(p.procs, pr.worker)
	p.mu.Unlock()
	p.events <- Event{Process: pr, Exit: &reason}
	if p.orphans != nil {
		p.orphans.look()
	}
}

// settle accounts the end of a worker to its job; mu is held.
func (p *Pool) settle(pr *Process, r ExitReason) {
	c := p.crashLoops[pr.job]
	switch {
	case r.crash() && !pr.served.Load():
		if c == nil {
			c = new(crashLoop)
			p.crashLoops[pr.job] = c
		}
		c.crashed(r.Ended, r.Ended.Sub(r.Started), p.cfg.HealthyAfter, p.cfg.Backoff)
	case r.Kind == Clean || r.Ended.Sub(r.Started) >= p.cfg.HealthyAfter:
		delete(p.crashLoops, pr.job)
	}
}

// Served tells the pool that a worker has done what it was started for: its end is no sign that workers of its job cannot run.
func (pr *Process) Served() { pr.served.Store(true) }

// Forget drops what the pool remembers of a job that has ended; its zygotes end with their last workers.
func (p *Pool) Forget(job id.Job) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.forgetNests(job)
	delete(p.crashLoops, job)
}

// Stop asks a worker to end (SIGTERM, to it alone) and kills its process group when the grace is over. It does not wait: the Exited event
// says when it has ended.
func (p *Pool) Stop(worker id.Worker, grace time.Duration, cause Cause) error {
	pr, err := p.process(worker)
	if err != nil {
		return err
	}
	return pr.stop(grace, cause)
}

// Kill kills a worker's process group at once. It does not wait either.
func (p *Pool) Kill(worker id.Worker, cause Cause) error {
	pr, err := p.process(worker)
	if err != nil {
		return err
	}
	return pr.kill(cause)
}

func (p *Pool) process(worker id.Worker) (*Process, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if pr := p.procs[worker]; pr != nil {
		return pr, nil
	}
	return nil, fmt.Errorf("worker %v: %w", worker, ErrNotRunning)
}

// Len returns the number of processes that were started and have not ended.
func (p *Pool) Len() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.procs)
}

func (p *Pool) isClosed() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.closed
}

// alive reports whether a worker has not ended; with "", whether any has not.
func (p *Pool) alive(worker string) bool {
	if worker == "" {
		p.mu.Lock()
		procs := slices.Collect(maps.Values(p.procs))
		p.mu.Unlock()
		return slices.ContainsFunc(procs, (*Process).lives)
	}
	w, err := id.Parse[id.Worker](worker)
	p.mu.Lock()
	pr, ok := p.procs[w]
	_, zygote := p.zygotes[w]
	p.mu.Unlock()
	return err == nil && (zygote || ok && pr.lives())
}

// notify delivers the events, one at a time.
func (p *Pool) notify() {
	for e := range p.events {
		if e.Exit != nil {
			p.mu.Lock()
			p.slots--
			p.mu.Unlock()
		}
		p.cfg.Notify(e)
	}
}

// log hands a line to the sink.
func (p *Pool) log(worker id.Worker, stream Stream, line []byte) {
	if p.cfg.Log != nil {
		p.cfg.Log(worker, stream, line)
	}
}

// Close kills all workers and waits until they and all that the pool has of its own have ended, their Exited events being delivered, or until
// Config.CloseTimeout. It is idempotent. It must not be called from Notify.
func (p *Pool) Close() error {
	p.closeOnce.Do(func() { p.closeErr = p.shutdown(time.Now().Add(p.cfg.CloseTimeout)) })
	return p.closeErr
}

func (p *Pool) shutdown(deadline time.Time) error {
	p.mu.Lock()
	p.closed = true
	procs := slices.Collect(maps.Values(p.procs))
	for _, z := range p.zygotes {
		procs = append(procs, z.proc)
	}
	p.mu.Unlock()
	for _, pr := range procs {
		if pr != nil {
			_ = pr.kill(CauseShutdown) // It may have ended already.
		}
	}
	if !waitUntil(&p.follows, deadline) { // The kernel cannot end one, in a hung system call. What watches it must stay.
		return fmt.Errorf("close worker pool: %d worker processes have not ended", p.Len())
	}
	p.stopRun()
	var err error
	if p.orphans != nil {
		err = p.orphans.end(deadline)
		p.guard.close(deadline)
		err = errors.Join(err, adopt(false))
	}
	close(p.events)
	p.forker.stop()
	if !waitUntil(&p.running, deadline) {
		err = errors.Join(err, errors.New("the last events have not been delivered: Notify does not return"))
	}
	if err = errors.Join(err, p.null.Close()); err != nil {
		return fmt.Errorf("close worker pool: %w", err)
	}
	return nil
}

// waitUntil waits for the group, false when the deadline comes first; the goroutine it leaves then ends with the group.
func waitUntil(wg *sync.WaitGroup, deadline time.Time) bool {
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	select {
	case <-done:
		return true
	case <-time.After(time.Until(deadline)):
		return false
	}
}
