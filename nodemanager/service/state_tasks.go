package service

import (
	"bytes"
	"cmp"
	"context"
	"slices"
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
	list, err := newList(r.GetLimit(), r.GetPageToken())
	if err != nil {
		return nil, err
	}
	if err := checkJob(r.GetJobId()); err != nil {
		return nil, err
	}
	if err := cmp.Or(checkText("function", r.GetFunction()), checkID("task", r.GetTaskId(), id.TaskSize)); err != nil {
		return nil, err
	}
	wanted := func(tid []byte, tmpl *template, state mobulav1.TaskState) bool {
		return same(r.GetTaskId(), tid) && same(r.GetJobId(), tmpl.job.id[:]) &&
			(r.GetState() == mobulav1.TaskState_TASK_STATE_UNSPECIFIED || r.GetState() == state) &&
			strings.Contains(tmpl.name, r.GetFunction())
	}
	err = n.eachTask(ctx, func(tid []byte, tmpl *template, submitted int64, t taskListing) {
		if wanted(tid, tmpl, t.state()) {
			list.add(submitted, tid, t)
		}
	}, list.trim)
	if err != nil {
		return nil, err
	}
	rows, next, err := makeRows(ctx, n, list, func(t taskListing) *mobulav1.TaskInfo { return t.row(n) })
	return &mobulav1.ListTasksResponse{Tasks: rows, Total: list.total, NextPageToken: next}, err
}

// eachTask visits the tasks that listings have, those that have ended first: under the node's lock if they have not, like scan.
func (n *Node) eachTask(ctx context.Context, visit func(tid []byte, tmpl *template, submitted int64, t taskListing), between func()) error {
	n.mu.Lock()
	ended := n.history.all()
	n.mu.Unlock()
	known := make(map[id.Task]bool, len(ended))
	for i := range ended {
		e := &ended[i]
		known[e.id] = true
		visit(e.id[:], e.tmpl, e.submitted, e)
	}
	return scan(ctx, n, n.dir.All(), scanPiece, func(o *ownership.Object) {
		t, ok := o.Maker.(*task)
		if !ok || !t.listedBy(o) || t.done && known[t.id()] || t.tmpl.options.GetNoTaskEvents() {
			return
		}
		visit(t.idBytes(), t.tmpl, t.submitted, t)
	}, between)
}

// SummarizeTasks implements mobulav1.NodeServiceServer.
func (s *State) SummarizeTasks(ctx context.Context, _ *mobulav1.SummarizeTasksRequest) (*mobulav1.SummarizeTasksResponse, error) {
	n, err := s.attached()
	if err != nil {
		return nil, err
	}
	type key struct {
		function string
		kind     mobulav1.TemplateKind
		state    mobulav1.TaskState
	}
	counts := make(map[key]uint64)
	resp := new(mobulav1.SummarizeTasksResponse)
	err = n.eachTask(ctx, func(_ []byte, tmpl *template, _ int64, t taskListing) {
		resp.Total++
		counts[key{tmpl.name, tmpl.kind, t.state()}]++
	}, nil)
	for k, count := range counts {
		resp.Rows = append(resp.Rows, &mobulav1.TaskSummary{Function: k.function, Kind: k.kind, State: k.state, Count: count})
	}
	slices.SortFunc(resp.Rows, func(a, b *mobulav1.TaskSummary) int {
		return cmp.Or(cmp.Compare(a.GetFunction(), b.GetFunction()), cmp.Compare(a.GetKind(), b.GetKind()), cmp.Compare(a.GetState(), b.GetState()))
	})
	resp.Rows = resp.Rows[:min(len(resp.Rows), listMax)]
	return resp, err
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
	state() mobulav1.TaskState
	row(n *Node) *mobulav1.TaskInfo
}

func (t *task) row(n *Node) *mobulav1.TaskInfo {
	row := t.tmpl.row()
	row.TaskId, row.State, row.Attempt = bytes.Clone(t.idBytes()), t.state(), t.attempt
	row.SubmittedUnixNs, row.CallSite = n.wall(t.submitted), t.from.callSite(t.callSite)
	if p := n.handles.get(t.parent); p != nil {
		row.ParentTaskId = bytes.Clone(p.idBytes())
	}
	if t.queued > 0 {
		row.ArgsReadyUnixNs = n.wall(t.queued)
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
				failed(row, v.Encoded)
				break
			}
		}
	default: // the others have nothing more to tell
	}
	return row
}

// row is what the rows of all tasks of a template say. Its options do not change.
func (t *template) row() *mobulav1.TaskInfo {
	row := &mobulav1.TaskInfo{
		JobId: bytes.Clone(t.job.id[:]), Function: t.name, Kind: t.kind, Name: t.options.GetName(), Labels: t.options.GetLabels(),
		Language: t.language, Resources: t.resources(), RuntimeEnv: t.options.GetRuntimeEnv(),
	}
	if t.group != nil {
		row.PlacementGroupId = bytes.Clone(t.group.id[:])
	}
	return row
}

// resources is what a task or an actor of the template takes: nothing for a call of an actor, and for an actor that asks for nothing.
func (t *template) resources() map[string]int64 {
	if t.assigned == nil && t.kind == mobulav1.TemplateKind_TEMPLATE_KIND_FUNCTION {
		return map[string]int64{"CPU": unit}
	}
	return t.assigned
}

// failed says in a row why its task failed.
func failed(row *mobulav1.TaskInfo, encoded []byte) {
	e := errorvalue.Decode(encoded)
	row.Error, row.ErrorKind = shorten(e.GetMessage()), e.GetKind()
}
