package core

import (
	"context"
	"errors"
	"sync"
	"weak"

	"github.com/mobula-dev/mobula/clients/go/mobula/internal/session"
)

// watches carries the cancellation of contexts to the tasks that were submitted with them. There is one watch per context, not one
// per task: contexts are few and calls are many.
type watches struct {
	mu  sync.Mutex // guards all
	all map[<-chan struct{}]*watch
}

// watch is one context and the tasks submitted with it that may still run.
type watch struct {
	tasks []weak.Pointer[session.Object]
	prune int // length at which finished tasks are dropped
	stop  func() bool
}

const pruneFirst = 64

// add watches ctx for the task that makes o. A ref that is dropped takes its task off the watch: nobody waits for it.
func (w *watches) add(ctx context.Context, o *session.Object) {
	done := ctx.Done()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.all == nil {
		w.all = make(map[<-chan struct{}]*watch)
	}
	x := w.all[done]
	if x == nil {
		x = &watch{prune: pruneFirst}
		x.stop = context.AfterFunc(ctx, func() { w.fire(ctx) })
		w.all[done] = x
	}
	x.tasks = append(x.tasks, weak.Make(o))
	if len(x.tasks) >= x.prune {
		x.drop()
	}
}

// drop forgets tasks that are done.
func (x *watch) drop() {
	live := x.tasks[:0]
	for _, p := range x.tasks {
		if o := p.Value(); o != nil && !o.Ready() {
			live = append(live, p)
		}
	}
	clear(x.tasks[len(live):])
	x.tasks = live
	x.prune = max(pruneFirst, 2*len(live))
}

// fire cancels what still runs, unless the context ended because the task that it belonged to has returned.
func (w *watches) fire(ctx context.Context) {
	w.mu.Lock()
	x := w.all[ctx.Done()]
	delete(w.all, ctx.Done())
	w.mu.Unlock()
	cause := context.Cause(ctx)
	if x == nil || errors.Is(cause, ErrReturned) || errors.Is(cause, context.DeadlineExceeded) {
		return // the node knows the deadline
	}
	for _, p := range x.tasks {
		if o := p.Value(); o != nil && !o.Ready() {
			if o.Session().Cancel(o, false, true) != nil {
				return // the session has ended: there is nothing left to cancel
			}
		}
	}
}
