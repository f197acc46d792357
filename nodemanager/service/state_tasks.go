package service

import (
	"bytes"
	"context"
	"strings"

	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"
	"github.com/mobula-dev/mobula/internal/errorvalue"
	"github.com/mobula-dev/mobula/internal/id"
	"github.com/mobula-dev/mobula/nodemanager/ownership"
	"github.com/mobula-dev/mobula/nodemanager/scheduler"
)

// ListTasks implements mobulav1.NodeServiceServer.
func (s *State) ListTasks(ctx context.Context, r *mobulav1.ListTasksRequest) (*mobulav1.ListTasksResponse, error) {
	n, err := s.attached()
	if err != nil {
		return nil, err
	}
	list, err := newList[taskListing](r.GetLimit())
	if err != nil {
		return nil, err
	}
	if err := checkJob(r.GetJobId()); err != nil {
		return nil, err
	}
	if err := checkText("function", r.GetFunction()); err != nil {
		return nil, err
	}
	wanted := func(tmpl *template, state mobulav1.TaskState) bool {
		return !tmpl.options.GetNoTaskEvents() && (r.GetState() == mobulav1.TaskState_TASK_STATE_UNSPECIFIED || r.GetState() == state) &&
			(len(r.GetJobId()) == 0 || bytes.Equal(r.GetJobId(), tmpl.job.id[:])) && strings.Contains(tmpl.name, r.GetFunction())
	}
	n.mu.Lock()
	ended := n.history.all()
	n.mu.Unlock()
	known := make(map[id.Task]bool, len(ended))
	for i := range ended {
		e := &ended[i]
		known[e.id] = true
		if wanted(e.tmpl, e.state()) {
			list.add(e.submitted, e.id[:], e)
		}
	}
	err = scan(ctx, n, n.dir.All(), scanPiece, func(o *ownership.Object) {
		t, ok := o.Maker.(*task)
		if !ok || !t.listedBy(o) || t.done && known[t.id()] || !wanted(t.tmpl, t.state()) {
			return
		}
		list.add(t.submitted, t.idBytes(), t)
	}, list.trim)
	if err != nil {
		return nil, err
	}
	rows, err := makeRows(ctx, n, list, func(t taskListing) *mobulav1.TaskInfo { return t.row(n) })
	return &mobulav1.ListTasksResponse{Tasks: rows, Total: list.total}, err
}

// listedBy reports whether the task is listed on account of this object: the first of its results that somebody holds.
func (t *task) listedBy(o *ownership.Object) bool {
	for first := range t.results {
		if first.Live() {
			return first == o
		}
	}
	return false
}

// state says where the task stands.
func (t *task) state() mobulav1.TaskState {
	if t.done {
		for o := range t.results {
			if v := o.Value(); v != nil && v.Failed {
				return mobulav1.TaskState_TASK_STATE_FAILED
			}
		}
		return mobulav1.TaskState_TASK_STATE_FINISHED
	}
	switch {
	case t.blocked || t.sched.State() == scheduler.Blocked:
		return mobulav1.TaskState_TASK_STATE_BLOCKED
	case t.handle != 0:
		return mobulav1.TaskState_TASK_STATE_RUNNING
	case t.missing > 0:
		return mobulav1.TaskState_TASK_STATE_WAITING
	default:
		return mobulav1.TaskState_TASK_STATE_QUEUED
	}
}

// taskListing is what a row of the list of tasks is made of: a task, or what is remembered of one that has ended.
type taskListing interface {
	row(n *Node) *mobulav1.TaskInfo
}

func (t *task) row(n *Node) *mobulav1.TaskInfo {
	row := &mobulav1.TaskInfo{
		TaskId: bytes.Clone(t.idBytes()), JobId: bytes.Clone(t.tmpl.job.id[:]), Function: t.tmpl.name, Kind: t.tmpl.kind, State: t.state(), Attempt: t.attempt,
		SubmittedUnixNs: n.wall(t.submitted), CallSite: t.from.callSite(t.callSite),
		Name: t.tmpl.options.GetName(), Labels: t.tmpl.options.GetLabels(), // a template's options do not change
	}
	if t.actor != nil {
		row.ActorId = bytes.Clone(t.actor.id[:])
	}
	if w := t.worker; w != nil && t.handle != 0 {
		row.WorkerId, row.Pid = bytes.Clone(w.id[:]), w.pid()
	}
	switch row.State {
	case mobulav1.TaskState_TASK_STATE_WAITING:
		row.MissingArgs = uint32(t.missing)
	case mobulav1.TaskState_TASK_STATE_FAILED:
		for o := range t.results {
			if v := o.Value(); v != nil && v.Failed {
				row.Error = shorten(errorvalue.Decode(v.Encoded).GetMessage())
				break
			}
		}
	default: // the others have nothing more to tell
	}
	return row
}
