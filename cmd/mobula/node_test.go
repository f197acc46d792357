package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func TestHelpTeaches(t *testing.T) {
	t.Parallel()
	for name, args := range map[string][]string{
		"help": {"--help"}, "help-up": {"up", "--help"}, "help-list": {"list", "--help"}, "help-list-tasks": {"list", "tasks", "--help"},
		"help-logs": {"logs", "--help"},
		"version":   {"version"},
	} {
		golden(t, name, must(t, args...))
	}
	if plain, help := must(t), must(t, "--help"); plain != help {
		t.Errorf("without a command it prints\n%s", plain)
	}
}

func TestMistakesInTheCommandLineAreSaid(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		args string
		want string
	}{
		{"fly", `unknown command "fly"`},
		{"up --fast", "unknown flag: --fast"},
		{"up here", `unknown command "here"`},
		{"up --memory lots", "want a size such as"},
		{"up --memory -1GiB", "out of range"},
		{"up --store-bytes 1e40", "out of range"},
		{"up --cpus many", "invalid argument"},
		{"up --cpus -1", "negative"},
		{"up --resource disk", "want name=quantity"},
		{"up --resource =1", "want name=quantity"},
		{"up --resource disk=1 --resource disk=2", "given before"},
		{"up --log-level loud", "want debug, info, warn or error"},
		{"up --log-format xml", "want text or json"},
		{"list", "say what to list"},
		{"list widgets", `unknown command "widgets"`},
		{"list tasks --state sleeping", "want one of waiting, queued, running, blocked, finished, failed"},
		{"list tasks --limit 10001", "at most 10000"},
		{"list objects --job xyz", "32 hexadecimal digits"},
		{"explain", "say what to explain"},
		{"explain xyz", "is not an id"},
		{"explain abcd", "is not an id"},
	} {
		r := execute(t, strings.Fields(c.args)...)
		if r.code != exitUsage || !strings.Contains(r.stderr, c.want) || !strings.Contains(r.stderr, "--help") || r.stdout != "" {
			t.Errorf("mobula %s: exit status %d, printed %q and %q; want %q", c.args, r.code, r.stdout, r.stderr, c.want)
		}
	}
}

func TestCommandsSayThatThereIsNoNode(t *testing.T) {
	t.Parallel()
	dir := newDir(t)
	for _, args := range []string{"status", "list jobs", "explain " + strings.Repeat("0", 32)} {
		for _, c := range []struct{ env, flags string }{
			{"", "--address " + dir}, {"", "--address unix:" + dir + "/node.sock"}, {addressVariable + "=unix:" + dir, ""},
			{"XDG_RUNTIME_DIR=" + dir, ""}, {"", "--address /nowhere"},
		} {
			r := runIn(t, []string{c.env}, strings.Fields(args+" "+c.flags)...)
			if r.code != exitFailed || !strings.HasPrefix(r.stderr, "mobula: no node runs at ") || !strings.Contains(r.stderr, "mobula up") {
				t.Errorf("mobula %s %s (%s): exit status %d, %q", args, c.flags, c.env, r.code, r.stderr)
			}
		}
	}
	if r := execute(t, "down", "--address", dir); r.code != 0 || !strings.Contains(r.stderr, "no node runs in "+dir) {
		t.Errorf("down: exit status %d, %q", r.code, r.stderr)
	}
}

func TestUpServesUntilASignalAndLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	for _, s := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT} {
		dir := newDir(t)
		cmd := command(t.Context(), t, "up", "--dir", dir, "--log-format", "json")
		var stdout, stderr strings.Builder
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		eventually(t, "node is ready", func() bool { return execute(t, "status", "--address", dir).code == 0 })
		if err := cmd.Process.Signal(s); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("%v: %v\n%s", s, err, stderr.String())
		}
		golden(t, "up", stdout.String(), dir, "DIR")
		if !strings.Contains(stderr.String(), `"msg":"node ends","reason":"signal: `+s.String()) {
			t.Errorf("%v: log: %s", s, stderr.String())
		}
		for _, name := range []string{"node.sock", "api.sock"} {
			if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
				t.Errorf("%v: %s was left", s, name)
			}
		}
	}
}

