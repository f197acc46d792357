package core

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"

	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"

	"github.com/mobula-dev/mobula/clients/go/mobula/internal/codec"
	"github.com/mobula-dev/mobula/clients/go/mobula/internal/session"
	"github.com/mobula-dev/mobula/internal/id"
	"github.com/mobula-dev/mobula/internal/segment"
)

// Put makes an object of a value.
func Put[T any](ctx context.Context, rt *Runtime, v T) (*session.Object, error) {
	return rt.put(ctx, func(e *codec.Encoder) error { return codec.Encode(e, v) })
}

func (rt *Runtime) put(ctx context.Context, encode func(*codec.Encoder) error) (*session.Object, error) {
	e, _ := encoders.Get().(*codec.Encoder)
	defer encoders.Put(e)
	e.Reset()
	if err := encode(e); err != nil {
		return nil, err
	}
	encoded, err := rt.seal(ctx, e.Finish())
	if err != nil {
		return nil, err
	}
	o, err := rt.Session.Put(ctx, rt.Session.NextID(), encoded, Blocker(ctx, rt))
	if err != nil {
		return nil, errors.Join(err, rt.discard(encoded))
	}
	return o, nil
}

// discard gives back what seal took for a value that is not sent after all.
func (rt *Runtime) discard(encoded []byte) error {
	var m mobulav1.Value
	if err := m.UnmarshalVTUnsafe(encoded); err != nil || m.GetBlock() == nil {
		return err
	}
	return rt.Session.Discard(m.GetBlock())
}

// seal makes an encoded Value, in the object store when it is long. The result is the caller's to keep.
func (rt *Runtime) seal(ctx context.Context, e codec.Encoded) ([]byte, error) {
	m := mobulav1.Value{Format: mobulav1.ValueFormat_VALUE_FORMAT_MSGPACK, Refs: e.Refs}
	if e.Size()-len(e.Refs) <= inlineMax {
		m.Meta, m.Buffers = e.Meta, e.Buffers
	} else {
		block, err := rt.Session.Store(ctx, codec.StoredSize(e), func(dst []byte) error { return codec.WriteStoredWith(dst, e, copyInto) }, Blocker(ctx, rt))
		if full, ok := errors.AsType[*session.GrantError](err); ok {
			return nil, FromValue(full.Value)
		}
		if err != nil {
			return nil, err
		}
		m.Block = block
	}
	return m.MarshalVT()
}

// copyInto copies large buffers with as many CPUs as help.
func copyInto(dst, src []byte) { segment.CopyInto(dst, src) }

// Opened is an encoded value that can be decoded. A stored one is mapped until Release.
type Opened struct {
	codec.Encoded
	view segment.View
}

// Release ends the use of the value's memory.
func (o *Opened) Release() {
	if err := o.view.Release(); err != nil {
		Warn("unmap shared memory: " + err.Error())
	}
	o.view = segment.View{}
}

// Open returns the codec's view of an encoded Value, or the error that the value is.
func (rt *Runtime) Open(encoded []byte) (Opened, error) {
	var m mobulav1.Value
	if err := m.UnmarshalVTUnsafe(encoded); err != nil {
		return Opened{}, fmt.Errorf("read value: %w", err)
	}
	switch m.GetFormat() {
	case mobulav1.ValueFormat_VALUE_FORMAT_ERROR:
		e := new(mobulav1.ErrorValue)
		if err := e.UnmarshalVT(m.GetMeta()); err != nil {
			return Opened{}, fmt.Errorf("read error value: %w", err)
		}
		return Opened{}, FromValue(e)
	case mobulav1.ValueFormat_VALUE_FORMAT_MSGPACK:
	default:
		return Opened{}, badValue(errPickled)
	}
	b := m.GetBlock()
	if b == nil {
		return Opened{Encoded: codec.Encoded{Meta: m.GetMeta(), Buffers: m.GetBuffers(), Refs: m.GetRefs()}}, nil
	}
	view, err := rt.Session.Mapped(b)
	if err != nil {
		return Opened{}, err
	}
	o := Opened{view: view}
	if o.Encoded, err = codec.OpenStored(view.Bytes()); err != nil {
		o.Release()
		return Opened{}, fmt.Errorf("read stored value: %w", err)
	}
	o.Refs = m.GetRefs() // the node's list counts: it is what the holds are on
	return o, nil
}

