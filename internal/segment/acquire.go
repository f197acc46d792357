package segment

import (
	"context"
	"errors"
	"slices"
)

// waiter is a call of Acquire that found no room. It asks the node for a segment, or, when another waiter asks already for one that
// small objects share, waits for that. Meanwhile every free in this process may serve it, which ends its request at the node.
type waiter struct {
	size uint64
	// ready is closed when reply is set, after the waiter left Writer.waiters.
	ready chan struct{}
	reply reply
	// turn receives when this waiter is the one to ask.
	turn chan struct{}
}

// reply is what a waiter waited for.
type reply struct {
	arena *arena
	block Block
	err   error
}

// shared reports whether the waiter's object will share a segment, if the node grants one of the usual length.
func (wt *waiter) shared() bool { return wt.size <= DefaultBytes/2 }

// wake tells waiters that their reply is there.
func wake(served []*waiter) {
	for _, wt := range served {
		close(wt.ready)
	}
}

// Acquire allocates like Alloc, and asks the node for a segment when none has room. It waits for the node, or for space that is
// freed in this process, until ctx ends.
func (w *Writer) Acquire(ctx context.Context, size uint64) (Block, []byte, error) {
	b, buf, err := w.Alloc(size)
	if need := new(NeedGrantError); !errors.As(err, &need) {
		return b, buf, err
	}
	wt := &waiter{size: size, ready: make(chan struct{}), turn: make(chan struct{}, 1)}
	w.enqueue(wt)
	for {
		select {
		case <-wt.ready:
			return w.served(wt)
		case <-ctx.Done():
			return Block{}, nil, w.leave(wt, context.Cause(ctx))
		case <-wt.turn:
			err := w.ask(ctx, wt)
			w.asked(wt)
			if err != nil {
				if wt.isReady() {
					return w.served(wt)
				}
				return Block{}, nil, w.leave(wt, err)
			}
		}
	}
}

func (wt *waiter) isReady() bool {
	select {
	case <-wt.ready:
		return true
	default:
		return false
	}
}

// enqueue enters a waiter, and serves it at once if space was freed since it looked.
func (w *Writer) enqueue(wt *waiter) {
	w.mu.Lock()
	if w.closed {
		w.mu.Unlock()
		wt.reply = reply{err: ErrClosed}
		close(wt.ready)
		return
	}
	w.waiters = append(w.waiters, wt)
	woken := w.serve()
	if !slices.Contains(woken, wt) && (!wt.shared() || !w.asking) {
		w.asking = w.asking || wt.shared()
		wt.turn <- struct{}{}
	}
	w.mu.Unlock()
	wake(woken)
}

// ask gets one segment from the node, or stops when the waiter is served otherwise.
func (w *Writer) ask(ctx context.Context, wt *waiter) error {
	ctx, cancel := context.WithCancel(ctx)
	stop := make(chan struct{})
	defer close(stop)
	defer cancel()
	go func() { // ends with this call
		select {
		case <-wt.ready:
			cancel()
		case <-stop:
		}
	}()
	g, err := w.granter.Grant(ctx, wt.size)
	if err != nil {
		return err
	}
	return w.AddSegment(g, wt.size)
}

// asked ends a waiter's turn. If it is still not served, because others took the room, it has another one; a waiter for shared
// space leaves that to the first such waiter.
func (w *Writer) asked(wt *waiter) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case wt.shared():
		w.passTurn()
	case slices.Contains(w.waiters, wt):
		wt.turn <- struct{}{}
	}
}

// passTurn gives the right to ask for shared space to the first that waits for some. Only who has the right may call it, so that
// there is one turn at most. mu is held.
func (w *Writer) passTurn() {
	w.asking = false
	for _, wt := range w.waiters {
		if wt.shared() {
			w.asking = true
			wt.turn <- struct{}{}
			return
		}
	}
}

// returnTurn passes on a turn that a waiter was given and does not need any more, having left Writer.waiters. mu is held.
func (w *Writer) returnTurn(wt *waiter) {
	select {
	case <-wt.turn:
		if wt.shared() {
			w.passTurn()
		}
	default:
	}
}

// leave takes out a waiter that gives up for the reason err, and undoes what it was given meanwhile.
func (w *Writer) leave(wt *waiter, err error) error {
	w.mu.Lock()
	i := slices.Index(w.waiters, wt)
	if i >= 0 {
		w.waiters = slices.Delete(w.waiters, i, i+1)
	}
	w.returnTurn(wt)
	w.mu.Unlock()
	if i >= 0 {
		return err
	}
	<-wt.ready
	if wt.reply.err != nil {
		return err
	}
	return errors.Join(err, w.Free(wt.reply.block))
}

// served completes a waiter that has its reply. A turn that came with it goes on to the next.
func (w *Writer) served(wt *waiter) (Block, []byte, error) {
	w.mu.Lock()
	w.returnTurn(wt)
	w.mu.Unlock()
	if wt.reply.err != nil {
		return Block{}, nil, wt.reply.err
	}
	return w.back(wt.reply.arena, wt.reply.block)
}

// serve places what waits, oldest first, and returns those who have to be woken when mu is released. mu is held.
func (w *Writer) serve() []*waiter {
	var woken []*waiter
	w.waiters = slices.DeleteFunc(w.waiters, func(wt *waiter) bool {
		a, b, ok := w.place(wt.size)
		if ok {
			wt.reply = reply{arena: a, block: b}
			woken = append(woken, wt)
		}
		return ok
	})
	return woken
}
