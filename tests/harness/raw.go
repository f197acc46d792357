package harness

import (
	"net"
	"os"
	"testing"
	"time"

	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"

	"github.com/mobula-dev/mobula/head"
	"github.com/mobula-dev/mobula/internal/wire"
)

// Raw is a client of one test that speaks the session protocol by hand, and may say what no client says. Its methods are for one
// goroutine; what goes wrong with them fails the test.
type Raw struct {
	*wire.Conn
	t      *testing.T
	node   *Node
	socket *net.UnixConn
	// Welcome is the node's answer to Hello.
	Welcome *mobulav1.Welcome
}

// Connect connects to a node's socket and says nothing. The connection closes with the test.
func Connect(t *testing.T, node *Node) *Raw {
	t.Helper()
	socket, _, err := head.ReadToken(node.Address)
	if err != nil {
		t.Fatal(err)
	}
	nc, err := net.DialUnix("unix", nil, &net.UnixAddr{Net: "unix", Name: socket})
	if err != nil {
		t.Fatal(err)
	}
	if err := nc.SetReadDeadline(time.Now().Add(Patience)); err != nil {
		t.Fatal(err)
	}
	r := &Raw{Conn: wire.NewConn(nc, 1<<30), t: t, node: node, socket: nc}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
		r.DropFiles()
	})
	return r
}

// Hello is what a driver says first, and may change. An executable, which may be nil, goes beside it.
func (r *Raw) Hello(executable *os.File, change func(*mobulav1.Hello)) {
	r.t.Helper()
	_, secret, err := head.ReadToken(r.node.Address)
	if err != nil {
		r.t.Fatal(err)
	}
	h := &mobulav1.Hello{
		ProtocolVersion: wire.ProtocolVersion, Build: "raw", Role: mobulav1.Role_ROLE_DRIVER, Secret: secret, Pid: int32(os.Getpid()),
		Language: mobulav1.Language_LANGUAGE_GO, Program: "raw", ResultCreditBytes: 1 << 20, HasExecutable: executable != nil,
		WorkerEnv: map[string]string{envMark: os.Getenv(envMark)},
	}
	if change != nil {
		change(h)
	}
	if executable == nil {
		r.Say(mobulav1.FrameKind_FRAME_KIND_HELLO, h)
		return
	}
	if err := r.SendFile(mobulav1.FrameKind_FRAME_KIND_HELLO, h, executable); err != nil {
		r.t.Fatal(err)
	}
	if err := r.Flush(); err != nil {
		r.t.Fatal(err)
	}
}

// Say sends a frame.
func (r *Raw) Say(kind mobulav1.FrameKind, m wire.Message) {
	r.t.Helper()
	if err := r.Send(kind, m); err != nil {
		r.t.Fatalf("send %v: %v", kind, err)
	}
	if err := r.Flush(); err != nil {
		r.t.Fatalf("send %v: %v", kind, err)
	}
}

// Write sends bytes that need not be frames.
func (r *Raw) Write(b []byte) {
	r.t.Helper()
	if _, err := r.socket.Write(b); err != nil {
		r.t.Fatalf("write: %v", err)
	}
}

// End ends what this side says, and goes on reading.
func (r *Raw) End() {
	r.t.Helper()
	if err := r.socket.CloseWrite(); err != nil {
		r.t.Fatal(err)
	}
}

// Enter opens a session, with this program as its workers' executable.
func (r *Raw) Enter(change func(*mobulav1.Hello)) *Raw {
	r.t.Helper()
	exe, err := os.Open(executable)
	if err != nil {
		r.t.Fatal(err)
	}
	r.Hello(exe, change)
	kind, payload, err := r.ReadFrame()
	if err != nil || kind != mobulav1.FrameKind_FRAME_KIND_WELCOME {
		r.t.Fatalf("the node answers Hello with %v, %v", kind, err)
	}
	r.Welcome = new(mobulav1.Welcome)
	if err := r.Welcome.UnmarshalVT(payload); err != nil {
		r.t.Fatal(err)
	}
	return r
}

// Refused reads until the node refuses the client or ends the connection, and returns its reason; nil when it gave none.
func (r *Raw) Refused() *mobulav1.ErrorValue {
	r.t.Helper()
	var reason *mobulav1.ErrorValue
	for {
		kind, payload, err := r.ReadFrame()
		if err != nil {
			if os.IsTimeout(err) {
				r.t.Fatalf("the node has not ended the connection within %v", Patience)
			}
			return reason
		}
		if kind == mobulav1.FrameKind_FRAME_KIND_REFUSED {
			var m mobulav1.Refused
			if err := m.UnmarshalVT(payload); err != nil {
				r.t.Fatal(err)
			}
			reason = m.GetError()
		}
	}
}
