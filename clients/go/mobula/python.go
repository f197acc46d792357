package mobula

import (
	"context"
	"errors"
	"fmt"
	"slices"

	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"

	"github.com/mobula-dev/mobula/clients/go/mobula/internal/core"
	"github.com/mobula-dev/mobula/clients/go/mobula/internal/session"
)

// PythonFunc is a function or method of Python whose result is read as a T, made by PythonFunction and PythonMethod. It may be copied, kept in a package
// variable, and used by any number of goroutines.
type PythonFunc[T any] struct {
	f       *core.Func
	actor   Handle // of a method
	options []Option
	err     error // what is wrong with its name
}

// PythonFunction returns the function of that name in a module of Python:
//
//	var mean = mobula.PythonFunction[float64]("statistics", "mean")
//
//	m, err := mean.Remote(ctx, []float64{1, 2, 6}).Get(ctx)
//
// The node starts Python workers for it, with the interpreter that the environment variable MOBULA_PYTHON names or else python3; it must be able to import
// mobula, and the module from the driver's working directory or its own path. A function that @mobula.remote decorates is called all the same.
// Arguments and results are what docs/values.md calls portable, and a result that is not fails the call with an error of kind BadValue.
func PythonFunction[T any](module, name string, options ...Option) PythonFunc[T] {
	f, err := pythonFunc(mobulav1.TemplateKind_TEMPLATE_KIND_FUNCTION, module, name, "")
	return PythonFunc[T]{f: f, options: options, err: err}
}

// PythonMethod returns the method of that name of an actor whose class is one of Python.
func PythonMethod[T any](actor Actor, name string, options ...Option) PythonFunc[T] {
	h := actor.handle()
	class := h.Class()
	f, err := pythonFunc(mobulav1.TemplateKind_TEMPLATE_KIND_METHOD, class, name, class)
	if failed := h.check(); failed != nil {
		err = failed
	}
	return PythonFunc[T]{f: f, actor: h, options: options, err: err}
}

// With returns the function with more options.
func (p PythonFunc[T]) With(options ...Option) PythonFunc[T] {
	p.options = append(slices.Clip(p.options), options...)
	return p
}

// Remote submits a call as a task and returns at once. An argument that is a Ref is handed on as its value, and the call starts when that is there.
// What is wrong with the call, its name and its arguments is the error of the ref. An exception is an *Error of kind TaskFailed: its message begins
// with the name of the exception's class, and its Stack is the Python traceback.
func (p PythonFunc[T]) Remote(ctx context.Context, args ...any) Ref[T] {
	if p.f == nil || p.err != nil {
		return RefOf[T](nil, errors.Join(p.err, unnamed(p.f)))
	}
	var c *core.Call
	if p.f.Kind == mobulav1.TemplateKind_TEMPLATE_KIND_METHOD {
		c = core.BeginMethod(ctx, p.actor.actor, p.f, len(args), p.options)
	} else {
		c = core.Begin(ctx, p.f, len(args), p.options)
	}
	o, err := submit(c, args)
	return RefOf[T](o, err)
}

// PythonClass is a class of Python whose instances are actors, made by NewPythonClass.
type PythonClass struct {
	f       *core.Func
	options []Option
	err     error // what is wrong with its name
}

// NewPythonClass returns the class of that name in a module of Python. See PythonFunction for where it is found.
func NewPythonClass(module, name string, options ...Option) PythonClass {
	f, err := pythonFunc(mobulav1.TemplateKind_TEMPLATE_KIND_ACTOR, module, name, module+"."+name)
	return PythonClass{f: f, options: options, err: err}
}

// With returns the class with more options for its actors.
func (p PythonClass) With(options ...Option) PythonClass {
	p.options = append(slices.Clip(p.options), options...)
	return p
}

// Remote submits the creation of an actor and returns its handle at once; PythonMethod calls its methods.
func (p PythonClass) Remote(ctx context.Context, args ...any) Handle {
	if p.f == nil || p.err != nil {
		return HandleOf(nil, errors.Join(p.err, unnamed(p.f)))
	}
	c := core.Begin(ctx, p.f, len(args), p.options)
	o, err := submit(c, args)
	if err != nil {
		return HandleOf(nil, err)
	}
	return HandleOf(&session.Actor{Object: o, Class: c.Class()}, nil)
}

// pythonFunc returns what is called under a name.
func pythonFunc(kind mobulav1.TemplateKind, module, name, class string) (*core.Func, error) {
	if module == "" || name == "" {
		return nil, fmt.Errorf("python name %q in %q: both the module and the name are needed", name, module)
	}
	return core.Python(kind, module+"."+name, class), nil
}

// unnamed is the error of a zero PythonFunc or PythonClass.
func unnamed(f *core.Func) error {
	if f == nil {
		return errors.New("the Python function has no name: use PythonFunction, PythonMethod or NewPythonClass")
	}
	return nil
}

// argument is any Ref: what is passed as the value that it will have.
type argument interface{ appendTo(c *core.Call) }

func (r Ref[T]) appendTo(c *core.Call) { ArgOf(c, r) }

// submit gives a call its arguments and sends it. It is as far below the user's code as package stub is, so that the call site is the user's line.
func submit(c *core.Call, args []any) (*session.Object, error) {
	for _, a := range args {
		if r, ok := a.(argument); ok {
			r.appendTo(c)
			continue
		}
		core.Arg(c, a)
	}
	objects, err := c.Submit()
	if err != nil {
		return nil, err
	}
	return &objects[0], nil
}
