package shard

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/raft"

	"github.com/mobula-dev/mobula/controlplane/state"
	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"
)

const (
	// entryBytes is how many bytes of batches go into one entry of the log, unless a single batch is larger.
	entryBytes = 1 << 20
	// slowCommit is a commit that a person should know of.
	slowCommit = time.Second
)

// Apply applies a batch and returns when that is durable. If ctx ends first, the error is ctx's own if the batch was not proposed
// yet, and an UnknownError if it was.
func (s *Shard) Apply(ctx context.Context, batch *mobulav1.Batch) (*mobulav1.BatchResult, error) {
	if err := state.ValidateBatch(batch); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, context.Cause(ctx)
	}
	r := &request{batch: batch, size: batch.SizeVT(), done: make(chan struct{})}
	if err := s.queue.push(r); err != nil {
		return nil, err
	}
	select {
	case <-r.done:
		return r.result, r.err
	case <-ctx.Done():
		if s.queue.withdraw(r) {
			return nil, context.Cause(ctx)
		}
	}
	select { // It may have been answered meanwhile.
	case <-r.done:
		return r.result, r.err
	default:
		return nil, &UnknownError{context.Cause(ctx)}
	}
}

// commitLoop proposes what is pending, one entry at a time, until the shard closes.
func (s *Shard) commitLoop() {
	for {
		select {
		case <-s.queue.ready:
		case <-s.closing.Done():
			return
		}
		if group := s.queue.take(entryBytes); len(group) > 0 {
			s.commit(group)
		}
	}
}

// commit makes one entry of a group, and answers each of its requests when the entry is applied, or when the disk has stalled.
func (s *Shard) commit(group []*request) {
	s.watch.begin(func() {
		s.queue.stall()
		for _, r := range group {
			r.finish(nil, &UnknownError{ErrDiskStalled}) // It may be applied when the disk goes on.
		}
	})
	results, err := s.propose(group)
	s.watch.end()
	for i, r := range group {
		if err != nil {
			r.finish(nil, err)
		} else {
			r.finish(results[i], nil)
		}
	}
}

func (s *Shard) propose(group []*request) ([]*mobulav1.BatchResult, error) {
	if err := s.fsm.haltedBy(); err != nil {
		return nil, err
	}
	entry := &mobulav1.LogEntry{Version: state.EntryVersion, TimeUnixNs: s.cfg.Now().UnixNano()}
	for _, r := range group {
		entry.Batches = append(entry.Batches, r.batch)
	}
	data, err := encodeEntry(entry)
	if err != nil {
		return nil, err
	}
	if err := s.ready(len(data)); err != nil {
		return nil, err
	}
	begin := time.Now()
	future := s.raft.Apply(data, 0)
	err = future.Error() // Both wait for as long as the disk takes: the watchdog answers the callers.
	if took := time.Since(begin); took > slowCommit {
		s.cfg.Logger.Warn("control plane commit was slow: is the disk overloaded?", "took", took, "bytes", len(data))
	}
	if err != nil {
		return nil, s.outcome(err)
	}
	s.maybeSnapshot(len(data))
	switch a := future.Response().(type) {
	case *applied:
		return a.results, a.err
	default:
		return nil, &UnknownError{fmt.Errorf("unexpected response %T", a)}
	}
}

// ready refuses a write of which it is clear that it cannot be made durable now. While the store tries to save a term, Raft
// answers nobody, so it is not asked.
func (s *Shard) ready(bytes int) error {
	if s.raft.State() != raft.Leader {
		if isFull(s.store.failure()) {
			return ErrDiskFull
		}
		return ErrNoLeader
	}
	return s.room(bytes)
}

// room refuses a write if the disk would be left with less than its reserve.
func (s *Shard) room(bytes int) error {
	if s.cfg.InMemory {
		return nil
	}
	free, err := freeBytes(s.cfg.Dir)
	if err != nil {
		return err
	}
	if free < s.cfg.DiskReserve+uint64(bytes) {
		return fmt.Errorf("%w: %d bytes are free in %s, %d must stay", ErrDiskFull, free, s.cfg.Dir, s.cfg.DiskReserve)
	}
	return nil
}

// outcome says what an error of Raft's means to those who wait.
func (s *Shard) outcome(err error) error {
	switch {
	case errors.Is(err, raft.ErrNotLeader), errors.Is(err, raft.ErrLeadershipTransferInProgress):
		return ErrNoLeader
	case isFull(err):
		// The transaction was rolled back, but whether the disk agrees only a restart would tell.
		return &UnknownError{errors.Join(ErrDiskFull, err)}
	default:
		return &UnknownError{err}
	}
}

// maybeSnapshot takes a snapshot beside everything else when enough log has been written since the last one.
func (s *Shard) maybeSnapshot(bytes int) {
	s.unsnapped += bytes
	if s.unsnapped < s.cfg.SnapshotBytes || !s.snapshotting.CompareAndSwap(false, true) {
		return
	}
	s.unsnapped = 0
	s.wg.Go(func() {
		defer s.snapshotting.Store(false)
		if err := s.raft.Snapshot().Error(); err != nil && !errors.Is(err, raft.ErrNothingNewToSnapshot) && s.closing.Err() == nil {
			s.cfg.Logger.Warn("control plane snapshot was not taken; the log grows until the next one", "error", err)
		}
	})
}
