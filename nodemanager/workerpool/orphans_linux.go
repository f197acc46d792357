package workerpool

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mobula-dev/mobula/internal/takeover/guard"
)

// orphans takes in the subprocesses of workers whose parents have ended. As the subreaper this process becomes their parent; they are reaped when they end, and
// killed when the worker that they come from has ended. One whose worker cannot be told, since it left group, session and environment behind, is
// killed when no worker is left.
type orphans struct {
	pool     string
	children *children
	// alive reports whether the worker with the given id, in hexadecimal, has not ended; with "", whether any has not.
	alive func(worker string) bool
	kick  chan struct{} // capacity 1
}

// adopt makes this process the parent of orphans below it, or stops that.
func adopt(on bool) error {
	var arg uintptr
	if on {
		arg = 1
	}
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, arg, 0, 0, 0); err != nil {
		return fmt.Errorf("become the parent of orphans: %w", err)
	}
	return nil
}

// run sweeps whenever a child ends and when it is kicked, until ctx ends.
func (o *orphans) run(ctx context.Context) {
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, unix.SIGCHLD)
	defer signal.Stop(ended)
	for {
		select {
		case <-ctx.Done():
			return
		case <-ended:
		case <-o.kick:
		}
		o.sweep()
	}
}

// look asks for a sweep soon.
func (o *orphans) look() {
	select {
	case o.kick <- struct{}{}:
	default: // One is due already and will see what there is now.
	}
}

// sweep reaps and kills what is due, and returns how many orphans it has seen.
func (o *orphans) sweep() int {
	procs, err := guard.Scan()
	if err != nil {
		return 0 // Without /proc orphans are left to the kernel, which reaps them when this process ends.
	}
	self, seen := os.Getpid(), 0
	for _, p := range procs {
		if p.Parent == self && !o.children.has(p.PID) && o.treat(self, p.PID) {
			seen++
		}
	}
	return seen
}

// treat reaps or kills one child if it is an orphan. It looks again under the lock: only then is it sure that the number is still the same process's, since
// an orphan's number is free only after it was reaped here.
func (o *orphans) treat(self, pid int) bool {
	worker, _ := guard.Mark(pid, o.pool)
	doomed := !o.alive(worker)
	o.children.mu.Lock()
	defer o.children.mu.Unlock()
	p, ok := guard.Lookup(pid)
	if !ok || p.Parent != self || o.children.pids[pid] {
		return false
	}
	switch {
	case p.State == 'Z':
		_, _ = unix.Wait4(pid, nil, unix.WNOHANG, nil) // Nobody asks for its status.
		return false
	case doomed:
		_ = unix.Kill(pid, unix.SIGKILL) // It may have ended; its end brings the next sweep.
	}
	return true
}

// has reports whether the process is one of the pool's. It waits for a fork that is under way.
func (c *children) has(pid int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.pids[pid]
}

// end sweeps until no orphan is left, or until the deadline.
func (o *orphans) end(deadline time.Time) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	left := o.sweep()
	for ; left > 0 && time.Now().Before(deadline); left = o.sweep() {
		<-tick.C
	}
	if left > 0 {
		return fmt.Errorf("%d subprocesses of workers have not ended", left)
	}
	return nil
}
