package session_test

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"

	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"

	"github.com/mobula-dev/mobula/clients/go/mobula/internal/nodetest"
	"github.com/mobula-dev/mobula/clients/go/mobula/internal/session"
)

const mebibyte = 1 << 20

// stored is what a call of Store returned.
type stored struct {
	block *mobulav1.Block
	err   error
}

// store begins to write an object of n bytes that are all b.
func store(ctx context.Context, s *session.Session, n int, b byte) <-chan stored {
	done := make(chan stored, 1)
	go func() {
		block, err := s.Store(ctx, n, func(dst []byte) error { copy(dst, bytes.Repeat([]byte{b}, n)); return nil }, nil)
		done <- stored{block, err}
	}()
	return done
}

// grant answers the next request for room.
func grant(n *nodetest.Node, segment uint32) {
	var r mobulav1.GrantRequest
	n.Receive(mobulav1.FrameKind_FRAME_KIND_GRANT_REQUEST, &r)
	n.Send(mobulav1.FrameKind_FRAME_KIND_GRANT, &mobulav1.Grant{Id: r.GetId(), Segment: segment, Bytes: 4 * mebibyte})
}

func TestALargeValueGoesThroughSharedMemoryAndBack(t *testing.T) {
	t.Parallel()
	n, s := open(t)
	ctx := nodetest.Context(t)
	writing := store(ctx, s, mebibyte, 'x')
	grant(n, 5)
	got := <-writing
	if got.err != nil || got.block.GetSegment() != 5 || got.block.GetSize() != mebibyte {
		t.Fatalf("stored %v (%v)", got.block, got.err)
	}
	v := mobulav1.Value{Format: mobulav1.ValueFormat_VALUE_FORMAT_MSGPACK, Block: got.block}
	encoded, err := v.MarshalVT()
	if err != nil {
		t.Fatal(err)
	}
	o, err := s.Put(ctx, s.NextID(), encoded, nil)
	if err != nil || !o.Ready() {
		t.Fatalf("put: %v", err)
	}
	segment := new(mobulav1.Segment)
	n.Receive(mobulav1.FrameKind_FRAME_KIND_SEGMENT, segment) // before the first value that lies there
	file := n.File()
	n.Receive(mobulav1.FrameKind_FRAME_KIND_PUT, new(mobulav1.Put))
	reading := make(chan error, 1)
	go func() { _, err := o.Await(ctx, nil); reading <- err }()
	n.Receive(mobulav1.FrameKind_FRAME_KIND_GET, new(mobulav1.Get)) // what it wrote itself, too, is the node's to share
	oid := o.ID()
	n.SendFile(mobulav1.FrameKind_FRAME_KIND_SEGMENT, segment, file)
	n.Send(mobulav1.FrameKind_FRAME_KIND_RESULT, &mobulav1.Result{ObjectId: oid[:], Value: encoded})
	if err := <-reading; err != nil {
		t.Fatal(err)
	}
	view, err := s.Mapped(got.block)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(view.Bytes(), bytes.Repeat([]byte{'x'}, mebibyte)) {
		t.Error("the object does not read as it was written")
	}
	if err := view.Release(); err != nil {
		t.Error(err)
	}
	n.Hangup()
	<-s.Done()
	if _, err := s.Mapped(got.block); !isLost(err) {
		t.Errorf("Mapped after the end: %v, want a LostError", err)
	}
}

func isLost(err error) bool { _, ok := errors.AsType[*session.LostError](err); return ok }

