package service

import (
	"bytes"
	"encoding/binary"
	"net"
	"slices"
	"strconv"
	"testing"
	"time"

	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"
	"github.com/mobula-dev/mobula/internal/errorvalue"
	"github.com/mobula-dev/mobula/internal/id"
	"github.com/mobula-dev/mobula/internal/wire"
)

// Clients that send anything in any order. Whatever they do, the node goes on, others are served, and nothing is left when they are gone.

// script reads choices from a fuzzer's bytes; when they are used up every choice is 0.
type script struct{ data []byte }

func (s *script) choose(n int) int {
	if len(s.data) == 0 {
		return 0
	}
	c := int(s.data[0])
	s.data = s.data[1:]
	return c % n
}

func (s *script) flag() bool { return s.choose(2) == 1 }

// some is one of the ids that exist or might.
func (s *script) task() id.Task {
	var t id.Task
	binary.BigEndian.PutUint64(t[8:], uint64(s.choose(6))+1)
	return t
}

func (s *script) object() id.Object { return s.task().Object(uint32(s.choose(3))) }

// known is an object that the client holds, if it holds any.
func (s *script) known(st *state) id.Object {
	if len(st.held) == 0 || s.choose(20) == 1 {
		return s.object()
	}
	return st.held[s.choose(len(st.held))]
}

func (s *script) objects(st *state) []byte {
	var b []byte
	for range s.choose(4) {
		o := s.known(st)
		b = append(b, o[:]...)
	}
	if s.choose(200) == 1 {
		b = append(b, 7)
	}
	return b
}

// value makes the value of a task. It contains refs to tasks with lower numbers only: values that contain each other are never freed.
func (s *script) value(st *state, of id.Task) []byte {
	v := &mobulav1.Value{Format: mobulav1.ValueFormat_VALUE_FORMAT_MSGPACK, Meta: []byte("v")}
	for o := range slices.Chunk(s.objects(st), id.ObjectSize) {
		if len(o) < id.ObjectSize || bytes.Compare(o[:id.TaskSize], of[:]) < 0 {
			v.Refs = append(v.Refs, o...)
		}
	}
	switch s.choose(100) {
	case 1:
		v.Block = &mobulav1.Block{Segment: uint32(s.choose(3)), Offset: uint64(s.choose(3)) * 64, Size: uint64(s.choose(300))}
	case 2:
		return []byte{0xff}
	}
	return must(v)
}

// templates are those that each client registers first, one of each sort that the node treats differently.
func templates() []*mobulav1.Template {
	of := func(kind mobulav1.TemplateKind, change func(m *mobulav1.Template, o *mobulav1.Options)) *mobulav1.Template {
		f := functions[kind-1]
		m := &mobulav1.Template{
			Kind: kind, Name: f.GetName(), Fingerprint: f.GetFingerprint(), Class: "A", Language: mobulav1.Language_LANGUAGE_GO,
			NumReturns: 1, Options: new(mobulav1.Options),
		}
		change(m, m.Options)
		return m
	}
	zero, one := int32(0), int32(1)
	all := []*mobulav1.Template{
		of(aFunction, func(*mobulav1.Template, *mobulav1.Options) {}),
		of(aFunction, func(m *mobulav1.Template, o *mobulav1.Options) { m.NumReturns, o.MaxRetries = 2, &zero }),
		of(aFunction, func(_ *mobulav1.Template, o *mobulav1.Options) { o.RetryExceptions, o.MaxRetries = true, &one }),
		of(aFunction, func(_ *mobulav1.Template, o *mobulav1.Options) { o.Isolation = mobulav1.Isolation_ISOLATION_PROCESS }),
		of(anActor, func(*mobulav1.Template, *mobulav1.Options) {}),
		of(anActor, func(_ *mobulav1.Template, o *mobulav1.Options) { o.MaxRestarts, o.MaxConcurrency = &one, 2 }),
		of(anActor, func(_ *mobulav1.Template, o *mobulav1.Options) { o.Name, o.GetIfExists = "n", true }),
		of(anActor, func(_ *mobulav1.Template, o *mobulav1.Options) {
			o.AllowOutOfOrderExecution, o.MaxPendingCalls = true, &one
		}),
		of(aMethod, func(*mobulav1.Template, *mobulav1.Options) {}),
		of(aMethod, func(m *mobulav1.Template, o *mobulav1.Options) {
			m.NumReturns, o.MaxTaskRetries, o.RetryExceptions = 2, &one, true
		}),
		of(aFunction, func(_ *mobulav1.Template, o *mobulav1.Options) { o.Streaming = true }), // refused
	}
	for i, m := range all {
		m.Id = uint32(i + 1)
	}
	return all
}

