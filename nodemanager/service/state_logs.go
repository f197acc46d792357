package service

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"
	"github.com/mobula-dev/mobula/internal/id"
	"github.com/mobula-dev/mobula/internal/logdir"
	"github.com/mobula-dev/mobula/nodemanager/workerpool"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// logs returns the node's directory of logs.
func (s *State) logs() (*Node, *logdir.Dir, error) {
	n, err := s.attached()
	if err == nil && n.cfg.Logs == nil {
		err = status.Error(codes.FailedPrecondition, "this node keeps no logs: it runs inside a program's unit test")
	}
	if err != nil {
		return nil, nil, err
	}
	return n, n.cfg.Logs, nil
}

// ListLogs implements mobulav1.NodeServiceServer.
func (s *State) ListLogs(_ context.Context, r *mobulav1.ListLogsRequest) (*mobulav1.ListLogsResponse, error) {
	_, logs, err := s.logs()
	if err != nil {
		return nil, err
	}
	if err := checkText("glob", r.GetGlob()); err != nil {
		return nil, err
	}
	found, err := logs.List(r.GetGlob())
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	resp := new(mobulav1.ListLogsResponse)
	for _, f := range found {
		resp.Files = append(resp.Files, &mobulav1.LogFile{
			Name: f.Name, SizeBytes: uint64(f.Size), ModifiedUnixNs: f.Modified.UnixNano(), Live: f.Live, Kind: logKind(f.Name),
		})
	}
	return resp, nil
}

// ReadLog implements mobulav1.NodeServiceServer.
func (s *State) ReadLog(_ context.Context, r *mobulav1.ReadLogRequest) (*mobulav1.ReadLogResponse, error) {
	n, logs, err := s.logs()
	if err != nil {
		return nil, err
	}
	name, alive, err := n.logOf(logs, r)
	if err != nil {
		return nil, err
	}
	q := logdir.Query{Name: name, From: r.GetOffset(), Inside: r.GetInside(), Tail: -1}
	if r.Tail != nil {
		q.Tail = int(r.GetTail())
	}
	if len(r.GetTaskId()) > 0 {
		q.Task = id.Task(r.GetTaskId()).String()
	}
	page, err := logs.Read(q)
	switch {
	case errors.Is(err, logdir.ErrNotFound) && r.GetName() == "": // the worker has printed nothing
		return &mobulav1.ReadLogResponse{Name: name, End: true, Live: alive}, nil
	case errors.Is(err, logdir.ErrNotFound):
		return nil, status.Errorf(codes.NotFound, "the node has no log %q", name)
	case err != nil:
		return nil, status.Error(codes.Internal, err.Error())
	}
	return &mobulav1.ReadLogResponse{
		Name: name, Data: page.Data, NextOffset: page.Next, Inside: page.Inside, LostBytes: page.Lost, End: page.End, Live: page.Live,
	}, nil
}

