package shard

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/hashicorp/raft"

	"github.com/mobula-dev/mobula/controlplane/state"
	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"
)

// Stale returns what this server has applied. It works without a leader.
func (s *Shard) Stale() *state.View {
	view, _ := s.fsm.current()
	return view
}

// Linearizable returns a view that holds everything that was acknowledged before the call.
func (s *Shard) Linearizable(ctx context.Context) (*state.View, error) {
	if s.closing.Err() != nil {
		return nil, ErrClosed
	}
	if err := s.fsm.haltedBy(); err != nil {
		return nil, err
	}
	// What an only voter has acknowledged, it had applied here before, and nobody else can acknowledge anything: with a full disk, when it
	// cannot lead, its reads are as good.
	if s.raft.State() != raft.Leader && s.onlyVoter() {
		return s.Stale(), nil
	}
	err := s.reads.wait(ctx)
	if err == nil || (errors.Is(err, ErrDiskStalled) && s.onlyVoter()) { // As above.
		return s.Stale(), nil
	}
	return nil, err
}

// round is one confirmation of leadership, for all readers that joined before it began.
type round struct {
	done chan struct{} // Closed when err is set.
	once sync.Once
	err  error
}

func newRound() *round { return &round{done: make(chan struct{})} }

// finish answers the readers; the first answer counts.
func (r *round) finish(err error) {
	r.once.Do(func() {
		r.err = err
		close(r.done)
	})
}

// rounds runs rounds one after another while there are readers: one is under way, one gathers.
type rounds struct {
	s     *Shard
	start chan struct{} // Holds a token when next has readers.
	watch *watch        // Of run.
	term  uint64        // The term in which this server was last known to have applied all of the terms before; owned by run.

	mu      sync.Mutex
	next    *round // guarded by mu
	stalled bool   // Whether the round under way takes so long that nobody shall wait for the next; guarded by mu.
}

func newRounds(s *Shard) *rounds {
	r := &rounds{s: s, start: make(chan struct{}, 1), next: newRound()}
	r.watch = newWatch(&s.cfg, "read", r.resume)
	return r
}

// wait joins the next round and returns when that has confirmed that this server leads.
func (r *rounds) wait(ctx context.Context) error {
	r.mu.Lock()
	mine, stalled := r.next, r.stalled
	r.mu.Unlock()
	if stalled {
		return ErrDiskStalled
	}
	select {
	case r.start <- struct{}{}:
	default:
	}
	select {
	case <-mine.done:
		return mine.err
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-r.s.closing.Done():
		return ErrClosed
	}
}

func (r *rounds) run() {
	for {
		select {
		case <-r.start:
		case <-r.s.closing.Done():
			return
		}
		current := r.take()
		r.watch.begin(func() { r.stall(current) })
		err := r.confirm()
		r.watch.end()
		current.finish(err)
	}
}

// take returns the round that gathered, and lets the next one gather.
func (r *rounds) take() *round {
	r.mu.Lock()
	defer r.mu.Unlock()
	gathered := r.next
	r.next = newRound()
	return gathered
}

// stall answers whoever waits for the round under way, or for the one that would follow, and everybody who comes until resume is called.
func (r *rounds) stall(current *round) {
	r.mu.Lock()
	r.stalled = true
	r.mu.Unlock()
	current.finish(ErrDiskStalled)
	r.take().finish(ErrDiskStalled)
}

// resume ends a stall.
func (r *rounds) resume() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stalled = false
}

// confirm is the read protocol of the Raft thesis (6.4), without an index to wait for. A barrier at the start of the term sees to it
// that everything of earlier terms is applied here; what is acknowledged in this term is applied here before; and a majority
// that still follows this leader, in a term that is still the same, shows that nobody else has acknowledged anything.
func (r *rounds) confirm() error {
	const attempts = 3
	for range attempts {
		term := r.s.raft.CurrentTerm()
		if term != r.term {
			if err := r.s.raft.Barrier(0).Error(); err != nil {
				return readError(err)
			}
			r.term = term
		}
		if err := r.s.raft.VerifyLeader().Error(); err != nil {
			return readError(err)
		}
		if r.s.raft.CurrentTerm() == term {
			return nil
		}
	}
	return ErrNoLeader
}

func readError(err error) error {
	if errors.Is(err, raft.ErrRaftShutdown) {
		return ErrClosed
	}
	return fmt.Errorf("%w: %w", ErrNoLeader, err) // A read that was not confirmed has no effects, whatever the reason.
}

// Changed returns a channel that is closed when the next entry is applied. Look at the state after calling it, not before.
func (s *Shard) Changed() <-chan struct{} { return s.fsm.changed.wait() }

// Closing returns a channel that is closed when Close begins.
func (s *Shard) Closing() <-chan struct{} { return s.closing.Done() }

// Changes returns the changes of a table after a revision whose keys begin with prefix (see [state.Prefix]), whole revisions up to about maxBytes, and the
// revision up to which they are complete. It returns ErrForgotten if the revision is too old, or from a state that never was.
func (s *Shard) Changes(after uint64, table mobulav1.Table, prefix string, maxBytes int) ([]*mobulav1.RecordEvent, uint64, error) {
	return s.fsm.history.after(after, table, prefix, maxBytes)
}