// running is a call that a worker got.
type running struct {
	*mobulav1.Execute
	returns int
}

// state is what a client of the fuzzer has said and heard, so that most of what it says is allowed.
type state struct {
	sequence uint64
	held     []id.Object
	actors   []id.Task
	calls    []running
	revoked  []uint32 // lanes that the node asked back
}

// handle is that of a call, or one that never was.
func (s *script) handle(st *state) uint64 {
	if len(st.calls) == 0 || s.choose(40) == 1 {
		return uint64(s.choose(3)) << 32
	}
	return st.calls[s.choose(len(st.calls))].GetHandle()
}

func (s *script) submit(st *state) message {
	templates := templates()
	st.sequence++
	t, a := s.task(), s.task()
	tmpl := templates[s.choose(len(templates))]
	if tmpl.GetKind() == aMethod && len(st.actors) > 0 {
		a = st.actors[s.choose(len(st.actors))]
	}
	m := &mobulav1.Submit{Sequence: st.sequence, TaskId: t[:], Template: tmpl.GetId(), Args: s.value(st, id.Task{1}), CallSite: uint32(s.choose(2))}
	for range s.choose(3) {
		o := s.known(st)
		m.RefArgs = append(m.RefArgs, &mobulav1.RefArg{ObjectId: o[:]})
	}
	if tmpl.GetKind() == aMethod {
		m.ActorId = a[:]
	}
	if s.choose(6) == 1 {
		m.TimeoutNs = int64(s.choose(3)) * 1e6
	}
	if s.flag() {
		m.Parent = s.handle(st)
	}
	if tmpl.GetKind() == anActor {
		st.actors = append(st.actors, t)
	}
	for i := range tmpl.GetNumReturns() {
		st.held = append(st.held, t.Object(i))
	}
	return m
}

// client makes a frame that a driver or a worker sends.
func (s *script) client(st *state) message {
	switch s.choose(16) {
	case 0, 1, 2, 3, 4:
		return s.submit(st)
	case 5, 6:
		o := s.object()
		st.held = append(st.held, o)
		return &mobulav1.Put{ObjectId: o[:], Value: s.value(st, o.Task())}
	case 7:
		if len(st.held) > 0 {
			o := st.held[s.choose(len(st.held))]
			st.held = append(st.held, o)
			return &mobulav1.Hold{ObjectIds: o[:]}
		}
		return &mobulav1.Hold{ObjectIds: s.objects(st)}
	case 8, 9:
		if len(st.held) > 0 && s.choose(100) != 1 {
			i := s.choose(len(st.held))
			o := st.held[i]
			st.held = append(st.held[:i], st.held[i+1:]...)
			return &mobulav1.Release{ObjectIds: o[:]}
		}
		return &mobulav1.Release{}
	case 10:
		return &mobulav1.Get{ObjectIds: s.objects(st), ReadyOnly: s.flag()}
	case 11:
		o := s.known(st)
		return &mobulav1.Cancel{ObjectId: o[:], Force: s.flag(), Recursive: s.flag()}
	case 12:
		a := s.known(st).Task()
		return &mobulav1.KillActor{ActorId: a[:], NoRestart: s.flag()}
	case 13:
		return &mobulav1.Unpin{ObjectIds: s.objects(st)}
	case 14:
		return &mobulav1.GrantRequest{Id: st.sequence, Bytes: uint64(s.choose(3)+1) << 20, Withdraw: s.flag()}
	default:
		return &mobulav1.Query{Id: 1, Kind: &mobulav1.Query_GetActor{GetActor: &mobulav1.GetActor{Name: "n"}}}
	}
}

// done ends one of the worker's calls, mostly as it should be.
func (s *script) done(st *state) message {
	if len(st.calls) == 0 {
		return &mobulav1.Done{Handle: s.handle(st)}
	}
	i := s.choose(len(st.calls))
	c := st.calls[i]
	if s.choose(10) != 1 {
		st.calls = append(st.calls[:i], st.calls[i+1:]...)
	}
	m := &mobulav1.Done{Handle: c.GetHandle(), RunNs: int64(s.choose(4)) * 1000, ExitActor: s.choose(8) == 1}
	if s.choose(3) == 1 {
		m.Failed, m.ErrorNames = true, []string{"x"}
		m.Results = [][]byte{errorvalue.Encode(&mobulav1.ErrorValue{Kind: mobulav1.ErrorKind_ERROR_KIND_TASK_FAILED, Message: "no"})}
		return m
	}
	for range c.returns {
		m.Results = append(m.Results, s.value(st, id.Task(c.GetTaskId())))
	}
	if s.choose(40) == 1 {
		m.Results = m.Results[1:]
	}
	return m
}

