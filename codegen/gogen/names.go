package gogen

import (
	"bytes"
	"fmt"
	"go/token"
	"go/types"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/mobula-dev/mobula/codegen/model"
)

// names are identifiers that are taken in some scope.
type names map[string]bool

// fresh returns the identifier, or the first with a number after it that is not taken, and takes it.
func (n names) fresh(want string) string {
	name := want
	for i := 2; n[name] || token.IsKeyword(name); i++ {
		name = want + strconv.Itoa(i)
	}
	n[name] = true
	return name
}

// with returns a copy in which more are taken.
func (n names) with(more ...string) names {
	out := maps.Clone(n)
	for _, m := range more {
		out[m] = true
	}
	return out
}

// reserved returns what the file itself cannot declare or import: what the package and the universe declare, what the
// stubs declare, and what any signature calls a parameter.
func reserved(m *model.Package, scope map[string]bool) names {
	n := names{}
	for name := range scope {
		n[name] = true
	}
	for _, name := range types.Universe.Names() {
		n[name] = true
	}
	each := func(fn *model.Function) {
		n[fn.Name+"Remote"], n[fn.Name+"Refs"] = true, true
		for _, p := range slices.Concat(fn.Signature.Params, fn.Signature.Results) {
			n[p.Name] = true
		}
		for _, p := range fn.TypeParams {
			n[p.Name] = true
		}
	}
	for _, fn := range m.Functions {
		each(fn)
	}
	for _, a := range m.Actors {
		n[a.Name+"Handle"], n["Get"+a.Name] = true, true
		for _, c := range a.Constructors {
			each(&c.Function)
		}
		for _, fn := range a.Methods {
			each(fn)
		}
	}
	return n
}

// use returns the local name of a package, and imports it.
func (f *file) use(path, name string) string {
	if local, ok := f.imports[path]; ok {
		return local
	}
	local := name
	if f.names[local] || token.IsKeyword(local) {
		local = name + "pkg"
	}
	local = f.names.fresh(local)
	f.imports[path], f.packages[path] = local, name
	return local
}

// context returns "context.Context", and mobula, stub, reflect and fmt return "package.Name".
func (f *file) context() string            { return f.use("context", "context") + ".Context" }
func (f *file) mobula(name string) string  { return f.use(mobulaPath, "mobula") + "." + name }
func (f *file) stub(name string) string    { return f.use(stubPath, "stub") + "." + name }
func (f *file) reflect(name string) string { return f.use("reflect", "reflect") + "." + name }
func (f *file) fmt(name string) string     { return f.use("fmt", "fmt") + "." + name }

// writeImports writes the import declaration: the standard library first.
func (f *file) writeImports(b *bytes.Buffer) {
	var std, other []string
	for path, local := range f.imports {
		spec := strconv.Quote(path)
		if base := path[strings.LastIndexByte(path, '/')+1:]; local != base || f.packages[path] != base {
			spec = local + " " + spec
		}
		if first, _, _ := strings.Cut(path, "/"); strings.Contains(first, ".") || f.blank == path {
			other = append(other, spec)
		} else {
			std = append(std, spec)
		}
	}
	if f.blank != "" && f.imports[f.blank] == "" {
		other = append(other, "_ "+strconv.Quote(f.blank))
	}
	byPath := func(x, y string) int {
		return strings.Compare(x[strings.IndexByte(x, '"'):], y[strings.IndexByte(y, '"'):])
	}
	slices.SortFunc(std, byPath)
	slices.SortFunc(other, byPath)
	switch {
	case len(std)+len(other) == 0:
	case len(std)+len(other) == 1:
		fmt.Fprintf(b, "import %s\n\n", strings.Join(append(std, other...), ""))
	default:
		b.WriteString("import (\n")
		b.WriteString(strings.Join(std, "\n") + "\n\n" + strings.Join(other, "\n"))
		b.WriteString("\n)\n\n")
	}
}
