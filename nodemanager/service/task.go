package service

import (
	"fmt"
	"slices"
	"time"

	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"
	"github.com/mobula-dev/mobula/internal/errorvalue"
	"github.com/mobula-dev/mobula/internal/id"
	"github.com/mobula-dev/mobula/internal/wire"
	"github.com/mobula-dev/mobula/nodemanager/ownership"
	"github.com/mobula-dev/mobula/nodemanager/scheduler"
)

// task is the node's record of one submission until it is done, and of its results until nobody holds them. There may be millions: what few
// tasks have is in extras, and a test keeps the size.
type task struct {
	sched scheduler.Task
	// first is the object of result 0: embedded, because nearly all tasks have one result.
	first ownership.Object

	tmpl *template
	from *session // who submitted it; may have ended
	raw  []byte   // the Submit frame's payload; what spec says aliases it
	refs []*ownership.Object

	handle    uint64 // of the current attempt while it is dispatched
	worker    *worker
	parent    uint64
	submitted int64
	queued    int64  // when its arguments were there
	actor     *actor // of a creation or a call
	extra     *extras

	attempt   uint32
	retries   int32 // left; -1 without limit
	callSite  uint32
	refArgs   int32 // how many of refs are arguments; the others are inside the arguments' value
	missing   int32 // arguments that are not ready
	blocked   bool  // a call of an actor that waits in a get
	argFailed bool  // it did not run because an argument failed
	unsent    bool  // dispatched to a worker whose session has ended: it goes elsewhere when the process has
	done      bool
}

// extras is what few tasks have.
type extras struct {
	more      []ownership.Object   // results beyond the first
	timer     *time.Timer          // of its deadline or of its cancellation; nil when it has none
	deadline  int64                // of its caller; 0 is none
	stopped   *mobulav1.ErrorValue // why it was asked to end; what its refs resolve to unless it succeeds
	suspected int32                // crashes beside other tasks that were not charged
	shortages int32                // times it was ended for lack of memory
	stream    *stream              // nil when its results are no stream
}

// extras returns a copy, to be read.
func (t *task) extras() extras {
	if t.extra == nil {
		return extras{}
	}
	return *t.extra
}

// extend returns what extras reads, to be changed.
func (t *task) extend() *extras {
	if t.extra == nil {
		t.extra = new(extras)
	}
	return t.extra
}

func (t *task) id() id.Task { return t.first.ID.Task() }

// idBytes returns the task's id for a message, not to be kept.
func (t *task) idBytes() []byte { return t.first.ID[:id.TaskSize] }

// results yields the objects that the task makes; the constructor of a restarted actor makes none.
func (t *task) results(yield func(*ownership.Object) bool) {
	if (t.actor != nil && t == t.actor.recreation) || !yield(&t.first) {
		return
	}
	if t.extra == nil {
		return
	}
	for i := range t.extra.more {
		if !yield(&t.extra.more[i]) {
			return
		}
	}
}

// onSubmit enters a task. A spec that cannot be run resolves its refs to an error; only garbage ends the session.
func (n *Node) onSubmit(s *session, payload []byte) error {
	if err := s.spend(len(payload)); err != nil {
		return err
	}
	m := &n.scratchSubmit
	resetSubmit(m)
	raw := append(make([]byte, 0, len(payload)), payload...)
	if err := m.UnmarshalVTUnsafe(raw); err != nil {
		return err
	}
	if m.GetSequence() != s.sequence+1 {
		return &wire.ProtocolError{Reason: fmt.Sprintf("submission %d after %d", m.GetSequence(), s.sequence)}
	}
	s.sequence++
	tid, err := id.FromBytes[id.Task](m.GetTaskId())
	if err != nil {
		return &wire.ProtocolError{Reason: err.Error()}
	}
	if m.GetTemplate() == 0 || int(m.GetTemplate()) > len(s.templates) {
		return &wire.ProtocolError{Reason: fmt.Sprintf("unknown template %d", m.GetTemplate())}
	}
	tmpl := s.templates[m.GetTemplate()-1]
	if !tmpl.options.GetStreaming() && n.join(s, tid, tmpl, m.GetSequence()) { // its items would have to come again
		return nil
	}
	t := &task{
		first: ownership.Object{ID: tid.Object(0)}, tmpl: tmpl, from: s, raw: raw, attempt: 1, retries: tmpl.retries,
		submitted: n.now, parent: n.parentOf(s, m.GetParent()), callSite: m.GetCallSite(),
	}
	if tmpl.options.GetStreaming() {
		t.extend().stream = &stream{sequence: m.GetSequence()}
	}
	if err := n.enter(s, t, m.GetSequence()); err != nil {
		return err
	}
	n.start(s, t, m)
	return nil
}

