package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/mobula-dev/mobula/clients/go/mobula"
	"github.com/mobula-dev/mobula/tests/bench/profile"
)

// row is one row of the result.
type row struct {
	Name string  `json:"name"`
	Unit string  `json:"unit"`
	Mean float64 `json:"mean"`
	SD   float64 `json:"sd"`
	// Ray is what Ray reaches on two cores.
	Ray *figures `json:"ray,omitempty"`
	// Want is the least that is wanted, or with AtMost the most; 0 when nothing is.
	Want   float64 `json:"want,omitempty"`
	AtMost bool    `json:"at_most,omitempty"`
	// NotYet says why the row cannot be measured yet, Error why it could not be measured this time.
	NotYet string `json:"not_yet,omitempty"`
	Error  string `json:"error,omitempty"`
}

// measured reports whether the row has figures.
func (r row) measured() bool { return r.NotYet == "" && r.Error == "" }

// met reports whether the row is as good as is wanted.
func (r row) met() bool {
	switch {
	case !r.measured():
		return false
	case r.AtMost:
		return r.Mean <= r.Want
	default:
		return r.Mean >= r.Want
	}
}

const (
	// lineLimit is how long a line may take beyond its rounds, setting up included.
	lineLimit = 60 * time.Second
	// stuckLimit is how long a line may go on after its session was closed.
	stuckLimit = 15 * time.Second
)

// errStuck means that a line did not end although its session was closed: there is nothing left but to give up.
var errStuck = errors.New("the line did not end although its session was closed")

// runner runs the benchmark.
type runner struct {
	cfg      config
	root     string // of the module
	dir      string // for everything temporary
	progress io.Writer
	began    time.Time
	binary   string // mobula; empty until it was built
	node     *node  // nil until it is needed, and after a failure
	rows     []row
}

// run measures every line and every other row that is wanted.
func (r *runner) run(ctx context.Context) error {
	for _, l := range lines() {
		if err := r.line(ctx, l, l.name, true); err != nil {
			return err
		}
		if l.shared && !r.cfg.quick {
			l.ray, l.want = nil, 0
			if err := r.line(ctx, l, l.name+sharedSuffix, false); err != nil {
				return err
			}
		}
	}
	for _, e := range extras() {
		if !r.cfg.wants(e.name) {
			continue
		}
		r.say("%s", e.name)
		var rows []row
		err := r.guard(r.cfg.timing, func() (err error) {
			rows, err = e.measure(ctx, r)
			return err
		})
		if fatal(ctx, err) {
			return err
		}
		if err != nil {
			rows = append(rows, row{Name: e.name, Error: err.Error()})
			r.drop()
		}
		for _, row := range rows {
			r.add(row)
		}
	}
	return nil
}

// line measures a line and adds its row. The error means that the benchmark cannot go on.
func (r *runner) line(ctx context.Context, l line, name string, isolated bool) error {
	if !r.cfg.wants(name) {
		return nil
	}
	row := row{Name: name, Unit: l.unit, Ray: l.ray, Want: l.want, NotYet: l.notYet}
	if row.Unit == "" {
		row.Unit = "/s"
	}
	if l.wantOf != nil {
		row.Want = l.wantOf(r.rows)
	}
	if l.setup == nil {
		if len(r.cfg.filter) == 0 {
			r.add(row)
		}
		return nil
	}
	r.say("%s", name)
	var f figures
	err := r.guard(r.cfg.timing, func() (err error) {
		f, err = r.measure(ctx, l, name, isolated)
		return err
	})
	if fatal(ctx, err) {
		return err
	}
	row.Mean, row.SD = f.Mean, f.SD
	if err != nil {
		row.Error = err.Error()
		r.drop()
	}
	r.add(row)
	debug.FreeOSMemory() // what a line leaves behind is not to slow down the next one
	return nil
}

func fatal(ctx context.Context, err error) bool { return errors.Is(err, errStuck) || ctx.Err() != nil }

// measure sets a line up, times it and takes it down.
func (r *runner) measure(ctx context.Context, l line, name string, isolated bool) (f figures, err error) {
	if err := r.start(ctx); err != nil {
		return figures{}, err
	}
	s := &scene{ctx: r.node.ctx, isolated: isolated}
	defer func() { err = errors.Join(err, s.close()) }()
	call, err := l.setup(s)
	if err != nil {
		return figures{}, fmt.Errorf("set up: %w", err)
	}
	warm, done := func() {}, func() error { return nil }
	if r.cfg.profiles != "" {
		warm, done = r.profiles(name)
	}
	f, err = r.cfg.timing.measure(l.times, call, warm)
	return f, errors.Join(err, done())
}

