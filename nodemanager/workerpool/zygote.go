package workerpool

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mobula-dev/mobula/internal/id"
	"github.com/mobula-dev/mobula/internal/takeover"
)

const (
	// forkTimeout is how long a zygote may take to answer: it forks in milliseconds and does nothing else.
	forkTimeout = 10 * time.Second
	// zygoteIdle is how long a zygote without workers stays.
	zygoteIdle = 10 * time.Minute
)

// nest is the place of one zygote: what workers of a job with the same program and environment are forked from, through all its lives.
type nest struct {
	job    id.Job
	loop   crashLoop // guarded by Pool.mu, as the next
	zygote *zygote   // nil while there is none
}

// zygote is one life of a process that forks workers. See the package comment for what is said between the two.
type zygote struct {
	worker id.Worker // names it among the pool's processes

	up     chan struct{} // closed when it has taken over, or never will
	proc   *Process      // set before up is closed, when it was started; before that guarded by Pool.mu
	failed error         // why it did not come up; set before up is closed
	lost   chan struct{} // closed when nothing more will be heard of it
	gone   chan struct{} // closed when it has been reaped: its children have another parent by then

	writeMu sync.Mutex // orders requests; a short write to the zygote is made under it

	mu       sync.Mutex
	answers  map[id.Worker]chan forkAnswer // guarded by mu, as all below
	children map[int]*forked
	live     int // children that were not reaped
	retired  bool
	idle     *time.Timer
}

// forked is a worker that a zygote has forked.
type forked struct {
	zygote *zygote
	pid    int
	pidfd  *os.File // nil where the kernel has none, or the process has gone already
	exited chan unix.WaitStatus
}

// forkAnswer is what a zygote says to a request.
type forkAnswer struct {
	child *forked
	err   error
}

// errThreads says that a zygote cannot fork, since it is not single-threaded; workers are then started by exec.
var errThreads = errors.New("the zygote has more than one thread")

// ZygoteError says that the process from which workers are forked ended before it could do so; nothing was started.
type ZygoteError struct {
	Reason ExitReason
}

func (e *ZygoteError) Error() string {
	what := e.Reason.String()
	if e.Reason.Err != nil {
		what = fmt.Sprintf("%v (%s)", e.Reason.Err, e.Reason.how())
	}
	if last := e.Reason.LastLine(); last != "" {
		what += ": " + last
	}
	return "the process from which workers are forked did not start: " + what
}

// nestKey tells zygotes apart: workers of one are alike but for what their role messages say.
func nestKey(s Spec) string {
	pairs := make([]string, 0, len(s.Env))
	for name, value := range s.Env {
		pairs = append(pairs, name+"="+value)
	}
	slices.Sort(pairs)
	return strings.Join(append(append([]string{s.Job.String(), s.Path, s.Dir}, s.Args...), pairs...), "\x00")
}

