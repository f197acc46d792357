package session

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync/atomic"
	"time"

	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"
	"github.com/mobula-dev/mobula/internal/segment"
	"github.com/mobula-dev/mobula/internal/wire"
)

// store is the process's part of the node's object store: a writer with segments of its own and a reader of everybody's. It is the
// writer's Granter: requests go to the node as frames, answers come back through frameLocked.
type store struct {
	s      *Session
	writer *segment.Writer
	mapper *segment.Mapper

	// Guarded by the session's mu.
	requests map[uint64]chan *mobulav1.Grant
	nextID   uint64

	collecting atomic.Bool
}

func (st *store) init(s *Session) {
	st.s = s
	st.requests = make(map[uint64]chan *mobulav1.Grant)
	st.mapper = segment.NewMapper()
	st.writer = segment.NewWriter(segment.WriterConfig{}, st)
}

// close gives everything up when the session has ended. What fails here has no consequence any more: the process keeps its mappings.
func (st *store) close() {
	_ = st.writer.Close()
	_ = st.mapper.Close()
}

// failLocked wakes who waits for a grant.
func (st *store) failLocked() {
	for id, ch := range st.requests {
		delete(st.requests, id)
		ch <- &mobulav1.Grant{Id: id, Error: st.s.lostError()}
	}
}

// GrantError is the node's refusal of room in the object store.
type GrantError struct{ Value *mobulav1.ErrorValue }

// Error implements error.
func (e *GrantError) Error() string { return e.Value.GetMessage() }

// Grant implements segment.Granter.
func (st *store) Grant(ctx context.Context, size uint64) (segment.Grant, error) {
	s := st.s
	ch := make(chan *mobulav1.Grant, 1)
	m := &mobulav1.GrantRequest{Bytes: size}
	if deadline, ok := ctx.Deadline(); ok {
		m.TimeoutNs = max(1, int64(time.Until(deadline)))
	}
	s.mu.Lock()
	if s.err != nil {
		s.mu.Unlock()
		return segment.Grant{}, &LostError{Value: s.lostError()}
	}
	st.nextID++
	m.Id = st.nextID
	st.requests[m.Id] = ch
	err := s.conn.Send(mobulav1.FrameKind_FRAME_KIND_GRANT_REQUEST, m)
	s.mu.Unlock()
	if err != nil {
		return segment.Grant{}, err
	}
	if err := s.conn.Flush(); err != nil {
		<-s.done // the reading goroutine answers every request
	}
	select {
	case g := <-ch:
		return granted(g)
	case <-ctx.Done():
		st.withdraw(m.Id, ch)
		return segment.Grant{}, context.Cause(ctx)
	}
}

func granted(g *mobulav1.Grant) (segment.Grant, error) {
	if g.GetError() != nil {
		return segment.Grant{}, &GrantError{Value: g.GetError()}
	}
	return segment.Grant{Segment: g.GetSegment(), Length: g.GetBytes()}, nil
}

// withdraw takes a request back; a grant that crossed the withdrawal is given back.
func (st *store) withdraw(id uint64, ch chan *mobulav1.Grant) {
	s := st.s
	s.mu.Lock()
	_, open := st.requests[id]
	delete(st.requests, id)
	if open {
		_ = s.conn.Send(mobulav1.FrameKind_FRAME_KIND_GRANT_REQUEST, &mobulav1.GrantRequest{Id: id, Withdraw: true}) // fails only with the session
	}
	s.mu.Unlock()
	s.conn.Kick()
	select {
	case g := <-ch:
		if got, err := granted(g); err == nil {
			st.GiveBack(got.Segment)
		}
	default:
	}
}

// Announce implements segment.Granter.
func (st *store) Announce(g segment.Grant, f *os.File) error {
	f, err := wire.Dup(f)
	if err != nil {
		return err
	}
	return st.s.conn.SendFile(mobulav1.FrameKind_FRAME_KIND_SEGMENT, &mobulav1.Segment{Segment: g.Segment, Size: g.Length}, f)
}

// GiveBack implements segment.Granter.
func (st *store) GiveBack(id uint32) {
	if st.s.conn.Send(mobulav1.FrameKind_FRAME_KIND_SEGMENT_GONE, &mobulav1.SegmentGone{Segment: id}) == nil {
		st.s.conn.Kick()
	}
}

