package service

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"
	"github.com/mobula-dev/mobula/internal/id"
)

// Who may open a session, and what ends it.

func TestWhoMayNotOpenASessionIsToldWhy(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*mobulav1.Hello)
		want   mobulav1.ErrorKind
	}{
		"another version": {func(h *mobulav1.Hello) { h.ProtocolVersion++ }, mobulav1.ErrorKind_ERROR_KIND_INVALID_ARGUMENT},
		"wrong secret":    {func(h *mobulav1.Hello) { h.Secret = []byte("guess") }, mobulav1.ErrorKind_ERROR_KIND_PERMISSION_DENIED},
		"no secret":       {func(h *mobulav1.Hello) { h.Secret = nil }, mobulav1.ErrorKind_ERROR_KIND_PERMISSION_DENIED},
		"worker":          {func(h *mobulav1.Hello) { h.Role = mobulav1.Role_ROLE_WORKER }, mobulav1.ErrorKind_ERROR_KIND_PERMISSION_DENIED},
		"no role":         {func(h *mobulav1.Hello) { h.Role = 0 }, mobulav1.ErrorKind_ERROR_KIND_PERMISSION_DENIED},
		"long namespace":  {func(h *mobulav1.Hello) { h.Namespace = strings.Repeat("x", 257) }, mobulav1.ErrorKind_ERROR_KIND_INVALID_ARGUMENT},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := open(t)
			p := w.connect(func(nc net.Conn) error { return w.n.handshake(nc, nil) })
			h := hello()
			c.change(h)
			p.send(h)
			if r := expect[*mobulav1.Refused](p); r.GetError().GetKind() != c.want || r.GetError().GetMessage() == "" {
				t.Errorf("%v", r)
			}
			p.cutOff()
			w.quiescent()
		})
	}
}

func TestANodeWithoutASecretLetsNobodyIn(t *testing.T) {
	t.Parallel()
	w := open(t, func(c *Config) { c.Secret = nil })
	p := w.connect(func(nc net.Conn) error { return w.n.handshake(nc, nil) })
	h := hello()
	h.Secret = nil
	p.send(h)
	expect[*mobulav1.Refused](p)
}

func TestTheOwnerNeedsNoSecretAndTakesTheNodeWithIt(t *testing.T) {
	t.Parallel()
	gone := make(chan struct{})
	w := open(t, func(c *Config) { c.OwnerGone = func() { close(gone) } })
	p := w.connect(w.n.ServeOwner)
	h := hello()
	h.Secret, h.OwnsNode = nil, true
	p.send(h)
	expect[*mobulav1.Welcome](p)
	p.hangUp()
	p.wait(gone, "the node is not told that its owner has gone")
}

func TestADriverThatIsNotTheOwnerDoesNotTakeTheNodeWithIt(t *testing.T) {
	t.Parallel()
	w := open(t, func(c *Config) { c.OwnerGone = func() { t.Error("the node ends") } })
	w.driver(func(h *mobulav1.Hello) { h.OwnsNode = true }).goodbye()
	w.quiescent()
}

func TestAFirstFrameThatIsNoHelloEndsTheConnection(t *testing.T) {
	t.Parallel()
	for name, bytes := range map[string][]byte{
		"submit": {0, 0, 0, 0, 10, 0, 0, 0}, "huge": {0xff, 0xff, 0xff, 0xff, 1, 0, 0, 0}, "reserved": {0, 0, 0, 0, 1, 0, 1, 0},
		"garbage": {4, 0, 0, 0, 1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff}, "half": {4, 0, 0, 0, 1, 0, 0, 0, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := open(t)
			p := w.connect(func(nc net.Conn) error { return w.n.handshake(nc, nil) })
			if _, err := p.conn.NetConn().Write(bytes); err != nil {
				t.Fatal(err)
			}
			if uc, ok := p.conn.NetConn().(*net.UnixConn); ok && uc.CloseWrite() != nil {
				t.Fatal("close")
			}
			p.wait(p.served, "the node waits for more")
			w.quiescent()
		})
	}
}

