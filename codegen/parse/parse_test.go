package parse

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"golang.org/x/tools/go/packages"
	"golang.org/x/tools/txtar"

	"github.com/mobula-dev/mobula/codegen/model"
)

// golden extracts the golden archives into a module and returns its directory.
func golden(t *testing.T) string {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write := func(path string, content []byte) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	read := func(path string) []byte {
		t.Helper()
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	_, requirements, _ := strings.Cut(string(read(filepath.Join(root, "go.mod"))), "\n")
	write(filepath.Join(dir, "go.mod"), []byte("module example.com/golden\n"+requirements+
		"\nrequire github.com/mobula-dev/mobula v0.0.0\n\nreplace github.com/mobula-dev/mobula => "+root+"\n"))
	write(filepath.Join(dir, "go.sum"), read(filepath.Join(root, "go.sum")))
	paths, err := filepath.Glob("../testdata/golden/*.txtar")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no golden files: %v", err)
	}
	for _, path := range paths {
		for _, f := range txtar.Parse(read(path)).Files {
			write(filepath.Join(dir, strings.TrimSuffix(filepath.Base(path), ".txtar"), f.Name), f.Data)
		}
	}
	return dir
}

// models loads a module with or without reduction, and returns the models of its packages.
func models(t *testing.T, dir string, reduced bool) map[string]*model.Package {
	t.Helper()
	r := &run{cfg: Config{Dir: dir, Patterns: []string{"./..."}}, fset: token.NewFileSet()}
	r.list = r.listPackages(t.Context())
	sources := r.parseOwn(t.Context())
	c := newChecker(r.fset, r.list, sources)
	if !reduced {
		c.reduction = nil
	}
	out := map[string]*model.Package{}
	c.load(t.Context(), r.list.matched)
	for _, path := range r.list.matched {
		out[path] = r.describe(c, sources[path]).Model
	}
	for _, p := range r.problems.sorted(dir) {
		t.Errorf("reduced %t: %s", reduced, p)
	}
	return out
}

// TestReductionChangesNothing checks the shortcut of the type checker against not taking it: what is left out of packages
// before they are checked makes no difference to the models of all golden packages.
func TestReductionChangesNothing(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("checks hundreds of packages, whole and from source")
	}
	dir := golden(t)
	if d := cmp.Diff(models(t, dir, false), models(t, dir, true), cmpopts.IgnoreUnexported(model.Options{})); d != "" {
		t.Errorf("models differ (-whole +reduced):\n%s", d)
	}
}

func TestFileNamesSayTheirPlatform(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"a.go": "", "linux.go": "", "a_linux.go": "linux", "a_linux_test.go": "linux", "a_linux_arm64.go": "linux && arm64",
		"a_arm64.go": "arm64", "linux_arm64.go": "arm64", "a_b_c.go": "", "a_linux_b.go": "", "a_unix.go": "", "a_test.go": "",
	} {
		if got := strings.Join(platforms(name), " && "); got != want {
			t.Errorf("platforms(%s) = %q, want %q", name, got, want)
		}
	}
}

func TestConstraintsOfNameAndCommentBothHold(t *testing.T) {
	t.Parallel()
	for source, want := range map[string]string{
		"package p\n":                             "linux",
		"//go:build a\n\npackage p\n":             "a && linux",
		"//go:build a || b\n\npackage p\n":        "(a || b) && linux",
		"package p\n\n//go:build a\n":             "linux",
		"// a comment\n\n//go:build !\npackage p": "linux",
	} {
		f, err := parser.ParseFile(token.NewFileSet(), "x_linux.go", source, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		if got := constraintOf("x_linux.go", f); got != want {
			t.Errorf("%q: %q, want %q", source, got, want)
		}
	}
}

func TestPositionsOfTheGoCommandAreRead(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]token.Position{
		"":              {},
		"-":             {},
		"/a/b.go":       {Filename: "/a/b.go"},
		"b.go:3":        {Filename: "/dir/b.go", Line: 3, Column: 1},
		"/a/b.go:3:14":  {Filename: "/a/b.go", Line: 3, Column: 14},
		"/a:b/c.go:3:1": {Filename: "/a:b/c.go", Line: 3, Column: 1},
	} {
		if got := position("/dir", text); got != want {
			t.Errorf("position(%q) = %+v, want %+v", text, got, want)
		}
	}
}

