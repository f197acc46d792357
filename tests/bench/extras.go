package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strings"
	"time"

	"github.com/mobula-dev/mobula/clients/go/mobula"
	"github.com/mobula-dev/mobula/tests/bench/workload"
)

// extra is a measurement that `ray microbenchmark` does not have.
type extra struct {
	name    string
	measure func(ctx context.Context, r *runner) ([]row, error)
}

func extras() []extra {
	return []extra{
		{"put gigabytes cold and later", coldPuts},
		{"start to first result", startToResult},
		{"idle node", idleNode},
		{"queued tasks", queuedTasks},
		{"hello-world executable", executable},
	}
}

// repeats is how often a measurement that is not a line is made.
func (r *runner) repeats(n int) int {
	if r.cfg.quick {
		return 1
	}
	return n
}

// coldPuts puts Ray's array as the first thing that a session does, and again two seconds later.
func coldPuts(ctx context.Context, r *runner) ([]row, error) {
	if err := r.start(ctx); err != nil {
		return nil, err
	}
	a := array(false)
	put := func() (float64, error) {
		start := time.Now()
		ref, err := mobula.Put(r.node.ctx, a)
		ref.Release()
		return gigabytes / time.Since(start).Seconds(), err
	}
	var cold, later []float64
	for range r.repeats(rayTiming.Rounds) {
		if err := r.node.reopen(ctx); err != nil {
			return nil, err
		}
		first, err := put()
		if err != nil {
			return nil, err
		}
		time.Sleep(2 * time.Second) // is what is measured
		second, err := put()
		if err != nil {
			return nil, err
		}
		cold, later = append(cold, first), append(later, second)
	}
	rows := []row{
		figuresOf(cold).row("single client put gigabytes, cold", "GB/s"),
		figuresOf(later).row("single client put gigabytes, two seconds later", "GB/s"),
	}
	rows[0].Ray = &figures{3.18, 2.41}
	return rows, nil
}

// row makes a row of figures.
func (f figures) row(name, unit string) row {
	return row{Name: name, Unit: unit, Mean: f.Mean, SD: f.SD}
}

// helloPackage is the smallest program of a user.
const helloPackage = "./tests/bench/hello"

// startToResult runs a user's smallest program, with an embedded node, from its start to its first result.
func startToResult(ctx context.Context, r *runner) ([]row, error) {
	hello := filepath.Join(r.dir, "hello")
	if err := build(ctx, r.root, helloPackage, hello); err != nil {
		return nil, err
	}
	var took []float64
	for i := range 1 + r.repeats(10) { // the first brings the executable into memory
		d, err := firstResult(ctx, hello)
		if err != nil {
			return nil, err
		}
		if i > 0 {
			took = append(took, d.Seconds())
		}
	}
	w := figuresOf(took).row("start to first result", "s")
	w.Ray, w.Want, w.AtMost = &figures{5.1, 0.2}, 0.5, true
	return []row{w}, nil
}

// firstResult runs the program and returns the time to its first line.
func firstResult(ctx context.Context, program string) (time.Duration, error) {
	cmd := exec.CommandContext(ctx, program)
	cmd.Env = withoutAddress(os.Environ())
	var problems bytes.Buffer
	cmd.Stderr = &problems
	out, err := cmd.StdoutPipe()
	if err != nil {
		return 0, err
	}
	start := time.Now()
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	took := time.Since(start)
	if err != nil && !errors.Is(err, io.EOF) {
		return 0, errors.Join(err, cmd.Wait())
	}
	if err := cmd.Wait(); err != nil {
		return 0, fmt.Errorf("run hello: %w\n%s", err, problems.Bytes())
	}
	if line != "49\n" {
		return 0, fmt.Errorf("hello printed %q", line)
	}
	return took, nil
}

// withoutAddress lets a program start a node of its own.
func withoutAddress(env []string) []string {
	var kept []string
	for _, kv := range env {
		if !strings.HasPrefix(kv, "MOBULA_ADDRESS=") {
			kept = append(kept, kv)
		}
	}
	return kept
}

// idleNode measures the memory of a node that has just started, and then of one with a worker that has run a task.
func idleNode(ctx context.Context, r *runner) (rows []row, err error) {
	if err := linux(); err != nil {
		return nil, err
	}
	r.drop() // this process has one session at a time
	n, err := r.fresh(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, n.close()) }()
	time.Sleep(2 * time.Second) // to be idle
	node, err := residentOf(n.pid)
	if err != nil {
		return nil, err
	}
	rows = []row{
		{Name: "idle node, resident (RSS)", Unit: "MB", Mean: megabytes(node.RSS), Ray: &figures{1_648, 0}, Want: 80, AtMost: true},
		{Name: "idle node, resident (PSS)", Unit: "MB", Mean: megabytes(node.PSS)},
	}
	if _, err := workload.SmallValueRemote(n.ctx).Get(n.ctx); err != nil {
		return nil, err
	}
	time.Sleep(time.Second) // to be idle again
	if node, err = residentOf(n.pid); err != nil {
		return nil, err
	}
	rows = append(rows, row{Name: "node that has run a task, resident (RSS)", Unit: "MB", Mean: megabytes(node.RSS)})
	below, err := descendants(n.pid)
	if err != nil {
		return nil, err
	}
	var all resident
	for _, pid := range below {
		m, err := residentOf(pid)
		if err != nil {
			return nil, err
		}
		all.RSS, all.PSS = all.RSS+m.RSS, all.PSS+m.PSS
	}
	return append(rows,
		row{Name: fmt.Sprintf("its processes below it, %d, resident (RSS)", len(below)), Unit: "MB", Mean: megabytes(all.RSS)},
		row{Name: fmt.Sprintf("its processes below it, %d, resident (PSS)", len(below)), Unit: "MB", Mean: megabytes(all.PSS)},
	), nil
}

