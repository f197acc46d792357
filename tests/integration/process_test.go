package integration

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/mobula-dev/mobula/clients/go/mobula"
	"github.com/mobula-dev/mobula/head"
	"github.com/mobula-dev/mobula/tests/harness"
	"github.com/mobula-dev/mobula/tests/harness/gate"
	"github.com/mobula-dev/mobula/tests/integration/work"
)

func TestWorkerThatDoesNotStartSaysWhy(t *testing.T) {
	t.Parallel()
	for how, want := range map[string]string{work.StartExits: "code 5", work.StartPanics: "while the worker starts", work.StartBlocks: "has not taken over"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			if how == work.StartBlocks && testing.Short() {
				t.Skip("a worker has ten seconds to take over")
			}
			harness.Alone(t, func() {
				ctx := harness.Open(t, mobula.WithWorkerEnv(work.EnvStart, how))
				ref := work.AddRemote(ctx, 1, 2)
				wait, cancel := context.WithTimeout(ctx, 3*harness.Patience)
				defer cancel()
				_, err := ref.Get(wait)
				if wait.Err() != nil {
					t.Fatalf("the ref does not resolve: %v", err)
				}
				e := harness.Kind(t, err, mobula.WorkerStart)
				if all := fmt.Sprintf("%+v", e); !strings.Contains(all, want) || e.Execution != mobula.NotExecuted {
					t.Errorf("the error does not say %q, or that the task did not run: %s", want, all)
				}
			})
		})
	}
}

// output collects what a session prints.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer // guarded by mu
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(b)
}

func (o *output) has(text string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return bytes.Contains(o.b.Bytes(), []byte(text))
}

func TestOutputOfWorkersReachesTheDriver(t *testing.T) {
	t.Parallel()
	harness.Alone(t, func() {
		var out output
		ctx := harness.Open(t, mobula.WithOutput(&out))
		harness.Get(t, work.PrintRemote(ctx, 3, 10))
		pid := harness.Get(t, work.HereRemote(ctx)).PID
		for _, line := range []string{"out 0 xxxxxxxxxx", "err 2 xxxxxxxxxx", fmt.Sprintf("pid=%d", pid)} {
			harness.Eventually(t, harness.Patience, "the output has "+line, func() bool { return out.has(line) })
		}
	})
}

func TestFloodOfOutputStopsNobody(t *testing.T) {
	t.Parallel()
	harness.Alone(t, func() {
		ctx := harness.Open(t, mobula.WithOutput(io.Discard))
		var floods []mobula.Ref[struct{}]
		for range 2 {
			floods = append(floods, work.PrintRemote(ctx, 20_000, 400))
		}
		log := work.NewLogRemote(ctx, "first", mobula.CPU(0))
		for i := range 100 {
			if got := harness.Get(t, log.AppendRemote(ctx, "x")); got != i+2 {
				t.Fatalf("the log has %d lines, want %d", got, i+2)
			}
		}
		for _, r := range floods {
			harness.Get(t, r)
		}
	})
}

// stuck is a writer that takes nothing until it is closed.
type stuck struct{ release chan struct{} }

func (s *stuck) Write(b []byte) (int, error) {
	<-s.release
	return len(b), nil
}

func TestOutputThatNobodyTakesStopsNobody(t *testing.T) {
	t.Parallel()
	harness.Alone(t, func() {
		out := &stuck{release: make(chan struct{})}
		ctx, stop := harness.OpenUntil(t, mobula.WithOutput(out))
		defer stop()
		defer close(out.release)
		harness.Get(t, work.PrintRemote(ctx, 100, 100))
		for range 200 {
			harness.Get(t, work.AddRemote(ctx, 1, 2))
		}
	})
}

