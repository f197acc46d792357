package integration

import (
	"encoding/binary"
	"encoding/hex"
	"slices"
	"strings"
	"testing"

	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"

	"github.com/mobula-dev/mobula/clients/go/mobula"
	"github.com/mobula-dev/mobula/head"
	"github.com/mobula-dev/mobula/internal/wire"
	"github.com/mobula-dev/mobula/tests/harness"
	"github.com/mobula-dev/mobula/tests/integration/work"
)

// header makes a frame's header.
func header(size uint32, kind mobulav1.FrameKind, reserved uint16) []byte {
	b := binary.LittleEndian.AppendUint32(nil, size)
	b = binary.LittleEndian.AppendUint16(b, uint16(kind))
	return binary.LittleEndian.AppendUint16(b, reserved)
}

func TestStrangersOnTheSocketAreRefusedAndHarmNobody(t *testing.T) {
	t.Parallel()
	harness.Alone(t, func() {
		node := harness.StartNode(t, head.Config{})
		ctx := harness.Open(t, mobula.WithAddress(node.Address))
		hello := mobulav1.FrameKind_FRAME_KIND_HELLO
		write := func(b []byte) func(*harness.Raw) {
			return func(r *harness.Raw) { r.Write(b) }
		}
		say := func(change func(*mobulav1.Hello)) func(*harness.Raw) {
			return func(r *harness.Raw) { r.Hello(nil, change) }
		}
		denied, invalid := mobulav1.ErrorKind_ERROR_KIND_PERMISSION_DENIED, mobulav1.ErrorKind_ERROR_KIND_INVALID_ARGUMENT
		for name, c := range map[string]struct {
			act  func(*harness.Raw)
			want mobulav1.ErrorKind // unspecified when no answer is due
		}{
			"who says nothing":            {func(*harness.Raw) {}, 0},
			"who speaks HTTP":             {write([]byte("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")), 0},
			"with garbage":                {write([]byte(strings.Repeat("\xff\x00\xa5", 999))), 0},
			"with a frame beyond the max": {write(header(wire.MaxPayload+1, hello, 0)), 0},
			"with a huge frame":           {write(header(1<<32-1, hello, 0)), 0},
			"with a reserved field set":   {write(header(4, hello, 7)), 0},
			"with another frame first":    {write(header(0, mobulav1.FrameKind_FRAME_KIND_SUBMIT, 0)), 0},
			"with an unknown frame first": {write(header(0, 9999, 0)), 0},
			"with a Hello of garbage":     {write(append(header(4, hello, 0), 0xff, 0xff, 0xff, 0xff)), 0},
			"with half a header": {func(r *harness.Raw) {
				write(header(10, hello, 0)[:5])(r)
				r.End()
			}, 0},
			"with half a frame": {func(r *harness.Raw) {
				write(append(header(100, hello, 0), 1, 2, 3))(r)
				r.End()
			}, 0},
			"without a secret":            {say(func(h *mobulav1.Hello) { h.Secret = nil }), denied},
			"with a wrong secret":         {say(func(h *mobulav1.Hello) { h.Secret[0] ^= 1 }), denied},
			"with half the secret":        {say(func(h *mobulav1.Hello) { h.Secret = h.Secret[:16] }), denied},
			"in a worker's role":          {say(func(h *mobulav1.Hello) { h.Role = mobulav1.Role_ROLE_WORKER }), denied},
			"in no role":                  {say(func(h *mobulav1.Hello) { h.Role = 0 }), denied},
			"in an unknown role":          {say(func(h *mobulav1.Hello) { h.Role = 77 }), denied},
			"of another protocol":         {say(func(h *mobulav1.Hello) { h.ProtocolVersion = 999 }), invalid},
			"who claims to be init":       {say(func(h *mobulav1.Hello) { h.Pid = 1 }), denied},
			"with a huge namespace":       {say(func(h *mobulav1.Hello) { h.Namespace = strings.Repeat("n", 10_000) }), invalid},
			"whose executable is missing": {say(func(h *mobulav1.Hello) { h.HasExecutable = true }), 0},
			"with a malformed variable":   {say(func(h *mobulav1.Hello) { h.WorkerEnv = map[string]string{"A=B": "\x00"} }), invalid},
		} {
			t.Run(name, func(t *testing.T) {
				r := harness.Connect(t, node)
				c.act(r)
				reason := r.Refused()
				switch {
				case c.want == 0 && reason != nil && reason.GetKind() == 0:
					t.Errorf("the refusal has no kind: %v", reason)
				case c.want != 0 && reason.GetKind() != c.want:
					t.Errorf("the node refuses with %v, want %v", reason, c.want)
				}
				if got := harness.Get(t, work.AddRemote(ctx, 1, 2)); got != 3 {
					t.Errorf("another driver got %d", got)
				}
			})
		}
	})
}