// profiles returns what begins and ends the profiles of all processes that run this executable.
func (r *runner) profiles(name string) (begin func(), end func() error) {
	var pids []int
	var failed error
	begin = func() { pids, failed = profile.Start(r.cfg.profiles) }
	end = func() error {
		return errors.Join(failed, profile.Stop(r.cfg.profiles, pids, func(pid int) string {
			role := "worker"
			switch {
			case pid == os.Getpid():
				role = "driver"
			case pid == r.node.pid:
				role = "node"
			case isGuard(pid):
				role = "guard"
			}
			return fileName(name) + "." + role + "-" + strconv.Itoa(pid) + ".pprof"
		}))
	}
	return begin, end
}

// fileName makes a file name of a line's name.
func fileName(name string) string {
	return strings.Map(func(c rune) rune {
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' {
			return c
		}
		return '-'
	}, name)
}

// start sees to it that there is a node with a session.
func (r *runner) start(ctx context.Context) error {
	if r.node != nil {
		return nil
	}
	var err error
	switch {
	case r.cfg.embedded:
		r.node = &node{options: r.options()}
		err = r.node.open(ctx)
	case r.cfg.address != "":
		r.node = &node{address: r.cfg.address, options: r.options()}
		err = r.node.open(ctx)
	default:
		r.node, err = r.fresh(ctx)
	}
	if err != nil {
		r.node = nil
	}
	return err
}

// options are those of every session: workers inherit little of the environment, so the directory of profiles is handed to them.
func (r *runner) options() []mobula.InitOption {
	if r.cfg.profiles == "" {
		return nil
	}
	return []mobula.InitOption{mobula.WithWorkerEnv(profile.Dir, r.cfg.profiles)}
}

// fresh starts another node.
func (r *runner) fresh(ctx context.Context) (*node, error) {
	if err := r.mobula(ctx); err != nil {
		return nil, err
	}
	return startNode(ctx, r.binary, r.dir, r.options())
}

// mobula sees to it that there is the node's binary.
func (r *runner) mobula(ctx context.Context) error {
	if r.binary != "" {
		return nil
	}
	output := filepath.Join(r.dir, "mobula")
	if err := build(ctx, r.root, "./cmd/mobula", output, "-trimpath", "-ldflags=-s -w"); err != nil {
		return err
	}
	r.binary = output
	return nil
}

// drop gives up the node; the next line starts another one.
func (r *runner) drop() {
	if r.node == nil {
		return
	}
	if err := r.node.close(); err != nil {
		r.say("  end of the node: %v", err)
	}
	r.node = nil
}

// guard runs f. When it takes too long, every goroutine is written to a file, and its session is closed, which ends whatever waits
// for it.
func (r *runner) guard(t timing, f func() error) error {
	limit := t.Sleep + t.WarmUp + time.Duration(t.Rounds)*t.Round + lineLimit
	var late atomic.Bool
	done := make(chan error, 1)
	go func() { done <- f() }()
	select {
	case err := <-done:
		return err
	case <-time.After(limit):
		late.Store(true)
	}
	r.dump()
	if r.node != nil && r.node.closeSession != nil {
		go r.node.closeSession()
	}
	select {
	case err := <-done:
		return errors.Join(fmt.Errorf("it took more than %v", limit), err)
	case <-time.After(stuckLimit):
		return errStuck
	}
}

// dump writes the stacks of all goroutines, so that a hang can be looked into.
func (r *runner) dump() {
	f, err := os.CreateTemp("", "mobula-bench-stuck-*.txt")
	if err != nil {
		return
	}
	defer f.Close() //nolint:errcheck // it only helps to understand
	if pprof.Lookup("goroutine").WriteTo(f, 2) == nil {
		r.say("  stuck; all goroutines are in %s", f.Name())
	}
}

// say writes a line of progress, after the time since the run began.
func (r *runner) say(format string, args ...any) {
	_, _ = fmt.Fprintf(r.progress, "%4.0fs  "+format+"\n", append([]any{time.Since(r.began).Seconds()}, args...)...) // nothing depends on it
}

// add takes a row.
func (r *runner) add(w row) {
	r.rows = append(r.rows, w)
	switch {
	case w.Error != "":
		r.say("  FAILED: %s", w.Error)
	case w.measured():
		r.say("  %s: %s ± %s %s", w.Name, number(w.Mean), number(w.SD), w.Unit)
	}
}

// linux reports whether /proc can be read.
func linux() error {
	if runtime.GOOS != "linux" {
		return errors.New("only Linux tells the memory of a process")
	}
	return nil
}
