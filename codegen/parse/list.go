package parse

import (
	"bytes"
	"context"
	"fmt"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/tools/go/packages"
)

// listing is what the go command says about the packages that the patterns match, and all that they import.
type listing struct {
	// all has every package by its import path; tests are not in it.
	all map[string]*packages.Package
	// matched are the import paths of the packages that the patterns match, sorted.
	matched []string
	// tests has the files of the tests, by the import path of the tested package.
	tests map[string]*tests
	// reaching has the IDs of packages, also of test variants, from which annotated code is reached; see reach.
	reaching map[string]bool
	// annotates reports whether a package has annotated code, by import path; set once sources are parsed.
	annotates func(path string) bool
}

// tests are the tests of one package.
type tests struct {
	// internal and external are the test files of the package and of its _test package.
	internal, external []string
	// binary is the test binary.
	binary *packages.Package
	// importer is the external test package, if there is one.
	importer *packages.Package
}

// listMode asks for names, files and imports: nothing is compiled, and no types are loaded.
const listMode = packages.NeedName | packages.NeedFiles | packages.NeedImports | packages.NeedDeps | packages.NeedModule |
	packages.NeedForTest

// listPackages lists the packages. If it fails it adds problems.
func (r *run) listPackages(ctx context.Context) *listing {
	for _, pattern := range r.cfg.Patterns {
		if strings.HasSuffix(pattern, ".go") {
			dir := "./" + filepath.ToSlash(filepath.Dir(pattern))
			r.problems.add(token.Position{}, FileArgument, fmt.Sprintf("%s is a file", pattern),
				"stubs are generated for whole packages", "name the package, such as "+strings.TrimSuffix(dir, "/."))
		}
	}
	l := &listing{all: map[string]*packages.Package{}, tests: map[string]*tests{}, reaching: map[string]bool{}}
	if r.problems.any() {
		return l
	}
	roots, err := r.goList(ctx, nil)
	if err == nil && blocked(roots) {
		roots, err = r.goList(ctx, withoutOurs(roots))
	}
	if err != nil {
		r.problems.add(token.Position{}, ListFailed, "the go command could not list the packages", driverPrefix.ReplaceAllString(oneLine(err.Error()), ""),
			"correct what it says and run mobula-gen again")
		return l
	}
	l.index(roots)
	r.checkList(l, roots)
	return l
}

// driverPrefix is what go/packages puts before the words of the go command.
var driverPrefix = regexp.MustCompile(`^err: .*?: stderr: `)

// goList runs the go command; overlay replaces the content of files.
func (r *run) goList(ctx context.Context, overlay map[string][]byte) ([]*packages.Package, error) {
	return packages.Load(&packages.Config{
		Context: ctx, Mode: listMode, Dir: r.cfg.Dir, Env: r.cfg.Env, Tests: true, Overlay: overlay,
	}, r.cfg.Patterns...)
}

// blocked reports whether a package has an error: one that a file of ours may be the cause of.
func blocked(roots []*packages.Package) bool {
	found := false
	packages.Visit(roots, nil, func(p *packages.Package) { found = found || len(p.Errors) > 0 })
	return found
}

// withoutOurs returns an overlay in which our files in the packages of the main module are no more than a package clause.
func withoutOurs(roots []*packages.Package) map[string][]byte {
	overlay := map[string][]byte{}
	seen := map[string]bool{}
	packages.Visit(roots, nil, func(p *packages.Package) {
		if p.Dir == "" || seen[p.Dir] || p.Module != nil && !p.Module.Main {
			return
		}
		seen[p.Dir] = true
		for _, name := range []string{StubFile, MainFile, TestFile} {
			path := filepath.Join(p.Dir, name)
			if ours(path) {
				overlay[path] = []byte("package " + packageOf(p.Dir, name) + "\n")
			}
		}
	})
	return overlay
}

// packageOf returns the name that the package clause of the file must have: that of the first other file in the directory
// of the same sort, test or not, that has one; or a name that no other package has, if it stands alone.
func packageOf(dir, name string) string {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "alone"
	}
	test := strings.HasSuffix(name, "_test.go")
	for _, e := range entries {
		if n := e.Name(); n != StubFile && n != MainFile && n != TestFile && strings.HasSuffix(n, ".go") && (test || !strings.HasSuffix(n, "_test.go")) {
			if clause := clauseOf(filepath.Join(dir, n)); clause != "" {
				return clause
			}
		}
	}
	return "alone"
}

// clauseOf returns the name in the package clause of a file; empty if it has none.
func clauseOf(path string) string {
	f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.PackageClauseOnly)
	if err != nil {
		return ""
	}
	return f.Name.Name
}

// ours reports whether a file exists and has the header of a generated file. One that cannot be read is not ours.
func ours(path string) bool {
	b, err := os.ReadFile(path)
	return err == nil && HasHeader(b)
}

// HasHeader reports whether the content is that of a file that mobula-gen wrote: the header is a line of its own before
// the package clause.
func HasHeader(content []byte) bool {
	for line := range bytes.Lines(content) {
		line = bytes.TrimRight(line, "\r\n")
		switch {
		case string(line) == Header:
			return true
		case len(line) > 0 && !bytes.HasPrefix(line, []byte("//")):
			return false
		}
	}
	return false
}

