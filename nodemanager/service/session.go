package service

import (
	"errors"
	"fmt"
	"io"
	"time"

	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"
	"github.com/mobula-dev/mobula/internal/wire"
	"github.com/mobula-dev/mobula/nodemanager/ownership"
)

// session is one client's connection. Its fields are guarded by the node's mu; the connection has locks of its own.
type session struct {
	id        ownership.Session
	conn      *wire.Conn
	pid       int32
	job       *job
	worker    *worker // nil for a driver
	templates []*template
	callSites []string
	wantsLogs bool
	goodbye   bool // the client said that it ends
	queries   int  // under way at the control plane

	sequence uint64 // of the last Submit
	flow     flow
	dirty    bool            // frames were appended since the last flush
	sent     map[uint32]bool // templates that the worker has, by the node's number
	segments map[uint32]bool // segments whose descriptor the client has
}

// flow counts credit in both directions, in totals since the session began.
type flow struct {
	receivedBytes, receivedCount uint64 // Submit and Put frames that came
	grantedBytes, grantedCount   uint64 // what the client may send
	ackedSequence                uint64 // last acknowledgement sent
	pushedBytes, mayPushBytes    uint64 // results
	starved                      bool   // waits for room in the job's budget
	itemBytes, grantedItemBytes  uint64 // of streams, from a worker: what came, and what may
	stalledBy                    *job   // whose items leave no room for more; nil while there is
}

// serve reads the session's frames until the connection ends.
func (n *Node) serve(s *session) {
	err := n.read(s)
	if errors.Is(err, io.EOF) && s.goodbye {
		err = nil
	}
	n.sessionEnded(s, err)
	_ = s.conn.Close() // its outcome is err
	s.conn.DropFiles()
}

func (n *Node) read(s *session) error {
	var dirty []*session
	for { // frames may have come together with Hello
		n.mu.Lock()
		n.now = n.clock()
		err := n.frames(s)
		n.settle()
		n.replenish(s)
		n.replenishItems(s)
		dirty = n.takeDirty(dirty[:0])
		n.mu.Unlock()
		for _, d := range dirty {
			d.conn.TryFlush()
		}
		if err != nil {
			return err
		}
		if err := s.conn.Fill(); err != nil {
			return err
		}
	}
}

// frames handles every frame that one read brought.
func (n *Node) frames(s *session) error {
	for {
		kind, payload, ok, err := s.conn.Next()
		if err != nil || !ok {
			return err
		}
		if err := n.frame(s, kind, payload); err != nil {
			return fmt.Errorf("frame %v of %s: %w", kind, s, err)
		}
	}
}

// frame handles one frame. An error is a violation of the protocol and ends the session; everything else is answered.
func (n *Node) frame(s *session, kind mobulav1.FrameKind, payload []byte) error {
	switch kind {
	case mobulav1.FrameKind_FRAME_KIND_SUBMIT:
		return n.onSubmit(s, payload)
	case mobulav1.FrameKind_FRAME_KIND_DONE:
		return n.onDone(s, payload)
	case mobulav1.FrameKind_FRAME_KIND_YIELD:
		return n.onYield(s, payload)
	case mobulav1.FrameKind_FRAME_KIND_CONSUMED:
		return n.onConsumed(s, payload)
	case mobulav1.FrameKind_FRAME_KIND_PUT:
		return n.onPut(s, payload)
	case mobulav1.FrameKind_FRAME_KIND_RELEASE:
		return n.onRelease(s, payload)
	case mobulav1.FrameKind_FRAME_KIND_HOLD:
		return n.onHold(s, payload)
	case mobulav1.FrameKind_FRAME_KIND_GET:
		return n.onGet(s, payload)
	case mobulav1.FrameKind_FRAME_KIND_TEMPLATE:
		return n.onTemplate(s, payload)
	case mobulav1.FrameKind_FRAME_KIND_CALL_SITE:
		return n.onCallSite(s, payload)
	case mobulav1.FrameKind_FRAME_KIND_CREDIT:
		return n.onCredit(s, payload)
	case mobulav1.FrameKind_FRAME_KIND_CANCEL:
		return n.onCancel(s, payload)
	case mobulav1.FrameKind_FRAME_KIND_KILL_ACTOR:
		return n.onKillActor(s, payload)
	case mobulav1.FrameKind_FRAME_KIND_QUERY:
		return n.onQuery(s, payload)
	case mobulav1.FrameKind_FRAME_KIND_SEGMENT, mobulav1.FrameKind_FRAME_KIND_GRANT_REQUEST, mobulav1.FrameKind_FRAME_KIND_UNPIN,
		mobulav1.FrameKind_FRAME_KIND_SEGMENT_GONE:
		return n.onStoreFrame(s, kind, payload)
	case mobulav1.FrameKind_FRAME_KIND_BLOCKED, mobulav1.FrameKind_FRAME_KIND_UNBLOCKED, mobulav1.FrameKind_FRAME_KIND_REVOKED:
		return n.onWorkerFrame(s, kind, payload)
	case mobulav1.FrameKind_FRAME_KIND_GOODBYE:
		s.goodbye = true
		return io.EOF
	default:
		return &wire.ProtocolError{Reason: "frame that a client does not send"}
	}
}

