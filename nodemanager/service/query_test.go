package service

import (
	"fmt"
	"strings"
	"testing"

	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"
	"github.com/mobula-dev/mobula/internal/wire"
	"github.com/mobula-dev/mobula/nodemanager/workerpool"
	"google.golang.org/protobuf/proto"
)

// What clients ask, and what they are told without asking.

// ask asks the node and returns its reply.
func (p *peer) ask(q *mobulav1.Query) *mobulav1.Reply {
	p.t.Helper()
	p.last.query++
	q.Id = p.last.query
	p.send(q)
	r := expect[*mobulav1.Reply](p)
	if r.GetId() != q.GetId() {
		p.t.Fatalf("reply %d to query %d", r.GetId(), q.GetId())
	}
	return r
}

func key(op mobulav1.KeyValue_Op, name, text string) *mobulav1.Query {
	return &mobulav1.Query{Kind: &mobulav1.Query_KeyValue{KeyValue: &mobulav1.KeyValue{Op: op, Key: name, Value: []byte(text)}}}
}

func TestKeysAreWrittenAndRead(t *testing.T) {
	t.Parallel()
	d := open(t).driver()
	if r := d.ask(key(mobulav1.KeyValue_OP_GET, "k", "")); len(r.GetEntries()) != 0 || r.GetError() != nil {
		t.Errorf("%v", r)
	}
	if r := d.ask(key(mobulav1.KeyValue_OP_PUT, "k", "v")); r.GetEntries()[0].GetVersion() != 1 {
		t.Errorf("%v", r)
	}
	if r := d.ask(key(mobulav1.KeyValue_OP_PUT_IF_ABSENT, "k", "w")); r.GetError().GetKind() != mobulav1.ErrorKind_ERROR_KIND_ALREADY_EXISTS {
		t.Errorf("%v", r)
	}
	if r := d.ask(key(mobulav1.KeyValue_OP_GET, "k", "")); string(r.GetEntries()[0].GetValue()) != "v" {
		t.Errorf("%v", r)
	}
	for _, q := range []*mobulav1.Query{key(0, "k", ""), {}} {
		if r := d.ask(q); r.GetError().GetKind() != mobulav1.ErrorKind_ERROR_KIND_INVALID_ARGUMENT {
			t.Errorf("%v", r)
		}
	}
}

func TestAReplyThatDoesNotFitIsAnError(t *testing.T) {
	t.Parallel()
	w := open(t)
	w.control.keys["tests\x00long"] = &mobulav1.KeyRecord{Key: "long", Value: make([]byte, wire.MaxPayload)}
	for i := range 9000 {
		name := fmt.Sprintf("many-%s-%d", strings.Repeat("x", 150), i)
		w.control.keys["tests\x00"+name] = &mobulav1.KeyRecord{Key: name, Version: 1}
	}
	d := w.driver()
	for _, q := range []*mobulav1.Query{key(mobulav1.KeyValue_OP_GET, "long", ""), key(mobulav1.KeyValue_OP_LIST, "many", "")} {
		if r := d.ask(q); r.GetError() == nil {
			t.Errorf("%d entries", len(r.GetEntries()))
		}
	}
}

func TestQueriesAreLimitedAndAnsweredLater(t *testing.T) {
	t.Parallel()
	w := open(t)
	d := w.driver()
	d.silence()
	release := w.control.hold()
	for range queriesMax + 1 {
		d.last.query++
		q := key(mobulav1.KeyValue_OP_GET, "k", "")
		q.Id = d.last.query
		d.send(q)
	}
	if r := expect[*mobulav1.Reply](d); r.GetId() != d.last.query || r.GetError().GetKind() != mobulav1.ErrorKind_ERROR_KIND_UNAVAILABLE {
		t.Errorf("%v", r)
	}
	release()
	for range queriesMax {
		if r := expect[*mobulav1.Reply](d); r.GetError() != nil {
			t.Errorf("%v", r)
		}
	}
}

