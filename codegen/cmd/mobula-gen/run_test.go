package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"github.com/mobula-dev/mobula/codegen/model"
	"github.com/mobula-dev/mobula/codegen/parse"
)

// TestRunsArePrintedAndEndAsRecorded plays the commands of each archive in a module of its own, made of the other files,
// and compares what is printed, and the exit codes, with the archive's file "transcript".
func TestRunsArePrintedAndEndAsRecorded(t *testing.T) {
	t.Parallel()
	for name, a := range archives(t, "runs/*.txtar") {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			files := asMap(a.Files)
			for file, content := range files {
				if file != "commands" && file != "transcript" {
					writeFile(t, filepath.Join(dir, file), content)
				}
			}
			var transcript strings.Builder
			for command := range strings.Lines(files["commands"]) {
				fmt.Fprintf(&transcript, "$ %s%s", command, play(t, dir, strings.Fields(command)))
			}
			got := strings.ReplaceAll(transcript.String(), dir, "$DIR")
			if *update {
				a.Files = slices.DeleteFunc(a.Files, func(f txtar.File) bool { return f.Name == "transcript" })
				a.Files = append(a.Files, txtar.File{Name: "transcript", Data: []byte(got)})
				writeFile(t, filepath.Join(goldenDir, "runs", name+".txtar"), string(txtar.Format(a)))
				return
			}
			if d := cmp.Diff(files["transcript"], got); d != "" {
				t.Errorf("transcript differs (-golden +now); run with -update if that is right:\n%s", d)
			}
		})
	}
}

// play runs one command of a transcript and returns what it prints.
func play(t *testing.T, dir string, words []string) string {
	t.Helper()
	switch words[0] {
	case "mobula-gen":
		code, out, errs := gen(t, dir, words[1:]...)
		return fmt.Sprintf("%s%s[exit %d]\n", out, errs, code)
	case "mv":
		if err := os.Rename(filepath.Join(dir, words[1]), filepath.Join(dir, words[2])); err != nil {
			t.Fatal(err)
		}
		return ""
	case "cat":
		return readFile(t, filepath.Join(dir, words[1]))
	case "ls":
		var out []string
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			rel, err := filepath.Rel(dir, path)
			out = append(out, filepath.ToSlash(rel)+"\n")
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return strings.Join(out, "")
	default:
		t.Fatalf("unknown command %q", words[0])
		return ""
	}
}

func TestEveryCodeHasAGoldenFileAndIsExplained(t *testing.T) {
	t.Parallel()
	golden := ""
	for _, pattern := range []string{"errors/*.txtar", "runs/*.txtar"} {
		for _, a := range archives(t, pattern) {
			golden += asMap(a.Files)["problems"] + asMap(a.Files)["transcript"]
		}
	}
	manual := readFile(t, filepath.Join(repository, "docs", "codegen.md"))
	for _, code := range parse.Codes() {
		if !strings.Contains(golden, string(code)) && code != parse.GeneratorBroken {
			t.Errorf("%s occurs in no golden file", code)
		}
		if !strings.Contains(manual, "| "+string(code)+" |") {
			t.Errorf("%s is not explained in docs/codegen.md", code)
		}
	}
}

func TestBrokenOutputIsReportedAndNotWritten(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	changes, problems := plan(dir, []*parse.Package{{Dir: dir, Name: "not a name", Model: &model.Package{Path: "p", Name: "not a name"}}})
	if len(changes) != 0 || len(problems) != 1 || problems[0].Code != parse.GeneratorBroken {
		t.Errorf("plan = %v, %v; want one %s", changes, problems, parse.GeneratorBroken)
	}
}

func TestFailureOfTheEnvironmentOutranksMistakes(t *testing.T) {
	t.Parallel()
	r := report{Problems: []parse.Problem{{Code: parse.UnknownOption}, {Code: parse.ListFailed}}, Changes: []change{{}}}
	if got := exitCode(r, true); got != exitEnvironment {
		t.Errorf("exit code %d, want %d", got, exitEnvironment)
	}
}

func TestWritingReplacesTheFileAndLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, parse.StubFile)
	writeFile(t, path, "old")
	if problems := apply([]change{{Path: "x", file: path, content: []byte("new")}}); len(problems) > 0 {
		t.Fatal(problems)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 || readFile(t, path) != "new" {
		t.Errorf("directory has %v (%v), file %q", entries, err, readFile(t, path))
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != sourceMode {
		t.Errorf("mode %v (%v), want %v", info.Mode(), err, fs.FileMode(sourceMode))
	}
	if problems := apply([]change{{Path: "x", file: filepath.Join(dir, "missing", "f"), content: []byte("new")}}); len(problems) != 1 {
		t.Errorf("writing into a missing directory: problems %v, want one", problems)
	}
}

// TestStubsReachTheirFunctionsThroughARealNode generates for a module whose own tests call all kinds of stubs, and runs
// those tests: the node and the workers are processes of the test binary, taken over by what was generated.
func TestStubsReachTheirFunctionsThroughARealNode(t *testing.T) {
	t.Parallel()
	dir := newModule(t, "example.com/golden")
	for _, pattern := range []string{"wiring.txtar", "golden/functions.txtar", "golden/generics.txtar", "golden/types.txtar"} {
		for name, a := range archives(t, pattern) {
			for _, f := range a.Files {
				if !isGenerated(f.Name) {
					writeFile(t, filepath.Join(dir, name, f.Name), string(f.Data))
				}
			}
		}
	}
	if code, out, errs := gen(t, dir); code != exitFresh {
		t.Fatalf("exit %d\n%s%s", code, out, errs)
	}
	if out, err := goTool(t, dir, "test", "-timeout", "60s", "./wiring"); err != nil {
		t.Errorf("go test: %v\n%s", err, out)
	}
}

// TestStaleStubsDoNotCompileAndSayWhatToDo changes the source in each way that stubs can become stale, and reads what the
// compiler says.
func TestStaleStubsDoNotCompileAndSayWhatToDo(t *testing.T) {
	t.Parallel()
	const source = `package stale

type Config struct{ Name string }

type Partly struct {
	Name   string
	hidden int
}

//mobula:remote
func F(c Config, p Partly) int { return 0 }

//mobula:actor
type Actor struct{}

func NewActor(n int) *Actor { return nil }

func (*Actor) Method(n int) {}
`
	variants := []struct{ old, now, want string }{
		{"func F(c Config, p Partly) int ", "func F(c Config, p *Partly) int ", "FHasChanged_RunGoGenerate"},
		{"p Partly) int { return 0 }", "p Partly) string { return `` }", "FHasChanged_RunGoGenerate"},
		{"func F(", "func G(", "undefined: F"},
		{"Name string }", "Name string; Added int }", "ConfigHasChanged_RunGoGenerate"},
		{"Name string }", "Name string `mobula:\"n\"` }", "ConfigHasChanged_RunGoGenerate"},
		{"Name   string", "Name   []byte", "PartlyHasChanged_RunGoGenerate"},
		{"Name   string", "Title  string", "PartlyHasChanged_RunGoGenerate"},
		{"NewActor(n int)", "NewActor(n int64)", "NewActorHasChanged_RunGoGenerate"},
		{"Method(n int)", "Method(n ...int)", "ActorMethodHasChanged_RunGoGenerate"},
		{"hidden int", "hidden string", ""}, // not sent
	}
	dir := newModule(t, "example.com/stale")
	at := func(i int) string { return fmt.Sprintf("v%d", i) }
	for i := range variants {
		writeFile(t, filepath.Join(dir, at(i), "stale.go"), source)
	}
	if code, out, errs := gen(t, dir); code != exitFresh {
		t.Fatalf("exit %d\n%s%s", code, out, errs)
	}
	for i, v := range variants {
		writeFile(t, filepath.Join(dir, at(i), "stale.go"), strings.Replace(source, v.old, v.now, 1))
	}
	built, err := goTool(t, dir, "build", "-gcflags=-e", "./...")
	if err == nil {
		t.Error("stale stubs compile")
	}
	code, checked, _ := gen(t, dir, "check")
	if code != exitStale {
		t.Errorf("check exits with %d, want %d", code, exitStale)
	}
	for i, v := range variants {
		_, said, failed := strings.Cut(built, "# example.com/stale/"+at(i)+"\n")
		said, _, _ = strings.Cut(said, "\n# ")
		if failed != (v.want != "") || !strings.Contains(said, v.want) {
			t.Errorf("%s -> %s: want %q in\n%s", v.old, v.now, v.want, said)
		}
		if stale := strings.Contains(checked, "+++ b/"+at(i)+"/"); stale != (v.want != "") {
			t.Errorf("%s -> %s: check says that it is stale: %t", v.old, v.now, stale)
		}
	}
}
