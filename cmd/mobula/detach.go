package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/mobula-dev/mobula/head"
)

const (
	// readyVariable tells a detached node the number of the descriptor on which it says that it is ready.
	readyVariable = "MOBULA_READY_FD"
	// readyFD is that number: the first after standard input, output and error.
	readyFD = 3
	// detachTimeout bounds the start of a detached node.
	detachTimeout = time.Minute
	// logMax is the size at which the log of a former life makes room for that of the next, in bytes.
	logMax = 16 << 20
	// tailMax is how much of the log is shown of a node that did not start, in bytes.
	tailMax = 2 << 10
)

// detach starts this command again in a session of its own, and returns when the node is ready.
func detach(cmd *cobra.Command, dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if pid, held, err := head.Holder(dir); err != nil {
		return err
	} else if held {
		return fmt.Errorf("open head in %s: %w", dir, &head.LockedError{Dir: dir, PID: pid})
	}
	log, err := openLog(filepath.Join(dir, "log"))
	if err != nil {
		return err
	}
	start, err := log.Seek(0, io.SeekEnd)
	if err != nil {
		return errors.Join(err, log.Close())
	}
	process, ready, err := startDetached(log)
	if err != nil {
		return errors.Join(fmt.Errorf("start the node: %w", err), log.Close())
	}
	banner, err := awaitReady(process, ready)
	if err != nil {
		err = fmt.Errorf("%w\n%s", err, tail(log, start))
	}
	if err := errors.Join(err, ready.Close(), log.Close()); err != nil {
		return err
	}
	_, err = io.WriteString(cmd.OutOrStdout(), banner)
	return err
}

// openLog opens the log for appending; a long one of former lives makes room.
func openLog(path string) (*os.File, error) {
	if info, err := os.Stat(path); err == nil && info.Size() > logMax {
		if err := os.Rename(path, path+".old"); err != nil {
			return nil, err
		}
	}
	return os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
}

// startDetached starts this program with its own arguments; what it writes goes to the log, and ready is the end of the pipe on which it
// will say that it is ready.
func startDetached(log *os.File) (process *os.Process, ready *os.File, err error) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		return nil, nil, err
	}
	defer null.Close() //nolint:errcheck // it was only read
	ready, theirs, err := os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	self := "/proc/self/exe" // still this program when its file was replaced
	if _, err := os.Stat(self); err != nil {
		if self, err = os.Executable(); err != nil {
			return nil, nil, errors.Join(err, ready.Close(), theirs.Close())
		}
	}
	process, err = os.StartProcess(self, os.Args, &os.ProcAttr{
		Env:   append(os.Environ(), fmt.Sprintf("%s=%d", readyVariable, readyFD)),
		Files: []*os.File{null, log, log, theirs},
		Sys:   &syscall.SysProcAttr{Setsid: true},
	})
	if err := errors.Join(err, theirs.Close()); err != nil {
		return nil, nil, errors.Join(err, ready.Close())
	}
	return process, ready, nil
}

// awaitReady reads what a detached node says; one that has not said it in time, or whose start the user interrupts, is ended.
func awaitReady(process *os.Process, ready *os.File) (banner string, err error) {
	interrupted := make(chan os.Signal, 1)
	signal.Notify(interrupted, syscall.SIGINT, syscall.SIGTERM)
	defer signal.Stop(interrupted)
	said := make(chan string, 1)
	go func() {
		b, _ := io.ReadAll(ready) // what is missing shows in what was read
		said <- string(b)
	}()
	why := "was not ready in time"
	select {
	case text := <-said:
		if rest, ok := strings.CutPrefix(text, readyMark); ok {
			return rest, process.Release()
		}
		state, err := process.Wait()
		if err != nil {
			return "", fmt.Errorf("the node did not start: %w", err)
		}
		return "", fmt.Errorf("the node did not start: %v", state)
	case <-interrupted:
		why = "was interrupted"
	case <-time.After(detachTimeout):
	}
	err = process.Signal(syscall.SIGTERM)
	if _, waitErr := process.Wait(); waitErr != nil {
		err = errors.Join(err, waitErr)
	}
	return "", errors.Join(errors.New("the start of the node "+why), err)
}

// readyMark begins what a node that is ready says; the banner follows.
const readyMark = "ready\n"

// tail returns the end of what was logged since start.
func tail(log *os.File, start int64) string {
	end, err := log.Seek(0, io.SeekEnd)
	if err != nil {
		return ""
	}
	start = max(start, end-tailMax)
	b := make([]byte, end-start)
	n, _ := log.ReadAt(b, start) // as much as there is
	return cleanLines(strings.TrimSpace(string(b[:n])))
}

// takeReadyPipe returns the pipe on which this node shall say that it is ready, nil if it was not started detached.
func takeReadyPipe() *os.File {
	if os.Getenv(readyVariable) == "" || os.Unsetenv(readyVariable) != nil {
		return nil
	}
	syscall.CloseOnExec(readyFD)
	return os.NewFile(readyFD, "ready")
}

// serveDetached runs a node that says on the pipe when it serves.
func serveDetached(cmd *cobra.Command, cfg head.Config, ready *os.File) error {
	return serve(cmd.Context(), cfg, func(banner string) error {
		if err := os.Chdir(cfg.Dir); err != nil { // not to keep a file system busy that somebody wants to unmount
			return errors.Join(err, ready.Close())
		}
		_, err := io.WriteString(ready, readyMark+banner)
		return errors.Join(err, ready.Close())
	})
}
