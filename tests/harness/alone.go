package harness

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

const (
	// aloneLimit is how long a test may take in its own process before it is taken for a hang.
	aloneLimit = 90 * time.Second
	// goneLimit is how long the processes of a test may outlive it. They are gone in a tenth of a second, unless the machine is busy.
	goneLimit = 5 * time.Second
)

// marks makes the marks of one process's tests differ.
var marks atomic.Uint64

// Alone runs body as this test, in a process of its own: one process has one session, and leaks can be told only where nothing else
// runs. When the body is over, its process must be as it was before, and when that has ended nothing that it started may be left.
func Alone(t *testing.T, body func()) {
	t.Helper()
	if os.Getenv(envAlone) == t.Name() {
		before, running := descriptors(t), goleak.IgnoreCurrent()
		t.Cleanup(func() { checkLeaks(t, before, running) }) // the first one registered runs last
		body()
		return
	}
	dir, err := os.MkdirTemp("", "mh") //nolint:usetesting // Not t.TempDir: sockets are made below, and their paths must be short
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	}()
	mark := fmt.Sprintf("%d.%d", os.Getpid(), marks.Add(1))
	cmd := exec.Command(executable, "-test.run="+only(t.Name()), "-test.v", "-test.count=1", "-test.timeout=0", fmt.Sprintf("-test.short=%t", testing.Short()))
	cmd.Env = childEnv(mark, envAlone+"="+t.Name(), "TMPDIR="+dir)
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	cmd.WaitDelay = time.Second // what it left behind may hold its output open
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	limit := time.AfterFunc(aloneLimit, func() { dump(mark, cmd.Process.Pid) })
	err = cmd.Wait()
	text := shorten(output.Bytes())
	if !limit.Stop() {
		text = output.Bytes()
		t.Errorf("the test hung: it took longer than %v", aloneLimit)
	}
	switch {
	case err != nil:
		t.Errorf("the test failed in its own process: %v\n%s", err, text)
	case bytes.Contains(output.Bytes(), []byte("--- SKIP: "+t.Name())):
		t.Skipf("%s", text)
	case !bytes.Contains(output.Bytes(), []byte("--- PASS: "+t.Name())):
		t.Errorf("the test did not run in its own process:\n%s", text)
	}
	if bytes.Contains(output.Bytes(), []byte("WARNING: DATA RACE")) {
		t.Errorf("a process of the test has a data race:\n%s", output.Bytes())
	}
	for _, sign := range []string{"invariant", "level=ERROR"} {
		if err == nil && bytes.Contains(output.Bytes(), []byte(sign)) {
			t.Errorf("a process of the test complained (%s):\n%s", sign, text)
		}
	}
	noneLeft(t, mark)
	left, err := os.ReadDir(dir)
	if err != nil {
		t.Error(err)
	}
	for _, e := range left {
		t.Errorf("the test left %s in the temporary directory:\n%s", e.Name(), text)
	}
}

// only is the pattern that selects a test or subtest and no other.
func only(name string) string {
	parts := strings.Split(name, "/")
	for i, part := range parts {
		parts[i] = "^" + regexp.QuoteMeta(part) + "$"
	}
	return strings.Join(parts, "/")
}

// shorten drops most of what each worker printed, and the idle goroutines of crash reports: crashes are what many tests are about, and
// their goroutines fill pages.
func shorten(output []byte) []byte {
	const most = 8
	printed := map[string]int{}
	idle := false
	var kept []byte
	for line := range bytes.Lines(output) {
		text := bytes.TrimSpace(line)
		if source, _, ok := bytes.Cut(text, []byte(") ")); ok && bytes.HasPrefix(source, []byte("(")) && bytes.Contains(source, []byte(" pid=")) {
			if printed[string(source)]++; printed[string(source)] > most {
				continue
			}
		}
		switch {
		case bytes.HasPrefix(text, []byte("goroutine ")):
			idle = !bytes.Contains(text, []byte("[running"))
		case len(text) == 0:
			idle = false
		}
		if !idle {
			kept = append(kept, line...)
		}
	}
	return kept
}

// executable is this program, whatever became of its file.
const executable = "/proc/self/exe"

// raceExit keeps processes with the race detector from sleeping for a second when they exit.
const raceExit = "GORACE=atexit_sleep_ms=0"

// childEnv is the environment of a child of a test.
func childEnv(mark string, vars ...string) []string {
	vars = append(vars, envMark+"="+mark, "MOBULA_ADDRESS=", raceExit)
	env := slices.DeleteFunc(os.Environ(), func(kv string) bool {
		name, _, _ := strings.Cut(kv, "=")
		return slices.ContainsFunc(vars, func(v string) bool { return strings.HasPrefix(v, name+"=") })
	})
	return append(env, vars...)
}

// dump has the processes of a test that hangs print their goroutines, and ends them.
func dump(mark string, pid int) {
	for _, p := range append(marked(mark), pid) {
		_ = syscall.Kill(p, syscall.SIGQUIT) // one that has gone has nothing to print
	}
	poll(3*time.Second, func() bool { return len(marked(mark)) == 0 })
	for _, p := range append(marked(mark), pid) {
		_ = syscall.Kill(p, syscall.SIGKILL) // as above
	}
}

// noneLeft checks that no process of the test outlives it, and ends those that do.
func noneLeft(t *testing.T, mark string) {
	t.Helper()
	if poll(goneLimit, func() bool { return len(marked(mark)) == 0 }) {
		return
	}
	for _, pid := range marked(mark) {
		t.Errorf("process %d (%s) outlives its test", pid, command(pid))
		_ = syscall.Kill(pid, syscall.SIGKILL) // it may have gone meanwhile
	}
}

// checkLeaks checks that a test's process is as it was.
func checkLeaks(t *testing.T, before []string, running goleak.Option) {
	t.Helper()
	if t.Failed() {
		return // what is left then says nothing
	}
	mark := os.Getenv(envMark)
	others := func() []int {
		return slices.DeleteFunc(marked(mark), func(pid int) bool { return pid == os.Getpid() })
	}
	if !poll(goneLimit, func() bool { return len(others()) == 0 }) {
		for _, pid := range others() {
			t.Errorf("process %d (%s) is left after the sessions were stopped", pid, command(pid))
		}
	}
	if err := goleak.Find(running); err != nil {
		t.Errorf("goroutines are left: %v", err)
	}
	var after []string
	if !poll(goneLimit, func() bool { after = descriptors(t); return len(after) <= len(before) }) {
		t.Errorf("descriptors are left:\nbefore %s\nafter  %s", strings.Join(before, " "), strings.Join(after, " "))
	}
}
