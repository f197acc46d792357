package session_test

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"testing"
	"time"

	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"

	"github.com/mobula-dev/mobula/clients/go/mobula/internal/nodetest"
	"github.com/mobula-dev/mobula/clients/go/mobula/internal/session"
	"github.com/mobula-dev/mobula/internal/wire"
)

// account is a node's side of the credit, as docs/protocol.md states it: whole payloads count, and as much again is granted when half is used.
type account struct {
	window, frames           uint64
	bytes, count             uint64 // received
	grantedBytes, grantCount uint64
	overdrawn                bool
}

// spend counts a frame and returns the grant that it calls for.
func (a *account) spend(kind mobulav1.FrameKind, payload []byte) *mobulav1.Credit {
	if kind != mobulav1.FrameKind_FRAME_KIND_SUBMIT && kind != mobulav1.FrameKind_FRAME_KIND_PUT {
		return nil
	}
	a.bytes, a.count = a.bytes+uint64(len(payload)), a.count+1
	a.overdrawn = a.overdrawn || a.bytes > a.grantedBytes || a.count > a.grantCount
	if a.grantedBytes-a.bytes >= a.window/2 && a.grantCount-a.count >= a.frames/2 {
		return nil
	}
	a.grantedBytes, a.grantCount = a.bytes+a.window, a.count+a.frames
	return &mobulav1.Credit{Bytes: a.grantedBytes, Count: a.grantCount, Acked: a.count}
}

// TestCreditOfABusySessionNeverDriftsAway sends many windows full of frames, some of which are refused on the way, to a node that counts.
// A client that counts differently, by however little, ends up waiting for ever or overdraws.
func TestCreditOfABusySessionNeverDriftsAway(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		window, frames uint64
		rounds, bytes  int
	}{
		"small frames in a small window":  {window: 4 << 10, frames: 64, rounds: 3000, bytes: 20},
		"large frames in the real window": {window: nodetest.WindowBytes, frames: nodetest.WindowCount, rounds: 20, bytes: 900 << 10},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n, s := open(t, func(w *mobulav1.Welcome) { w.CreditBytes, w.CreditCount = c.window, c.frames })
			a := account{window: c.window, frames: c.frames, grantedBytes: c.window, grantCount: c.frames}
			ended := n.Drain(func(kind mobulav1.FrameKind, payload []byte) {
				if grant := a.spend(kind, payload); grant != nil {
					n.Send(mobulav1.FrameKind_FRAME_KIND_CREDIT, grant)
				}
			})
			busy(t, s, c.rounds, c.bytes, int(c.window))
			n.Hangup()
			<-ended
			if want := uint64(2 * c.rounds); a.count > want || a.overdrawn {
				t.Errorf("the node counted %d frames, overdrawn: %v; want at most %d", a.count, a.overdrawn, want)
			}
		})
	}
}

// busy submits and puts in turn, with calls in between that fail before anything is sent.
func busy(t *testing.T, s *session.Session, rounds, bytes, window int) {
	t.Helper()
	ctx := nodetest.Context(t)
	tooLarge := make([]byte, wire.MaxPayload)
	actor := &session.Actor{Object: s.Held(s.NextID().Object(0)), Class: "A"}
	for range rounds {
		_, err := s.Submit(ctx, &session.Submission{
			Template: function("f"), TaskID: s.NextID(), Args: make([]byte, bytes), Actor: actor, CallerPC: caller(), Parent: 7,
		}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Put(ctx, s.NextID(), value(string(make([]byte, bytes))), nil); err != nil {
			t.Fatal(err)
		}
		if window < wire.MaxPayload {
			continue // it would wait for credit that never comes
		}
		_, err = s.Submit(ctx, &session.Submission{Template: function("f"), TaskID: s.NextID(), Args: tooLarge}, nil)
		if !errors.Is(err, wire.ErrFrameTooLarge) {
			t.Fatalf("a submission of 1 MiB and more: %v", err)
		}
		if _, err := s.Put(ctx, s.NextID(), tooLarge, nil); !errors.Is(err, wire.ErrFrameTooLarge) {
			t.Fatalf("a put of 1 MiB and more: %v", err)
		}
	}
}

// caller is a place in the source.
func caller() uintptr {
	pc, _, _, _ := runtime.Caller(1)
	return pc
}

func TestWithoutCreditASubmissionWaitsAndThenTheQueueIsFull(t *testing.T) {
	t.Parallel()
	n, s := open(t, func(w *mobulav1.Welcome) { w.CreditCount = 1 })
	submit(t, s, 1)
	short, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	var c counter
	_, err := s.Submit(short, &session.Submission{Template: function("f"), TaskID: s.NextID()}, &c)
	if !errors.Is(err, session.ErrQueueFull) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Submit: %v, want ErrQueueFull and the reason", err)
	}
	if _, err := s.Put(short, s.NextID(), value("x"), &c); !errors.Is(err, session.ErrQueueFull) {
		t.Errorf("Put: %v, want ErrQueueFull", err)
	}
	if c.String() != "2 blocks, 2 unblocks" {
		t.Errorf("the blocker was told of %v", &c)
	}
	var all sync.WaitGroup
	for range 3 { // who waits goes on when credit comes
		all.Go(func() { submit(t, s, 1) })
	}
	n.Receive(mobulav1.FrameKind_FRAME_KIND_SUBMIT, new(mobulav1.Submit))
	n.Send(mobulav1.FrameKind_FRAME_KIND_CREDIT, &mobulav1.Credit{Bytes: nodetest.WindowBytes, Count: 4})
	n.Send(mobulav1.FrameKind_FRAME_KIND_CREDIT, &mobulav1.Credit{Bytes: 1, Count: 1}) // an old grant takes nothing away
	all.Wait()
	for want := uint64(2); want <= 4; want++ { // a submission that failed has no number
		var m mobulav1.Submit
		n.Receive(mobulav1.FrameKind_FRAME_KIND_SUBMIT, &m)
		if m.GetSequence() != want {
			t.Errorf("submission %d, want %d", m.GetSequence(), want)
		}
	}
}

func TestResultsThatWereReadAreGrantedAgain(t *testing.T) {
	t.Parallel()
	n, s := open(t)
	large := value(string(make([]byte, 1_000_000)))
	o := s.NewScope(nil).Object(s.NextID().Object(0))
	oid := o.ID()
	const window = 64 << 20
	for range window / 2 / len(large) {
		n.Send(mobulav1.FrameKind_FRAME_KIND_RESULT, &mobulav1.Result{ObjectId: oid[:], Value: large})
	}
	n.Send(mobulav1.FrameKind_FRAME_KIND_RESULT, &mobulav1.Result{ObjectId: oid[:], Value: large})
	kind, payload := n.Next(mobulav1.FrameKind_FRAME_KIND_CREDIT)
	for kind == mobulav1.FrameKind_FRAME_KIND_HELLO {
		kind, payload = n.Next(mobulav1.FrameKind_FRAME_KIND_CREDIT)
	}
	var m mobulav1.Credit
	if err := m.UnmarshalVT(payload); err != nil || kind != mobulav1.FrameKind_FRAME_KIND_CREDIT {
		t.Fatalf("the client sent %v (%v)", kind, err)
	}
	if most := uint64(window + window/2 + 2*len(large)); m.GetBytes() <= window || m.GetBytes() > most {
		t.Errorf("the client granted %d bytes in all, want more than %d and at most %d", m.GetBytes(), window, most)
	}
}
