// Package core is what the public Go API, the generated stubs and the worker share: the registry of remote functions, calls under
// construction, the task that a context belongs to, and errors as values.
package core

import (
	"cmp"
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"

	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"
	"google.golang.org/protobuf/proto"

	"github.com/mobula-dev/mobula/clients/go/mobula/internal/codec"
)

// Option changes the options of a call, an actor or a function.
type Option struct{ Apply func(*mobulav1.Options) error }

// Handlers run a function in a worker; which one is set depends on the kind.
type (
	// FunctionHandler runs a task.
	FunctionHandler func(ctx context.Context, in *Args, out *Results) error
	// ConstructorHandler makes an actor.
	ConstructorHandler func(ctx context.Context, in *Args) (any, error)
	// MethodHandler runs a method of an actor.
	MethodHandler func(ctx context.Context, actor any, in *Args, out *Results) error
)

// Func is one registered function, constructor or method.
type Func struct {
	Kind        mobulav1.TemplateKind
	Name        string
	Fingerprint uint64
	Params      []string
	Returns     int
	Class       *Class // of a constructor or a method
	// Language serves it; not set is Go. A function of another language is not registered (see Python), and its results are portable.
	Language    mobulav1.Language
	Function    FunctionHandler
	Constructor ConstructorHandler
	Method      MethodHandler

	options *mobulav1.Options
	plain   template // without options of a call
	err     error    // why it cannot be called
}

// Class is one registered actor class.
type Class struct {
	Name    string
	Options []Option
}

// registry holds what generated code registered while package variables were initialised.
var registry struct {
	mu    sync.RWMutex // guards the fields below
	funcs map[string]*Func
}

// Register enters a function. What is wrong with it is told by its calls and by Problems: a package variable has nobody to tell.
func Register(f *Func, options []Option, types []reflect.Type) *Func {
	f.options = new(mobulav1.Options)
	for _, o := range options {
		if err := o.Apply(f.options); err != nil && f.err == nil {
			f.err = fmt.Errorf("%s: %w", f.Name, err)
		}
	}
	for _, t := range types {
		if err := codec.Check(t); err != nil && f.err == nil {
			f.err = fmt.Errorf("%s: %w", f.Name, err)
		}
	}
	f.plain = template{f: f, options: f.options, key: f}
	registry.mu.Lock()
	defer registry.mu.Unlock()
	if registry.funcs == nil {
		registry.funcs = make(map[string]*Func)
	}
	if registry.funcs[f.Name] != nil {
		f.err = fmt.Errorf("%s is registered twice: two generated files name it; run go generate", f.Name)
		return f
	}
	registry.funcs[f.Name] = f
	return f
}

// Lookup returns the function with that name, or nil.
func Lookup(name string) *Func {
	registry.mu.RLock()
	defer registry.mu.RUnlock()
	return registry.funcs[name]
}

// Infos lists the registered functions, for the handshake, in order of name.
func Infos() []*mobulav1.FunctionInfo {
	registry.mu.RLock()
	defer registry.mu.RUnlock()
	infos := make([]*mobulav1.FunctionInfo, 0, len(registry.funcs))
	for _, f := range registry.funcs {
		infos = append(infos, &mobulav1.FunctionInfo{Name: f.Name, Fingerprint: f.Fingerprint})
	}
	slices.SortFunc(infos, func(a, b *mobulav1.FunctionInfo) int { return strings.Compare(a.GetName(), b.GetName()) })
	return infos
}

// template is a function together with the options of a call, as a session's template.
type template struct {
	f       *Func
	options *mobulav1.Options
	key     any
}

// templateOf merges the options of a call into those of its function.
func templateOf(f *Func, options []Option) (*template, error) {
	if len(options) == 0 {
		return &f.plain, f.err
	}
	if f.err != nil {
		return nil, f.err
	}
	merged := proto.CloneOf(f.options)
	for _, o := range options {
		if o.Apply == nil {
			continue
		}
		if err := o.Apply(merged); err != nil {
			return nil, fmt.Errorf("%s: %w", f.Name, err)
		}
	}
	key, err := proto.MarshalOptions{Deterministic: true}.Marshal(merged)
	if err != nil {
		return nil, fmt.Errorf("%s: options: %w", f.Name, err)
	}
	return &template{f: f, options: merged, key: optionsKey{f: f, options: string(key)}}, nil
}

type optionsKey struct {
	f       *Func
	options string
}

// Key implements session.TemplateSource.
func (t *template) Key() any { return t.key }

// Template implements session.TemplateSource.
func (t *template) Template() *mobulav1.Template {
	class := ""
	if t.f.Class != nil {
		class = t.f.Class.Name
	}
	language := cmp.Or(t.f.Language, mobulav1.Language_LANGUAGE_GO)
	return &mobulav1.Template{
		Class: class, Kind: t.f.Kind, Name: t.f.Name, Language: language, Fingerprint: t.f.Fingerprint,
		NumReturns: uint32(t.f.Returns), Options: t.options, Portable: language != mobulav1.Language_LANGUAGE_GO,
	}
}
