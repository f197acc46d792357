package session_test

import (
	"encoding/binary"
	"sync"
	"testing"

	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"

	"github.com/mobula-dev/mobula/clients/go/mobula/internal/nodetest"
	"github.com/mobula-dev/mobula/clients/go/mobula/internal/session"
	"github.com/mobula-dev/mobula/internal/wire"
)

// packed is a script for the fuzzer: kind, length, payload, again and again.
func packed(kind mobulav1.FrameKind, m wire.Message) []byte {
	payload := make([]byte, m.SizeVT())
	if _, err := m.MarshalToSizedBufferVT(payload); err != nil {
		panic(err)
	}
	return append([]byte{byte(kind), byte(len(payload)), byte(len(payload) >> 8)}, payload...)
}

// unpacked makes frames of a script, with headers that are right.
func unpacked(script []byte) (frames []byte) {
	for len(script) >= 3 {
		n := min(int(binary.LittleEndian.Uint16(script[1:])), len(script)-3)
		frames = binary.LittleEndian.AppendUint32(frames, uint32(n))
		frames = append(frames, script[0], 0, 0, 0)
		frames = append(frames, script[3:3+n]...)
		script = script[3+n:]
	}
	return frames
}

// FuzzFramesOfTheNode has the node say anything: the session may end, but it neither panics nor leaves anybody waiting.
func FuzzFramesOfTheNode(f *testing.F) {
	oid := append([]byte("nodetest\x00\x00\x00\x00\x00\x00\x00\x63"), 0, 0, 0, 0)
	for _, script := range [][]byte{
		packed(mobulav1.FrameKind_FRAME_KIND_RESULT, &mobulav1.Result{Sequence: 1, Index: 1, Value: value("x")}),
		packed(mobulav1.FrameKind_FRAME_KIND_RESULT, &mobulav1.Result{Sequence: 1}),
		packed(mobulav1.FrameKind_FRAME_KIND_RESULT, &mobulav1.Result{ObjectId: oid, Value: []byte{0xff}}),
		packed(mobulav1.FrameKind_FRAME_KIND_CREDIT, &mobulav1.Credit{Bytes: 1 << 63, Count: 1 << 63, Acked: 9}),
		packed(mobulav1.FrameKind_FRAME_KIND_REPLY, &mobulav1.Reply{Id: 1, Text: "x"}),
		packed(mobulav1.FrameKind_FRAME_KIND_NOTICE, &mobulav1.Notice{Pid: 1, Lines: []string{"x"}}),
		packed(mobulav1.FrameKind_FRAME_KIND_GRANT, &mobulav1.Grant{Id: 1, Segment: 1, Bytes: mebibyte}),
		packed(mobulav1.FrameKind_FRAME_KIND_GRANT, &mobulav1.Grant{Id: 1, Bytes: 1 << 62}),
		packed(mobulav1.FrameKind_FRAME_KIND_FREED, &mobulav1.Freed{Blocks: []*mobulav1.Block{{Segment: 1, Offset: 64, Size: 1 << 62}}, GiveBack: true}),
		packed(mobulav1.FrameKind_FRAME_KIND_SEGMENT, &mobulav1.Segment{Segment: 1, Size: 1}),
		packed(mobulav1.FrameKind_FRAME_KIND_SEGMENT_GONE, &mobulav1.SegmentGone{Segment: 1}),
		packed(mobulav1.FrameKind_FRAME_KIND_GOODBYE, &mobulav1.Goodbye{Reason: "x"}),
		packed(mobulav1.FrameKind_FRAME_KIND_EXECUTE, &mobulav1.Execute{Handle: 1}),
		{0, 0, 0},
	} {
		f.Add(script)
		f.Add(append(packed(mobulav1.FrameKind_FRAME_KIND_RESULT, &mobulav1.Result{Sequence: 1, Value: value("y")}), script...))
	}
	f.Fuzz(func(t *testing.T, script []byte) {
		n, s := open(t)
		ctx := nodetest.Context(t)
		results := submit(t, s, 2)
		inside := s.NewScope(nil).Object(s.NextID().Object(0))
		var all sync.WaitGroup
		for _, o := range []*session.Object{&results[0], inside} {
			all.Go(func() {
				if _, err := o.Await(ctx, nil); err != nil {
					t.Errorf("Await: %v", err)
				}
			})
		}
		all.Go(func() {
			if _, err := s.Wait(ctx, []*session.Object{&results[0], &results[1], inside}, 3, nil); err != nil {
				t.Errorf("Wait: %v", err)
			}
		})
		all.Go(func() { _, _ = s.Query(ctx, new(mobulav1.Query)) })                                     // answered or not
		all.Go(func() { _, _ = s.Store(ctx, mebibyte, func([]byte) error { return nil }, nil) })        // as above
		all.Go(func() { _, _ = s.Put(ctx, s.NextID(), make([]byte, wire.MaxPayload/2), new(counter)) }) // as above
		n.Write(unpacked(script))
		n.Hangup()
		all.Wait()
		<-s.Done()
		if ctx.Err() != nil {
			t.Error("somebody waited although the session had ended")
		}
	})
}
