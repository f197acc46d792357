package service

import (
	"encoding/binary"
	"errors"
	"net"
	"strings"
	"testing"
	"time"
	"unicode"

	"google.golang.org/protobuf/proto"

	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"
	"github.com/mobula-dev/mobula/internal/id"
	"github.com/mobula-dev/mobula/internal/wire"
)

// message is what frames carry.
type message interface {
	wire.Message
	proto.Message
	UnmarshalVT([]byte) error
}

// peer is the client's end of a session, played frame by frame.
type peer struct {
	t       testing.TB
	w       *world
	conn    *wire.Conn
	served  chan struct{} // closed when the node has dealt with the session's end; nil for a worker
	welcome *mobulav1.Welcome
	last    struct{ sequence, task, query, sites uint64 }
	known   map[uint32]*mobulav1.Template // that the node has announced
	credit  *mobulav1.Credit              // the last that came
	process *proc                         // a worker's
}

// frameKind is the kind of frame that carries the message: they have the same name.
func frameKind(m message) mobulav1.FrameKind {
	name := "FRAME_KIND"
	for _, r := range string(m.ProtoReflect().Descriptor().Name()) {
		if unicode.IsUpper(r) {
			name += "_"
		}
		name += strings.ToUpper(string(r))
	}
	return mobulav1.FrameKind(mobulav1.FrameKind_value[name])
}

// functions are what every driver's stubs call and every worker serves.
var functions = []*mobulav1.FunctionInfo{{Name: "f", Fingerprint: 7}, {Name: "A", Fingerprint: 8}, {Name: "A.m", Fingerprint: 9}}

// connect begins a connection that the node serves in the given role.
func (w *world) connect(serve func(net.Conn) error) *peer {
	near, far := socketpair(w.t)
	p := w.over(far)
	p.served = make(chan struct{})
	go func() {
		defer close(p.served)
		if err := serve(near); err != nil {
			var refused *refusal
			var broken *wire.ProtocolError
			if !errors.As(err, &refused) && !errors.As(err, &broken) && w.n.ctx.Err() == nil {
				w.t.Logf("session: %v", err)
			}
		}
	}()
	return p
}

// over is the client's end of a connection that the node has accepted.
func (w *world) over(nc net.Conn) *peer {
	p := &peer{t: w.t, w: w, conn: wire.NewConn(nc, 0), known: make(map[uint32]*mobulav1.Template)}
	w.t.Cleanup(p.hangUp)
	return p
}

// hello is that of a driver.
func hello() *mobulav1.Hello {
	return &mobulav1.Hello{
		ProtocolVersion: wire.ProtocolVersion, Role: mobulav1.Role_ROLE_DRIVER, Secret: secret, Language: mobulav1.Language_LANGUAGE_GO,
		Program: "/bin/prog", Functions: functions, ResultCreditBytes: 64 << 20, Namespace: "tests",
	}
}

// driver opens a driver's session.
func (w *world) driver(change ...func(*mobulav1.Hello)) *peer {
	w.t.Helper()
	p := w.connect(func(nc net.Conn) error { return w.n.handshake(nc, nil) })
	h := hello()
	for _, c := range change {
		c(h)
	}
	p.send(h)
	p.welcome = expect[*mobulav1.Welcome](p)
	return p
}

// process returns the next process that the node starts.
func (w *world) process() *proc {
	w.t.Helper()
	select {
	case x := <-w.procs.started:
		return x
	case <-time.After(patience):
		w.t.Fatal("the node starts no worker")
		return nil
	}
}

// worker opens the session of the next process that the node starts.
func (w *world) worker() *peer {
	w.t.Helper()
	x := w.process()
	p := x.peer(w)
	p.send(x.hello())
	p.welcome = expect[*mobulav1.Welcome](p)
	return p
}

// peer lets the process take over and returns its end of the session, before Hello.
func (x *proc) peer(w *world) *peer {
	x.takeOver()
	p := w.over(x.far)
	p.process = x
	return p
}

func (x *proc) hello() *mobulav1.Hello {
	return &mobulav1.Hello{
		ProtocolVersion: wire.ProtocolVersion, Role: mobulav1.Role_ROLE_WORKER, Secret: x.secret[:], Language: mobulav1.Language_LANGUAGE_GO,
		Functions: functions, ResultCreditBytes: 64 << 20, WorkerId: x.spec.Worker[:],
	}
}

