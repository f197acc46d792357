package service

import (
	"bytes"
	"context"
	"math"

	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"
	"github.com/mobula-dev/mobula/internal/id"
	"github.com/mobula-dev/mobula/nodemanager/ownership"
)

// ListObjects implements mobulav1.NodeServiceServer.
func (s *State) ListObjects(ctx context.Context, r *mobulav1.ListObjectsRequest) (*mobulav1.ListObjectsResponse, error) {
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
	if err := checkID("object", r.GetObjectId(), id.ObjectSize); err != nil {
		return nil, err
	}
	err = scan(ctx, n, n.dir.All(), scanPiece, func(o *ownership.Object) {
		if !same(r.GetObjectId(), o.ID[:]) {
			return
		}
		if state := r.GetState(); state != mobulav1.ObjectState_OBJECT_STATE_UNSPECIFIED && state != objectState(o) {
			return
		}
		size := uint64(0)
		if v := o.Value(); v != nil {
			size = v.Size
		}
		if size < r.GetMinSizeBytes() {
			return
		}
		if j := n.jobOf(o); len(r.GetJobId()) > 0 && (j == nil || !bytes.Equal(r.GetJobId(), j.id[:])) {
			return
		}
		list.add(-int64(min(size, math.MaxInt64)), o.ID[:], o)
	}, list.trim)
	if err != nil {
		return nil, err
	}
	rows, next, err := makeRows(ctx, n, list, n.objectRow)
	return &mobulav1.ListObjectsResponse{Objects: rows, Total: list.total, NextPageToken: next}, err
}

func objectState(o *ownership.Object) mobulav1.ObjectState {
	switch v := o.Value(); {
	case v == nil:
		return mobulav1.ObjectState_OBJECT_STATE_PENDING
	case v.Failed:
		return mobulav1.ObjectState_OBJECT_STATE_FAILED
	default:
		return mobulav1.ObjectState_OBJECT_STATE_READY
	}
}

func (n *Node) objectRow(o *ownership.Object) *mobulav1.ObjectInfo {
	if !o.Live() {
		return nil
	}
	row := &mobulav1.ObjectInfo{ObjectId: bytes.Clone(o.ID[:]), State: objectState(o)}
	if j := n.jobOf(o); j != nil {
		row.JobId = bytes.Clone(j.id[:])
	}
	switch m := o.Maker.(type) {
	case *task:
		row.CallSite, row.Function = m.from.callSite(m.callSite), m.tmpl.name
	case *item:
		row.CallSite, row.Function = m.task.from.callSite(o.CallSite), m.task.tmpl.name
	case *put:
		row.CallSite = m.from.callSite(o.CallSite)
	}
	if v := o.Value(); v != nil {
		row.SizeBytes, row.Stored = v.Size, v.Stored
	}
	if row.Stored {
		if i, ok := n.store.Lookup(o.ID); ok {
			row.Pins = i.Pins
		}
	}
	sessions, internal := o.Holders()
	row.InternalHolds = uint32(internal)
	for _, sid := range sessions[:min(len(sessions), holdersMax)] {
		s := n.sessions[sid]
		if s == nil {
			continue // its end is being dealt with
		}
		row.Holders = append(row.Holders, &mobulav1.ObjectHolder{Pid: s.pid, Worker: s.worker != nil, Holds: uint32(o.HeldBy(sid))})
	}
	return row
}
