// Wordindex makes an index of real source code: the Go toolchain's own, some 7,700 files. It is a complete Mobula program of the usual
// shape. Remote tasks index batches of files, a tree of tasks merges their indexes, and the program prints what it found, how fast, and whether
// the result is that of a plain sequential run.
//
// Read tasks.go first, which has the functions that run as tasks, then job.go, which calls them. Package index has the work itself.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/mobula-dev/mobula/clients/go/mobula"
)

//go:generate go run github.com/mobula-dev/mobula/codegen/cmd/mobula-gen .

// options are the program's flags.
type options struct {
	dir        string
	batch      int64
	fan        int
	top        int
	sequential bool
	json       bool
}

// Exit codes besides 0. A wrong result is a failure.
const (
	exitFailed      = 1
	exitUsage       = 2
	exitInterrupted = 130 // as shells say it of SIGINT
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := exit(ctx, run(ctx, os.Args[1:], os.Stdout, os.Stderr), os.Stderr)
	stop()
	os.Exit(code)
}

// exit says what went wrong, and returns the exit code.
func exit(ctx context.Context, err error, stderr io.Writer) int {
	var usage *usageError
	switch {
	case err == nil || errors.Is(err, flag.ErrHelp):
		return 0
	case ctx.Err() != nil:
		_, _ = fmt.Fprintln(stderr, "interrupted") // the exit code says it too
		return exitInterrupted
	case errors.As(err, &usage):
		_, _ = fmt.Fprintln(stderr, "wordindex:", err)
		return exitUsage
	default:
		_, _ = fmt.Fprintln(stderr, "wordindex:", err)
		return exitFailed
	}
}

// usageError is a mistake on the command line.
type usageError struct{ error }

// parse reads the command line.
func parse(args []string, stderr io.Writer) (*options, error) {
	o := &options{}
	flags := flag.NewFlagSet("wordindex", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&o.dir, "dir", "", "index the Go files below this `folder` (default the Go toolchain's own source)")
	flags.Int64Var(&o.batch, "batch", 6_000_000, "read about this many `bytes` in one task")
	flags.IntVar(&o.fan, "fan", mergeMax, fmt.Sprintf("merge this many indexes in one task, 2 to %d", mergeMax))
	flags.IntVar(&o.top, "top", 8, "print this many identifiers of each kind")
	flags.BoolVar(&o.sequential, "sequential", true, "do the same work without Mobula too, and compare")
	flags.BoolVar(&o.json, "json", false, "print the result as JSON")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return nil, err
		}
		return nil, &usageError{err}
	}
	switch {
	case flags.NArg() > 0:
		return nil, &usageError{fmt.Errorf("unexpected argument %q", flags.Arg(0))}
	case o.batch < 1:
		return nil, &usageError{fmt.Errorf("-batch is %d, want at least 1", o.batch)}
	case o.fan < 2 || o.fan > mergeMax:
		return nil, &usageError{fmt.Errorf("-fan is %d, want 2 to %d", o.fan, mergeMax)}
	case o.top < 0:
		return nil, &usageError{fmt.Errorf("-top is %d, want at least 0", o.top)}
	}
	return o, nil
}

// run does everything: it finds the files, makes the index, checks it and prints the report.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	o, err := parse(args, stderr)
	if err != nil {
		return err
	}
	if o.dir == "" {
		if o.dir, err = toolchain(ctx); err != nil {
			return err
		}
	}
	c, err := findSources(o.dir)
	if err != nil {
		return err
	}
	if o.sequential {
		if err := c.warm(ctx); err != nil {
			return err
		}
	}
	r, err := measure(ctx, c, o, stderr)
	if err != nil {
		return err
	}
	if o.json {
		return r.json(stdout)
	}
	return r.text(stdout)
}

// toolchain returns the folder of the Go toolchain's source.
func toolchain(ctx context.Context) (string, error) {
	root, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
	if err != nil {
		return "", fmt.Errorf("ask go for its folder, as there is no -dir: %w", err)
	}
	return filepath.Join(strings.TrimSpace(string(root)), "src"), nil
}

// measure makes the index with Mobula, and then without if that is wanted.
func measure(ctx context.Context, c *corpus, o *options, stderr io.Writer) (*report, error) {
	begun := time.Now()
	ctx, stop, err := mobula.Init(ctx) // a node of this program's own, which ends with it
	if err != nil {
		return nil, err
	}
	defer stop()
	started := time.Since(begun)

	begun = time.Now()
	batches := c.batches(o.batch)
	j, err := start(ctx, c, batches, o.fan, o.top)
	if err != nil {
		return nil, err
	}
	stopProgress := newProgress(stderr, c.bytes).follow(j)
	summary, err := j.summary(ctx, o.top)
	took := time.Since(begun)
	stopProgress()
	if err != nil {
		return nil, err
	}

	r := newReport(c, summary)
	r.Batches, r.Tasks, r.Start, r.Job = len(batches), j.tasks, started.Seconds(), took.Seconds()
	r.MBPerSecond = float64(r.Totals.Bytes) / 1e6 / r.Job
	if !o.sequential {
		return r, nil
	}
	begun = time.Now()
	whole, want, err := sequential(ctx, c, o.top)
	if err != nil {
		return nil, err
	}
	r.Sequential = time.Since(begun).Seconds()
	r.Speedup = r.Sequential / r.Job
	return r, j.compare(ctx, summary, whole, want)
}
