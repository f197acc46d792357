package service

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/mobula-dev/mobula/internal/id"
	"github.com/mobula-dev/mobula/internal/takeover"
	"github.com/mobula-dev/mobula/nodemanager/resource"
	"github.com/mobula-dev/mobula/nodemanager/scheduler"
	"github.com/mobula-dev/mobula/nodemanager/workerpool"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what must come.
const patience = 10 * time.Second

// world is a node whose control plane and workers a test plays, frame by frame.
type world struct {
	t       testing.TB
	n       *Node
	control *control
	procs   *procs
}

var secret = []byte("the node's secret")

// open makes a world with one CPU.
func open(t testing.TB, change ...func(*Config)) *world {
	t.Helper()
	w := &world{t: t, control: newControl(), procs: newProcs(t)}
	cfg := Config{
		NodeID: id.Node{1}, Epoch: 1, Hostname: "here", Build: "test", Secret: secret, CPUs: 1,
		Resources:  resource.Request{CPUs: unit, GPUs: unit, Memory: 1 << 30, Custom: map[string]int64{"pump": 2 * unit}},
		Scheduler:  scheduler.Config{RevokeAfterNs: int64(time.Hour), WarmWorkers: -1, PipelineTargetNs: 1},
		StoreBytes: 64 << 20, ControlPlane: w.control, Logger: slog.New(slog.DiscardHandler),
	}
	for _, c := range change {
		c(&cfg)
	}
	var err error
	w.n, err = newNode(cfg, func(n *Node) (processes, error) { w.procs.serve(n); return w.procs, nil })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.close)
	return w
}

func (w *world) close() {
	if err := w.n.Close(); err != nil {
		w.t.Error(err)
	}
	w.procs.wait()
}

// locked calls f under the node's lock, as an event.
func (w *world) locked(f func(n *Node)) { w.n.locked(func() { f(w.n) }) }

// await polls until unmet returns nothing, and fails with what it returned last.
func await(t testing.TB, unmet func() string) {
	t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		why := unmet()
		if why == "" {
			return
		}
		select {
		case <-deadline:
			t.Fatalf("waited %v: %s", patience, why)
		case <-tick.C:
		}
	}
}

// leftovers says what a node still has; nothing when it is as it was in the beginning.
func leftovers(n *Node) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	l := n.sched.Ledger()
	for i := range l.Columns() {
		if c := columnOf(i); l.Free(c) != l.Total(c) {
			return fmt.Sprintf("of %s %d are free, not %d", l.Name(c), l.Free(c), l.Total(c))
		}
	}
	used := 0
	for _, s := range n.handles.slots {
		if s.task != nil {
			used++
		}
	}
	store := n.store.Stats()
	counts := []struct {
		what string
		n    int
	}{
		{"objects", n.dir.Len()}, {"sessions", len(n.sessions)}, {"jobs", len(n.jobs)}, {"actors", len(n.actors)},
		{"workers", len(n.workers)}, {"handles", used}, {"stored objects", store.Objects}, {"segments", store.Segments},
	}
	for _, c := range counts {
		if c.n != 0 {
			why := fmt.Sprintf("%d %s are left", c.n, c.what)
			for o := range n.dir.All() {
				sessions, internal := o.Holders()
				why += fmt.Sprintf("; object %v, held by sessions %v and %d times by the node, value %v", o.ID, sessions, internal, o.Value())
			}
			for _, a := range n.actors {
				why += fmt.Sprintf("; actor %s: %v, alias %v, no handles %v, its object is live %v, its creation is done %v", a, a.state, a.alias != nil, a.noHandles, a.creation.first.Live(), a.creation.done)
			}
			return why
		}
	}
	return ""
}

// quiescent waits until nothing is left in the node.
func (w *world) quiescent() {
	w.t.Helper()
	await(w.t, func() string { return leftovers(w.n) })
}

// objects returns how many objects the node has.
func (w *world) objects() int {
	w.n.mu.Lock()
	defer w.n.mu.Unlock()
	return w.n.dir.Len()
}

// socketpair returns two connected Unix sockets.
func socketpair(t testing.TB) (a, b *net.UnixConn) {
	t.Helper()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	var ends [2]*net.UnixConn
	for i, fd := range fds {
		f := os.NewFile(uintptr(fd), "socket")
		nc, err := net.FileConn(f)
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		ends[i], _ = nc.(*net.UnixConn)
	}
	return ends[0], ends[1]
}

// procs is the worker pool that a test plays. A process that the node stops or kills ends at once, unless it is stubborn.
type procs struct {
	t       testing.TB
	n       *Node
	events  chan func()
	started chan *proc // that the node has started and the test has not yet taken
	running sync.WaitGroup

	mu       sync.Mutex // guards the fields below
	all      map[id.Worker]*proc
	pid      int
	refuse   error         // what Start returns
	gate     chan struct{} // Start returns when it is closed; nil: at once
	stubborn bool          // processes that are made do not end when they are asked to
	closed   bool
}