func TestHeaderIsALineBeforeThePackageClause(t *testing.T) {
	t.Parallel()
	for content, want := range map[string]bool{
		"": false, Header: true, Header + "\n": true, Header + "\r\npackage p": true, "// Licence\n\n" + Header + "\n": true,
		"package p\n" + Header + "\n": false, " " + Header: false, Header + " really": false, "/*\n" + Header + "\n*/": false,
	} {
		if got := HasHeader([]byte(content)); got != want {
			t.Errorf("HasHeader(%q) = %t, want %t", content, got, want)
		}
	}
}

func TestCodesAreUniqueAndInOrder(t *testing.T) {
	t.Parallel()
	all := Codes()
	for i := range all {
		if i > 0 && all[i-1] >= all[i] {
			t.Errorf("%s stands before %s", all[i-1], all[i])
		}
	}
}

// scanText finds the directives of a function under a comment.
func scanText(comment string) (*source, []Problem, bool) {
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, "a.go", "package p\n\n"+comment+"\nfunc F() {}\n", parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return nil, nil, false
	}
	s := &source{imports: map[string]bool{}, scope: map[string]bool{}}
	ps := &problems{}
	s.scan(fset, f, ps)
	reduceImports(f, &packages.Package{}, s)
	return s, ps.sorted(""), true
}

// FuzzDirective checks that whatever stands above a function is understood, reported, or plainly no directive: a line
// that the language takes for a directive of ours is never passed over in silence.
func FuzzDirective(f *testing.F) {
	for _, c := range []string{
		"//mobula:remote", "//mobula:remote cpu=1", "// mobula:remote", "//mobula:Remote", "//mobula:remot", "/* mobula:remote */",
		"//mobula:remote\n//mobula:instantiate F[map[string]x.Y, int]", "//mobula:instantiate F[", "//mobula:local", "//mobula:remote \"a b\" `c`",
		"//mobula:\xff", "//mobula:remote\n\n// F.", "//mobula::", "// mobula:remote is explained here",
	} {
		f.Add(c)
	}
	f.Fuzz(func(t *testing.T, comment string) {
		s, problems, ok := scanText(comment)
		if !ok {
			return
		}
		for _, p := range problems {
			if p.Line == 0 || p.What == "" || p.Why == "" || p.Fix == "" || strings.Contains(p.String(), "\n") {
				t.Errorf("incomplete problem %+v", p)
			}
		}
		for line := range strings.SplitSeq(comment, "\n") {
			d, ok := ast.ParseDirective(1, strings.TrimRight(line, "\r"))
			if ok && d.Tool == tool && !s.annotated() && len(problems) == 0 {
				t.Errorf("directive %q was passed over in silence", line)
			}
		}
	})
}

func TestProseAboutDirectivesIsLeftAlone(t *testing.T) {
	t.Parallel()
	for _, comment := range []string{
		"// F shows how\n// mobula:remote works.", "// mobula: the runtime", "// See //mobula:remote for more.", "// mobula remote",
		"// Mobula: remote calls are easy.", "//nolint:mobula // remote", "//mobularemote", "//go:noinline", "//other:remote cpu=1",
	} {
		s, problems, ok := scanText(comment)
		if !ok || s.annotated() || len(problems) > 0 {
			t.Errorf("%q: parsed %t, annotated %t, problems %v", comment, ok, ok && s.annotated(), problems)
		}
	}
}

func TestProblemIsOneLineWithPlaceAndCode(t *testing.T) {
	t.Parallel()
	p := Problem{Path: "a/b.go", Line: 3, Column: 7, Code: UnknownOption, What: "what\n happened", Why: "why", Fix: "fix"}
	if got, want := p.String(), "a/b.go:3:7: MOB106: what happened; why; fix"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := Relative("/a/b", "/a/c.go"); got != "/a/c.go" {
		t.Errorf("Relative = %q, want the shorter absolute path", got)
	}
	if got := Relative("/a/b", "/a/b/c/d.go"); got != "c/d.go" {
		t.Errorf("Relative = %q", got)
	}
}