func TestStaleStubsAreNamed(t *testing.T) {
	t.Parallel()
	w := open(t, func(c *Config) { c.Scheduler.StartBackoffNs = 1 })
	d := w.driver()
	c := d.submit(d.template(aFunction))
	for range 3 {
		x := w.process()
		p := x.peer(w)
		h := x.hello()
		h.Functions = []*mobulav1.FunctionInfo{{Name: "f", Fingerprint: 1}, {Name: "A", Fingerprint: 8}}
		p.send(h)
		if r := expect[*mobulav1.Refused](p); r.GetError().GetKind() != mobulav1.ErrorKind_ERROR_KIND_STALE_STUBS ||
			!strings.Contains(r.GetError().GetMessage(), "f (signature changed)") || !strings.Contains(r.GetError().GetMessage(), "A.m (missing)") {
			t.Errorf("%v", r)
		}
	}
	if e := d.failure(c, mobulav1.ErrorKind_ERROR_KIND_STALE_STUBS); !strings.Contains(e.GetMessage(), "A.m (missing)") {
		t.Errorf("%v", e)
	}
	d.goodbye()
	w.quiescent()
}

func TestAWorkerNeedsTheSecretOfItsProcess(t *testing.T) {
	t.Parallel()
	w := open(t)
	d := w.driver()
	c := d.submit(d.template(aFunction))
	x := w.process()
	p := x.peer(w)
	h := x.hello()
	h.Secret = secret
	p.send(h)
	if r := expect[*mobulav1.Refused](p); r.GetError().GetKind() != mobulav1.ErrorKind_ERROR_KIND_PERMISSION_DENIED {
		t.Errorf("%v", r)
	}
	wk := w.worker()
	wk.done(wk.executes(c), "by another")
	d.result(c, 0)
}

func TestANodeThatDrainsTakesNoNewDrivers(t *testing.T) {
	t.Parallel()
	w := open(t)
	d := w.driver()
	w.control.effects <- &mobulav1.Effect{Id: 1, Kind: &mobulav1.Effect_Drain{Drain: &mobulav1.DrainEffect{Reason: "maintenance"}}}
	await(t, func() string {
		w.n.mu.Lock()
		defer w.n.mu.Unlock()
		if w.n.draining == "" {
			return "the node does not drain"
		}
		return ""
	})
	p := w.connect(func(nc net.Conn) error { return w.n.handshake(nc, nil) })
	p.send(hello())
	if r := expect[*mobulav1.Refused](p); r.GetError().GetKind() != mobulav1.ErrorKind_ERROR_KIND_UNAVAILABLE || !strings.Contains(r.GetError().GetMessage(), "maintenance") {
		t.Errorf("%v", r)
	}
	d.silence() // those that are there go on
}

