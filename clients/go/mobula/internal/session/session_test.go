package session_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"

	"github.com/mobula-dev/mobula/clients/go/mobula/internal/nodetest"
	"github.com/mobula-dev/mobula/clients/go/mobula/internal/session"
	"github.com/mobula-dev/mobula/internal/errorvalue"
	"github.com/mobula-dev/mobula/internal/id"
	"github.com/mobula-dev/mobula/internal/wire"
)

// open opens a session with a node that does what the test says.
func open(t testing.TB, change ...func(*mobulav1.Welcome)) (*nodetest.Node, *session.Session) {
	t.Helper()
	n, nc := nodetest.New(t, change...)
	return n, openOn(t, nc, session.Config{})
}

func openOn(t testing.TB, nc net.Conn, cfg session.Config) *session.Session {
	t.Helper()
	if cfg.Hello == nil {
		cfg.Hello = new(mobulav1.Hello)
	}
	s, err := session.Open(nodetest.Context(t), nc, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		end, cancel := context.WithCancel(context.Background())
		cancel() // the node of a test does not read to the end
		if err := s.Close(end); err != nil {
			t.Error(err)
		}
	})
	return s
}

// function is a template without anything to it.
type function string

func (f function) Key() any { return f }

func (f function) Template() *mobulav1.Template { return &mobulav1.Template{Name: string(f)} }

// submit submits a task and returns its results.
func submit(t testing.TB, s *session.Session, returns int) []session.Object {
	t.Helper()
	objects, err := s.Submit(nodetest.Context(t), &session.Submission{
		Template: function("f"), TaskID: s.NextID(), Args: value("args"), Returns: returns,
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return objects
}

// value is an encoded value of the session's: any text.
func value(text string) []byte {
	v := mobulav1.Value{Format: mobulav1.ValueFormat_VALUE_FORMAT_MSGPACK, Meta: []byte(text)}
	b, err := v.MarshalVT()
	if err != nil {
		panic(err)
	}
	return b
}

// text reads what value made, or the kind of an error value.
func text(t testing.TB, encoded []byte) string {
	t.Helper()
	var v mobulav1.Value
	if err := v.UnmarshalVT(encoded); err != nil {
		t.Fatal(err)
	}
	if v.GetFormat() == mobulav1.ValueFormat_VALUE_FORMAT_ERROR {
		return errorvalue.Decode(encoded).GetKind().String()
	}
	return string(v.GetMeta())
}

// await waits for an object and returns its text.
func await(t testing.TB, o *session.Object) string {
	t.Helper()
	encoded, err := o.Await(nodetest.Context(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	return text(t, encoded)
}

// counter counts what a Blocker is told.
type counter struct {
	mu             sync.Mutex // guards the fields below
	blocks, unblks int
}

func (c *counter) Block() { c.mu.Lock(); defer c.mu.Unlock(); c.blocks++ }

func (c *counter) Unblock() { c.mu.Lock(); defer c.mu.Unlock(); c.unblks++ }

func (c *counter) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return fmt.Sprintf("%d blocks, %d unblocks", c.blocks, c.unblks)
}

func TestASubmissionSaysWhatIsCalledOnceAndIsNumbered(t *testing.T) {
	t.Parallel()
	n, s := open(t)
	first, second := submit(t, s, 1), submit(t, s, 2)
	var tmpl mobulav1.Template
	if kind, payload := n.Next(mobulav1.FrameKind_FRAME_KIND_TEMPLATE); kind != mobulav1.FrameKind_FRAME_KIND_TEMPLATE || tmpl.UnmarshalVT(payload) != nil {
		t.Fatalf("the client sent %v first, want the template", kind)
	}
	for sequence := uint64(1); sequence <= 2; sequence++ {
		var m mobulav1.Submit
		if kind, payload := n.Next(mobulav1.FrameKind_FRAME_KIND_TEMPLATE); kind != mobulav1.FrameKind_FRAME_KIND_SUBMIT || m.UnmarshalVT(payload) != nil {
			t.Fatalf("the client sent %v, want a submission", kind)
		}
		if m.GetSequence() != sequence || m.GetTemplate() != tmpl.GetId() {
			t.Errorf("submission %d of template %d, want %d of %d", m.GetSequence(), m.GetTemplate(), sequence, tmpl.GetId())
		}
	}
	n.Send(mobulav1.FrameKind_FRAME_KIND_RESULT, &mobulav1.Result{Sequence: 2, Index: 1, Value: value("second b")})
	n.Send(mobulav1.FrameKind_FRAME_KIND_RESULT, &mobulav1.Result{Sequence: 1, Value: value("first")})
	n.Send(mobulav1.FrameKind_FRAME_KIND_RESULT, &mobulav1.Result{Sequence: 2, Value: value("second a")})
	got := []string{await(t, &first[0]), await(t, &second[0]), await(t, &second[1])}
	if want := []string{"first", "second a", "second b"}; !slices.Equal(got, want) {
		t.Errorf("results %q, want %q", got, want)
	}
}

func TestAValueThatWasNotPushedIsAskedForOnceByHoweverManyWaiters(t *testing.T) {
	t.Parallel()
	n, s := open(t)
	o := &submit(t, s, 1)[0]
	n.Receive(mobulav1.FrameKind_FRAME_KIND_SUBMIT, new(mobulav1.Submit))
	n.Send(mobulav1.FrameKind_FRAME_KIND_RESULT, &mobulav1.Result{Sequence: 1}) // ready, without its value
	if ready, err := s.Wait(nodetest.Context(t), []*session.Object{o}, 1, nil); ready != 1 || err != nil {
		t.Fatalf("%d ready (%v), want 1", ready, err)
	}
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if got := await(t, o); got != "here" {
				t.Errorf("got %q", got)
			}
		})
	}
	var m mobulav1.Get
	n.Receive(mobulav1.FrameKind_FRAME_KIND_GET, &m)
	if oid := o.ID(); m.GetReadyOnly() || string(m.GetObjectIds()) != string(oid[:]) {
		t.Errorf("the client asked for %v", &m)
	}
	n.Send(mobulav1.FrameKind_FRAME_KIND_RESULT, &mobulav1.Result{ObjectId: m.GetObjectIds(), Value: value("here")})
	all.Wait()
	if err := s.Cancel(o, false, false); err != nil {
		t.Fatal(err)
	}
	n.Receive(mobulav1.FrameKind_FRAME_KIND_CANCEL, new(mobulav1.Cancel)) // and not another Get
}

