package integration

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/mobula-dev/mobula/clients/go/mobula"
	"github.com/mobula-dev/mobula/head"
	"github.com/mobula-dev/mobula/tests/harness"
	"github.com/mobula-dev/mobula/tests/harness/gate"
	"github.com/mobula-dev/mobula/tests/integration/work"
)

// goneWithin is how soon everything that a dead process has started must be gone: at once, but for what a busy machine adds.
const goneWithin = harness.Patience

// busy is the program of a driver that keeps a shared worker, an isolated one and two actors busy at a gate until it is killed. Its
// input is the gate's address and, if there is one, the node's.
func busy(ctx context.Context, input string, out io.Writer) error {
	address, node, _ := strings.Cut(input, " ")
	ctx, stop, err := mobula.Init(ctx, mobula.WithAddress(node), mobula.WithCPUs(4), mobula.WithWorkerEnv("MOBULA_HARNESS_MARK", os.Getenv("MOBULA_HARNESS_MARK")))
	if err != nil {
		return err
	}
	defer stop()
	shared := work.StopRemote(ctx, address, "shared")
	queued := work.EchoTextRefs(ctx, work.TextOfRefs(ctx, shared))
	refs := []mobula.Ref[work.Where]{
		shared,
		work.StopRemote(ctx, address, "isolated", mobula.IsolateProcess()),
		work.NewLogRemote(ctx, "a", mobula.MaxRestarts(-1)).StopRemote(ctx, address, "actor", mobula.MaxTaskRetries(-1)),
		work.NewLogRemote(ctx, "b", mobula.IsolateProcess(), mobula.Name("named"), mobula.MaxRestarts(-1)).HoldRemote(ctx, address, "deaf"),
	}
	if _, err := fmt.Fprintln(out, "busy"); err != nil {
		return err
	}
	for _, r := range refs {
		_, err = r.Get(ctx)
	}
	_, last := queued.Get(ctx)
	return errors.Join(err, last)
}

// driversEnds are the ways in which a driver ends: signals.
var driversEnds = map[string][]syscall.Signal{
	"killed":             {syscall.SIGKILL},
	"terminated":         {syscall.SIGTERM},
	"stopped and killed": {syscall.SIGSTOP, syscall.SIGKILL},
}

// startBusy starts a busy driver and waits until everything of it is at the gate.
func startBusy(t *testing.T, g *gate.Gate, node string) (*harness.Process, []*gate.Visit) {
	t.Helper()
	d := harness.StartDriver(t, "busy", g.Address()+" "+node)
	if line := d.Line(t); line != "busy" {
		t.Fatalf("the driver says %q", line)
	}
	var visits []*gate.Visit
	for _, name := range []string{"shared", "isolated", "actor", "deaf"} {
		visits = append(visits, g.Await(t, name))
	}
	return d, visits
}

func TestDriverTakesItsNodeAndWorkersAlong(t *testing.T) {
	t.Parallel()
	for way, signals := range driversEnds {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			harness.Alone(t, func() {
				g := gate.New(t)
				d, visits := startBusy(t, g, "")
				family := harness.Descendants(d.PID())
				if len(family) < 4 { // the node and three workers
					t.Fatalf("the driver has only the descendants %v", family)
				}
				for _, s := range signals {
					d.Signal(t, s)
				}
				d.Wait(t)
				allGone(t, family)
				for _, v := range visits {
					v.AwaitGone(t)
				}
			})
		})
	}
}

// allGone checks that processes end in time.
func allGone(t *testing.T, pids []int) {
	t.Helper()
	harness.Eventually(t, goneWithin, fmt.Sprintf("the end of the processes %v", pids), func() bool {
		return !slices.ContainsFunc(pids, harness.Alive)
	})
}

func TestNodeOutlivesADriverOfAnotherAndEndsItsJob(t *testing.T) {
	t.Parallel()
	for way, signals := range driversEnds {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			harness.Alone(t, func() {
				node := harness.StartNode(t, head.Config{CPUs: 4})
				g := gate.New(t)
				ctx := harness.Open(t, mobula.WithAddress(node.Address), mobula.WithNamespace("mine"))
				before := harness.Get(t, work.HereRemote(ctx)).PID
				d, visits := startBusy(t, g, node.Address)
				for _, s := range signals {
					d.Signal(t, s)
				}
				d.Wait(t)
				var pids []int
				for _, v := range visits {
					pids = append(pids, v.PID)
				}
				allGone(t, pids)
				if !harness.Get(t, work.WholeRemote(ctx, mobula.CPU(4))) {
					t.Error("the CPUs of the driver's job are not free")
				}
				if after := harness.Get(t, work.HereRemote(ctx)).PID; after != before {
					t.Error("the other driver's worker was ended too")
				}
			})
		})
	}
}

