package workerpool

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mobula-dev/mobula/internal/id"
	"github.com/mobula-dev/mobula/internal/logdir"
	"github.com/mobula-dev/mobula/internal/takeover"
	"github.com/mobula-dev/mobula/internal/takeover/guard"
)

func TestWorkerSeesOnlyWhatItIsGiven(t *testing.T) {
	t.Setenv("WORKERPOOL_TEST_SECRET", "x")
	t.Setenv("OTEL_TEST", "inherited")
	// Not close-on-exec, as from a C library or the node's own starter.
	leak, err := syscall.Open(os.DevNull, syscall.O_RDONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = syscall.Close(leak) }()
	p := open(t, Config{})
	s := p.spec("view")
	s.Dir = t.TempDir()
	s.Args = append(s.Args, "-x", "two words")
	s.Env["HOME"] = "/nowhere"
	pr := p.startSpec(s)
	p.ready(pr)
	if r := p.exit(pr); r.Kind != Clean {
		t.Error(r)
	}
	var v view
	hear(t, pr, &v) // what it said last can be read when it has ended

	if !slices.Equal(v.Args, s.Args) || v.Dir != s.Dir || v.Stdin != 0 {
		t.Errorf("arguments %q, directory %q, %d bytes of input", v.Args, v.Dir, v.Stdin)
	}
	if v.Group != v.PID || v.PID != pr.PID() {
		t.Errorf("process %d is in group %d, want %d in its own", v.PID, v.Group, pr.PID())
	}
	if strings.TrimSpace(v.OOMScore) != fmt.Sprint(workerOOMScore) {
		t.Errorf("score for the kernel's choice of a victim = %q", v.OOMScore)
	}
	for _, kv := range v.Env {
		name, value, _ := strings.Cut(kv, "=")
		switch {
		case name == guard.EnvMark, slices.ContainsFunc(DefaultInheritEnv(), func(pattern string) bool { return matches(pattern, name) }):
		case name == "GOMAXPROCS", name == "GORACE":
		default:
			t.Errorf("the worker sees %s=%s", name, value)
		}
	}
	if !slices.Contains(v.Env, "HOME=/nowhere") || !slices.Contains(v.Env, "OTEL_TEST=inherited") {
		t.Errorf("overrides or inherited variables are missing in %q", v.Env)
	}
	var numbers []string
	for _, f := range v.Files {
		number, target, _ := strings.Cut(f, " ")
		if strings.HasPrefix(target, "anon_inode:[event") || strings.HasPrefix(target, "/sys/fs/cgroup/") || target == "/proc/"+fmt.Sprint(v.PID)+"/fd" {
			continue // The worker's own runtime.
		}
		numbers = append(numbers, number+kindOf(target))
	}
	if len(numbers) != 4 || !slices.Contains(numbers, "0/dev/null") || !slices.Contains(numbers, "1pipe") || !slices.Contains(numbers, "2pipe") {
		t.Errorf("descriptors = %v, want input, two outputs and the role's socket", v.Files)
	}
}

func kindOf(target string) string {
	kind, _, _ := strings.Cut(target, ":")
	return kind
}

func TestExitReasonsAreTyped(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, mode string
		settings   []string
		kind       ExitKind
		code       int
		signal     syscall.Signal
		says       string
		last       string
	}{
		{"clean", "clean", nil, Clean, 0, 0, "exited by itself with code 0", ""},
		{"exit", "exit", []string{"code", "4"}, UserExit, 4, 0, "exited by itself with code 4", "last words"},
		{"panic", "panic", nil, UserExit, 2, 0, "code 2: panic: the worker has had enough", "panic: the worker has had enough"},
		{"segv", "segv", nil, Signaled, -1, syscall.SIGSEGV, "SIGSEGV", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := open(t, Config{})
			before := time.Now()
			pr := p.start(c.mode, c.settings...)
			p.ready(pr)
			r := p.exit(pr)
			if r.Kind != c.kind || r.Code != c.code || r.Signal != c.signal || !strings.Contains(r.String(), c.says) {
				t.Errorf("reason = %+v: %v", r, r)
			}
			if c.last != "" && !slices.Contains(r.LastLines, c.last) {
				t.Errorf("last lines = %q, want %q among them", r.LastLines, c.last)
			}
			if r.Started.Before(before) || r.Ended.Before(r.Started) || !r.Started.Equal(pr.Started()) {
				t.Errorf("started %v, ended %v", r.Started, r.Ended)
			}
		})
	}
}

