package mobula

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"

	"github.com/mobula-dev/mobula/clients/go/mobula/internal/core"
	"github.com/mobula-dev/mobula/clients/go/mobula/internal/session"
	"github.com/mobula-dev/mobula/internal/id"
	"github.com/mobula-dev/mobula/internal/takeover"
	"github.com/mobula-dev/mobula/internal/telemetry"
)

// InitOption changes how Init connects or starts a node.
type InitOption func(*initConfig)

// initConfig is what the options of Init say.
type initConfig struct {
	address    string
	namespace  string
	cpus       float64
	gpus       *int
	memory     int64
	resources  map[string]float64
	storeBytes uint64
	workerEnv  map[string]string
	output     io.Writer
	quiet      bool
}

// WithAddress connects to the node at the address, as mobula up prints it, in place of starting one. The variable MOBULA_ADDRESS does the same.
func WithAddress(address string) InitOption { return func(c *initConfig) { c.address = address } }

// WithNamespace is where names of actors and keys count; default a namespace of the job's own.
func WithNamespace(namespace string) InitOption {
	return func(c *initConfig) { c.namespace = namespace }
}

// WithCPUs is the number of CPUs that tasks may use on the node that Init starts; default the machine's.
func WithCPUs(n float64) InitOption { return func(c *initConfig) { c.cpus = n } }

// WithGPUs is the number of GPUs of the node that Init starts; default those that are found.
func WithGPUs(n int) InitOption { return func(c *initConfig) { c.gpus = &n } }

// WithMemory is the memory, in bytes, that tasks may ask for on the node that Init starts; default 70 % of the machine's.
func WithMemory(bytes int64) InitOption { return func(c *initConfig) { c.memory = bytes } }

// WithResource gives the node that Init starts units of a custom resource.
func WithResource(name string, n float64) InitOption {
	return func(c *initConfig) {
		if c.resources == nil {
			c.resources = make(map[string]float64)
		}
		c.resources[name] = n
	}
}

// WithStoreBytes is the capacity of the object store of the node that Init starts; default 30 % of the machine's memory.
func WithStoreBytes(n uint64) InitOption { return func(c *initConfig) { c.storeBytes = n } }

// WithWorkerEnv sets a variable in the environment of the job's workers.
func WithWorkerEnv(name, value string) InitOption {
	return func(c *initConfig) {
		if c.workerEnv == nil {
			c.workerEnv = make(map[string]string)
		}
		c.workerEnv[name] = value
	}
}

// WithOutput writes what workers print, and the runtime's warnings, to w; default standard error. Nil drops them.
func WithOutput(w io.Writer) InitOption {
	return func(c *initConfig) { c.output, c.quiet = w, w == nil }
}

// closeTimeout bounds the end of a session when Init's stop is called.
const closeTimeout = 10 * time.Second

// Init opens a session and returns a context that carries it, and a function that ends it. Without an address, by option or in
// MOBULA_ADDRESS, it starts a node: a child process that ends with this one. The session is also the process's default, for contexts
// that carry none. stop waits until the node has ended, at most ten seconds, and is safe to call more than once; refs of the session resolve to an
// error of kind SessionClosed from then on.
func Init(ctx context.Context, options ...InitOption) (_ context.Context, stop func(), err error) {
	if os.Getenv(takeover.EnvRole) != "" { // generated code would have taken over before main
		core.Warn("this program lacks mobula_main_gen.go, so its main runs up to Init in every node and worker: run go generate; " +
			"without remote functions of its own, call mobula.Takeover first thing in main")
		Takeover()
	}
	c := initConfig{address: os.Getenv("MOBULA_ADDRESS"), output: os.Stderr}
	for _, o := range options {
		o(&c)
	}
	if rt := core.Default(); rt != nil && rt.Session.Err() == nil {
		return ctx, func() {}, public(errors.New("mobula is initialised already: stop the first session, or pass on its context"))
	}
	rt, closeNode, err := connect(ctx, &c)
	if err != nil {
		return ctx, func() {}, public(err)
	}
	core.SetDefault(rt)
	var once sync.Once
	stop = func() {
		once.Do(func() {
			core.ReplaceDefault(rt, nil)
			end, cancel := context.WithTimeout(context.Background(), closeTimeout)
			defer cancel()
			if err := errors.Join(rt.Session.Close(end), closeNode(end), rt.Tracer.Close(end)); err != nil && !c.quiet {
				core.Warn("end of session: " + err.Error())
			}
		})
	}
	return core.WithRuntime(ctx, rt), stop, nil
}

