// Package service is the node manager's shell: sessions with drivers and workers, and the glue between the pure parts that decide
// (scheduler, ownership) and the parts that act (worker processes, shared memory, the control plane).
//
// One lock, Node.mu, guards all state. A session's reading goroutine reads what has come, takes the lock, handles every frame,
// lets the pure parts settle, gives the lock back and flushes what was caused to the sockets without blocking on any. Timers and process
// events go the same way (locked). With mu held nothing is called that can block: sending only appends to a connection's buffer.
// Lock order: Node.mu, then a connection's own locks.
package service

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"
	"github.com/mobula-dev/mobula/internal/id"
	"github.com/mobula-dev/mobula/internal/logdir"
	"github.com/mobula-dev/mobula/internal/telemetry"
	"github.com/mobula-dev/mobula/nodemanager/ownership"
	"github.com/mobula-dev/mobula/nodemanager/resource"
	"github.com/mobula-dev/mobula/nodemanager/scheduler"
	"github.com/mobula-dev/mobula/nodemanager/workerpool"
)

// Config of a node's service. NodeID, Epoch, Resources, ControlPlane and Logger are required.
type Config struct {
	// NodeID names this life of the node.
	NodeID id.Node
	// Epoch counts the lives of the node in its directory, from 1.
	Epoch uint64
	// Hostname and PID are for state listings.
	Hostname string
	PID      int
	// Build is the version that clients see.
	Build string
	// Address is how clients reach the node, for state listings.
	Address string
	// Secret is what a driver on the socket must present; empty lets nobody in but drivers on inherited descriptors.
	Secret []byte
	// CPUs is the number of CPUs that shared Go workers use.
	CPUs int
	// Resources is what the node has.
	Resources resource.Request
	// Scheduler holds the scheduler's limits; zero fields have defaults.
	Scheduler scheduler.Config
	// Labels are the node's, for work that asks for them.
	Labels map[string]string
	// Logs is where workers' output is kept; nil keeps none. It stays the caller's.
	Logs *logdir.Dir
	// JobBytes bounds the specs and inline values of a job; 0 is 512 MiB.
	JobBytes uint64
	// JobTasks bounds the unfinished tasks of a job; 0 is 4 million.
	JobTasks int
	// StoreBytes is the capacity of the object store; 0 is 30 % of the memory.
	StoreBytes uint64
	// Logger takes the node's log.
	Logger *slog.Logger
	// Tracer takes the node's spans; nil takes none.
	Tracer *telemetry.Tracer
	// OwnerGone is called when the driver that owns the node has ended.
	OwnerGone func()
	// ControlPlane is where jobs, actors, names and keys are recorded.
	ControlPlane mobulav1.ControlPlaneServiceClient
	// Memory says when workers are ended for lack of memory.
	Memory MemoryMonitor
	// OwnProcess says that this process starts no children but workers: see workerpool.Config.
	OwnProcess bool
}

// limits are the bounds of what clients may send; docs/protocol.md has the table.
type limits struct {
	name, labels, templates, maxCallSite, callSites, args, description int
	returns                                                            uint32
	claim                                                              time.Duration // for a name, until its actor fails
}

// Node is a node manager.
type Node struct {
	cfg        Config
	id         id.Node
	log        *slog.Logger
	tracer     *telemetry.Tracer
	pool       processes
	cpus       int
	limits     limits
	started    time.Time
	startedAt  time.Time
	ctx        context.Context // ends when the node closes; background work stops with it
	stop       context.CancelFunc
	background sync.WaitGroup        // goroutines that the node started
	state      atomic.Pointer[State] // answers state calls; nil until it is attached
	history    history               // of tasks that have ended
	placements map[[16]byte]*placement
	labels     map[string]string
	deserted   chan struct{} // closed when the last worker has ended; nil unless the node waits for that
	wake       *time.Timer
	logs       logBuffer

	mu          sync.Mutex // guards everything below; see the package comment
	now         int64      // the event's time, set when mu is taken
	closed      bool
	dir         *ownership.Directory
	sched       *scheduler.Scheduler
	resources   *resource.Set
	store       storeState
	sessions    map[ownership.Session]*session
	nextSession ownership.Session
	jobs        map[id.Job]*job
	actors      map[id.Actor]*actor
	recorder    recorder
	draining    string // why no new jobs are taken; empty when they are
	workers     map[id.Worker]*worker
	builders    builders
	memory      memoryWatch
	handles     handles
	children    map[uint64][]*task // unfinished tasks by the handle of the task that submitted them
	templates   uint32
	dirty       []*session
	startErrors map[id.Job]*mobulav1.ErrorValue // why the last worker of a job could not be started
	exits       []workerExit                    // of workers, the newest last, for listings
	deadActors  []*actor                        // the newest last, for listings

	// Scratch space of the lock's holder.
	schedEffects   []scheduler.Effect
	scratchSubmit  mobulav1.Submit
	scratchValue   mobulav1.Value
	scratchResult  mobulav1.Result
	scratchExecute mobulav1.Execute
	scratchDone    mobulav1.Done
	scratchRelease mobulav1.Release
	scratchSpan    telemetry.Span
}

// workerExit is the end of a worker, for listings.
type workerExit struct {
	worker *worker
	reason workerpool.ExitReason
}

// exitsMax is how many ends of workers and dead actors are kept for listings.
const exitsMax = 1000

func appendBounded[T any](list []T, v T) []T {
	if len(list) >= exitsMax {
		list = append(list[:0], list[exitsMax/10:]...)
	}
	return append(list, v)
}

