package parse

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"regexp"
	"slices"
	"strings"

	"github.com/mobula-dev/mobula/codegen/model"
)

// function describes a remote function; nil if it cannot be one.
func (d *describer) function(mark *functionMark) *model.Function {
	decl := mark.decl
	name := decl.Name.Name
	sig := d.signatureOf(decl)
	if sig == nil {
		return nil
	}
	f := &model.Function{Name: name, Doc: decl.Doc.Text(), Options: d.options(model.OnTask, mark.directives[directiveRemote])}
	if returns := actorOf(sig, d.src.marks.actors); returns != "" && strings.HasPrefix(name, "New") {
		d.problem(decl.Name.Pos(), DuplicateDirective, fmt.Sprintf("function %s is a constructor of actor %s", name, returns),
			"constructors are remote anyway, and make an actor rather than a value", "remove //mobula:remote")
		return nil
	}
	d.declare(decl.Name.Pos(), name+"Remote", "the stub of "+name)
	if sig.Params().Len() > 0 {
		d.declare(decl.Name.Pos(), name+"Refs", "the stub of "+name+" for refs")
	}
	id := d.src.meta.PkgPath + "." + name
	instances := mark.directives[directiveInstantiate]
	if sig.TypeParams().Len() > 0 {
		return d.generic(f, decl, sig, id, instances)
	}
	if len(instances) > 0 {
		d.problem(instances[0].Slash, BadInstantiation, fmt.Sprintf("function %s has no type parameters", name),
			"there is nothing to instantiate", "remove //mobula:instantiate")
	}
	s, ok := d.signature(decl, sig, "function "+name, "")
	if !ok {
		return nil
	}
	f.Signature = s
	f.Instances = []model.Instance{{ID: id, Signature: s}}
	return f
}

// signatureOf returns the type of a function or method; nil if the type checker has none, which is a problem.
func (d *describer) signatureOf(decl *ast.FuncDecl) *types.Signature {
	var obj types.Object
	if decl.Recv == nil {
		obj = d.pkg.Scope().Lookup(decl.Name.Name)
	} else {
		obj = d.methodObject(decl)
	}
	fn, ok := obj.(*types.Func)
	if !ok || fn.Pos() != decl.Name.Pos() {
		d.problem(decl.Name.Pos(), Unresolved, fmt.Sprintf("%s is declared twice", decl.Name.Name), "the compiler refuses that", "rename one of the two")
		return nil
	}
	return fn.Signature()
}

// methodObject returns the method that a declaration declares; nil if there is none.
func (d *describer) methodObject(decl *ast.FuncDecl) types.Object {
	recv, ok := d.pkg.Scope().Lookup((&functionMark{decl: decl}).receiver()).(*types.TypeName)
	if !ok {
		return nil
	}
	named, ok := recv.Type().(*types.Named)
	if !ok {
		return nil
	}
	for m := range named.Methods() {
		if m.Pos() == decl.Name.Pos() {
			return m
		}
	}
	return nil
}

// signature describes a signature without type parameters. What names the function in problems, and hint says what else
// can be done about them.
func (d *describer) signature(decl *ast.FuncDecl, sig *types.Signature, what, hint string) (model.Signature, bool) {
	out, ok := d.shape(decl, sig, what)
	params, results := payload(sig, out)
	ok = d.checkAll(params, positions(decl.Type.Params, out.Context), "parameter", what, hint) && ok
	ok = d.checkAll(results, positions(decl.Type.Results, false), "result", what, hint) && ok
	if !ok {
		return out, false
	}
	out.Params, out.Results = d.spellAll(params), d.spellAll(results)
	return out, true
}

