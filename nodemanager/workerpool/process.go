package workerpool

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mobula-dev/mobula/internal/id"
	"github.com/mobula-dev/mobula/internal/takeover"
)

const (
	// endGrace is how long a worker that closed its role connection may take to end by itself.
	endGrace = time.Second
	// drainTimeout is how long output is awaited after a worker's end, from a process outside its group that holds the pipe.
	drainTimeout = time.Second
)

// Process is one worker process. Its methods may be called from any goroutine.
type Process struct {
	job     id.Job
	worker  id.Worker
	pid     int     // also the number of its group
	forked  *forked // set when a zygote is its parent
	starter *takeover.Starter
	started time.Time
	outputs [2]*os.File // read ends of its standard output and error
	tail    *tail
	// patience is how long it may take until it has taken over.
	patience time.Duration
	copying  sync.WaitGroup // the two goroutines that read outputs

	served atomic.Bool

	mu     sync.Mutex
	cause  Cause       // why the pool ends it; the first cause stays; guarded by mu
	force  *time.Timer // kills it when its grace is over; guarded by mu
	ended  bool        // seen to have ended; guarded by mu
	reaped bool        // guarded by mu
}

// Job returns the job that the worker belongs to.
func (pr *Process) Job() id.Job { return pr.job }

// Worker returns the worker's id.
func (pr *Process) Worker() id.Worker { return pr.worker }

// PID returns the number of the process. After its Exited event it may be another's.
func (pr *Process) PID() int { return pr.pid }

// Started returns when the process was started.
func (pr *Process) Started() time.Time { return pr.started }

// Secret is what the worker presents when it opens its session.
func (pr *Process) Secret() takeover.Secret { return pr.starter.Secret() }

// Conn is the connection to the worker on its role descriptor. From the Ready event on it is its receiver's, who closes it: when the worker
// has ended the pool only ends its reading side, so that what the worker sent last can be read. Closing it earlier tells the worker that its
// node has gone.
func (pr *Process) Conn() *net.UnixConn { return pr.starter.Conn() }

// launch starts the process and begins to read its output.
func (p *Pool) launch(ctx context.Context, spec Spec) (*Process, error) {
	if forksWorkers && spec.Fork {
		z, err := p.nurse(ctx, spec)
		switch {
		case err != nil && p.isClosed():
			return nil, ErrClosed // which has ended the zygote
		case err != nil:
			return nil, err
		}
		pr, err := p.hatchling(ctx, z, spec)
		if err != nil && p.isClosed() {
			return nil, ErrClosed // which has ended the zygote
		}
		if !errors.Is(err, errThreads) {
			return pr, err
		}
		p.cfg.Logger.Warn("a zygote has started threads, so that workers are not forked but started anew, which takes longer", "job", spec.Job)
	}
	return p.exec(ctx, spec, takeover.KindWorker)
}

// exec forks and executes the program.
func (p *Pool) exec(ctx context.Context, spec Spec, kind takeover.Kind) (*Process, error) {
	return p.bear(spec, kind, func(pr *Process, writers [2]*os.File) error { return p.fork(ctx, pr, spec, writers) })
}

// hatchling has a zygote fork the process.
func (p *Pool) hatchling(ctx context.Context, z *zygote, spec Spec) (*Process, error) {
	return p.bear(spec, takeover.KindWorker, func(pr *Process, writers [2]*os.File) (err error) {
		pr.started = time.Now()
		files := [3]*os.File{pr.starter.File(), writers[0], writers[1]}
		if pr.forked, err = z.fork(ctx, spec.Worker, pr.starter.Proof(), p.mark(spec.Worker), files); err == nil {
			pr.pid = pr.forked.pid
		}
		return err
	})
}

// bear makes what a process needs, has it started, and begins to read its output.
func (p *Pool) bear(spec Spec, kind takeover.Kind, start func(*Process, [2]*os.File) error) (*Process, error) {
	starter, err := takeover.New(takeover.Role{
		Kind: kind, Node: spec.Node, Job: spec.Job, Worker: spec.Worker,
		Socket: spec.Socket, Isolated: spec.Isolated, Settings: spec.Settings,
	}, 3)
	if err != nil {
		return nil, err
	}
	pr := &Process{job: spec.Job, worker: spec.Worker, starter: starter, tail: new(tail), patience: p.cfg.TakeoverTimeout}
	if spec.TakeoverTimeout > 0 {
		pr.patience = spec.TakeoverTimeout
	}
	writers, err := pr.openOutputs()
	if err == nil {
		err = start(pr, writers)
	}
	starter.Started()
	err = errors.Join(err, closeAll(writers[:]))
	if pr.pid == 0 { // Once the process exists, a descriptor that did not close well is no reason to end it.
		return nil, errors.Join(err, closeAll(pr.outputs[:]), starter.Close())
	}
	p.capture(pr, spec.LogName, kind)
	return pr, nil
}

