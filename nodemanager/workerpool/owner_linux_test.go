package workerpool

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"
	"time"

	"github.com/mobula-dev/mobula/internal/logdir"
	"github.com/mobula-dev/mobula/internal/takeover/guard"
)

// envOwner makes the test's program the owner of a pool, as a node is: it can be killed, and its children are all the pool's.
const envOwner = "WORKERPOOL_TEST_OWNER"

// fatal is the testing.TB of an owner process: it ends that.
type fatal struct{ testing.TB }

func (fatal) Helper()                   {}
func (fatal) Cleanup(func())            {}
func (fatal) Fatal(args ...any)         { check(errors.New(fmt.Sprint(args...))) }
func (fatal) Fatalf(f string, a ...any) { check(fmt.Errorf(f, a...)) }

// facts are what an owner tells its test.
type facts struct {
	PIDs                  []int
	Guard                 int
	FilesBefore, Files    int
	Children              []guard.Process
	GoroutinesBefore, Now int
	CloseTook             time.Duration
	Reason                string
	Kind                  ExitKind
}

func own(mode string) {
	tell := json.NewEncoder(os.Stdout)
	commands := bufio.NewScanner(os.Stdin)
	switch mode {
	case "hold":
		p := openOwner()
		f := facts{Guard: p.guardPID(0)}
		for range 2 {
			pr, pids := p.family()
			f.PIDs = append(append(f.PIDs, pr.PID()), pids...)
		}
		check(tell.Encode(f))
		select {}
	case "bare": // No guard, and a worker that does not look at its connection.
		p := ownerPool{open(fatal{}, Config{})}
		pr := p.spawn("sleep")
		p.ready(pr)
		check(tell.Encode(facts{PIDs: []int{pr.PID()}}))
		select {}
	case "adopt":
		p := openOwner()
		first, one := p.family("daemon", "yes")
		second, two := p.family("daemon", "yes", "wild", "yes")
		for _, pids := range [][]int{one, two} {
			check(tell.Encode(facts{PIDs: pids}))
		}
		for _, pr := range []*Process{first, second} {
			commands.Scan()
			check(p.Kill(pr.Worker(), CauseRetired))
			p.exit(pr)
		}
		check(tell.Encode(facts{CloseTook: timed(p.Close), Children: childrenOf(os.Getpid())}))
	case "reguard":
		p := openOwner()
		pr, pids := p.family()
		before := p.guardPID(0)
		check(syscall.Kill(before, syscall.SIGKILL))
		now := p.guardPID(before)
		check(tell.Encode(facts{PIDs: append(pids, pr.PID(), before), Guard: now}))
		select {}
	case "forked", "forked-close":
		ownForked(func(f facts) { check(tell.Encode(f)) }, func() { commands.Scan() })
	case "churn":
		check(tell.Encode(churn()))
	case "oom":
		p := openOwner()
		commands.Scan() // The test has put this process into a memory group.
		p.oom = newOOMCounter()
		pr := p.spawn("eat")
		p.ready(pr)
		r := p.exit(pr)
		check(tell.Encode(facts{Reason: r.String(), Kind: r.Kind}))
		check(p.Close())
	default:
		check(fmt.Errorf("unknown owner %q", mode))
	}
}

// ownerPool adds what owners do.
type ownerPool struct{ *pool }

func openOwner() ownerPool { return ownerPool{open(fatal{}, Config{OwnProcess: true})} }

func (p ownerPool) spawn(mode string, settings ...string) *Process {
	pr, err := p.Start(context.Background(), p.spec(mode, settings...))
	check(err)
	return pr
}

// family starts a worker with subprocesses, whose numbers it returns.
func (p ownerPool) family(settings ...string) (*Process, []int) {
	pr := p.spawn("family", settings...)
	p.ready(pr)
	var pids []int
	hear(p.t, pr, &pids)
	return pr, pids
}

// guardPID waits for a guard other than the given one.
func (p ownerPool) guardPID(not int) int {
	p.guard.need()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		p.guard.mu.Lock()
		pid := p.guard.pid
		p.guard.mu.Unlock()
		if pid != 0 && pid != not {
			return pid
		}
		<-tick.C
	}
}

func timed(f func() error) time.Duration {
	begun := time.Now()
	check(f())
	return time.Since(begun)
}

func childrenOf(pid int) []guard.Process {
	procs, err := guard.Scan()
	check(err)
	return slices.DeleteFunc(procs, func(p guard.Process) bool { return p.Parent != pid })
}