// shape finds the context and the error of a signature, and reports those that are elsewhere.
func (d *describer) shape(decl *ast.FuncDecl, sig *types.Signature, what string) (model.Signature, bool) {
	out := model.Signature{Variadic: sig.Variadic()}
	ok := true
	at := positions(decl.Type.Params, false)
	for i := range sig.Params().Len() {
		if !isContext(sig.Params().At(i).Type()) {
			continue
		}
		if i == 0 {
			out.Context = true
			continue
		}
		d.problem(at[i], MisplacedContext, fmt.Sprintf("%s takes its context as parameter %d", what, i+1),
			"a context is not sent; the runtime makes one for the first parameter", "make it the first parameter")
		ok = false
	}
	last := sig.Results().Len() - 1
	at = positions(decl.Type.Results, false)
	for i := range sig.Results().Len() {
		switch t := sig.Results().At(i).Type(); {
		case types.Unalias(t) != errorType:
		case i == last:
			out.Fails = true
		default:
			d.problem(at[i], MisplacedError, fmt.Sprintf("%s returns an error as result %d of %d", what, i+1, last+1),
				"only the last result decides whether the call failed", "make it the last result")
			ok = false
		}
	}
	return out, ok
}

// isContext reports whether a type is context.Context.
func isContext(t types.Type) bool { return pathName(t) == "context.Context" }

// payload returns what is sent of a signature: all but the context and the error.
func payload(sig *types.Signature, s model.Signature) (params, results []*types.Var) {
	params, results = vars(sig.Params()), vars(sig.Results())
	if s.Context {
		params = params[1:]
	}
	if s.Fails {
		results = results[:len(results)-1]
	}
	return params, results
}

func vars(t *types.Tuple) []*types.Var {
	out := make([]*types.Var, 0, t.Len())
	for v := range t.Variables() {
		out = append(out, v)
	}
	return out
}

// positions returns where the type of each parameter is, without that of the first if skip is set.
func positions(list *ast.FieldList, skip bool) []token.Pos {
	var out []token.Pos
	if list == nil {
		return nil
	}
	for _, field := range list.List {
		for range max(1, len(field.Names)) {
			out = append(out, field.Type.Pos())
		}
	}
	if skip && len(out) > 0 {
		out = out[1:]
	}
	return out
}

// checkAll checks that parameters or results can be sent.
func (d *describer) checkAll(list []*types.Var, at []token.Pos, role, of, hint string) bool {
	ok := true
	for i, v := range list {
		if isContext(v.Type()) {
			continue // reported by shape
		}
		name := v.Name()
		what := fmt.Sprintf("%s %s of %s", role, name, of)
		if name == "" || name == "_" {
			what, name = fmt.Sprintf("%s %d of %s", role, i+1, of), "value"
		}
		ok = d.sendable(v.Type(), at[i], what, name, hint) && ok
	}
	return ok
}

// spellAll describes parameters or results that are known to be sendable.
func (d *describer) spellAll(list []*types.Var) []model.Param {
	var out []model.Param
	for _, v := range list {
		t, _ := d.schemas.spell(v.Type()) // checked by sendable
		out = append(out, model.Param{Name: v.Name(), Type: t})
	}
	return out
}

// generic describes a generic function by its instantiations.
func (d *describer) generic(f *model.Function, decl *ast.FuncDecl, sig *types.Signature, id string, directives []ast.Directive) *model.Function {
	if len(directives) == 0 {
		d.problem(decl.Name.Pos(), NotInstantiated, fmt.Sprintf("function %s has type parameters", f.Name),
			"a worker can only call instantiations that were compiled into it", fmt.Sprintf("list them, as in //mobula:instantiate %s[%s]", f.Name, exampleArgs(sig)))
		return nil
	}
	ok := d.typeParams(f, decl, sig)
	shape, fits := d.shape(decl, sig, "function "+f.Name)
	if !ok || !fits {
		return nil
	}
	f.Signature = shape
	var seen []*types.Signature
	for _, dir := range directives {
		inst, args := d.instantiate(decl, dir)
		if inst == nil {
			ok = false
			continue
		}
		if slices.ContainsFunc(seen, func(s *types.Signature) bool { return types.Identical(s, inst) }) && d.repeats(f, args) {
			d.problem(dir.Slash, DuplicateDirective, fmt.Sprintf("%s is listed twice", dir.Args), "one line is enough", "remove this line")
			continue
		}
		seen = append(seen, inst)
		s, fits := d.signature(decl, inst, "function "+dir.Args, "")
		ok = ok && fits
		list, bad := d.schemas.spellArgs(args)
		if bad != nil {
			d.problem(dir.ArgsPos, CannotBeSent, "a type argument of "+dir.Args+" cannot be written down", bad.why(args.At(0), "value"), "use another type")
			ok = false
			continue
		}
		f.Instances = append(f.Instances, model.Instance{ID: id + argsID(list), Args: list, Signature: s})
	}
	if !ok {
		return nil
	}
	params, results := payload(sig, shape)
	f.Signature.Params, f.Signature.Results = d.spellAll(params), d.spellAll(results)
	slices.SortFunc(f.Instances, func(a, b model.Instance) int { return strings.Compare(a.ID, b.ID) })
	return f
}