// errPickled is the error of a value of which only Python knows the form.
var errPickled = errors.New("the value cannot be read here: it is pickled, and only Python opens pickles; in Python, make it with" +
	" put(value, portable=True) or in a task with the option portable=True")

// RefSource makes handles for the refs inside one value.
type RefSource struct {
	RT    *Runtime
	Scope *session.Scope
}

// Object returns the handle of a ref.
func (s *RefSource) Object(oid id.Object) *session.Object { return s.Scope.Object(oid) }

// Get waits for an object and decodes a copy of its value.
func Get[T any](ctx context.Context, rt *Runtime, o *session.Object) (T, error) {
	var v T
	err := use(ctx, rt, o, func(e codec.Encoded, refs codec.RefSource) error {
		var err error
		v, err = decode[T](e, codec.Options{Refs: refs})
		return err
	})
	return v, err
}

// View waits for an object and calls f with a view of its value.
func View[T any](ctx context.Context, rt *Runtime, o *session.Object, f func(T) error) error {
	return use(ctx, rt, o, func(e codec.Encoded, refs codec.RefSource) error {
		v, err := decode[T](e, codec.Options{Refs: refs, View: true})
		if err != nil {
			return err
		}
		return f(v)
	})
}

// use waits for an object and calls f with its value, which is not valid any more when f has returned.
func use(ctx context.Context, rt *Runtime, o *session.Object, f func(codec.Encoded, codec.RefSource) error) error {
	encoded, err := o.Await(ctx, Blocker(ctx, rt))
	if err != nil {
		return waitError(err)
	}
	e, err := rt.Open(encoded)
	if err != nil {
		return err
	}
	defer e.Release()
	var refs codec.RefSource
	if len(e.Refs) > 0 {
		refs = &RefSource{RT: rt, Scope: rt.Session.NewScope(o)}
	}
	err = f(e.Encoded, refs)
	runtime.KeepAlive(o) // the handle holds what f reads
	return err
}

// decoders are reused: they are too large for the stack of every get.
var decoders = sync.Pool{New: func() any { return new(codec.Decoder) }}

func decode[T any](e codec.Encoded, o codec.Options) (T, error) {
	d, _ := decoders.Get().(*codec.Decoder)
	defer decoders.Put(d)
	d.Reset(e, o)
	v, err := codec.Decode[T](d)
	if err != nil {
		var zero T
		return zero, badValue(err)
	}
	return v, nil
}

// waitError makes the error of a get whose context ended say so in the runtime's terms; errors.Is finds the context's cause.
func waitError(err error) error {
	kind := mobulav1.ErrorKind_ERROR_KIND_CANCELLED
	message := "the wait for the result was cancelled by the caller's context; the task goes on"
	if errors.Is(err, context.DeadlineExceeded) {
		kind = mobulav1.ErrorKind_ERROR_KIND_DEADLINE_EXCEEDED
		message = "the caller's deadline passed before the result came; the task goes on"
	}
	return &Error{Value: &mobulav1.ErrorValue{Kind: kind, Message: message}, Cause: err}
}

// badValue is the error of a value that is not what the caller wants.
func badValue(err error) error {
	return &Error{Value: &mobulav1.ErrorValue{Kind: mobulav1.ErrorKind_ERROR_KIND_BAD_VALUE, Message: err.Error()}, Cause: err}
}

// Args are the arguments of a running call, read in order.
type Args struct {
	rt       *Runtime
	dec      codec.Decoder
	options  codec.Options
	resolved []*mobulav1.ResolvedArg
	opened   []Opened // the arguments, and those that were refs, in order
	count    int
	at       int
	params   []string
	err      error
}

