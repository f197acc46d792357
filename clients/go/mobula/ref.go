package mobula

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/mobula-dev/mobula/clients/go/mobula/internal/codec"
	"github.com/mobula-dev/mobula/clients/go/mobula/internal/core"
	"github.com/mobula-dev/mobula/clients/go/mobula/internal/session"
)

// Ref is a future of a T: the result of a call, an object that was put, or a value of this process (Val). It may be copied, passed to
// other calls, and sent inside values. The zero Ref is empty: using it is an error.
//
// The object lives for as long as a Ref of it is reachable in some process, or something that contains one does. Release gives it up earlier.
type Ref[T any] struct {
	object *session.Object
	local  *local[T]
}

// local is what a ref has that is not an object: a value of this process, or why the submission failed.
type local[T any] struct {
	value T
	err   error
}

// Val returns a ref of a value of this process, to mix values into calls that take refs.
func Val[T any](v T) Ref[T] { return Ref[T]{local: &local[T]{value: v}} }

// Put makes an object of v and returns its ref. The value is copied. It fails when v cannot be sent, when the object store has no room
// before ctx ends, or when the session has ended.
func Put[T any](ctx context.Context, v T) (Ref[T], error) {
	rt, _ := core.From(ctx)
	if rt == nil {
		return Ref[T]{}, public(core.ErrNoRuntime)
	}
	o, err := core.Put(ctx, rt, v)
	if err != nil {
		return Ref[T]{}, public(fmt.Errorf("put a %T: %w", v, err))
	}
	return Ref[T]{object: o}, nil
}

// Get waits for the value and returns a copy of it. The error is an *Error when the task failed or the wait ended; a task's failure
// unwraps to the user's own error when that is registered. Any context will do: its deadline and cancellation bound the wait, not the task.
func (r Ref[T]) Get(ctx context.Context) (T, error) {
	switch {
	case r.local != nil:
		return r.local.value, public(r.local.err)
	case r.object == nil:
		var zero T
		return zero, public(errEmpty)
	}
	rt, err := r.runtime(ctx)
	if err != nil {
		var zero T
		return zero, public(err)
	}
	v, err := core.Get[T](ctx, rt, r.object)
	return v, public(err)
}

// View calls f with the value without copying it out of shared memory: its numeric slices and byte slices are read-only and valid only
// until f returns. It returns f's error.
func (r Ref[T]) View(ctx context.Context, f func(T) error) error {
	switch {
	case r.local != nil && r.local.err != nil:
		return public(r.local.err)
	case r.local != nil:
		return f(r.local.value)
	case r.object == nil:
		return public(errEmpty)
	}
	rt, err := r.runtime(ctx)
	if err != nil {
		return public(err)
	}
	return core.View(ctx, rt, r.object, f)
}

var errEmpty = errors.New("the ref is empty: it is a zero Ref")

// runtime returns the runtime of the ref's session; a ref knows it, whatever ctx says.
func (r Ref[T]) runtime(ctx context.Context) (*core.Runtime, error) {
	return core.RuntimeOf(ctx, r.object.Session())
}

// Ready reports whether Get would return at once, as far as this process knows.
func (r Ref[T]) Ready() bool { return r.local != nil || (r.object != nil && r.object.Ready()) }

// Release gives up this process's hold on the object before the garbage collector would. The ref and its copies must not be used
// any more. For one of several results of a call, and for a ref that came inside a value, it has no effect: those are released together.
func (r Ref[T]) Release() {
	if r.object != nil {
		r.object.Release()
	}
}

// ID returns the object's id in hexadecimal, or nothing for a ref that is no object.
func (r Ref[T]) ID() string {
	if r.object == nil {
		return ""
	}
	return r.object.ID().String()
}

// AnyRef is any Ref[T].
type AnyRef interface {
	ref() (*session.Object, error)
}

func (r Ref[T]) ref() (*session.Object, error) {
	if r.local != nil {
		return nil, r.local.err
	}
	if r.object == nil {
		return nil, errEmpty
	}
	return r.object, nil
}