func TestARefInsideAValueIsAskedForByReadinessFirstAndThenByValue(t *testing.T) {
	t.Parallel()
	n, s := open(t)
	oid := s.NextID().Object(3)
	o := s.NewScope(nil).Object(oid)
	if o.Ready() {
		t.Error("a ref that nobody asked for is ready")
	}
	var all sync.WaitGroup
	all.Go(func() {
		if ready, err := s.Wait(nodetest.Context(t), []*session.Object{o}, 1, nil); ready != 1 || err != nil {
			t.Errorf("%d ready (%v), want 1", ready, err)
		}
	})
	var m mobulav1.Get
	n.Receive(mobulav1.FrameKind_FRAME_KIND_GET, &m)
	if !m.GetReadyOnly() || string(m.GetObjectIds()) != string(oid[:]) {
		t.Errorf("Wait asked for %v", &m)
	}
	all.Go(func() {
		if got := await(t, o); got != "inside" {
			t.Errorf("got %q", got)
		}
	})
	m.Reset()
	n.Receive(mobulav1.FrameKind_FRAME_KIND_GET, &m)
	if m.GetReadyOnly() {
		t.Error("Await asked for readiness only")
	}
	n.Send(mobulav1.FrameKind_FRAME_KIND_RESULT, &mobulav1.Result{ObjectId: oid[:]}) // the answer to the first question
	n.Send(mobulav1.FrameKind_FRAME_KIND_RESULT, &mobulav1.Result{ObjectId: oid[:], Value: value("inside")})
	all.Wait()
}

func TestAwaitGivesUpWithItsContextAndTheNextOneStillGetsTheValue(t *testing.T) {
	t.Parallel()
	n, s := open(t)
	o := &submit(t, s, 1)[0]
	gone, cancel := context.WithCancelCause(t.Context())
	why := errors.New("nobody wants it")
	cancel(why)
	var c counter
	for range 20 { // waiters that gave up are dropped
		if _, err := o.Await(gone, &c); !errors.Is(err, why) {
			t.Fatalf("Await: %v, want the cause", err)
		}
	}
	if c.String() != "20 blocks, 20 unblocks" {
		t.Errorf("the blocker was told of %v", &c)
	}
	n.Send(mobulav1.FrameKind_FRAME_KIND_RESULT, &mobulav1.Result{Sequence: 1, Value: value("late")})
	if got := await(t, o); got != "late" {
		t.Errorf("got %q", got)
	}
}