// worker makes a frame that only a worker sends.
func (s *script) worker(st *state) message {
	returned := func() (handles []uint64) {
		for range s.choose(3) {
			if n := len(st.calls); n > 0 {
				handles = append(handles, st.calls[n-1].GetHandle()) // the last is behind others
				st.calls = st.calls[:n-1]
			}
		}
		return handles
	}
	switch s.choose(8) {
	case 0, 1, 2, 3:
		return s.done(st)
	case 4, 5:
		return &mobulav1.Blocked{Handle: s.handle(st), Returned: returned()}
	case 6:
		return &mobulav1.Unblocked{Handle: s.handle(st)}
	default:
		if len(st.revoked) == 0 && s.choose(20) != 1 {
			return s.done(st)
		}
		m := &mobulav1.Revoked{Returned: returned()}
		if len(st.revoked) > 0 {
			m.Lane, st.revoked = st.revoked[0], st.revoked[1:]
		}
		return m
	}
}

// fuzzed is one client of the fuzzer. Its end of the connection is read until it ends, so that the node is never blocked.
type fuzzed struct {
	*peer
	state
	name  string
	calls chan running
	lanes chan uint32
	acks  chan struct{}
	ended chan struct{}
	log   func(format string, args ...any)
}

// newFuzzed starts to read what the node sends.
func newFuzzed(p *peer, name string) *fuzzed {
	f := &fuzzed{peer: p, name: name, calls: make(chan running, 1<<12), lanes: make(chan uint32, 1<<12), acks: make(chan struct{}, 1), ended: make(chan struct{}), log: p.t.Logf}
	go f.listen()
	for _, m := range templates() {
		f.say(m)
	}
	f.say(&mobulav1.CallSite{Id: 1, Location: "here"})
	return f
}

func (f *fuzzed) listen() {
	defer close(f.ended)
	returns := make(map[uint32]int)
	for {
		kind, payload, err := f.conn.ReadFrame()
		if err != nil {
			f.conn.DropFiles()
			return
		}
		switch kind {
		case mobulav1.FrameKind_FRAME_KIND_EXECUTE:
			if e := new(mobulav1.Execute); e.UnmarshalVT(payload) == nil {
				f.calls <- running{e, returns[e.GetTemplate()]}
			}
		case mobulav1.FrameKind_FRAME_KIND_TEMPLATE:
			if m := new(mobulav1.Template); m.UnmarshalVT(payload) == nil {
				returns[m.GetId()] = int(max(1, m.GetNumReturns()))
			}
		case mobulav1.FrameKind_FRAME_KIND_REVOKE:
			if m := new(mobulav1.Revoke); m.UnmarshalVT(payload) == nil {
				f.lanes <- m.GetLane()
			}
		case mobulav1.FrameKind_FRAME_KIND_REPLY:
			if m := new(mobulav1.Reply); m.UnmarshalVT(payload) == nil && m.GetId() == fence {
				f.acks <- struct{}{}
			}
		default: // the others are not answered
		}
	}
}

// gone reports whether the node has ended the session.
func (f *fuzzed) gone() bool {
	select {
	case <-f.ended:
		return true
	default:
		return false
	}
}

// fence is the number of the query whose reply says that what was sent before was handled.
const fence = 99

// say sends a frame and waits until the node has handled it, or has ended the session.
func (f *fuzzed) say(m message) {
	f.log("%s: %T %v", f.name, m, m)
	if f.conn.Send(frameKind(m), m) != nil || f.conn.Send(mobulav1.FrameKind_FRAME_KIND_QUERY, &mobulav1.Query{Id: fence}) != nil || f.conn.Flush() != nil {
		return // the node has ended the session
	}
	select {
	case <-f.acks:
	case <-f.ended:
	case <-time.After(patience):
		f.t.Fatalf("%s: the node does not answer", f.name)
	}
}

