// Package newuser tests the way of a newcomer: a module of one's own, one annotated function, and the go command.
package newuser

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mobula-dev/mobula/tests/newuser/module"
)

// app copies the newcomer's module.
func app(t *testing.T) *module.Module {
	t.Helper()
	m := module.New(t)
	if err := os.CopyFS(m.Dir, os.DirFS(filepath.Join("testdata", "app"))); err != nil {
		t.Fatal(err)
	}
	return m
}

// lines counts the lines of a log that the newcomer's module writes.
func lines(t *testing.T, m *module.Module, name string) int {
	t.Helper()
	return strings.Count(m.Read(t, name), "\n")
}

func TestModuleOfANewcomerWorksWithTheGoCommandAlone(t *testing.T) { //nolint:tparallel // Each step goes on where the one before it ended.
	t.Parallel()
	m := app(t)
	for _, step := range []struct {
		name string
		do   func(t *testing.T, m *module.Module)
	}{
		{"go generate writes stubs, and the same again", generate},
		{"go vet finds nothing", func(t *testing.T, m *module.Module) { t.Helper(); m.Go(t, "vet", "./...") }},
		{"go run runs main once, with its flags and its input", run},
		{"go run runs what was changed", runChanged},
		{"a program that runs is not disturbed by a rebuild", rebuildBeneath},
		{"an interrupt is the program's to handle", interrupt},
		{"a program without its main file runs, and says what is missing", lackMain},
		{"go test runs TestMain once, with its flags", test},
		{"stale stubs do not compile", stale},
		{"the executable is small and quickly rebuilt", small},
	} {
		if ok := t.Run(step.name, func(t *testing.T) { step.do(t, m); m.NoneLeft(t) }); !ok {
			return
		}
	}
}

func generate(t *testing.T, m *module.Module) {
	t.Helper()
	m.Go(t, "generate", "./...")
	written := []string{"mobula_gen.go", "mobula_main_gen.go", "primes/mobula_gen.go", "primes/mobula_main_gen_test.go"}
	var before []string
	for _, name := range written {
		before = append(before, m.Read(t, name))
	}
	m.Go(t, "generate", "./...")
	m.Go(t, "tool", "mobula-gen", "check", "./...")
	for i, name := range written {
		if m.Read(t, name) != before[i] {
			t.Errorf("a second go generate changed %s", name)
		}
	}
}

// greetings runs the newcomer's program and compares what it prints.
func greetings(t *testing.T, m *module.Module, times, want string) {
	t.Helper()
	before := 0
	if _, err := os.Stat(filepath.Join(m.Dir, "main.log")); err == nil {
		before = lines(t, m, "main.log")
	}
	r := m.Run(t, "Ada\n", nil, "go", "run", ".", "-times="+times)
	if r.Err != nil || r.Stdout != want || r.Stderr != "" {
		t.Errorf("go run: %v; it printed\n%s%s\nwant\n%s", r.Err, r.Stdout, r.Stderr, want)
	}
	if got := lines(t, m, "main.log") - before; got != 1 {
		t.Errorf("main ran in %d processes, want 1", got)
	}
}

func run(t *testing.T, m *module.Module) {
	t.Helper()
	greetings(t, m, "2", "ready\nhello, Ada; elsewhere: true; its input: \"\"\nhello, Ada; elsewhere: true; its input: \"\"\n")
}

func runChanged(t *testing.T, m *module.Module) {
	t.Helper()
	m.Replace(t, "main.go", `"hello, "`, `"welcome, "`)
	greetings(t, m, "1", "ready\nwelcome, Ada; elsewhere: true; its input: \"\"\n")
}