// NewArgs opens the arguments of an Execute frame. Refs inside belong to the returned scope, which is nil when there are none. Close ends
// the use of the arguments' memory.
func NewArgs(rt *Runtime, f *Func, m *mobulav1.Execute) (*Args, *session.Scope, error) {
	in := &Args{rt: rt, resolved: m.GetResolved(), params: f.Params}
	var inside []byte
	open := func(encoded []byte) error {
		o, err := rt.Open(encoded)
		if err == nil {
			in.opened = append(in.opened, o)
			inside = append(inside, o.Refs...)
		}
		return err
	}
	err := open(m.GetArgs())
	for _, r := range in.resolved {
		if err == nil {
			err = open(r.GetValue())
		}
	}
	if err != nil {
		in.Close()
		return nil, nil, err
	}
	in.options.View = true
	var sc *session.Scope
	if len(inside) > 0 {
		sc = rt.Session.NewTaskScope(inside)
		in.options.Refs = &RefSource{RT: rt, Scope: sc}
	}
	in.dec.Reset(in.opened[0].Encoded, in.options)
	if in.count, err = in.dec.BeginArray(); err != nil {
		in.Close()
		return nil, nil, badValue(err)
	}
	return in, sc, nil
}

// Close ends the use of the arguments' memory: views of it are not valid any more.
func (in *Args) Close() {
	for i := range in.opened {
		in.opened[i].Release()
	}
	in.opened = nil
}

// Next reads the next argument. After an error it returns zero values, and Err the error.
func Next[T any](in *Args) T {
	var zero T
	if in.err != nil {
		return zero
	}
	position := in.at
	in.at++
	if position >= in.count {
		in.fail(position, errors.New("the call has too few arguments"))
		return zero
	}
	if len(in.resolved) > 0 && int(in.resolved[0].GetPosition()) == position {
		e := in.opened[len(in.opened)-len(in.resolved)].Encoded
		in.resolved = in.resolved[1:]
		if err := in.dec.Skip(); err != nil {
			in.fail(position, err)
			return zero
		}
		v, err := decode[T](e, in.options)
		if err != nil {
			in.fail(position, err)
		}
		return v
	}
	v, err := codec.Decode[T](&in.dec)
	if err != nil {
		in.fail(position, err)
	}
	return v
}

func (in *Args) fail(position int, err error) {
	name := fmt.Sprint(position)
	if position < len(in.params) {
		name = in.params[position]
	}
	in.err = badValue(fmt.Errorf("argument %s: %w", name, err))
}

// Err returns what was wrong with the arguments, too many included.
func (in *Args) Err() error {
	if in.err == nil && in.at != in.count {
		in.err = badValue(fmt.Errorf("the call has %d arguments, want %d", in.count, in.at))
	}
	return in.err
}

// Results takes the results of a running call, in order.
type Results struct {
	ctx    context.Context
	rt     *Runtime
	Values [][]byte
	err    error
	failed bool
}

// NewResults returns an empty list; ctx bounds the wait for room in the object store.
func NewResults(ctx context.Context, rt *Runtime) *Results { return &Results{ctx: ctx, rt: rt} }

// Set appends a result.
func Set[T any](out *Results, v T) {
	if out.err != nil {
		return
	}
	e, _ := encoders.Get().(*codec.Encoder)
	defer encoders.Put(e)
	e.Reset()
	if err := codec.Encode(e, v); err != nil {
		out.err = badValue(fmt.Errorf("result %d: %w", len(out.Values), err))
		return
	}
	encoded, err := out.rt.seal(out.ctx, e.Finish())
	if err != nil {
		out.err = err
		return
	}
	out.Values = append(out.Values, encoded)
}

// Err returns why the results cannot be sent, or nil.
func (out *Results) Err() error { return out.err }

// Discard gives up the results: the call failed after they were set.
func (out *Results) Discard() {
	for _, encoded := range out.Values {
		if err := out.rt.discard(encoded); err != nil {
			Warn("give back shared memory: " + err.Error())
		}
	}
	out.Values = nil
}

// Fail returns err and notes that it is the user's own. The handler returns it at once.
func (out *Results) Fail(err error) error {
	out.failed = true
	return err
}

// Failed reports whether the handler's error is the user's own.
func (out *Results) Failed() bool { return out.failed }
