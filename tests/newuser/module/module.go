// Package module makes modules like those of Mobula's users: outside of the repository, with nothing but what the README tells them
// to write. The tests of the newcomer's way and of the documents' snippets work in them.
//
// Nothing of Mobula is linked into the tests themselves, and no network is needed: the module requires what the repository requires.
package module

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

const (
	// Path is the import path of Mobula's module.
	Path = "github.com/mobula-dev/mobula"
	// limit is how long one command may take: a cold build, on a machine that is busy.
	limit = 3 * time.Minute
	// goneLimit is how long a process may outlive the command that started it.
	goneLimit = 2 * time.Second
)

// Module is a user's module.
type Module struct {
	// Dir is the module's folder.
	Dir string
	// Repository is the root of Mobula's repository.
	Repository string
	tmp        string
	env        []string
}

// New makes a module that holds a go.mod and a go.sum. When the test ends, no process that was started in it may be left, nor
// anything in the folder for temporary files.
func New(t testing.TB) *Module {
	t.Helper()
	m := Empty(t)
	mod, err := os.ReadFile(filepath.Join(m.Repository, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	// All that the repository requires, in its versions: what "go get" chooses, too. "go get" itself would want to see the go.mod
	// of modules that no build needs, which a machine that has only built Mobula does not have.
	const modLine = "module " + Path + "\n"
	if !bytes.HasPrefix(mod, []byte(modLine)) {
		t.Fatalf("go.mod does not begin with %q", modLine)
	}
	m.Write(t, "go.mod", fmt.Sprintf("module example.com/app\n\nrequire %[1]s v0.0.0\n\nreplace %[1]s => %[2]s\n\ntool %[1]s/codegen/cmd/mobula-gen\n%[3]s",
		Path, m.Repository, mod[len(modLine):]))
	sum, err := os.ReadFile(filepath.Join(m.Repository, "go.sum"))
	if err != nil {
		t.Fatal(err)
	}
	m.Write(t, "go.sum", string(sum))
	return m
}

// Empty makes an empty folder for a module, with the promises of New.
func Empty(t testing.TB) *Module {
	t.Helper()
	tmp, err := os.MkdirTemp("", "nu") //nolint:usetesting // Sockets are made below it, and their paths must be short.
	if err != nil {
		t.Fatal(err)
	}
	if tmp, err = filepath.EvalSymlinks(tmp); err != nil {
		t.Fatal(err)
	}
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	m := &Module{Dir: dir, Repository: repository(t), tmp: tmp}
	m.env = environment(tmp)
	t.Cleanup(func() { m.close(t) })
	return m
}

// environment is that of a user who has set nothing.
func environment(tmp string) []string {
	env := slices.DeleteFunc(os.Environ(), func(kv string) bool {
		name, _, _ := strings.Cut(kv, "=")
		return strings.HasPrefix(name, "MOBULA_") || strings.HasPrefix(name, "OTEL_") || name == "GOOS" || name == "GOARCH"
	})
	return append(env, "GOFLAGS=", "GOWORK=off", "GOPROXY=off", "GOTOOLCHAIN=local", "TMPDIR="+tmp, "XDG_RUNTIME_DIR="+tmp)
}

// repository finds the root of the repository above the test's folder.
func repository(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			t.Fatal("there is no go.mod above the test's folder")
		}
		dir = parent
	}
}

// close checks what is left, and removes it.
func (m *Module) close(t testing.TB) {
	t.Helper()
	m.NoneLeft(t)
	left, err := os.ReadDir(m.tmp)
	if err != nil {
		t.Error(err)
	}
	for _, e := range left {
		t.Errorf("%s was left among the temporary files", e.Name())
	}
	if err := os.RemoveAll(m.tmp); err != nil {
		t.Error(err)
	}
}

// NoneLeft checks that no process of the module is left, and ends those that are.
func (m *Module) NoneLeft(t testing.TB) {
	t.Helper()
	deadline := time.NewTimer(goneLimit)
	defer deadline.Stop()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		left := running(m.Dir, m.tmp)
		if len(left) == 0 {
			return
		}
		select {
		case <-tick.C:
			continue
		case <-deadline.C:
		}
		for pid, program := range left {
			t.Errorf("process %d of %s is left", pid, program)
			if p, err := os.FindProcess(pid); err == nil {
				_ = p.Kill() // it may have ended meanwhile
			}
		}
		return
	}
}

// Write makes a file of the module.
func (m *Module) Write(t testing.TB, name, text string) {
	t.Helper()
	path := filepath.Join(m.Dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// Read returns a file of the module.
func (m *Module) Read(t testing.TB, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(m.Dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// Replace changes a file of the module, in which old must occur once.
func (m *Module) Replace(t testing.TB, name, old, replacement string) {
	t.Helper()
	text := m.Read(t, name)
	if n := strings.Count(text, old); n != 1 {
		t.Fatalf("%q occurs %d times in %s, want once", old, n, name)
	}
	m.Write(t, name, strings.Replace(text, old, replacement, 1))
}

// Result is how a command ended.
type Result struct {
	Stdout, Stderr string
	// Err is nil when the exit code was 0.
	Err error
}

// Run runs a command in the module's folder, with the variables added to the environment.
func (m *Module) Run(t testing.TB, stdin string, variables []string, name string, args ...string) Result {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), limit) // a Cleanup may run commands, too
	defer cancel()
	cmd := m.Command(ctx, name, args...)
	cmd.Env = append(cmd.Env, variables...)
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &stdout, &stderr
	err := cmd.Run()
	if ctx.Err() != nil {
		err = fmt.Errorf("it took longer than %v: %w", limit, err)
	}
	return Result{Stdout: stdout.String(), Stderr: stderr.String(), Err: err}
}

// Command returns a command that runs in the module's folder. It is interrupted when ctx ends, and killed if that does not end it.
func (m *Module) Command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Env = m.Dir, append(slices.Clone(m.env), "PWD="+m.Dir)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second // what it left behind may hold its output open
	return cmd
}

// Go runs the go command, which must succeed, and returns what it printed.
func (m *Module) Go(t testing.TB, args ...string) string {
	t.Helper()
	r := m.Run(t, "", nil, "go", args...)
	if r.Err != nil {
		t.Fatalf("go %s: %v\n%s%s", strings.Join(args, " "), r.Err, r.Stdout, r.Stderr)
	}
	return r.Stdout
}

// GoFails runs the go command, which must fail and say what matches the pattern.
func (m *Module) GoFails(t testing.TB, pattern string, args ...string) {
	t.Helper()
	r := m.Run(t, "", nil, "go", args...)
	if r.Err == nil {
		t.Errorf("go %s succeeded, want a failure", strings.Join(args, " "))
	} else if all := r.Stdout + r.Stderr; !regexp.MustCompile(pattern).MatchString(all) {
		t.Errorf("go %s does not say %q:\n%s", strings.Join(args, " "), pattern, all)
	}
}
