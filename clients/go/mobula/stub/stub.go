// Package stub supports the code that mobula-gen writes. Programs do not use it directly.
package stub

import (
	"context"
	"errors"
	"reflect"

	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"

	"github.com/mobula-dev/mobula/clients/go/mobula"
	"github.com/mobula-dev/mobula/clients/go/mobula/internal/core"
	"github.com/mobula-dev/mobula/clients/go/mobula/internal/session"
)

// V1 is the version of this package's contract with generated code. Generated files name the version that they need; a library that
// lacks it is too old for them.
const V1 = 1

type (
	// Func is a registered function, constructor or method.
	Func = core.Func
	// Class is a registered actor class.
	Class = core.Class
	// Call is a call under construction.
	Call = core.Call
	// Args are the arguments of a running call.
	Args = core.Args
	// Results take the results of a running call.
	Results = core.Results
	// Refs are the results of a submitted call.
	Refs struct {
		objects []session.Object
		err     error
	}
)

// FuncInfo describes a remote function.
type FuncInfo struct {
	// Name is "import/path.Func".
	Name string
	// Fingerprint is that of its signature.
	Fingerprint uint64
	// Params are the names of its parameters, for errors.
	Params []string
	// Returns is the number of results, errors not counted.
	Returns int
	// Options are those of its annotation.
	Options []mobula.Option
	// Types are the types of its parameters and results, checked at start.
	Types []reflect.Type
	// Handler runs it.
	Handler func(ctx context.Context, in *Args, out *Results) error
}

// Function registers a function.
func Function(i FuncInfo) *Func {
	return core.Register(&Func{
		Kind: mobulav1.TemplateKind_TEMPLATE_KIND_FUNCTION, Name: i.Name, Fingerprint: i.Fingerprint, Params: i.Params,
		Returns: max(i.Returns, 1), Function: i.Handler,
	}, i.Options, i.Types)
}

// ActorInfo describes an actor class.
type ActorInfo struct {
	// Name is "import/path.Type".
	Name string
	// Options are those of its annotation.
	Options []mobula.Option
}

// Actor registers an actor class.
func Actor(i ActorInfo) *Class { return &Class{Name: i.Name, Options: i.Options} }

// ConstructorInfo describes a constructor of an actor class.
type ConstructorInfo struct {
	// Name is "import/path.NewType".
	Name string
	// Fingerprint is that of its signature.
	Fingerprint uint64
	// Params are the names of its parameters.
	Params []string
	// Types are the types of its parameters.
	Types []reflect.Type
	// Handler runs it and returns the actor's state.
	Handler func(ctx context.Context, in *Args) (any, error)
}

// Constructor registers a constructor.
func Constructor(c *Class, i ConstructorInfo) *Func {
	return core.Register(&Func{
		Kind: mobulav1.TemplateKind_TEMPLATE_KIND_ACTOR, Name: i.Name, Fingerprint: i.Fingerprint, Params: i.Params,
		Returns: 1, Class: c, Constructor: i.Handler,
	}, c.Options, i.Types)
}

// MethodInfo describes a method of an actor class.
type MethodInfo struct {
	// Name is "import/path.Type.Method".
	Name string
	// Fingerprint is that of its signature.
	Fingerprint uint64
	// Params are the names of its parameters.
	Params []string
	// Returns is the number of results, errors not counted.
	Returns int
	// Options are those of its annotation.
	Options []mobula.Option
	// Types are the types of its parameters and results.
	Types []reflect.Type
	// Handler runs it on the actor's state.
	Handler func(ctx context.Context, actor any, in *Args, out *Results) error
}

// Method registers a method.
func Method(c *Class, i MethodInfo) *Func {
	return core.Register(&Func{
		Kind: mobulav1.TemplateKind_TEMPLATE_KIND_METHOD, Name: i.Name, Fingerprint: i.Fingerprint, Params: i.Params,
		Returns: max(i.Returns, 1), Class: c, Method: i.Handler,
	}, i.Options, i.Types)
}

// NewCall begins a call of a function or a constructor.
func NewCall(ctx context.Context, f *Func, args int, opts []mobula.Option) *Call {
	return core.Begin(ctx, f, args, opts)
}

// NewMethodCall begins a call of a method.
func NewMethodCall(ctx context.Context, h mobula.Handle, f *Func, args int, opts []mobula.Option) *Call {
	a, err := mobula.ActorOf(h)
	c := core.BeginMethod(ctx, a, f, args, opts)
	if err != nil {
		c.Fail(err)
	}
	return c
}

// Arg appends a value to a call.
func Arg[T any](c *Call, v T) { core.Arg(c, v) }

// ArgRef appends a ref to a call.
func ArgRef[T any](c *Call, r mobula.Ref[T]) { mobula.ArgOf(c, r) }

// Submit0 submits a call without results.
func Submit0(c *Call) mobula.Ref[struct{}] { return one[struct{}](c.Submit()) }

// Submit1 submits a call with one result.
func Submit1[R any](c *Call) mobula.Ref[R] { return one[R](c.Submit()) }

// SubmitN submits a call with several results.
func SubmitN(c *Call) Refs {
	objects, err := c.Submit()
	return Refs{objects: objects, err: err}
}

func one[R any](objects []session.Object, err error) mobula.Ref[R] {
	if err != nil {
		return mobula.RefOf[R](nil, err)
	}
	return mobula.RefOf[R](&objects[0], nil)
}

// At returns the ref of result i.
func At[R any](rs Refs, i int) mobula.Ref[R] {
	if rs.err != nil {
		return mobula.RefOf[R](nil, rs.err)
	}
	return mobula.RefOf[R](&rs.objects[i], nil)
}

// SubmitActor submits the creation of an actor.
func SubmitActor(c *Call) mobula.Handle {
	objects, err := c.Submit()
	if err != nil {
		return mobula.HandleOf(nil, err)
	}
	return mobula.HandleOf(&session.Actor{Object: &objects[0], Class: c.Class()}, nil)
}

// GetActor looks up the living actor of that name and class.
func GetActor(ctx context.Context, cls *Class, name string, opts []mobula.Option) (mobula.Handle, error) {
	a, err := core.GetActor(ctx, cls, name, opts)
	if err != nil {
		return mobula.Handle{}, mobula.Public(err)
	}
	return mobula.HandleOf(a, nil), nil
}

// Next reads the next argument.
func Next[T any](in *Args) T { return core.Next[T](in) }

// Set appends a result.
func Set[T any](out *Results, v T) { core.Set(out, v) }

// Takeover turns the process into a worker or a node when it was started as one, and then never returns. The init functions that
// mobula-gen writes into main packages and test packages call it after all registrations.
func Takeover() { mobula.Takeover() }

// ErrNotInstantiated is the error of a generic stub that is called with type arguments for which no instantiation is registered.
var ErrNotInstantiated = errors.New("the generic function is not instantiated for these type arguments: add a //mobula:instantiate line and run go generate")

// Failed returns a ref of an error.
func Failed[R any](err error) mobula.Ref[R] { return mobula.RefOf[R](nil, err) }
