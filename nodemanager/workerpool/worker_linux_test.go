package workerpool

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/mobula-dev/mobula/internal/id"
	"github.com/mobula-dev/mobula/internal/takeover"
)

// TestMain lets the test's own program play a worker, in the mode that the role's settings name, or the owner of a pool.
func TestMain(m *testing.M) {
	if os.Getenv("WORKERPOOL_TEST_INIT") == "exit" { // A program whose init ends it.
		fmt.Fprintln(os.Stderr, "init has had enough")
		os.Exit(7)
	}
	child, ok, err := takeover.Take()
	switch {
	case err != nil:
		takeover.Exit(err)
	case ok:
		work(child)
		os.Exit(0)
	}
	if mode := os.Getenv(envOwner); mode != "" {
		own(mode)
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// check ends a helper process whose test could make nothing of its troubles.
func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "helper:", err)
		os.Exit(99)
	}
}

// view is what a worker sees of its world.
type view struct {
	Args, Env, Files []string
	Dir              string
	Stdin            int
	Group, PID       int
	OOMScore         string
}

func work(child *takeover.Child) {
	mode := child.Settings["mode"]
	switch mode {
	case "hang":
		fmt.Println("about to hang")
		select {}
	case "close":
		check(child.Conn().Close())
		select {}
	case "view":
		v := look()
		check(child.Ready())
		check(json.NewEncoder(child.Conn()).Encode(v))
		return
	}
	check(child.Ready())
	switch mode {
	case "clean":
	case "exit":
		code, err := strconv.Atoi(child.Settings["code"])
		check(err)
		fmt.Println("last words")
		os.Exit(code)
	case "panic":
		panic("the worker has had enough")
	case "segv": // Not as Go would do it: the runtime makes a panic of the signal.
		check(syscall.Exec("/bin/sh", []string{"sh", "-c", "kill -SEGV $$"}, os.Environ()))
	case "serve":
		<-child.Gone()
	case "stubborn":
		signal.Ignore(syscall.SIGTERM)
		say(child, "ignoring")
		select {}
	case "sleep":
		select {}
	case "flood":
		flood(child)
	case "family":
		family(child)
	case "eat":
		eat()
	default:
		check(fmt.Errorf("unknown mode %q", mode))
	}
}

// say sends a line to the test.
func say(child *takeover.Child, line string) {
	_, err := fmt.Fprintln(child.Conn(), line)
	check(err)
}

func look() view {
	in, err := io.ReadAll(os.Stdin)
	check(err)
	dir, err := os.Getwd()
	check(err)
	score, _ := os.ReadFile("/proc/self/oom_score_adj")
	names, err := filepath.Glob("/proc/self/fd/*")
	check(err)
	var files []string
	for _, name := range names {
		if target, err := os.Readlink(name); err == nil { // The one for the directory itself is closed again.
			files = append(files, filepath.Base(name)+" "+target)
		}
	}
	return view{
		Args: os.Args, Env: os.Environ(), Files: files, Dir: dir, Stdin: len(in), Group: syscall.Getpgrp(), PID: os.Getpid(), OOMScore: string(score),
	}
}

// flood prints many lines as fast as it can, then how many.
func flood(child *takeover.Child) {
	lines, err := strconv.Atoi(child.Settings["lines"])
	check(err)
	line := make([]byte, 100)
	for i := range line {
		line[i] = 'x'
	}
	line[99] = '\n'
	var chunk []byte
	for range 1000 {
		chunk = append(chunk, line...)
	}
	for range lines / 1000 {
		_, err := os.Stdout.Write(chunk)
		check(err)
	}
	fmt.Println("the end of the flood")
}

// family starts subprocesses of all sorts and reports their numbers. The worker then lives on until it is told to end.
func family(child *takeover.Child) {
	sleep, err := exec.LookPath("sleep")
	check(err)
	start := func(attr *syscall.SysProcAttr, env []string) int {
		cmd := exec.Command(sleep, "600")
		cmd.SysProcAttr, cmd.Env = attr, env
		if child.Settings["hold"] != "" {
			cmd.Stdout = os.Stdout
		}
		check(cmd.Start())
		return cmd.Process.Pid
	}
	pids := []int{start(nil, nil), start(nil, []string{"A=b"}), start(&syscall.SysProcAttr{Setsid: true}, nil)}
	if child.Settings["wild"] != "" { // Nothing ties it to the worker but its parent.
		pids = append(pids, start(&syscall.SysProcAttr{Setsid: true}, []string{"A=b"}))
	}
	if child.Settings["daemon"] != "" {
		pids = append(pids, daemon())
	}
	check(json.NewEncoder(child.Conn()).Encode(pids))
	<-child.Gone()
}

