package workerpool

import (
	"sync"

	"golang.org/x/sys/unix"
)

// children are the processes that the pool forked and has not reaped. Whoever kills or reaps other children of this process holds its lock, so
// that a process half forked, or just reaped, is never taken for an orphan.
type children struct {
	mu   sync.Mutex
	pids map[int]bool // guarded by mu
}

// fork starts a program and enters it. It runs on the forker's thread.
func (c *children) fork(p program, dying bool) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	pid, err := fork(p, dying)
	if pid != 0 {
		c.pids[pid] = true
	}
	return pid, err
}

// reap runs the given function, which frees the number, and removes it.
func (c *children) reap(pid int, reap func() (unix.WaitStatus, error)) (unix.WaitStatus, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.pids, pid)
	return reap()
}
