// Package head runs a head: a control plane and a node manager in one process. Both the mobula binary and the embedded node of a
// user's program are one.
//
// A head lives in a directory of its own:
//
//	pid            the process that has the directory; locked for as long as it lives
//	token          the secret of drivers and tools, made anew for each life
//	node.sock      where drivers open sessions
//	api.sock       gRPC: the state of the node, and the control plane
//	runtime/       directories and modules that jobs have sent to their workers, in this life of the node
//	logs/          what the node says (node.log) and what its workers print; see package logdir
//	node, control/ who the node is, and what the control plane remembers; only of a durable head
//
// The node manager talks to the control plane as it would to one elsewhere, over api.sock.
package head

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"google.golang.org/grpc"

	"github.com/mobula-dev/mobula/controlplane"
	"github.com/mobula-dev/mobula/internal/logdir"
	"github.com/mobula-dev/mobula/internal/telemetry"
	"github.com/mobula-dev/mobula/nodemanager/resource"
	"github.com/mobula-dev/mobula/nodemanager/service"
)

// Config of a head. The zero value of each field but Dir is usable.
type Config struct {
	// Dir is the node's directory; it is made, for its owner only. One head at a time can have it.
	Dir string
	// Durable keeps what the control plane knows in Dir, so that a later head there goes on with it. Otherwise it is kept in memory.
	Durable bool
	// CPUs is the number of CPUs that tasks may use; 0 is what the machine, or the container, gives this process.
	CPUs float64
	// GPUs is the number of GPUs; nil is what is found. A machine without GPUs may have some, for tests.
	GPUs *int
	// Memory is the memory that tasks may ask for in bytes; 0 is 70 % of what the machine, or the container, has.
	Memory int64
	// Resources are custom resources, in units.
	Resources map[string]float64
	// Labels are what tasks and actors may choose a node by.
	Labels map[string]string
	// MemoryThreshold is the part of the memory above which workers are ended; 0 is that of MOBULA_MEMORY_THRESHOLD, or 0.95, and 1 is never.
	MemoryThreshold float64
	// StoreBytes is the capacity of the object store; 0 is 30 % of that memory.
	StoreBytes uint64
	// Build is the version that clients see.
	Build string
	// Logger takes the log; nil is slog.Default.
	Logger *slog.Logger `json:"-"`
	// OwnerGone is called when the driver on whose behalf the node was started has ended.
	OwnerGone func() `json:"-"`
	// Shutdown is called, maybe more than once, when somebody asks over the API that the node end; it returns at once, and the head
	// is closed by whoever opened it. Nil refuses: the node belongs to a driver and ends with it.
	Shutdown func(reason string) `json:"-"`
}

// Head is a running head.
type Head struct {
	cfg       Config
	log       *slog.Logger
	dir       *directory
	control   *controlplane.Server
	api       *api
	client    *grpc.ClientConn // the node manager's to the control plane
	tracer    *telemetry.Tracer
	logs      *logdir.Dir
	nodeLog   *logdir.File
	diary     *slog.Logger // writes to nodeLog only
	node      *service.Node
	listener  net.Listener
	running   sync.WaitGroup
	closeOnce sync.Once
	closeErr  error
}

// closeTimeout bounds each of the steps of Close that wait for somebody else.
const closeTimeout = 2 * time.Second

// Open starts a head and returns when it serves. It fails with a *LockedError if a head has the directory. ctx bounds the start.
func Open(ctx context.Context, cfg Config) (*Head, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	dir, err := filepath.Abs(cfg.Dir)
	if err != nil || cfg.Dir == "" {
		return nil, errors.Join(errors.New("open head: no directory is given"), err)
	}
	cfg.Dir = dir
	h := &Head{cfg: cfg, log: cfg.Logger}
	if err := h.open(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("open head in %s: %w", cfg.Dir, err), h.Close())
	}
	return h, nil
}

func (h *Head) open(ctx context.Context) error {
	var err error
	if h.dir, err = openDirectory(h.cfg.Dir, h.cfg.Durable); err != nil {
		return err
	}
	if err := h.openLogs(); err != nil {
		return err
	}
	capacity, err := h.capacity()
	if err != nil {
		return err
	}
	if err := h.addAccelerators(ctx, &capacity); err != nil {
		return err
	}
	if capacity.memory, err = h.memoryMonitor(); err != nil {
		return err
	}
	control := controlplane.Config{InMemory: !h.cfg.Durable, Logger: h.log}
	if h.cfg.Durable {
		control.Dir = filepath.Join(h.cfg.Dir, controlName)
	}
	if h.control, err = controlplane.Open(ctx, control); err != nil {
		return err
	}
	state := service.NewState(service.StateConfig{Shutdown: h.cfg.Shutdown, ControlDir: control.Dir})
	if h.api, err = openAPI(h.cfg.Dir, h.dir.token, h.log, h.control, state); err != nil {
		return err
	}
	if h.client, err = connect(filepath.Join(h.cfg.Dir, apiSocketName), h.api.nodeToken); err != nil {
		return err
	}
	if h.cfg.Durable {
		h.reportPast(ctx)
	}
	if err := h.dropSnapshots(); err != nil {
		return err
	}
	if err := h.openNode(ctx, capacity); err != nil {
		return err
	}
	state.Attach(h.node)
	if h.listener, err = listen(filepath.Join(h.cfg.Dir, nodeSocketName)); err != nil {
		return fmt.Errorf("listen for drivers: %w", err)
	}
	h.running.Go(func() {
		if err := h.node.Accept(h.listener); err != nil {
			h.log.Error("no more drivers are accepted", "error", err)
		}
	})
	return nil
}

