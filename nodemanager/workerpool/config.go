package workerpool

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/mobula-dev/mobula/internal/id"
	"github.com/mobula-dev/mobula/internal/logdir"
	"github.com/mobula-dev/mobula/internal/takeover"
	"github.com/mobula-dev/mobula/internal/takeover/guard"
)

// Config of a pool. The zero value of each field but Notify is usable.
type Config struct {
	// Notify receives the events of all processes, one at a time, from a goroutine of the pool. A slow Notify delays other events and, in the
	// end, new starts, nothing else. It may call every method of the pool but Close. Required.
	Notify func(Event)
	// Log receives the workers' output. Nil drops it, after it went to the files.
	Log LogSink
	// Logs is where the output is kept; nil keeps none. It stays the caller's, and open until the pool is closed.
	Logs *logdir.Dir
	// Logger is where the pool reports its own troubles; nil means slog.Default().
	Logger *slog.Logger
	// ProcessesMax bounds the processes alive at a time; 0 means 512.
	ProcessesMax int
	// TakeoverTimeout is how long a worker may take until it has taken over; 0 means takeover.DefaultTimeout.
	TakeoverTimeout time.Duration
	// CloseTimeout bounds Close; 0 means 5 s.
	CloseTimeout time.Duration
	// Backoff is how long a job must wait after its nth crash in a row before it may start another worker. Nil means Backoff of this package
	// with random jitter.
	Backoff func(crashes int) time.Duration
	// HealthyAfter is the age at which a worker's crash does not count as one of a row; 0 means 10 s.
	HealthyAfter time.Duration
	// OwnProcess says that this process is a node's: it starts no children but through this one pool. The pool then adopts, kills and reaps the
	// orphans of workers, and has a guard. It must be false where other code starts processes, as in a program's unit test; there
	// only a worker's process group is ended with it, and only the worker itself when this process is killed.
	OwnProcess bool
	// InheritEnv lists the variables of this process that workers get: names, or prefixes that end in "*". Nil means DefaultInheritEnv().
	InheritEnv []string
	// Output bounds what is kept of a worker's output.
	Output OutputLimits
}

// OutputLimits bound what a worker's standard output and error may cost. They hold for each of the two streams; zero means the default.
type OutputLimits struct {
	// LineBytesMax is where a line is cut; 0 means 16 KiB.
	LineBytesMax int
	// BytesPerSecond and BurstBytes are what is passed on, counting each line as its bytes and 64 more. What exceeds it is dropped and counted.
	// 0 means 2 MiB and 8 MiB.
	BytesPerSecond, BurstBytes int64
}

// LogSink receives one line of a worker's output, without its end. It must not block, and the line is only valid during the call. It is called from
// two goroutines per worker.
type LogSink func(worker id.Worker, stream Stream, line []byte)

// Stream is one of a worker's two outputs.
type Stream uint8

// The streams.
const (
	Stdout Stream = 1
	Stderr Stream = 2
)

// String returns the usual short name, which is also the extension of the log file.
func (s Stream) String() string {
	if s == Stderr {
		return "err"
	}
	return "out"
}

// Spec says what to start.
type Spec struct {
	Job    id.Job
	Worker id.Worker
	Node   id.Node
	// Executable is the program, as a descriptor: a path may name another program, or none, by the time that it is needed. It stays
	// the caller's and may be closed once Start has returned.
	Executable *os.File
	// Path is the program where Executable is nil (an installed interpreter) or where the system cannot start a descriptor.
	Path string
	// Args holds the program's name and its arguments; at least the name.
	Args []string
	// Env is set beside the inherited variables and wins over them.
	Env map[string]string
	// Dir is the working directory; empty means this process's.
	Dir string
	// LogName begins the names of the files in which the output is kept, NAME-WORKER-PID.out and .err; empty means none.
	LogName string
	// Socket and Settings are handed on in the worker's role; see takeover.Role.
	Socket   string
	Settings map[string]string
	// Isolated is handed on in the worker's role.
	Isolated bool
	// TakeoverTimeout replaces that of the pool's Config, unless it is 0.
	TakeoverTimeout time.Duration
	// Fork says that the program serves the role of a zygote, from which the worker is forked; workers of a job with the same program, arguments,
	// directory and environment share one. Where that does not work the worker is started by exec as others are.
	Fork bool
}

