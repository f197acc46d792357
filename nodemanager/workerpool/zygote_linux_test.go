package workerpool

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mobula-dev/mobula/internal/takeover/guard"
)

// The zygote is the real one of the Python client; what it forks here is a worker of the test's own, which needs nothing but Python.

// envPython names the directory of the test's Python modules, for an owner process.
const envPython = "WORKERPOOL_TEST_PYTHON"

// fakeWorker stands for mobula._worker_process.
const fakeWorker = `
import json, os, random, signal, subprocess, sys, threading

def main(role):
    s = role.settings
    role.ready()
    def say(x):
        role.connection.sendall(json.dumps(x).encode() + b"\n")
    mode = s["mode"]
    if mode == "view":
        with open("/proc/self/environ") as f:
            environ = f.read().split("\0")
        say({
            "PPID": os.getppid(), "Group": os.getpgrp(), "PID": os.getpid(), "Threads": threading.active_count(),
            "Files": sorted(int(x) for x in os.listdir("/proc/self/fd")), "Random": random.random(),
            "Mark": [x for x in environ if x.startswith("MOBULA_PROCESS=")], "Env": os.environ.get("MOBULA_PROCESS", ""),
            "Roles": [x for x in os.environ if x.startswith("MOBULA_ROLE")], "Dir": os.getcwd(),
            "Score": open("/proc/self/oom_score_adj").read().strip(),
        })
    elif mode == "exit":
        print("last words", flush=True)
        os._exit(int(s["code"]))
    elif mode == "signal":
        os.kill(os.getpid(), int(s["signal"]))
    elif mode == "family":
        clean = {"A": "b"}
        pids = [subprocess.Popen(["sleep", "600"]).pid, subprocess.Popen(["sleep", "600"], start_new_session=True).pid]
        pid = os.fork()  # shares this process's environment block, and leaves group and session
        if pid == 0:
            os.setsid()
            if os.fork():
                os._exit(0)
            signal.pause()
        os.waitpid(pid, 0)
        say(pids)
        role.connection.recv(1)
    elif mode == "serve":
        say(os.getpid())
        role.connection.recv(1)
    os._exit(0)
`

// pythonHome makes a directory from which a zygote can import, and returns it with the interpreter. It skips the test where there is none.
func pythonHome(t *testing.T) (python, home string) {
	t.Helper()
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("python3 is not on the PATH")
	}
	if out, err := exec.Command(python, "-c", "import sys, ctypes; assert sys.version_info >= (3, 11), sys.version").CombinedOutput(); err != nil {
		t.Skipf("python3 is not 3.11 or later, or lacks ctypes: %s", out)
	}
	if python, err = filepath.EvalSymlinks(python); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(python, "-c", "import sys; print(sys.executable)").Output() // A shim of a version manager execs the real one.
	if err != nil {
		t.Fatal(err)
	}
	python = strings.TrimSpace(string(out))
	home = t.TempDir()
	write := func(name, content string) {
		t.Helper()
		path := filepath.Join(home, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(content), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"_zygote.py", "_takeover.py"} {
		content, err := os.ReadFile(filepath.Join("..", "..", "clients", "python", "src", "mobula", name))
		if err != nil {
			t.Fatal(err)
		}
		write(filepath.Join("mobula", name), string(content))
	}
	write("mobula/_worker_process.py", fakeWorker)
	write("mobula/__init__.py", "import os, threading, time\nif 'TEST_THREAD' in os.environ:\n    threading.Thread(target=time.sleep, args=(600,), daemon=True).start()\n")
	for _, name := range []string{"mobula/_errors.py", "mobula/_session.py", "mobula/_gen/__init__.py", "mobula/_gen/session_pb2.py", "cloudpickle.py"} {
		write(name, "")
	}
	return python, home
}

// forkedSpec starts a forked worker in a mode; settings are pairs.
func (p *pool) forkedSpec(python, home, mode string, settings ...string) Spec {
	s := p.spec(mode, settings...)
	s.Executable, s.Path, s.Args, s.Fork = nil, python, []string{python, "-P", "-m", "mobula._zygote"}, true
	s.Env = map[string]string{"PYTHONPATH": home, "PYTHONDONTWRITEBYTECODE": "1"}
	return s
}

// pythonView is what a worker sees.
type pythonView struct {
	PPID, Group, PID, Threads int
	Files                     []int
	Mark                      []string
	Env, Dir, Score           string
	Roles                     []string
	Random                    float64
}

