package parse

import (
	"go/ast"
	"go/token"
	"strings"

	"golang.org/x/tools/go/packages"
)

// reduction says what may be removed from packages before they are type-checked.
type reduction struct {
	// methods are the names of methods that count even where their signatures need imports: those that decide how a type
	// is sent, and those that the module's own interfaces, which may be constraints, ask for.
	methods map[string]bool
}

// formMethods are the methods that decide how a type is sent.
var formMethods = []string{
	"MarshalText", "UnmarshalText", "MarshalBinary", "UnmarshalBinary", "ProtoReflect", "MobulaEncodeRef", "MobulaDecodeRef",
}

// newReduction returns the reduction for a module.
func newReduction(sources map[string]*source) *reduction {
	r := &reduction{methods: map[string]bool{}}
	for _, name := range formMethods {
		r.methods[name] = true
	}
	for _, s := range sources {
		for _, f := range s.files {
			ast.Inspect(f, func(n ast.Node) bool {
				if it, ok := n.(*ast.InterfaceType); ok {
					for _, m := range it.Methods.List {
						for _, name := range m.Names {
							r.methods[name.Name] = true
						}
					}
				}
				return true
			})
		}
	}
	return r
}

// reduce removes from a file what cannot change how a signature's types are sent: bodies, functions, variables, the types
// of unexported fields, in other modules most methods that need imports, and then the imports that nothing uses any more.
// What is left are types, methods, constants, and in a package of the module, whose source s is then given, the functions
// that are annotated or make an actor. A nil reduction removes nothing: it is the oracle of a test.
func (r *reduction) reduce(f *ast.File, meta *packages.Package, s *source) {
	if r == nil {
		return
	}
	keep := map[*ast.FuncDecl]bool{}
	if s != nil {
		for _, list := range [][]*functionMark{s.marks.functions, s.marks.constructors} {
			for _, m := range list {
				keep[m.decl] = true
			}
		}
	}
	measured := measured(f)
	decls := f.Decls[:0:0]
	for _, decl := range f.Decls {
		switch d := decl.(type) {
		case *ast.FuncDecl:
			d.Body = nil
			if d.Recv == nil && !keep[d] || d.Recv != nil && s == nil && !r.methods[d.Name.Name] && importing(d) {
				continue
			}
		case *ast.GenDecl:
			if d.Tok == token.VAR && !mentions(d, measured) {
				continue
			}
		}
		decls = append(decls, decl)
	}
	f.Decls = decls
	hideFields(f)
	reduceImports(f, meta, s)
}

// importing reports whether a method's signature mentions an import.
func importing(d *ast.FuncDecl) bool {
	found := false
	ast.Inspect(d.Type, func(n ast.Node) bool {
		if _, ok := n.(*ast.SelectorExpr); ok {
			found = true
		}
		return !found
	})
	return found
}

// hideFields makes numbers of all unexported fields. They are not sent, so only their names matter, which say that
// something is not sent.
func hideFields(f *ast.File) {
	hide := func(n ast.Node) bool {
		st, ok := n.(*ast.StructType)
		if !ok {
			return true
		}
		for _, field := range st.Fields.List {
			hidden := len(field.Names) > 0
			for _, name := range field.Names {
				hidden = hidden && !name.IsExported()
			}
			if hidden {
				field.Type = &ast.Ident{NamePos: field.Type.Pos(), Name: "int"}
			}
		}
		return true
	}
	for _, decl := range f.Decls {
		if d, ok := decl.(*ast.GenDecl); ok && d.Tok == token.TYPE {
			ast.Inspect(d, hide)
		}
	}
}

// measured returns the variables whose length or size an expression of the file takes: the length of an array is a
// constant, on which types can depend.
func measured(f *ast.File) map[string]bool {
	out := map[string]bool{}
	for _, decl := range f.Decls {
		d, ok := decl.(*ast.GenDecl)
		if !ok || d.Tok == token.VAR || d.Tok == token.IMPORT {
			continue
		}
		ast.Inspect(d, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			for _, arg := range call.Args {
				if x, ok := arg.(*ast.Ident); ok {
					out[x.Name] = true
				}
			}
			return true
		})
	}
	return out
}

// mentions reports whether a declaration of variables declares one of the names.
func mentions(d *ast.GenDecl, names map[string]bool) bool {
	if len(names) == 0 {
		return false
	}
	for _, spec := range d.Specs {
		if vs, ok := spec.(*ast.ValueSpec); ok {
			for _, n := range vs.Names {
				if names[n.Name] {
					return true
				}
			}
		}
	}
	return false
}

// reduceImports removes imports whose name no declaration mentions.
func reduceImports(f *ast.File, meta *packages.Package, s *source) {
	used := map[string]bool{}
	for _, decl := range f.Decls {
		if d, ok := decl.(*ast.GenDecl); ok && d.Tok == token.IMPORT {
			continue
		}
		ast.Inspect(decl, func(n ast.Node) bool {
			if sel, ok := n.(*ast.SelectorExpr); ok {
				if x, ok := sel.X.(*ast.Ident); ok {
					used[x.Name] = true
				}
			}
			return true
		})
	}
	needed := func(spec *ast.ImportSpec) bool {
		name := importName(spec, meta)
		return name == "." || used[name] || s != nil && s.imports[name]
	}
	decls := f.Decls[:0:0]
	for _, decl := range f.Decls {
		d, ok := decl.(*ast.GenDecl)
		if !ok || d.Tok != token.IMPORT {
			decls = append(decls, decl)
			continue
		}
		specs := d.Specs[:0:0]
		for _, spec := range d.Specs {
			if is, ok := spec.(*ast.ImportSpec); ok && needed(is) {
				specs = append(specs, spec)
			}
		}
		if d.Specs = specs; len(specs) > 0 {
			decls = append(decls, decl)
		}
	}
	f.Decls = decls
	imports := f.Imports[:0:0]
	for _, spec := range f.Imports {
		if needed(spec) {
			imports = append(imports, spec)
		}
	}
	f.Imports = imports
}

// importName returns the name by which a file refers to an import.
func importName(spec *ast.ImportSpec, meta *packages.Package) string {
	if spec.Name != nil {
		return spec.Name.Name
	}
	path := importPath(spec)
	if p := meta.Imports[path]; p != nil && p.Name != "" {
		return p.Name
	}
	return path[strings.LastIndexByte(path, '/')+1:]
}
