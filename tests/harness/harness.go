// Package harness runs tests against real processes: drivers, nodes and workers, each of which is the test's own executable.
//
//   - Alone runs a test in a process of its own, so that it may open a session, and is checked for leaks of its own.
//   - Open opens a session with an embedded node; StartNode starts a node as a process that the test knows, and may kill.
//   - StartDriver runs a program of the test (see Main) as a driver that may be killed or stopped.
//   - Package gate lets a test hold, release and count what runs elsewhere.
//
// After each test nothing may be left: no process, no descriptor, no goroutine, no temporary file.
package harness

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/mobula-dev/mobula/clients/go/mobula"
)

// The variables that tell a process of the test's executable what it is.
const (
	envAlone   = "MOBULA_HARNESS_ALONE"   // a test that runs alone: its name
	envProgram = "MOBULA_HARNESS_PROGRAM" // a program of Main: its name
	envInput   = "MOBULA_HARNESS_INPUT"   // what it works on
	envMark    = "MOBULA_HARNESS_MARK"    // carried by every process of one test
)

// nodeProgram is the program that StartNode runs.
const nodeProgram = "node"

// Patience is how long the harness waits for what must happen. It is far above what anything takes, also with the race detector on a
// busy machine: a test that meets it has found a hang.
const Patience = 20 * time.Second

// Program is what a child process of a test does in place of tests. What it writes to out is for Process.Line.
type Program func(ctx context.Context, input string, out io.Writer) error

// Main is what TestMain calls: it runs the package's tests, or the program that this process was started for, and returns the exit code.
func Main(m *testing.M, programs map[string]Program) int {
	name := os.Getenv(envProgram)
	if name == "" {
		return m.Run()
	}
	run := programs[name]
	if name == nodeProgram {
		run = serveNode
	}
	if run == nil {
		run = func(context.Context, string, io.Writer) error { return errors.New("there is no such program") }
	}
	if err := run(context.Background(), os.Getenv(envInput), os.Stdout); err != nil {
		fmt.Fprintf(os.Stderr, "harness: program %s: %v\n", name, err)
		return 1
	}
	return 0
}

// Open opens a session that ends with the test, on a node of its own unless an option names an address. Its workers carry the test's mark.
func Open(t *testing.T, options ...mobula.InitOption) context.Context {
	t.Helper()
	ctx, stop := OpenUntil(t, options...)
	t.Cleanup(stop)
	return ctx
}

// OpenUntil is Open for a test that ends the session itself.
func OpenUntil(t *testing.T, options ...mobula.InitOption) (context.Context, func()) {
	t.Helper()
	start, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	name, value, _ := strings.Cut(raceExit, "=")
	with := []mobula.InitOption{mobula.WithCPUs(2), mobula.WithWorkerEnv(envMark, os.Getenv(envMark)), mobula.WithWorkerEnv(name, value)}
	ctx, stop, err := mobula.Init(start, append(with, options...)...)
	if err != nil {
		t.Fatalf("open a session: %v", err)
	}
	// The context carries the session and no end: what the tests submit must not have a deadline by accident.
	return context.WithoutCancel(ctx), stop
}

// Get waits for a ref and fails the test when there is no value.
func Get[T any](t *testing.T, ref mobula.Ref[T]) T {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	v, err := ref.Get(ctx)
	if err != nil {
		t.Fatalf("get: %+v", err)
	}
	return v
}

// Failure waits for a ref that must resolve to an error of that kind, and returns it.
func Failure[T any](t *testing.T, ref mobula.Ref[T], kind mobula.ErrorKind) *mobula.Error {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	v, err := ref.Get(ctx)
	if err == nil {
		t.Fatalf("get returned %v, want an error of kind %v", v, kind)
	}
	if ctx.Err() != nil {
		t.Fatalf("the ref did not resolve within %v: %v", Patience, err)
	}
	return Kind(t, err, kind)
}

// Fails is Failure for a test to which the kind says enough.
func Fails[T any](t *testing.T, ref mobula.Ref[T], kind mobula.ErrorKind) {
	t.Helper()
	_ = Failure(t, ref, kind) // it is as it must be
}

// HasKind is Kind for a test to which the kind says enough.
func HasKind(t *testing.T, err error, kind mobula.ErrorKind) {
	t.Helper()
	_ = Kind(t, err, kind) // it is as it must be
}

// Kind checks that err is an error of that kind and returns it.
func Kind(t *testing.T, err error, kind mobula.ErrorKind) *mobula.Error {
	t.Helper()
	e, ok := err.(*mobula.Error) //nolint:errorlint // Not one inside another: it is what functions of the API fail with.
	if !ok {
		t.Fatalf("error is a %T, want *mobula.Error: %v", err, err)
	}
	if e.Kind != kind {
		t.Fatalf("error is of kind %v, want %v: %+v", e.Kind, kind, e)
	}
	if e.Message == "" {
		t.Fatalf("error of kind %v says nothing", kind)
	}
	return e
}

// Eventually waits until condition holds. It is for what has no event to wait for, such as the end of another's process.
func Eventually(t *testing.T, within time.Duration, what string, condition func() bool) {
	t.Helper()
	if !poll(within, condition) {
		t.Fatalf("not within %v: %s", within, what)
	}
}

// poll asks until condition holds or the time is over.
func poll(within time.Duration, condition func() bool) bool {
	const step = 5 * time.Millisecond
	deadline := time.NewTimer(within)
	defer deadline.Stop()
	tick := time.NewTicker(step)
	defer tick.Stop()
	for {
		if condition() {
			return true
		}
		select {
		case <-deadline.C:
			return condition()
		case <-tick.C:
		}
	}
}