func TestForkedWorkersAreLikeOthers(t *testing.T) {
	t.Parallel()
	python, home := pythonHome(t)
	p := open(t, Config{})
	var views []pythonView
	for range 2 {
		s := p.forkedSpec(python, home, "view")
		s.Dir = home
		pr := p.startSpec(s)
		p.ready(pr)
		var v pythonView
		hear(t, pr, &v)
		if r := p.exit(pr); r.Kind != Clean {
			t.Error(r, r.LastLines)
		}
		mark := p.mark(s.Worker)
		if v.PID != pr.PID() || v.Group != v.PID || v.Threads != 1 || v.Dir != home || len(v.Roles) > 0 || v.Env != mark {
			t.Errorf("process %d: %+v", pr.PID(), v)
		}
		if want := []string{guard.EnvMark + "=" + mark}; !slices.Equal(v.Mark, want) {
			t.Errorf("marked %q, want %q", v.Mark, want)
		}
		if want := []int{0, 1, 2}; len(v.Files) != 5 || !slices.Equal(v.Files[:3], want) { // the role's socket, and the directory that is listed
			t.Errorf("open descriptors: %v", v.Files)
		}
		if v.Score != "500" {
			t.Errorf("score for the kernel's choice of a victim = %q", v.Score)
		}
		views = append(views, v)
	}
	if views[0].PPID != views[1].PPID || views[0].PPID == os.Getpid() {
		t.Errorf("forked by %d and %d, want one zygote", views[0].PPID, views[1].PPID)
	}
	if views[0].Random == views[1].Random {
		t.Error("two workers draw the same random number")
	}
}

func TestTheEndsOfForkedWorkersAreTyped(t *testing.T) {
	t.Parallel()
	python, home := pythonHome(t)
	p := open(t, Config{})
	for _, c := range []struct {
		mode, setting, value string
		kind                 ExitKind
		code                 int
		signal               syscall.Signal
		last                 string
	}{
		{"exit", "code", "4", UserExit, 4, 0, "last words"},
		{"exit", "code", "0", Clean, 0, 0, "last words"},
		{"signal", "signal", "11", Signaled, -1, syscall.SIGSEGV, ""},
		{"signal", "signal", "15", Signaled, -1, syscall.SIGTERM, ""},
	} {
		pr := p.startSpec(p.forkedSpec(python, home, c.mode, c.setting, c.value))
		p.ready(pr)
		r := p.exit(pr)
		if r.Kind != c.kind || r.Code != c.code || r.Signal != c.signal || r.LastLine() != c.last {
			t.Errorf("%s %s: %+v: %v", c.mode, c.value, r, r)
		}
		awaitGone(t, []int{pr.PID()}) // It is reaped by the zygote, a moment later.
	}
	pr := p.startSpec(p.forkedSpec(python, home, "serve"))
	p.ready(pr)
	if err := p.Kill(pr.Worker(), CauseCancelled); err != nil {
		t.Fatal(err)
	}
	if r := p.exit(pr); r.Kind != Killed || r.Cause != CauseCancelled {
		t.Errorf("killed: %+v", r)
	}
}

func TestAZygoteThatDoesNotComeUpSaysWhy(t *testing.T) {
	t.Parallel()
	python, _ := pythonHome(t)
	p := open(t, Config{})
	_, err := p.Start(t.Context(), p.forkedSpec(python, t.TempDir(), "serve"))
	failed, ok := errors.AsType[*ZygoteError](err)
	if !ok || !strings.Contains(err.Error(), "No module named") || failed.Reason.Code != 1 {
		t.Errorf("%T %v", err, err)
	}
	if p.Len() != 0 {
		t.Error("a worker is left")
	}
}

func TestAZygoteThatCrashesIsNotStartedAtOnce(t *testing.T) {
	t.Parallel()
	python, _ := pythonHome(t)
	p := open(t, Config{Backoff: func(n int) time.Duration { return time.Hour }})
	s := p.forkedSpec(python, t.TempDir(), "serve")
	_, _ = p.Start(t.Context(), s)
	_, err := p.Start(t.Context(), s)
	if _, ok := errors.AsType[*BackoffError](err); !ok {
		t.Errorf("%T %v", err, err)
	}
}

func TestAZygoteWithThreadsDoesNotFork(t *testing.T) {
	t.Parallel()
	python, home := pythonHome(t)
	p := open(t, Config{})
	s := p.forkedSpec(python, home, "view")
	s.Env["TEST_THREAD"] = "yes"
	pr := p.startSpec(s)
	p.ready(pr)
	var v pythonView
	hear(t, pr, &v)
	p.exit(pr)
	if v.PPID != os.Getpid() || pr.forked != nil {
		t.Errorf("the worker was forked by %d", v.PPID)
	}
}

