package main

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestWhatWorkersPrintIsShown reads the logs of a driver's work in every way that names them.
func TestWhatWorkersPrintIsShown(t *testing.T) {
	t.Parallel()
	dir := newDir(t)
	up(t, dir)
	_, end := startDriver(t, dir)
	logs := func(args ...string) string { return must(t, append([]string{"logs", "--address", dir}, args...)...) }
	type row struct {
		ID   string `json:"worker_id"`
		PID  int
		Name string
		Kind string
		Live bool
	}
	type list struct{ Logs, Workers []row }
	worker := jsonOf[list](t, "list", "workers", "--address", dir).Workers[0]
	out, err := fmt.Sprintf("worker-%s-%d.out", worker.ID, worker.PID), fmt.Sprintf("worker-%s-%d.err", worker.ID, worker.PID)
	files := jsonOf[list](t, "logs", "--address", dir).Logs
	if len(files) != 3 || files[0] != (row{Name: "node.log", Kind: "node", Live: true}) || files[1].Name != err || files[2].Name != out || files[2].Kind != "worker_out" {
		t.Fatalf("the files are %+v", files)
	}
	if table := logs("--glob", "worker-*.out"); !strings.Contains(table, out) || strings.Contains(table, err) || strings.Contains(table, "node.log") {
		t.Errorf("files of standard outputs:\n%s", table)
	}
	both := fmt.Sprintf("==> %s <==\na counter is made\n==> %s <==\nout of luck\n", out, err)
	actor := regexp.MustCompile(`"actor_id": "([0-9a-f]{32})"`).FindStringSubmatch(must(t, "list", "actors", "--address", dir, "--json"))[1]
	for want, ways := range map[string][][]string{
		both:                  {{fmt.Sprint(worker.PID)}, {worker.ID}, {"--worker", worker.ID}, {"--actor", actor}, {actor}, {actor, "--tail", "3"}},
		"a counter is made\n": {{out}, {"--stream", "out", worker.ID}},
		"out of luck\n":       {{err, "-n", "1"}, {"--stream", "err", "--actor", actor}},
	} {
		for _, args := range ways {
			if got := logs(args...); got != want {
				t.Errorf("logs %v prints\n%s\nwant\n%s", args, got, want)
			}
		}
	}
	if lines := logs("node.log", "--tail", "1"); strings.Count(lines, "\n") != 1 || !strings.Contains(lines, "level=INFO") {
		t.Errorf("the node's log ends with\n%s", lines)
	}
	follower := followLog(t, dir, worker.ID)
	end()
	if text := <-follower; text != both {
		t.Errorf("a follower, when the worker has ended, has seen\n%s", text)
	}
	if got := logs(worker.ID); got != both {
		t.Errorf("after the worker's end there is\n%s", got)
	}
	must(t, "down", "--address", dir)
	if r := execute(t, "logs", "--address", dir); r.code != exitFailed || !strings.Contains(r.stderr, filepath.Join(dir, "logs")) {
		t.Errorf("logs of a node that does not run: exit status %d, %q", r.code, r.stderr)
	}
}

// followLog follows a log until its end and gives what it was.
func followLog(t *testing.T, dir, id string) <-chan string {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	text := make(chan string, 1)
	go func() {
		out, err := exec.CommandContext(ctx, path, "logs", "--address", dir, "--follow", id).Output()
		if err != nil {
			out = []byte(err.Error())
		}
		text <- string(out)
	}()
	return text
}

func TestLogsThatAreNotThereAreRefusedWithAWayOut(t *testing.T) {
	t.Parallel()
	dir := newDir(t)
	up(t, dir)
	id := strings.Repeat("0", 32)
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"nothing.out"}, exitFailed, `"mobula logs" lists`},
		{[]string{"../token"}, exitFailed, "has no log"},
		{[]string{id}, exitFailed, "no worker, actor or task"},
		{[]string{"--actor", id}, exitFailed, "does not know actor"},
		{[]string{"1"}, exitFailed, "no process 1"},
		{[]string{"--worker", "short"}, exitUsage, "32 hexadecimal digits"},
		{[]string{"a", "b"}, exitUsage, "one log at a time"},
		{[]string{"a", "--task", id}, exitUsage, "one log at a time"},
		{[]string{"--follow"}, exitUsage, "say which log"},
		{[]string{"a", "--stream", "in"}, exitUsage, "out, err or both"},
		{[]string{"a", "--tail", "10000000"}, exitUsage, "0 to 1000000"},
		{[]string{"a", "--json"}, exitUsage, "the list"},
		{[]string{"--glob", "["}, exitFailed, "pattern"},
	} {
		r := execute(t, append([]string{"logs", "--address", dir}, c.args...)...)
		if r.code != c.code || !strings.Contains(r.stderr, c.want) {
			t.Errorf("logs %v: exit status %d, %q; want %d and %q", c.args, r.code, r.stderr, c.code, c.want)
		}
	}
}
