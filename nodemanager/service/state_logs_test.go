package service

import (
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"
	"github.com/mobula-dev/mobula/internal/id"
	"github.com/mobula-dev/mobula/internal/logdir"
	"github.com/mobula-dev/mobula/nodemanager/workerpool"
)

func TestLogsAreFoundByWhoPrintedThem(t *testing.T) {
	t.Parallel()
	logs, err := logdir.Open(filepath.Join(t.TempDir(), "logs"), logdir.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	w := open(t, func(c *Config) { c.Logs = logs })
	state := NewState(StateConfig{})
	state.Attach(w.n)
	d := w.driver()
	own := options(func(o *mobulav1.Options) { o.Isolation = mobulav1.Isolation_ISOLATION_PROCESS })
	made := d.submit(d.template(anActor, own))
	k := w.worker()
	k.done(k.executes(made), "made")
	d.result(made, 0)
	read := func(r *mobulav1.ReadLogRequest) (string, codes.Code) {
		t.Helper()
		page, err := state.ReadLog(t.Context(), r)
		return string(page.GetData()), status.Code(err)
	}
	wid, pid := k.process.Worker(), k.process.PID()
	ways := map[string]*mobulav1.ReadLogRequest{
		"worker": {WorkerId: wid[:]}, "pid": {Pid: int32(pid)}, "actor": {ActorId: made.id[:]},
	}
	for name, r := range ways {
		if text, code := read(r); text != "" || code != codes.OK {
			t.Errorf("by %s, of a worker that has printed nothing: %q, %v", name, text, code)
		}
	}
	f := logs.Create(workerpool.LogName(logOfWorker, wid, pid, workerpool.Stderr))
	if _, err := f.Write(append(logdir.TaskMark(made.id.String(), "f"), "hello\n"...)); err != nil {
		t.Fatal(err)
	}
	check := func(when string) {
		t.Helper()
		for name, r := range ways {
			r.Stream = mobulav1.LogStream_LOG_STREAM_ERR
			if text, code := read(r); text != "hello\n" || code != codes.OK {
				t.Errorf("%s, by %s: %q, %v", when, name, text, code)
			}
			r.Stream = mobulav1.LogStream_LOG_STREAM_OUT
			if text, code := read(r); text != "" || code != codes.OK {
				t.Errorf("%s, by %s, the other stream: %q, %v", when, name, text, code)
			}
		}
	}
	check("while it lives")
	k.crash()
	await(t, func() string {
		r, err := state.ListWorkers(t.Context(), &mobulav1.ListWorkersRequest{WorkerId: wid[:], State: mobulav1.WorkerState_WORKER_STATE_ENDED})
		if err != nil || len(r.GetWorkers()) != 1 {
			return "the worker has not ended"
		}
		return ""
	})
	check("after its end")
	w.locked(func(n *Node) { n.exits = nil })
	delete(ways, "actor")
	for name, r := range ways {
		r.Stream = mobulav1.LogStream_LOG_STREAM_ERR
		if text, code := read(r); text != "hello\n" || code != codes.OK {
			t.Errorf("when the node has forgotten the worker, by %s: %q, %v", name, text, code)
		}
	}
	if text, code := read(&mobulav1.ReadLogRequest{TaskId: made.id[:]}); code != codes.FailedPrecondition {
		t.Errorf("a Go function's lines, which nobody can tell: %q, %v", text, code)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestBadQuestionsForLogsAreRefused(t *testing.T) {
	t.Parallel()
	logs, err := logdir.Open(filepath.Join(t.TempDir(), "logs"), logdir.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	w := open(t, func(c *Config) { c.Logs = logs })
	state, without := NewState(StateConfig{}), NewState(StateConfig{})
	state.Attach(w.n)
	without.Attach(new(Node))
	nobody := make([]byte, id.TaskSize)
	for name, c := range map[string]struct {
		request *mobulav1.ReadLogRequest
		want    codes.Code
	}{
		"nothing":        {&mobulav1.ReadLogRequest{}, codes.InvalidArgument},
		"two":            {&mobulav1.ReadLogRequest{WorkerId: nobody, Pid: 1}, codes.InvalidArgument},
		"a short id":     {&mobulav1.ReadLogRequest{ActorId: []byte("short")}, codes.InvalidArgument},
		"a long name":    {&mobulav1.ReadLogRequest{Name: strings.Repeat("x", filterMax+1)}, codes.InvalidArgument},
		"another file":   {&mobulav1.ReadLogRequest{Name: "../token"}, codes.NotFound},
		"no such log":    {&mobulav1.ReadLogRequest{Name: "nothing"}, codes.NotFound},
		"no such task":   {&mobulav1.ReadLogRequest{TaskId: nobody}, codes.NotFound},
		"no such actor":  {&mobulav1.ReadLogRequest{ActorId: nobody}, codes.NotFound},
		"no such worker": {&mobulav1.ReadLogRequest{WorkerId: nobody}, codes.NotFound},
		"no such pid":    {&mobulav1.ReadLogRequest{Pid: 1}, codes.NotFound},
	} {
		if _, err := state.ReadLog(t.Context(), c.request); status.Code(err) != c.want {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	if _, err := state.ListLogs(t.Context(), &mobulav1.ListLogsRequest{Glob: "["}); status.Code(err) != codes.InvalidArgument {
		t.Errorf("a malformed pattern: %v", err)
	}
	if _, err := without.ListLogs(t.Context(), &mobulav1.ListLogsRequest{}); status.Code(err) != codes.FailedPrecondition {
		t.Errorf("of a node that keeps none: %v", err)
	}
}

func TestEventsAreToldNewestFirst(t *testing.T) {
	t.Parallel()
	w := open(t)
	state := NewState(StateConfig{})
	state.Attach(w.n)
	d := w.driver()
	made := d.submit(d.template(anActor))
	k := w.worker()
	k.done(k.executes(made), "made")
	d.result(made, 0)
	k.crash()
	await(t, func() string {
		r, err := state.ListEvents(t.Context(), &mobulav1.ListEventsRequest{})
		if err != nil {
			return err.Error()
		}
		found := make(map[mobulav1.EventSource]*mobulav1.EventInfo)
		for i, e := range r.GetEvents() {
			found[e.GetSource()] = e
			if i > 0 && r.GetEvents()[i-1].GetUnixNs() < e.GetUnixNs() {
				return "they are not in order"
			}
		}
		for _, source := range []mobulav1.EventSource{mobulav1.EventSource_EVENT_SOURCE_WORKER, mobulav1.EventSource_EVENT_SOURCE_ACTOR} {
			if e := found[source]; e.GetSeverity() != mobulav1.EventSeverity_EVENT_SEVERITY_ERROR || e.GetPid() != int32(k.process.PID()) || e.GetMessage() == "" {
				return "there is no " + source.String() + " of the crash"
			}
		}
		return ""
	})
}