// logOf returns the name of the log that a request asks for, and whether its worker lives.
func (n *Node) logOf(logs *logdir.Dir, r *mobulav1.ReadLogRequest) (name string, alive bool, err error) {
	given := 0
	for _, set := range []bool{r.GetName() != "", len(r.GetWorkerId()) > 0, len(r.GetActorId()) > 0, len(r.GetTaskId()) > 0, r.GetPid() != 0} {
		if set {
			given++
		}
	}
	if given != 1 && (given != 2 || r.GetName() == "" || len(r.GetTaskId()) == 0) {
		return "", false, status.Error(codes.InvalidArgument, "say whose log: one of a file's name, a worker, an actor, a task and a pid")
	}
	for what, b := range map[string][]byte{"worker": r.GetWorkerId(), "actor": r.GetActorId(), "task": r.GetTaskId()} {
		if err := checkID(what, b, id.TaskSize); err != nil { // all have as many
			return "", false, err
		}
	}
	stream := workerpool.Stdout
	if r.GetStream() == mobulav1.LogStream_LOG_STREAM_ERR {
		stream = workerpool.Stderr
	}
	var w *worker
	switch {
	case r.GetName() != "":
		return r.GetName(), false, checkText("name", r.GetName())
	case len(r.GetTaskId()) > 0:
		w, err = n.workerOfTask(id.Task(r.GetTaskId()))
	case len(r.GetActorId()) > 0:
		w, err = n.workerOfActor(id.Actor(r.GetActorId()))
	default:
		w = n.findWorker(r.GetWorkerId(), r.GetPid())
	}
	switch {
	case err != nil:
		return "", false, err
	case w == nil:
		name, err = keptLog(logs, r, stream)
		return name, false, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	return workerpool.LogName(logOfWorker, w.id, int(w.pid()), stream), n.workers[w.id] == w, nil
}

// keptLog finds the log of a worker that the node has forgotten.
func keptLog(logs *logdir.Dir, r *mobulav1.ReadLogRequest, stream workerpool.Stream) (string, error) {
	pattern, what := fmt.Sprintf("*-%d.%v", r.GetPid(), stream), fmt.Sprintf("process %d", r.GetPid())
	if b := r.GetWorkerId(); len(b) > 0 {
		pattern, what = fmt.Sprintf("*-%v-*.%v", id.Worker(b), stream), fmt.Sprintf("worker %v", id.Worker(b))
	}
	found, err := logs.List(pattern)
	if err != nil {
		return "", status.Error(codes.Internal, err.Error())
	}
	if len(found) == 0 {
		return "", status.Errorf(codes.NotFound, "the node knows no %s, and has no log of it", what)
	}
	return slices.MaxFunc(found, func(a, b *logdir.Info) int { return a.Modified.Compare(b.Modified) }).Name, nil
}

// findWorker returns the worker with that id or, when that is empty, the latest with that process; nil when the node knows none.
func (n *Node) findWorker(wid []byte, pid int32) *worker {
	n.mu.Lock()
	defer n.mu.Unlock()
	var found *worker
	for e := range n.allWorkers() {
		w := e.worker
		if len(wid) > 0 && !bytes.Equal(w.id[:], wid) || len(wid) == 0 && w.pid() != pid {
			continue
		}
		if found == nil || w.started.After(found.started) {
			found = w
		}
	}
	return found
}

// workerOfTask returns the worker that has, or had last, a task.
func (n *Node) workerOfTask(tid id.Task) (*worker, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	w, name := n.lastWorker(tid)
	switch {
	case name == "":
		return nil, status.Errorf(codes.NotFound, "the node does not know task %v: it never did, or too many have ended since", tid)
	case w == nil:
		return nil, status.Errorf(codes.FailedPrecondition, "%s (task %v) has not been with a worker: it has printed nothing", name, tid)
	case w.language == mobulav1.Language_LANGUAGE_GO:
		return nil, status.Errorf(codes.FailedPrecondition,
			"what a Go function prints is not told apart from what else runs in its process: read the log of worker %v (pid %d)", w.id, w.pid())
	}
	return w, nil
}

// lastWorker returns the worker that has, or had last, a task, and the task's function, empty when the node does not know it. It needs the lock.
func (n *Node) lastWorker(tid id.Task) (w *worker, function string) {
	if o := n.dir.Lookup(tid.Object(0)); o != nil {
		if t, ok := o.Maker.(*task); ok {
			if t.worker != nil {
				return t.worker, t.tmpl.name
			}
			function = t.tmpl.name
		}
	}
	for i := range n.history.tasks {
		if e := &n.history.tasks[i]; e.id == tid {
			return e.worker, e.tmpl.name
		}
	}
	return nil, function
}

// workerOfActor returns the latest worker of an actor: that in which it lives, or in which its constructor ran.
func (n *Node) workerOfActor(aid id.Actor) (*worker, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	a := n.actors[aid]
	for _, dead := range n.deadActors {
		if a == nil && dead.id == aid {
			a = dead
		}
	}
	if a == nil {
		return nil, status.Errorf(codes.NotFound, "the node does not know actor %v: it never did, or too many have ended since", aid)
	}
	w := a.home
	for _, t := range []*task{a.recreation, a.creation} {
		if t != nil && t.worker != nil {
			w = t.worker
		}
	}
	if w == nil {
		w, _ = n.lastWorker(aid)
	}
	if w == nil {
		return nil, status.Errorf(codes.FailedPrecondition, "actor %v has not been with a worker: it has printed nothing", a)
	}
	return w, nil
}

// logKind returns what a log file is of, by its name: "worker_out", "worker_err", "runtime_env_setup", "node".
func logKind(name string) string {
	name = strings.TrimSuffix(name, ".1")
	switch {
	case strings.HasPrefix(name, logOfSetup+"-"):
		return logOfSetup
	case strings.HasPrefix(name, logOfWorker+"-"):
		return logOfWorker + "_" + name[strings.LastIndexByte(name, '.')+1:]
	default:
		return "node"
	}
}