// rebuildBeneath replaces the executable of a running program before that has started its first worker.
func rebuildBeneath(t *testing.T, m *module.Module) {
	t.Helper()
	m.Go(t, "build", "-o", "app", ".")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := m.Command(ctx, filepath.Join(m.Dir, "app"))
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = t.Output()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	out := bufio.NewReader(stdout)
	if line, err := out.ReadString('\n'); err != nil || line != "ready\n" {
		t.Errorf("the program printed %q (%v), want ready", line, err)
	}
	m.Replace(t, "main.go", `"welcome, "`, `"farewell, "`)
	m.Go(t, "build", "-o", "app", ".")
	if _, err := io.WriteString(stdin, "Ada\n"); err != nil {
		t.Error(err)
	}
	if line, err := out.ReadString('\n'); err != nil || !strings.HasPrefix(line, "welcome, Ada; elsewhere: true") {
		t.Errorf("the program printed %q (%v), want what it was built with", line, err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("the program ended: %v", err)
	}
}

// interrupt presses Ctrl-C: once in a program that does not know of it, once in one that finishes its work first.
func interrupt(t *testing.T, m *module.Module) {
	t.Helper()
	m.Go(t, "build", "-o", "app", ".")
	r := ctrlC(t, m)
	if exit, ok := errors.AsType[*exec.ExitError](r.Err); !ok || !strings.Contains(exit.String(), "interrupt") || r.Stdout != "" || r.Stderr != "" {
		t.Errorf("the program ended with %v and printed %q, %q; want the interrupt's end and nothing", r.Err, r.Stdout, r.Stderr)
	}
	m.NoneLeft(t)
	r = ctrlC(t, m, "-patient")
	if r.Err != nil || !strings.Contains(r.Stdout, ", Ada; elsewhere: true") || r.Stderr != "" {
		t.Errorf("the program ended with %v and printed %q, %q; want a greeting", r.Err, r.Stdout, r.Stderr)
	}
}

// ctrlC starts the newcomer's program in a process group of its own and interrupts the group, as a terminal does, when the program is ready.
func ctrlC(t *testing.T, m *module.Module, flags ...string) module.Result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := m.Command(ctx, filepath.Join(m.Dir, "app"), flags...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	out := bufio.NewReader(stdout)
	if line, err := out.ReadString('\n'); err != nil || line != "ready\n" {
		t.Errorf("the program printed %q (%v), want ready", line, err)
	}
	if err := syscall.Kill(-cmd.Process.Pid, syscall.SIGINT); err != nil {
		t.Error(err)
	}
	if len(flags) > 0 {
		if _, err := io.WriteString(stdin, "Ada\n"); err != nil {
			t.Error(err)
		}
	}
	rest, err := io.ReadAll(out)
	if err != nil {
		t.Error(err)
	}
	return module.Result{Err: cmd.Wait(), Stdout: string(rest), Stderr: stderr.String()}
}

// lackMain deletes the file by which nodes and workers take over before main: main then runs in them up to Init, and no further.
func lackMain(t *testing.T, m *module.Module) {
	t.Helper()
	if err := os.Remove(filepath.Join(m.Dir, "mobula_main_gen.go")); err != nil {
		t.Fatal(err)
	}
	before := lines(t, m, "main.log")
	r := m.Run(t, "Ada\n", nil, "go", "run", ".")
	if r.Err != nil || !strings.Contains(r.Stdout, ", Ada; elsewhere: true") || !strings.Contains(r.Stderr, "lacks mobula_main_gen.go") {
		t.Errorf("go run: %v; it printed\n%s%s\nwant a greeting and a warning", r.Err, r.Stdout, r.Stderr)
	}
	if got := lines(t, m, "main.log") - before; got < 3 || got > 5 {
		t.Errorf("main ran in %d processes, want 3: the program, its node and a worker", got)
	}
	m.Go(t, "generate", "./...")
}

func test(t *testing.T, m *module.Module) {
	t.Helper()
	m.Go(t, "test", "./primes", "-below=1000")
	if got := lines(t, m, "primes/TestMain.log"); got != 1 {
		t.Errorf("TestMain ran in %d processes, want 1", got)
	}
	m.Go(t, "test", "-run=^TestCountRemotely$", "-count=1", "./primes", "-args", "-below=100")
	m.GoFails(t, "there are 0 primes", "test", "-count=1", "./...") // the flag is missing: it reached the driver above, then
}

// stale changes a signature, and goes the way back that the compiler shows.
func stale(t *testing.T, m *module.Module) {
	t.Helper()
	const before, after = "Greet(ctx context.Context, name string)", "Greet(ctx context.Context, name string, loud bool)"
	m.Replace(t, "main.go", before, after)
	m.GoFails(t, `Greet\b.* as GreetHasChanged_RunGoGenerate value`, "build", "-o", "app", ".")
	m.GoFails(t, `(?m)^\+func GreetRemote\(ctx context.Context, name string, loud bool`, "tool", "mobula-gen", "check", "./...")
	m.Go(t, "generate", "./...")
	m.GoFails(t, `not enough arguments in call to GreetRemote`, "build", "-o", "app", ".")
	m.Replace(t, "main.go", "strings.TrimSpace(name))", "strings.TrimSpace(name), true)")
	m.Go(t, "build", "-o", "app", ".")
}

func small(t *testing.T, m *module.Module) {
	t.Helper()
	m.Replace(t, "main.go", `"farewell, "`, `"so long, "`)
	begun := time.Now()
	m.Go(t, "build", "-o", "app", ".")
	took := time.Since(begun)
	info, err := os.Stat(filepath.Join(m.Dir, "app"))
	if err != nil {
		t.Fatal(err)
	}
	const most = 30e6
	if info.Size() > most {
		t.Errorf("the executable has %.2f MB, want at most %.0f", float64(info.Size())/1e6, most/1e6)
	}
	t.Logf("the executable has %.2f MB; a change was rebuilt in %.1f s (the aim is 3 s on two idle cores)", float64(info.Size())/1e6, took.Seconds())
}

// unreachable is what the go command says when it wants a network that is not there.
var unreachable = regexp.MustCompile(`module lookup disabled|dial tcp|no such host|i/o timeout|connection refused|TLS handshake|proxyconnect`)

// TestSetUpOfTheREADMEWorks does what the README says to make a module ready: with what the module cache has, or else from where the
// go command gets modules. It is skipped where neither suffices.
func TestSetUpOfTheREADMEWorks(t *testing.T) {
	t.Parallel()
	m, r := setUp(t, "GOPROXY=off")
	if r.Err != nil && unreachable.MatchString(r.Stderr) {
		proxy, err := exec.Command("go", "env", "GOPROXY").Output()
		if err != nil {
			t.Fatal(err)
		}
		m, r = setUp(t, "GOPROXY="+strings.TrimSpace(string(proxy)))
	}
	if r.Err != nil && unreachable.MatchString(r.Stderr) {
		t.Skipf("modules are missing, and cannot be fetched:\n%s", r.Stderr)
	}
	if r.Err != nil {
		t.Fatalf("%v\n%s%s", r.Err, r.Stdout, r.Stderr)
	}
	m.Go(t, "generate", "./...")
	if got := m.Go(t, "run", "."); got != "25\n" {
		t.Errorf("the example printed %q, want 25", got)
	}
}

// setUp runs the README's script in an empty folder, and returns the module that it made.
func setUp(t *testing.T, variables ...string) (*module.Module, module.Result) {
	t.Helper()
	m := module.Empty(t)
	readme, err := os.ReadFile(filepath.Join(m.Repository, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	m.Write(t, "hello/main.go", shown(t, string(readme), "file: main.go", "go"))
	const clone = "=../mobula\n"
	script := shown(t, string(readme), "setup", "sh")
	if strings.Count(script, clone) != 1 {
		t.Fatalf("the script does not name the clone once, as %q:\n%s", clone, script)
	}
	r := m.Run(t, "", variables, "bash", "-euo", "pipefail", "-c", strings.Replace(script, clone, "="+m.Repository+"\n", 1))
	m.Dir = filepath.Join(m.Dir, "hello")
	return m, r
}

// shown returns the block of a document that has the mark above it.
func shown(t *testing.T, document, mark, language string) string {
	t.Helper()
	block := regexp.MustCompile("(?s)<!-- " + mark + " -->\n```" + language + "\n(.*?)```").FindStringSubmatch(document)
	if len(block) != 2 {
		t.Fatalf("the document has no block of %s that is marked as %q", language, mark)
	}
	return block[1]
}
