// Package session is a Go client's half of the session protocol: it submits, waits, puts, holds and releases on behalf of a driver or
// a worker. It knows objects and encoded values; Go types and errors belong to the packages above.
//
// One goroutine reads. Everything that frames change is guarded by Session.mu; frames that depend on an order (a submission and its
// sequence number) are appended to the connection while mu is held. Lock order: Session.mu, then the connection's own locks.
package session

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"
	"github.com/mobula-dev/mobula/internal/errorvalue"
	"github.com/mobula-dev/mobula/internal/id"
	"github.com/mobula-dev/mobula/internal/wire"
)

// resultWindow is how many bytes of results the node may push before this client has made room.
const resultWindow = 64 << 20

// handshakeTimeout bounds the time from dialling to Welcome.
const handshakeTimeout = 10 * time.Second

// WorkerHandler gets the frames that only a worker understands. It is called by the reading goroutine and must not block; the
// payload is valid until it returns.
type WorkerHandler interface {
	Frame(kind mobulav1.FrameKind, payload []byte) error
}

// Config says how a session is opened.
type Config struct {
	// Hello is the first frame; version, pid and credit are filled in.
	Hello *mobulav1.Hello
	// Executable goes beside Hello when set; the session takes it over.
	Executable *os.File
	// Worker gets worker frames; nil for a driver.
	Worker WorkerHandler
	// Opened is called when the node has welcomed the session, before any other frame is handled; nil is nothing.
	Opened func(*Session)
	// Notice is called for each Notice, by the reading goroutine; nil drops them.
	Notice func(*mobulav1.Notice)
}

// Session is an open session.
type Session struct {
	conn    *wire.Conn
	welcome *mobulav1.Welcome
	config  Config
	jobID   id.Job
	root    [8]byte
	counter atomic.Uint64 // of ids made from root

	owner any

	store store

	mu        sync.Mutex
	err       error // why the session ended; guarded by mu, as are all below
	sequence  uint64
	pending   pending
	wanted    map[id.Object]*want // objects asked for by Get
	templates map[templateKey]uint32
	callSites map[uintptr]uint32
	queries   map[uint64]chan *mobulav1.Reply
	queryID   uint64
	credit    credit
	consumed  uint64 // bytes of results that were read off the window
	granted   uint64 // total of result bytes that the node was granted

	releases releases
	done     chan struct{} // closed when the reading goroutine has ended
	closing  atomic.Bool
}

// want is an object that was asked for, with everyone who wants it.
type want struct {
	objects   []*Object
	readyOnly bool
}

// RefusedError is the node's answer when a session cannot be.
type RefusedError struct{ Value *mobulav1.ErrorValue }

// Error implements error.
func (e *RefusedError) Error() string { return "session refused: " + e.Value.GetMessage() }

// Dial connects to the node whose socket lies at path and opens a session.
func Dial(ctx context.Context, path string, cfg Config) (*Session, error) {
	ctx, cancel := context.WithTimeout(ctx, handshakeTimeout)
	defer cancel()
	var d net.Dialer
	nc, err := d.DialContext(ctx, "unix", path)
	if err != nil {
		return nil, fmt.Errorf("connect to node at %s: %w", path, err)
	}
	s, err := Open(ctx, nc, cfg)
	if err != nil {
		_ = nc.Close() // the session could not be opened: that error counts
		return nil, err
	}
	return s, nil
}

// Open opens a session on a connected socket, which it takes over when it succeeds.
func Open(ctx context.Context, nc net.Conn, cfg Config) (*Session, error) {
	s := &Session{
		config:    cfg,
		pending:   newPending(),
		wanted:    make(map[id.Object]*want),
		templates: make(map[templateKey]uint32),
		callSites: make(map[uintptr]uint32),
		queries:   make(map[uint64]chan *mobulav1.Reply),
		granted:   resultWindow,
		done:      make(chan struct{}),
	}
	s.conn = wire.NewConn(nc, 0)
	stop := context.AfterFunc(ctx, func() { s.conn.Fail(context.Cause(ctx)) })
	err := s.handshake()
	stop()
	if err != nil {
		_ = s.conn.Close() // the handshake's error counts
		return nil, err
	}
	s.releases.init(s)
	s.store.init(s)
	if cfg.Opened != nil {
		cfg.Opened(s)
	}
	go s.readLoop()
	return s, nil
}