// nurse returns the zygote for a worker when it is ready.
func (p *Pool) nurse(ctx context.Context, spec Spec) (*zygote, error) {
	z, err := p.hatch(spec)
	if err != nil {
		return nil, err
	}
	select {
	case <-z.up:
		return z, z.failed
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// hatch returns the zygote for a worker, which may still be starting.
func (p *Pool) hatch(spec Spec) (*zygote, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, ErrClosed
	}
	key := nestKey(spec)
	n := p.nests[key]
	if n == nil {
		n = &nest{job: spec.Job}
		p.nests[key] = n
	}
	if n.zygote != nil {
		return n.zygote, nil
	}
	if wait := n.loop.wait(time.Now()); wait > 0 {
		return nil, &BackoffError{Job: spec.Job, Crashes: n.loop.crashes, RetryAfter: wait}
	}
	z := &zygote{
		up: make(chan struct{}), lost: make(chan struct{}), gone: make(chan struct{}),
		answers: make(map[id.Worker]chan forkAnswer), children: make(map[int]*forked),
	}
	random := takeover.NewSecret() // Only its randomness is used.
	z.worker = id.Worker(random[:16])
	n.zygote = z
	p.zygotes[z.worker] = z
	p.follows.Add(1)
	go p.raise(n, z, spec)
	return z, nil
}

// raise is the goroutine of one zygote, from its start to its end.
func (p *Pool) raise(n *nest, z *zygote, spec Spec) {
	defer p.follows.Done()
	spec.Worker, spec.LogName = z.worker, ""
	pr, err := p.exec(context.Background(), spec, takeover.KindZygote)
	if err != nil {
		p.fell(n, z, ExitReason{}, fmt.Errorf("start zygote: %w", err))
		return
	}
	p.mu.Lock()
	z.proc = pr
	closed := p.closed
	p.mu.Unlock()
	if closed {
		_ = pr.kill(CauseShutdown) // It has not been reaped: there is someone to kill.
	}
	if p.guard != nil {
		p.guard.add(pr.pid)
	}
	var reading sync.WaitGroup
	up := false
	reason := p.supervise(pr, func() {
		up = true
		reading.Go(func() { z.read(p) })
		z.rest()
		close(z.up)
	})
	reading.Wait()         // The reading side of its connection was ended.
	_ = pr.starter.Close() // Its end is what counts.
	var failed error
	if !up {
		failed = &ZygoteError{Reason: reason}
	} else if reason.crash() {
		p.cfg.Logger.Warn("a zygote has ended, and with it its workers; the next worker gets a new one", "job", spec.Job, "reason", reason.String(), "last", reason.LastLine())
	}
	p.fell(n, z, reason, failed)
}

// fell takes a zygote that has ended out of the tables. Whoever waits for it is told why it did not come up.
func (p *Pool) fell(n *nest, z *zygote, reason ExitReason, failed error) {
	p.mu.Lock()
	if n.zygote == z {
		n.zygote = nil
	}
	delete(p.zygotes, z.worker)
	if failed != nil || reason.crash() {
		n.loop.crashed(time.Now(), reason.Ended.Sub(reason.Started), p.cfg.HealthyAfter, p.cfg.Backoff)
	}
	p.mu.Unlock()
	if failed != nil {
		z.failed = failed
		close(z.lost)
		close(z.up)
	}
	z.mu.Lock()
	if z.idle != nil {
		z.idle.Stop()
	}
	z.mu.Unlock()
	close(z.gone)
}

// forgetNests ends the zygotes of a job, each with its last worker; mu is held.
func (p *Pool) forgetNests(job id.Job) {
	for key, n := range p.nests {
		if n.job != job {
			continue
		}
		delete(p.nests, key)
		if z := n.zygote; z != nil {
			z.mu.Lock()
			z.retired = true
			z.rested()
			z.mu.Unlock()
		}
	}
}

// rest has the zygote end when it gets no worker for long.
func (z *zygote) rest() {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.rested()
}

// rested arms the timer of an idle zygote, or ends a retired one; mu is held.
func (z *zygote) rested() {
	if z.live > 0 || len(z.answers) > 0 {
		return
	}
	wait := zygoteIdle
	if z.retired {
		wait = 0
	}
	if z.idle != nil {
		z.idle.Stop()
	}
	z.idle = time.AfterFunc(wait, func() {
		<-z.up
		z.mu.Lock()
		busy := z.live > 0 || len(z.answers) > 0
		z.mu.Unlock()
		if z.proc != nil && !busy {
			_ = z.proc.kill(CauseIdle) // It may have ended.
		}
	})
}

// fork asks the zygote for a worker with these descriptors: role connection, standard output and standard error.
func (z *zygote) fork(ctx context.Context, worker id.Worker, proof, mark string, files [3]*os.File) (*forked, error) {
	answer := make(chan forkAnswer, 1)
	z.mu.Lock()
	z.answers[worker] = answer
	if z.idle != nil {
		z.idle.Stop()
	}
	z.mu.Unlock()
	defer func() {
		z.mu.Lock()
		delete(z.answers, worker)
		z.rested()
		z.mu.Unlock()
	}()
	if err := z.write(zygoteMessage{Op: opFork, Worker: worker.String(), Proof: proof, Mark: mark}, files[:]); err != nil {
		return nil, fmt.Errorf("ask zygote for a worker: %w", err)
	}
	late := time.NewTimer(forkTimeout)
	defer late.Stop()
	select {
	case a := <-answer:
		return a.child, a.err
	case <-z.lost:
		select {
		case a := <-answer:
			return a.child, a.err
		default:
			return nil, errors.New("the zygote ended before it forked the worker")
		}
	case <-late.C:
		_ = z.proc.kill(CauseRetired) // It hangs; its workers go with it.
		return nil, fmt.Errorf("the zygote has not forked the worker within %v", forkTimeout)
	case <-ctx.Done():
		return nil, context.Cause(ctx) // A worker that is forked after that finds its connection closed.
	}
}

// read follows what the zygote says until its connection ends.
func (z *zygote) read(p *Pool) {
	defer close(z.lost)
	for {
		m, err := readZygoteMessage(z.proc.Conn())
		if err != nil {
			return // Its end says why, or the pool's.
		}
		switch m.Op {
		case opForked:
			z.forked(p, m)
		case opFailed:
			err := fmt.Errorf("the zygote could not fork: %s", m.Error)
			if m.Threads > 1 {
				err = errThreads
			}
			z.answer(m.Worker, forkAnswer{err: err})
		case opExited:
			z.mu.Lock()
			c := z.children[m.PID]
			delete(z.children, m.PID)
			z.mu.Unlock()
			if c != nil {
				c.exited <- unix.WaitStatus(m.Status) // It has room for the one that is sent.
			}
		}
	}
}

// forked enters a new worker.
func (z *zygote) forked(p *Pool, m zygoteMessage) {
	c := &forked{zygote: z, pid: m.PID, exited: make(chan unix.WaitStatus, 1)}
	pidfd, err := p.children.adopt(m.PID, z.proc.pid)
	if err != nil {
		z.answer(m.Worker, forkAnswer{err: err})
		return
	}
	raiseOOMScore(m.PID) // Inherited already where the zygote's could be raised.
	c.pidfd = pidfd
	z.mu.Lock()
	z.children[m.PID] = c
	z.live++
	z.mu.Unlock()
	if !z.answer(m.Worker, forkAnswer{child: c}) { // Nobody waits for it any more, so nobody will reap it.
		p.follows.Go(func() {
			_ = unix.Kill(-c.pid, unix.SIGKILL) // It cannot have been reaped.
			reap := c.awaitEnd()
			_, _ = p.children.reap(c.pid, reap)
		})
	}
}

// answer hands an answer to who asked, false when nobody waits.
func (z *zygote) answer(worker string, a forkAnswer) bool {
	w, err := id.Parse[id.Worker](worker)
	z.mu.Lock()
	ch := z.answers[w]
	delete(z.answers, w)
	z.mu.Unlock()
	if err != nil || ch == nil {
		return false
	}
	ch <- a
	return true
}

// awaitEnd returns when the worker has ended, with the function that has it reaped: until then its number cannot be another's.
func (c *forked) awaitEnd() (reap func() (unix.WaitStatus, error)) {
	z := c.zygote
	select {
	case status := <-c.exited:
		return c.reaper(status)
	case <-z.lost:
	}
	select {
	case status := <-c.exited:
		return c.reaper(status)
	default:
	}
	awaitPidfd(c.pidfd) // Its parent-death signal is on the way.
	<-z.gone
	return func() (unix.WaitStatus, error) {
		defer c.buried()
		var status unix.WaitStatus
		if _, err := wait4(c.pid, &status); err != nil {
			return unix.WaitStatus(unix.SIGKILL), nil // Another process inherited it: the signal is all that can have happened.
		}
		return status, nil
	}
}

// reaper is the end of a worker whose status the zygote has told.
func (c *forked) reaper(status unix.WaitStatus) func() (unix.WaitStatus, error) {
	return func() (unix.WaitStatus, error) {
		defer c.buried()
		if err := c.zygote.write(zygoteMessage{Op: opReap, PID: c.pid}, nil); err != nil {
			_, _ = wait4(c.pid, nil) // It is this process's child now; or will be, and is reaped as an orphan.
		}
		return status, nil
	}
}

// buried forgets a worker that was reaped.
func (c *forked) buried() {
	if c.pidfd != nil {
		_ = c.pidfd.Close() // Nothing was written.
	}
	z := c.zygote
	z.mu.Lock()
	defer z.mu.Unlock()
	delete(z.children, c.pid)
	z.live--
	z.rested()
}

// orphaned reports whether the zygote of a forked worker has ended.
func (c *forked) orphaned() bool {
	if c == nil {
		return false
	}
	select {
	case <-c.zygote.lost:
		return true
	default:
		return false
	}
}
