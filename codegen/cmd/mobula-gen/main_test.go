package main

import (
	"bytes"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"github.com/mobula-dev/mobula/codegen/parse"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// repository is the root of this module, seen from the tests of this package.
const repository = "../../.."

// goldenDir has the golden files.
const goldenDir = "../../testdata"

// newModule makes a module of that name that depends on this one, and returns its directory.
func newModule(t *testing.T, name string) string {
	t.Helper()
	dir := t.TempDir()
	root, err := filepath.Abs(repository)
	if err != nil {
		t.Fatal(err)
	}
	mod := readFile(t, filepath.Join(root, "go.mod"))
	_, rest, _ := strings.Cut(mod, "\n")
	writeFile(t, filepath.Join(dir, "go.mod"), "module "+name+"\n"+rest+
		"\nrequire github.com/mobula-dev/mobula v0.0.0\n\nreplace github.com/mobula-dev/mobula => "+root+"\n")
	writeFile(t, filepath.Join(dir, "go.sum"), readFile(t, filepath.Join(root, "go.sum")))
	return dir
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func writeFile(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// isGenerated reports whether a file has the name of a generated one.
func isGenerated(name string) bool {
	return slices.Contains([]string{parse.StubFile, parse.MainFile, parse.TestFile}, filepath.Base(name))
}

// gen runs the command in a directory and returns its exit code and what it printed.
func gen(t *testing.T, dir string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(t.Context(), args, session{dir: dir, out: &out, err: &errs})
	return code, out.String(), errs.String()
}

// goTool runs the go command in a directory.
func goTool(t *testing.T, dir string, args ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// archives reads the txtar files that match a pattern below testdata, by name without extension.
func archives(t *testing.T, pattern string) map[string]*txtar.Archive {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(goldenDir, pattern))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no golden files match %s: %v", pattern, err)
	}
	out := map[string]*txtar.Archive{}
	for _, path := range paths {
		a, err := txtar.ParseFile(path)
		if err != nil {
			t.Fatal(err)
		}
		out[strings.TrimSuffix(filepath.Base(path), ".txtar")] = a
	}
	return out
}

// TestGeneratedFilesAreGoldenAndPassVet generates for all golden archives at once, in one module with a directory for each,
// compares what was written with what the archives have, and then has the go command compile and vet all of it.
func TestGeneratedFilesAreGoldenAndPassVet(t *testing.T) {
	t.Parallel()
	dir := newModule(t, "example.com/golden")
	all := archives(t, "golden/*.txtar")
	for name, a := range all {
		for _, f := range a.Files {
			if !isGenerated(f.Name) {
				writeFile(t, filepath.Join(dir, name, f.Name), string(f.Data))
			}
		}
	}
	if code, out, errs := gen(t, dir); code != exitFresh || out+errs != "" {
		t.Fatalf("exit %d\n%s%s", code, out, errs)
	}
	for name, a := range all {
		got := generatedIn(t, filepath.Join(dir, name))
		if *update {
			a.Files = slices.DeleteFunc(a.Files, func(f txtar.File) bool { return isGenerated(f.Name) })
			a.Files = append(a.Files, got...)
			writeFile(t, filepath.Join(goldenDir, "golden", name+".txtar"), string(txtar.Format(a)))
			continue
		}
		var want []txtar.File
		for _, f := range a.Files {
			if isGenerated(f.Name) {
				want = append(want, f)
			}
		}
		if d := cmp.Diff(asMap(want), asMap(got)); d != "" {
			t.Errorf("%s: generated files differ (-golden +now); run with -update if that is right:\n%s", name, d)
		}
	}
	if out, err := goTool(t, dir, "vet", "./..."); err != nil {
		t.Errorf("go vet of generated files: %v\n%s", err, out)
	}
	if code, out, _ := gen(t, dir, "check"); code != exitFresh {
		t.Errorf("a second run would change something: exit %d\n%s", code, out)
	}
}

// generatedIn returns the generated files below a directory, sorted.
func generatedIn(t *testing.T, dir string) []txtar.File {
	t.Helper()
	var out []txtar.File
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || !isGenerated(path) {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		out = append(out, txtar.File{Name: filepath.ToSlash(rel), Data: []byte(readFile(t, path))})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func asMap(files []txtar.File) map[string]string {
	out := map[string]string{}
	for _, f := range files {
		out[f.Name] = string(f.Data)
	}
	return out
}

// TestEveryProblemHasAGoldenMessage runs on one module with a directory for each archive of mistakes, and compares the
// problems in it with the archive's file "problems".
func TestEveryProblemHasAGoldenMessage(t *testing.T) {
	t.Parallel()
	dir := newModule(t, "example.com/errors")
	all := archives(t, "errors/*.txtar")
	for name, a := range all {
		for _, f := range a.Files {
			if f.Name != "problems" {
				writeFile(t, filepath.Join(dir, name, f.Name), string(f.Data))
			}
		}
	}
	code, out, errs := gen(t, dir)
	if code != exitSource || out != "" {
		t.Fatalf("exit %d, want %d\n%s%s", code, exitSource, out, errs)
	}
	if written := generatedIn(t, dir); len(written) > 0 && !isGenerated(written[0].Name) {
		t.Errorf("files were written in spite of problems: %v", written)
	}
	got := map[string]string{}
	for line := range strings.Lines(errs) {
		name, rest, ok := strings.Cut(line, "/")
		if !ok || all[name] == nil {
			t.Errorf("problem that belongs to no archive: %s", line)
		}
		got[name] += rest
	}
	for name, a := range all {
		if *update {
			a.Files = slices.DeleteFunc(a.Files, func(f txtar.File) bool { return f.Name == "problems" })
			a.Files = append(a.Files, txtar.File{Name: "problems", Data: []byte(got[name])})
			writeFile(t, filepath.Join(goldenDir, "errors", name+".txtar"), string(txtar.Format(a)))
			continue
		}
		if d := cmp.Diff(asMap(a.Files)["problems"], got[name]); d != "" {
			t.Errorf("%s: problems differ (-golden +now); run with -update if that is right:\n%s", name, d)
		}
		if want, _, _ := strings.Cut(name, "-"); !strings.Contains(got[name], ": "+want+": ") {
			t.Errorf("%s: no problem has the code that names the archive:\n%s", name, got[name])
		}
	}
}

// TestOutputDependsOnNothingButTheSource generates for the same packages twice: all at once, and one by one in another
// order, from other working directories, with what was generated before in place.
func TestOutputDependsOnNothingButTheSource(t *testing.T) {
	t.Parallel()
	first, second := newModule(t, "example.com/golden"), newModule(t, "example.com/golden")
	for _, name := range []string{"types", "mains", "hostile"} {
		for _, f := range archives(t, "golden/"+name+".txtar")[name].Files {
			writeFile(t, filepath.Join(second, name, f.Name), string(f.Data))
			if !isGenerated(f.Name) {
				writeFile(t, filepath.Join(first, name, f.Name), string(f.Data))
			}
		}
	}
	if code, out, errs := gen(t, first); code != exitFresh {
		t.Fatalf("exit %d\n%s%s", code, out, errs)
	}
	for _, run := range []struct {
		dir  string
		args []string
	}{
		{"types", []string{"./shapes", "."}}, {"mains", []string{"./..."}}, {"hostile", []string{"example.com/golden/hostile"}},
	} {
		if code, out, errs := gen(t, filepath.Join(second, run.dir), run.args...); code != exitFresh {
			t.Fatalf("in %s: exit %d\n%s%s", run.dir, code, out, errs)
		}
	}
	if d := cmp.Diff(asMap(generatedIn(t, first)), asMap(generatedIn(t, second))); d != "" {
		t.Errorf("generated files differ (-first +second):\n%s", d)
	}
}