func TestSecondUpOnADirectoryIsRefused(t *testing.T) {
	t.Parallel()
	dir := newDir(t)
	up(t, dir)
	pid := pidOf(t, dir)
	for _, args := range [][]string{{"up", "--dir", dir}, {"up", "--detach", "--dir", dir}} {
		r := execute(t, args...)
		if r.code != exitFailed || r.stdout != "" {
			t.Errorf("mobula %v: exit status %d, %q", args, r.code, r.stdout)
		}
		golden(t, "second-up", r.stderr, dir, "DIR")
	}
	if got := jsonOf[struct{ PID int }](t, "status", "--address", dir).PID; got != pid {
		t.Errorf("the node is process %d, was %d", got, pid)
	}
}

func TestDetachedNodeRunsUntilDown(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(newDir(t), "made")
	t.Cleanup(func() { must(t, "down", "--address", dir) })
	golden(t, "up-detached", must(t, "up", "-d", "--dir", dir, "--resource", "disk=2", "--resource", "camera=0.5"), dir, "DIR")
	pid := pidOf(t, dir)
	if log, err := os.ReadFile(filepath.Join(dir, "log")); err != nil || !strings.Contains(string(log), "node is ready") {
		t.Errorf("log: %s, %v", log, err)
	}
	if sid, err := unix.Getsid(pid); err != nil || sid != pid {
		t.Errorf("the node is in session %d: it would end with its terminal (%v)", sid, err)
	}
	golden(t, "down", must(t, "down", "--address", "unix:"+dir+"/node.sock"), dir, "DIR")
	if alive(pid) {
		t.Error("down returned before the node had ended")
	}
	must(t, "down", "--address", dir) // again
}

func TestDetachTellsWhyTheNodeDidNotStart(t *testing.T) {
	t.Parallel()
	dir := newDir(t)
	for _, c := range []struct{ flags, want string }{
		{"--gpus 1000", "too many different resources"},
		{"--resource CPU=1", "not a name for a custom resource"},
	} {
		r := execute(t, append([]string{"up", "--detach", "--dir", dir}, strings.Fields(c.flags)...)...)
		if r.code != exitFailed || r.stdout != "" || !strings.Contains(r.stderr, "the node did not start: exit status 1") || !strings.Contains(r.stderr, c.want) {
			t.Errorf("%s: exit status %d, %q, %q", c.flags, r.code, r.stdout, r.stderr)
		}
	}
}

func TestNodeUsesTheDirectoryOfItsUser(t *testing.T) {
	t.Parallel()
	run := newDir(t)
	env := []string{"XDG_RUNTIME_DIR=" + run}
	t.Cleanup(func() { runIn(t, env, "down") })
	if r := runIn(t, env, "up", "-d"); r.code != 0 || !strings.Contains(r.stdout, run+"/mobula/node.sock") || strings.Contains(r.stdout, "down --address") {
		t.Fatalf("up: exit status %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	if r := runIn(t, env, "status"); r.code != 0 {
		t.Errorf("status: %s", r.stderr)
	}
	if r := runIn(t, env, "down"); r.code != 0 {
		t.Errorf("down: %s", r.stderr)
	}
}

func TestNodeLetsInOnlyWhoHasItsToken(t *testing.T) {
	t.Parallel()
	dir := newDir(t)
	up(t, dir)
	token := filepath.Join(dir, "token")
	if info, err := os.Stat(token); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("token: %v, %v", info.Mode(), err)
	}
	right, err := os.ReadFile(token)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ token, want string }{
		{strings.Repeat("0", 64), "token is not that of this node"}, {"", "token is not that of this node"}, {"xyz", "read the node's token"},
	} {
		if err := os.WriteFile(token, []byte(c.token), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, args := range [][]string{{"status"}, {"list", "tasks"}} {
			if r := execute(t, append(args, "--address", dir)...); r.code != exitFailed || !strings.Contains(r.stderr, c.want) {
				t.Errorf("%v with token %q: exit status %d, %q", args, c.token, r.code, r.stderr)
			}
		}
	}
	if err := os.WriteFile(token, right, 0o600); err != nil {
		t.Fatal(err)
	}
	must(t, "status", "--address", dir)
}

// TestDownEndsANodeThatDoesNotAnswer stops the node, so that it neither answers nor sees a signal.
func TestDownEndsANodeThatDoesNotAnswer(t *testing.T) {
	t.Parallel()
	dir := newDir(t)
	up(t, dir)
	pid := pidOf(t, dir)
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	if r := execute(t, "down", "--address", dir, "--timeout", "200ms"); r.code != exitFailed || !strings.Contains(r.stderr, "down --force") {
		t.Errorf("without force: exit status %d, %q", r.code, r.stderr)
	}
	must(t, "down", "--address", dir, "--timeout", "200ms", "--force")
	if alive(pid) {
		t.Error("the node lives")
	}
}

