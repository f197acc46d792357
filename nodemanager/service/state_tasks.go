package service

import (
	"bytes"
	"context"
	"strings"

	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"
	"github.com/mobula-dev/mobula/internal/errorvalue"
	"github.com/mobula-dev/mobula/nodemanager/ownership"
	"github.com/mobula-dev/mobula/nodemanager/scheduler"
)

// ListTasks implements mobulav1.NodeServiceServer.
func (s *State) ListTasks(ctx context.Context, r *mobulav1.ListTasksRequest) (*mobulav1.ListTasksResponse, error) {
	n, err := s.attached()
	if err != nil {
		return nil, err
	}
	list, err := newList[*task](r.GetLimit())
	if err != nil {
		return nil, err
	}
	if err := checkJob(r.GetJobId()); err != nil {
		return nil, err
	}
	if err := checkText("function", r.GetFunction()); err != nil {
		return nil, err
	}
	err = scan(ctx, n, n.dir.All(), scanPiece, func(o *ownership.Object) {
		t, ok := o.Maker.(*task)
		if !ok || !t.listedBy(o) || t.tmpl.options.GetNoTaskEvents() {
			return
		}
		if state := r.GetState(); state != mobulav1.TaskState_TASK_STATE_UNSPECIFIED && state != t.state() {
			return
		}
		if job := r.GetJobId(); len(job) > 0 && !bytes.Equal(job, t.tmpl.job.id[:]) || !strings.Contains(t.tmpl.name, r.GetFunction()) {
			return
		}
		list.add(t.submitted, t.idBytes(), t)
	}, list.trim)
	if err != nil {
		return nil, err
	}
	rows, err := makeRows(ctx, n, list, n.taskRow)
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

func (n *Node) taskRow(t *task) *mobulav1.TaskInfo {
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