func megabytes(n uint64) float64 { return float64(n) / 1e6 }

const (
	fewTasks  = 10_000
	manyTasks = 1_000_000
)

// queuedTasks submits tasks that all wait for one argument, lets them go and gets all results: a few, several times, and a million.
func queuedTasks(ctx context.Context, r *runner) (rows []row, err error) {
	if err := linux(); err != nil {
		return nil, err
	}
	r.drop() // the peak of the node's memory is to be of these tasks only
	if err := r.start(ctx); err != nil {
		return nil, err
	}
	var cost []float64
	for i := range 1 + r.repeats(5) { // the first warms up
		d, err := queued(r.node.ctx, fewTasks, func() {})
		if err != nil {
			return nil, fmt.Errorf("queue %d tasks: %w", fewTasks, err)
		}
		if i > 0 {
			cost = append(cost, perTask(d, fewTasks))
		}
	}
	few := figuresOf(cost).row(fmt.Sprintf("%d queued tasks, cost per task", fewTasks), "µs")
	debug.FreeOSMemory() // what earlier lines left in this process is not part of its peak
	for _, pid := range []int{os.Getpid(), r.node.pid} {
		if err := resetPeak(pid); err != nil {
			return nil, err
		}
	}
	var node, driver uint64
	d, err := queued(r.node.ctx, manyTasks, func() {
		r.say("  %d tasks are queued", manyTasks)
	})
	if err != nil {
		return nil, fmt.Errorf("queue %d tasks: %w", manyTasks, err)
	}
	if node, err = peakOf(r.node.pid); err != nil {
		return nil, err
	}
	if driver, err = peakOf(os.Getpid()); err != nil {
		return nil, err
	}
	many := row{Name: fmt.Sprintf("%d queued tasks, cost per task", manyTasks), Unit: "µs", Mean: perTask(d, manyTasks), Want: 1.2 * few.Mean, AtMost: true}
	return []row{
		few, many,
		{Name: fmt.Sprintf("%d queued tasks, peak resident of the node", manyTasks), Unit: "MB", Mean: megabytes(node)},
		{Name: fmt.Sprintf("%d queued tasks, peak resident of the driver", manyTasks), Unit: "MB", Mean: megabytes(driver)},
		{Name: fmt.Sprintf("%d queued tasks, peak resident of both", manyTasks), Unit: "MB", Mean: megabytes(node + driver), Want: 1000, AtMost: true},
	}, nil
}

func perTask(d time.Duration, n int) float64 { return d.Seconds() * 1e6 / float64(n) }

// queued submits n tasks behind a gate, calls atGate when all are submitted, opens the gate, and gets all results.
func queued(ctx context.Context, n int, atGate func()) (time.Duration, error) {
	gate := workload.NewGateRemote(ctx)
	if err := gate.WaitReady(ctx); err != nil {
		return 0, err
	}
	start := time.Now()
	pass := gate.PassRemote(ctx)
	refs := make([]mobula.Ref[[]byte], n)
	for i := range refs {
		refs[i] = workload.AfterRefs(ctx, pass)
	}
	atGate()
	if _, err := gate.OpenRemote(ctx).Get(ctx); err != nil {
		return 0, err
	}
	if err := workload.GetAll(ctx, refs); err != nil {
		return 0, err
	}
	return time.Since(start), mobula.Kill(gate)
}

// executable measures a user's smallest program: the size of its executable, and how long that takes to build again after a change.
func executable(ctx context.Context, r *runner) ([]row, error) {
	output := filepath.Join(r.dir, "hello-built")
	if err := build(ctx, r.root, helloPackage, output); err != nil {
		return nil, err
	}
	info, err := os.Stat(output)
	if err != nil {
		return nil, err
	}
	var took []float64
	for i := range r.repeats(3) {
		overlay, err := r.changed(i)
		if err != nil {
			return nil, err
		}
		start := time.Now()
		if err := build(ctx, r.root, helloPackage, output, "-overlay="+overlay); err != nil {
			return nil, err
		}
		took = append(took, time.Since(start).Seconds())
	}
	rebuild := figuresOf(took).row("warm rebuild of a hello-world user", "s")
	rebuild.Want, rebuild.AtMost = 3, true
	return []row{
		{Name: "executable of a hello-world user", Unit: "MB", Mean: megabytes(uint64(info.Size())), Want: 30, AtMost: true}, rebuild,
	}, nil
}

// changed makes an overlay in which the program's source differs from everything that was built before.
func (r *runner) changed(i int) (string, error) {
	source := filepath.Join(r.root, helloPackage, "main.go")
	b, err := os.ReadFile(source)
	if err != nil {
		return "", fmt.Errorf("change hello: %w", err)
	}
	b = append(b, fmt.Sprintf("\n// Change is exported so that it counts.\nconst Change = \"%d %d\"\n", time.Now().UnixNano(), i)...)
	replaced := filepath.Join(r.dir, fmt.Sprintf("main-%d.go", i))
	if err := os.WriteFile(replaced, b, 0o600); err != nil {
		return "", fmt.Errorf("change hello: %w", err)
	}
	overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{source: replaced}})
	if err != nil {
		return "", fmt.Errorf("change hello: %w", err)
	}
	name := filepath.Join(r.dir, fmt.Sprintf("overlay-%d.json", i))
	if err := os.WriteFile(name, overlay, 0o600); err != nil {
		return "", fmt.Errorf("change hello: %w", err)
	}
	return name, nil
}
