package gogen

import (
	"fmt"
	"strings"

	"github.com/mobula-dev/mobula/codegen/model"
)

// stubFunc is a function to be written: how a remote function, a constructor or a method is called.
type stubFunc struct {
	fn *model.Function
	// receiver is the receiver of a method's stub, "h XHandle"; empty otherwise.
	receiver string
	// handle is the type that a constructor's stub returns; empty otherwise.
	handle string
	// refs is true if arguments are refs.
	refs bool
}

// stubs writes everything that users call.
func (f *file) stubs() {
	f.say("This line does not compile if the Mobula library is older than the generator that wrote this file. Then update it with \"go get %s@latest\".", modulePath)
	f.p("const _ = %s\n", f.stub("V1"))
	for _, fn := range f.model.Functions {
		f.pair(stubFunc{fn: fn}, fmt.Sprintf("submits %s as a task and returns at once.", fn.Name))
		if fn.Generic() {
			f.selector(fn)
		}
	}
	for _, a := range f.model.Actors {
		f.actor(a)
	}
}

// modulePath is the module of the client library.
const modulePath = "github.com/mobula-dev/mobula"

// actor writes the handle of an actor, its constructors, its lookup and its methods.
func (f *file) actor(a *model.Actor) {
	handle := a.Name + "Handle"
	f.say("%s refers to an actor of type %s, which lives in a process of the cluster.", handle, a.Name)
	f.source(a.Doc)
	f.p("type %s struct{ %s }\n", handle, f.mobula("Handle"))
	for _, c := range a.Constructors {
		how := "makes an actor with " + c.Name + " and returns its handle at once."
		if c.Zero {
			how = fmt.Sprintf("makes an actor that starts as the zero %s, and returns its handle at once.", a.Name)
		}
		f.pair(stubFunc{fn: &c.Function, handle: handle}, how)
	}
	local := names{}
	ctx, name, opts := local.fresh("ctx"), local.fresh("name"), local.fresh("opts")
	f.say("Get%s returns the handle of the living %s actor with the name.", a.Name, a.Name)
	f.p("func Get%s(%s %s, %s string, %s ...%s) (%s, error) {", a.Name, ctx, f.context(), name, opts, f.mobula("Option"), handle)
	f.p("handle, err := %s(%s, %s.%s, %s, %s)", f.stub("GetActor"), ctx, f.funcs, f.field(a.ID, a.Name), name, opts)
	f.p("return %s{Handle: handle}, err", handle)
	f.p("}\n")
	for _, fn := range a.Methods {
		f.pair(stubFunc{fn: fn, receiver: handle}, fmt.Sprintf("calls %s on the actor and returns at once.", fn.Name))
	}
}

// pair writes the stub for values and the one for refs. Without parameters they would be the same.
func (f *file) pair(s stubFunc, does string) {
	f.say("%sRemote %s", s.fn.Name, does)
	f.source(s.fn.Doc)
	f.function(s)
	if len(s.fn.Signature.Params) == 0 {
		return
	}
	s.refs = true
	subject := "the call runs"
	if s.receiver == "" && s.handle == "" {
		subject = "the task starts"
	} else if s.handle != "" {
		subject = "the actor is made"
	}
	f.say("%sRefs is %sRemote with refs for arguments: %s when all of them are ready. %s turns a plain value into a ref.",
		s.fn.Name, s.fn.Name, subject, f.mobula("Val"))
	f.function(s)
}

// source writes the source's doc comment as further paragraphs.
func (f *file) source(doc string) {
	if strings.TrimSpace(doc) != "" {
		f.p("//")
		f.comment(doc)
	}
}

// function writes one stub.
func (f *file) function(s stubFunc) {
	sig := s.fn.Signature
	params, taken := f.params(s)
	ctx, opts, call := taken.fresh("ctx"), taken.fresh("opts"), taken.fresh("call")
	pairs := [][2]string{{ctx, f.context()}}
	for i, p := range sig.Params {
		t := f.spell(p.Type)
		if s.refs {
			t = f.mobula("Ref") + "[" + t + "]"
		}
		pairs = append(pairs, [2]string{params[i], t})
	}
	pairs = append(pairs, [2]string{opts, "..." + f.mobula("Option")})
	name, receiver, suffix := s.fn.Name, "", "Remote"
	if s.refs {
		suffix = "Refs"
	}
	self := ""
	if s.receiver != "" {
		self = taken.fresh("h")
		receiver = "(" + self + " " + s.receiver + ") "
	}
	f.p("func %s%s%s%s(%s) %s {", receiver, name, suffix, f.typeParams(s.fn), list(pairs), f.results(s))
	target := f.target(s, taken)
	begin := fmt.Sprintf("%s(%s, %s, %d, %s)", f.stub("NewCall"), ctx, target, len(params), opts)
	if self != "" {
		begin = fmt.Sprintf("%s(%s, %s.Handle, %s, %d, %s)", f.stub("NewMethodCall"), ctx, self, target, len(params), opts)
	}
	arg := f.stub("Arg")
	if s.refs {
		arg = f.stub("ArgRef")
	}
	f.p("%s := %s", call, begin)
	for _, p := range params {
		f.p("%s(%s, %s)", arg, call, p)
	}
	f.submit(s, call, taken)
	f.p("}\n")
}