// parentOf returns the handle of the task inside which a session says that it submits, or 0 when its worker has no such task (any more).
// So a parent is always older than its children, and there are no circles.
func (n *Node) parentOf(s *session, handle uint64) uint64 {
	if p := n.handles.get(handle); p == nil || p.worker != s.worker {
		return 0
	}
	return handle
}

// resetSubmit empties a message but keeps its lists.
func resetSubmit(m *mobulav1.Submit) {
	refs, keywords := m.RefArgs[:0], m.Keywords[:0]
	*m = mobulav1.Submit{}
	m.RefArgs, m.Keywords = refs, keywords
}

// join lets a task that a re-run of its parent submits again share the work that exists. A failed one is not shared.
func (n *Node) join(s *session, tid id.Task, tmpl *template, sequence uint64) bool {
	existing := n.dir.Lookup(tid.Object(0))
	if existing == nil {
		return false
	}
	t, ok := existing.Maker.(*task)
	if !ok || t.tmpl.returns != tmpl.returns || !t.joinable() {
		return false // enter takes its place
	}
	for o := range t.results {
		n.dir.Hold(o, s.id)
		n.dir.Subscribe(o, s.id, sequence, false)
	}
	return true
}

// joinable reports whether the work can be shared: all of its results are there or will be, and none failed.
func (t *task) joinable() bool {
	for o := range t.results {
		if v := o.Value(); !o.Live() || (v != nil && v.Failed) {
			return false
		}
	}
	return true
}

// enter puts the results of a task into the directory, held by the submitter, who is told of each.
func (n *Node) enter(s *session, t *task, sequence uint64) error {
	if extra := int(t.tmpl.returns) - 1; extra > 0 {
		t.extend().more = make([]ownership.Object, extra)
	}
	for o := range t.results {
		o.Maker, o.CallSite = t, t.callSite
	}
	tid, index := t.id(), uint32(0)
	for o := range t.results {
		old := n.dir.Lookup(tid.Object(index))
		if old != nil { // of an earlier run of the parent, and not to be shared
			n.dir.Supersede(old)
		}
		if err := n.dir.Create(o, tid.Object(index)); err != nil {
			n.abort(t)
			return &wire.ProtocolError{Reason: err.Error()}
		}
		if old != nil {
			n.dir.MoveHolds(old, o)
		}
		n.dir.Hold(o, s.id)
		n.dir.Subscribe(o, s.id, sequence, false)
		index++
	}
	t.tmpl.job.charge(len(t.raw))
	t.tmpl.job.tasks++
	if t.parent != 0 {
		n.children[t.parent] = append(n.children[t.parent], t)
	}
	return nil
}

// abort resolves those results of a task that were entered before its submission turned out to be a violation.
func (n *Node) abort(t *task) {
	e := failedValue(n.describe(t, t.invalid("the submission violates the protocol")))
	for o := range t.results {
		if o.Live() {
			n.resolve(o, e)
		}
	}
}