// mark is what a worker and its subprocesses carry in their environment.
func (p *Pool) mark(worker id.Worker) string { return p.name + "/" + worker.String() }

// openOutputs makes the two pipes and returns their write ends.
func (pr *Process) openOutputs() (writers [2]*os.File, err error) {
	for i := range writers {
		if pr.outputs[i], writers[i], err = os.Pipe(); err != nil {
			return writers, fmt.Errorf("make pipe for worker output: %w", err)
		}
	}
	return writers, nil
}

// closeAll closes files, of which some may be nil.
func closeAll(files []*os.File) error {
	var errs []error
	for _, f := range files {
		if f != nil {
			errs = append(errs, f.Close())
		}
	}
	return errors.Join(errs...)
}

func (p *Pool) fork(ctx context.Context, pr *Process, spec Spec, writers [2]*os.File) error {
	prog := program{
		executable: spec.Executable,
		path:       spec.Path,
		args:       spec.Args,
		env:        append(environment(os.Environ(), p.cfg.InheritEnv, spec, p.mark(spec.Worker)), pr.starter.Env()...),
		dir:        spec.Dir,
		files:      []*os.File{p.null, writers[0], writers[1], pr.starter.File()},
	}
	var err error
	if e := p.forker.do(ctx, func() {
		pr.started = time.Now()
		pr.pid, err = p.children.fork(prog, true)
	}); e != nil {
		return e
	}
	return err
}

// capture starts the goroutines that read the worker's output. They end with its end.
func (p *Pool) capture(pr *Process, logName string, kind takeover.Kind) {
	for i, stream := range []Stream{Stdout, Stderr} {
		emit := func(line []byte) { p.log(pr.worker, stream, line) }
		if kind == takeover.KindZygote {
			emit = func(line []byte) { p.cfg.Logger.Info("output of a zygote", "job", pr.job, "line", string(line)) }
		}
		c := &capture{
			limits: p.cfg.Output,
			tail:   pr.tail,
			bucket: newBucket(p.cfg.Output.BytesPerSecond, p.cfg.Output.BurstBytes, pr.started),
			emit:   emit,
			warn: func(err error) {
				p.cfg.Logger.Warn("worker output is missing from its log file", "worker", pr.worker, "stream", stream, "error", err)
			},
		}
		if logName != "" && p.cfg.Logs != nil {
			c.file = p.cfg.Logs.Create(LogName(logName, pr.worker, pr.pid, stream))
		}
		pr.copying.Go(func() { c.run(pr.outputs[i]) })
	}
}

// LogName returns the name of the file that has the output of a worker: kind is that of its Spec.
func LogName(kind string, worker id.Worker, pid int, stream Stream) string {
	return fmt.Sprintf("%s-%v-%d.%v", kind, worker, pid, stream)
}

// supervise follows the process to its end and returns the reason. ready is called at most once, before it returns.
func (p *Pool) supervise(pr *Process, ready func()) ExitReason {
	ended := make(chan func() (unix.WaitStatus, error), 1)
	go func() { ended <- pr.awaitEnd() }() // Ends before this function does, as does the next.
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	took := make(chan error, 1)
	go func() { took <- pr.starter.Await(ctx, pr.patience) }()

	var reap func() (unix.WaitStatus, error)
	var e ending
	select {
	case e.takeoverErr = <-took:
	case reap = <-ended: // It may have taken over just before: then that is there to be read, and after it the end.
		pr.killGroup()
		select {
		case e.takeoverErr = <-took:
		case <-time.After(endGrace): // A subprocess outside the group holds the descriptor.
			cancel()
			e.takeoverErr = <-took
		}
	}
	if e.takeoverErr == nil {
		ready()
	} else if reap == nil {
		reap, e.forced = pr.giveUp(e.takeoverErr, ended)
	}
	if reap == nil {
		reap = <-ended
	}
	return p.bury(pr, reap, e)
}

// awaitEnd returns when the process has ended, with the function that reaps it.
func (pr *Process) awaitEnd() func() (unix.WaitStatus, error) {
	if pr.forked != nil {
		return pr.forked.awaitEnd()
	}
	return awaitEnd(pr.pid)
}

