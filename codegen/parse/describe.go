package parse

import (
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"slices"
	"strings"

	"github.com/mobula-dev/mobula/codegen/model"
)

// describer describes one package.
type describer struct {
	fset     *token.FileSet
	src      *source
	pkg      *types.Package
	errs     []types.Error
	schemas  *schemas
	problems *problems
	// generated has the names that the generated file declares, and what for.
	generated map[string]string
}

func newDescriber(fset *token.FileSet, c *checker, s *source, ps *problems) *describer {
	d := &describer{fset: fset, src: s, problems: ps, generated: map[string]string{}}
	if s.annotated() {
		n := c.node(s.meta.ID)
		d.pkg, d.errs = n.pkg, n.errs
	}
	d.schemas = &schemas{
		pkg:    d.pkg,
		own:    func(path string) bool { return own(c.list.all[path]) },
		docs:   c.docs(),
		types:  model.Types{},
		faults: map[string]*fault{},
	}
	return d
}

// describe returns the model of the package and the build constraint of its annotated files; nil if nothing is annotated.
func (d *describer) describe() (*model.Package, string) {
	if d.pkg == nil {
		return nil, ""
	}
	m := &model.Package{Path: d.src.meta.PkgPath, Name: d.src.meta.Name, Types: d.schemas.types}
	for _, mark := range d.src.marks.functions {
		if f := d.function(mark); f != nil {
			m.Functions = append(m.Functions, f)
		}
	}
	for _, mark := range d.src.marks.actors {
		if a := d.actor(mark); a != nil {
			m.Actors = append(m.Actors, a)
		}
	}
	d.strayMethods()
	slices.SortFunc(m.Functions, func(a, b *model.Function) int { return strings.Compare(a.Name, b.Name) })
	slices.SortFunc(m.Actors, func(a, b *model.Actor) int { return strings.Compare(a.Name, b.Name) })
	d.predeclared(m)
	build := d.sharedBuild()
	eachInstance(m, func(in *model.Instance) { in.Fingerprint = m.Types.Fingerprint(in) })
	return m, build
}

// eachInstance calls f for everything that is registered.
func eachInstance(m *model.Package, f func(*model.Instance)) {
	each := func(fn *model.Function) {
		for i := range fn.Instances {
			f(&fn.Instances[i])
		}
	}
	for _, fn := range m.Functions {
		each(fn)
	}
	for _, a := range m.Actors {
		for _, c := range a.Constructors {
			each(&c.Function)
		}
		for _, fn := range a.Methods {
			each(fn)
		}
	}
}

// problem adds a problem.
func (d *describer) problem(at token.Pos, code Code, what, why, fix string) {
	d.problems.add(d.fset.Position(at), code, what, why, fix)
}

// options reads the options of directives.
func (d *describer) options(on model.Target, directives []ast.Directive) model.Options {
	var o model.Options
	for _, dir := range directives {
		args, err := dir.ParseArgs()
		if err != nil {
			d.problem(dir.ArgsPos, BadArguments, fmt.Sprintf("the options of //mobula:%s cannot be read", dir.Name), oneLine(err.Error()),
				"separate options by spaces, and quote one that contains spaces as a whole")
			continue
		}
		for _, arg := range args {
			if bad := o.Set(on, arg.Arg); bad != nil {
				d.problem(arg.Pos, optionCodes[bad.Fault], bad.What, bad.Why, bad.Fix)
			}
		}
	}
	return o
}

// optionCodes are the codes of the faults of options.
var optionCodes = map[model.OptionFault]Code{
	model.UnknownOption: UnknownOption, model.BadOptionValue: BadOptionValue,
	model.MisplacedOption: MisplacedOption, model.RepeatedOption: RepeatedOption,
}

// declare notes a name that the generated file declares, and reports it if it is taken.
func (d *describer) declare(at token.Pos, name, purpose string) {
	const why = "one package cannot have both"
	switch {
	case d.src.scope[name]:
		d.problem(at, NameTaken, fmt.Sprintf("the package declares %s, which is to be %s", name, purpose), why, "rename one of them")
	case d.generated[name] != "":
		d.problem(at, NameTaken, fmt.Sprintf("%s would be both %s and %s", name, d.generated[name], purpose), why, "rename one of them")
	default:
		d.generated[name] = purpose
	}
}

