package service

import (
	"bytes"
	"fmt"
	"syscall"
	"time"

	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"
	"github.com/mobula-dev/mobula/internal/errorvalue"
	"github.com/mobula-dev/mobula/internal/id"
	"github.com/mobula-dev/mobula/nodemanager/workerpool"
)

// What drivers and workers say, in few words.

// value is an encoded value with refs inside.
func value(text string, refs ...id.Object) []byte {
	v := mobulav1.Value{Format: mobulav1.ValueFormat_VALUE_FORMAT_MSGPACK, Meta: []byte(text)}
	for _, r := range refs {
		v.Refs = append(v.Refs, r[:]...)
	}
	b, err := v.MarshalVT()
	if err != nil {
		panic(err)
	}
	return b
}

// text is the value's text, or what kind of error it is.
func text(encoded []byte) string {
	var v mobulav1.Value
	if err := v.UnmarshalVT(encoded); err != nil {
		return "unreadable: " + err.Error()
	}
	if v.GetFormat() == mobulav1.ValueFormat_VALUE_FORMAT_ERROR {
		return errorvalue.Decode(encoded).GetKind().String()
	}
	return string(v.GetMeta())
}

// template registers one and returns its number.
func (p *peer) template(kind mobulav1.TemplateKind, change ...func(*mobulav1.Template)) uint32 {
	p.t.Helper()
	f := functions[kind-1]
	p.last.sites++
	m := &mobulav1.Template{
		Id: uint32(p.last.sites), Kind: kind, Name: f.GetName(), Fingerprint: f.GetFingerprint(), Language: mobulav1.Language_LANGUAGE_GO,
		NumReturns: 1, Options: new(mobulav1.Options),
	}
	if kind != mobulav1.TemplateKind_TEMPLATE_KIND_FUNCTION {
		m.Class = "A"
	}
	for _, c := range change {
		c(m)
	}
	p.send(m)
	return m.GetId()
}

const (
	aFunction = mobulav1.TemplateKind_TEMPLATE_KIND_FUNCTION
	anActor   = mobulav1.TemplateKind_TEMPLATE_KIND_ACTOR
	aMethod   = mobulav1.TemplateKind_TEMPLATE_KIND_METHOD
)

// options changes a template's options.
func options(change func(*mobulav1.Options)) func(*mobulav1.Template) {
	return func(m *mobulav1.Template) { change(m.Options) }
}

// returns sets the number of results.
func returns(n uint32) func(*mobulav1.Template) {
	return func(m *mobulav1.Template) { m.NumReturns = n }
}

// call is a submission.
type call struct {
	*mobulav1.Submit
	id id.Task
}

// object is a result of the call.
func (c call) object(i uint32) id.Object { return c.id.Object(i) }

// submission makes a submission without sending it.
func (p *peer) submission(template uint32, change ...func(*mobulav1.Submit)) call {
	t := p.task()
	p.last.sequence++
	m := &mobulav1.Submit{Sequence: p.last.sequence, TaskId: t[:], Template: template, Args: value("args")}
	for _, c := range change {
		c(m)
	}
	return call{m, id.Task(m.GetTaskId())}
}

// submit sends a submission.
func (p *peer) submit(template uint32, change ...func(*mobulav1.Submit)) call {
	p.t.Helper()
	c := p.submission(template, change...)
	p.send(c.Submit)
	return c
}

// on makes it a call of an actor.
func on(actor call) func(*mobulav1.Submit) {
	return func(m *mobulav1.Submit) { m.ActorId = actor.TaskId }
}

// refs makes the objects arguments.
func refs(objects ...id.Object) func(*mobulav1.Submit) {
	return func(m *mobulav1.Submit) {
		for i, o := range objects {
			m.RefArgs = append(m.RefArgs, &mobulav1.RefArg{Position: uint32(i), ObjectId: bytes.Clone(o[:])})
		}
	}
}

// inside puts refs to the objects into the arguments.
func inside(objects ...id.Object) func(*mobulav1.Submit) {
	return func(m *mobulav1.Submit) { m.Args = value("args", objects...) }
}

// as gives it the id of another.
func as(t id.Task) func(*mobulav1.Submit) {
	return func(m *mobulav1.Submit) { m.TaskId = bytes.Clone(t[:]) }
}

// put puts a value and returns its object.
func (p *peer) put(encoded []byte) id.Object {
	p.t.Helper()
	o := p.task().Object(0)
	p.send(&mobulav1.Put{ObjectId: o[:], Value: encoded})
	return o
}

// packed is a list of ids.
func packed(objects ...id.Object) []byte {
	var b []byte
	for _, o := range objects {
		b = append(b, o[:]...)
	}
	return b
}

func (p *peer) hold(objects ...id.Object) { p.send(&mobulav1.Hold{ObjectIds: packed(objects...)}) }
func (p *peer) release(objects ...id.Object) {
	p.send(&mobulav1.Release{ObjectIds: packed(objects...)})
}
func (p *peer) get(objects ...id.Object) { p.send(&mobulav1.Get{ObjectIds: packed(objects...)}) }

// cancel cancels the task that makes the call's results.
func (p *peer) cancel(c call, force bool) {
	o := c.object(0)
	p.send(&mobulav1.Cancel{ObjectId: o[:], Force: force, Recursive: true})
}