func TestKillFromOutsideIsNotTheNodes(t *testing.T) {
	t.Parallel()
	p := open(t, Config{})
	pr := p.start("sleep")
	p.ready(pr)
	if err := syscall.Kill(pr.PID(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	// On a machine where the kernel ends other processes of this memory group just now, it is suspected: that is what "suspected" means.
	if r := p.exit(pr); r.Kind != Signaled && r.Kind != OOMSuspected || r.Signal != syscall.SIGKILL || !strings.Contains(r.String(), "memory") {
		t.Errorf("reason = %+v: %v", r, r)
	}
}

func TestTakeoverThatDoesNotHappenIsExplained(t *testing.T) {
	t.Parallel()
	timedOut := func(r ExitReason) bool {
		var timeout *takeover.TimeoutError
		return errors.As(r.Err, &timeout)
	}
	for _, c := range []struct {
		name string
		edit func(*Spec)
		ok   func(ExitReason) bool
	}{
		{"hangs", func(s *Spec) { s.Settings["mode"] = "hang" },
			func(r ExitReason) bool {
				return timedOut(r) && strings.Contains(r.String(), "go generate") && slices.Contains(r.LastLines, "about to hang")
			}},
		{"closes its descriptor", func(s *Spec) { s.Settings["mode"] = "close" },
			func(r ExitReason) bool { return errors.Is(r.Err, takeover.ErrClosed) && r.Signal == syscall.SIGKILL }},
		{"exits in init", func(s *Spec) { s.Env["WORKERPOOL_TEST_INIT"] = "exit" },
			func(r ExitReason) bool {
				return errors.Is(r.Err, takeover.ErrClosed) && r.Code == 7 && slices.Contains(r.LastLines, "init has had enough")
			}},
		{"is another program", func(s *Spec) {
			s.Executable, s.Path, s.Args = nil, "/bin/sh", []string{"sh", "-c", "echo I am no worker; sleep 600"}
		}, func(r ExitReason) bool {
			return timedOut(r) && slices.Contains(r.LastLines, "I am no worker")
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := open(t, Config{TakeoverTimeout: 3 * time.Second})
			s := p.spec("")
			c.edit(&s)
			pr := p.startSpec(s)
			if r := p.exit(pr); r.Kind != TakeoverFailed || !c.ok(r) {
				t.Errorf("reason = %+v: %v", r, r)
			}
		})
	}
}

func TestStopIsPoliteUntilTheGraceIsOver(t *testing.T) {
	t.Parallel()
	p := open(t, Config{})
	polite := p.start("sleep")
	p.ready(polite)
	if err := p.Stop(polite.Worker(), time.Minute, CauseIdle); err != nil {
		t.Fatal(err)
	}
	if r := p.exit(polite); r.Kind != Killed || r.Cause != CauseIdle || r.Signal != syscall.SIGTERM || !strings.Contains(r.String(), "it was idle") {
		t.Errorf("reason = %+v: %v", r, r)
	}
	stubborn := p.start("stubborn")
	p.ready(stubborn)
	if _, err := bufio.NewReader(stubborn.Conn()).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	for _, cause := range []Cause{CauseCancelled, CauseShutdown} { // The first cause stays.
		if err := p.Stop(stubborn.Worker(), 100*time.Millisecond, cause); err != nil {
			t.Fatal(err)
		}
	}
	if r := p.exit(stubborn); r.Kind != Killed || r.Cause != CauseCancelled || r.Signal != syscall.SIGKILL {
		t.Errorf("reason = %+v: %v", r, r)
	}
	if d := time.Since(begun); d < 100*time.Millisecond {
		t.Errorf("the worker had %v, less than its grace", d)
	}
	if err := p.Kill(stubborn.Worker(), CauseIdle); !errors.Is(err, ErrNotRunning) {
		t.Errorf("Kill of an ended worker = %v, want ErrNotRunning", err)
	}
	if err := p.Stop(id.Worker{9}, 0, CauseIdle); !errors.Is(err, ErrNotRunning) {
		t.Errorf("Stop of an unknown worker = %v, want ErrNotRunning", err)
	}
}

func TestWorkerEndsWhenItsConnectionDoes(t *testing.T) {
	t.Parallel()
	p := open(t, Config{})
	pr := p.start("serve")
	p.ready(pr)
	if err := pr.Conn().Close(); err != nil {
		t.Fatal(err)
	}
	if r := p.exit(pr); r.Kind != Clean {
		t.Error(r)
	}
}

// TestWorkersSurviveTheThreadThatAskedForThem is about the parent-death signal: it comes when the forking thread ends.
func TestWorkersSurviveTheThreadThatAskedForThem(t *testing.T) {
	t.Parallel()
	p := open(t, Config{})
	var pr *Process
	var err error
	onDyingThread(t, func() { pr, err = p.Start(t.Context(), p.spec("serve")) })
	if err != nil {
		t.Fatal(err)
	}
	p.ready(pr)
	if err := pr.Conn().Close(); err != nil {
		t.Fatal(err)
	}
	if r := p.exit(pr); r.Kind != Clean {
		t.Error(r)
	}
}

// onDyingThread runs f on a thread and returns when that thread has ended.
func onDyingThread(t *testing.T, f func()) {
	t.Helper()
	var tid int
	var run func()
	run = func() {
		runtime.LockOSThread() // Never unlocked: the thread ends with its goroutine, but for the first one, which cannot.
		if tid = unix.Gettid(); tid != os.Getpid() {
			f()
			return
		}
		var other sync.WaitGroup
		other.Go(run)
		other.Wait()
	}
	var wg sync.WaitGroup
	wg.Go(run)
	wg.Wait()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(10 * time.Second); ; <-tick.C {
		if _, err := os.Stat(fmt.Sprintf("/proc/self/task/%d", tid)); errors.Is(err, os.ErrNotExist) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the thread does not end")
		}
	}
}

func TestProgramMayBeDeletedAndItsDescriptorMayHaveAnyNumber(t *testing.T) {
	t.Parallel()
	copied := filepath.Join(t.TempDir(), "program")
	if err := exec.Command("cp", fmt.Sprintf("/proc/%d/exe", os.Getpid()), copied).Run(); err != nil {
		t.Fatal(err)
	}
	exe, err := os.Open(copied)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(copied); err != nil {
		t.Fatal(err)
	}
	p := open(t, Config{})
	files := []*os.File{exe}
	for range 12 { // Before and between the numbers of pipes and sockets that a start makes.
		fd, err := syscall.Dup(int(exe.Fd()))
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, os.NewFile(uintptr(fd), "program"))
		gap, err := syscall.Dup(int(exe.Fd()))
		if err != nil {
			t.Fatal(err)
		}
		if err := syscall.Close(gap); err != nil {
			t.Fatal(err)
		}
	}
	for i, f := range files {
		if i%4 != 0 {
			continue
		}
		s := p.spec("clean")
		s.Executable = f
		pr := p.startSpec(s)
		p.ready(pr)
		if r := p.exit(pr); r.Kind != Clean {
			t.Error(r)
		}
	}
	if err := closeAll(files); err != nil {
		t.Error(err)
	}
}