// DefaultInheritEnv returns what a worker needs of its node's environment: where things are, the locale, proxies, and the settings of
// runtimes and devices. Everything else comes from the job.
func DefaultInheritEnv() []string {
	return []string{
		"PATH", "HOME", "USER", "LOGNAME", "SHELL", "TMPDIR", "TZ", "LANG", "LANGUAGE", "LC_*", "LD_LIBRARY_PATH", "XDG_*",
		"SSL_CERT_FILE", "SSL_CERT_DIR", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy",
		"GOGC", "GOMEMLIMIT", "GODEBUG", "GOTRACEBACK", "GOCOVERDIR", "OTEL_*", "CUDA_*", "NVIDIA_*", "OMP_*",
	}
}

// Backoff doubles from 100 ms up to 30 s, the first crash being free. Jitter, in [0, 1), spreads the second half of each wait.
func Backoff(crashes int, jitter float64) time.Duration {
	const first, last = 100 * time.Millisecond, 30 * time.Second
	if crashes < 2 {
		return 0
	}
	wait := last
	if shift := crashes - 2; shift < 9 { // 100 ms << 9 exceeds 30 s.
		wait = min(first<<shift, last)
	}
	return wait/2 + time.Duration(jitter*float64(wait/2))
}

// complete validates the configuration and fills in the defaults.
func (c Config) complete() (Config, error) {
	if c.Notify == nil {
		return c, errors.New("configure worker pool: Notify is nil")
	}
	numbers := []int64{
		int64(c.ProcessesMax), int64(c.TakeoverTimeout), int64(c.CloseTimeout), int64(c.HealthyAfter),
		int64(c.Output.LineBytesMax), c.Output.BytesPerSecond, c.Output.BurstBytes,
	}
	if slices.Min(numbers) < 0 {
		return c, errors.New("configure worker pool: a limit is negative")
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.Backoff == nil {
		c.Backoff = func(crashes int) time.Duration {
			return Backoff(crashes, rand.Float64()) //nolint:gosec // Jitter need not be secret.
		}
	}
	if c.InheritEnv == nil {
		c.InheritEnv = DefaultInheritEnv()
	}
	orDefault(&c.ProcessesMax, 512)
	orDefault(&c.TakeoverTimeout, takeover.DefaultTimeout)
	orDefault(&c.CloseTimeout, 5*time.Second)
	orDefault(&c.HealthyAfter, 10*time.Second)
	c.Output = c.Output.complete()
	return c, nil
}

func (l OutputLimits) complete() OutputLimits {
	orDefault(&l.LineBytesMax, 16<<10)
	orDefault(&l.BytesPerSecond, 2<<20)
	orDefault(&l.BurstBytes, 8<<20)
	return l
}

func orDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// validate checks what the kernel would refuse with a worse message, or not at all.
func (s Spec) validate() error {
	if s.Worker == (id.Worker{}) {
		return errors.New("the worker has no id")
	}
	if s.Executable == nil && s.Path == "" {
		return errors.New("neither executable nor path is given")
	}
	if len(s.Args) == 0 {
		return errors.New("the arguments lack the program's name")
	}
	for name, value := range s.Env {
		switch {
		case name == "" || strings.ContainsAny(name, "=\x00") || strings.ContainsRune(value, 0):
			return fmt.Errorf("environment variable %q is malformed", name)
		case takeover.Reserved(name) || name == guard.EnvMark:
			return fmt.Errorf("environment variable %s is reserved", name)
		}
	}
	return nil
}

// environment returns the variables of a worker, sorted. Role variables are added by the caller.
func environment(own []string, inherit []string, spec Spec, mark string) []string {
	vars := make(map[string]string, len(spec.Env)+len(inherit))
	for _, kv := range own {
		name, value, _ := strings.Cut(kv, "=")
		if slices.ContainsFunc(inherit, func(pattern string) bool { return matches(pattern, name) }) {
			vars[name] = value
		}
	}
	maps.Copy(vars, spec.Env)
	vars[guard.EnvMark] = mark
	env := make([]string, 0, len(vars)+3)
	for name, value := range vars {
		if !takeover.Reserved(name) {
			env = append(env, name+"="+value)
		}
	}
	slices.Sort(env)
	return env
}

func matches(pattern, name string) bool {
	if prefix, ok := strings.CutSuffix(pattern, "*"); ok {
		return strings.HasPrefix(name, prefix)
	}
	return pattern == name
}