func TestSubprocessesOfWorkersEndWithThem(t *testing.T) {
	t.Parallel()
	for _, session := range []bool{false, true} {
		for name, end := range map[string]func(stop func(), worker, node int) error{
			"when the session is stopped": func(stop func(), _, _ int) error { stop(); return nil },
			"when the worker is killed":   func(_ func(), worker, _ int) error { return syscall.Kill(worker, syscall.SIGKILL) },
			"when the node is killed":     func(_ func(), _, node int) error { return syscall.Kill(node, syscall.SIGKILL) },
		} {
			if session {
				name += ", in sessions of their own"
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				harness.Alone(t, func() {
					g := gate.New(t)
					ctx, stop := harness.OpenUntil(t)
					defer stop()
					worker := harness.Get(t, work.HereRemote(ctx)).PID
					spawned := work.SpawnRemote(ctx, g.Address(), session, mobula.MaxRetries(0))
					g.Await(t, fmt.Sprintf("spawned by %d", worker))
					children := harness.Descendants(worker)
					if len(children) != 1 {
						t.Fatalf("the worker has the descendants %v, want one", children)
					}
					if err := end(stop, worker, nodeOf(t, worker)); err != nil {
						t.Fatal(err)
					}
					allGone(t, append(children, worker))
					if err := failure(t, spawned); err == nil {
						t.Error("the task that was interrupted succeeded")
					}
				})
			})
		}
	}
}

func TestWorkersHaveTheirOwnSurroundings(t *testing.T) {
	t.Parallel()
	harness.Alone(t, func() {
		ctx := harness.Open(t, mobula.WithWorkerEnv("HARNESS_JOB", "job"))
		names := []string{"HARNESS_JOB", "HARNESS_TASK", "MOBULA_ROLE", "MOBULA_ROLE_FD", "MOBULA_ROLE_PROOF", "MOBULA_HARNESS_ALONE"}
		shared := harness.Get(t, work.LookRemote(ctx, names))
		own := harness.Get(t, work.LookRemote(ctx, names, mobula.Env("HARNESS_TASK", "task"), mobula.Env("HARNESS_JOB", "over")))
		if shared.Env["HARNESS_JOB"] != "job" || len(shared.Env) != 1 || own.Env["HARNESS_TASK"] != "task" || own.Env["HARNESS_JOB"] != "over" || len(own.Env) != 2 {
			t.Errorf("the environments are %v and %v", shared.Env, own.Env)
		}
		dir, err := os.Getwd()
		if err != nil {
			t.Fatal(err)
		}
		if shared.Dir != dir || shared.Stdin != 0 {
			t.Errorf("the worker is in %s and reads %d bytes from its standard input; want %s and none", shared.Dir, shared.Stdin, dir)
		}
	})
}

// neighbour is the program of a driver that finds an actor of another driver by its name and talks to it. Its input is the node's
// address and the gate's.
func neighbour(ctx context.Context, input string, out io.Writer) error {
	node, address, _ := strings.Cut(input, " ")
	ctx, stop, err := mobula.Init(ctx, mobula.WithAddress(node), mobula.WithNamespace("village"))
	if err != nil {
		return err
	}
	defer stop()
	log, err := work.GetLog(ctx, "well")
	if err != nil {
		return err
	}
	n, err := log.AppendRemote(ctx, "from the neighbour").Get(ctx)
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintln(out, n); err != nil {
		return err
	}
	_, err = log.StopRemote(ctx, address, "neighbour").Get(ctx)
	var e *mobula.Error
	if !errors.As(err, &e) {
		return fmt.Errorf("the last call ended with %w", err)
	}
	_, err = fmt.Fprintln(out, e.Kind, e.Execution)
	return err
}

func TestDriversOfANamespaceShareActorsByName(t *testing.T) {
	t.Parallel()
	harness.Alone(t, func() {
		node := harness.StartNode(t, head.Config{})
		g := gate.New(t)
		ctx, stop := harness.OpenUntil(t, mobula.WithAddress(node.Address), mobula.WithNamespace("village"))
		defer stop()
		log := work.NewLogRemote(ctx, "first", mobula.Name("well"))
		mustBeReady(t, log.Handle)
		d := harness.StartDriver(t, "neighbour", node.Address+" "+g.Address())
		if line := d.Line(t); line != "2" {
			t.Errorf("the neighbour sees %q lines, want 2", line)
		}
		g.Await(t, "neighbour")
		stop() // the actor ends with the driver that made it
		if line := d.Line(t); line != "ActorDied may have executed" {
			t.Errorf("the neighbour's call ended with %q", line)
		}
		if state := d.Wait(t); !state.Success() {
			t.Errorf("the neighbour ended with %v", state)
		}
	})
}
