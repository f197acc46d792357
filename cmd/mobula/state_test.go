package main

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestWhatANodeDoesIsShown runs the driver of this package, whose work holds both CPUs, and looks at it in every way.
func TestWhatANodeDoesIsShown(t *testing.T) {
	t.Parallel()
	dir := newDir(t)
	up(t, dir, "--resource", "disk=2")
	driver, end := startDriver(t, dir)
	type task struct {
		ID       string `json:"task_id"`
		Function string
		State    string
	}
	type tasks struct {
		Tasks     []task
		Total     int
		Truncated bool
	}
	eventually(t, "two tasks run", func() bool {
		return len(jsonOf[tasks](t, "list", "tasks", "--state", "running", "--address", dir).Tasks) == 2
	})
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	words := []string{dir, "DIR", host, "HOST", strconv.Itoa(driver.Process.Pid), "DRIVER", strconv.Itoa(pidOf(t, dir)), "NODE"}
	for _, w := range jsonOf[struct{ Workers []struct{ PID int } }](t, "list", "workers", "--address", dir).Workers {
		words = append(words, strconv.Itoa(w.PID), "WORKER")
	}
	for _, noun := range []string{"tasks", "actors", "objects", "nodes", "jobs", "workers"} {
		golden(t, "list-"+noun, must(t, "list", noun, "--address", dir), words...)
		golden(t, "list-"+noun+"-keys", keys(t, must(t, "list", noun, "--address", dir, "--json")))
	}
	golden(t, "status", must(t, "status", "--address", dir), words...)

	if got := jsonOf[tasks](t, "list", "tasks", "--address", dir, "--limit", "2"); len(got.Tasks) != 2 || got.Total != 7 || !got.Truncated {
		t.Errorf("two of the tasks: %+v", got)
	}
	if r := execute(t, "list", "tasks", "--address", dir, "--limit", "2"); !strings.Contains(r.stderr, "2 of 7 tasks are shown") {
		t.Errorf("a list that is cut says %q", r.stderr)
	}
	if got := jsonOf[tasks](t, "list", "tasks", "--address", dir, "--function", "hold"); got.Total != 2 {
		t.Errorf("tasks of one function: %+v", got)
	}
	if got := jsonOf[tasks](t, "list", "tasks", "--address", dir, "--job", strings.Repeat("0", 32)); got.Total != 0 {
		t.Errorf("tasks of another job: %+v", got)
	}
	objects := must(t, "list", "objects", "--address", dir, "--min-size", "1MB")
	if strings.Count(objects, "\n") != 2 || !strings.Contains(objects, "example.big") {
		t.Errorf("large objects:\n%s", objects)
	}

	all := jsonOf[tasks](t, "list", "tasks", "--address", dir).Tasks
	for _, state := range []string{"waiting", "queued", "failed"} {
		i := slices.IndexFunc(all, func(t task) bool { return t.State == state })
		if i < 0 {
			t.Fatalf("no task is %s: %+v", state, all)
		}
		golden(t, "explain-"+state, must(t, "explain", all[i].ID, "--address", dir), words...)
	}
	if r := execute(t, "explain", strings.Repeat("0", 40), "--address", dir); r.code != exitFailed || !strings.Contains(r.stderr, "does not know") {
		t.Errorf("explain of nothing: exit status %d, %q", r.code, r.stderr)
	}

	end()
	eventually(t, "job ends", func() bool {
		list := must(t, "list", "jobs", "--address", dir, "--state", "succeeded")
		return strings.Contains(list, strconv.Itoa(driver.Process.Pid))
	})
	for _, ended := range jsonOf[tasks](t, "list", "tasks", "--address", dir).Tasks {
		if ended.State != "finished" && ended.State != "failed" {
			t.Errorf("a task after the end: %+v", ended)
		}
	}
}

// keys lists the keys of a JSON text, each with the type of its value, in order.
func keys(t *testing.T, text string) string {
	t.Helper()
	found := map[string]bool{}
	var walk func(path string, v any)
	walk = func(path string, v any) {
		switch v := v.(type) {
		case map[string]any:
			for key, value := range v {
				walk(path+"."+key, value)
			}
		case []any:
			for _, value := range v {
				walk(path+"[]", value)
			}
		default:
			found[fmt.Sprintf("%s %T\n", path, v)] = true
		}
	}
	var v any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatal(err)
	}
	walk("", v)
	var lines []string
	for line := range found {
		lines = append(lines, line)
	}
	slices.Sort(lines)
	return strings.Join(lines, "")
}
