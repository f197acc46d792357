package harness

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/mobula-dev/mobula/head"
)

// Process is a child of a test that runs a program.
type Process struct {
	cmd   *exec.Cmd
	stdin io.Closer
	lines chan string
	ended chan struct{} // closed when it was waited for

	mu     sync.Mutex // guards stderr
	stderr bytes.Buffer
}

// StartDriver runs the named program of Main as a child, with variables added to its environment. It ends with the test at the latest.
func StartDriver(t *testing.T, program, input string, env ...string) *Process {
	t.Helper()
	cmd := exec.Command(executable)
	cmd.Env = childEnv(os.Getenv(envMark), append(env, envProgram+"="+program, envInput+"="+input)...)
	p := &Process{cmd: cmd, lines: make(chan string, 1024), ended: make(chan struct{})}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.stdin = stdin
	stdout, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = w, (*stderr)(p)
	cmd.WaitDelay = time.Second // what it left behind may hold its standard error open
	err = cmd.Start()
	_ = w.Close() // the child has its own
	if err != nil {
		t.Fatal(err)
	}
	read := make(chan struct{})
	go func() {
		defer close(read)
		for s := bufio.NewScanner(stdout); s.Scan(); {
			p.lines <- s.Text()
		}
	}()
	go func() {
		defer close(p.ended)
		_ = cmd.Wait() // its outcome is in ProcessState
	}()
	t.Cleanup(func() {
		p.Signal(t, syscall.SIGKILL)
		p.Wait(t)
		_ = stdout.Close() // whoever inherited the other end may hold it open
		<-read
		p.mu.Lock()
		defer p.mu.Unlock()
		t.Logf("standard error of program %s:\n%s", program, p.stderr.Bytes())
	})
	return p
}

// stderr collects what a process says.
type stderr Process

// Write implements io.Writer.
func (s *stderr) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stderr.Write(b)
}

// Stderr is what the process has written to its standard error.
func (p *Process) Stderr() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stderr.String()
}

// PID is the process's id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Line waits for the next line that the program printed.
func (p *Process) Line(t *testing.T) string {
	t.Helper()
	timer := time.NewTimer(Patience)
	defer timer.Stop()
	select {
	case line := <-p.lines:
		return line
	case <-timer.C:
		t.Fatalf("process %d printed nothing within %v", p.PID(), Patience)
	case <-p.ended:
		select {
		case line := <-p.lines:
			return line
		case <-time.After(time.Second): // its last line may still be on its way
			p.mu.Lock()
			defer p.mu.Unlock()
			t.Fatalf("process %d ended (%v) and printed nothing more; standard error:\n%s", p.PID(), p.cmd.ProcessState, p.stderr.Bytes())
		}
	}
	return ""
}

// Signal sends the process a signal; one that has ended gets none.
func (p *Process) Signal(t *testing.T, s syscall.Signal) {
	t.Helper()
	select {
	case <-p.ended:
		return
	default:
	}
	if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Fatalf("signal process %d: %v", p.PID(), err)
	}
}

// Finish closes the program's standard input, which asks it to end.
func (p *Process) Finish() { _ = p.stdin.Close() } // closing twice is harmless

// Wait waits until the process has ended and returns how.
func (p *Process) Wait(t *testing.T) *os.ProcessState {
	t.Helper()
	timer := time.NewTimer(Patience)
	defer timer.Stop()
	select {
	case <-p.ended:
	case <-timer.C:
		t.Fatalf("process %d has not ended within %v", p.PID(), Patience)
	}
	return p.cmd.ProcessState
}

// Node is a node in a process of its own.
type Node struct {
	*Process
	// Address is what drivers connect to.
	Address string
	// Dir is the node's directory.
	Dir string
}

// StartNode starts a node that ends with the test. cfg.Dir is chosen when it is empty.
func StartNode(t *testing.T, cfg head.Config) *Node {
	t.Helper()
	if cfg.Dir == "" {
		dir, err := os.MkdirTemp("", "node") //nolint:usetesting // Not t.TempDir: the socket's path must be short
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := os.RemoveAll(dir); err != nil {
				t.Error(err)
			}
		})
		cfg.Dir = dir
	}
	p := startNode(t, cfg)
	n := &Node{Process: p, Address: p.Line(t), Dir: cfg.Dir}
	t.Cleanup(func() { // after the sessions that the test has opened since
		if Alive(p.PID()) && !t.Failed() {
			CheckEmpty(t, n.Address, nil)
		}
	})
	return n
}

// RefusedNode starts a node in a directory that it must refuse, and returns what it says on its standard error.
func RefusedNode(t *testing.T, cfg head.Config) string {
	t.Helper()
	p := startNode(t, cfg)
	if state := p.Wait(t); state.Success() {
		t.Errorf("the node ended with %v, want a failure", state)
	}
	return p.Stderr()
}

// startNode starts the process of a node.
func startNode(t *testing.T, cfg head.Config) *Process {
	t.Helper()
	if cfg.CPUs == 0 {
		cfg.CPUs = 2
	}
	input, err := json.Marshal(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return StartDriver(t, nodeProgram, string(input))
}

// serveNode is the program of StartNode: a node until its input ends or it is interrupted.
func serveNode(_ context.Context, input string, out io.Writer) error {
	var cfg head.Config
	if err := json.Unmarshal([]byte(input), &cfg); err != nil {
		return fmt.Errorf("read the node's configuration: %w", err)
	}
	cfg.Logger = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	h, err := head.Open(context.Background(), cfg)
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintln(out, h.Address()); err != nil {
		return errors.Join(fmt.Errorf("say the node's address: %w", err), h.Close())
	}
	interrupted := make(chan os.Signal, 1)
	signal.Notify(interrupted, syscall.SIGTERM, syscall.SIGINT)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = io.Copy(io.Discard, os.Stdin) // its end is what counts
	}()
	select {
	case <-interrupted:
	case <-ended:
	}
	return h.Close()
}
