package shard

import (
	"sync"

	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"
)

// request is a batch on its way through the log.
type request struct {
	batch *mobulav1.Batch
	size  int
	done  chan struct{} // Closed when result and err are set.

	once   sync.Once
	result *mobulav1.BatchResult
	err    error
}

// finish answers the request; the first answer counts.
func (r *request) finish(result *mobulav1.BatchResult, err error) {
	r.once.Do(func() {
		r.result, r.err = result, err
		close(r.done)
	})
}

// queue holds requests that have not been proposed. It is bounded by bytes and by count; what does not fit is refused.
type queue struct {
	maxBytes, maxRequests int
	ready                 chan struct{} // Holds a token when something may be pending.

	mu      sync.Mutex
	pending []*request // guarded by mu, as are the fields below.
	bytes   int
	closed  bool
	stalled bool
}

func newQueue(maxBytes, maxRequests int) *queue {
	return &queue{maxBytes: maxBytes, maxRequests: maxRequests, ready: make(chan struct{}, 1)}
}

func (q *queue) wake() {
	select {
	case q.ready <- struct{}{}:
	default:
	}
}

// push adds a request or says why not.
func (q *queue) push(r *request) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case q.closed:
		return ErrClosed
	case q.stalled:
		return ErrDiskStalled
	case len(q.pending) >= q.maxRequests, len(q.pending) > 0 && q.bytes+r.size > q.maxBytes:
		return ErrBusy
	}
	q.pending = append(q.pending, r)
	q.bytes += r.size
	q.wake()
	return nil
}

// len returns how many requests wait.
func (q *queue) len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.pending)
}

// take removes the oldest requests that fit into one entry, at least one if there is any.
func (q *queue) take(maxBytes int) []*request {
	q.mu.Lock()
	defer q.mu.Unlock()
	n, size := 0, 0
	for n < len(q.pending) && (n == 0 || size+q.pending[n].size <= maxBytes) {
		size += q.pending[n].size
		n++
	}
	group := q.pending[:n:n]
	q.pending = q.pending[n:]
	q.bytes -= size
	if len(q.pending) > 0 {
		q.wake()
	}
	return group
}

// withdraw removes a request that was not taken yet, and reports whether it was still there.
func (q *queue) withdraw(r *request) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i, p := range q.pending {
		if p == r {
			// A new slice, because take has handed out parts of this one.
			q.pending = append(append(make([]*request, 0, len(q.pending)), q.pending[:i]...), q.pending[i+1:]...)
			q.bytes -= r.size
			return true
		}
	}
	return false
}

// stall refuses everything until resume is called, and answers what is pending.
func (q *queue) stall() {
	q.mu.Lock()
	q.stalled = true
	pending := q.empty()
	q.mu.Unlock()
	for _, r := range pending {
		r.finish(nil, ErrDiskStalled)
	}
}

// resume ends a stall.
func (q *queue) resume() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.stalled = false
}

// close refuses everything from now on and answers what is pending.
func (q *queue) close() {
	q.mu.Lock()
	q.closed = true
	pending := q.empty()
	q.mu.Unlock()
	for _, r := range pending {
		r.finish(nil, ErrClosed)
	}
}

// empty takes everything out; q.mu is held.
func (q *queue) empty() []*request {
	pending := q.pending
	q.pending, q.bytes = nil, 0
	return pending
}
