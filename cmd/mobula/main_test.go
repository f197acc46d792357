package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/mobula-dev/mobula/clients/go/mobula"
)

var update = flag.Bool("update", false, "rewrite testdata/*.golden")

// patience is far above what anything takes: a test that meets it has found a hang.
const patience = 20 * time.Second

// binary is the mobula binary that the tests run.
var binary = sync.OnceValues(func() (string, error) {
	path := filepath.Join(scratch, "mobula")
	out, err := exec.Command("go", "build", "-ldflags", "-X main.version=v0.0.0-test", "-o", path, ".").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build: %w\n%s", err, out)
	}
	return path, nil
})

// scratch is where the binary is.
var scratch string

func TestMain(m *testing.M) {
	mobula.Takeover()
	if os.Getenv(envDriver) != "" {
		if err := drive(); err != nil {
			fmt.Fprintln(os.Stderr, "driver:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	flag.Parse()
	var err error
	if scratch, err = os.MkdirTemp("", "mobula-cli-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	if err := os.RemoveAll(scratch); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// command is the binary with arguments, in an environment that names no node.
func command(ctx context.Context, t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env = []string{"HOME=" + filepath.Join(scratch, "home"), "PATH=" + os.Getenv("PATH")}
	return cmd
}

// result is what a command did.
type result struct {
	stdout, stderr string
	code           int
}

// execute runs the binary to its end.
func execute(t *testing.T, args ...string) result {
	t.Helper()
	return runIn(t, nil, args...)
}

// runIn does so with further variables.
func runIn(t *testing.T, env []string, args ...string) result {
	t.Helper()
	if _, err := binary(); err != nil { // before the clock runs: to build everything from nothing takes minutes
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience) // cleanups run it too
	defer cancel()
	cmd := command(ctx, t, args...)
	cmd.Env = append(cmd.Env, env...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if _, exited := errors.AsType[*exec.ExitError](err); err != nil && !exited {
		t.Fatalf("mobula %v: %v", args, err)
	}
	if ctx.Err() != nil {
		t.Fatalf("mobula %v did not end; it said %q and %q", args, stdout.String(), stderr.String())
	}
	return result{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
}

// must runs the binary and wants it to succeed.
func must(t *testing.T, args ...string) string {
	t.Helper()
	r := execute(t, args...)
	if r.code != 0 {
		t.Fatalf("mobula %v: exit status %d\n%s%s", args, r.code, r.stdout, r.stderr)
	}
	return r.stdout
}

// jsonOf runs the binary with --json and reads what it prints.
func jsonOf[T any](t *testing.T, args ...string) T {
	t.Helper()
	var v T
	text := must(t, append(args, "--json")...)
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("mobula %v: %v\n%s", args, err, text)
	}
	return v
}

// newDir returns a directory for a node, with a path that is short enough for sockets; a node that is left in it is ended.
func newDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "mobula-node-") //nolint:usetesting // see above
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if r := execute(t, "down", "--address", dir, "--timeout", "10s", "--force"); r.code != 0 {
			t.Errorf("down at the end: %s", r.stderr)
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// up starts a node in the background.
func up(t *testing.T, dir string, flags ...string) {
	t.Helper()
	must(t, append([]string{"up", "--detach", "--dir", dir, "--cpus", "2", "--gpus", "0", "--memory", "1GiB", "--store-bytes", "256MiB"}, flags...)...)
}

// pidOf reads which process a node is.
func pidOf(t *testing.T, dir string) int {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, "pid"))
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

// startDriver starts the driver on the node in a directory and returns when it has submitted its work. end ends it in order, kill at once.
func startDriver(t *testing.T, dir string) (cmd *exec.Cmd, end func()) {
	t.Helper()
	cmd = exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), envDriver+"=1", addressVariable+"=unix:"+filepath.Join(dir, "node.sock"))
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var once sync.Once
	end = func() {
		once.Do(func() {
			_ = in.Close()                                      // the driver may have ended
			if _, err := io.Copy(io.Discard, out); err != nil { // and Wait may only be called after that
				t.Error(err)
			}
			_ = cmd.Wait() // how it ends depends on the test
		})
	}
	t.Cleanup(end)
	line := make([]byte, len("submitted\n"))
	if _, err := io.ReadFull(out, line); err != nil {
		t.Fatalf("driver: %v", err)
	}
	return cmd, end
}

// eventually waits until a condition holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("%s: not within %v", what, patience)
		}
	}
}

// alive reports whether a process exists and is not a zombie.
func alive(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return false
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return !errors.Is(err, os.ErrNotExist) // without /proc the signal decides
	}
	_, after, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(after, "Z")
}

// The parts of outputs that differ from run to run, and what stands for them in golden files.
var masks = []struct {
	pattern *regexp.Regexp
	with    string
}{
	{regexp.MustCompile(`\b[0-9a-f]{40}\b`), "OBJECT"},
	{regexp.MustCompile(`\b[0-9a-f]{32}\b`), "ID"},
	{regexp.MustCompile(`anonymous-[0-9a-f]{12}`), "anonymous-ID"},
	{regexp.MustCompile(`\S+_test\.go:\d+`), "SOURCE"},
	{regexp.MustCompile(`\b\d+m\d\ds|\b\d+m?s\b`), "AGE"},
	{regexp.MustCompile(`\b(process|pid|driver|worker|epoch) \d+`), "$1 N"},
	{regexp.MustCompile(`\b\S+ [KM]?i?B (resident|mapped|of 256)`), "SIZE $1"},
	{regexp.MustCompile(`\b[1-9]\d* B\b|\b\d\.\d KiB`), "SIZE"}, // of errors, in which there are paths
	{regexp.MustCompile(`(ready +store +)\d`), "${1}PINS"},      // the driver may still be reading
	{regexp.MustCompile(`go1\.\S+ ?`), "GO "},
	{regexp.MustCompile(`\S+\.test\b`), "PROGRAM"},
	{regexp.MustCompile(` on \S+, up`), " on HOST, up"},
	{regexp.MustCompile(`(linux|darwin)/\w+`), "PLATFORM"},
	{regexp.MustCompile(`  +`), "  "}, // columns are as wide as what was masked
}

// golden compares what a command printed with testdata/NAME.golden. words are masked too, each by what follows it.
func golden(t *testing.T, name, got string, words ...string) {
	t.Helper()
	for i := 0; i < len(words); i += 2 {
		word := regexp.QuoteMeta(words[i])
		if words[i][0] != '/' {
			word = `\b` + word + `\b`
		}
		got = regexp.MustCompile(word).ReplaceAllString(got, words[i+1])
	}
	for _, m := range masks {
		got = m.pattern.ReplaceAllString(got, m.with)
	}
	path := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.MkdirAll("testdata", 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs (-update rewrites it). Got:\n%s\nWant:\n%s", path, got, want)
	}
}
