package work

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/mobula-dev/mobula/clients/go/mobula"
	"github.com/mobula-dev/mobula/tests/harness/gate"
)

// Log is an actor that remembers what it was told, in order.
//
//mobula:actor
type Log struct {
	lines []string
	peer  LogHandle
}

// NewLog makes a log with a first line.
func NewLog(first string) *Log { return &Log{lines: []string{first}} }

// NewLogFailing fails, or panics when the reason is "panic".
func NewLogFailing(reason string) (*Log, error) {
	if reason == "panic" {
		panic("the constructor panics")
	}
	return nil, fmt.Errorf("%s: %w", reason, ErrEmpty)
}

// NewLogGated passes a gate before it is made.
func NewLogGated(ctx context.Context, address, name string) (*Log, error) {
	_, err := gate.Pass(ctx, address, name)
	return &Log{}, err
}

// Append adds a line and returns how many there are.
func (l *Log) Append(line string) int {
	l.lines = append(l.lines, line)
	return len(l.lines)
}

// Lines returns all lines.
func (l *Log) Lines() []string { return l.lines }

// Where tells where the actor lives.
func (l *Log) Where(ctx context.Context) Where { return here(ctx) }

// Incarnation counts the actor's lives.
func (l *Log) Incarnation(ctx context.Context) int {
	info, _ := mobula.Task(ctx)
	return info.Incarnation
}

// Stop passes a gate.
func (l *Log) Stop(ctx context.Context, address, name string) (Where, error) {
	_, err := gate.Pass(ctx, address, name)
	return here(ctx), err
}

// Hold passes a gate and does not heed the end of its context.
func (l *Log) Hold(ctx context.Context, address, name string) (Where, error) {
	_, err := gate.Pass(context.WithoutCancel(ctx), address, name)
	return here(ctx), err
}

// Crash passes a gate and ends the actor's process, unless the gate answers "live".
func (l *Log) Crash(ctx context.Context, address, name, how string) (int, error) {
	answer, err := gate.Pass(ctx, address, name)
	if err == nil && answer != "live" {
		crash(how)
	}
	return here(ctx).Attempt, err
}

// Leave ends the actor from inside and returns a last word.
func (l *Log) Leave(ctx context.Context) string {
	mobula.ExitActor(ctx)
	return "farewell"
}

// Fail returns an error.
func (l *Log) Fail() error { return fmt.Errorf("log: %w", ErrEmpty) }

// Panic panics.
func (l *Log) Panic() error { panic("in a method") }

// Keep keeps the handle of another log.
func (l *Log) Keep(peer LogHandle) { l.peer = peer }

// Tell appends a line to the log that is kept.
func (l *Log) Tell(ctx context.Context, line string) (int, error) {
	return l.peer.AppendRemote(ctx, line).Get(ctx)
}

// Forget drops the handle that is kept.
func (l *Log) Forget() { l.peer = LogHandle{} }

// Self returns what it is given, beside the actor's process.
func (l *Log) Self(peer LogHandle) (LogHandle, error) {
	if peer.ID() == "" {
		return peer, errors.New("the handle is empty")
	}
	return peer, nil
}

// TellAll appends the numbers below n to a log in their order and returns the last count.
//
//mobula:remote
func TellAll(ctx context.Context, to LogHandle, name string, n int) (int, error) {
	last := mobula.Ref[int]{}
	for i := range n {
		last = to.AppendRemote(ctx, fmt.Sprintf("%s %d", name, i))
	}
	return last.Get(ctx)
}

// MakeLog makes a log and returns its handle, so that it outlives the task that made it.
//
//mobula:remote
func MakeLog(ctx context.Context, first string) (LogHandle, error) {
	h := NewLogRemote(ctx, first)
	return h, h.WaitReady(ctx)
}

func until(deadline time.Time) float64 { return time.Until(deadline).Seconds() }

// Closer is an actor that tells a gate when it is closed.
//
//mobula:actor
type Closer struct {
	address, name string
}

// NewCloser makes a closer.
func NewCloser(address, name string) *Closer { return &Closer{address: address, name: name} }

// PID tells the actor's process.
func (c *Closer) PID() int { return os.Getpid() }

// Close tells the gate.
//
//mobula:local
func (c *Closer) Close() error {
	_, err := gate.Pass(context.Background(), c.address, c.name)
	return err
}
