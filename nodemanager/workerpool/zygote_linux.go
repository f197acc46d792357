package workerpool

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/mobula-dev/mobula/internal/takeover/guard"
)

// forksWorkers says that zygotes are used on this system: it needs a parent-death signal and descriptors of processes.
const forksWorkers = true

// adopt enters a process that a zygote has forked. It makes sure that the number is still that of a child of the zygote, or of this process, which inherits
// a dead zygote's: a dead child's number is free only after its parent has reaped it, which neither does by itself while children.mu is held.
func (c *children) adopt(pid, zygote int) (pidfd *os.File, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	fd, err := unix.PidfdOpen(pid, unix.PIDFD_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("open forked process %d: %w", pid, err)
	}
	pidfd = os.NewFile(uintptr(fd), "pidfd")
	if p, ok := guard.Lookup(pid); !ok || p.Parent != zygote && p.Parent != os.Getpid() {
		return nil, errors.Join(fmt.Errorf("process %d is not the zygote's child (parent %d)", pid, p.Parent), pidfd.Close())
	}
	c.pids[pid] = true
	return pidfd, nil
}

// awaitPidfd waits until the process has ended.
func awaitPidfd(f *os.File) {
	conn, err := f.SyscallConn()
	if err != nil {
		return
	}
	_ = conn.Read(func(fd uintptr) bool { // It fails only on a closed file.
		fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		n, err := unix.Poll(fds, 0)
		return n > 0 || err != nil && !errors.Is(err, unix.EINTR)
	})
}

// wait4 reaps a child.
func wait4(pid int, status *unix.WaitStatus) (int, error) {
	for {
		got, err := unix.Wait4(pid, status, 0, nil)
		if !errors.Is(err, unix.EINTR) {
			return got, err
		}
	}
}
