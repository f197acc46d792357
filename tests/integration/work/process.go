package work

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"

	"github.com/mobula-dev/mobula/tests/harness/gate"
)

// EnvStart makes a worker misbehave while it starts: see the constants below.
const EnvStart = "MOBULA_HARNESS_START"

// The ways in which a worker does not start.
const (
	StartExits  = "exits"
	StartPanics = "panics"
	StartBlocks = "blocks"
)

var _ = start(os.Getenv(EnvStart))

// start runs before main, as initialisers of users' packages do.
func start(how string) string {
	switch how {
	case StartExits:
		os.Exit(5) //nolint:forbidigo // This end is what the tests are about.
	case StartPanics:
		panic("while the worker starts")
	case StartBlocks:
		select {}
	}
	return how
}

// Print writes lines to standard output and standard error.
//
//mobula:remote
func Print(lines, length int) error {
	line := strings.Repeat("x", length)
	for i := range lines {
		if _, err := fmt.Fprintf(os.Stdout, "out %d %s\n", i, line); err != nil {
			return err
		}
		if _, err := fmt.Fprintf(os.Stderr, "err %d %s\n", i, line); err != nil {
			return err
		}
	}
	return nil
}

// Spawn starts a subprocess that lasts, in a session of its own if asked, and passes a gate under its process id.
//
//mobula:remote
func Spawn(ctx context.Context, address string, session bool) error {
	cmd := exec.Command("sleep", "1000")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: session}
	if err := cmd.Start(); err != nil {
		return err
	}
	_, err := gate.Pass(ctx, address, fmt.Sprintf("spawned by %d", os.Getpid()))
	return err
}

// Surroundings is what a worker finds around it.
type Surroundings struct {
	Args  []string
	Dir   string
	Env   map[string]string
	Stdin int
}

// Look tells what is around it: variables by name, and how much can be read from standard input.
//
//mobula:remote
func Look(names []string) (Surroundings, error) {
	dir, err := os.Getwd()
	if err != nil {
		return Surroundings{}, err
	}
	s := Surroundings{Args: os.Args, Dir: dir, Env: make(map[string]string)}
	for _, name := range names {
		if v, ok := os.LookupEnv(name); ok {
			s.Env[name] = v
		}
	}
	n, err := io.Copy(io.Discard, os.Stdin)
	s.Stdin = int(n)
	return s, err
}
