// Package profile takes CPU profiles of every process that runs this executable, the node and the workers included, in which no code of
// the program's own runs. Each of them listens for two signals from its first moment on; the driver sends them around what it measures.
//
// A process that was not started with the variable Dir set does nothing at all.
package profile

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/pprof"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Dir is the environment variable that names the directory in which profiles are written, one file per process: PID.pprof. An empty file
// PID.listening says that a process takes the signals.
const Dir = "MOBULA_BENCH_PROFILE_DIR"

const (
	begin = syscall.SIGUSR1
	end   = syscall.SIGUSR2

	profiled  = ".pprof"
	listening = ".listening"
)

// init listens before the program's own init functions run: in a worker or a node one of those never returns.
func init() { //nolint:gochecknoinits // there is no other place before the takeover
	dir := os.Getenv(Dir)
	if dir == "" {
		return
	}
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, begin, end)
	if err := os.WriteFile(file(dir, os.Getpid(), listening), nil, 0o600); err != nil {
		complain(err)
		return
	}
	go listen(dir, signals)
}

// complain tells of a problem: there is nobody to return an error to.
func complain(err error) { _, _ = fmt.Fprintln(os.Stderr, "profile:", err) }

// listen serves signals until the process ends.
func listen(dir string, signals <-chan os.Signal) {
	var f *os.File
	for s := range signals {
		var err error
		switch {
		case s == begin && f == nil:
			f, err = start(dir)
		case s == end && f != nil:
			err = finish(dir, f)
			f = nil
		}
		if err != nil {
			complain(err)
		}
	}
}

func start(dir string) (*os.File, error) {
	f, err := os.CreateTemp(dir, "*.unfinished")
	if err != nil {
		return nil, fmt.Errorf("start a profile: %w", err)
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return nil, errors.Join(fmt.Errorf("start a profile: %w", err), f.Close())
	}
	return f, nil
}

// finish gives the profile its name when it is whole.
func finish(dir string, f *os.File) error {
	pprof.StopCPUProfile()
	return errors.Join(f.Close(), os.Rename(f.Name(), file(dir, os.Getpid(), profiled)))
}

func file(dir string, pid int, suffix string) string {
	return filepath.Join(dir, strconv.Itoa(pid)+suffix)
}

// Start begins a profile in each process that listens and returns those processes.
func Start(dir string) ([]int, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("find the processes to profile: %w", err)
	}
	var pids []int
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), listening)
		pid, err := strconv.Atoi(name)
		if !ok || err != nil {
			continue
		}
		if syscall.Kill(pid, begin) == nil {
			pids = append(pids, pid)
		} else if err := os.Remove(file(dir, pid, listening)); err != nil { // it has ended
			return nil, fmt.Errorf("find the processes to profile: %w", err)
		}
	}
	return pids, nil
}

// Stop ends the profiles and renames them to name(pid). A process that does not write its profile within two seconds is an error; one
// that has ended has none.
func Stop(dir string, pids []int, name func(pid int) string) error {
	var errs []error
	for _, pid := range pids {
		if syscall.Kill(pid, end) != nil {
			continue
		}
		if err := await(file(dir, pid, profiled), filepath.Join(dir, name(pid))); err != nil {
			errs = append(errs, fmt.Errorf("profile of process %d: %w", pid, err))
		}
	}
	return errors.Join(errs...)
}

// await renames a file as soon as it is there.
func await(from, to string) error {
	deadline := time.Now().Add(2 * time.Second)
	for {
		err := os.Rename(from, to)
		if err == nil || !errors.Is(err, os.ErrNotExist) || time.Now().After(deadline) {
			return err
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// Clean removes what processes of an earlier run left in dir: their numbers may be used again.
func Clean(dir string) error {
	for _, suffix := range []string{listening, ".unfinished"} {
		old, err := filepath.Glob(filepath.Join(dir, "*"+suffix))
		if err != nil {
			return fmt.Errorf("clean %s: %w", dir, err)
		}
		for _, f := range old {
			if err := os.Remove(f); err != nil {
				return fmt.Errorf("clean %s: %w", dir, err)
			}
		}
	}
	return nil
}
