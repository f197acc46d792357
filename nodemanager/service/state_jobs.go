package service

import (
	"bytes"
	"context"
	"maps"

	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"
	"github.com/mobula-dev/mobula/internal/id"
)

// jobItem is a job that runs at this node, or, when that is nil, the record of one.
type jobItem struct {
	job    *job
	record *mobulav1.JobRecord
}

// ListJobs implements mobulav1.NodeServiceServer.
func (s *State) ListJobs(ctx context.Context, r *mobulav1.ListJobsRequest) (*mobulav1.ListJobsResponse, error) {
	n, err := s.attached()
	if err != nil {
		return nil, err
	}
	list, err := newList(r.GetLimit(), r.GetPageToken())
	if err != nil {
		return nil, err
	}
	wanted := func(status mobulav1.JobStatus) bool {
		return r.GetStatus() == mobulav1.JobStatus_JOB_STATUS_UNSPECIFIED || status == r.GetStatus()
	}
	seen := make(map[id.Job]bool)
	err = scan(ctx, n, maps.Values(n.jobs), scanPiece, func(j *job) {
		seen[j.id] = true
		if wanted(mobulav1.JobStatus_JOB_STATUS_RUNNING) {
			list.add(-j.started, j.id[:], jobItem{job: j})
		}
	}, list.trim)
	if err != nil {
		return nil, err
	}
	err = n.records(ctx, mobulav1.Table_TABLE_JOBS, nil, func(records []*mobulav1.Record) {
		for _, record := range records {
			j := record.GetJob()
			if jid, err := id.FromBytes[id.Job](j.GetJobId()); err == nil && !seen[jid] && wanted(j.GetStatus()) {
				list.add(-j.GetStartedUnixNs(), jid[:], jobItem{record: j})
			}
		}
	})
	if err != nil {
		return nil, err
	}
	workers := make(map[*job]uint32)
	if err := scan(ctx, n, maps.Values(n.workers), scanPiece, func(w *worker) { workers[w.job]++ }, nil); err != nil {
		return nil, err
	}
	rows, next, err := makeRows(ctx, n, list, func(i jobItem) *mobulav1.JobInfo {
		if i.job == nil {
			return &mobulav1.JobInfo{Record: i.record}
		}
		row := n.jobRow(i.job)
		row.Workers = workers[i.job]
		return row
	})
	return &mobulav1.ListJobsResponse{Jobs: rows, Total: list.total, NextPageToken: next}, err
}

func (n *Node) jobRow(j *job) *mobulav1.JobInfo {
	record := &mobulav1.JobRecord{
		JobId: bytes.Clone(j.id[:]), Status: mobulav1.JobStatus_JOB_STATUS_RUNNING, Namespace: j.namespace, Program: j.program,
		Language: j.language, Node: n.nodeRef(), StartedUnixNs: j.started,
	}
	if j.driver != nil {
		record.Pid = j.driver.pid
	}
	return &mobulav1.JobInfo{Record: record, Tasks: uint64(max(j.tasks, 0)), InlineBytes: j.bytes}
}