// index fills the listing.
func (l *listing) index(roots []*packages.Package) {
	packages.Visit(roots, nil, func(p *packages.Package) {
		if p.ForTest == "" && !isTestBinary(p) {
			l.all[p.PkgPath] = p
		}
	})
	for _, p := range roots {
		switch {
		case isTestBinary(p):
			l.testsOf(strings.TrimSuffix(p.PkgPath, ".test")).binary = p
		case p.ForTest == "":
			l.matched = append(l.matched, p.PkgPath)
		case p.PkgPath == p.ForTest:
			l.testsOf(p.ForTest).internal = testFiles(p.GoFiles)
		case p.PkgPath == p.ForTest+"_test":
			t := l.testsOf(p.ForTest)
			t.external, t.importer = testFiles(p.GoFiles), p
		}
	}
	slices.Sort(l.matched)
	l.matched = slices.Compact(l.matched)
}

func (l *listing) testsOf(path string) *tests {
	if l.tests[path] == nil {
		l.tests[path] = &tests{}
	}
	return l.tests[path]
}

// isTestBinary reports whether p is the main package of a test binary, which the go command makes up.
func isTestBinary(p *packages.Package) bool {
	return strings.HasSuffix(p.ID, ".test") && p.Name == "main" && p.ForTest == "" && strings.HasSuffix(p.PkgPath, ".test")
}

// testFiles returns the test files of a list, without ours.
func testFiles(files []string) []string {
	var out []string
	for _, f := range files {
		if strings.HasSuffix(f, "_test.go") && filepath.Base(f) != TestFile {
			out = append(out, f)
		}
	}
	return out
}

// own reports whether a package belongs to a module that is being worked on, rather than to a dependency.
func own(p *packages.Package) bool { return p != nil && p.Module != nil && p.Module.Main }

// checkList adds problems for what the go command could not find, and for what is not ours to write to.
func (r *run) checkList(l *listing, roots []*packages.Package) {
	packages.Visit(roots, nil, func(p *packages.Package) {
		for _, e := range p.Errors {
			text := oneLine(e.Msg)
			switch {
			case strings.Contains(text, "import cycle not allowed"):
				r.problems.add(position(r.cfg.Dir, e.Pos), ImportCycle, "packages import each other in a circle", text, "move what both need into a third package")
			case len(p.GoFiles)+len(p.OtherFiles)+len(p.IgnoredFiles) == 0:
				r.problems.add(position(r.cfg.Dir, e.Pos), PackageMissing, fmt.Sprintf("package %s cannot be found", p.PkgPath), text,
					"correct the import, or fetch its module with go get")
			}
		}
	})
	for _, path := range l.matched {
		p := l.all[path]
		if !own(p) && !r.problems.any() {
			r.problems.add(token.Position{}, OutsideModule, fmt.Sprintf("package %s is not in the main module", path),
				"stubs are written beside the source, and a dependency's directory is not yours", "run mobula-gen in its own module")
		}
	}
	if len(l.matched) == 0 && !r.problems.any() {
		r.problems.add(token.Position{}, NothingMatched, "no packages match "+strings.Join(r.cfg.Patterns, " "),
			"the go command found no Go files there", "run mobula-gen in a module, or name its packages")
	}
}

// position parses "file:line:column", as far as it goes.
func position(dir, text string) token.Position {
	var p token.Position
	rest := text
	var numbers []int
	for len(numbers) < 2 {
		i := strings.LastIndexByte(rest, ':')
		if i < 0 {
			break
		}
		n, err := strconv.Atoi(rest[i+1:])
		if err != nil {
			break
		}
		numbers, rest = append(numbers, n), rest[:i]
	}
	switch len(numbers) {
	case 1:
		p.Line, p.Column = numbers[0], 1
	case 2:
		p.Line, p.Column = numbers[1], numbers[0]
	}
	if rest != "" && rest != "-" {
		p.Filename = rest
		if !filepath.IsAbs(rest) {
			p.Filename = filepath.Join(dir, rest)
		}
	}
	return p
}

// oneLine joins the lines of a message.
func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// reach reports whether annotated code is reached from a package: its own, or that of what it imports.
func (l *listing) reach(p *packages.Package) bool {
	if reached, ok := l.reaching[p.ID]; ok {
		return reached
	}
	l.reaching[p.ID] = false // ends cycles, which only a broken listing has
	reached := l.annotates(p.PkgPath)
	if !own(p) {
		reached = slices.ContainsFunc(p.GoFiles, func(f string) bool { return filepath.Base(f) == StubFile })
	}
	for _, imported := range p.Imports {
		reached = reached || l.reach(imported)
	}
	l.reaching[p.ID] = reached
	return reached
}

// takeovers returns what to write so that workers take over the process of a package's main and of its tests.
func (l *listing) takeovers(s *source) (mainFile, testFile *Takeover) {
	path := s.meta.PkgPath
	if s.meta.Name == "main" && len(s.files) > 0 && l.reach(s.meta) {
		mainFile = &Takeover{Package: "main", Build: s.build, Scope: s.scope}
	}
	t := l.tests[path]
	if t == nil || t.binary == nil || !l.reach(t.binary) {
		return mainFile, nil
	}
	// The init of an external test package runs after those of the tested package and its tests, and after all that either
	// imports: it comes last.
	switch {
	case len(t.external) > 0:
		testFile = &Takeover{Package: t.importer.Name, Build: s.externalBuild, Scope: s.externalScope}
		if len(s.files)+len(t.internal) > 0 {
			testFile.Tested = path // else there is no such package
		}
	case len(t.internal) > 0:
		testFile = &Takeover{Package: s.meta.Name, Build: s.internalBuild, Scope: s.scope}
	}
	return mainFile, testFile
}