// String names the session for logs.
func (s *session) String() string {
	if s.worker != nil {
		return fmt.Sprintf("worker session %d (pid %d)", s.id, s.pid)
	}
	return fmt.Sprintf("driver session %d (pid %d)", s.id, s.pid)
}

// send appends a frame for the session. A connection that has failed is noticed by its reader.
func (n *Node) send(s *session, kind mobulav1.FrameKind, m wire.Message) {
	if s == nil {
		return
	}
	if err := s.conn.Send(kind, m); err != nil {
		if errors.Is(err, wire.ErrFrameTooLarge) {
			n.log.Error("frame dropped", "session", s.String(), "error", err)
		}
		return
	}
	n.mark(s)
}

// mark notes that the session has frames to flush.
func (n *Node) mark(s *session) {
	if !s.dirty {
		s.dirty = true
		n.dirty = append(n.dirty, s)
	}
}

// takeDirty moves the sessions to flush into buf.
func (n *Node) takeDirty(buf []*session) []*session {
	for _, s := range n.dirty {
		s.dirty = false
		buf = append(buf, s)
	}
	n.dirty = n.dirty[:0]
	return buf
}

// locked runs f under the node's lock and then flushes what it caused; timers and process events come through it.
func (n *Node) locked(f func()) {
	n.mu.Lock()
	n.now = n.clock()
	f()
	n.settle()
	dirty := n.takeDirty(nil)
	n.mu.Unlock()
	for _, d := range dirty {
		d.conn.TryFlush()
	}
}

const (
	// creditWindow is how many bytes of Submit and Put a client may be ahead of the node.
	creditWindow = 8 << 20
	// creditCount is how many such frames.
	creditCount = 128 << 10
)

// replenish grants credit when half of the window is used and the job has room, and acknowledges what came.
func (n *Node) replenish(s *session) {
	f := &s.flow
	if f.grantedBytes-f.receivedBytes > creditWindow/2 && f.grantedCount-f.receivedCount > creditCount/2 {
		return
	}
	if s.job.full() {
		if !f.starved {
			f.starved = true
			s.job.starved = append(s.job.starved, s)
		}
		return
	}
	f.starved = false
	f.grantedBytes, f.grantedCount = f.receivedBytes+creditWindow, f.receivedCount+creditCount
	f.ackedSequence = s.sequence
	n.send(s, mobulav1.FrameKind_FRAME_KIND_CREDIT, &mobulav1.Credit{
		Acked: f.ackedSequence, Bytes: f.grantedBytes, Count: f.grantedCount,
	})
}

// spend takes note of a Submit or Put frame; a client that overdraws its credit violates the protocol.
func (s *session) spend(size int) error {
	f := &s.flow
	f.receivedBytes += uint64(size)
	f.receivedCount++
	if f.receivedBytes > f.grantedBytes || f.receivedCount > f.grantedCount {
		return &wire.ProtocolError{Reason: "credit overdrawn"}
	}
	return nil
}

func (n *Node) onCredit(s *session, payload []byte) error {
	var c mobulav1.Credit
	if err := c.UnmarshalVT(payload); err != nil {
		return err
	}
	s.flow.mayPushBytes = max(s.flow.mayPushBytes, c.GetBytes())
	return nil
}

func (n *Node) onCallSite(s *session, payload []byte) error {
	var c mobulav1.CallSite
	if err := c.UnmarshalVT(payload); err != nil {
		return err
	}
	if int(c.GetId()) != len(s.callSites)+1 {
		return &wire.ProtocolError{Reason: fmt.Sprintf("call site %d after %d", c.GetId(), len(s.callSites))}
	}
	if len(s.callSites) >= n.limits.callSites {
		return &wire.ProtocolError{Reason: fmt.Sprintf("more than %d call sites", n.limits.callSites)}
	}
	if len(c.GetLocation()) > n.limits.maxCallSite {
		return &wire.ProtocolError{Reason: "call site too long"}
	}
	s.callSites = append(s.callSites, c.GetLocation())
	return nil
}

// callSite returns the place in the source with that number.
func (s *session) callSite(number uint32) string {
	if number == 0 || int(number) > len(s.callSites) {
		return ""
	}
	return s.callSites[number-1]
}

// clock returns monotonic nanoseconds since the node began.
func (n *Node) clock() int64 { return int64(time.Since(n.started)) }
