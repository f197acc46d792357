// Package importrules holds the module to its layout: who may import whom, as DESIGN section 12 and docs/ARCHITECTURE.md draw it.
// It reads the import lines of every Go file, whatever its build constraints, so that a rule holds on all platforms and for all
// build tags at once. A rule about a package that does not exist has nothing to say.
package importrules

import (
	"fmt"
	"go/ast"
	"go/build/constraint"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
)

// module is what the rules look at.
type module struct {
	files []file
	// dirs lists the directories that hold Go files, sorted.
	dirs []string
	// deps maps a directory to those that its files import, tests left out.
	deps map[string][]string
}

// file is one Go file. Directories are slash-separated paths below the module's root.
type file struct {
	path, dir string
	// pkg is the name in the package clause, without "_test".
	pkg  string
	test bool
	// local holds the directories of this module that the file imports, foreign the import paths of all else.
	local, foreign []string
	// build is the file's build constraint, nil if it has none.
	build constraint.Expr
}

// within reports whether dir is root or below it.
func within(dir, root string) bool {
	return dir == root || strings.HasPrefix(dir, root+"/")
}

// withinAny reports whether dir is below one of the roots.
func withinAny(dir string, roots ...string) bool {
	return slices.ContainsFunc(roots, func(root string) bool { return within(dir, root) })
}

// load reads a module's files as the go command sees them: without testdata, hidden directories and nested modules, and without
// scripts that say "//go:build ignore".
func load(fsys fs.FS) (*module, error) {
	name, err := moduleName(fsys)
	if err != nil {
		return nil, err
	}
	m := &module{deps: map[string][]string{}}
	err = fs.WalkDir(fsys, ".", func(p string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir():
			return skipDir(fsys, p)
		case path.Ext(p) != ".go" || strings.HasPrefix(d.Name(), "_") || strings.HasPrefix(d.Name(), "."):
			return nil
		}
		f, err := parse(fsys, p, name)
		if err != nil || ignored(f.build) {
			return err
		}
		m.files = append(m.files, f)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read module %s: %w", name, err)
	}
	for _, f := range m.files {
		if !f.test {
			m.deps[f.dir] = append(m.deps[f.dir], f.local...)
		} else if _, ok := m.deps[f.dir]; !ok {
			m.deps[f.dir] = nil
		}
	}
	m.dirs = slices.Sorted(maps.Keys(m.deps))
	return m, nil
}

// moduleName returns the path that go.mod gives the module.
func moduleName(fsys fs.FS) (string, error) {
	b, err := fs.ReadFile(fsys, "go.mod")
	if err != nil {
		return "", fmt.Errorf("read the module's name: %w", err)
	}
	for line := range strings.Lines(string(b)) {
		if name, ok := strings.CutPrefix(line, "module "); ok {
			return strings.TrimSpace(name), nil
		}
	}
	return "", fmt.Errorf("read the module's name: go.mod has no module line")
}

// skipDir returns fs.SkipDir for a directory that does not belong to the module.
func skipDir(fsys fs.FS, dir string) error {
	if dir == "." {
		return nil
	}
	base := path.Base(dir)
	if base == "testdata" || base == "node_modules" || base[0] == '.' || base[0] == '_' {
		return fs.SkipDir
	}
	if _, err := fs.Stat(fsys, path.Join(dir, "go.mod")); err == nil {
		return fs.SkipDir
	}
	return nil
}

// parse reads the head of one file of the named module.
func parse(fsys fs.FS, p, moduleName string) (file, error) {
	src, err := fs.ReadFile(fsys, p)
	if err != nil {
		return file{}, err
	}
	syntax, err := parser.ParseFile(token.NewFileSet(), p, src, parser.ImportsOnly|parser.ParseComments)
	if err != nil {
		return file{}, err
	}
	f := file{
		path:  p,
		dir:   path.Dir(p),
		pkg:   strings.TrimSuffix(syntax.Name.Name, "_test"),
		test:  strings.HasSuffix(p, "_test.go"),
		build: buildConstraint(syntax),
	}
	for _, spec := range syntax.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return file{}, fmt.Errorf("%s: import %s: %w", p, spec.Path.Value, err)
		}
		if dir, ok := strings.CutPrefix(imported, moduleName+"/"); ok {
			f.local = append(f.local, dir)
		} else {
			f.foreign = append(f.foreign, imported)
		}
	}
	return f, nil
}

// buildConstraint returns the constraint above the package clause, nil if there is none.
func buildConstraint(syntax *ast.File) constraint.Expr {
	for _, group := range syntax.Comments {
		if group.Pos() > syntax.Package {
			break
		}
		for _, c := range group.List {
			if expr, err := constraint.Parse(c.Text); err == nil {
				return expr
			}
		}
	}
	return nil
}

// ignored reports whether a constraint keeps a file out of every build, as "ignore" does by convention.
func ignored(expr constraint.Expr) bool {
	return expr != nil && expr.String() == "ignore"
}

// reaches returns how dir comes to import a directory below one of the roots, as the path of imports from dir on, or nil if it
// does not. It looks through packages of the module, tests left out.
func (m *module) reaches(dir string, roots ...string) []string {
	seen := map[string]bool{dir: true}
	queue := [][]string{{dir}}
	for len(queue) > 0 {
		way := queue[0]
		queue = queue[1:]
		last := way[len(way)-1]
		if withinAny(last, roots...) {
			return way
		}
		for _, next := range m.deps[last] {
			if !seen[next] {
				seen[next] = true
				queue = append(queue, append(slices.Clone(way), next))
			}
		}
	}
	return nil
}