func TestManyStrangersKeepNobodyOut(t *testing.T) {
	t.Parallel()
	harness.Alone(t, func() {
		node := harness.StartNode(t, head.Config{})
		for range 300 {
			harness.Connect(t, node)
		}
		ctx := harness.Open(t, mobula.WithAddress(node.Address))
		if got := harness.Get(t, work.AddRemote(ctx, 1, 2)); got != 3 {
			t.Errorf("got %d", got)
		}
	})
}

// template is a template of a function without options.
func template(id uint32, name string) *mobulav1.Template {
	return &mobulav1.Template{
		Id: id, Kind: mobulav1.TemplateKind_TEMPLATE_KIND_FUNCTION, Name: name, Language: mobulav1.Language_LANGUAGE_GO, NumReturns: 1,
	}
}

func TestDriverThatBreaksTheProtocolLosesOnlyItsOwnSession(t *testing.T) {
	t.Parallel()
	harness.Alone(t, func() {
		node := harness.StartNode(t, head.Config{})
		ctx := harness.Open(t, mobula.WithAddress(node.Address))
		log := work.NewLogRemote(ctx, "first", mobula.Name("victim"))
		mustBeReady(t, log.Handle)
		const (
			submit   = mobulav1.FrameKind_FRAME_KIND_SUBMIT
			tmpl     = mobulav1.FrameKind_FRAME_KIND_TEMPLATE
			callSite = mobulav1.FrameKind_FRAME_KIND_CALL_SITE
		)
		id := make([]byte, 16)
		for name, act := range map[string]func(*harness.Raw){
			"an unknown frame": func(r *harness.Raw) { r.Say(4242, &mobulav1.Goodbye{}) },
			"a second Hello":   func(r *harness.Raw) { r.Hello(nil, nil) },
			"a worker's outcome": func(r *harness.Raw) {
				r.Say(mobulav1.FrameKind_FRAME_KIND_DONE, &mobulav1.Done{Handle: 1})
			},
			"a worker's wait": func(r *harness.Raw) {
				r.Say(mobulav1.FrameKind_FRAME_KIND_BLOCKED, &mobulav1.Blocked{Handle: 1})
			},
			"a node's frame": func(r *harness.Raw) {
				r.Say(mobulav1.FrameKind_FRAME_KIND_EXECUTE, &mobulav1.Execute{Handle: 1})
			},
			"a huge frame": func(r *harness.Raw) { r.Write(header(1<<31, submit, 0)) },
			"garbage for a payload": func(r *harness.Raw) {
				r.Write(append(header(3, submit, 0), 0xff, 0xff, 0xff))
			},
			"a submission out of order": func(r *harness.Raw) {
				r.Say(tmpl, template(1, "x"))
				r.Say(submit, &mobulav1.Submit{Sequence: 2, TaskId: id, Template: 1})
			},
			"an unknown template": func(r *harness.Raw) {
				r.Say(submit, &mobulav1.Submit{Sequence: 1, TaskId: id, Template: 9})
			},
			"template 0":              func(r *harness.Raw) { r.Say(submit, &mobulav1.Submit{Sequence: 1, TaskId: id}) },
			"a template out of order": func(r *harness.Raw) { r.Say(tmpl, template(7, "x")) },
			"a billion results": func(r *harness.Raw) {
				r.Say(tmpl, &mobulav1.Template{Id: 1, Name: "x", NumReturns: 1 << 30})
			},
			"a call site out of order": func(r *harness.Raw) { r.Say(callSite, &mobulav1.CallSite{Id: 5, Location: "x"}) },
			"a call site without end": func(r *harness.Raw) {
				r.Say(callSite, &mobulav1.CallSite{Id: 1, Location: strings.Repeat("x", 1<<19)})
			},
			"a short task id": func(r *harness.Raw) {
				r.Say(tmpl, template(1, "x"))
				r.Say(submit, &mobulav1.Submit{Sequence: 1, TaskId: id[:5], Template: 1})
			},
			"a short object id": func(r *harness.Raw) {
				r.Say(mobulav1.FrameKind_FRAME_KIND_GET, &mobulav1.Get{ObjectIds: id[:7]})
			},
			"a short held id": func(r *harness.Raw) {
				r.Say(mobulav1.FrameKind_FRAME_KIND_HOLD, &mobulav1.Hold{ObjectIds: id[:7]})
			},
			"a short actor id": func(r *harness.Raw) {
				r.Say(mobulav1.FrameKind_FRAME_KIND_KILL_ACTOR, &mobulav1.KillActor{ActorId: id[:3]})
			},
			"a segment without its descriptor": func(r *harness.Raw) {
				r.Say(mobulav1.FrameKind_FRAME_KIND_SEGMENT, &mobulav1.Segment{Segment: 1, Size: 1 << 20})
			},
			"an end in the middle": func(r *harness.Raw) {
				r.Write(header(100, submit, 0))
				r.End()
			},
		} {
			t.Run(name, func(t *testing.T) {
				r := harness.Connect(t, node).Enter(nil)
				act(r)
				r.Refused()
				if got := harness.Get(t, work.AddRemote(ctx, 1, 2)); got != 3 {
					t.Errorf("another driver got %d", got)
				}
			})
		}
		if got := harness.Get(t, log.AppendRemote(ctx, "still here")); got != 2 {
			t.Errorf("the other driver's actor has %d lines, want 2", got)
		}
	})
}