func TestDriversAreAcceptedOnASocket(t *testing.T) {
	t.Parallel()
	w := open(t)
	dir, err := os.MkdirTemp("", "node") //nolint:usetesting // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	l, err := net.Listen("unix", filepath.Join(dir, "s"))
	if err != nil {
		t.Fatal(err)
	}
	accepted := make(chan error, 1)
	go func() { accepted <- w.n.Accept(l) }()
	nc, err := net.Dial("unix", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	p := w.over(nc)
	p.send(hello())
	expect[*mobulav1.Welcome](p)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-accepted; err != nil {
		t.Error(err)
	}
}

func TestANodeThatClosesSaysGoodbye(t *testing.T) {
	t.Parallel()
	w := open(t)
	d := w.driver()
	d.submit(d.template(aFunction))
	wk := w.worker()
	wk.execute()
	if err := w.n.Close(); err != nil {
		t.Error(err)
	}
	if g := expect[*mobulav1.Goodbye](d); g.GetReason() == "" {
		t.Error("without a reason")
	}
	if _, _, err := wk.next(); err == nil {
		t.Error("the worker's session goes on")
	}
	if err := w.n.Close(); err != nil {
		t.Errorf("closed twice: %v", err)
	}
}

func TestFramesThatBreakTheRulesEndTheSession(t *testing.T) {
	t.Parallel()
	bad := map[string]func(d *peer){
		"template 0":            func(d *peer) { d.send(&mobulav1.Template{}) },
		"template out of turn":  func(d *peer) { d.send(&mobulav1.Template{Id: 2}) },
		"too many results":      func(d *peer) { d.send(&mobulav1.Template{Id: 1, NumReturns: 10_001}) },
		"call site out of turn": func(d *peer) { d.send(&mobulav1.CallSite{Id: 2}) },
		"long call site":        func(d *peer) { d.send(&mobulav1.CallSite{Id: 1, Location: strings.Repeat("x", 4097)}) },
		"unknown template":      func(d *peer) { d.submit(1) },
		"template none":         func(d *peer) { d.submit(0) },
		"sequence out of turn":  func(d *peer) { d.submit(d.template(aFunction), func(m *mobulav1.Submit) { m.Sequence = 2 }) },
		"short task id": func(d *peer) {
			d.send(&mobulav1.Submit{Sequence: 1, Template: d.template(aFunction), TaskId: make([]byte, 15)})
		},
		"short object id in put": func(d *peer) { d.send(&mobulav1.Put{ObjectId: make([]byte, 19), Value: value("x")}) },
		"half an id in hold":     func(d *peer) { d.send(&mobulav1.Hold{ObjectIds: make([]byte, 30)}) },
		"half an id in release":  func(d *peer) { d.send(&mobulav1.Release{ObjectIds: make([]byte, 30)}) },
		"half an id in get":      func(d *peer) { d.send(&mobulav1.Get{ObjectIds: make([]byte, 30)}) },
		"half an id in cancel":   func(d *peer) { d.send(&mobulav1.Cancel{ObjectId: make([]byte, 19)}) },
		"half an id in kill":     func(d *peer) { d.send(&mobulav1.KillActor{ActorId: make([]byte, 15)}) },
		"unknown frame": func(d *peer) {
			if err := d.conn.Send(mobulav1.FrameKind(99), &mobulav1.Goodbye{}); err != nil {
				d.t.Fatal(err)
			}
			d.send()
		},
		"garbage": func(d *peer) {
			if _, err := d.conn.NetConn().Write([]byte{2, 0, 0, 0, 10, 0, 0, 0, 0xff, 0xff}); err != nil {
				d.t.Fatal(err)
			}
		},
	}
	for name, f := range bad {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := open(t)
			d, other := w.driver(), w.driver()
			d.put(value("goes with it"))
			f(d)
			d.cutOff()
			other.silence() // others are not affected
			other.goodbye()
			w.quiescent()
		})
	}
}

func TestASpecThatCannotRunIsAnErrorNotAViolation(t *testing.T) {
	t.Parallel()
	w := open(t)
	d := w.driver()
	f, m := d.template(aFunction), d.template(aMethod)
	invalid := mobulav1.ErrorKind_ERROR_KIND_INVALID_ARGUMENT
	d.failure(d.submit(f, func(s *mobulav1.Submit) { s.Args = []byte{0xff} }), invalid)
	d.failure(d.submit(f, func(s *mobulav1.Submit) { s.RefArgs = []*mobulav1.RefArg{{ObjectId: []byte{1}}} }), invalid)
	d.failure(d.submit(f, func(s *mobulav1.Submit) {
		s.Args = must(&mobulav1.Value{Format: mobulav1.ValueFormat_VALUE_FORMAT_MSGPACK, Refs: []byte{1}})
	}), invalid)
	d.failure(d.submit(m), invalid)
	unknown := id.Task{9}
	d.failure(d.submit(m, func(s *mobulav1.Submit) { s.ActorId = unknown[:] }), died)
	d.goodbye()
	w.quiescent()
}

func TestThePlaceOfASubmissionIsInItsError(t *testing.T) {
	t.Parallel()
	w := open(t)
	d := w.driver()
	d.send(&mobulav1.CallSite{Id: 1, Location: "main.go:7"})
	c := d.submit(d.template(aFunction), func(m *mobulav1.Submit) { m.CallSite = 1 })
	wk := w.worker()
	wk.failed(wk.executes(c))
	e := d.failure(c, mobulav1.ErrorKind_ERROR_KIND_TASK_FAILED)
	if e.GetCallSite() != "main.go:7" || e.GetNode() != w.n.id.String() || e.GetFunction() != "f" {
		t.Errorf("%v", e)
	}
}
