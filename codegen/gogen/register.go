package gogen

import (
	"fmt"
	"go/types"
	"math"
	"strconv"
	"strings"

	"github.com/mobula-dev/mobula/codegen/model"
)

// label returns the name of the field for a function, constructor or method.
func label(s stubFunc, name string) string {
	if s.receiver != "" {
		return strings.TrimSuffix(s.receiver, "Handle") + "_" + name
	}
	return name
}

// word makes a part of an identifier from types.
func word(list []*model.Type) string {
	var parts []string
	for _, t := range list {
		id := t.ID()
		clean := strings.Map(func(r rune) rune {
			if r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' {
				return r
			}
			return '_'
		}, id[strings.LastIndexByte(id, '/')+1:])
		parts = append(parts, strings.Trim(clean, "_"))
	}
	return strings.Join(parts, "_")
}

// field returns the field of the variable funcs that holds what is registered under an identity.
func (f *file) field(id, want string) string {
	if name, ok := f.fields[id]; ok {
		return name
	}
	taken := names{}
	for _, name := range f.fields {
		taken[name] = true
	}
	f.fields[id] = taken.fresh(want)
	return f.fields[id]
}

// registration writes the variable with everything that is registered, and the function that registers it.
func (f *file) registration() {
	f.say("%s holds what this package has registered.", f.funcs)
	f.p("var %s struct {", f.funcs)
	for _, a := range f.model.Actors {
		f.p("%s *%s", f.field(a.ID, a.Name), f.stub("Class"))
	}
	f.each(func(s stubFunc, _ *model.Actor, _ bool) {
		for _, in := range s.fn.Instances {
			f.p("%s *%s", f.instanceField(s, &in), f.stub("Func"))
		}
	})
	f.p("}\n")
	f.say("init registers the package's functions. They are not registered where %s is declared, because a function that calls its own stub would then be part of its own initialisation.", f.funcs)
	f.p("func init() {")
	for _, a := range f.model.Actors {
		f.p("%s.%s = %s(%s{", f.funcs, f.field(a.ID, a.Name), f.stub("Actor"), f.stub("ActorInfo"))
		f.p("Name: %s,", strconv.Quote(a.ID))
		f.options(a.Options)
		f.p("})")
	}
	f.each(func(s stubFunc, a *model.Actor, zero bool) {
		for _, in := range s.fn.Instances {
			f.register(s, &in, a, zero)
		}
	})
	f.p("}\n")
}

// each calls visit for every function, constructor and method; a is the actor of the latter two.
func (f *file) each(visit func(s stubFunc, a *model.Actor, zero bool)) {
	for _, fn := range f.model.Functions {
		visit(stubFunc{fn: fn}, nil, false)
	}
	for _, a := range f.model.Actors {
		handle := a.Name + "Handle"
		for _, c := range a.Constructors {
			visit(stubFunc{fn: &c.Function, handle: handle}, a, c.Zero)
		}
		for _, fn := range a.Methods {
			visit(stubFunc{fn: fn, receiver: handle}, a, false)
		}
	}
}

// instanceField returns the field for one instance.
func (f *file) instanceField(s stubFunc, in *model.Instance) string {
	want := label(s, s.fn.Name)
	if len(in.Args) > 0 {
		want += "_" + word(in.Args)
	}
	return f.field(in.ID, want)
}

// register writes the registration of one instance.
func (f *file) register(s stubFunc, in *model.Instance, a *model.Actor, zero bool) {
	verb, class := "Function", ""
	switch {
	case s.handle != "":
		verb, class = "Constructor", f.funcs+"."+f.field(a.ID, a.Name)+", "
	case s.receiver != "":
		verb, class = "Method", f.funcs+"."+f.field(a.ID, a.Name)+", "
	}
	info := verb + "Info"
	if verb == "Function" {
		info = "FuncInfo"
	}
	f.p("%s.%s = %s(%s%s{", f.funcs, f.instanceField(s, in), f.stub(verb), class, f.stub(info))
	f.p("Name: %s,", strconv.Quote(in.ID))
	f.p("Fingerprint: 0x%016x,", in.Fingerprint)
	f.paramNames(in.Signature)
	if n := len(in.Signature.Results); n > 0 && s.handle == "" {
		f.p("Returns: %d,", n)
	}
	if s.handle == "" {
		f.options(s.fn.Options)
	}
	f.types(in.Signature)
	f.handler(s, in, a, zero)
	f.p("})")
}

// paramNames writes the names of the parameters, for errors.
func (f *file) paramNames(sig model.Signature) {
	var out []string
	for i, p := range sig.Params {
		name := p.Name
		if name == "" || name == "_" {
			name = fmt.Sprintf("arg%d", i+1)
		}
		out = append(out, strconv.Quote(name))
	}
	if len(out) > 0 {
		f.p("Params: []string{%s},", strings.Join(out, ", "))
	}
}

// types writes the types of parameters and results, each once.
func (f *file) types(sig model.Signature) {
	seen := names{}
	var out []string
	for _, list := range [][]model.Param{sig.Params, sig.Results} {
		for _, p := range list {
			if t := f.spell(p.Type); !seen[t] {
				seen[t] = true
				out = append(out, f.reflect("TypeFor")+"["+t+"]()")
			}
		}
	}
	if len(out) > 0 {
		f.p("Types: []%s{%s},", f.reflect("Type"), strings.Join(out, ", "))
	}
}

