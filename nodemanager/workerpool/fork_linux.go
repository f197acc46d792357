package workerpool

import (
	"errors"
	"fmt"
	"math"
	"os"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// workerOOMScore makes the kernel prefer a worker to its node when memory runs out.
const workerOOMScore = 500

// fork starts the program and returns its process number. It runs on the forker's thread. When dying is false the process outlives the thread.
func fork(p program, dying bool) (pid int, err error) {
	// A descriptor that came to this process without close-on-exec, from a C library or its own starter, must not reach a worker. Kernels
	// before 5.11 refuse the call, and there everything that Go opened is close-on-exec anyway.
	_ = unix.CloseRange(3, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC)
	fds := make([]uintptr, len(p.files))
	highest := 0
	for i, f := range p.files {
		fds[i] = f.Fd()
		highest = max(highest, int(fds[i]))
	}
	path := p.path
	if p.executable != nil {
		exe, err := dupAbove(p.executable, highest)
		if err != nil {
			return 0, err
		}
		defer func() { err = errors.Join(err, exe.Close()) }()
		path = "/proc/self/fd/" + strconv.Itoa(int(exe.Fd()))
	}
	sys := &syscall.SysProcAttr{Setpgid: true}
	if dying {
		sys.Pdeathsig = syscall.SIGKILL
	}
	pid, err = syscall.ForkExec(path, p.args, &syscall.ProcAttr{Dir: p.dir, Env: p.env, Files: fds, Sys: sys})
	if err != nil {
		return 0, fmt.Errorf("start program %q: %w", p.args[0], err)
	}
	if dying {
		raiseOOMScore(pid)
	}
	return pid, nil
}

// dupAbove duplicates the executable to a number that the child does not overwrite: before exec it moves its files, at most five of
// them with the pipe for errors, to the numbers just above the highest one, and then down to their places.
func dupAbove(f *os.File, highest int) (*os.File, error) {
	const room = 16
	fd, err := -1, error(nil)
	raw, failed := f.SyscallConn()
	if failed == nil {
		// The job that the executable belongs to may end, and close it, meanwhile.
		failed = raw.Control(func(of uintptr) { fd, err = unix.FcntlInt(of, unix.F_DUPFD_CLOEXEC, highest+room) })
	}
	if err = errors.Join(failed, err); err != nil {
		return nil, fmt.Errorf("duplicate descriptor of executable: %w", err)
	}
	return os.NewFile(uintptr(fd), "executable"), nil
}

// raiseOOMScore needs no privilege upwards; a process that has ended already, or a /proc that is read-only, is no reason to fail.
func raiseOOMScore(pid int) {
	_ = os.WriteFile("/proc/"+strconv.Itoa(pid)+"/oom_score_adj", []byte(strconv.Itoa(workerOOMScore)), 0)
}

// awaitEnd returns when the child has ended, with the function that reaps it and tells its status: until that is called the kernel
// keeps the process's number, and that of its group, from being used again. It parks the goroutine, no thread, where the kernel has
// non-blocking pidfds (5.10).
func awaitEnd(pid int) (reap func() (unix.WaitStatus, error)) {
	if !pollEnd(pid) {
		_ = waitid(pid) // An error means that there is no such child, which reap then reports.
	}
	return func() (unix.WaitStatus, error) {
		var status unix.WaitStatus
		for {
			_, err := unix.Wait4(pid, &status, 0, nil)
			if err == nil {
				return status, nil
			}
			if !errors.Is(err, unix.EINTR) {
				return 0, fmt.Errorf("reap process %d: %w", pid, err)
			}
		}
	}
}

// pollEnd awaits the end of the child on its pidfd, false where that does not work.
func pollEnd(pid int) bool {
	fd, err := unix.PidfdOpen(pid, unix.PIDFD_NONBLOCK)
	if err != nil {
		return false
	}
	f := os.NewFile(uintptr(fd), "pidfd")
	defer func() { _ = f.Close() }() // Nothing was written.
	conn, err := f.SyscallConn()
	if err != nil {
		return false
	}
	var failed error
	err = conn.Read(func(uintptr) bool {
		var ended bool
		ended, failed = hasEnded(pid)
		return ended || failed != nil
	})
	return err == nil && failed == nil
}

// waitid blocks its thread until the child has ended.
func waitid(pid int) error {
	for {
		err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// hasEnded reports whether the child has ended, without reaping it.
func hasEnded(pid int) (bool, error) {
	for {
		var info unix.Siginfo // Signo stays 0 while the child runs.
		err := unix.Waitid(unix.P_PID, pid, &info, unix.WEXITED|unix.WNOWAIT|unix.WNOHANG, nil)
		if !errors.Is(err, unix.EINTR) {
			return info.Signo != 0, err
		}
	}
}