// daemon starts a process whose parent, a shell, ends at once.
func daemon() int {
	cmd := exec.Command("/bin/sh", "-c", "sleep 600 >/dev/null 2>&1 & echo $!")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	out, err := cmd.Output()
	check(err)
	pid, err := strconv.Atoi(string(out[:len(out)-1]))
	check(err)
	return pid
}

// eat takes memory until it is stopped.
func eat() {
	var held [][]byte
	for {
		b := make([]byte, 8<<20)
		for i := 0; i < len(b); i += 4096 {
			b[i] = 1
		}
		held = append(held, b)
		runtime.KeepAlive(held)
	}
}

// pool is a pool under test and what it reports.
type pool struct {
	*Pool
	t      testing.TB
	exe    *os.File
	events chan Event
}

// open opens a pool and closes it at the test's end. Events that the test does not take are dropped then.
func open(tb testing.TB, cfg Config) *pool {
	tb.Helper()
	exe, err := os.Open("/proc/self/exe")
	if err != nil {
		tb.Fatal(err)
	}
	p := &pool{t: tb, exe: exe, events: make(chan Event, 1024)}
	if cfg.Notify == nil {
		cfg.Notify = func(e Event) { p.events <- e }
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Backoff == nil {
		cfg.Backoff = func(int) time.Duration { return 0 }
	}
	if p.Pool, err = Open(cfg); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := p.Close(); err != nil {
			tb.Error(err)
		}
		_ = exe.Close() // Nothing was written.
	})
	return p
}

// spec returns what starts the test's program in a mode; settings are pairs.
func (p *pool) spec(mode string, settings ...string) Spec {
	s := Spec{
		Job: id.Job{1}, Executable: p.exe, Args: []string{"worker-of-test"}, Settings: map[string]string{"mode": mode},
		Env: map[string]string{"GOMAXPROCS": "2", "GORACE": "atexit_sleep_ms=0"}, // Else the race detector makes each end last a second.
	}
	secret := takeover.NewSecret()
	copy(s.Worker[:], secret[:])
	for i := 0; i < len(settings); i += 2 {
		s.Settings[settings[i]] = settings[i+1]
	}
	return s
}

func (p *pool) start(mode string, settings ...string) *Process {
	p.t.Helper()
	return p.startSpec(p.spec(mode, settings...))
}

func (p *pool) startSpec(s Spec) *Process {
	p.t.Helper()
	pr, err := p.Start(p.t.Context(), s)
	if err != nil {
		p.t.Fatal(err)
	}
	return pr
}

// next returns the next event, which must be of the given process.
func (p *pool) next(pr *Process) Event {
	p.t.Helper()
	select {
	case e := <-p.events:
		if e.Process != pr {
			p.t.Fatalf("event of worker %v, want one of %v", e.Process.Worker(), pr.Worker())
		}
		return e
	case <-time.After(30 * time.Second):
		p.t.Fatal("no event came")
	}
	panic("unreachable")
}

func (p *pool) ready(pr *Process) {
	p.t.Helper()
	if e := p.next(pr); e.Exit != nil {
		p.t.Fatalf("the worker ended before it was ready: %v %q", e.Exit, e.Exit.LastLines)
	}
}

func (p *pool) exit(pr *Process) ExitReason {
	p.t.Helper()
	e := p.next(pr)
	if e.Exit == nil {
		p.t.Fatal("the worker is ready, want its end")
	}
	return *e.Exit
}

// hear decodes what the worker says.
func hear(tb testing.TB, pr *Process, into any) {
	tb.Helper()
	if err := pr.Conn().SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
		tb.Fatal(err)
	}
	if err := json.NewDecoder(pr.Conn()).Decode(into); err != nil {
		tb.Fatal(err)
	}
}
