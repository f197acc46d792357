//go:build !linux

package workerpool

import (
	"errors"
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"
)

// fork starts the program by its path. There is no parent-death signal: a worker ends itself when its role connection ends.
func fork(p program, _ bool) (pid int, err error) {
	path := p.path
	if path == "" {
		return 0, fmt.Errorf("start program %q: %w: this system starts programs by path only", p.args[0], errors.ErrUnsupported)
	}
	fds := make([]uintptr, len(p.files))
	for i, f := range p.files {
		fds[i] = f.Fd()
	}
	attr := &syscall.ProcAttr{Dir: p.dir, Env: p.env, Files: fds, Sys: &syscall.SysProcAttr{Setpgid: true}}
	pid, err = syscall.ForkExec(path, p.args, attr)
	if err != nil {
		return 0, fmt.Errorf("start program %q: %w", p.args[0], err)
	}
	return pid, nil
}

// awaitEnd reaps the child, for want of a portable way to await its end without that, and returns a function that tells its status. In the moment
// after it, the process's number may already be another's; Linux has no such moment.
func awaitEnd(pid int) (reap func() (unix.WaitStatus, error)) {
	var status unix.WaitStatus
	_, err := unix.Wait4(pid, &status, 0, nil)
	for errors.Is(err, unix.EINTR) {
		_, err = unix.Wait4(pid, &status, 0, nil)
	}
	if err != nil {
		err = fmt.Errorf("reap process %d: %w", pid, err)
	}
	return func() (unix.WaitStatus, error) { return status, err }
}
