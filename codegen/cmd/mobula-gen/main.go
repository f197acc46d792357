// Command mobula-gen writes typed stubs for the functions and types of Go packages that are annotated with //mobula:
// comments. docs/codegen.md is its manual.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"time"

	"github.com/mobula-dev/mobula/codegen/parse"
)

// Exit codes. They are a promise: continuous integration tells stale stubs from a broken source and from a broken machine.
const (
	exitFresh       = 0 // everything was written, or with check, is as it should be
	exitStale       = 1 // check: something generated is not what it should be
	exitSource      = 2 // the source or the command line is wrong
	exitEnvironment = 3 // a tool, the file system or the network failed
)

const usage = `mobula-gen writes typed stubs for annotated Go packages.

usage:
  mobula-gen [flags] [packages]         write what is generated (default packages: ./...)
  mobula-gen check [flags] [packages]   write nothing; print what would change, as a diff

flags:
  -json   print problems and changes as one JSON object
  -v      print how long each step takes, and which files change

exit codes:
  0  fresh    1  stale (check only)    2  error in the source    3  failure of a tool or the environment
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	code := run(ctx, os.Args[1:], session{dir: ".", out: os.Stdout, err: os.Stderr})
	stop()
	os.Exit(code)
}

// session is where a run takes place.
type session struct {
	// dir is the working directory.
	dir string
	// out gets what was asked for, err what is wrong.
	out, err io.Writer
}

// report is what -json prints.
type report struct {
	Problems []parse.Problem `json:"problems"`
	Changes  []change        `json:"changes"`
	Exit     int             `json:"exit"`
}

// command is a parsed command line.
type command struct {
	check, json, verbose bool
	patterns             []string
}

// errHelp is returned for a command line that asks for help.
var errHelp = errors.New("help was asked for")

// parseArgs parses a command line.
func parseArgs(args []string) (command, error) {
	var c command
	if len(args) > 0 && args[0] == "check" {
		c.check, args = true, args[1:]
	}
	if len(args) > 0 && args[0] == "help" {
		return c, errHelp
	}
	flags := flag.NewFlagSet("mobula-gen", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.BoolVar(&c.json, "json", false, "")
	flags.BoolVar(&c.verbose, "v", false, "")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return c, errHelp
	} else if err != nil {
		return c, fmt.Errorf("read the command line: %w", err)
	}
	if c.patterns = flags.Args(); len(c.patterns) == 0 {
		c.patterns = []string{"./..."}
	}
	return c, nil
}

// run runs the command and returns its exit code.
func run(ctx context.Context, args []string, s session) int {
	c, err := parseArgs(args)
	switch {
	case errors.Is(err, errHelp):
		s.print(s.out, "%s", usage)
		return exitFresh
	case err != nil:
		s.print(s.err, "mobula-gen: %v\n\n%s", err, usage)
		return exitSource
	}
	start := time.Now()
	result, err := parse.Load(ctx, parse.Config{Dir: s.dir, Patterns: c.patterns})
	if err != nil {
		s.print(s.err, "mobula-gen: %v\n", err)
		return exitEnvironment
	}
	r := report{Problems: result.Problems, Changes: []change{}}
	if len(r.Problems) == 0 {
		planned := time.Now()
		r.Changes, r.Problems = plan(s.dir, result.Packages)
		result.Steps = append(result.Steps, parse.Step{Name: "generate", Took: time.Since(planned), Note: fmt.Sprintf("%d files change", len(r.Changes))})
	}
	if len(r.Problems) == 0 && !c.check {
		written := time.Now()
		r.Problems = apply(r.Changes)
		result.Steps = append(result.Steps, parse.Step{Name: "write", Took: time.Since(written)})
	}
	r.Exit = exitCode(r, c.check)
	s.report(r, c)
	if c.verbose {
		for _, step := range result.Steps {
			s.print(s.err, "%8s  %6.0f ms  %s\n", step.Name, milliseconds(step.Took), step.Note)
		}
		s.print(s.err, "%8s  %6.0f ms\n", "total", milliseconds(time.Since(start)))
	}
	return r.Exit
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// exitCode returns the exit code for a report: failures of the environment come first, since what else is wrong may be
// their consequence.
func exitCode(r report, check bool) int {
	code := exitFresh
	if check && len(r.Changes) > 0 {
		code = exitStale
	}
	for _, p := range r.Problems {
		if p.Code.Environment() {
			return exitEnvironment
		}
		code = exitSource
	}
	return code
}

// report prints a report.
func (s session) report(r report, c command) {
	if c.json {
		if r.Problems == nil {
			r.Problems = []parse.Problem{}
		}
		e := json.NewEncoder(s.out)
		e.SetEscapeHTML(false)
		e.SetIndent("", "  ")
		if err := e.Encode(r); err != nil {
			s.print(s.err, "mobula-gen: print the report: %v\n", err)
		}
		return
	}
	for _, p := range r.Problems {
		s.print(s.err, "%s\n", p)
	}
	for _, ch := range r.Changes {
		if c.check && len(r.Problems) == 0 {
			s.print(s.out, "%s", ch.Diff)
		}
		if c.verbose {
			s.print(s.err, "%s %s\n", ch.Kind, ch.Path)
		}
	}
}

// print prints to the user. Where that fails there is nobody to tell; the exit code still says how it went.
func (s session) print(w io.Writer, format string, args ...any) {
	_, _ = fmt.Fprintf(w, format, args...)
}