// connect opens the session, starting a node for it if there is no address.
func connect(ctx context.Context, c *initConfig) (*core.Runtime, func(context.Context) error, error) {
	executable, err := os.Open(selfPath)
	if err != nil {
		return nil, nil, fmt.Errorf("open this program's executable: %w", err)
	}
	notice, run := printer(c)
	cfg := session.Config{Hello: hello(c), Executable: executable, Notice: notice}
	var s *session.Session
	closeNode := func(context.Context) error { return nil }
	if c.address != "" {
		s, err = dial(ctx, c.address, cfg)
	} else {
		s, closeNode, err = embed(ctx, c, cfg)
	}
	if err != nil {
		return nil, nil, err
	}
	node, _ := id.FromBytes[id.Node](s.Welcome().GetNodeId()) // zero when it does not say
	tracer, err := telemetry.Open(ctx, telemetry.Config{Role: "driver", UseGlobal: true, NodeID: node, JobID: s.Job()})
	if err != nil && !c.quiet {
		core.Warn("tracing is off: " + err.Error())
	}
	go run(s.Done())
	rt := &core.Runtime{Session: s, Tracer: tracer}
	s.SetOwner(rt)
	return rt, closeNode, nil
}

// hello is the first frame of a driver.
func hello(c *initConfig) *mobulav1.Hello {
	wd, err := os.Getwd()
	if err != nil {
		wd = "" // workers start in the node's directory
	}
	h := &mobulav1.Hello{
		Build: Version(), Role: mobulav1.Role_ROLE_DRIVER, Language: mobulav1.Language_LANGUAGE_GO, LanguageVersion: runtime.Version(),
		Program: os.Args[0], Namespace: c.namespace, Functions: core.Infos(), WorkingDir: wd, WantsLogs: !c.quiet,
		WorkerEnv: maps.Clone(c.workerEnv),
	}
	for _, kv := range os.Environ() {
		name, value, _ := strings.Cut(kv, "=")
		if !strings.HasPrefix(name, "OTEL_") {
			continue
		}
		if h.WorkerEnv == nil {
			h.WorkerEnv = make(map[string]string)
		}
		if _, given := h.WorkerEnv[name]; !given {
			h.WorkerEnv[name] = value
		}
	}
	return h
}

// dial opens a session with the node at an address.
func dial(ctx context.Context, address string, cfg session.Config) (*session.Session, error) {
	socket := strings.TrimPrefix(address, "unix:")
	if info, err := os.Stat(socket); err == nil && info.IsDir() {
		socket = filepath.Join(socket, "node.sock")
	}
	b, err := os.ReadFile(filepath.Join(filepath.Dir(socket), "token"))
	if err != nil {
		return nil, fmt.Errorf("connect to the node at %s: read its token: %w", address, err)
	}
	if cfg.Hello.Secret, err = hex.DecodeString(strings.TrimSpace(string(b))); err != nil {
		return nil, fmt.Errorf("connect to the node at %s: read its token: %w", address, err)
	}
	return session.Dial(ctx, socket, cfg)
}

// noticesMax is how many notices may wait for an output that takes nothing; more are dropped and counted.
const noticesMax = 256

// printer writes notices from a goroutine of its own, which ends with the session: an output that is stuck stops nobody.
func printer(c *initConfig) (notice func(*mobulav1.Notice), run func(done <-chan struct{})) {
	if c.quiet {
		return nil, func(<-chan struct{}) {}
	}
	waiting := make(chan *mobulav1.Notice, noticesMax)
	var dropped atomic.Int64
	notice = func(n *mobulav1.Notice) {
		select {
		case waiting <- n:
		default:
			dropped.Add(1)
		}
	}
	return notice, func(done <-chan struct{}) {
		for {
			select {
			case n := <-waiting:
				write(c.output, n)
			case <-done:
				for len(waiting) > 0 {
					write(c.output, <-waiting)
				}
				return
			}
			if d := dropped.Swap(0); d > 0 {
				_, _ = fmt.Fprintf(c.output, "mobula: %d messages of workers were dropped because the output did not take them\n", d) // as in write
			}
		}
	}
}

// write writes one notice.
func write(w io.Writer, n *mobulav1.Notice) {
	var b strings.Builder
	prefix := "mobula: "
	if n.GetKind() != mobulav1.Notice_KIND_WARNING {
		prefix = fmt.Sprintf("(%s pid=%d) ", filepath.Base(n.GetSource()), n.GetPid())
	}
	for _, line := range n.GetLines() {
		b.WriteString(prefix)
		b.WriteString(line)
		b.WriteByte('\n')
	}
	_, _ = io.WriteString(w, b.String()) // the program's own output; there is nowhere to say that it failed
}

// Version returns the version of this library as the program was built with it.
func Version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	const path = "github.com/mobula-dev/mobula"
	if info.Main.Path == path {
		return info.Main.Version
	}
	for _, m := range info.Deps {
		if m.Path == path {
			return m.Version
		}
	}
	return "unknown"
}

// hexID writes an id.
func hexID(b []byte) string { return hex.EncodeToString(b) }

// sessionOn opens a session on a connection to a node of this program's own.
func sessionOn(ctx context.Context, nc net.Conn, cfg session.Config) (*session.Session, error) {
	return session.Open(ctx, nc, cfg)
}