// argsID returns type arguments as they end the identity of an instantiation.
func argsID(args []*model.Type) string {
	ids := make([]string, 0, len(args))
	for _, a := range args {
		ids = append(ids, a.ID())
	}
	return "[" + strings.Join(ids, ",") + "]"
}

// repeats reports whether a function has an instance with the arguments.
func (d *describer) repeats(f *model.Function, args *types.TypeList) bool {
	list, bad := d.schemas.spellArgs(args)
	return bad == nil && slices.ContainsFunc(f.Instances, func(in model.Instance) bool { return argsID(in.Args) == argsID(list) })
}

// exampleArgs returns as many types as a signature has parameters, for an example.
func exampleArgs(sig *types.Signature) string {
	return strings.TrimSuffix(strings.Repeat("float64, ", sig.TypeParams().Len()), ", ")
}

// typeParams describes the type parameters of a generic function.
func (d *describer) typeParams(f *model.Function, decl *ast.FuncDecl, sig *types.Signature) bool {
	ok := true
	for p := range sig.TypeParams().TypeParams() {
		c := d.schemas.constraint(p.Constraint())
		if c == nil {
			d.problem(decl.Type.TypeParams.Pos(), GenericNotSupported, fmt.Sprintf("the constraint of type parameter %s of %s cannot be repeated in the stub", p.Obj().Name(), f.Name),
				"it is written in place and is not a union of types", "declare it as a type and use its name")
			ok = false
		}
		f.TypeParams = append(f.TypeParams, model.TypeParam{Name: p.Obj().Name(), Constraint: c})
	}
	return ok
}

// instantiate resolves one //mobula:instantiate line; nil if it cannot be resolved, which is a problem.
func (d *describer) instantiate(decl *ast.FuncDecl, dir ast.Directive) (*types.Signature, *types.TypeList) {
	name := decl.Name.Name
	refuse := func(why string) (*types.Signature, *types.TypeList) {
		d.problem(dir.ArgsPos, BadInstantiation, fmt.Sprintf("%q is not an instantiation of %s", dir.Args, name), why,
			fmt.Sprintf("write %s with a type for each of its parameters, as in %s[float64], and import what the types need", name, name))
		return nil, nil
	}
	expr, err := parser.ParseExpr(dir.Args)
	if err != nil {
		return refuse("it is no Go expression")
	}
	ident := instantiated(expr)
	if id, ok := expr.(*ast.Ident); ok && id.Name == name {
		return refuse("it says no types")
	}
	if ident == nil || ident.Name != name {
		return refuse("it does not name the function")
	}
	info := &types.Info{Instances: map[*ast.Ident]types.Instance{}}
	if err := types.CheckExpr(d.fset, d.pkg, decl.Name.Pos(), expr, info); err != nil {
		msg := err.Error()
		if te, ok := errors.AsType[types.Error](err); ok {
			msg = te.Msg
		}
		return refuse(declaredAt.ReplaceAllString(oneLine(msg), ""))
	}
	inst, ok := info.Instances[ident]
	sig, isSig := inst.Type.(*types.Signature)
	if !ok || !isSig {
		return refuse("it does not say all types")
	}
	return sig, inst.TypeArgs
}

// declaredAt is where the type checker says that something is declared, with a path that differs from machine to machine.
var declaredAt = regexp.MustCompile(` \(declared at [^)]*\)`)

// instantiated returns the name before the brackets of an instantiation; nil if there are none.
func instantiated(expr ast.Expr) *ast.Ident {
	var x ast.Expr
	switch e := expr.(type) {
	case *ast.IndexExpr:
		x = e.X
	case *ast.IndexListExpr:
		x = e.X
	}
	ident, _ := x.(*ast.Ident)
	return ident
}