func TestARefusalIsATypedError(t *testing.T) {
	t.Parallel()
	n, nc := nodetest.Silent(t)
	n.Send(mobulav1.FrameKind_FRAME_KIND_REFUSED, &mobulav1.Refused{Error: &mobulav1.ErrorValue{
		Kind: mobulav1.ErrorKind_ERROR_KIND_STALE_STUBS, Message: "run go generate",
	}})
	_, err := session.Open(nodetest.Context(t), nc, session.Config{Hello: new(mobulav1.Hello)})
	if r, ok := errors.AsType[*session.RefusedError](err); !ok || r.Value.GetKind() != mobulav1.ErrorKind_ERROR_KIND_STALE_STUBS {
		t.Errorf("Open: %v, want a RefusedError with the node's reason", err)
	}
}

func TestAHandshakeThatGoesWrongIsAnError(t *testing.T) {
	t.Parallel()
	for name, say := range map[string]func(*nodetest.Node){
		"the node hangs up": (*nodetest.Node).Hangup,
		"another frame":     func(n *nodetest.Node) { n.Send(mobulav1.FrameKind_FRAME_KIND_CREDIT, new(mobulav1.Credit)) },
		"no job":            func(n *nodetest.Node) { n.Send(mobulav1.FrameKind_FRAME_KIND_WELCOME, new(mobulav1.Welcome)) },
		"a short root": func(n *nodetest.Node) {
			n.Send(mobulav1.FrameKind_FRAME_KIND_WELCOME, &mobulav1.Welcome{JobId: make([]byte, 16), IdRoot: []byte("7 bytes")})
		},
		"no message": func(n *nodetest.Node) {
			n.Write([]byte{1, 0, 0, 0, byte(mobulav1.FrameKind_FRAME_KIND_WELCOME), 0, 0, 0, 0xff})
		},
		"no refusal either": func(n *nodetest.Node) {
			n.Write([]byte{1, 0, 0, 0, byte(mobulav1.FrameKind_FRAME_KIND_REFUSED), 0, 0, 0, 0xff})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n, nc := nodetest.Silent(t)
			say(n)
			if s, err := session.Open(nodetest.Context(t), nc, session.Config{Hello: new(mobulav1.Hello)}); err == nil {
				t.Errorf("Open returned %v", s.Welcome())
			}
		})
	}
	t.Run("the node says nothing", func(t *testing.T) {
		t.Parallel()
		_, nc := nodetest.Silent(t)
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		if _, err := session.Open(ctx, nc, session.Config{Hello: new(mobulav1.Hello)}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Open: %v, want the deadline", err)
		}
	})
}

// end is a way for a session to end.
type end struct {
	name string
	do   func(t *testing.T, n *nodetest.Node, s *session.Session)
	want mobulav1.ErrorKind
}

// ends are all ways for a session to end.
var ends = []end{
	{"the node hangs up", func(_ *testing.T, n *nodetest.Node, _ *session.Session) { n.Hangup() }, mobulav1.ErrorKind_ERROR_KIND_NODE_LOST},
	{"the node says goodbye", func(_ *testing.T, n *nodetest.Node, _ *session.Session) {
		n.Send(mobulav1.FrameKind_FRAME_KIND_GOODBYE, &mobulav1.Goodbye{Reason: "shutting down"})
	}, mobulav1.ErrorKind_ERROR_KIND_NODE_LOST},
	{"the node sends garbage", func(_ *testing.T, n *nodetest.Node, _ *session.Session) {
		n.Send(mobulav1.FrameKind_FRAME_KIND_RESULT, &mobulav1.Result{Sequence: 99})
	}, mobulav1.ErrorKind_ERROR_KIND_NODE_LOST},
	{"the program closes it", func(t *testing.T, n *nodetest.Node, s *session.Session) {
		t.Helper()
		ended := n.Drain(func(kind mobulav1.FrameKind, _ []byte) {
			if kind == mobulav1.FrameKind_FRAME_KIND_GOODBYE {
				go n.Hangup() // as a node does when it has read everything
			}
		})
		if err := s.Close(nodetest.Context(t)); err != nil {
			t.Errorf("Close: %v", err)
		}
		<-ended
	}, mobulav1.ErrorKind_ERROR_KIND_SESSION_CLOSED},
}

