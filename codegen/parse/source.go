package parse

import (
	"context"
	"errors"
	"go/ast"
	"go/parser"
	"go/scanner"
	"go/token"
	"os"
	"path/filepath"
	"runtime"
	"sync"

	"golang.org/x/sync/errgroup"
	"golang.org/x/tools/go/packages"
)

// source is a parsed package of the module that is being worked on.
type source struct {
	meta *packages.Package
	// files are the files without ours, with comments, in the order of their names.
	files []*ast.File
	// marks are what the directives of the files annotate.
	marks marks
	// scope and externalScope have the identifiers at package level of the package and of its external tests.
	scope, externalScope map[string]bool
	// builds are the build constraints of the files, by name; "" for none.
	builds map[string]string
	// build, internalBuild and externalBuild are the build constraints that all files of the package, of its tests and of
	// its external tests share; "" if they do not.
	build, internalBuild, externalBuild string
	// imports are the names of imports that only directives mention.
	imports map[string]bool
}

// annotated reports whether anything in the package is remote.
func (s *source) annotated() bool {
	return len(s.marks.functions)+len(s.marks.actors) > 0
}

// parseOwn parses the packages of the main module among those listed, and finds their directives.
func (r *run) parseOwn(ctx context.Context) map[string]*source {
	sources := map[string]*source{}
	var mu sync.Mutex // guards sources
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.GOMAXPROCS(0))
	for path, meta := range r.list.all {
		if !own(meta) {
			continue
		}
		group.Go(func() error {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			s := r.parsePackage(meta)
			mu.Lock()
			defer mu.Unlock()
			sources[path] = s
			return nil
		})
	}
	_ = group.Wait() // the only error is the context's, which Load returns
	r.list.annotates = func(path string) bool { return sources[path] != nil && sources[path].annotated() }
	return sources
}

// parsePackage parses a package and its tests.
func (r *run) parsePackage(meta *packages.Package) *source {
	s := &source{
		meta: meta, scope: map[string]bool{}, externalScope: map[string]bool{},
		builds: map[string]string{}, imports: map[string]bool{},
	}
	var builds, internalBuilds, externalBuilds []string
	for _, path := range meta.GoFiles {
		f := r.parseFile(path)
		if f == nil {
			continue
		}
		s.files = append(s.files, f)
		declared(f, s.scope)
		s.builds[path] = constraintOf(path, f)
		builds = append(builds, s.builds[path])
		s.scan(r.fset, f, &r.problems)
	}
	if t := r.list.tests[meta.PkgPath]; t != nil {
		internalBuilds = r.parseTests(t.internal, s.scope)
		externalBuilds = r.parseTests(t.external, s.externalScope)
	}
	s.build, s.internalBuild, s.externalBuild = shared(builds), shared(internalBuilds), shared(externalBuilds)
	return s
}

// parseTests parses test files for their names and for directives, which have no business there; it returns the build
// constraints of the files.
func (r *run) parseTests(paths []string, scope map[string]bool) []string {
	var builds []string
	for _, path := range paths {
		if f := r.parseFile(path); f != nil {
			declared(f, scope)
			builds = append(builds, constraintOf(path, f))
			scanTest(r.fset, f, &r.problems)
		}
	}
	return builds
}

// parseFile parses a file. It returns nil for one of ours and for one that cannot be parsed, which is a problem.
func (r *run) parseFile(path string) *ast.File {
	content, err := os.ReadFile(path)
	if err != nil {
		r.problems.add(token.Position{Filename: path}, FileFailed, "the file cannot be read", oneLine(err.Error()), "make it readable")
		return nil
	}
	switch filepath.Base(path) {
	case StubFile, MainFile, TestFile:
		if HasHeader(content) {
			return nil
		}
	}
	f, err := parser.ParseFile(r.fset, path, content, parser.ParseComments|parser.SkipObjectResolution)
	if err == nil {
		return f
	}
	var list scanner.ErrorList
	if errors.As(err, &list) && len(list) > 0 {
		// Later errors are mostly consequences of the first.
		r.problems.add(list[0].Pos, SyntaxError, "the file cannot be parsed", list[0].Msg, "correct the syntax")
	} else {
		r.problems.add(token.Position{Filename: path}, SyntaxError, "the file cannot be parsed", oneLine(err.Error()), "correct the syntax")
	}
	return nil
}

// declared adds the identifiers that a file declares at package level.
func declared(f *ast.File, scope map[string]bool) {
	for _, decl := range f.Decls {
		switch d := decl.(type) {
		case *ast.FuncDecl:
			if d.Recv == nil && d.Name.Name != "init" && d.Name.Name != "_" {
				scope[d.Name.Name] = true
			}
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				switch sp := spec.(type) {
				case *ast.TypeSpec:
					scope[sp.Name.Name] = true
				case *ast.ValueSpec:
					for _, n := range sp.Names {
						scope[n.Name] = true
					}
				}
			}
		}
	}
	delete(scope, "_")
}
