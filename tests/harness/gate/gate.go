// Package gate is a meeting point between a test and code that runs in other processes: a task passes a gate, and the test sees who came
// from where, decides when it goes on, counts how often it came, and learns when its process has gone. So tests of faults need no sleeping:
// whatever is at a gate stays there.
package gate

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// arrivalsMax is how many visits of one name may wait for Await; no test has more.
const arrivalsMax = 1 << 16

// patience is how long a test waits for a visit.
const patience = 20 * time.Second

// Gate is the test's side. Its methods may be called from any goroutine.
type Gate struct {
	listener net.Listener
	serving  sync.WaitGroup

	mu     sync.Mutex // guards the fields below
	names  map[string]*door
	conns  map[net.Conn]bool
	closed bool
}

// door is what a gate knows of one name.
type door struct {
	count    int
	open     bool
	answer   string
	held     map[*Visit]bool // who has not gone on
	arrivals chan *Visit     // those of held that Await has not returned
}

// Visit is one passage that waits, or has gone on.
type Visit struct {
	// Name is what the visitor passed as.
	Name string
	// PID is the process that it came from.
	PID int

	conn net.Conn
	gone chan struct{}
}

// New opens a gate that closes with the test.
func New(t *testing.T) *Gate {
	t.Helper()
	dir, err := os.MkdirTemp("", "gate") //nolint:usetesting // Not t.TempDir: a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", filepath.Join(dir, "g"))
	if err != nil {
		t.Fatal(err)
	}
	g := &Gate{listener: l, names: make(map[string]*door), conns: make(map[net.Conn]bool)}
	g.serving.Go(g.accept)
	t.Cleanup(func() {
		g.close()
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return g
}

// Address is what Pass wants.
func (g *Gate) Address() string { return g.listener.Addr().String() }

func (g *Gate) accept() {
	for {
		c, err := g.listener.Accept()
		if err != nil {
			return // closed
		}
		g.mu.Lock()
		if g.closed {
			g.mu.Unlock()
			_ = c.Close() // nobody waits at a closed gate
			return
		}
		g.conns[c] = true
		g.mu.Unlock()
		g.serving.Go(func() { g.serve(c) })
	}
}

// serve receives one visitor and stays until it has gone.
func (g *Gate) serve(c net.Conn) {
	v := &Visit{conn: c, gone: make(chan struct{})}
	defer func() {
		close(v.gone)
		g.mu.Lock()
		delete(g.conns, c)
		g.mu.Unlock()
		_ = c.Close() // it was only a signal
	}()
	r := bufio.NewReader(c)
	line, err := r.ReadString('\n')
	if err != nil {
		return
	}
	if _, err := fmt.Sscanf(line, "%d", &v.PID); err != nil {
		return
	}
	_, name, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
	v.Name = name
	d := g.door(name)
	g.mu.Lock()
	d.count++
	open, answer := d.open, d.answer
	d.held[v] = true
	g.mu.Unlock()
	if open {
		v.Release(answer)
	} else {
		d.arrivals <- v
	}
	_, _ = r.ReadByte() // the visitor writes no more: this waits for its end
	g.mu.Lock()
	delete(d.held, v)
	g.mu.Unlock()
}

// door finds or makes a name's door.
func (g *Gate) door(name string) *door {
	g.mu.Lock()
	defer g.mu.Unlock()
	d := g.names[name]
	if d == nil {
		d = &door{held: make(map[*Visit]bool), arrivals: make(chan *Visit, arrivalsMax)}
		g.names[name] = d
	}
	return d
}

// Open lets whoever comes under the name, from now on and of those who wait, go on with the answer.
func (g *Gate) Open(name, answer string) {
	d := g.door(name)
	g.mu.Lock()
	defer g.mu.Unlock()
	d.open, d.answer = true, answer
	for v := range d.held {
		v.Release(answer) // a second answer is not read
	}
}

// Count is how often somebody came under the name.
func (g *Gate) Count(name string) int {
	d := g.door(name)
	g.mu.Lock()
	defer g.mu.Unlock()
	return d.count
}

// Await waits for the next visitor of that name that was not seen yet.
func (g *Gate) Await(t *testing.T, name string) *Visit {
	t.Helper()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case v := <-g.door(name).arrivals:
		return v
	case <-timer.C:
		t.Fatalf("nobody came to the gate as %q within %v", name, patience)
		return nil
	}
}

// Waiting reports whether a visitor of that name that was not seen yet is there.
func (g *Gate) Waiting(name string) bool { return len(g.door(name).arrivals) > 0 }

func (g *Gate) close() {
	_ = g.listener.Close() // the gate is given up
	g.mu.Lock()
	g.closed = true
	for c := range g.conns {
		_ = c.Close() // whoever is still there is told so
	}
	g.mu.Unlock()
	g.serving.Wait()
}

// Release lets the visitor go on; Pass returns the answer to it.
func (v *Visit) Release(answer string) {
	_, _ = fmt.Fprintln(v.conn, answer) // a visitor that has gone needs none
}

// Gone is closed when the visitor has gone on, its wait was given up, or its process has ended.
func (v *Visit) Gone() <-chan struct{} { return v.gone }

// AwaitGone waits until the visitor has gone.
func (v *Visit) AwaitGone(t *testing.T) {
	t.Helper()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-v.gone:
	case <-timer.C:
		t.Fatalf("visitor %q of process %d is still at the gate after %v", v.Name, v.PID, patience)
	}
}

// Pass comes to the gate at that address under a name and waits until the test lets it go on. It is what tasks call.
func Pass(ctx context.Context, address, name string) (answer string, err error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, "unix", address)
	if err != nil {
		return "", fmt.Errorf("come to the gate: %w", err)
	}
	defer func() { _ = c.Close() }() // it was only a signal
	defer context.AfterFunc(ctx, func() { _ = c.Close() })()
	if _, err := fmt.Fprintf(c, "%d %s\n", os.Getpid(), name); err != nil {
		return "", errors.Join(fmt.Errorf("come to the gate: %w", err), context.Cause(ctx))
	}
	answer, err = bufio.NewReader(c).ReadString('\n')
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			return "", cause
		}
		return "", fmt.Errorf("wait at the gate as %s: %w", name, err)
	}
	return strings.TrimSuffix(answer, "\n"), nil
}
