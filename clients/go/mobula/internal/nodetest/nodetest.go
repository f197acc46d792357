// Package nodetest is a node that does what a test says: the other end of a client's session, on a socket pair, with every frame sent and
// expected by hand.
package nodetest

import (
	"context"
	"net"
	"os"
	"slices"
	"syscall"
	"testing"
	"time"

	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"
	"github.com/mobula-dev/mobula/internal/wire"
)

// patience is how long a test waits for a frame that must come.
const patience = 20 * time.Second

// Node is the node's end of one session. It belongs to the goroutine of the test.
type Node struct {
	tb   testing.TB
	conn *wire.Conn
}

// Window is the credit of a session unless its test says otherwise, as docs/protocol.md has it.
const (
	WindowBytes = 8 << 20
	WindowCount = 131_072
)

// New returns a node that has welcomed its client already, and the client's end of the socket. The changes are made to the Welcome.
func New(tb testing.TB, change ...func(*mobulav1.Welcome)) (*Node, net.Conn) {
	tb.Helper()
	n, client := Silent(tb)
	w := &mobulav1.Welcome{
		NodeId: make([]byte, 16), JobId: make([]byte, 16), IdRoot: []byte("nodetest"), SessionId: 1, NodePid: 4711,
		CreditBytes: WindowBytes, CreditCount: WindowCount,
	}
	for _, c := range change {
		c(w)
	}
	n.Send(mobulav1.FrameKind_FRAME_KIND_WELCOME, w)
	return n, client
}

// Silent returns a node that has said nothing yet.
func Silent(tb testing.TB) (*Node, net.Conn) {
	tb.Helper()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		tb.Fatal(err)
	}
	ours, client := socket(tb, fds[0]), socket(tb, fds[1])
	n := &Node{tb: tb, conn: wire.NewConn(ours, 0)}
	tb.Cleanup(n.Hangup)
	return n, client
}

// socket makes a connection of a descriptor.
func socket(tb testing.TB, fd int) net.Conn {
	tb.Helper()
	f := os.NewFile(uintptr(fd), "socket")
	defer func() { _ = f.Close() }() // the connection has a descriptor of its own
	c, err := net.FileConn(f)
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

// Send sends a frame. A client that has hung up meanwhile does not hear it.
func (n *Node) Send(kind mobulav1.FrameKind, m wire.Message) {
	n.tb.Helper()
	if err := n.conn.Send(kind, m); err != nil && n.conn.Err() == nil {
		n.tb.Fatalf("send %v: %v", kind, err)
	}
	_ = n.conn.Flush() // as above
}

// Write sends bytes as they are.
func (n *Node) Write(b []byte) {
	_, _ = n.conn.NetConn().Write(b) // as in Send
}

// background are the frames that a client sends when it likes, and that a test need not expect.
var background = []mobulav1.FrameKind{
	mobulav1.FrameKind_FRAME_KIND_HELLO, mobulav1.FrameKind_FRAME_KIND_TEMPLATE, mobulav1.FrameKind_FRAME_KIND_CALL_SITE,
	mobulav1.FrameKind_FRAME_KIND_RELEASE, mobulav1.FrameKind_FRAME_KIND_UNPIN, mobulav1.FrameKind_FRAME_KIND_CREDIT,
}

// Receive reads the next frame, which must be of that kind, into m.
func (n *Node) Receive(kind mobulav1.FrameKind, m interface{ UnmarshalVT([]byte) error }) {
	n.tb.Helper()
	got, payload := n.Next(kind)
	if got != kind {
		n.tb.Fatalf("the client sent %v, want %v", got, kind)
	}
	if err := m.UnmarshalVT(payload); err != nil {
		n.tb.Fatalf("read %v: %v", kind, err)
	}
}

// Next reads the next frame that is of one of the kinds or that a client does not send of its own accord. The payload is valid until the
// next read.
func (n *Node) Next(kinds ...mobulav1.FrameKind) (mobulav1.FrameKind, []byte) {
	n.tb.Helper()
	if err := n.conn.NetConn().SetReadDeadline(time.Now().Add(patience)); err != nil {
		n.tb.Fatal(err)
	}
	for {
		kind, payload, err := n.conn.ReadFrame()
		if err != nil {
			n.tb.Fatalf("the client sent nothing, want %v: %v", kinds, err)
		}
		if slices.Contains(kinds, kind) || !slices.Contains(background, kind) {
			return kind, payload
		}
	}
}

// File returns the descriptor that came beside the frame that Next returned last.
func (n *Node) File() *os.File {
	n.tb.Helper()
	f, err := n.conn.TakeFile()
	if err != nil {
		n.tb.Fatal(err)
	}
	n.tb.Cleanup(func() { _ = f.Close() }) // it may have been sent
	return f
}

// SendFile sends a frame with a descriptor beside it, which is closed then.
func (n *Node) SendFile(kind mobulav1.FrameKind, m wire.Message, f *os.File) {
	n.tb.Helper()
	if err := n.conn.SendFile(kind, m, f); err != nil {
		n.tb.Fatalf("send %v: %v", kind, err)
	}
	_ = n.conn.Flush() // as in Send
}

// Drain reads frames, from a goroutine of its own, until the client hangs up or the test ends, and hands each to f.
func (n *Node) Drain(f func(kind mobulav1.FrameKind, payload []byte)) (done <-chan struct{}) {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			kind, payload, err := n.conn.ReadFrame()
			if err != nil {
				return
			}
			f(kind, payload)
		}
	}()
	return ended
}

// Hangup ends the session without a word.
func (n *Node) Hangup() {
	_ = n.conn.Close() // tests hang up more than once
}

// Context returns a context that ends when a test has waited long enough for what must come.
func Context(tb testing.TB) context.Context {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	tb.Cleanup(cancel)
	return ctx
}
