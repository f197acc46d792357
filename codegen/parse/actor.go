package parse

import (
	"fmt"
	"go/ast"
	"go/types"
	"slices"
	"strings"

	"github.com/mobula-dev/mobula/codegen/model"
)

// actor describes an actor; nil if it cannot be one.
func (d *describer) actor(mark *actorMark) *model.Actor {
	name := mark.spec.Name.Name
	if !d.canBeActor(mark) {
		return nil
	}
	a := &model.Actor{
		Name: name, ID: d.src.meta.PkgPath + "." + name, Doc: mark.doc.Text(),
		Options: d.options(model.OnActor, []ast.Directive{mark.directive}),
	}
	d.declare(mark.spec.Name.Pos(), name+"Handle", "the handle of actor "+name)
	d.declare(mark.spec.Name.Pos(), "Get"+name, "the lookup of actor "+name)
	d.constructors(a, mark)
	for _, m := range d.src.marks.methods {
		if m.receiver() == name {
			if f := d.method(a, m); f != nil {
				a.Methods = append(a.Methods, f)
			}
		}
	}
	slices.SortFunc(a.Methods, func(x, y *model.Function) int { return strings.Compare(x.Name, y.Name) })
	return a
}

// canBeActor checks the declaration of an actor.
func (d *describer) canBeActor(mark *actorMark) bool {
	spec := mark.spec
	name := spec.Name.Name
	refuse := func(code Code, what, why, fix string) bool {
		d.problem(spec.Name.Pos(), code, what, why, fix)
		return false
	}
	switch {
	case !spec.Name.IsExported():
		return refuse(Unexported, fmt.Sprintf("type %s is not exported", name), "other processes make and call it by its name", "rename it to "+exported(name))
	case spec.TypeParams != nil:
		return refuse(GenericNotSupported, fmt.Sprintf("actor %s has type parameters", name), "an actor is one class that other languages can name",
			"declare a type without parameters that embeds an instance of it, with the methods to call")
	case spec.Assign.IsValid():
		return refuse(NotAStruct, fmt.Sprintf("%s is an alias", name), "an actor is a struct type of this package", "put //mobula:actor on the type that it stands for")
	}
	obj, ok := d.pkg.Scope().Lookup(name).(*types.TypeName)
	if !ok || obj.Pos() != spec.Name.Pos() {
		return refuse(Unresolved, fmt.Sprintf("%s is declared twice", name), "the compiler refuses that", "rename one of the two")
	}
	if _, ok := obj.Type().Underlying().(*types.Struct); !ok {
		return refuse(NotAStruct, fmt.Sprintf("type %s is not a struct", name), "an actor is a struct with its state in its fields", "make it a struct, or remove //mobula:actor")
	}
	return true
}

// actorOf returns the name of the actor, among those given, to which a signature returns a pointer, alone or with an
// error; empty if it returns something else.
func actorOf(sig *types.Signature, actors []*actorMark) string {
	return returned(sig, actors, true)
}

// returned returns the name of the actor that a signature returns, by pointer or by value.
func returned(sig *types.Signature, actors []*actorMark, pointer bool) string {
	n := sig.Results().Len()
	if n < 1 || n > 2 || n == 2 && types.Unalias(sig.Results().At(1).Type()) != errorType {
		return ""
	}
	t := types.Unalias(sig.Results().At(0).Type())
	if p, ok := t.(*types.Pointer); ok != pointer {
		return ""
	} else if ok {
		t = types.Unalias(p.Elem())
	}
	named, ok := t.(*types.Named)
	if !ok {
		return ""
	}
	for _, a := range actors {
		if a.spec.Name.Pos() == named.Obj().Pos() {
			return a.spec.Name.Name
		}
	}
	return ""
}

// constructors describes the constructors of an actor: the exported functions New… that return a pointer to it.
func (d *describer) constructors(a *model.Actor, mark *actorMark) {
	excluded, broken := 0, 0
	for _, m := range d.src.marks.constructors {
		if !m.decl.Name.IsExported() || m.has(directiveRemote) {
			continue
		}
		sig := d.signatureOf(m.decl)
		switch {
		case sig == nil:
			broken++
		case m.has(directiveLocal):
			if actorOf(sig, d.src.marks.actors) == a.Name {
				excluded++
			}
		case actorOf(sig, d.src.marks.actors) == a.Name:
			if c := d.constructor(m, sig); c != nil {
				a.Constructors = append(a.Constructors, c)
			} else {
				broken++
			}
		case returned(sig, d.src.marks.actors, false) == a.Name:
			d.problem(m.decl.Name.Pos(), NotAConstructor, fmt.Sprintf("function %s returns %s by value", m.decl.Name.Name, a.Name),
				"a constructor of an actor returns a pointer, so this is none", fmt.Sprintf("return *%s, or exclude it with //mobula:local", a.Name))
			broken++
		}
	}
	switch {
	case len(a.Constructors) > 0 || broken > 0:
	case excluded > 0:
		d.problem(mark.spec.Name.Pos(), NoConstructor, fmt.Sprintf("actor %s has no constructor left", a.Name),
			"all are excluded with //mobula:local, so that nobody could make one", "allow one of them, or add another")
	default:
		name := "New" + a.Name
		c := &model.Constructor{Zero: true}
		c.Name = name
		c.Instances = []model.Instance{{ID: d.src.meta.PkgPath + "." + name}}
		a.Constructors = []*model.Constructor{c}
		d.declare(mark.spec.Name.Pos(), name+"Remote", "the constructor of actor "+a.Name)
	}
	slices.SortFunc(a.Constructors, func(x, y *model.Constructor) int { return strings.Compare(x.Name, y.Name) })
}