func TestRoomThatIsFreedOrDiscardedIsUsedAgain(t *testing.T) {
	t.Parallel()
	n, s := open(t)
	ctx := nodetest.Context(t)
	writing := store(ctx, s, mebibyte, 'a')
	grant(n, 1)
	first := <-writing
	if first.err != nil {
		t.Fatal(first.err)
	}
	for range 20 { // more than the segment holds
		got := <-store(ctx, s, mebibyte, 'b')
		if got.err != nil {
			t.Fatal(got.err)
		}
		if err := s.Discard(got.block); err != nil {
			t.Fatal(err)
		}
	}
	n.Send(mobulav1.FrameKind_FRAME_KIND_FREED, &mobulav1.Freed{Blocks: []*mobulav1.Block{first.block}, GiveBack: true})
	n.Receive(mobulav1.FrameKind_FRAME_KIND_SEGMENT, new(mobulav1.Segment))
	var gone mobulav1.SegmentGone
	n.Receive(mobulav1.FrameKind_FRAME_KIND_SEGMENT_GONE, &gone)
	if gone.GetSegment() != 1 {
		t.Errorf("segment %d was given back", gone.GetSegment())
	}
	if err := s.Discard(first.block); err == nil {
		t.Error("what was freed can be discarded")
	}
}

func TestAValueThatCannotBeWrittenTakesNoRoom(t *testing.T) {
	t.Parallel()
	n, s := open(t)
	why := errors.New("not today")
	fail := func() error {
		_, err := s.Store(nodetest.Context(t), mebibyte, func([]byte) error { return why }, nil)
		return err
	}
	failed := make(chan error, 1)
	go func() { failed <- fail() }()
	grant(n, 1)
	if err := <-failed; !errors.Is(err, why) {
		t.Errorf("Store: %v", err)
	}
	for range 20 {
		if err := fail(); !errors.Is(err, why) {
			t.Errorf("Store: %v", err)
		}
	}
}

func TestARefusalOfRoomIsTheNodesError(t *testing.T) {
	t.Parallel()
	n, s := open(t)
	writing := store(nodetest.Context(t), s, mebibyte, 'x')
	var r mobulav1.GrantRequest
	n.Receive(mobulav1.FrameKind_FRAME_KIND_GRANT_REQUEST, &r)
	n.Send(mobulav1.FrameKind_FRAME_KIND_GRANT, &mobulav1.Grant{Id: r.GetId(), Error: &mobulav1.ErrorValue{
		Kind: mobulav1.ErrorKind_ERROR_KIND_STORE_FULL, Message: "full",
	}})
	got := <-writing
	if g, ok := errors.AsType[*session.GrantError](got.err); !ok || g.Value.GetKind() != mobulav1.ErrorKind_ERROR_KIND_STORE_FULL {
		t.Errorf("Store: %v, want the node's error", got.err)
	}
}

func TestAWaitForRoomEndsWithItsContextAndAGrantThatComesLaterIsGivenBack(t *testing.T) {
	t.Parallel()
	n, s := open(t)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	var c counter
	if _, err := s.Store(ctx, mebibyte, func([]byte) error { return nil }, &c); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Store: %v, want the deadline", err)
	}
	if c.String() != "1 blocks, 1 unblocks" {
		t.Errorf("the blocker was told of %v", &c)
	}
	var asked, withdrawn mobulav1.GrantRequest
	n.Receive(mobulav1.FrameKind_FRAME_KIND_GRANT_REQUEST, &asked)
	n.Receive(mobulav1.FrameKind_FRAME_KIND_GRANT_REQUEST, &withdrawn)
	if asked.GetTimeoutNs() <= 0 || withdrawn.GetId() != asked.GetId() || !withdrawn.GetWithdraw() {
		t.Errorf("the client asked %v, then %v", &asked, &withdrawn)
	}
	n.Send(mobulav1.FrameKind_FRAME_KIND_GRANT, &mobulav1.Grant{Id: asked.GetId(), Segment: 8, Bytes: mebibyte})
	var gone mobulav1.SegmentGone
	n.Receive(mobulav1.FrameKind_FRAME_KIND_SEGMENT_GONE, &gone)
	if gone.GetSegment() != 8 {
		t.Errorf("segment %d was given back, want 8", gone.GetSegment())
	}
}