// giveUp ends a process that did not take over. One that said so, or closed the connection, is about to end by itself, with a code that tells more.
func (pr *Process) giveUp(cause error, ended <-chan func() (unix.WaitStatus, error)) (reap func() (unix.WaitStatus, error), forced bool) {
	var refused *takeover.RefusedError
	if errors.Is(cause, takeover.ErrClosed) || errors.As(cause, &refused) {
		select {
		case reap := <-ended:
			return reap, false
		case <-time.After(endGrace):
		}
	}
	pr.killGroup()
	return <-ended, true
}

// bury takes care of everything that a process leaves when it has ended.
func (p *Pool) bury(pr *Process, reap func() (unix.WaitStatus, error), e ending) ExitReason {
	ended := time.Now()
	e.cause = pr.noteEnd() // A cause that comes later is not why it ended.
	pr.killGroup()         // Its subprocesses: the number of the group is still its own.
	if p.orphans != nil {
		p.orphans.look() // They may hold the output that is drained now.
	}
	pr.drain()
	if p.guard != nil {
		p.guard.remove(pr.pid)
	}
	status, err := pr.reap(p.children, reap)
	pr.disconnect(e.takeoverErr == nil)
	var r ExitReason
	if err != nil {
		p.cfg.Logger.Error("the exit status of a worker was lost: does other code of this process wait for children?", "worker", pr.worker, "error", err)
		r.Code = -1
	} else {
		e.oomCounted = p.oom.claim
		r = classify(status, e)
	}
	r.LastLines, r.Started, r.Ended = pr.tail.lines(), pr.started, ended
	return r
}

// disconnect ends the connection of a process that has ended; one that took over left it to somebody else to close.
func (pr *Process) disconnect(tookOver bool) {
	if tookOver {
		_ = pr.Conn().CloseRead() // it may be closed
	} else {
		_ = pr.starter.Close() // nothing was sent on it
	}
}

// drain waits until the output has been read to its end.
func (pr *Process) drain() {
	done := make(chan struct{})
	go func() { pr.copying.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(drainTimeout): // A process outside the group holds them; closing ends the reading.
	}
	_ = closeAll(pr.outputs[:]) // Only read from.
	<-done
}

// reap frees the number of the process; no signal is sent to it from then on.
func (pr *Process) reap(c *children, reap func() (unix.WaitStatus, error)) (unix.WaitStatus, error) {
	pr.mu.Lock()
	defer pr.mu.Unlock()
	pr.reaped = true
	if pr.force != nil {
		pr.force.Stop()
	}
	return c.reap(pr.pid, reap)
}

// noteEnd marks the process as ended and returns why the pool ended it, if it did.
func (pr *Process) noteEnd() Cause {
	pr.mu.Lock()
	defer pr.mu.Unlock()
	pr.ended = true
	if pr.cause == "" && pr.forked.orphaned() {
		pr.cause = CauseZygote
	}
	return pr.cause
}

// lives reports whether the process has not been seen to have ended. A nil process is about to be forked.
func (pr *Process) lives() bool {
	if pr == nil {
		return true
	}
	pr.mu.Lock()
	defer pr.mu.Unlock()
	return !pr.ended
}

// Nudge tells a worker that there is something to read on its session while it runs user code (SIGURG, which is ignored by default).
func (pr *Process) Nudge() {
	pr.mu.Lock()
	defer pr.mu.Unlock()
	if !pr.reaped {
		_ = unix.Kill(pr.pid, unix.SIGURG) // Fails when only the zombie is left (on some systems).
	}
}

// stop asks the worker to end and kills its group when the grace is over.
func (pr *Process) stop(grace time.Duration, cause Cause) error {
	return pr.end(cause, func() error {
		if pr.force == nil {
			pr.force = time.AfterFunc(grace, pr.killGroup)
		}
		return unix.Kill(pr.pid, syscall.SIGTERM)
	})
}

// kill kills the worker's group at once.
func (pr *Process) kill(cause Cause) error {
	return pr.end(cause, func() error { return unix.Kill(-pr.pid, syscall.SIGKILL) })
}

// end notes the cause and calls send, which may rely on mu and on the process's number.
func (pr *Process) end(cause Cause, send func() error) error {
	pr.mu.Lock()
	defer pr.mu.Unlock()
	if pr.reaped {
		return ErrNotRunning
	}
	if pr.cause == "" {
		pr.cause = cause
	}
	if err := send(); err != nil {
		return fmt.Errorf("end worker %v: %w", pr.worker, err)
	}
	return nil
}

// killGroup kills what lives of the group, without a cause of its own.
func (pr *Process) killGroup() {
	pr.mu.Lock()
	defer pr.mu.Unlock()
	if !pr.reaped {
		_ = unix.Kill(-pr.pid, syscall.SIGKILL) // Fails when only the zombie is left (on some systems).
	}
}
