package core

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"

	"github.com/mobula-dev/mobula/clients/go/mobula/internal/codec"
	"github.com/mobula-dev/mobula/clients/go/mobula/internal/nodetest"
	"github.com/mobula-dev/mobula/clients/go/mobula/internal/session"
	"github.com/mobula-dev/mobula/internal/id"
)

func TestCallsOfATaskThatMayRunAgainHaveTheSameIDs(t *testing.T) {
	t.Parallel()
	attempt := func(number uint32, may bool, args ...int) (ids []id.Task) {
		_, rt := runtimeOn(t)
		ctx := WithTask(t.Context(), rt, &Task{ID: id.Task{9}, Attempt: number, MayRunAgain: may})
		for _, arg := range args {
			c := Begin(ctx, work, 1, nil)
			Arg(c, arg)
			objects, err := c.Submit()
			if err != nil {
				t.Fatal(err)
			}
			ids = append(ids, objects[0].ID().Task())
		}
		return ids
	}
	first, again := attempt(1, true, 1, 1, 2), attempt(2, true, 2, 1, 1) // goroutines submit in any order
	if first[0] != again[1] || first[1] != again[2] || first[2] != again[0] {
		t.Errorf("calls had the ids %v and then %v", first, again)
	}
	if first[0] == first[1] || first[0] == first[2] {
		t.Errorf("different calls have one id: %v", first)
	}
	if once := attempt(1, false, 1); once[0] == first[0] {
		t.Error("a task that runs once has ids to join")
	}
}

func TestAnArgumentThatIsLargeBecomesAnObject(t *testing.T) {
	t.Parallel()
	n, rt := runtimeOn(t)
	ctx := WithRuntime(t.Context(), rt)
	submitted := make(chan error, 1)
	go func() {
		c := Begin(ctx, work, 3, nil)
		Arg(c, "small")
		Arg(c, make([]byte, inlineMax+1))
		Arg(c, "also small")
		_, err := c.Submit()
		submitted <- err
	}()
	var r mobulav1.GrantRequest
	n.Receive(mobulav1.FrameKind_FRAME_KIND_GRANT_REQUEST, &r)
	n.Send(mobulav1.FrameKind_FRAME_KIND_GRANT, &mobulav1.Grant{Id: r.GetId(), Segment: 1, Bytes: 4 << 20})
	n.Receive(mobulav1.FrameKind_FRAME_KIND_SEGMENT, new(mobulav1.Segment))
	var p mobulav1.Put
	n.Receive(mobulav1.FrameKind_FRAME_KIND_PUT, &p)
	var m mobulav1.Submit
	n.Receive(mobulav1.FrameKind_FRAME_KIND_SUBMIT, &m)
	if err := <-submitted; err != nil {
		t.Fatal(err)
	}
	if len(m.GetRefArgs()) != 1 || m.GetRefArgs()[0].GetPosition() != 1 || !bytes.Equal(m.GetRefArgs()[0].GetObjectId(), p.GetObjectId()) {
		t.Errorf("the call's refs are %v, want what was put at position 1", m.GetRefArgs())
	}
	if len(m.GetArgs()) > 100 {
		t.Errorf("the arguments have %d bytes inline", len(m.GetArgs()))
	}
}

// TestALargeArgumentThatIsNotSentTakesNoRoom puts more than the granted segment holds, and none of it reaches the node.
func TestALargeArgumentThatIsNotSentTakesNoRoom(t *testing.T) {
	t.Parallel()
	n, rt := runtimeOn(t, func(w *mobulav1.Welcome) { w.CreditCount = 0 })
	put := func() error {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		_, err := Put(ctx, rt, make([]byte, 1<<20))
		return err
	}
	n.Send(mobulav1.FrameKind_FRAME_KIND_GRANT, &mobulav1.Grant{Id: 1, Segment: 1, Bytes: 4 << 20}) // before it is asked for: given back
	var gone mobulav1.SegmentGone
	n.Receive(mobulav1.FrameKind_FRAME_KIND_SEGMENT_GONE, &gone)
	granted := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		b, err := rt.Session.Store(ctx, 1<<20, func([]byte) error { return nil }, nil)
		granted <- errors.Join(err, rt.Session.Discard(b))
	}()
	var r mobulav1.GrantRequest
	n.Receive(mobulav1.FrameKind_FRAME_KIND_GRANT_REQUEST, &r)
	n.Send(mobulav1.FrameKind_FRAME_KIND_GRANT, &mobulav1.Grant{Id: r.GetId(), Segment: 1, Bytes: 4 << 20})
	if err := <-granted; err != nil {
		t.Fatal(err)
	}
	for range 10 {
		if err := put(); !errors.Is(err, session.ErrQueueFull) {
			t.Fatalf("put: %v, want ErrQueueFull", err)
		}
	}
}