// proc is a process of procs.
type proc struct {
	p         *procs
	spec      workerpool.Spec
	pid       int
	secret    takeover.Secret
	near, far *net.UnixConn
	stubborn  bool
	ended     bool                       // guarded by procs.mu
	orders    chan workerpool.ExitReason // what the node has asked for
	nudges    chan struct{}              // has one when the node has sent a signal since it was emptied
}

func newProcs(t testing.TB) *procs {
	return &procs{t: t, events: make(chan func(), 1024), started: make(chan *proc, 1024), all: make(map[id.Worker]*proc), pid: 1000}
}

// serve delivers events one at a time, as a pool does.
func (p *procs) serve(n *Node) {
	p.n = n
	p.running.Go(func() {
		for f := range p.events {
			f()
		}
	})
}

// wait waits until the last event was delivered.
func (p *procs) wait() { p.running.Wait() }

// Start implements processes.
func (p *procs) Start(ctx context.Context, spec workerpool.Spec) (process, error) {
	p.mu.Lock()
	if p.closed || p.refuse != nil {
		defer p.mu.Unlock()
		if p.closed {
			return nil, workerpool.ErrClosed
		}
		return nil, p.refuse
	}
	p.pid++
	x := &proc{p: p, spec: spec, pid: p.pid, secret: takeover.NewSecret(), stubborn: p.stubborn, orders: make(chan workerpool.ExitReason, 16), nudges: make(chan struct{}, 1)}
	x.near, x.far = socketpair(p.t)
	p.all[spec.Worker] = x
	gate := p.gate
	p.mu.Unlock()
	p.started <- x
	if gate != nil {
		select {
		case <-gate:
		case <-ctx.Done():
		}
	}
	return x, nil
}

// Stop implements processes.
func (p *procs) Stop(w id.Worker, _ time.Duration, cause workerpool.Cause) error {
	return p.order(w, cause)
}

// Kill implements processes.
func (p *procs) Kill(w id.Worker, cause workerpool.Cause) error { return p.order(w, cause) }

func (p *procs) order(w id.Worker, cause workerpool.Cause) error {
	p.mu.Lock()
	x := p.all[w]
	gone := x == nil || x.ended
	p.mu.Unlock()
	if gone {
		return workerpool.ErrNotRunning
	}
	reason := workerpool.ExitReason{Kind: workerpool.Killed, Cause: cause, Code: -1}
	x.orders <- reason
	if !x.stubborn {
		x.exit(reason)
	}
	return nil
}

// Close implements processes.
func (p *procs) Close() error {
	p.mu.Lock()
	p.closed = true
	var alive []*proc
	for _, x := range p.all {
		alive = append(alive, x)
	}
	p.mu.Unlock()
	for _, x := range alive {
		x.exit(workerpool.ExitReason{Kind: workerpool.Killed, Cause: workerpool.CauseShutdown, Code: -1})
	}
	for _, x := range alive {
		_ = x.far.Close() // its peer, if it has one, does so too
	}
	delivered := make(chan struct{})
	p.events <- func() { close(delivered) }
	<-delivered
	close(p.events)
	return nil
}

// exit ends the process: the node hears of it once.
func (x *proc) exit(reason workerpool.ExitReason) {
	x.exitUnread(reason)
	_ = x.near.Close() // the node may have closed it
}

// exitUnread is exit while what the process has sent is still on its way.
func (x *proc) exitUnread(reason workerpool.ExitReason) {
	x.p.mu.Lock()
	defer x.p.mu.Unlock()
	if x.ended {
		return
	}
	x.ended = true
	reason.Started, reason.Ended = time.Now(), time.Now()
	x.p.events <- func() { x.p.n.processEvent(x, &reason) }
}

// takeOver tells the node that the process has taken over its role.
func (x *proc) takeOver() { x.p.events <- func() { x.p.n.processEvent(x, nil) } }

// Worker implements process.
func (x *proc) Worker() id.Worker { return x.spec.Worker }

// PID implements process.
func (x *proc) PID() int { return x.pid }

// Secret implements process.
func (x *proc) Secret() takeover.Secret { return x.secret }

// Conn implements process.
func (x *proc) Conn() *net.UnixConn { return x.near }

// Served implements process.
func (x *proc) Served() {}

// Nudge implements process.
func (x *proc) Nudge() {
	select {
	case x.nudges <- struct{}{}:
	default:
	}
}

// Forget implements processes.
func (*procs) Forget(id.Job) {}