// target writes the registered function that a stub calls. In a generic stub that is found first, and may not be there.
func (f *file) target(s stubFunc, taken names) string {
	fn := s.fn
	if !fn.Generic() {
		in := fn.Instances[0]
		return f.funcs + "." + f.field(in.ID, label(s, fn.Name))
	}
	found := taken.fresh("instance")
	args := typeArgs(fn)
	f.p("%s := %s[%s]()", found, f.selectorName(fn), strings.Join(args, ", "))
	f.p("if %s == nil {", found)
	err := taken.fresh("err")
	verbs := strings.TrimSuffix(strings.Repeat("%v, ", len(args)), ", ")
	reflected := make([]string, 0, len(args))
	for _, a := range args {
		reflected = append(reflected, f.reflect("TypeFor")+"["+a+"]()")
	}
	f.p("%s := %s(\"%s.%s[%s]: %%w\", %s, %s)", err, f.fmt("Errorf"), f.model.Path, fn.Name, verbs, strings.Join(reflected, ", "), f.stub("ErrNotInstantiated"))
	var failed []string
	for _, r := range fn.Signature.Results {
		failed = append(failed, fmt.Sprintf("%s[%s](%s)", f.stub("Failed"), f.spell(r.Type), err))
	}
	if len(failed) == 0 {
		failed = []string{fmt.Sprintf("%s[struct{}](%s)", f.stub("Failed"), err)}
	}
	f.p("return %s", strings.Join(failed, ", "))
	f.p("}")
	return found
}

// submit writes the end of a stub.
func (f *file) submit(s stubFunc, call string, taken names) {
	results := s.fn.Signature.Results
	switch {
	case s.handle != "":
		f.p("return %s{Handle: %s(%s)}", s.handle, f.stub("SubmitActor"), call)
	case len(results) == 0:
		f.p("return %s(%s)", f.stub("Submit0"), call)
	case len(results) == 1:
		f.p("return %s[%s](%s)", f.stub("Submit1"), f.spell(results[0].Type), call)
	default:
		refs := taken.fresh("refs")
		f.p("%s := %s(%s)", refs, f.stub("SubmitN"), call)
		var list []string
		for i, r := range results {
			list = append(list, fmt.Sprintf("%s[%s](%s, %d)", f.stub("At"), f.spell(r.Type), refs, i))
		}
		f.p("return %s", strings.Join(list, ", "))
	}
}

// params returns the names of a stub's parameters, and what is taken in its scope.
func (f *file) params(s stubFunc) ([]string, names) {
	taken := f.mentioned(s)
	for _, p := range s.fn.TypeParams {
		taken[p.Name] = true
	}
	for _, r := range s.fn.Signature.Results {
		taken[r.Name] = true
	}
	var out []string
	for i, p := range s.fn.Signature.Params {
		name := p.Name
		if name == "" || name == "_" {
			name = fmt.Sprintf("arg%d", i+1)
		} else if taken[name] {
			name += "Arg"
		}
		out = append(out, taken.fresh(name))
	}
	return out, taken
}

// mentioned returns the names that the body of a stub mentions, and that its parameters must not hide.
func (f *file) mentioned(s stubFunc) names {
	n := names{f.funcs: true, s.handle: true, "nil": true}
	for _, r := range s.fn.Signature.Results {
		r.Type.Walk(func(t *model.Type) bool {
			if t.Name.Path == f.model.Path {
				n[t.Name.Name] = true
			}
			n[t.Kind.Word()] = true
			return t.Kind != model.Alias
		})
	}
	if s.fn.Generic() {
		n[f.selectorName(s.fn)] = true
	}
	return n
}

// results writes the results of a stub, with the names of the source if all have one.
func (f *file) results(s stubFunc) string {
	if s.handle != "" {
		return s.handle
	}
	results := s.fn.Signature.Results
	if len(results) == 0 {
		return f.mobula("Ref") + "[struct{}]"
	}
	named := true
	var types []string
	var pairs [][2]string
	for _, r := range results {
		t := f.mobula("Ref") + "[" + f.spell(r.Type) + "]"
		types = append(types, t)
		pairs = append(pairs, [2]string{r.Name, t})
		named = named && r.Name != "" && r.Name != "_" && !f.mentioned(s)[r.Name]
	}
	switch {
	case len(types) == 1:
		return types[0]
	case named:
		return "(" + list(pairs) + ")"
	default:
		return "(" + strings.Join(types, ", ") + ")"
	}
}

// typeParams writes the type parameters of a generic stub.
func (f *file) typeParams(fn *model.Function) string {
	if !fn.Generic() {
		return ""
	}
	var pairs [][2]string
	for _, p := range fn.TypeParams {
		pairs = append(pairs, [2]string{p.Name, f.spell(p.Constraint)})
	}
	return "[" + list(pairs) + "]"
}

// typeArgs returns the names of the type parameters.
func typeArgs(fn *model.Function) []string {
	var out []string
	for _, p := range fn.TypeParams {
		out = append(out, p.Name)
	}
	return out
}

// selectorName returns the name of the function that finds the instances of a generic function.
func (f *file) selectorName(fn *model.Function) string {
	if f.fields["selector "+fn.Name] == "" {
		f.fields["selector "+fn.Name] = f.names.fresh("mobula" + fn.Name)
	}
	return f.fields["selector "+fn.Name]
}

// selector writes the function that finds the instance of a generic function.
func (f *file) selector(fn *model.Function) {
	args := typeArgs(fn)
	f.say("%s returns the registered instance of %s, or nil if there is none.", f.selectorName(fn), fn.Name)
	f.p("func %s%s() *%s {", f.selectorName(fn), f.typeParams(fn), f.stub("Func"))
	f.p("switch any((func(%s))(nil)).(type) {", strings.Join(args, ", "))
	for _, in := range fn.Instances {
		var spelled []string
		for _, a := range in.Args {
			spelled = append(spelled, f.spell(a))
		}
		f.p("case func(%s):", strings.Join(spelled, ", "))
		f.p("return %s.%s", f.funcs, f.field(in.ID, fn.Name+"_"+word(in.Args)))
	}
	f.p("default:\nreturn nil\n}\n}\n")
}