// result reads the outcome of the call's result i, which must come next, and returns its text.
func (p *peer) result(c call, i uint32) string {
	p.t.Helper()
	r := expect[*mobulav1.Result](p)
	if r.GetSequence() != c.GetSequence() || r.GetIndex() != i {
		p.t.Fatalf("result %d of submission %d (%s), want %d of %d", r.GetIndex(), r.GetSequence(), text(r.GetValue()), i, c.GetSequence())
	}
	if r.GetValue() == nil {
		return "ready"
	}
	return text(r.GetValue())
}

// results reads the outcomes of the calls' first results, which may come in any order.
func (p *peer) results(calls ...call) map[uint64]string {
	p.t.Helper()
	got := make(map[uint64]string)
	for range calls {
		r := expect[*mobulav1.Result](p)
		got[r.GetSequence()] = text(r.GetValue())
	}
	return got
}

// failure reads the outcome of the call, which must be an error of that kind.
func (p *peer) failure(c call, kind mobulav1.ErrorKind) *mobulav1.ErrorValue {
	p.t.Helper()
	r := expect[*mobulav1.Result](p)
	if r.GetSequence() != c.GetSequence() {
		p.t.Fatalf("result of submission %d (%s), want %d", r.GetSequence(), text(r.GetValue()), c.GetSequence())
	}
	e := errorvalue.Decode(r.GetValue())
	if e.GetKind() != kind {
		p.t.Fatalf("submission %d ended with %s %q, want %v", c.GetSequence(), text(r.GetValue()), e.GetMessage(), kind)
	}
	return e
}

// answer reads the answer to a Get, which must come next.
func (p *peer) answer(o id.Object) string {
	p.t.Helper()
	r := expect[*mobulav1.Result](p)
	if r.GetSequence() != 0 || !bytes.Equal(r.GetObjectId(), o[:]) {
		p.t.Fatalf("result of submission %d (%x) in place of an answer about %v", r.GetSequence(), r.GetObjectId(), o)
	}
	if r.GetValue() == nil {
		return "ready"
	}
	return text(r.GetValue())
}

// execute reads the next call that the worker gets.
func (p *peer) execute() *mobulav1.Execute {
	p.t.Helper()
	e := expect[*mobulav1.Execute](p)
	if p.known[e.GetTemplate()] == nil {
		p.t.Fatalf("template %d was not announced", e.GetTemplate())
	}
	return e
}

// executes reads the next call that the worker gets, which must be c.
func (p *peer) executes(c call) *mobulav1.Execute {
	p.t.Helper()
	e := p.execute()
	if !bytes.Equal(e.GetTaskId(), c.TaskId) {
		p.t.Fatalf("task %x is executed, want %x", e.GetTaskId(), c.TaskId)
	}
	return e
}

// done ends a call with values.
func (p *peer) done(e *mobulav1.Execute, values ...string) {
	p.t.Helper()
	m := &mobulav1.Done{Handle: e.GetHandle(), RunNs: 1000}
	for _, v := range values {
		m.Results = append(m.Results, value(v))
	}
	p.send(m)
}

// failed ends a call with the user's own error.
func (p *peer) failed(e *mobulav1.Execute, names ...string) {
	p.t.Helper()
	v := errorvalue.Encode(&mobulav1.ErrorValue{
		Kind: mobulav1.ErrorKind_ERROR_KIND_TASK_FAILED, Message: "the user's error", Execution: mobulav1.Execution_EXECUTION_FAILED,
	})
	p.send(&mobulav1.Done{Handle: e.GetHandle(), RunNs: 1000, Failed: true, ErrorNames: names, Results: [][]byte{v}})
}

// crash ends the worker's process as a crash of the program does.
func (p *peer) crash() {
	p.hangUp()
	p.process.exit(workerpool.ExitReason{Kind: workerpool.Signaled, Signal: syscall.SIGSEGV, Code: -1, LastLines: []string{"its last line"}})
	await(p.t, func() string { // what the test sends next must not come before
		p.w.n.mu.Lock()
		defer p.w.n.mu.Unlock()
		if p.w.n.workers[p.process.spec.Worker] != nil {
			return "the node does not notice the end of the process"
		}
		return ""
	})
}

// goodbye ends the session in order and waits until the node has dealt with it.
func (p *peer) goodbye() {
	p.t.Helper()
	p.send(&mobulav1.Goodbye{})
	p.cutOff()
}

// order is what the node asked of the process next.
func (p *peer) order() string {
	p.t.Helper()
	select {
	case r := <-p.process.orders:
		return fmt.Sprint(r.Cause)
	case <-time.After(patience):
		p.t.Fatal("the node does not end the process")
		return ""
	}
}

// must encodes a value.
func must(v *mobulav1.Value) []byte {
	b, err := v.MarshalVT()
	if err != nil {
		panic(err)
	}
	return b
}

// silenceOrResult passes over results until the node has handled all that the peer has sent.
func (p *peer) silenceOrResult() {
	p.t.Helper()
	p.last.query++
	p.send(&mobulav1.Query{Id: p.last.query, Kind: &mobulav1.Query_Resources{Resources: &mobulav1.ResourcesQuery{}}})
	for {
		kind, _, err := p.next()
		if err != nil {
			p.t.Fatal(err)
		}
		if kind == mobulav1.FrameKind_FRAME_KIND_REPLY {
			return
		}
	}
}