// sharedBuild returns the build constraint that all files with annotated declarations share, and reports it if they
// differ: the generated file is one, and mentions all of them.
func (d *describer) sharedBuild() string {
	type declaration struct {
		name  *ast.Ident
		build string
	}
	var all []declaration
	add := func(name *ast.Ident, file *ast.File) {
		all = append(all, declaration{name, d.src.builds[d.fset.Position(file.Package).Filename]})
	}
	actors := map[string]bool{}
	for _, a := range d.src.marks.actors {
		actors[a.spec.Name.Name] = true
		add(a.spec.Name, a.file)
	}
	for _, f := range d.src.marks.functions {
		add(f.decl.Name, f.file)
	}
	for _, f := range d.src.marks.methods {
		if actors[f.receiver()] && f.decl.Name.IsExported() && !f.has(directiveLocal) {
			add(f.decl.Name, f.file)
		}
	}
	builds := map[string]bool{}
	for _, c := range all {
		builds[c.build] = true
	}
	if len(builds) == 1 {
		return all[0].build
	}
	for _, c := range all {
		if c.build != "" {
			d.problem(c.name.Pos(), MixedConstraints, fmt.Sprintf("%s is only built for %s, and other annotated declarations are not", c.name.Name, c.build),
				"the one generated file of the package mentions all of them", "move it to a file that is built like the others, or to a package of its own")
		}
	}
	return ""
}

// predeclared reports package-level names that hide a predeclared word that the generated file needs.
func (d *describer) predeclared(m *model.Package) {
	needed := map[string]bool{"error": true, "nil": true, "string": true, "any": true}
	note := func(t *model.Type) {
		t.Walk(func(t *model.Type) bool {
			needed[t.Kind.Word()] = true
			if t.Name.Path == "" && t.Kind != model.Parameter {
				needed[t.Name.Name] = true
			}
			return true
		})
	}
	eachInstance(m, func(in *model.Instance) {
		for _, p := range slices.Concat(in.Signature.Params, in.Signature.Results) {
			note(p.Type)
		}
	})
	for _, def := range m.Types {
		for _, f := range def.Fields {
			note(f.Type)
		}
	}
	delete(needed, "")
	for _, f := range d.src.files {
		ast.Inspect(f, func(n ast.Node) bool {
			if id, ok := n.(*ast.Ident); ok && needed[id.Name] && d.src.scope[id.Name] && d.declares(id) {
				d.problem(id.Pos(), PredeclaredShadowed, fmt.Sprintf("the package declares its own %s", id.Name),
					"the generated file needs the predeclared one", "rename it")
			}
			return true
		})
	}
}

// declares reports whether an identifier is where the package declares the name.
func (d *describer) declares(id *ast.Ident) bool {
	obj := d.pkg.Scope().Lookup(id.Name)
	return obj != nil && obj.Pos() == id.Pos()
}

// sendable checks that values of a type can be sent. It reports a fault at the place; what is the parameter or result, name
// what the source calls it, and hint what else can be done.
func (d *describer) sendable(t types.Type, at token.Pos, what, name, hint string) bool {
	f := d.schemas.send(t)
	if f == nil {
		if _, f = d.schemas.spell(t); f == nil {
			return true
		}
	}
	if f.unresolved {
		d.unresolved(f, at, what)
		return false
	}
	d.problem(at, CannotBeSent, what+" cannot be sent", f.why(t, name), f.fix()+hint)
	return false
}

// unresolved reports a type that the type checker could not make sense of, in its words.
func (d *describer) unresolved(f *fault, at token.Pos, what string) {
	where := d.fset.Position(at)
	if f.at.IsValid() {
		where = d.fset.Position(f.at)
	}
	why := "the compiler will say why"
	for _, e := range d.errs {
		p := d.fset.Position(e.Pos)
		if p.Filename == where.Filename && p.Line == where.Line && !e.Soft {
			why = oneLine(e.Msg)
			break
		}
	}
	d.problem(at, Unresolved, what+" has a type that cannot be resolved", why, "make the package compile, apart from what is generated")
}

// docs returns the doc comments of the types and fields of the module, by the position of the names.
func (c *checker) docs() map[token.Pos]string {
	c.docsOnce.Do(func() {
		c.docsOf = map[token.Pos]string{}
		for _, s := range c.sources {
			for _, f := range s.files {
				documented(f, c.docsOf)
			}
		}
	})
	return c.docsOf
}

// documented adds the doc comments of the types and fields of a file.
func documented(f *ast.File, out map[token.Pos]string) {
	for _, decl := range f.Decls {
		d, ok := decl.(*ast.GenDecl)
		if !ok || d.Tok != token.TYPE {
			continue
		}
		for _, spec := range d.Specs {
			ts, ok := spec.(*ast.TypeSpec)
			if !ok {
				continue
			}
			if text := docOf(d, ts.Doc); text != "" {
				out[ts.Name.Pos()] = text
			}
			ast.Inspect(ts.Type, func(n ast.Node) bool {
				if field, ok := n.(*ast.Field); ok && field.Doc != nil {
					for _, name := range field.Names {
						out[name.Pos()] = field.Doc.Text()
					}
				}
				return true
			})
		}
	}
}

// docOf returns the text of a type's doc comment, which stands on the declaration if that is not a group.
func docOf(d *ast.GenDecl, doc *ast.CommentGroup) string {
	if doc == nil && !d.Lparen.IsValid() {
		doc = d.Doc
	}
	return doc.Text()
}