func TestWorkersEndWithTheirZygoteAndTheNextHasANewOne(t *testing.T) {
	t.Parallel()
	python, home := pythonHome(t)
	p := open(t, Config{})
	pr := p.startSpec(p.forkedSpec(python, home, "serve"))
	p.ready(pr)
	zygote := pr.forked.zygote
	if err := unix.Kill(zygote.proc.pid, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if r := p.exit(pr); r.Kind != Killed || r.Cause != CauseZygote || r.Signal != syscall.SIGKILL {
		t.Errorf("%+v: %v", r, r)
	}
	again := p.startSpec(p.forkedSpec(python, home, "serve"))
	p.ready(again)
	if again.forked.zygote == zygote {
		t.Error("the zygote is the one that was killed")
	}
}

func TestTheZygoteOfAJobThatHasEndedEndsWithItsLastWorker(t *testing.T) {
	t.Parallel()
	python, home := pythonHome(t)
	p := open(t, Config{})
	s := p.forkedSpec(python, home, "serve")
	pr := p.startSpec(s)
	p.ready(pr)
	z := pr.forked.zygote
	p.Forget(s.Job)
	select {
	case <-z.gone:
		t.Error("the zygote ended before its worker")
	default:
	}
	if err := p.Kill(pr.Worker(), CauseRetired); err != nil {
		t.Fatal(err)
	}
	p.exit(pr)
	select {
	case <-z.gone:
	case <-time.After(10 * time.Second):
		t.Error("the zygote does not end")
	}
}

func TestManyWorkersAreForkedAtOnce(t *testing.T) {
	t.Parallel()
	python, home := pythonHome(t)
	p := open(t, Config{})
	if _, err := p.nurse(t.Context(), p.forkedSpec(python, home, "serve")); err != nil {
		t.Fatal(err)
	}
	const count = 20
	var starting sync.WaitGroup
	began := time.Now()
	for range count {
		starting.Go(func() {
			if _, err := p.Start(context.Background(), p.forkedSpec(python, home, "serve")); err != nil {
				t.Error(err)
			}
		})
	}
	starting.Wait()
	t.Logf("%d workers were forked in %v", count, time.Since(began))
	for range count {
		select {
		case e := <-p.events:
			if e.Exit != nil {
				t.Errorf("a worker ended: %v %q", e.Exit, e.Exit.LastLines)
			}
		case <-time.After(30 * time.Second):
			t.Fatal("a worker does not take over")
		}
	}
	t.Logf("they had taken over after %v", time.Since(began))
}

// What outlives neither its worker nor its node: see also what owners do.
func TestNothingOutlivesAForkedWorkersNode(t *testing.T) {
	t.Parallel()
	_, home := pythonHome(t)
	for _, mode := range []string{"forked", "forked-close"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			o := startOwnerWith(t, mode, envPython+"="+home)
			f := o.hear()
			if len(f.PIDs) < 6 {
				t.Fatalf("processes %v", f.PIDs)
			}
			if mode == "forked" {
				if err := o.cmd.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			} else {
				o.goOn()
				if end := o.hear(); len(end.Children) > 0 {
					t.Errorf("children after Close: %+v", end.Children)
				}
			}
			awaitGone(t, f.PIDs)
		})
	}
}

// ownForked is an owner process with forked workers that have subprocesses of all sorts.
func ownForked(tell func(facts), goOn func()) {
	p := openOwner()
	python, err := exec.LookPath("python3")
	check(err)
	out, err := exec.Command(python, "-c", "import sys; print(sys.executable)").Output()
	check(err)
	python = strings.TrimSpace(string(out))
	f := facts{Guard: p.guardPID(0)}
	f.PIDs = append(f.PIDs, f.Guard)
	for range 2 {
		pr, err := p.Start(context.Background(), p.forkedSpec(python, os.Getenv(envPython), "family"))
		check(err)
		p.ready(pr)
		var pids []int
		hear(p.t, pr, &pids)
		f.PIDs = append(append(f.PIDs, pr.PID()), pids...)
	}
	all, err := guard.Scan()
	check(err)
	for _, x := range all {
		if _, ok := guard.Mark(x.PID, p.name); ok && !slices.Contains(f.PIDs, x.PID) {
			f.PIDs = append(f.PIDs, x.PID)
		}
	}
	tell(f)
	goOn()
	check(p.Close())
	tell(facts{Children: childrenOf(os.Getpid())})
}
