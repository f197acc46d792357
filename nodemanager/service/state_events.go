package service

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"
)

// Events are not recorded: they are told from what the node keeps of workers and actors that have ended lately, and the control plane of nodes
// and jobs.

// ListEvents implements mobulav1.NodeServiceServer.
func (s *State) ListEvents(ctx context.Context, r *mobulav1.ListEventsRequest) (*mobulav1.ListEventsResponse, error) {
	n, err := s.attached()
	if err != nil {
		return nil, err
	}
	list, err := newList(r.GetLimit(), nil)
	if err != nil {
		return nil, err
	}
	add := func(e *mobulav1.EventInfo) {
		if e.GetUnixNs() > 0 {
			list.add(-e.GetUnixNs(), append(bytes.Clone(e.GetId()), byte(e.GetSeverity())), e)
		}
	}
	n.mu.Lock()
	exits, dead := slices.Clone(n.exits), slices.Clone(n.deadActors)
	n.mu.Unlock()
	if err := scan(ctx, n, slices.Values(exits), rowPiece, func(e workerExit) { add(workerEvent(e)) }, list.trim); err != nil {
		return nil, err
	}
	if err := scan(ctx, n, slices.Values(dead), rowPiece, func(a *actor) { add(n.actorEvent(a)) }, list.trim); err != nil {
		return nil, err
	}
	for table, events := range map[mobulav1.Table]func(*mobulav1.Record, func(*mobulav1.EventInfo)){
		mobulav1.Table_TABLE_JOBS: jobEvents, mobulav1.Table_TABLE_NODES: nodeEvents,
	} {
		err := n.records(ctx, table, nil, func(records []*mobulav1.Record) {
			for _, record := range records {
				events(record, add)
			}
			list.trim()
		})
		if err != nil {
			return nil, err
		}
	}
	rows, _, err := makeRows(ctx, n, list, func(e *mobulav1.EventInfo) *mobulav1.EventInfo { return e })
	return &mobulav1.ListEventsResponse{Events: rows, Total: list.total}, err
}

// severity is that of an end, which was in order or not.
func severity(fine bool) mobulav1.EventSeverity {
	if fine {
		return mobulav1.EventSeverity_EVENT_SEVERITY_INFO
	}
	return mobulav1.EventSeverity_EVENT_SEVERITY_ERROR
}

func workerEvent(e workerExit) *mobulav1.EventInfo {
	w := e.worker
	t := e.exitType()
	fine := t == mobulav1.ExitType_EXIT_TYPE_INTENDED_SYSTEM_EXIT || t == mobulav1.ExitType_EXIT_TYPE_INTENDED_USER_EXIT
	return &mobulav1.EventInfo{
		UnixNs: e.reason.Ended.UnixNano(), Source: mobulav1.EventSource_EVENT_SOURCE_WORKER, Severity: severity(fine), Id: bytes.Clone(w.id[:]),
		JobId: bytes.Clone(w.job.id[:]), Pid: w.pid(), Message: shorten("worker ended: " + e.reason.String()),
	}
}

func (n *Node) actorEvent(a *actor) *mobulav1.EventInfo {
	e := &mobulav1.EventInfo{
		UnixNs: n.wall(a.ended), Source: mobulav1.EventSource_EVENT_SOURCE_ACTOR, Id: bytes.Clone(a.id[:]), JobId: bytes.Clone(a.job.id[:]),
		Message: shorten(a.death.GetMessage()), Severity: severity(a.death.GetCause() == nil),
	}
	if a.home != nil {
		e.Pid = a.home.pid()
	}
	return e
}

func jobEvents(record *mobulav1.Record, add func(*mobulav1.EventInfo)) {
	j := record.GetJob()
	event := func(at int64, fine bool, format string, args ...any) {
		add(&mobulav1.EventInfo{
			UnixNs: at, Source: mobulav1.EventSource_EVENT_SOURCE_JOB, Severity: severity(fine), Id: j.GetJobId(), JobId: j.GetJobId(), Pid: j.GetPid(),
			Message: shorten(fmt.Sprintf(format, args...)),
		})
	}
	event(j.GetStartedUnixNs(), true, "job began: %s", j.GetProgram())
	if cause := j.GetCause().GetMessage(); cause != "" {
		event(j.GetEndedUnixNs(), j.GetStatus() == mobulav1.JobStatus_JOB_STATUS_SUCCEEDED, "job ended: %s: %s", j.GetProgram(), cause)
	} else {
		event(j.GetEndedUnixNs(), j.GetStatus() == mobulav1.JobStatus_JOB_STATUS_SUCCEEDED, "job ended: %s", j.GetProgram())
	}
}

func nodeEvents(record *mobulav1.Record, add func(*mobulav1.EventInfo)) {
	d := record.GetNode()
	event := func(at int64, fine bool, message string) {
		add(&mobulav1.EventInfo{
			UnixNs: at, Source: mobulav1.EventSource_EVENT_SOURCE_NODE, Severity: severity(fine), Id: d.GetRef().GetNodeId(), Pid: d.GetPid(), Message: message,
		})
	}
	event(d.GetRegisteredUnixNs(), true, "node began on "+d.GetHostname())
	event(d.GetEndedUnixNs(), d.GetCause() == nil, shorten("node ended: "+d.GetCause().GetMessage()))
}