func TestResourcesAndReasonsAreTold(t *testing.T) {
	t.Parallel()
	w := open(t)
	d := w.driver()
	f := d.template(aFunction)
	c := d.submit(f)
	waits := d.submit(f, refs(c.object(0)))
	queued := d.submit(f)
	wk := w.worker()
	wk.executes(c)
	r := d.ask(&mobulav1.Query{Kind: &mobulav1.Query_Resources{Resources: &mobulav1.ResourcesQuery{}}})
	if r.GetTotal()["CPU"] != unit || r.GetAvailable()["CPU"] != 0 || r.GetAvailable()["pump"] != 2*unit {
		t.Errorf("%v", r)
	}
	for want, o := range map[string]call{"runs in process": c, "waits for 1 argument:": waits, "CPU": queued} {
		oid := o.object(0)
		if r := d.ask(&mobulav1.Query{Kind: &mobulav1.Query_Explain{Explain: &mobulav1.ExplainTask{ObjectId: oid[:]}}}); !strings.Contains(r.GetText(), want) {
			t.Errorf("%q, want %q", r.GetText(), want)
		}
	}
	if r := d.ask(&mobulav1.Query{Kind: &mobulav1.Query_Explain{Explain: &mobulav1.ExplainTask{ObjectId: []byte{1}}}}); r.GetError() == nil {
		t.Errorf("%v", r)
	}
}

func TestOutputOfWorkersReachesTheirDriver(t *testing.T) {
	t.Parallel()
	w := open(t)
	d, deaf := w.driver(func(h *mobulav1.Hello) { h.WantsLogs = true }), w.driver()
	d.submit(d.template(aFunction))
	wk := w.worker()
	wk.execute()
	w.n.workerOutput(wk.process.spec.Worker, workerpool.Stdout, []byte("hello"))
	m := expect[*mobulav1.Notice](d)
	if m.GetKind() != mobulav1.Notice_KIND_STDOUT || m.GetPid() != int32(wk.process.pid) || strings.Join(m.GetLines(), "|") != "hello" {
		t.Errorf("%v", m)
	}
	deaf.silence()
}

func TestManyLongLinesOfOutputAreSplit(t *testing.T) {
	t.Parallel()
	w := open(t)
	d := w.driver(func(h *mobulav1.Hello) { h.WantsLogs = true })
	d.submit(d.template(aFunction))
	wk := w.worker()
	wk.execute()
	const lines = 300
	long := []byte(strings.Repeat("x", 16<<10))
	for range lines {
		w.n.workerOutput(wk.process.spec.Worker, workerpool.Stderr, long)
	}
	for got := 0; got < lines; {
		got += len(expect[*mobulav1.Notice](d).GetLines())
	}
}

func TestSessionsReadTheStateWithoutGRPC(t *testing.T) {
	t.Parallel()
	w := open(t)
	d := w.driver()
	call := func(method string, request []byte) *mobulav1.Reply {
		return d.ask(&mobulav1.Query{Kind: &mobulav1.Query_State{State: &mobulav1.StateCall{Method: method, Request: request}}})
	}
	if r := call("ListJobs", nil); r.GetError() == nil {
		t.Errorf("a node without a state answered %v", r)
	}
	NewState(StateConfig{}).Attach(w.n)
	var jobs mobulav1.ListJobsResponse
	if r := call("ListJobs", nil); r.GetError() != nil || proto.Unmarshal(r.GetState(), &jobs) != nil || len(jobs.GetJobs()) != 1 {
		t.Errorf("%v, %v", r, &jobs)
	}
	for method, request := range map[string]string{"ListNothing": "", "Shutdown": "", "ListTasks": "\xff"} {
		if r := call(method, []byte(request)); r.GetError().GetKind() != mobulav1.ErrorKind_ERROR_KIND_INVALID_ARGUMENT {
			t.Errorf("%s: %v", method, r)
		}
	}
}
