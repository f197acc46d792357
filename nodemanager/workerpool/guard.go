package workerpool

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mobula-dev/mobula/internal/takeover"
	"github.com/mobula-dev/mobula/internal/takeover/guard"
)

const (
	guardFailuresMax = 5 // in a row
	guardRestart     = time.Second
	guardHealthy     = time.Minute // a guard that lived so long did not fail
	guardWriteLimit  = 100 * time.Millisecond
)

// guardLink keeps the pool's guard process alive and informed. It is started when the first worker is ready, so that it does not compete with that for the
// first result; what it missed it is told then.
type guardLink struct {
	pool     string
	exe      *os.File // this process's program; nil where there is no /proc
	path     string   // the same, by path
	null     *os.File
	forker   *forker
	children *children
	timeout  time.Duration // until it must have taken over
	logger   *slog.Logger

	needed    chan struct{} // closed by need
	needOnce  sync.Once
	closed    chan struct{}
	closeOnce sync.Once
	done      chan struct{} // closed when run has returned

	mu      sync.Mutex
	groups  map[int]bool      // guarded by mu
	starter *takeover.Starter // nil while there is no guard; guarded by mu
	pid     int               // guarded by mu
}

func newGuardLink(p *Pool) (*guardLink, error) {
	g := &guardLink{
		pool: p.name, null: p.null, forker: p.forker, children: p.children, timeout: p.cfg.TakeoverTimeout, logger: p.cfg.Logger,
		needed: make(chan struct{}), closed: make(chan struct{}), done: make(chan struct{}), groups: make(map[int]bool),
	}
	var err error
	if g.exe, err = os.Open("/proc/self/exe"); err == nil {
		return g, nil
	}
	if g.path, err = os.Executable(); err != nil {
		return nil, fmt.Errorf("find this process's program: %w", err)
	}
	return g, nil
}

// need starts the guard if it has not been started.
func (g *guardLink) need() { g.needOnce.Do(func() { close(g.needed) }) }

// add tells the guard of a worker's process group; remove is called while the group's number cannot be another's yet.
func (g *guardLink) add(group int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.groups[group] = true
	g.tell(guard.Add, group)
}

func (g *guardLink) remove(group int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.groups, group)
	g.tell(guard.Remove, group)
}

// tell writes to the guard; mu is held. A guard that does not read is replaced.
func (g *guardLink) tell(op byte, groups ...int) {
	if g.starter == nil {
		return
	}
	var records []byte
	for _, group := range groups {
		r := guard.Record(op, group)
		records = append(records, r[:]...)
	}
	conn := g.starter.Conn()
	err := conn.SetWriteDeadline(time.Now().Add(guardWriteLimit))
	if err == nil {
		_, err = conn.Write(records)
	}
	if err != nil && g.pid != 0 {
		_ = unix.Kill(g.pid, unix.SIGKILL) // Its end is noticed by run.
	}
}

// run starts the guard, and starts it again when it ends, until close.
func (g *guardLink) run() {
	defer close(g.done)
	select {
	case <-g.needed:
	case <-g.closed:
		return
	}
	for failures := 0; failures < guardFailuresMax; failures++ {
		born := time.Now()
		err := g.live()
		if time.Since(born) >= guardHealthy {
			failures = 0
		}
		select {
		case <-g.closed:
			return
		default:
		}
		g.logger.Warn("the guard process of the worker pool has ended; it is started again", "error", err)
		select {
		case <-g.closed:
			return
		case <-time.After(guardRestart):
		}
	}
	g.logger.Error("there is no guard process: should this node be killed, subprocesses of its workers may live on", "failures", guardFailuresMax)
}

// live is one life of a guard.
func (g *guardLink) live() error {
	pid, starter, err := g.start()
	if err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() {
		reap := awaitEnd(pid)
		g.mu.Lock()
		g.pid, g.starter = 0, nil
		g.mu.Unlock()
		_, err := g.children.reap(pid, reap)
		ended <- errors.Join(err, starter.Close())
	}()
	if err := starter.Await(context.Background(), g.timeout); err != nil {
		g.kill()
		return errors.Join(err, <-ended)
	}
	return <-ended
}

// start forks the guard and tells it of all groups.
func (g *guardLink) start() (int, *takeover.Starter, error) {
	role := takeover.Role{Kind: takeover.KindGuard, Settings: map[string]string{takeover.GuardPool: g.pool}}
	starter, err := takeover.New(role, 3)
	if err != nil {
		return 0, nil, err
	}
	prog := program{
		executable: g.exe,
		path:       g.path,
		args:       []string{os.Args[0], "mobula-guard"}, // Seen by ps, and by a program that does not take over: it should know no such command.
		env:        append(takeover.Environ(os.Environ()), append(starter.Env(), "GOMAXPROCS=1")...),
		dir:        "/",
		files:      []*os.File{g.null, g.null, g.null, starter.File()},
	}
	var pid int
	g.mu.Lock()
	defer g.mu.Unlock()
	select {
	case <-g.closed:
		return 0, nil, errors.Join(ErrClosed, starter.Close())
	default:
	}
	if e := g.forker.do(context.Background(), func() { pid, err = g.children.fork(prog, false) }); e != nil {
		err = e
	}
	starter.Started()
	if err != nil {
		return 0, nil, errors.Join(fmt.Errorf("start guard: %w", err), starter.Close())
	}
	g.pid, g.starter = pid, starter
	groups := make([]int, 0, len(g.groups))
	for group := range g.groups {
		groups = append(groups, group)
	}
	if len(groups) > 0 {
		g.tell(guard.Add, groups...)
	}
	return pid, starter, nil
}

func (g *guardLink) kill() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.pid != 0 {
		_ = unix.Kill(g.pid, unix.SIGKILL) // pid is cleared before it is reaped.
	}
}

// close lets the guard sweep a last time and end, and waits for that until the deadline, when it is killed.
func (g *guardLink) close(deadline time.Time) {
	g.closeOnce.Do(func() { close(g.closed) })
	g.mu.Lock()
	if g.starter != nil {
		_ = g.starter.Conn().CloseWrite() // It has ended if this fails.
	}
	g.mu.Unlock()
	select {
	case <-g.done:
	case <-time.After(time.Until(deadline)):
		g.kill()
		<-g.done
	}
	if g.exe != nil {
		_ = g.exe.Close() // Nothing was written.
	}
}