// start holds what the task needs and gives it to the scheduler or to its actor.
func (n *Node) start(s *session, t *task, m *mobulav1.Submit) {
	if t.tmpl.refused != nil {
		n.fail(t, t.tmpl.refused)
		return
	}
	if e := n.holdArgs(s, t, m); e != nil {
		n.fail(t, e)
		return
	}
	if m.GetTimeoutNs() > 0 {
		t.extend().deadline = n.now + m.GetTimeoutNs()
		n.arm(t, time.Duration(m.GetTimeoutNs()))
	}
	if e := n.awaitEnvironment(t); e != nil && t.tmpl.kind != mobulav1.TemplateKind_TEMPLATE_KIND_ACTOR {
		n.fail(t, e)
		return
	} else if e != nil {
		n.stillborn(t, e)
		return
	}
	switch t.tmpl.kind {
	case mobulav1.TemplateKind_TEMPLATE_KIND_ACTOR:
		n.createActor(t)
	case mobulav1.TemplateKind_TEMPLATE_KIND_METHOD:
		n.callActor(s, t, m.GetActorId())
	default:
		n.schedule(t)
	}
}

// holdArgs retains the objects that the arguments name and counts those that are not ready.
func (n *Node) holdArgs(s *session, t *task, m *mobulav1.Submit) *mobulav1.ErrorValue {
	args := &n.scratchValue
	resetValue(args)
	if err := args.UnmarshalVTUnsafe(m.GetArgs()); err != nil {
		return t.invalid("arguments cannot be read: " + err.Error())
	}
	inside, err := id.Objects(args.GetRefs())
	if err != nil {
		return t.invalid(err.Error())
	}
	if count := len(m.RefArgs) + len(args.GetRefs())/id.ObjectSize; count > 0 {
		t.refs = make([]*ownership.Object, 0, count)
	}
	for _, r := range m.RefArgs {
		oid, err := id.ObjectFromBytes(r.GetObjectId())
		if err != nil {
			return t.invalid(err.Error())
		}
		o := n.lookup(s, oid)
		if o == nil {
			return t.unknownArg(oid)
		}
		n.dir.Retain(o)
		t.refs = append(t.refs, o)
		t.refArgs++
		if n.dir.Wait(o, t) {
			t.missing++
		}
	}
	for oid := range inside {
		o := n.lookup(s, oid)
		if o == nil {
			return t.unknownArg(oid)
		}
		n.dir.Retain(o)
		t.refs = append(t.refs, o)
	}
	return nil
}

func resetValue(v *mobulav1.Value) {
	buffers := v.Buffers[:0]
	*v = mobulav1.Value{}
	v.Buffers = buffers
}

// failedArg returns the first argument whose outcome is an error, or nil.
func (t *task) failedArg() *ownership.Object {
	for _, o := range t.refs[:t.refArgs] {
		if v := o.Value(); v != nil && v.Failed {
			return o
		}
	}
	return nil
}

// schedule gives a task to the scheduler; one with a failed argument fails at once, whatever the others do.
func (n *Node) schedule(t *task) {
	if o := t.failedArg(); o != nil {
		n.failByArg(t, o)
		return
	}
	if t.missing == 0 {
		t.queued = n.now
	}
	t.sched.Class = t.class()
	t.sched.Record = t
	n.sched.Submit(&t.sched, int(t.missing), n.now)
}

// argReady notes that one more argument has its outcome.
func (n *Node) argReady(t *task, o *ownership.Object) {
	if t.done {
		return
	}
	t.missing--
	if o.Value().Failed {
		if t.tmpl.kind == mobulav1.TemplateKind_TEMPLATE_KIND_METHOD {
			n.failByArg(t, o)
			n.pump(t.actor) // those behind it wait no longer
			return
		}
		n.sched.Cancel(&t.sched, n.now)
		n.failByArg(t, o)
		return
	}
	if t.missing == 0 {
		t.queued = n.now
	}
	if t.tmpl.kind == mobulav1.TemplateKind_TEMPLATE_KIND_METHOD {
		if t.missing == 0 {
			n.pump(t.actor)
		}
		return
	}
	n.sched.ArgReady(&t.sched, n.now)
}