// hangUp closes the connection without a word.
func (p *peer) hangUp() { _ = p.conn.Close() } // it may be closed already

// hungUp closes the connection and waits until the node has dealt with that.
func (p *peer) hungUp() {
	p.t.Helper()
	p.hangUp()
	if p.served != nil {
		p.wait(p.served, "the node does not notice the end of the session")
		return
	}
	await(p.t, func() string {
		p.w.n.mu.Lock()
		defer p.w.n.mu.Unlock()
		if x := p.w.n.workers[p.process.spec.Worker]; x != nil && x.session != nil {
			return "the node does not notice the end of the worker's session"
		}
		return ""
	})
}

func (p *peer) wait(c <-chan struct{}, otherwise string) {
	p.t.Helper()
	select {
	case <-c:
	case <-time.After(patience):
		p.t.Fatal(otherwise)
	}
}

// send sends frames in one write.
func (p *peer) send(messages ...message) {
	p.t.Helper()
	for _, m := range messages {
		if err := p.conn.Send(frameKind(m), m); err != nil {
			p.t.Fatalf("send %T: %v", m, err)
		}
	}
	if err := p.conn.Flush(); err != nil {
		p.t.Fatalf("send: %v", err)
	}
}

// next reads one frame. Credit is noted and passed over, as are templates.
func (p *peer) next() (mobulav1.FrameKind, []byte, error) {
	for {
		if err := p.conn.NetConn().SetReadDeadline(time.Now().Add(patience)); err != nil {
			return 0, nil, err
		}
		kind, payload, err := p.conn.ReadFrame()
		switch {
		case err != nil:
			return 0, nil, err
		case kind == mobulav1.FrameKind_FRAME_KIND_CREDIT:
			p.credit = new(mobulav1.Credit)
			err = p.credit.UnmarshalVT(payload)
		case kind == mobulav1.FrameKind_FRAME_KIND_TEMPLATE:
			m := new(mobulav1.Template)
			err = m.UnmarshalVT(payload)
			p.known[m.GetId()] = m
		default:
			return kind, payload, nil
		}
		if err != nil {
			return 0, nil, err
		}
	}
}

// expect reads the next frame, which must be an M.
func expect[M interface {
	*T
	message
}, T any](p *peer) M {
	p.t.Helper()
	m := M(new(T))
	kind, payload, err := p.next()
	if err != nil {
		p.t.Fatalf("waiting for %T: %v", m, err)
	}
	if kind != frameKind(m) {
		p.t.Fatalf("the node sends %v in place of %T", kind, m)
	}
	if err := m.UnmarshalVT(payload); err != nil {
		p.t.Fatalf("read %T: %v", m, err)
	}
	return m
}

// silence makes sure that the node has handled all that the peer has sent, and that it has nothing to say to the peer.
func (p *peer) silence() {
	p.t.Helper()
	p.last.query++
	p.send(&mobulav1.Query{Id: p.last.query, Kind: &mobulav1.Query_Resources{Resources: &mobulav1.ResourcesQuery{}}})
	if r := expect[*mobulav1.Reply](p); r.GetId() != p.last.query {
		p.t.Fatalf("reply %d to query %d", r.GetId(), p.last.query)
	}
}

// cutOff makes sure that the node ends the session.
func (p *peer) cutOff() {
	p.t.Helper()
	for {
		if kind, _, err := p.next(); err != nil {
			var timeout net.Error
			if errors.As(err, &timeout) && timeout.Timeout() {
				p.t.Fatal("the node does not end the session")
			}
			p.hungUp()
			return
		} else if kind != mobulav1.FrameKind_FRAME_KIND_RESULT && kind != mobulav1.FrameKind_FRAME_KIND_GOODBYE {
			p.t.Fatalf("the node sends %v in place of ending the session", kind)
		}
	}
}

// task makes an id as a client does.
func (p *peer) task() id.Task {
	p.last.task++
	var t id.Task
	copy(t[:8], p.welcome.GetIdRoot())
	binary.BigEndian.PutUint64(t[8:], p.last.task)
	return t
}