// Wait waits until k of refs are ready, or until the timeout has passed when it is above zero, or ctx ends. It returns the refs that are
// ready and those that are not, each in the order of refs; no more than k are reported ready. A ref whose task failed is ready.
// The error is set only when ctx ends, k is not between 1 and len(refs), or a ref is empty.
func Wait[R AnyRef](ctx context.Context, refs []R, k int, timeout time.Duration) (ready, rest []R, err error) {
	if k < 1 || k > len(refs) {
		return nil, refs, public(fmt.Errorf("wait for %d of %d refs: want 1 to %d", k, len(refs), len(refs)))
	}
	here := 0
	for _, r := range refs {
		o, err := r.ref()
		if err == errEmpty { //nolint:errorlint // the very sentinel, a thousand times
			return nil, refs, public(err)
		}
		if o == nil || o.Ready() {
			here++
		}
	}
	if here < k {
		if err := waitRefs(ctx, refs, k, timeout); err != nil {
			return nil, refs, public(err)
		}
	}
	ready, rest = make([]R, 0, k), make([]R, 0, len(refs)-k)
	for _, r := range refs {
		if o, _ := r.ref(); len(ready) < k && (o == nil || o.Ready()) {
			ready = append(ready, r)
		} else {
			rest = append(rest, r)
		}
	}
	return ready, rest, nil
}

// waitRefs waits until k refs are ready; a timeout that passes is no error.
func waitRefs[R AnyRef](ctx context.Context, refs []R, k int, timeout time.Duration) error {
	objects := make([]*session.Object, 0, len(refs))
	for _, r := range refs {
		if o, _ := r.ref(); o != nil {
			objects = append(objects, o)
		} else {
			k-- // a value or an error of this process
		}
	}
	rt, err := core.RuntimeOf(ctx, objects[0].Session())
	if err != nil {
		return err
	}
	timed := ctx
	if timeout > 0 {
		var cancel context.CancelFunc
		timed, cancel = context.WithTimeout(ctx, timeout)
		defer cancel()
	}
	if _, err := rt.Session.Wait(timed, objects, k, core.Blocker(ctx, rt)); err != nil && ctx.Err() != nil {
		return err
	}
	return nil
}

// Cancel asks the runtime to end the task that makes the ref, and the tasks that it submitted. A task that waits is dropped; one that
// runs has its context ended. The ref then resolves to an error of kind Cancelled, unless the task was done first. A call of an actor's method is
// dropped while it waits, and has its context ended while it runs.
func Cancel(ref AnyRef) error { return cancel(ref, false) }

// CancelForce is Cancel, and kills the process of a task that runs; tasks that shared it run again. Calls of actors are only cancelled.
func CancelForce(ref AnyRef) error { return cancel(ref, true) }

func cancel(ref AnyRef, force bool) error {
	o, err := ref.ref()
	if err != nil || o == nil {
		return public(err)
	}
	return public(o.Session().Cancel(o, force, true))
}

// MobulaEncodeRef lets refs be sent inside values. It is for the codec.
func (r Ref[T]) MobulaEncodeRef() (codec.Ref, error) {
	if r.local != nil {
		if r.local.err != nil {
			return codec.Ref{}, r.local.err
		}
		return codec.Ref{}, errors.New("a ref made by Val cannot be sent inside a value: put the value, or send it itself")
	}
	if r.object == nil {
		return codec.Ref{}, nil
	}
	return codec.Ref{ID: r.object.ID()}, nil
}

// MobulaDecodeRef is for the codec.
func (r *Ref[T]) MobulaDecodeRef(src codec.RefSource, from codec.Ref) error {
	o, err := core.DecodeRef(src, from)
	r.object = o
	return err
}

// RefOf returns the ref of a handle, or of an error. It is for package stub: users cannot name its parameter's type.
func RefOf[T any](o *session.Object, err error) Ref[T] {
	if err != nil {
		return Ref[T]{local: &local[T]{err: err}}
	}
	return Ref[T]{object: o}
}

// ArgOf appends a ref to a call under construction. It is for package stub.
func ArgOf[T any](c *core.Call, r Ref[T]) {
	switch {
	case r.local != nil && r.local.err != nil:
		c.Fail(r.local.err)
	case r.local != nil:
		core.Arg(c, r.local.value)
	default:
		c.ArgObject(r.object)
	}
}