// New makes a node. Close ends it.
func New(cfg Config) (*Node, error) { return newNode(cfg, openPool) }

// newNode makes a node whose workers are started by what open returns.
func newNode(cfg Config, open func(*Node) (processes, error)) (*Node, error) {
	if cfg.Logger == nil {
		return nil, errors.New("configure node: Logger is nil")
	}
	if cfg.ControlPlane == nil {
		return nil, errors.New("configure node: ControlPlane is nil")
	}
	if cfg.JobBytes == 0 {
		cfg.JobBytes = 512 << 20
	}
	if cfg.JobTasks == 0 {
		cfg.JobTasks = 4 << 20
	}
	set := resource.NewSet()
	ledger, err := set.NewLedger(cfg.Resources)
	if err != nil {
		return nil, fmt.Errorf("configure node: %w", err)
	}
	sched, err := scheduler.New(cfg.Scheduler, ledger)
	if err != nil {
		return nil, fmt.Errorf("configure node: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	n := &Node{
		cfg: cfg, id: cfg.NodeID, log: cfg.Logger, tracer: cfg.Tracer, cpus: max(1, cfg.CPUs), ctx: ctx, stop: cancel,
		started: time.Now(), startedAt: time.Now(), dir: ownership.New(newSeed()), sched: sched, resources: set,
		limits:     limits{name: 256, labels: 64, templates: 65_535, maxCallSite: 4096, callSites: 65_535, args: 10_000, description: 64 << 10, returns: 10_000, claim: queryTimeout},
		placements: make(map[[16]byte]*placement), labels: nodeLabels(cfg),
		sessions: make(map[ownership.Session]*session), jobs: make(map[id.Job]*job), actors: make(map[id.Actor]*actor),
		workers: make(map[id.Worker]*worker), children: make(map[uint64][]*task), startErrors: make(map[id.Job]*mobulav1.ErrorValue),
	}
	n.memory.cfg = cfg.Memory.complete()
	if err := n.store.init(n); err != nil {
		cancel()
		return nil, fmt.Errorf("configure node: %w", err)
	}
	n.wake = time.AfterFunc(time.Hour, n.tick)
	n.wake.Stop()
	if n.pool, err = open(n); err != nil {
		cancel()
		return nil, fmt.Errorf("configure node: %w", err)
	}
	if cfg.OwnProcess {
		tuneCollector(ctx)
	}
	n.recorder.init(cfg.ControlPlane)
	n.background.Go(n.runRecorder)
	n.background.Go(n.runEffects)
	n.locked(n.recordNode)
	return n, nil
}

func newSeed() ownership.Seed {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand ends the process instead
	return ownership.Seed{binary.LittleEndian.Uint64(b[:8]), binary.LittleEndian.Uint64(b[8:])}
}

// Accept serves drivers that connect to the listener until it is closed.
func (n *Node) Accept(l net.Listener) error {
	for {
		nc, err := l.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return nil
			}
			return fmt.Errorf("accept drivers: %w", err)
		}
		n.mu.Lock()
		served := n.aside(func() {
			if err := n.handshake(nc, nil); err != nil && !errors.Is(err, context.Canceled) {
				n.log.Warn("session refused", "error", err)
			}
		})
		n.mu.Unlock()
		if !served {
			return nc.Close()
		}
	}
}

// aside runs f on a goroutine for which Close waits, and reports whether it does: not when the node is closing. It needs mu.
func (n *Node) aside(f func()) bool {
	if n.closed {
		return false
	}
	n.background.Go(f)
	return true
}

// ServeOwner serves the driver on whose behalf the node was started, on the descriptor between the two. It needs no secret.
func (n *Node) ServeOwner(nc net.Conn) error { return n.handshakeAs(nc, nil, true) }

// Close ends all sessions and workers and waits for them, as long as the worker pool needs at most.
func (n *Node) Close() error {
	n.mu.Lock()
	if n.closed {
		n.mu.Unlock()
		return nil
	}
	n.closed = true
	n.wake.Stop()
	var open []*session
	for _, s := range n.sessions {
		open = append(open, s)
	}
	n.mu.Unlock()
	for _, s := range open {
		if s.worker == nil {
			if s.conn.Send(mobulav1.FrameKind_FRAME_KIND_GOODBYE, &mobulav1.Goodbye{Reason: "the node is shutting down"}) == nil {
				s.conn.TryFlush()
			}
		}
	}
	if n.tracer.Enabled() {
		n.farewell(open)
	}
	err := n.pool.Close()
	for _, s := range open {
		s.conn.Fail(errShutdown)
	}
	n.stop()
	n.background.Wait()
	return err
}

// farewellGrace is how long workers may take to export the spans that they have when the node closes.
const farewellGrace = time.Second

// farewell asks all workers to end and waits until they have, or until farewellGrace: a worker that is killed exports nothing.
func (n *Node) farewell(open []*session) {
	gone := make(chan struct{})
	n.mu.Lock()
	if len(n.workers) > 0 {
		n.deserted = gone
	} else {
		close(gone)
	}
	n.mu.Unlock()
	for _, s := range open {
		if s.worker != nil && s.conn.SendThen(mobulav1.FrameKind_FRAME_KIND_EXIT, &mobulav1.Exit{Reason: "the node is shutting down"}, s.worker.process.Nudge) == nil {
			s.conn.TryFlush()
		}
	}
	select {
	case <-gone:
	case <-time.After(farewellGrace):
	}
}

var errShutdown = errors.New("the node is shutting down")