// churn opens a pool, lets workers end in all ways, closes it, and looks for what is left.
func churn() facts {
	warm := openOwner() // The runtime's own descriptors and goroutines exist from here on.
	check(warm.Close())
	check(warm.exe.Close())
	f := facts{FilesBefore: openFiles(), GoroutinesBefore: settledGoroutines(0)}
	p := openOwner()
	dir, err := os.MkdirTemp("", "mobula-logs-")
	check(err)
	p.cfg.Logs, err = logdir.Open(dir, logdir.Limits{})
	check(err)
	for range 3 {
		clean, crash, sleep := p.spec("clean"), p.spec("exit", "code", "3"), p.spec("sleep")
		for _, s := range []Spec{clean, crash, sleep} {
			s.LogName = "worker"
			pr, err := p.Start(context.Background(), s)
			check(err)
			p.ready(pr)
			if s.Settings["mode"] == "sleep" {
				check(p.Kill(pr.Worker(), CauseIdle))
			}
			p.exit(pr)
			check(pr.Conn().Close())
		}
	}
	var last []*Process
	for range 4 { // Left to Close, with subprocesses.
		pr, _ := p.family("wild", "yes")
		last = append(last, pr)
	}
	last = append(last, p.spawn("sleep")) // Perhaps not ready yet.
	f.CloseTook = timed(p.Close)
	for _, pr := range last {
		_ = pr.Conn().Close() // The pool closed it where the process was not ready.
	}
	check(os.RemoveAll(dir))
	check(p.exe.Close())
	f.Children = childrenOf(os.Getpid())
	f.Files, f.Now = openFiles(), settledGoroutines(f.GoroutinesBefore)
	return f
}

func openFiles() int {
	names, err := filepath.Glob("/proc/self/fd/*")
	check(err)
	return len(names)
}

// settledGoroutines waits a little for goroutines that are about to end.
func settledGoroutines(want int) int {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for range 200 {
		if runtime.NumGoroutine() <= want {
			break
		}
		if <-tick.C; want == 0 {
			break
		}
	}
	return runtime.NumGoroutine()
}

// owner is an owner process, seen from its test.
type owner struct {
	t     *testing.T
	cmd   *exec.Cmd
	in    io.WriteCloser
	facts *json.Decoder
}

func startOwner(t *testing.T, mode string) *owner {
	t.Helper()
	return startOwnerWith(t, mode)
}

// startOwnerWith is startOwner with variables.
func startOwnerWith(t *testing.T, mode string, env ...string) *owner {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(append(os.Environ(), envOwner+"="+mode, "GORACE=atexit_sleep_ms=0"), env...)
	cmd.Stderr = t.Output()
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
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
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // It has ended if all went well.
		_ = cmd.Wait()
	})
	stuck := time.AfterFunc(60*time.Second, func() { _ = cmd.Process.Kill() })
	t.Cleanup(func() { stuck.Stop() })
	return &owner{t: t, cmd: cmd, in: in, facts: json.NewDecoder(out)}
}

func (o *owner) hear() facts {
	o.t.Helper()
	var f facts
	if err := o.facts.Decode(&f); err != nil {
		o.t.Fatalf("the owner of the pool says nothing: %v", err)
	}
	return f
}

func (o *owner) goOn() {
	o.t.Helper()
	if _, err := io.WriteString(o.in, "\n"); err != nil {
		o.t.Fatal(err)
	}
}

func TestNothingOutlivesTheNodeWhateverKillsIt(t *testing.T) {
	t.Parallel()
	for _, sig := range []syscall.Signal{syscall.SIGKILL, syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT} {
		t.Run(sig.String(), func(t *testing.T) {
			t.Parallel()
			o := startOwner(t, "hold")
			f := o.hear()
			if err := o.cmd.Process.Signal(sig); err != nil {
				t.Fatal(err)
			}
			awaitGone(t, append(f.PIDs, f.Guard))
		})
	}
}

func TestKernelEndsWorkersWithTheirNode(t *testing.T) {
	t.Parallel()
	o := startOwner(t, "bare")
	f := o.hear()
	if err := o.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	awaitGone(t, f.PIDs)
}

func TestAnotherGuardTakesOver(t *testing.T) {
	t.Parallel()
	o := startOwner(t, "reguard")
	f := o.hear()
	if err := o.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	awaitGone(t, append(f.PIDs, f.Guard))
}

func TestOrphansLiveAsLongAsTheirWorker(t *testing.T) {
	t.Parallel()
	o := startOwner(t, "adopt")
	first, second := o.hear().PIDs, o.hear().PIDs
	o.goOn()
	awaitGone(t, first)
	for _, pid := range second {
		if p, ok := guard.Lookup(pid); !ok || p.State == 'Z' {
			t.Errorf("process %d has ended before its worker", pid)
		}
	}
	o.goOn()
	awaitGone(t, second)
	if f := o.hear(); len(f.Children) > 0 {
		t.Errorf("children after Close: %+v", f.Children)
	}
}

