// Command bench measures Mobula with the lines of `ray microbenchmark`, one for one: Ray's names, Ray's calls, Ray's timer. Beside them
// stand rows of its own: puts next to memcpy, the start of a program, the memory of an idle node, a million queued tasks, and what the
// library costs a user's executable.
//
//	go run ./tests/bench [flags]
//
// The node is `mobula up`, built and started for the run; with -embedded it is this executable in the node's role, which can be profiled.
// Clients and actors have processes of their own; a row marked "(shared process)" has them all in one. The table goes to standard
// output, progress to standard error. A line that needs a part of the system that does not exist yet says so and has no figures.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/mobula-dev/mobula/tests/bench/profile"
)

//go:generate go run ../../codegen/cmd/mobula-gen ./...

// config is the command line.
type config struct {
	timing   timing
	quick    bool
	filter   []string
	embedded bool
	address  string
	binary   string
	profiles string
	json     string
	record   string
}

func parse(args []string) (config, error) {
	var c config
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	filter := f.String("filter", "", "measure only lines whose names contain one of these `words`, separated by commas")
	f.BoolVar(&c.quick, "quick", false, "one round of half a second per line in place of four of two seconds, and no rows with a shared process: a check, too short for what must warm up, such as puts of gigabytes")
	sleep := f.Duration("sleep", 0, "pause before each line; Ray's is 10s")
	f.BoolVar(&c.embedded, "embedded", false, "let the node be this executable, as in a user's program, in place of mobula up")
	f.StringVar(&c.address, "address", "", "use the node at this `address`")
	f.StringVar(&c.binary, "mobula", "", "use this mobula `binary` in place of building one")
	f.StringVar(&c.profiles, "cpuprofile", "", "write CPU profiles of the driver, the workers and, with -embedded, the node to this `directory`")
	f.StringVar(&c.json, "json", "", "write a list of {name, mean, sd} to this `file`")
	f.StringVar(&c.record, "record", "", "write the run with machine, commit and date to tests/bench/results under this `name`")
	if err := f.Parse(args); err != nil {
		return c, err
	}
	switch {
	case f.NArg() > 0:
		return c, fmt.Errorf("bench takes flags only, not %q", f.Arg(0))
	case c.embedded && c.address != "":
		return c, errors.New("-embedded and -address exclude each other")
	case c.record != filepath.Base(c.record) && c.record != "":
		return c, fmt.Errorf("-record wants a name, not the path %q", c.record)
	}
	if *filter != "" {
		c.filter = strings.Split(*filter, ",")
	}
	c.timing = rayTiming
	if c.quick {
		c.timing = quickTiming
	}
	c.timing.Sleep = *sleep
	return c, nil
}

// wants reports whether a line is to be measured.
func (c config) wants(name string) bool {
	for _, word := range c.filter {
		if strings.Contains(name, word) {
			return true
		}
	}
	return len(c.filter) == 0
}

// settings say how a run measures.
func (c config) settings() string {
	node := "mobula up, started for the run"
	switch {
	case c.embedded:
		node = "embedded"
	case c.address != "":
		node = "one that was there"
	}
	s := fmt.Sprintf("%d rounds of %v, %v of warm-up, pause of %v before a line; node: %s", c.timing.Rounds, c.timing.Round, c.timing.WarmUp, c.timing.Sleep, node)
	if len(c.filter) > 0 {
		s += "; only lines with " + strings.Join(c.filter, " or ")
	}
	return s
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		_, _ = fmt.Fprintln(os.Stderr, "bench:", err) // the exit status says it too
		os.Exit(1)
	}
}

// run measures, prints and writes. What was measured is printed also when the run broke off.
func run(ctx context.Context, args []string) (err error) {
	c, err := parse(args)
	if err != nil {
		return err
	}
	r := &runner{cfg: c, progress: os.Stderr, began: time.Now(), binary: c.binary}
	if r.root, err = moduleRoot(ctx); err != nil {
		return err
	}
	if r.dir, err = os.MkdirTemp("", "mobula-bench-"); err != nil {
		return fmt.Errorf("make a directory: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(r.dir)) }()
	if err := r.prepareProfiles(); err != nil {
		return err
	}
	m := thisMachine()
	broken := r.run(ctx)
	if !errors.Is(broken, errStuck) {
		r.drop()
	}
	m.LoadAfter = load()
	return errors.Join(broken, r.report(ctx, m))
}

// prepareProfiles makes the directory of profiles, and has this process and all that it starts listen for the signals. This process
// listens only if it was started with the variable, so it runs itself again with it.
func (r *runner) prepareProfiles() error {
	if r.cfg.profiles == "" {
		return nil
	}
	dir, err := filepath.Abs(r.cfg.profiles)
	if err != nil {
		return fmt.Errorf("profiles: %w", err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // profiles are for everybody
		return fmt.Errorf("profiles: %w", err)
	}
	r.cfg.profiles = dir
	if os.Getenv(profile.Dir) == dir {
		return nil
	}
	if err := errors.Join(os.RemoveAll(r.dir), profile.Clean(dir), os.Setenv(profile.Dir, dir)); err != nil {
		return fmt.Errorf("profiles: %w", err)
	}
	return fmt.Errorf("profiles: run this program again: %w", syscall.Exec("/proc/self/exe", os.Args, os.Environ()))
}

// report prints and writes what was measured.
func (r *runner) report(ctx context.Context, m machine) error {
	err := printTable(os.Stdout, r.rows)
	if r.cfg.json != "" {
		err = errors.Join(err, writeJSON(r.cfg.json, r.rows))
	}
	if r.cfg.record != "" {
		err = errors.Join(err, recording{
			Date: time.Now().UTC().Format(time.RFC3339), Commit: commit(ctx, r.root), Settings: r.cfg.settings(), Machine: m, Rows: r.rows,
		}.write(filepath.Join(r.root, "tests", "bench", "results"), r.cfg.record))
	}
	return err
}
