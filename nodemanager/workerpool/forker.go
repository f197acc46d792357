package workerpool

import (
	"context"
	"os"
	"runtime"
	"sync"
)

// forker runs functions on one thread for the pool's whole life. Children forked there get their parent-death signal when that thread ends: when this process
// ends, or when stop is called.
type forker struct {
	work     chan func()
	stopOnce sync.Once
	stopped  chan struct{}
}

func newForker() *forker {
	f := &forker{work: make(chan func()), stopped: make(chan struct{})}
	go f.run()
	return f
}

func (f *forker) run() {
	defer close(f.stopped)
	runtime.LockOSThread() // Never unlocked: the thread ends with the goroutine.
	for fn := range f.work {
		fn()
	}
}

// do runs fn on the thread and waits for it. Once fn has begun, do returns only after it has ended. It must not be called after stop.
func (f *forker) do(ctx context.Context, fn func()) error {
	done := make(chan struct{})
	select {
	case f.work <- func() { defer close(done); fn() }:
		<-done
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// stop ends the thread.
func (f *forker) stop() {
	f.stopOnce.Do(func() { close(f.work) })
	<-f.stopped
}

// program is one process to start.
type program struct {
	executable *os.File // or nil
	path       string
	args       []string
	env        []string
	dir        string
	files      []*os.File // by number in the child
}
