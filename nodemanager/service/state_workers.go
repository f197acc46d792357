package service

import (
	"bytes"
	"context"
	"iter"

	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"
	"github.com/mobula-dev/mobula/internal/id"
	"github.com/mobula-dev/mobula/nodemanager/workerpool"
)

// ListWorkers implements mobulav1.NodeServiceServer.
func (s *State) ListWorkers(ctx context.Context, r *mobulav1.ListWorkersRequest) (*mobulav1.ListWorkersResponse, error) {
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
	if err := checkID("worker", r.GetWorkerId(), len(id.Worker{})); err != nil {
		return nil, err
	}
	seen := make(map[id.Worker]bool)
	err = scan(ctx, n, n.allWorkers(), scanPiece, func(e workerExit) {
		w := e.worker
		if seen[w.id] {
			return
		}
		seen[w.id] = true
		if state := r.GetState(); state != mobulav1.WorkerState_WORKER_STATE_UNSPECIFIED && state != e.state() {
			return
		}
		if !same(r.GetJobId(), w.job.id[:]) || !same(r.GetWorkerId(), w.id[:]) {
			return
		}
		list.add(w.started.UnixNano(), w.id[:], e)
	}, list.trim)
	if err != nil {
		return nil, err
	}
	rows, next, err := makeRows(ctx, n, list, workerRow)
	return &mobulav1.ListWorkersResponse{Workers: rows, Total: list.total, NextPageToken: next}, err
}

// allWorkers yields the workers that live, without an exit, and those that ended lately. It needs the lock, which may be given back between
// two.
func (n *Node) allWorkers() iter.Seq[workerExit] {
	return func(yield func(workerExit) bool) {
		for _, w := range n.workers {
			if !yield(workerExit{worker: w}) {
				return
			}
		}
		for _, e := range append([]workerExit(nil), n.exits...) { // it is cut in place
			if !yield(e) {
				return
			}
		}
	}
}

// ended reports whether this is an end, rather than a worker that lives.
func (e workerExit) ended() bool { return !e.reason.Ended.IsZero() }

// state says where the worker stands.
func (e workerExit) state() mobulav1.WorkerState {
	w := e.worker
	switch {
	case e.ended():
		return mobulav1.WorkerState_WORKER_STATE_ENDED
	case w.retired || w.killed != "" || w.ready && (w.session == nil || w.sched.State() != "ready"):
		return mobulav1.WorkerState_WORKER_STATE_ENDING
	case !w.ready:
		return mobulav1.WorkerState_WORKER_STATE_STARTING
	case w.sched.Lanes() > 0:
		return mobulav1.WorkerState_WORKER_STATE_BUSY
	default:
		return mobulav1.WorkerState_WORKER_STATE_IDLE
	}
}

func workerRow(e workerExit) *mobulav1.WorkerInfo {
	w := e.worker
	row := &mobulav1.WorkerInfo{
		WorkerId: bytes.Clone(w.id[:]), JobId: bytes.Clone(w.job.id[:]), Pid: w.pid(), State: e.state(), Language: w.job.language,
		Isolation: mobulav1.Isolation_ISOLATION_SHARED, StartedUnixNs: w.started.UnixNano(),
	}
	if w.isolated {
		row.Isolation = mobulav1.Isolation_ISOLATION_PROCESS
	}
	if e.ended() {
		row.EndedUnixNs, row.Exit, row.ExitType = e.reason.Ended.UnixNano(), shorten(e.reason.String()), e.exitType()
		return row
	}
	row.Tasks, row.Actors = uint32(max(w.flying, 0)), uint32(len(w.actors))
	return row
}

// exitType says what kind of end it was.
func (e workerExit) exitType() mobulav1.ExitType {
	switch k := e.reason.Kind; {
	case e.worker.outOfMemory || k == workerpool.OOMSuspected || e.reason.Cause == workerpool.CauseMemory:
		return mobulav1.ExitType_EXIT_TYPE_NODE_OUT_OF_MEMORY
	case e.worker.forced != nil || k == workerpool.Killed:
		return mobulav1.ExitType_EXIT_TYPE_INTENDED_SYSTEM_EXIT
	case k == workerpool.Clean:
		return mobulav1.ExitType_EXIT_TYPE_INTENDED_USER_EXIT
	case k == workerpool.UserExit:
		return mobulav1.ExitType_EXIT_TYPE_USER_ERROR
	default:
		return mobulav1.ExitType_EXIT_TYPE_SYSTEM_ERROR
	}
}
