package core

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"sync"
	"time"

	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"

	"github.com/mobula-dev/mobula/clients/go/mobula/internal/codec"
	"github.com/mobula-dev/mobula/clients/go/mobula/internal/session"
	"github.com/mobula-dev/mobula/internal/telemetry"
)

// inlineMax is the longest argument list or value that goes inline; longer ones go through the object store.
const inlineMax = 100 << 10

// argsMax is the most arguments of a call.
const argsMax = 10_000

// Call is one call under construction: begun, given its arguments in order, submitted.
type Call struct {
	ctx   context.Context
	rt    *Runtime
	task  *Task
	f     *Func
	tmpl  *template
	enc   *codec.Encoder
	refs  []session.RefArg
	keep  []*session.Object // objects that large arguments became
	actor *session.Actor
	at    int // next argument
	err   error
}

var encoders = sync.Pool{New: func() any { return new(codec.Encoder) }}

// Begin starts a call of f with that many arguments.
func Begin(ctx context.Context, f *Func, args int, options []Option) *Call {
	c := &Call{ctx: ctx, f: f}
	c.rt, c.task = From(ctx)
	if c.rt == nil {
		c.err = ErrNoRuntime
		return c
	}
	if c.tmpl, c.err = templateOf(f, options); c.err != nil {
		return c
	}
	if args > argsMax {
		c.err = fmt.Errorf("%s: %d arguments; the most is %d", f.Name, args, argsMax)
		return c
	}
	c.enc, _ = encoders.Get().(*codec.Encoder)
	c.enc.Reset()
	c.enc.BeginArray(args)
	return c
}

// BeginMethod starts a call of a method of the actor.
func BeginMethod(ctx context.Context, a *session.Actor, f *Func, args int, options []Option) *Call {
	c := Begin(ctx, f, args, options)
	switch {
	case c.err != nil:
	case a == nil:
		c.err = errors.New("the actor handle is empty: it was not made by a constructor's stub or got from a value")
	case a.Object.Session() != c.rt.Session:
		c.err = errors.New("the actor handle belongs to another session")
	default:
		c.actor = a
	}
	return c
}

// Arg appends a value.
func Arg[T any](c *Call, v T) {
	if c.err != nil {
		return
	}
	mark := c.enc.Mark()
	if err := codec.Encode(c.enc, v); err != nil {
		c.err = fmt.Errorf("argument %s of %s: %w", c.param(), c.f.Name, err)
		return
	}
	if c.enc.Since(mark) > inlineMax {
		c.enc.Rewind(mark)
		c.large(func(e *codec.Encoder) error { return codec.Encode(e, v) })
		return
	}
	c.at++
}

// large makes an object of an argument that is too large to go inline.
func (c *Call) large(encode func(*codec.Encoder) error) {
	o, err := c.rt.put(c.ctx, encode)
	if err != nil {
		c.err = fmt.Errorf("argument %s of %s: %w", c.param(), c.f.Name, err)
		return
	}
	c.keep = append(c.keep, o)
	c.ArgObject(o)
}

// ArgObject appends a ref: the runtime waits for it and hands its value on.
func (c *Call) ArgObject(o *session.Object) {
	switch {
	case c.err != nil:
		return
	case o == nil:
		c.err = fmt.Errorf("argument %s of %s: the ref is empty", c.param(), c.f.Name)
		return
	case o.Session() != c.rt.Session:
		c.err = fmt.Errorf("argument %s of %s: the ref belongs to another session", c.param(), c.f.Name)
		return
	}
	c.enc.Nil()
	c.refs = append(c.refs, session.RefArg{Position: c.at, Object: o})
	c.at++
}

// Fail makes the call fail with err.
func (c *Call) Fail(err error) {
	if c.err == nil {
		c.err = err
	}
}

// param names the argument that is being appended.
func (c *Call) param() string {
	if c.at < len(c.f.Params) {
		return c.f.Params[c.at]
	}
	return fmt.Sprintf("%d", c.at)
}

// values are reused to encode the Value message around the arguments.
var values = sync.Pool{New: func() any { return new(valueBuffer) }}

type valueBuffer struct {
	message mobulav1.Value
	bytes   []byte
}

// encode makes the encoded Value of what the encoder has.
func (b *valueBuffer) encode(e codec.Encoded) ([]byte, error) {
	b.message = mobulav1.Value{
		Format: mobulav1.ValueFormat_VALUE_FORMAT_MSGPACK, Meta: e.Meta, Buffers: e.Buffers, Refs: e.Refs,
	}
	size := b.message.SizeVT()
	if cap(b.bytes) < size {
		b.bytes = make([]byte, size)
	}
	b.bytes = b.bytes[:size]
	_, err := b.message.MarshalToSizedBufferVT(b.bytes)
	return b.bytes, err
}

// Submit sends the call and returns the handles of its results.
func (c *Call) Submit() ([]session.Object, error) {
	if c.enc != nil {
		defer encoders.Put(c.enc)
	}
	if c.err != nil {
		return nil, c.err
	}
	b, _ := values.Get().(*valueBuffer)
	defer values.Put(b)
	args, err := b.encode(c.enc.Finish())
	if err != nil {
		return nil, fmt.Errorf("encode arguments of %s: %w", c.f.Name, err)
	}
	sub := session.Submission{Template: c.tmpl, Args: args, Refs: c.refs, Actor: c.actor, Returns: c.f.Returns}
	if c.task == nil {
		sub.TaskID = c.rt.Session.NextID()
	} else {
		sub.Parent = c.task.Handle
		if c.task.MayRunAgain {
			sub.TaskID = c.task.child(c.f, args, c.refs, c.f.Kind == mobulav1.TemplateKind_TEMPLATE_KIND_FUNCTION)
		} else {
			sub.TaskID = c.rt.Session.NextID()
		}
	}
	if deadline, ok := c.ctx.Deadline(); ok {
		if sub.Timeout = time.Until(deadline); sub.Timeout <= 0 {
			return nil, context.DeadlineExceeded
		}
	}
	if err := context.Cause(c.ctx); err != nil && !errors.Is(err, ErrReturned) {
		return nil, err
	}
	var pcs [1]uintptr
	if runtime.Callers(4, pcs[:]) == 1 {
		sub.CallerPC = pcs[0]
	}
	ctx, span := c.ctx, telemetry.Active{}
	if c.rt.Tracer.Enabled() {
		ctx, span = c.rt.Tracer.Start(ctx, telemetry.Submit, telemetry.Attributes{
			Function: c.f.Name, Name: c.tmpl.options.GetName(), Task: sub.TaskID, CallSite: callSite(pcs[0]),
		})
	}
	sub.Traceparent, sub.Tracestate = telemetry.Inject(ctx)
	objects, err := c.rt.Session.Submit(c.ctx, &sub, Blocker(c.ctx, c.rt))
	span.End(err)
	runtime.KeepAlive(c)
	if err == nil && c.ctx.Done() != nil {
		c.rt.watch.add(c.ctx, &objects[0])
	}
	return objects, err
}

// callSite is the place of a call for its span.
func callSite(pc uintptr) string {
	if pc == 0 {
		return ""
	}
	frame, _ := runtime.CallersFrames([]uintptr{pc}).Next()
	return frame.File + ":" + strconv.Itoa(frame.Line)
}
