package core

import (
	"context"
	"errors"
	"fmt"

	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"

	"github.com/mobula-dev/mobula/clients/go/mobula/internal/codec"
	"github.com/mobula-dev/mobula/clients/go/mobula/internal/session"
	"github.com/mobula-dev/mobula/internal/id"
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
	return rt.Session.Put(ctx, rt.Session.NextID(), encoded, Blocker(ctx, rt))
}

// seal makes an encoded Value, in the object store when it is long. The result is the caller's to keep.
func (rt *Runtime) seal(ctx context.Context, e codec.Encoded) ([]byte, error) {
	m := mobulav1.Value{Format: mobulav1.ValueFormat_VALUE_FORMAT_MSGPACK, Refs: e.Refs}
	if e.Size()-len(e.Refs) <= inlineMax {
		m.Meta, m.Buffers = e.Meta, e.Buffers
	} else {
		block, err := rt.Session.Store(ctx, codec.StoredSize(e), func(dst []byte) error { return codec.WriteStored(dst, e) }, Blocker(ctx, rt))
		if err != nil {
			return nil, err
		}
		m.Block = block
	}
	return m.MarshalVT()
}

// Open returns the codec's view of an encoded Value, or the error that the value is. The bytes of a stored value stay mapped for as long
// as hold is reachable.
func (rt *Runtime) Open(encoded []byte) (codec.Encoded, error) {
	var m mobulav1.Value
	if err := m.UnmarshalVTUnsafe(encoded); err != nil {
		return codec.Encoded{}, fmt.Errorf("read value: %w", err)
	}
	switch m.GetFormat() {
	case mobulav1.ValueFormat_VALUE_FORMAT_ERROR:
		e := new(mobulav1.ErrorValue)
		if err := e.UnmarshalVT(m.GetMeta()); err != nil {
			return codec.Encoded{}, fmt.Errorf("read error value: %w", err)
		}
		return codec.Encoded{}, FromValue(e)
	case mobulav1.ValueFormat_VALUE_FORMAT_MSGPACK:
	default:
		return codec.Encoded{}, &codec.NotPortableError{PythonType: m.GetFormat().String()}
	}
	b := m.GetBlock()
	if b == nil {
		return codec.Encoded{Meta: m.GetMeta(), Buffers: m.GetBuffers(), Refs: m.GetRefs()}, nil
	}
	stored, err := rt.Session.Mapped(b)
	if err != nil {
		return codec.Encoded{}, err
	}
	v, err := codec.OpenStored(stored)
	if err != nil {
		return codec.Encoded{}, fmt.Errorf("read stored value: %w", err)
	}
	v.Refs = m.GetRefs()
	return v, nil
}

// RefSource makes handles for the refs inside one value.
type RefSource struct {
	RT    *Runtime
	Scope *session.Scope
}

// Object returns the handle of a ref.
func (s *RefSource) Object(oid id.Object) *session.Object { return s.Scope.Object(oid) }

// Get waits for an object and decodes its value.
func Get[T any](ctx context.Context, rt *Runtime, o *session.Object, view bool) (T, error) {
	var zero T
	encoded, err := o.Await(ctx, Blocker(ctx, rt))
	if err != nil {
		return zero, waitError(err)
	}
	e, err := rt.Open(encoded)
	if err != nil {
		return zero, err
	}
	d := codec.Decoder{}
	options := codec.Options{View: view}
	if len(e.Refs) > 0 {
		options.Refs = &RefSource{RT: rt, Scope: rt.Session.NewScope(o)}
	}
	d.Reset(e, options)
	v, err := codec.Decode[T](&d)
	if err != nil {
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
	count    int
	at       int
	params   []string
	err      error
}

// NewArgs opens the arguments of an Execute frame. Refs inside belong to the task's scope.
func NewArgs(rt *Runtime, f *Func, m *mobulav1.Execute) (*Args, *session.Scope, error) {
	in := &Args{rt: rt, resolved: m.GetResolved(), params: f.Params}
	e, err := rt.Open(m.GetArgs())
	if err != nil {
		return nil, nil, err
	}
	var inside []byte
	inside = append(inside, e.Refs...)
	for _, r := range in.resolved {
		v, err := rt.Open(r.GetValue())
		if err != nil {
			return nil, nil, err
		}
		inside = append(inside, v.Refs...)
	}
	in.options.View = true
	var sc *session.Scope
	if len(inside) > 0 {
		sc = rt.Session.NewTaskScope(inside)
		in.options.Refs = &RefSource{RT: rt, Scope: sc}
	}
	in.dec.Reset(e, in.options)
	if in.count, err = in.dec.BeginArray(); err != nil {
		return nil, nil, badValue(err)
	}
	return in, sc, nil
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
		r := in.resolved[0]
		in.resolved = in.resolved[1:]
		if err := in.dec.Skip(); err != nil {
			in.fail(position, err)
			return zero
		}
		return resolved[T](in, position, r)
	}
	v, err := codec.Decode[T](&in.dec)
	if err != nil {
		in.fail(position, err)
	}
	return v
}

// resolved reads an argument that was a ref.
func resolved[T any](in *Args, position int, r *mobulav1.ResolvedArg) T {
	var zero T
	e, err := in.rt.Open(r.GetValue())
	if err != nil {
		in.fail(position, err)
		return zero
	}
	var d codec.Decoder
	d.Reset(e, in.options)
	v, err := codec.Decode[T](&d)
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
	user   error
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

// Fail makes an error the user's own and returns it.
func (out *Results) Fail(err error) error {
	out.user = err
	return err
}

// IsUser reports whether err was returned by the user's function.
func (out *Results) IsUser(err error) bool { return err != nil && out.user == err }
