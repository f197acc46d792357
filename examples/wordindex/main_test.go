package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/mobula-dev/mobula/clients/go/mobula"
)

// sources writes files into a folder of the test's own and returns it.
func sources(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// small is a tree with a few of everything: packages in packages, files of no package, names in one and in many files.
var small = map[string]string{
	"main.go":         "package main\n\nimport \"x/a\"\n\nfunc main() { a.Do(\"not this\") /* nor this */ }\n",
	"a/a.go":          "package a\n\nfunc Do(s string) { do(s) }\n",
	"a/b.go":          "package a\n\nfunc do(s string) { println(s, theLongestNameOfAll) }\n",
	"a/inner/in.go":   "package inner\n\nvar Do, s = 1, 2\n",
	"a/z.go":          "package a\n\nvar z = 0x1F\n",
	"b/b.go":          "package b\n\ntype T struct{ s string }\n",
	"b/README.md":     "func NotGo()\n",
	"b/folder.go/f.c": "int x;\n",
}

// sessions is held by the test that has a session: a process has one at a time.
var sessions sync.Mutex

// alone keeps other tests from opening a session until this one has ended.
func alone(t *testing.T) {
	t.Helper()
	sessions.Lock()
	t.Cleanup(sessions.Unlock)
}

// open opens a session for a test.
func open(t *testing.T) context.Context {
	t.Helper()
	alone(t)
	ctx, stop, err := mobula.Init(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	return ctx
}

// find lists the files of a folder.
func find(t *testing.T, dir string) *corpus {
	t.Helper()
	c, err := findSources(dir)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestJob has the tests that share a session. They run one after the other: tests that wait for the session may have all the places of
// parallel tests, also those that these would wait for.
func TestJob(t *testing.T) {
	t.Parallel()
	ctx := open(t)
	t.Run("gives the result of the sequential run", testResult(ctx))
	t.Run("is compared with the sequential run", testWrongResult(ctx))
	t.Run("fails when a file cannot be read, and names it", testMissingFile(ctx))
	t.Run("ends when it is interrupted", testInterrupt(ctx))
}

func testResult(ctx context.Context) func(*testing.T) {
	return func(t *testing.T) {
		c := find(t, sources(t, small))
		whole, want, err := sequential(ctx, c, 3)
		if err != nil {
			t.Fatal(err)
		}
		for _, size := range []int64{1, 100, 1 << 20} {
			for fan := 2; fan <= mergeMax; fan++ {
				j, err := start(ctx, c, c.batches(size), fan, 3)
				if err != nil {
					t.Fatal(err)
				}
				got, err := j.summary(ctx, 3)
				if err != nil {
					t.Fatal(err)
				}
				if err := j.compare(ctx, got, whole, want); err != nil {
					t.Errorf("batches of %d bytes, merged by %d: %v", size, fan, err)
				}
				if j.advance(); j.ended != j.tasks || j.read != c.bytes || len(j.steps) != 0 {
					t.Errorf("%d of %d tasks and %d of %d bytes seem to be done, %d steps left", j.ended, j.tasks, j.read, c.bytes, len(j.steps))
				}
			}
		}
	}
}

func testWrongResult(ctx context.Context) func(*testing.T) {
	return func(t *testing.T) {
		c := find(t, sources(t, small))
		j, err := start(ctx, c, c.batches(100), 2, 3)
		if err != nil {
			t.Fatal(err)
		}
		got, err := j.summary(ctx, 3)
		if err != nil {
			t.Fatal(err)
		}
		right, _, err := sequential(ctx, c, 3)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(c.root, "a", "z.go"), []byte("package a\n\nvar y = 1\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		whole, want, err := sequential(ctx, c, 3)
		if err != nil {
			t.Fatal(err)
		}
		if err := j.compare(ctx, got, whole, want); err == nil || !strings.Contains(err.Error(), "compare part") {
			t.Errorf("error %v, want one that names the part of the index that differs", err)
		}
		if err := j.compare(ctx, got, right, want); err == nil || !strings.Contains(err.Error(), "the summary is") {
			t.Errorf("error %v, want one that says that the summary differs", err)
		}
	}
}

func testMissingFile(ctx context.Context) func(*testing.T) {
	return func(t *testing.T) {
		c := find(t, sources(t, small))
		if err := os.Remove(filepath.Join(c.root, "a", "z.go")); err != nil {
			t.Fatal(err)
		}
		j, err := start(ctx, c, c.batches(1), 2, 1)
		if err != nil {
			t.Fatal(err)
		}
		_, err = j.summary(ctx, 1)
		var failed *mobula.Error
		if !errors.As(err, &failed) || failed.Kind != mobula.TaskFailed || !strings.Contains(err.Error(), "z.go") {
			t.Errorf("error %v, want one of kind TaskFailed that names the file", err)
		}
	}
}

func testInterrupt(ctx context.Context) func(*testing.T) {
	return func(t *testing.T) {
		files := make(map[string]string)
		for _, name := range []string{"a", "b", "c", "d", "e", "f"} {
			files[name+".go"] = strings.Repeat("package x // "+name+"\n", 100_000)
		}
		c := find(t, sources(t, files))
		ctx, cancel := context.WithCancel(ctx)
		j, err := start(ctx, c, c.batches(1), 2, 1)
		if err != nil {
			t.Fatal(err)
		}
		cancel()
		if _, err := j.summary(ctx, 1); !errors.Is(err, context.Canceled) {
			t.Errorf("error %v, want that of the context", err)
		}
	}
}

func TestProgramPrintsWhatItFound(t *testing.T) {
	t.Parallel()
	alone(t)
	dir := sources(t, small)
	var out, log bytes.Buffer
	if err := run(t.Context(), []string{"-dir", dir, "-batch", "50", "-top", "2"}, &out, &log); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"6 files in 4 packages, 20 lines", "  s                                         6        4         3\n", "  theLongestNameOfAll\n", "in a/b.go", "speed-up",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the report lacks %q:\n%s", want, &out)
		}
	}
}

func TestProgramPrintsJSONForPrograms(t *testing.T) {
	t.Parallel()
	alone(t)
	dir := sources(t, small)
	var out, log bytes.Buffer
	if err := run(t.Context(), []string{"-dir", dir, "-json", "-sequential=false"}, &out, &log); err != nil {
		t.Fatal(err)
	}
	var got struct {
		Totals     struct{ Files, Identifiers int }
		Frequent   []struct{ Name string }
		LongestIn  string  `json:"longest_in"`
		Job        float64 `json:"job_s"`
		Sequential *float64
		Tasks      int
	}
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatalf("%v:\n%s", err, &out)
	}
	if got.Totals.Files != 6 || got.Frequent[0].Name != "s" || got.LongestIn != "a/b.go" || got.Job <= 0 || got.Sequential != nil || got.Tasks != 1+2*parts {
		t.Errorf("unexpected report:\n%s", &out)
	}
}

func TestInterruptedProgramSaysSo(t *testing.T) {
	t.Parallel()
	alone(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out, log bytes.Buffer
	code := exit(ctx, run(ctx, []string{"-dir", sources(t, small)}, &out, &log), &log)
	if code != exitInterrupted || log.String() != "interrupted\n" || out.Len() > 0 {
		t.Errorf("exit code %d with %q on standard error and %q on standard output, want %d", code, &log, &out, exitInterrupted)
	}
}

func TestWrongCommandLinesAreRefused(t *testing.T) {
	t.Parallel()
	empty := t.TempDir()
	tests := map[string]struct {
		args []string
		want string
		code int
	}{
		"unknown flag":   {[]string{"-x"}, "not defined: -x", exitUsage},
		"argument":       {[]string{"dir"}, `unexpected argument "dir"`, exitUsage},
		"batch":          {[]string{"-batch", "0"}, "-batch is 0", exitUsage},
		"fan":            {[]string{"-fan", "5"}, "-fan is 5, want 2 to 4", exitUsage},
		"top":            {[]string{"-top", "-1"}, "-top is -1", exitUsage},
		"missing folder": {[]string{"-dir", filepath.Join(empty, "none")}, "no such file", exitFailed},
		"empty folder":   {[]string{"-dir", empty}, "there are no Go files", exitFailed},
		"help":           {[]string{"-h"}, "-fan", 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out, log bytes.Buffer
			code := exit(t.Context(), run(t.Context(), tt.args, &out, &log), &log)
			if code != tt.code || !strings.Contains(log.String(), tt.want) || out.Len() > 0 {
				t.Errorf("exit code %d with %q on standard error and %q on standard output, want code %d and %q", code, &log, &out, tt.code, tt.want)
			}
		})
	}
}