func TestAMistakeInACallIsItsErrorAndNamesTheArgument(t *testing.T) {
	t.Parallel()
	_, rt := runtimeOn(t)
	_, other := runtimeOn(t)
	ctx := WithRuntime(t.Context(), rt)
	foreign := other.Session.Held(id.Task{1}.Object(0))
	for name, c := range map[string]struct {
		call func() *Call
		want string
	}{
		"a channel":          {func() *Call { c := Begin(ctx, work, 1, nil); Arg(c, make(chan int)); return c }, "argument x of coretest.Work"},
		"no ref":             {func() *Call { c := Begin(ctx, work, 1, nil); c.ArgObject(nil); return c }, "argument x of coretest.Work: the ref is empty"},
		"another's ref":      {func() *Call { c := Begin(ctx, work, 1, nil); c.ArgObject(foreign); return c }, "belongs to another session"},
		"too many arguments": {func() *Call { return Begin(ctx, work, argsMax+1, nil) }, "the most is 10000"},
		"no actor":           {func() *Call { return BeginMethod(ctx, nil, work, 0, nil) }, "the actor handle is empty"},
		"another's actor":    {func() *Call { return BeginMethod(ctx, &session.Actor{Object: foreign}, work, 0, nil) }, "belongs to another session"},
		"an option": {func() *Call {
			return Begin(ctx, work, 0, []Option{{Apply: func(*mobulav1.Options) error { return errClosed }}})
		}, errClosed.Error()},
		"the first one of two": {func() *Call { c := Begin(ctx, work, 1, nil); c.Fail(errClosed); c.Fail(errors.New("second")); return c }, errClosed.Error()},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := c.call().Submit(); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("Submit: %v, want %q", err, c.want)
			}
		})
	}
}

func TestAGetThatIsGivenUpSaysThatTheTaskGoesOn(t *testing.T) {
	t.Parallel()
	_, rt := runtimeOn(t)
	ctx := WithRuntime(t.Context(), rt)
	o := begin(ctx, t)
	short, cancel := context.WithTimeout(ctx, 10*time.Millisecond)
	defer cancel()
	_, err := Get[int](short, rt, o)
	e, ok := errors.AsType[*Error](err)
	if !ok || e.Value.GetKind() != mobulav1.ErrorKind_ERROR_KIND_DEADLINE_EXCEEDED || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Get: %v", err)
	}
}

func TestAValueOfAnotherTypeIsAnErrorOfItsOwn(t *testing.T) {
	t.Parallel()
	n, rt := runtimeOn(t)
	o := begin(WithRuntime(t.Context(), rt), t)
	var e codec.Encoder
	if err := codec.Encode(&e, "text"); err != nil {
		t.Fatal(err)
	}
	v := mobulav1.Value{Format: mobulav1.ValueFormat_VALUE_FORMAT_MSGPACK, Meta: e.Finish().Meta}
	b, err := v.MarshalVT()
	if err != nil {
		t.Fatal(err)
	}
	n.Send(mobulav1.FrameKind_FRAME_KIND_RESULT, &mobulav1.Result{Sequence: 1, Value: b})
	if got, err := Get[string](nodetest.Context(t), rt, o); got != "text" || err != nil {
		t.Errorf("got %q (%v)", got, err)
	}
	_, err = Get[int](nodetest.Context(t), rt, o)
	if bad, ok := errors.AsType[*Error](err); !ok || bad.Value.GetKind() != mobulav1.ErrorKind_ERROR_KIND_BAD_VALUE || !IsBadValue(err) {
		t.Errorf("Get of an int: %v", err)
	}
}

// FuzzValue opens what a node may send as a value.
func FuzzValue(f *testing.F) {
	_, rt := runtimeOn(f)
	for _, v := range []*mobulav1.Value{
		{Format: mobulav1.ValueFormat_VALUE_FORMAT_MSGPACK, Meta: []byte{0x93, 1, 2, 3}},
		{Format: mobulav1.ValueFormat_VALUE_FORMAT_MSGPACK, Block: &mobulav1.Block{Segment: 1, Offset: 64, Size: 1 << 40}},
		{Format: mobulav1.ValueFormat_VALUE_FORMAT_ERROR, Meta: []byte{0x12, 1, 'x'}},
		{Format: 99}, {},
	} {
		b, err := v.MarshalVT()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(_ *testing.T, b []byte) {
		o, err := rt.Open(b)
		if err != nil {
			return
		}
		defer o.Release()
		_, _ = decode[any](o.Encoded, codec.Options{})                  // it decodes or it does not
		_, _ = decode[map[string][]float64](o.Encoded, codec.Options{}) // as above
	})
}
