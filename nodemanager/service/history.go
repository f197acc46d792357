package service

import (
	"bytes"

	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"
	"github.com/mobula-dev/mobula/internal/id"
)

// historyMax is how many tasks that have ended the node remembers, of all jobs: some 2 MB.
const historyMax = 10_000

// history is what is remembered of tasks that have ended, the latest ones, whoever holds their results. It is guarded by the node's mu.
type history struct {
	tasks []endedTask // a ring once it is full
	next  int
	// task is that whose outcome is being dealt with, and run for how many nanoseconds it ran.
	task *task
	run  int64
	// left is the task that has just left a worker, which is from.
	left *task
	from *worker
}

// endedTask is one task that has ended.
type endedTask struct {
	id        id.Task
	tmpl      *template
	from      *session
	worker    *worker // who had it last, nil when nobody had
	parent    id.Task // zero when a driver submitted it, or its parent had ended
	actor     id.Actor
	ofActor   bool
	failed    bool
	attempt   uint32
	callSite  uint32
	submitted int64
	queued    int64 // when its arguments were there; 0 when they never were
	begun     int64 // 0 when it did not run to its end
	ended     int64
	err       []byte // the encoded error, when it failed
}

// add remembers a task whose results are resolved.
func (h *history) add(n *Node, t *task) {
	if t.tmpl.options.GetNoTaskEvents() {
		return
	}
	if len(h.tasks) < historyMax {
		h.tasks = append(h.tasks, endedTask{})
		h.next = len(h.tasks) - 1
	} else {
		h.next = (h.next + 1) % historyMax
	}
	e := &h.tasks[h.next]
	*e = endedTask{
		id: t.id(), tmpl: t.tmpl, from: t.from, attempt: t.attempt, callSite: t.callSite, submitted: t.submitted, queued: t.queued, ended: n.now,
	}
	if t == h.left {
		e.worker = h.from
	}
	if t == h.task {
		e.begun = n.now - h.run
	}
	if p := n.handles.get(t.parent); p != nil {
		e.parent = p.id()
	}
	if t.actor != nil {
		e.actor, e.ofActor = t.actor.id, true
	}
	if v := t.first.Value(); v != nil && v.Failed {
		e.failed, e.err = true, v.Encoded
	}
}

// all returns a copy of what is remembered, in no order.
func (h *history) all() []endedTask { return append([]endedTask(nil), h.tasks...) }

func (e *endedTask) state() mobulav1.TaskState {
	if e.failed {
		return mobulav1.TaskState_TASK_STATE_FAILED
	}
	return mobulav1.TaskState_TASK_STATE_FINISHED
}

// row implements taskListing.
func (e *endedTask) row(n *Node) *mobulav1.TaskInfo {
	row := e.tmpl.row()
	row.TaskId, row.State, row.Attempt = bytes.Clone(e.id[:]), e.state(), e.attempt
	row.SubmittedUnixNs, row.EndedUnixNs, row.CallSite = n.wall(e.submitted), n.wall(e.ended), e.from.callSite(e.callSite)
	if e.queued > 0 {
		row.ArgsReadyUnixNs = n.wall(e.queued)
	}
	if e.parent != (id.Task{}) {
		row.ParentTaskId = bytes.Clone(e.parent[:])
	}
	if e.ofActor {
		row.ActorId = bytes.Clone(e.actor[:])
	}
	if w := e.worker; w != nil {
		row.WorkerId, row.Pid = bytes.Clone(w.id[:]), w.pid()
	}
	if e.begun > 0 {
		row.BegunUnixNs = n.wall(e.begun)
	}
	if e.failed {
		failed(row, e.err)
	}
	return row
}