// finish ends a task: its results must be resolved already. It gives back what the task holds and its share of the job's budget.
func (n *Node) finish(t *task) {
	if t.done {
		panic("invariant: task " + t.id().String() + " finished twice")
	}
	t.done = true
	n.history.add(n, t)
	t.stopTimer()
	for _, o := range t.refs {
		n.dir.Drop(o)
	}
	if t.parent != 0 {
		n.orphan(t)
	}
	t.tmpl.job.tasks--
	t.tmpl.job.refund(len(t.raw))
	t.refs, t.raw = nil, nil
	n.feed(t.tmpl.job)
	if t.tmpl.kind == mobulav1.TemplateKind_TEMPLATE_KIND_METHOD && t.actor != nil {
		n.callDone(t)
	}
}

func (t *task) stopTimer() {
	if t.extra != nil && t.extra.timer != nil {
		t.extra.timer.Stop()
		t.extra.timer = nil
	}
}

// orphan takes a finished task off its parent's list. A parent has few unfinished children at a time, or they end in about the order in
// which they came: the search is short.
func (n *Node) orphan(t *task) {
	if left := without(n.children[t.parent], t); len(left) > 0 {
		n.children[t.parent] = left
	} else {
		delete(n.children, t.parent)
	}
}

// without takes a task off a list, at the front of which it mostly is.
func without(list []*task, t *task) []*task {
	if len(list) > 0 && list[0] == t {
		list[0] = nil
		return list[1:]
	}
	return slices.DeleteFunc(list, func(x *task) bool { return x == t })
}

// feed grants credit to sessions that waited for room in the job's budget.
func (n *Node) feed(j *job) {
	if len(j.starved) > 0 && !j.full() {
		starved := j.starved
		j.starved = nil
		for _, s := range starved {
			n.replenish(s)
		}
	}
	n.feedStreams(j)
}

// fail resolves all results of a task that does not run (any more) to an error and finishes it.
func (n *Node) fail(t *task, e *mobulav1.ErrorValue) {
	n.failEncoded(t, n.describe(t, e))
}

func (n *Node) failEncoded(t *task, encoded []byte) {
	for o := range t.results {
		n.resolve(o, failedValue(encoded))
	}
	n.finish(t)
	if a := t.actor; a != nil && t.tmpl.kind == mobulav1.TemplateKind_TEMPLATE_KIND_ACTOR {
		n.endActor(a, errorvalue.Decode(encoded), false)
	}
}

// failedValue is the outcome that an encoded error is.
func failedValue(encoded []byte) *ownership.Value {
	return &ownership.Value{Encoded: encoded, Size: uint64(len(encoded)), Failed: true}
}

// arm has the task expire after d.
func (n *Node) arm(t *task, d time.Duration) {
	t.extend().timer = time.AfterFunc(d, func() {
		n.locked(func() { n.expire(t) })
	})
}

// expire ends a task whose deadline has passed. One that runs is told through its context and resolved when it returns, or after the
// grace that a cancelled task has.
func (n *Node) expire(t *task) {
	if t.done {
		return
	}
	n.stopTask(t, t.expired(), false)
}

// expiredBy reports whether the task's deadline has passed.
func (t *task) expiredBy(now int64) bool {
	deadline := t.extras().deadline
	return deadline != 0 && now >= deadline
}

// expired is the outcome of a task whose deadline has passed.
func (t *task) expired() *mobulav1.ErrorValue {
	return &mobulav1.ErrorValue{
		Kind:      mobulav1.ErrorKind_ERROR_KIND_DEADLINE_EXCEEDED,
		Message:   fmt.Sprintf("%s did not finish within its caller's deadline", t.tmpl.name),
		Execution: mobulav1.Execution_EXECUTION_MAY_HAVE_EXECUTED,
		Hint:      "give the call a context with a later deadline",
	}
}