// openLogs makes the directory of logs, and writes the node's own there too.
func (h *Head) openLogs() error {
	var err error
	if h.logs, err = logdir.Open(filepath.Join(h.cfg.Dir, logsName), logdir.Limits{}); err != nil {
		return err
	}
	h.nodeLog = h.logs.Create(nodeLogName)
	h.diary = slog.New(slog.NewTextHandler(h.nodeLog, nil))
	h.diary.Info("node begins", "node", h.dir.node, "life", h.dir.epoch, "pid", os.Getpid(), "version", h.cfg.Build)
	h.log = slog.New(slog.NewMultiHandler(h.cfg.Logger.Handler(), h.diary.Handler()))
	return nil
}

// dropSnapshots removes what the jobs of an earlier life of the node have sent to their workers, which took no care of it.
func (h *Head) dropSnapshots() error {
	old := filepath.Join(h.cfg.Dir, "runtime.old")
	if err := os.Rename(filepath.Join(h.cfg.Dir, snapshotsName), old); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("drop old snapshots: %w", err)
	}
	h.running.Go(func() {
		if err := os.RemoveAll(old); err != nil {
			h.log.Warn("old snapshots could not be removed", "error", err)
		}
	})
	return nil
}

// openNode starts the node manager.
func (h *Head) openNode(ctx context.Context, capacity capacity) error {
	var err error
	h.tracer, err = telemetry.Open(ctx, telemetry.Config{Service: "mobula", Version: h.cfg.Build, Role: "node", NodeID: h.dir.node})
	if err != nil {
		h.log.Warn("tracing is off", "error", err)
	}
	hostname, err := os.Hostname()
	if err != nil {
		hostname = "unknown"
	}
	h.node, err = service.New(service.Config{
		NodeID: h.dir.node, Epoch: h.dir.epoch, Hostname: hostname, PID: os.Getpid(), Build: h.cfg.Build, Address: h.Address(),
		Secret: h.dir.token, CPUs: runtime.NumCPU(), Resources: capacity.request, StoreBytes: capacity.storeBytes,
		Labels: capacity.labels, Memory: capacity.memory, Logs: h.logs,
		Logger: h.log, Tracer: h.tracer, OwnerGone: h.cfg.OwnerGone, ControlPlane: controlPlaneClient(h.client), OwnProcess: true,
	})
	return err
}

// capacity is what a node has.
type capacity struct {
	request    resource.Request
	storeBytes uint64
	labels     map[string]string
	memory     service.MemoryMonitor
}

// capacity fills in what the configuration leaves to the machine, and checks the rest.
func (h *Head) capacity() (capacity, error) {
	m := thisMachine(h.log)
	c := capacity{storeBytes: h.cfg.StoreBytes}
	if c.storeBytes == 0 {
		c.storeBytes = m.memory / 10 * 3
	}
	cpus := h.cfg.CPUs
	if cpus == 0 {
		cpus = m.cpus
	}
	units, err := resource.Units(cpus)
	if err != nil {
		return c, fmt.Errorf("CPUs %v: %w", cpus, err)
	}
	c.request = resource.Request{CPUs: units, Memory: h.cfg.Memory, Custom: make(map[string]int64)}
	if h.cfg.Memory == 0 {
		c.request.Memory = int64(min(m.memory/10*7, resource.MaxMemory))
	}
	for name, q := range h.cfg.Resources {
		if c.request.Custom[name], err = resource.Units(q); err != nil {
			return c, fmt.Errorf("resource %s: %w", name, err)
		}
	}
	return c, nil
}

// Address returns what drivers connect to.
func (h *Head) Address() string { return addressScheme + filepath.Join(h.cfg.Dir, nodeSocketName) }

// ServeOwner serves the driver on whose behalf the head was started, on the descriptor between the two, until it ends.
func (h *Head) ServeOwner(nc net.Conn) error { return h.node.ServeOwner(nc) }

// Close ends everything that the head has started, workers first, and gives the directory back. It is idempotent and may be called
// from any goroutine.
func (h *Head) Close() error {
	h.closeOnce.Do(func() { h.closeErr = h.close() })
	return h.closeErr
}

func (h *Head) close() error {
	var errs []error
	if h.listener != nil {
		if err := h.listener.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	if h.node != nil {
		errs = append(errs, h.node.Close())
	}
	h.running.Wait()
	if h.node != nil && h.cfg.Durable {
		errs = append(errs, h.recordEnd())
	}
	if h.tracer != nil {
		ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
		errs = append(errs, h.tracer.Close(ctx))
		cancel()
	}
	if h.client != nil {
		errs = append(errs, h.client.Close())
	}
	if h.api != nil {
		h.api.close()
	}
	if h.control != nil {
		errs = append(errs, h.control.Close())
	}
	if h.nodeLog != nil {
		h.diary.Info("node ends")
		errs = append(errs, h.nodeLog.Close())
	}
	if h.dir != nil {
		errs = append(errs, h.dir.close())
	}
	return errors.Join(errs...)
}