// TestExecutableIsOutOfTheChildsWay checks the number only: whether a low one does harm depends on the numbers of the other files.
func TestExecutableIsOutOfTheChildsWay(t *testing.T) {
	t.Parallel()
	exe, err := os.Open("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	dup, err := dupAbove(exe, 40)
	if err != nil {
		t.Fatal(err)
	}
	if fd := int(dup.Fd()); fd < 40+6 { // Four files and the pipe for errors move to the numbers from 41 on.
		t.Errorf("descriptor %d may be overwritten", fd)
	}
	if err := closeAll([]*os.File{exe, dup}); err != nil {
		t.Error(err)
	}
}

func TestStartRefusesWhatItCannotDo(t *testing.T) {
	t.Parallel()
	p := open(t, Config{ProcessesMax: 2})
	for name, edit := range map[string]func(*Spec){
		"no worker":     func(s *Spec) { s.Worker = id.Worker{} },
		"no program":    func(s *Spec) { s.Executable = nil },
		"no arguments":  func(s *Spec) { s.Args = nil },
		"reserved role": func(s *Spec) { s.Env[takeover.EnvRole] = "node" },
		"reserved mark": func(s *Spec) { s.Env[guard.EnvMark] = "x" },
		"bad name":      func(s *Spec) { s.Env["A=B"] = "x" },
		"zero byte":     func(s *Spec) { s.Env["A"] = "x\x00y" },
		"no directory":  func(s *Spec) { s.Dir = "/does/not/exist" },
		"no such path":  func(s *Spec) { s.Executable, s.Path = nil, "/does/not/exist" },
		"huge settings": func(s *Spec) { s.Settings["x"] = strings.Repeat("x", 1<<20) },
		"zero argument": func(s *Spec) { s.Args = []string{"a\x00b"} },
	} {
		s := p.spec("clean")
		edit(&s)
		if _, err := p.Start(t.Context(), s); err == nil {
			t.Errorf("%s: Start succeeded", name)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 3 { // Both outcomes are right for a context that has ended, but neither may leak.
		if pr, err := p.Start(ctx, p.spec("clean")); err == nil {
			p.ready(pr)
			p.exit(pr)
		} else if !errors.Is(err, context.Canceled) {
			t.Errorf("Start with a cancelled context = %v", err)
		}
	}
	if n := p.Len(); n != 0 {
		t.Fatalf("%d processes after starts that failed", n)
	}

	one := p.start("sleep")
	p.ready(one)
	again := p.spec("sleep")
	again.Worker = one.Worker()
	if _, err := p.Start(t.Context(), again); !errors.Is(err, ErrRunning) {
		t.Errorf("Start of the same worker = %v, want ErrRunning", err)
	}
	two := p.start("sleep")
	p.ready(two)
	var limit *LimitError
	if _, err := p.Start(t.Context(), p.spec("sleep")); !errors.As(err, &limit) || limit.Max != 2 {
		t.Errorf("third Start = %v, want the limit of 2", err)
	}
	if err := p.Kill(one.Worker(), CauseIdle); err != nil {
		t.Fatal(err)
	}
	p.exit(one)
	three := p.startSpec(again) // The slot and the id are free once the event is there.
	p.ready(three)
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Start(t.Context(), p.spec("clean")); !errors.Is(err, ErrClosed) {
		t.Errorf("Start after Close = %v, want ErrClosed", err)
	}
	if err := p.Close(); err != nil {
		t.Errorf("second Close = %v", err)
	}
	for range 2 {
		if e := <-p.events; e.Exit == nil || e.Exit.Kind != Killed || e.Exit.Cause != CauseShutdown {
			t.Errorf("event after Close = %+v", e.Exit)
		}
	}
}

func TestCrashLoopMustWait(t *testing.T) {
	t.Parallel()
	var crashes atomic.Int64
	p := open(t, Config{Backoff: func(n int) time.Duration {
		crashes.Store(int64(n))
		return time.Duration(n-1) * time.Hour
	}})
	for want := int64(1); want <= 2; want++ {
		pr := p.start("exit", "code", "1")
		p.ready(pr)
		p.exit(pr)
		if got := crashes.Load(); got != want {
			t.Fatalf("%d crashes counted, want %d", got, want)
		}
	}
	var backoff *BackoffError
	if _, err := p.Start(t.Context(), p.spec("clean")); !errors.As(err, &backoff) || backoff.Crashes != 2 || backoff.RetryAfter < time.Minute {
		t.Fatalf("Start after two crashes = %v, want to wait", err)
	}
	other := p.spec("clean")
	other.Job = id.Job{2}
	pr := p.startSpec(other)
	p.ready(pr)
	p.exit(pr)
	p.Forget(id.Job{1})
	pr = p.start("clean")
	p.ready(pr)
	p.exit(pr)
}

func TestFloodOfOutputIsDroppedAndCounted(t *testing.T) {
	t.Parallel()
	const lines = 2_000_000 // 200 MB
	var mu sync.Mutex
	var passed, bytesPassed, dropped int
	logs := openLogs(t, logdir.Limits{FileBytes: 128 << 10})
	p := open(t, Config{
		Logs:   logs,
		Output: OutputLimits{BytesPerSecond: 256 << 10, BurstBytes: 1 << 20},
		Log: func(_ id.Worker, _ Stream, line []byte) {
			mu.Lock()
			defer mu.Unlock()
			if n := 0; bytes.HasPrefix(line, []byte("[mobula: ")) {
				if _, err := fmt.Sscanf(string(line), "[mobula: %d lines", &n); err != nil {
					t.Error(err)
				}
				dropped += n
				return
			}
			passed++
			bytesPassed += len(line)
		},
	})
	s := p.spec("flood", "lines", fmt.Sprint(lines))
	s.LogName = "worker"
	begun := time.Now()
	flooder := p.startSpec(s)
	p.ready(flooder)
	r := p.exit(flooder)
	took := time.Since(begun)
	if r.Kind != Clean || len(r.LastLines) != tailLines || r.LastLines[tailLines-1] != "the end of the flood" {
		t.Errorf("reason = %+v", r)
	}
	if passed+dropped != lines+1 {
		t.Errorf("%d lines passed and %d dropped, want %d together", passed, dropped, lines+1)
	}
	if most := 1<<20 + int(took.Seconds()+1)*256<<10; bytesPassed > most {
		t.Errorf("%d bytes passed in %v, want at most %d", bytesPassed, took, most)
	}
	var onDisk int64
	files, err := logs.List(LogName("worker", s.Worker, flooder.PID(), Stdout) + "*")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		onDisk += f.Size
	}
	if len(files) != 2 || onDisk > 2*(128+70)<<10 { // A write may exceed the limit by one read.
		t.Errorf("%d files with %d bytes, want two of 128 KiB", len(files), onDisk)
	}
	t.Logf("200 MB in %v", took)
}

func TestSubprocessesEndWithTheirWorker(t *testing.T) {
	t.Parallel()
	p := open(t, Config{})
	pr := p.start("family", "hold", "the output, even when the worker has ended")
	p.ready(pr)
	var pids []int
	hear(t, pr, &pids)
	escaped := pids[2] // In a session of its own: without Config.OwnProcess nothing finds it.
	defer func() { _ = syscall.Kill(escaped, syscall.SIGKILL) }()
	if err := syscall.Kill(pr.PID(), syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if r := p.exit(pr); r.Kind != Signaled || r.Signal != syscall.SIGTERM {
		t.Error(r)
	}
	awaitGone(t, pids[:2])
}

// awaitGone fails the test unless all processes end: at once, but for what a busy machine adds. A zombie that is someone else's to
// reap has ended.
func awaitGone(t *testing.T, pids []int) {
	t.Helper()
	const within = 20 * time.Second
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(within); ; <-tick.C {
		pids = slices.DeleteFunc(slices.Clone(pids), func(pid int) bool {
			p, ok := guard.Lookup(pid)
			return !ok || p.State == 'Z' || p.State == 'X'
		})
		if len(pids) == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("processes %v are alive after %v", pids, within)
		}
	}
}

func TestPoolStartsManyWorkersAtOnce(t *testing.T) {
	t.Parallel()
	const n = 16
	readies := 0 // Notify is called one at a time.
	exits := make(chan struct{}, n)
	p := open(t, Config{Notify: func(e Event) {
		if e.Exit == nil {
			readies++
			_ = e.Process.Conn().Close() // Ends it.
		} else {
			exits <- struct{}{}
		}
	}})
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			if _, err := p.Start(t.Context(), p.spec("serve")); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for range n {
		select {
		case <-exits:
		case <-time.After(30 * time.Second):
			t.Fatal("a worker has not ended")
		}
	}
	if readies != n {
		t.Errorf("%d workers were ready, want %d", readies, n)
	}
}

func BenchmarkStart(b *testing.B) {
	p := open(b, Config{})
	for b.Loop() {
		pr := p.start("serve")
		p.ready(pr)
		b.StopTimer()
		if err := p.Kill(pr.Worker(), CauseIdle); err != nil {
			b.Fatal(err)
		}
		p.exit(pr)
		b.StartTimer()
	}
}