// waiting starts everything that can wait for the node. It returns how each wait ended, by its name; the map may be read when the function
// that comes with it has returned.
func waiting(t *testing.T, s *session.Session, n *nodetest.Node) (outcomes map[string]any, wait func()) {
	t.Helper()
	outcomes = make(map[string]any)
	var mu sync.Mutex // guards outcomes
	var all sync.WaitGroup
	begin := func(name string, f func() any) {
		all.Go(func() {
			outcome := f()
			mu.Lock()
			defer mu.Unlock()
			outcomes[name] = outcome
		})
	}
	ctx := nodetest.Context(t)
	awaited := func(o *session.Object) func() any {
		return func() any {
			encoded, err := o.Await(ctx, nil)
			if err != nil {
				return err
			}
			return errorvalue.Decode(encoded).GetKind()
		}
	}
	results := submit(t, s, 2)
	begin("a result", awaited(&results[0]))
	begin("another result", awaited(&results[1]))
	begin("a ref inside a value", awaited(s.NewScope(nil).Object(s.NextID().Object(0))))
	begin("Wait", func() any {
		other := s.NewScope(nil).Object(s.NextID().Object(0))
		if k, err := s.Wait(ctx, []*session.Object{other, &results[1]}, 2, nil); k != 2 || err != nil {
			return fmt.Errorf("%d ready: %w", k, err)
		}
		return errorvalue.Decode(must(other.Await(ctx, nil))).GetKind()
	})
	begin("a query", func() any {
		r, err := s.Query(ctx, new(mobulav1.Query))
		if err != nil {
			return err
		}
		return r.GetError().GetKind()
	})
	begin("a put that waits for room", func() any {
		_, err := s.Store(ctx, 1<<20, func([]byte) error { return nil }, nil)
		if lost, ok := errors.AsType[*session.LostError](err); ok {
			return lost.Value.GetKind()
		}
		return err
	})
	begin("a submission that waits for credit", func() any {
		_, err := s.Submit(ctx, &session.Submission{Template: function("g"), TaskID: s.NextID(), Args: make([]byte, nodetest.WindowBytes)}, nil)
		if lost, ok := errors.AsType[*session.LostError](err); ok {
			return lost.Value.GetKind()
		}
		return err
	})
	seen := map[mobulav1.FrameKind]int{mobulav1.FrameKind_FRAME_KIND_SUBMIT: 1, mobulav1.FrameKind_FRAME_KIND_GET: 2,
		mobulav1.FrameKind_FRAME_KIND_QUERY: 1, mobulav1.FrameKind_FRAME_KIND_GRANT_REQUEST: 1}
	for len(seen) > 0 { // everything is under way
		kind, _ := n.Next()
		if seen[kind]--; seen[kind] == 0 {
			delete(seen, kind)
		}
	}
	return outcomes, all.Wait
}

func must(encoded []byte, err error) []byte {
	if err != nil {
		return errorvalue.Encode(&mobulav1.ErrorValue{Message: err.Error()})
	}
	return encoded
}

func TestEndOfASessionResolvesEverythingWithItsKind(t *testing.T) {
	t.Parallel()
	for _, e := range ends {
		t.Run(e.name, func(t *testing.T) {
			t.Parallel()
			n, s := open(t)
			unasked := &submit(t, s, 1)[0]
			n.Receive(mobulav1.FrameKind_FRAME_KIND_SUBMIT, new(mobulav1.Submit))
			outcomes, wait := waiting(t, s, n)
			e.do(t, n, s)
			wait()
			for name, got := range outcomes {
				if got != e.want {
					t.Errorf("%s ended with %v, want %v", name, got, e.want)
				}
			}
			<-s.Done()
			if got := await(t, unasked); !unasked.Ready() || got != e.want.String() {
				t.Errorf("a result that nobody waited for is %v, want %v", got, e.want)
			}
			refused(t, s, e.want)
		})
	}
}

// refused checks that a session that has ended takes nothing more and never makes anybody wait.
func refused(t *testing.T, s *session.Session, want mobulav1.ErrorKind) {
	t.Helper()
	ctx := nodetest.Context(t)
	_, submitted := s.Submit(ctx, &session.Submission{Template: function("f"), TaskID: s.NextID()}, nil)
	_, put := s.Put(ctx, s.NextID(), value("x"), nil)
	_, asked := s.Query(ctx, new(mobulav1.Query))
	_, stored := s.Store(ctx, 1<<20, func([]byte) error { return nil }, nil)
	for name, err := range map[string]error{"Submit": submitted, "Put": put, "Query": asked, "Store": stored} {
		if lost, ok := errors.AsType[*session.LostError](err); !ok || lost.Value.GetKind() != want {
			t.Errorf("%s: %v, want a LostError of kind %v", name, err, want)
		}
	}
	late := s.NewScope(nil).Object(s.NextID().Object(0))
	if got := await(t, late); got != want.String() {
		t.Errorf("a ref that was never asked for is %v, want %v", got, want)
	}
	if k, err := s.Wait(ctx, []*session.Object{s.NewScope(nil).Object(s.NextID().Object(0))}, 1, nil); k != 1 || err != nil {
		t.Errorf("Wait: %d ready (%v), want 1", k, err)
	}
	if s.Err() == nil {
		t.Error("Err is nil after the end")
	}
}