// constructor describes a constructor; nil if it cannot be remote.
func (d *describer) constructor(m *functionMark, sig *types.Signature) *model.Constructor {
	name := m.decl.Name.Name
	const hint = ", or exclude the constructor with //mobula:local"
	if sig.TypeParams().Len() > 0 {
		d.problem(m.decl.Name.Pos(), GenericNotSupported, fmt.Sprintf("constructor %s has type parameters", name),
			"a worker can only call what was compiled into it", "add a constructor without them, and exclude this one with //mobula:local")
		return nil
	}
	shape, ok := d.shape(m.decl, sig, "constructor "+name)
	params, _ := payload(sig, shape)
	ok = d.checkAll(params, positions(m.decl.Type.Params, shape.Context), "parameter", "constructor "+name, hint) && ok
	if !ok {
		return nil
	}
	shape.Params = d.spellAll(params)
	d.declare(m.decl.Name.Pos(), name+"Remote", "the stub of constructor "+name)
	if len(params) > 0 {
		d.declare(m.decl.Name.Pos(), name+"Refs", "the stub of constructor "+name+" for refs")
	}
	c := &model.Constructor{}
	c.Name, c.Doc, c.Signature = name, m.decl.Doc.Text(), shape
	c.Instances = []model.Instance{{ID: d.src.meta.PkgPath + "." + name, Signature: shape}}
	return c
}

// method describes a method of an actor; nil if it is not remote.
func (d *describer) method(a *model.Actor, m *functionMark) *model.Function {
	name := m.decl.Name.Name
	if !m.decl.Name.IsExported() || m.has(directiveLocal) {
		d.uselessDirectives(m, a.Name)
		return nil
	}
	sig := d.signatureOf(m.decl)
	if sig == nil {
		return nil
	}
	f := &model.Function{Name: name, Doc: m.decl.Doc.Text(), Options: d.options(model.OnMethod, m.directives[directiveMethod])}
	s, ok := d.signature(m.decl, sig, "method "+a.Name+"."+name, ", or exclude the method with //mobula:local")
	if !ok {
		return nil
	}
	f.Signature = s
	f.Instances = []model.Instance{{ID: a.ID + "." + name, Signature: s}}
	return f
}

// uselessDirectives reports the directives of a method that is not remote: they would be ignored.
func (d *describer) uselessDirectives(m *functionMark, actor string) {
	name := m.decl.Name.Name
	if !m.decl.Name.IsExported() {
		for _, list := range m.directives {
			d.problem(list[0].Slash, Unexported, fmt.Sprintf("method %s.%s is not exported", actor, name), "only exported methods are remote", "rename it to "+exported(name)+", or remove the directive")
		}
		return
	}
	if m.has(directiveMethod) {
		d.problem(m.directives[directiveMethod][0].Slash, DuplicateDirective, fmt.Sprintf("method %s.%s has options and is local", actor, name), "it cannot be both", "remove one of the directives")
	}
}

// strayMethods reports directives on methods of types that are not actors, and on constructors of none.
func (d *describer) strayMethods() {
	actors := map[string]bool{}
	for _, a := range d.src.marks.actors {
		actors[a.spec.Name.Name] = true
	}
	for _, m := range d.src.marks.methods {
		if actors[m.receiver()] {
			continue
		}
		for _, list := range m.directives {
			d.problem(list[0].Slash, MisplacedDirective, fmt.Sprintf("//mobula:%s is on a method of %s, which is not an actor", list[0].Name, m.receiver()),
				whereTo[list[0].Name], "put //mobula:actor on the type, or remove this directive")
		}
	}
	for _, m := range d.src.marks.constructors {
		if !m.has(directiveLocal) || m.has(directiveRemote) {
			continue
		}
		sig := d.signatureOf(m.decl)
		if sig != nil && actorOf(sig, d.src.marks.actors) == "" && returned(sig, d.src.marks.actors, false) == "" {
			list := m.directives[directiveLocal]
			d.problem(list[0].Slash, MisplacedDirective, fmt.Sprintf("//mobula:local is on %s, which makes no actor", m.decl.Name.Name), whereTo[directiveLocal], "remove it")
		}
	}
}