func (s *Session) handshake() error {
	h := s.config.Hello
	h.ProtocolVersion = wire.ProtocolVersion
	h.Pid = int32(os.Getpid())
	h.ResultCreditBytes = resultWindow
	h.HasExecutable = s.config.Executable != nil
	var err error
	if s.config.Executable != nil {
		err = s.conn.SendFile(mobulav1.FrameKind_FRAME_KIND_HELLO, h, s.config.Executable)
	} else {
		err = s.conn.Send(mobulav1.FrameKind_FRAME_KIND_HELLO, h)
	}
	if err != nil {
		return fmt.Errorf("open session: %w", err)
	}
	if err := s.conn.Flush(); err != nil {
		return fmt.Errorf("open session: %w", err)
	}
	kind, payload, err := s.conn.ReadFrame()
	if err != nil {
		return fmt.Errorf("open session: %w", err)
	}
	switch kind {
	case mobulav1.FrameKind_FRAME_KIND_WELCOME:
		return s.welcomed(payload)
	case mobulav1.FrameKind_FRAME_KIND_REFUSED:
		var r mobulav1.Refused
		if err := r.UnmarshalVT(payload); err != nil {
			return fmt.Errorf("read refusal: %w", err)
		}
		return &RefusedError{Value: r.GetError()}
	default:
		return &wire.ProtocolError{Reason: fmt.Sprintf("%v in place of Welcome", kind)}
	}
}

func (s *Session) welcomed(payload []byte) error {
	s.welcome = new(mobulav1.Welcome)
	if err := s.welcome.UnmarshalVT(payload); err != nil {
		return fmt.Errorf("read welcome: %w", err)
	}
	job, err := id.FromBytes[id.Job](s.welcome.GetJobId())
	if err != nil {
		return fmt.Errorf("read welcome: %w", err)
	}
	if n := copy(s.root[:], s.welcome.GetIdRoot()); n != len(s.root) {
		return &wire.ProtocolError{Reason: fmt.Sprintf("id root of %d bytes", n)}
	}
	s.jobID = job
	s.credit.init(s.welcome)
	return nil
}

// Welcome returns what the node said when the session was opened; it must not be changed.
func (s *Session) Welcome() *mobulav1.Welcome { return s.welcome }

// Job returns the session's job.
func (s *Session) Job() id.Job { return s.jobID }

// Done is closed when the session has ended.
func (s *Session) Done() <-chan struct{} { return s.done }

// Send appends a frame that no state of the session depends on; Flush or Kick sends it.
func (s *Session) Send(kind mobulav1.FrameKind, m wire.Message) error { return s.conn.Send(kind, m) }

// Flush writes what is pending.
func (s *Session) Flush() error { return s.conn.Flush() }

// Kick has what is pending written soon.
func (s *Session) Kick() { s.conn.Kick() }

// Close ends the session in order: releases and everything else that is pending goes out first.
func (s *Session) Close(ctx context.Context) error {
	if s.closing.Swap(true) {
		<-s.done
		return nil
	}
	s.releases.flush()
	err := s.conn.Send(mobulav1.FrameKind_FRAME_KIND_GOODBYE, &mobulav1.Goodbye{Reason: "closed by the client"})
	if err == nil {
		s.conn.Kick()
		// The node closes its end when it has read everything; the reading goroutine then ends.
		select {
		case <-s.done:
		case <-ctx.Done():
		}
	}
	_ = s.conn.Close() // nothing more is expected of it
	<-s.done
	return nil
}

// readLoop reads frames until the connection ends and then resolves everything that waits.
func (s *Session) readLoop() {
	defer close(s.done)
	err := s.read()
	s.fail(err)
	s.conn.DropFiles()
	s.store.close()
}

func (s *Session) read() error {
	for { // frames may have come together with Welcome
		if err := s.readBatch(); err != nil {
			return err
		}
		if err := s.conn.Fill(); err != nil {
			return err
		}
	}
}

// readBatch handles every frame that one read brought, under one hold of mu where that is possible.
func (s *Session) readBatch() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		kind, payload, ok, err := s.conn.Next()
		if err != nil || !ok {
			return err
		}
		if err := s.frameLocked(kind, payload); err != nil {
			return fmt.Errorf("frame %v: %w", kind, err)
		}
	}
}