func TestWaitCountsWhatIsReady(t *testing.T) {
	t.Parallel()
	n, s := open(t)
	a, b, c := &submit(t, s, 1)[0], &submit(t, s, 1)[0], &submit(t, s, 1)[0]
	all := []*session.Object{a, b, c}
	short := func() context.Context {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		t.Cleanup(cancel)
		return ctx
	}
	wait := func(ctx context.Context, objects []*session.Object, k, want int, wantErr error) {
		t.Helper()
		if got, err := s.Wait(ctx, objects, k, nil); got != want || !errors.Is(err, wantErr) {
			t.Errorf("Wait for %d of %d: %d ready (%v), want %d (%v)", k, len(objects), got, err, want, wantErr)
		}
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	wait(ended, all, 0, 0, nil) // none are wanted: that many are ready
	wait(ended, nil, 0, 0, nil)
	wait(ended, all, 1, 0, context.Canceled)
	wait(short(), all, 1, 0, context.DeadlineExceeded)
	n.Send(mobulav1.FrameKind_FRAME_KIND_RESULT, &mobulav1.Result{Sequence: 2, Value: value("b")})
	wait(nodetest.Context(t), all, 1, 1, nil)
	wait(ended, all, 1, 1, nil)
	wait(short(), all, 2, 1, context.DeadlineExceeded)
	wait(ended, []*session.Object{b, b, b}, 3, 3, nil)
	n.Send(mobulav1.FrameKind_FRAME_KIND_RESULT, &mobulav1.Result{Sequence: 1}) // ready, not here
	wait(nodetest.Context(t), []*session.Object{a, c, a}, 2, 2, nil)
	n.Send(mobulav1.FrameKind_FRAME_KIND_RESULT, &mobulav1.Result{
		Sequence: 3, Value: errorvalue.Encode(&mobulav1.ErrorValue{Kind: mobulav1.ErrorKind_ERROR_KIND_TASK_FAILED}),
	})
	wait(nodetest.Context(t), append(all, all...), 6, 6, nil) // a failure is ready too
}

func TestQueriesAreAnsweredByTheirNumbers(t *testing.T) {
	t.Parallel()
	n, s := open(t)
	var all sync.WaitGroup
	for i := range 10 {
		all.Go(func() {
			r, err := s.Query(nodetest.Context(t), &mobulav1.Query{Kind: &mobulav1.Query_GetActor{GetActor: &mobulav1.GetActor{Name: fmt.Sprint(i)}}})
			if err != nil || r.GetText() != fmt.Sprint(i) {
				t.Errorf("query %d: %q (%v)", i, r.GetText(), err)
			}
		})
	}
	queries := make([]mobulav1.Query, 10)
	for i := range queries {
		n.Receive(mobulav1.FrameKind_FRAME_KIND_QUERY, &queries[i])
	}
	for i := range queries { // in an order of their own
		q := &queries[(i+5)%10]
		n.Send(mobulav1.FrameKind_FRAME_KIND_REPLY, &mobulav1.Reply{Id: q.GetId(), Text: q.GetGetActor().GetName()})
	}
	all.Wait()
	given, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Query(given, new(mobulav1.Query)); !errors.Is(err, context.Canceled) {
		t.Errorf("Query: %v, want its context's end", err)
	}
	var q mobulav1.Query
	n.Receive(mobulav1.FrameKind_FRAME_KIND_QUERY, &q)
	n.Send(mobulav1.FrameKind_FRAME_KIND_REPLY, &mobulav1.Reply{Id: q.GetId()}) // an answer for nobody
	o := &submit(t, s, 1)[0]
	n.Send(mobulav1.FrameKind_FRAME_KIND_RESULT, &mobulav1.Result{Sequence: 1, Value: value("goes on")})
	if got := await(t, o); got != "goes on" {
		t.Errorf("got %q", got)
	}
}

func TestNoticesAndWorkerFramesGoWhereTheyBelong(t *testing.T) {
	t.Parallel()
	n, nc := nodetest.New(t)
	notices := make(chan *mobulav1.Notice, 1)
	frames := make(handler, 1)
	openOn(t, nc, session.Config{Notice: func(m *mobulav1.Notice) { notices <- m }, Worker: frames})
	n.Send(mobulav1.FrameKind_FRAME_KIND_NOTICE, &mobulav1.Notice{Lines: []string{"hello"}})
	n.Send(mobulav1.FrameKind_FRAME_KIND_REVOKE, &mobulav1.Revoke{Lane: 3})
	if m := <-notices; len(m.GetLines()) != 1 {
		t.Errorf("notice %v", m)
	}
	if kind := <-frames; kind != mobulav1.FrameKind_FRAME_KIND_REVOKE {
		t.Errorf("the worker got %v", kind)
	}
}

// handler is a worker that notes what it gets.
type handler chan mobulav1.FrameKind

func (h handler) Frame(kind mobulav1.FrameKind, _ []byte) error { h <- kind; return nil }

func TestWhatTheNodeMustNotSendEndsTheSession(t *testing.T) {
	t.Parallel()
	frame := func(kind mobulav1.FrameKind, m wire.Message) func(*nodetest.Node) {
		return func(n *nodetest.Node) { n.Send(kind, m) }
	}
	raw := func(b ...byte) func(*nodetest.Node) { return func(n *nodetest.Node) { n.Write(b) } }
	for name, say := range map[string]func(*nodetest.Node){
		"a kind that does not exist": raw(0, 0, 0, 0, 0xff, 0xff, 0, 0),
		"no kind":                    raw(0, 0, 0, 0, 0, 0, 0, 0),
		"a header that is not zero":  raw(0, 0, 0, 0, byte(mobulav1.FrameKind_FRAME_KIND_RESULT), 0, 1, 0),
		"a payload that is too long": raw(1, 0, 0x10, 0, byte(mobulav1.FrameKind_FRAME_KIND_RESULT), 0, 0, 0),
		"no message":                 raw(1, 0, 0, 0, byte(mobulav1.FrameKind_FRAME_KIND_RESULT), 0, 0, 0, 0xff),
		"half a frame": func(n *nodetest.Node) {
			n.Write([]byte{9, 0, 0, 0, byte(mobulav1.FrameKind_FRAME_KIND_RESULT)})
			n.Hangup()
		},
		"what is for workers":                frame(mobulav1.FrameKind_FRAME_KIND_EXECUTE, new(mobulav1.Execute)),
		"what is for nodes":                  frame(mobulav1.FrameKind_FRAME_KIND_SUBMIT, new(mobulav1.Submit)),
		"a second welcome":                   frame(mobulav1.FrameKind_FRAME_KIND_WELCOME, new(mobulav1.Welcome)),
		"a result of no submission":          frame(mobulav1.FrameKind_FRAME_KIND_RESULT, &mobulav1.Result{Sequence: 2}),
		"a result that a task does not have": frame(mobulav1.FrameKind_FRAME_KIND_RESULT, &mobulav1.Result{Sequence: 1, Index: 1}),
		"an answer about half an object":     frame(mobulav1.FrameKind_FRAME_KIND_RESULT, &mobulav1.Result{ObjectId: make([]byte, 19)}),
		"a segment without its descriptor":   frame(mobulav1.FrameKind_FRAME_KIND_SEGMENT, &mobulav1.Segment{Segment: 1, Size: 1 << 20}),
		"room that was not taken is freed":   frame(mobulav1.FrameKind_FRAME_KIND_FREED, &mobulav1.Freed{Blocks: []*mobulav1.Block{{Segment: 1, Size: 64}}}),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n, s := open(t)
			o := &submit(t, s, 1)[0]
			say(n)
			if got := await(t, o); got != mobulav1.ErrorKind_ERROR_KIND_NODE_LOST.String() {
				t.Errorf("the result is %q, want NODE_LOST", got)
			}
		})
	}
}

func TestIDsOfASessionAreItsRootAndACounter(t *testing.T) {
	t.Parallel()
	_, s := open(t)
	seen := make(map[id.Task]bool)
	for range 1000 {
		x := s.NextID()
		if string(x[:8]) != "nodetest" || seen[x] {
			t.Fatalf("id %v", x)
		}
		seen[x] = true
	}
	last := s.NextID()
	if last[14] != 1001>>8 || last[15] != 1001&0xff {
		t.Errorf("the counter is not big-endian: %v", last)
	}
}