func TestNothingIsLeftAfterClose(t *testing.T) {
	t.Parallel()
	o := startOwner(t, "churn")
	f := o.hear()
	if len(f.Children) > 0 {
		t.Errorf("children after Close: %+v", f.Children)
	}
	if f.Files != f.FilesBefore {
		t.Errorf("%d descriptors are open after Close, %d were before", f.Files, f.FilesBefore)
	}
	if f.Now > f.GoroutinesBefore {
		t.Errorf("%d goroutines run after Close, %d did before", f.Now, f.GoroutinesBefore)
	}
	t.Logf("Close with 5 workers and 16 subprocesses took %v", f.CloseTook)
}

// TestKernelsOutOfMemoryKillIsSuspected needs a memory group of its own, which takes the rights to make one.
func TestKernelsOutOfMemoryKillIsSuspected(t *testing.T) {
	t.Parallel()
	dir, limit := memoryGroup(t)
	o := startOwner(t, "oom")
	if err := os.WriteFile(filepath.Join(dir, limit), []byte(strconv.Itoa(96<<20)), 0); err != nil {
		t.Skipf("no memory group can be limited here: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "cgroup.procs"), []byte(strconv.Itoa(o.cmd.Process.Pid)), 0); err != nil {
		t.Skipf("no memory group can be entered here: %v", err)
	}
	// The worker's memory may be uncharged so late that the kernel looks for one more to kill: never the owner.
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/oom_score_adj", o.cmd.Process.Pid), []byte("-1000"), 0); err != nil {
		t.Skipf("the owner cannot be kept from the kernel's choice: %v", err)
	}
	o.goOn()
	if f := o.hear(); f.Kind != OOMSuspected || !strings.Contains(f.Reason, "memory") {
		t.Errorf("reason = %v: %s", f.Kind, f.Reason)
	}
	if err := o.cmd.Wait(); err != nil {
		t.Error(err)
	}
}

// memoryGroup makes a memory group below this process's and returns its directory and the name of the file with its limit.
func memoryGroup(t *testing.T) (dir, limit string) {
	t.Helper()
	file := oomFile(os.DirFS("/"))
	if file == "" {
		t.Skip("the kernel counts no out-of-memory kills here")
	}
	if filepath.Dir(file) == "/proc" {
		t.Skip("this process is in no memory group")
	}
	limit = "memory.max"
	if filepath.Base(file) == "memory.oom_control" {
		limit = "memory.limit_in_bytes"
	}
	dir, err := os.MkdirTemp(filepath.Dir(file), "mobula-test-") //nolint:usetesting // A memory group lies where the kernel has them.
	if err != nil {
		t.Skipf("no memory group can be made here: %v", err)
	}
	t.Cleanup(func() {
		for range 100 { // The kernel needs a moment after the last process.
			if err = os.Remove(dir); err == nil {
				return
			}
			<-time.After(10 * time.Millisecond)
		}
		t.Errorf("remove memory group: %v", err)
	})
	return dir, limit
}

func TestOOMCounterIsFoundInBothHierarchies(t *testing.T) {
	t.Parallel()
	v2, v1 := &fstest.MapFile{Data: []byte("low 0\noom 3\noom_kill 2\n")}, &fstest.MapFile{Data: []byte("oom_kill_disable 0\nunder_oom 0\noom_kill 5\n")}
	groups := func(s string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(s)} }
	for name, c := range map[string]struct {
		files fstest.MapFS
		want  string
	}{
		"v2":              {fstest.MapFS{"proc/self/cgroup": groups("0::/a/b\n"), "sys/fs/cgroup/a/b/memory.events": v2}, "/sys/fs/cgroup/a/b/memory.events"},
		"v2 in container": {fstest.MapFS{"proc/self/cgroup": groups("0::/a/b\n"), "sys/fs/cgroup/memory.events": v2}, "/sys/fs/cgroup/memory.events"},
		"v1": {fstest.MapFS{"proc/self/cgroup": groups("5:cpu:/\n4:memory,hugetlb:/x:y\n0::/\n"), "sys/fs/cgroup/memory/x:y/memory.oom_control": v1},
			"/sys/fs/cgroup/memory/x:y/memory.oom_control"},
		"v1 without counts": {fstest.MapFS{"proc/self/cgroup": groups("4:memory:/\n"), "sys/fs/cgroup/memory/memory.oom_control": groups("under_oom 0\n")}, ""},
		"machine":           {fstest.MapFS{"proc/self/cgroup": groups("0::/\n"), "proc/vmstat": groups("pgfault 1\noom_kill 0\n")}, "/proc/vmstat"},
		"nothing":           {fstest.MapFS{}, ""},
		"garbage":           {fstest.MapFS{"proc/self/cgroup": groups("x\n::\n4:memory:/../..\n")}, ""},
	} {
		if got := oomFile(c.files); got != c.want {
			t.Errorf("%s: file = %q, want %q", name, got, c.want)
		}
	}
	if n, ok := parseOOMKills(v1.Data); n != 5 || !ok {
		t.Errorf("v1 counts %d, %v, want 5", n, ok)
	}
}