// frameLocked handles one frame.
func (s *Session) frameLocked(kind mobulav1.FrameKind, payload []byte) error {
	switch kind {
	case mobulav1.FrameKind_FRAME_KIND_RESULT:
		return s.resultLocked(payload)
	case mobulav1.FrameKind_FRAME_KIND_CREDIT:
		var c mobulav1.Credit
		if err := c.UnmarshalVT(payload); err != nil {
			return err
		}
		s.credit.grantLocked(&c)
		return nil
	case mobulav1.FrameKind_FRAME_KIND_REPLY:
		r := new(mobulav1.Reply)
		if err := r.UnmarshalVT(payload); err != nil {
			return err
		}
		if ch := s.queries[r.GetId()]; ch != nil {
			delete(s.queries, r.GetId())
			ch <- r
		}
		return nil
	case mobulav1.FrameKind_FRAME_KIND_NOTICE:
		n := new(mobulav1.Notice)
		if err := n.UnmarshalVT(payload); err != nil {
			return err
		}
		if s.config.Notice != nil {
			s.config.Notice(n)
		}
		return nil
	case mobulav1.FrameKind_FRAME_KIND_GOODBYE:
		var g mobulav1.Goodbye
		if err := g.UnmarshalVT(payload); err != nil {
			return err
		}
		return &EndedError{Reason: g.GetReason()}
	case mobulav1.FrameKind_FRAME_KIND_SEGMENT, mobulav1.FrameKind_FRAME_KIND_GRANT, mobulav1.FrameKind_FRAME_KIND_FREED,
		mobulav1.FrameKind_FRAME_KIND_SEGMENT_GONE, mobulav1.FrameKind_FRAME_KIND_COLLECT:
		return s.store.frameLocked(kind, payload)
	default:
		if s.config.Worker != nil {
			return s.config.Worker.Frame(kind, payload)
		}
		return &wire.ProtocolError{Reason: "unknown frame"}
	}
}

// EndedError means that the node ended the session in order.
type EndedError struct{ Reason string }

// Error implements error.
func (e *EndedError) Error() string { return "session ended by the node: " + e.Reason }

// fail ends the session: everything that waits resolves to an error.
func (s *Session) fail(err error) {
	if err == nil {
		err = errors.New("session ended")
	}
	s.conn.Fail(err)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
	lost := errorvalue.Encode(s.lostError())
	s.pending.drain(func(o *Object) { s.resolveLocked(o, lost) })
	for oid, w := range s.wanted {
		delete(s.wanted, oid)
		for _, o := range w.objects {
			s.resolveLocked(o, lost)
		}
	}
	for qid, ch := range s.queries {
		delete(s.queries, qid)
		ch <- &mobulav1.Reply{Id: qid, Error: s.lostError()}
	}
	s.credit.failLocked()
	s.store.failLocked()
}

// lostError says that the session ended before an answer came.
func (s *Session) lostError() *mobulav1.ErrorValue {
	if s.closing.Load() {
		return &mobulav1.ErrorValue{
			Kind:      mobulav1.ErrorKind_ERROR_KIND_SESSION_CLOSED,
			Message:   "the session was closed by this program before the result came",
			Execution: mobulav1.Execution_EXECUTION_MAY_HAVE_EXECUTED,
			Hint:      "get the results that you need before you stop the session",
		}
	}
	return &mobulav1.ErrorValue{
		Kind:      mobulav1.ErrorKind_ERROR_KIND_NODE_LOST,
		Message:   fmt.Sprintf("the connection to the node manager (pid %d) ended: %v", s.welcome.GetNodePid(), s.err),
		Execution: mobulav1.Execution_EXECUTION_MAY_HAVE_EXECUTED,
		Hint:      "the node's log says why it ended; start a node and run the program again",
	}
}

// NextID makes an id from the session's root.
func (s *Session) NextID() id.Task {
	var t id.Task
	copy(t[:8], s.root[:])
	n := s.counter.Add(1)
	for i := range 8 {
		t[8+i] = byte(n >> (56 - 8*i))
	}
	return t
}