// handler writes the function that runs a call in a worker.
func (f *file) handler(s stubFunc, in *model.Instance, a *model.Actor, zero bool) {
	sig := in.Signature
	taken := f.names.with("ctx", "in", "out", "actor", "err")
	args := make([]string, 0, len(sig.Params))
	read := make([]string, 0, len(sig.Params))
	// The file reserves the names of all parameters, so no import has one.
	for i, p := range sig.Params {
		name := p.Name
		if name == "" || name == "_" || f.means(name) {
			name = taken.fresh(fmt.Sprintf("arg%d", i+1))
		}
		taken[name] = true
		args = append(args, name)
		read = append(read, fmt.Sprintf("%s := %s[%s](in)", name, f.stub("Next"), f.spell(p.Type)))
	}
	switch {
	case s.handle != "":
		f.p("Handler: func(ctx %s, in *%s) (any, error) {", f.context(), f.stub("Args"))
	case s.receiver != "":
		f.p("Handler: func(ctx %s, actor any, in *%s, out *%s) error {", f.context(), f.stub("Args"), f.stub("Results"))
	default:
		f.p("Handler: func(ctx %s, in *%s, out *%s) error {", f.context(), f.stub("Args"), f.stub("Results"))
	}
	for _, line := range read {
		f.p("%s", line)
	}
	if s.handle != "" {
		f.construct(s, sig, args, zero, a)
	} else {
		f.run(s, in, a, args, taken)
	}
	f.p("},")
}

// construct writes the rest of a constructor's handler.
func (f *file) construct(s stubFunc, sig model.Signature, args []string, zero bool, a *model.Actor) {
	f.p("if err := in.Err(); err != nil {\nreturn nil, err\n}")
	call := fmt.Sprintf("%s(%s)", s.fn.Name, callArgs(sig, args))
	switch {
	case zero:
		f.p("return new(%s), nil", a.Name)
	case sig.Fails:
		f.p("return %s", call)
	default:
		f.p("return %s, nil", call)
	}
}

// run writes the rest of the handler of a function or a method.
func (f *file) run(s stubFunc, in *model.Instance, a *model.Actor, args []string, taken names) {
	sig := in.Signature
	f.p("if err := in.Err(); err != nil {\nreturn err\n}")
	callee := s.fn.Name + f.args(in.Args)
	if s.receiver != "" {
		callee = "actor.(*" + a.Name + ")." + s.fn.Name
	}
	call := fmt.Sprintf("%s(%s)", callee, callArgs(sig, args))
	var results []string
	for i := range sig.Results {
		want := "result"
		if len(sig.Results) > 1 {
			want = fmt.Sprintf("result%d", i+1)
		}
		results = append(results, taken.fresh(want))
	}
	switch {
	case sig.Fails && len(results) == 0:
		f.p("if err := %s; err != nil {\nreturn out.Fail(err)\n}", call)
	case sig.Fails:
		f.p("%s, err := %s\nif err != nil {\nreturn out.Fail(err)\n}", strings.Join(results, ", "), call)
	case len(results) == 0:
		f.p("%s", call)
	default:
		f.p("%s := %s", strings.Join(results, ", "), call)
	}
	for _, r := range results {
		f.p("%s(out, %s)", f.stub("Set"), r)
	}
	f.p("return out.Err()")
}

// callArgs writes the arguments of a call of the source's function.
func callArgs(sig model.Signature, args []string) string {
	var out []string
	if sig.Context {
		out = append(out, "ctx")
	}
	out = append(out, args...)
	if sig.Variadic {
		out[len(out)-1] += "..."
	}
	return strings.Join(out, ", ")
}

// means reports whether a name means something else in a handler.
func (f *file) means(name string) bool {
	switch name {
	case "ctx", "in", "out", "actor", "err", f.funcs:
		return true
	default:
		return f.cfg.Scope[name] || types.Universe.Lookup(name) != nil
	}
}

// options writes options.
func (f *file) options(o model.Options) {
	var out []string
	add := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	if o.CPU != nil {
		add("%s(%s)", f.mobula("CPU"), number(*o.CPU))
	}
	if o.GPU != nil {
		add("%s(%s)", f.mobula("GPU"), number(*o.GPU))
	}
	if o.Memory != nil {
		add("%s(%s)", f.mobula("Memory"), bytesOf(*o.Memory))
	}
	for _, r := range o.Resources {
		add("%s(%s, %s)", f.mobula("Resource"), strconv.Quote(r.Name), number(r.Units))
	}
	for _, c := range []struct {
		name  string
		value *int
	}{
		{"MaxRetries", o.MaxRetries}, {"MaxRestarts", o.MaxRestarts}, {"MaxTaskRetries", o.MaxTaskRetries},
		{"MaxPendingCalls", o.MaxPendingCalls}, {"MaxConcurrency", o.MaxConcurrency},
	} {
		if c.value != nil {
			add("%s(%d)", f.mobula(c.name), *c.value)
		}
	}
	if o.RetryErrors {
		var quoted []string
		for _, n := range o.RetryNames {
			quoted = append(quoted, strconv.Quote(n))
		}
		add("%s(%s)", f.mobula("RetryErrors"), strings.Join(quoted, ", "))
	}
	if o.Isolated {
		add("%s()", f.mobula("IsolateProcess"))
	}
	if o.Detached {
		add("%s()", f.mobula("Detached"))
	}
	for _, l := range o.Labels {
		add("%s(%s, %s)", f.mobula("Label"), strconv.Quote(l.Key), strconv.Quote(l.Value))
	}
	if len(out) > 0 {
		f.p("Options: []%s{%s},", f.mobula("Option"), strings.Join(out, ", "))
	}
}

// number writes a number without an exponent.
func number(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }

// bytesOf writes an amount of memory, shifted where that is shorter.
func bytesOf(n int64) string {
	for shift := 40; shift >= 20; shift -= 10 {
		if unit := int64(math.Pow(2, float64(shift))); n > 0 && n%unit == 0 {
			return fmt.Sprintf("%d << %d", n/unit, shift)
		}
	}
	return strconv.FormatInt(n, 10)
}