func TestJobsCannotReachEachOther(t *testing.T) {
	t.Parallel()
	harness.Alone(t, func() {
		node := harness.StartNode(t, head.Config{})
		ctx := harness.Open(t, mobula.WithAddress(node.Address))
		secret, err := mobula.Put(ctx, "the secret")
		if err != nil {
			t.Fatal(err)
		}
		log := work.NewLogRemote(ctx, "first", mobula.Name("mine"))
		mustBeReady(t, log.Handle)
		object, actor := unhex(t, secret.ID()), unhex(t, log.ID())
		get := mobulav1.FrameKind_FRAME_KIND_GET
		for name, act := range map[string]func(r *harness.Raw){
			"by a get": func(*harness.Raw) {},
			"by a hold": func(r *harness.Raw) {
				r.Say(mobulav1.FrameKind_FRAME_KIND_HOLD, &mobulav1.Hold{ObjectIds: object})
			},
			"by putting it again": func(r *harness.Raw) {
				r.Say(mobulav1.FrameKind_FRAME_KIND_PUT, &mobulav1.Put{ObjectId: object, Value: []byte{}})
			},
			"by releasing it": func(r *harness.Raw) {
				r.Say(mobulav1.FrameKind_FRAME_KIND_RELEASE, &mobulav1.Release{ObjectIds: object})
			},
			"by cancelling it": func(r *harness.Raw) {
				r.Say(mobulav1.FrameKind_FRAME_KIND_CANCEL, &mobulav1.Cancel{ObjectId: object, Force: true, Recursive: true})
			},
			"by killing its actor": func(r *harness.Raw) {
				r.Say(mobulav1.FrameKind_FRAME_KIND_KILL_ACTOR, &mobulav1.KillActor{ActorId: actor, NoRestart: true})
			},
		} {
			t.Run(name, func(t *testing.T) {
				r := harness.Connect(t, node).Enter(nil)
				act(r)
				if r.Send(get, &mobulav1.Get{ObjectIds: object}) == nil {
					_ = r.Flush() // the node may have ended the session by now
				}
				if value := answer(t, r); strings.Contains(string(value), "the secret") {
					t.Error("another job's object was read")
				}
				if got := harness.Get(t, secret); got != "the secret" {
					t.Errorf("the object is %q now", got)
				}
				if err := ready(t, log.Handle); err != nil {
					t.Errorf("the actor is not well: %v", err)
				}
				harness.Get(t, log.AppendRemote(ctx, name))
			})
		}
	})
}