func TestDeadNodeResolvesEveryRefAndTakesItsWorkersAlong(t *testing.T) {
	t.Parallel()
	for _, s := range []syscall.Signal{syscall.SIGKILL, syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGHUP, syscall.SIGSEGV, syscall.SIGABRT} {
		for _, embedded := range []bool{true, false} {
			name := s.String() + " to a node of its own"
			if embedded {
				name = s.String() + " to an embedded node"
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				if signal.Ignored(s) {
					t.Skipf("%v is ignored here, as under nohup, and so by every process that is started", s)
				}
				harness.Alone(t, func() { nodeDies(t, s, embedded) })
			})
		}
	}
}

func nodeDies(t *testing.T, s syscall.Signal, embedded bool) { //nolint:thelper // A test's body: its lines are what a failure must name.
	var options []mobula.InitOption
	pid := 0
	if !embedded {
		node := harness.StartNode(t, head.Config{CPUs: 4})
		options, pid = append(options, mobula.WithAddress(node.Address)), node.PID()
	}
	g := gate.New(t)
	ctx, stop := harness.OpenUntil(t, append(options, mobula.WithCPUs(4))...)
	defer stop()
	shared := work.StopRemote(ctx, g.Address(), "shared")
	isolated := work.StopRemote(ctx, g.Address(), "isolated", mobula.IsolateProcess())
	log := work.NewLogRemote(ctx, "first", mobula.MaxRestarts(-1))
	call := log.StopRemote(ctx, g.Address(), "actor")
	queued := work.WholeRemote(ctx, mobula.CPU(4))
	done := work.AddRemote(ctx, 1, 2)
	harness.Get(t, done)
	inner := harness.Get(t, work.NestRemote(ctx, 1))
	visits := []*gate.Visit{g.Await(t, "shared"), g.Await(t, "isolated"), g.Await(t, "actor")}
	if embedded {
		pid = nodeOf(t, visits[0].PID)
	}
	family := harness.Descendants(pid)
	kill(t, pid, s)
	for _, ref := range []mobula.Ref[work.Where]{shared, isolated, call} {
		lost(t, failure(t, ref), mobula.MayHaveExecuted)
	}
	lost(t, failure(t, queued), mobula.MayHaveExecuted)
	lost(t, failure(t, inner), mobula.MayHaveExecuted)
	if got := harness.Get(t, done); got != 3 {
		t.Errorf("a result that was there is %d", got)
	}
	lost(t, failure(t, work.AddRemote(ctx, 1, 1)), mobula.NotExecuted)
	lost(t, failure(t, log.AppendRemote(ctx, "late")), mobula.NotExecuted)
	_, err := mobula.Put(ctx, 1)
	lost(t, err, mobula.NotExecuted)
	_, err = work.GetLog(ctx, "name")
	if err == nil {
		t.Error("a query of a dead node succeeds")
	}
	allGone(t, append(family, pid))
}

// nodeOf returns the node of a worker.
func nodeOf(t *testing.T, worker int) int {
	t.Helper()
	for _, child := range harness.Children(os.Getpid()) {
		if slices.Contains(harness.Descendants(child), worker) {
			return child
		}
	}
	t.Fatalf("process %d descends from no child of this process", worker)
	return 0
}

// failure waits for a ref that must fail.
func failure[T any](t *testing.T, ref mobula.Ref[T]) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), harness.Patience)
	defer cancel()
	_, err := ref.Get(ctx)
	if ctx.Err() != nil {
		t.Fatalf("the ref does not resolve within %v", harness.Patience)
	}
	return err
}

// lost checks that an error is that of a node that ended, or of one that said so before: a node that is told to end may fail its
// tasks and say goodbye.
func lost(t *testing.T, err error, execution mobula.Execution) {
	t.Helper()
	var e *mobula.Error
	if !errors.As(err, &e) {
		t.Errorf("error is %v, want NodeLost", err)
		return
	}
	if e.Kind != mobula.NodeLost || e.Execution != execution {
		t.Errorf("error is of kind %v and says %v, want NodeLost and %v: %+v", e.Kind, e.Execution, execution, e)
	}
}

func TestStoppedWorkerEndsWithItsNode(t *testing.T) {
	t.Parallel()
	harness.Alone(t, func() {
		g := gate.New(t)
		ctx, stop := harness.OpenUntil(t)
		ref := work.StopRemote(ctx, g.Address(), "stopped")
		v := g.Await(t, "stopped")
		kill(t, v.PID, syscall.SIGSTOP)
		stop()
		harness.Fails(t, ref, mobula.SessionClosed)
		allGone(t, []int{v.PID})
	})
}

func TestSecondNodeOfADirectoryIsRefused(t *testing.T) {
	t.Parallel()
	harness.Alone(t, func() {
		node := harness.StartNode(t, head.Config{CPUs: 1})
		cfg := head.Config{Dir: node.Dir, CPUs: 1}
		h, err := head.Open(t.Context(), cfg)
		if err == nil {
			_ = h.Close() // it should not be there
			t.Fatal("a second node opens the same directory")
		}
		if !strings.Contains(err.Error(), node.Dir) {
			t.Errorf("the error does not name the directory: %v", err)
		}
		ctx := harness.Open(t, mobula.WithAddress(node.Address))
		if got := harness.Get(t, work.AddRemote(ctx, 1, 2)); got != 3 {
			t.Errorf("the first node returned %d", got)
		}
	})
}