// frameLocked handles the frames of the object store.
func (st *store) frameLocked(kind mobulav1.FrameKind, payload []byte) error {
	switch kind {
	case mobulav1.FrameKind_FRAME_KIND_GRANT:
		g := new(mobulav1.Grant)
		if err := g.UnmarshalVT(payload); err != nil {
			return err
		}
		ch := st.requests[g.GetId()]
		delete(st.requests, g.GetId())
		switch {
		case ch != nil:
			ch <- g
		case g.GetError() == nil: // withdrawn meanwhile
			st.GiveBack(g.GetSegment())
		}
		return nil
	case mobulav1.FrameKind_FRAME_KIND_SEGMENT:
		var m mobulav1.Segment
		if err := m.UnmarshalVT(payload); err != nil {
			return err
		}
		f, err := st.s.conn.TakeFile()
		if err != nil {
			return err
		}
		return st.mapper.Add(m.GetSegment(), f, m.GetSize())
	case mobulav1.FrameKind_FRAME_KIND_FREED:
		var m mobulav1.Freed
		if err := m.UnmarshalVT(payload); err != nil {
			return err
		}
		for _, b := range m.GetBlocks() {
			if err := st.writer.Free(blockOf(b)); err != nil {
				return err
			}
		}
		if m.GetGiveBack() {
			_, err := st.writer.Trim(0)
			return err
		}
		return nil
	case mobulav1.FrameKind_FRAME_KIND_SEGMENT_GONE:
		var m mobulav1.SegmentGone
		if err := m.UnmarshalVT(payload); err != nil {
			return err
		}
		return st.mapper.Drop(m.GetSegment())
	case mobulav1.FrameKind_FRAME_KIND_COLLECT:
		st.collect()
		return nil
	default:
		return fmt.Errorf("object store does not know frame %v", kind)
	}
}

// collect runs the garbage collector, because the node is short of memory that small handles keep; one run at a time.
func (st *store) collect() {
	if st.collecting.Swap(true) {
		return
	}
	go func() { // ends with the collection
		defer st.collecting.Store(false)
		runtime.GC() // finds the handles
		runtime.GC() // and, in case cleanups of the first run freed others, those
		st.s.releases.flush()
		if _, err := st.writer.Trim(0); err != nil && st.s.Err() == nil {
			st.s.conn.Fail(fmt.Errorf("give back memory: %w", err))
		}
	}()
}

func blockOf(b *mobulav1.Block) segment.Block {
	return segment.Block{Segment: b.GetSegment(), Offset: b.GetOffset(), Size: b.GetSize()}
}

// Store writes an object of size bytes into shared memory and returns its place. It waits for room under ctx.
func (s *Session) Store(ctx context.Context, size int, write func(dst []byte) error, b Blocker) (*mobulav1.Block, error) {
	w := s.store.writer
	block, dst, err := w.Alloc(uint64(size))
	if _, full := errors.AsType[*segment.NeedGrantError](err); full {
		if b != nil {
			b.Block()
		}
		block, dst, err = w.Acquire(ctx, uint64(size))
		if b != nil {
			b.Unblock()
		}
	}
	if err != nil {
		return nil, s.ended(err)
	}
	if err := write(dst); err != nil {
		return nil, errors.Join(err, w.Free(block))
	}
	if err := w.Seal(block); err != nil {
		return nil, err
	}
	return &mobulav1.Block{Segment: block.Segment, Offset: block.Offset, Size: block.Size}, nil
}

// Discard gives back the place of an object that Store has written and that the node was never told of.
func (s *Session) Discard(b *mobulav1.Block) error { return s.store.writer.Free(blockOf(b)) }

// Mapped returns a view of a stored object; the caller releases it when no slice of it is used any more.
func (s *Session) Mapped(b *mobulav1.Block) (segment.View, error) {
	v, err := s.store.mapper.View(blockOf(b))
	return v, s.ended(err)
}

// ended makes an error of the shared memory that the end of the session took away the session's own.
func (s *Session) ended(err error) error {
	if err == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		return err
	}
	return &LostError{Value: s.lostError()}
}