// hear takes note of what the node has sent.
func (f *fuzzed) hear() {
	for {
		select {
		case c := <-f.calls:
			f.state.calls = append(f.state.calls, c)
		case l := <-f.lanes:
			f.revoked = append(f.revoked, l)
		default:
			return
		}
	}
}

// game is a node with the clients of a script.
type game struct {
	*world
	s       *script
	driver  *fuzzed
	workers []*fuzzed
	made    int
}

// hire opens the sessions of the processes that the node has started.
func (g *game) hire() {
	for {
		select {
		case x := <-g.procs.started:
			p := x.peer(g.world)
			if p.conn.Send(mobulav1.FrameKind_FRAME_KIND_HELLO, x.hello()) != nil || p.conn.Flush() != nil {
				continue // the node has ended it already
			}
			if kind, _, err := p.next(); err == nil && kind == mobulav1.FrameKind_FRAME_KIND_WELCOME {
				g.made++
				g.workers = append(g.workers, newFuzzed(p, "worker "+strconv.Itoa(g.made)))
			}
		default:
			return
		}
	}
}

// turn lets one client say something.
func (g *game) turn() {
	s := g.s
	if len(g.workers) == 0 || s.choose(2) == 0 {
		g.driver.say(s.client(&g.driver.state))
		return
	}
	i := s.choose(len(g.workers))
	wk := g.workers[i]
	wk.hear()
	switch {
	case wk.gone():
		wk.crash()
		g.workers = append(g.workers[:i], g.workers[i+1:]...)
	case s.choose(20) == 1:
		g.t.Logf("%s: crashes", wk.name)
		wk.crash()
	case s.choose(5) == 1:
		wk.say(s.client(&wk.state))
	default:
		wk.say(s.worker(&wk.state))
	}
}

// later has the node's clock tick as if much time had passed.
func (g *game) later() {
	g.locked(func(n *Node) { n.sched.Tick(n.now + int64(2*time.Hour)) })
}

// play runs a script against a node and checks that nothing is left.
func play(t *testing.T, data []byte) {
	t.Helper()
	w := open(t, func(c *Config) {
		c.Resources.CPUs = 2 * unit
		c.Scheduler.StartBackoffNs, c.Scheduler.PipelineTargetNs = 1, int64(time.Second)
	})
	g := &game{world: w, s: &script{data: data}, driver: newFuzzed(w.driver(), "driver")}
	for len(g.s.data) > 0 && !g.driver.gone() {
		g.hire()
		g.turn()
		if g.s.choose(30) == 1 {
			g.later()
		}
	}
	other := w.driver()
	other.silence() // the node lives
	other.goodbye()
	g.driver.hungUp()
	for _, wk := range g.workers {
		if wk.gone() {
			wk.crash() // or the node would wait for it to end by itself
		}
	}
	w.quiescent()
}

func FuzzSessions(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{0, 0, 1, 0, 1, 0, 1, 1, 1, 0, 0, 0, 0, 0})
	for seed := range 24 {
		x := uint32(seed + 1)
		data := make([]byte, 600)
		for i := range data {
			x ^= x << 13
			x ^= x >> 17
			x ^= x << 5
			data[i] = byte(x >> 8)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 2000 {
			t.Skip("long enough is long enough")
		}
		play(t, data)
	})
}

func FuzzHello(f *testing.F) {
	h := hello()
	b, err := h.MarshalVT()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	h.HasExecutable, h.WorkerArgs, h.WorkerEnv = true, []string{"x"}, map[string]string{"A": "b"}
	if b, err = h.MarshalVT(); err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte{0x08, 0x01, 0x18, 0x01})
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > wire.MaxPayload {
			t.Skip("does not fit a frame")
		}
		w := open(t)
		p := w.connect(func(nc net.Conn) error { return w.n.ServeOwner(nc) })
		frame := binary.LittleEndian.AppendUint32(nil, uint32(len(data)))
		frame = append(binary.LittleEndian.AppendUint16(frame, uint16(mobulav1.FrameKind_FRAME_KIND_HELLO)), 0, 0)
		if _, err := p.conn.NetConn().Write(append(frame, data...)); err != nil {
			t.Fatal(err)
		}
		kind, _, err := p.next()
		if err == nil && kind != mobulav1.FrameKind_FRAME_KIND_WELCOME && kind != mobulav1.FrameKind_FRAME_KIND_REFUSED {
			t.Fatalf("the node answers hello with %v", kind)
		}
		p.hungUp()
		w.quiescent()
	})
}