// answer reads the next result, or nothing when the session was ended.
func answer(t *testing.T, r *harness.Raw) []byte {
	t.Helper()
	for {
		kind, payload, err := r.ReadFrame()
		if err != nil {
			return nil
		}
		if kind == mobulav1.FrameKind_FRAME_KIND_RESULT {
			return payload
		}
	}
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// packed appends MessagePack's form of that many bytes to b.
func packed(b []byte, size int) []byte {
	b = binary.BigEndian.AppendUint32(append(b, 0xc6), uint32(size))
	return append(b, make([]byte, size)...)
}

// taskID is the id of a client's submission.
func taskID(r *harness.Raw, i int) []byte {
	return binary.BigEndian.AppendUint64(slices.Clone(r.Welcome.GetIdRoot()), uint64(i+1))
}

// flood submits n calls of tests.Blob with a value of that many bytes through r, as far as its credit goes, and never reads.
func flood(t *testing.T, r *harness.Raw, functions []*mobulav1.FunctionInfo, n, size int) int {
	t.Helper()
	for i, f := range functions {
		tm := template(uint32(i+1), f.GetName())
		tm.Fingerprint = f.GetFingerprint()
		r.Say(mobulav1.FrameKind_FRAME_KIND_TEMPLATE, tm)
	}
	args, err := (&mobulav1.Value{Format: mobulav1.ValueFormat_VALUE_FORMAT_MSGPACK, Meta: packed([]byte{0x91}, size)}).MarshalVT()
	if err != nil {
		t.Fatal(err)
	}
	credit, sent := r.Welcome.GetCreditBytes(), 0
	for i := range n {
		m := &mobulav1.Submit{Sequence: uint64(i + 1), TaskId: taskID(r, i), Template: 1, Args: args}
		if uint64(m.SizeVT()) > credit {
			break
		}
		credit -= uint64(m.SizeVT())
		if err := r.Send(mobulav1.FrameKind_FRAME_KIND_SUBMIT, m); err != nil {
			t.Fatal(err)
		}
		sent++
	}
	if err := r.Flush(); err != nil {
		t.Fatal(err)
	}
	return sent
}

func TestClientThatNeverReadsIsBoundedByItsCredit(t *testing.T) {
	t.Parallel()
	harness.Alone(t, func() {
		node := harness.StartNode(t, head.Config{})
		ctx := harness.Open(t, mobula.WithAddress(node.Address))
		const credit = 256 << 10
		functions := []*mobulav1.FunctionInfo{{Name: "tests.Blob"}}
		r := harness.Connect(t, node).Enter(func(h *mobulav1.Hello) { h.ResultCreditBytes, h.Functions = credit, functions })
		sent := flood(t, r, functions, 1000, 60<<10)
		if !harness.Get(t, work.WholeRemote(ctx)) { // it runs when nothing of the flood does
			t.Fatal("the other driver's task failed")
		}
		pushed, told := 0, 0
		for told < sent {
			kind, payload, err := r.ReadFrame()
			if err != nil {
				t.Fatalf("after %d of %d results: %v", told, sent, err)
			}
			if kind != mobulav1.FrameKind_FRAME_KIND_RESULT {
				continue
			}
			var m mobulav1.Result
			if err := m.UnmarshalVT(payload); err != nil {
				t.Fatal(err)
			}
			told++
			pushed += len(m.GetValue())
		}
		if pushed > credit || pushed == 0 {
			t.Errorf("the node pushed %d bytes of results, want some and at most %d", pushed, credit)
		}
	})
}

func TestClientThatClaimsToReadAndDoesNotIsCut(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("it fills a node's memory with hundreds of megabytes")
	}
	harness.Alone(t, func() {
		node := harness.StartNode(t, head.Config{})
		ctx := harness.Open(t, mobula.WithAddress(node.Address))
		functions := []*mobulav1.FunctionInfo{{Name: "tests.Blob"}}
		r := harness.Connect(t, node).Enter(func(h *mobulav1.Hello) { h.ResultCreditBytes, h.Functions = 1<<40, functions })
		r.Say(mobulav1.FrameKind_FRAME_KIND_TEMPLATE, template(1, "tests.Blob"))
		const size, calls = 90 << 10, 6000 // twice what may wait for a client
		blob, err := (&mobulav1.Value{Format: mobulav1.ValueFormat_VALUE_FORMAT_MSGPACK, Meta: packed(nil, size)}).MarshalVT()
		if err != nil {
			t.Fatal(err)
		}
		object := append(slices.Clone(r.Welcome.GetIdRoot()), make([]byte, 12)...)
		r.Say(mobulav1.FrameKind_FRAME_KIND_PUT, &mobulav1.Put{ObjectId: object, Value: blob})
		args, err := (&mobulav1.Value{Format: mobulav1.ValueFormat_VALUE_FORMAT_MSGPACK, Meta: []byte{0x91, 0xc0}}).MarshalVT()
		if err != nil {
			t.Fatal(err)
		}
		for i := range calls {
			m := &mobulav1.Submit{Sequence: uint64(i + 1), TaskId: taskID(r, i), Template: 1, Args: args, RefArgs: []*mobulav1.RefArg{{ObjectId: object}}}
			if r.Send(mobulav1.FrameKind_FRAME_KIND_SUBMIT, m) != nil || r.Flush() != nil {
				break // cut already
			}
		}
		harness.Eventually(t, 2*harness.Patience, "the client is cut", func() bool { return harness.Status(t, node.Address).GetJobs() == 1 })
		if got := harness.Get(t, work.AddRemote(ctx, 1, 2)); got != 3 {
			t.Errorf("another driver got %d", got)
		}
	})
}