// TestNoWorkerOutlivesTheNode holds for every way in which a node can end.
func TestNoWorkerOutlivesTheNode(t *testing.T) {
	t.Parallel()
	for _, s := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGQUIT, syscall.SIGKILL} {
		dir := newDir(t)
		up(t, dir)
		_, end := startDriver(t, dir)
		workers := jsonOf[struct{ Workers []struct{ PID int } }](t, "list", "workers", "--address", dir).Workers
		if len(workers) == 0 {
			t.Fatal("there are no workers")
		}
		pid := pidOf(t, dir)
		if err := syscall.Kill(pid, s); err != nil {
			t.Fatal(err)
		}
		eventually(t, "node ends", func() bool { return !alive(pid) })
		for _, w := range workers {
			eventually(t, "worker ends", func() bool { return w.PID == 0 || !alive(w.PID) })
		}
		end()
	}
}

func TestNodeThatWasKilledSaysWhatDiedWithIt(t *testing.T) {
	t.Parallel()
	dir := newDir(t)
	up(t, dir)
	driver, end := startDriver(t, dir)
	type jobs struct {
		Jobs []struct {
			State, Cause string
			PID          int
		}
	}
	eventually(t, "job is recorded", func() bool { // that is not awaited when a driver connects
		b := must(t, "list", "jobs", "--address", dir, "--json")
		return strings.Contains(b, "running")
	})
	eventually(t, "actor is recorded", func() bool { return strings.Contains(must(t, "list", "actors", "--address", dir), "alive") })
	pid := pidOf(t, dir)
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, "node ends", func() bool { return !alive(pid) })
	end()
	if r := execute(t, "status", "--address", dir); r.code != exitFailed || !strings.Contains(r.stderr, "no node answers") {
		t.Errorf("status of the killed node: exit status %d, %q", r.code, r.stderr)
	}

	up(t, dir)
	if got := jsonOf[struct{ Epoch int }](t, "status", "--address", dir).Epoch; got != 2 {
		t.Errorf("epoch %d", got)
	}
	eventually(t, "job is known to have failed", func() bool {
		list := jsonOf[jobs](t, "list", "jobs", "--address", dir).Jobs
		return len(list) == 1 && list[0].State == "failed" && list[0].PID == driver.Process.Pid && list[0].Cause != ""
	})
	actors := must(t, "list", "actors", "--address", dir, "--state", "dead")
	if !strings.Contains(actors, "example.Counter") {
		t.Errorf("actors:\n%s", actors)
	}
	log, err := os.ReadFile(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(log), "ended without a word") || !strings.Contains(string(log), "jobs=1 actors=1") {
		t.Errorf("log:\n%s", log)
	}
	must(t, "down", "--address", dir)

	up(t, dir)
	if log, err := os.ReadFile(filepath.Join(dir, "log")); err != nil || strings.Count(string(log), "ended without a word") != 1 {
		t.Errorf("a life that ended in order is reported: %v\n%s", err, log)
	}
}

func TestDirectoryThatOthersMayWriteToIsRefused(t *testing.T) {
	t.Parallel()
	dir := newDir(t)
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	if r := execute(t, "up", "--dir", dir); r.code != exitFailed || !strings.Contains(r.stderr, "others may write") {
		t.Errorf("exit status %d, %q", r.code, r.stderr)
	}
	if r := execute(t, "up", "--dir", "/"+strings.Repeat("x", 200)); r.code != exitFailed || !strings.Contains(r.stderr, "choose a shorter directory") {
		t.Errorf("exit status %d, %q", r.code, r.stderr)
	}
}

func TestIdleNodeStaysSmall(t *testing.T) {
	t.Parallel()
	dir := newDir(t)
	up(t, dir)
	s := jsonOf[struct {
		ResidentBytes uint64 `json:"resident_bytes"`
	}](t, "status", "--address", dir)
	if s.ResidentBytes > 80<<20 {
		t.Errorf("an idle node has %d bytes resident", s.ResidentBytes)
	}
}

func TestRoleOfAnotherProcessIsRefused(t *testing.T) {
	t.Parallel()
	cmd := command(t.Context(), t, "status")
	cmd.Env = append(cmd.Env, "MOBULA_ROLE=worker", "MOBULA_ROLE_FD=999", "MOBULA_ROLE_PROOF=00")
	if out, err := cmd.CombinedOutput(); err == nil || cmd.ProcessState.ExitCode() != 3 {
		t.Errorf("%v\n%s", err, out)
	}
}
