package service

import (
	"bytes"
	"context"
	"maps"
	"slices"

	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"
)

// GetStatus implements mobulav1.NodeServiceServer.
func (s *State) GetStatus(ctx context.Context, _ *mobulav1.GetStatusRequest) (*mobulav1.GetStatusResponse, error) {
	n, err := s.attached()
	if err != nil {
		return nil, err
	}
	r := &mobulav1.GetStatusResponse{StartedUnixNs: n.startedAt.UnixNano(), ResidentBytes: residentBytes(), ControlDir: s.cfg.ControlDir}
	err = scan(ctx, n, maps.Values(n.actors), scanPiece, func(a *actor) {
		if a.state != actorDead {
			r.Actors++
		}
	}, nil)
	if err != nil {
		return nil, err
	}
	unfinished := uint64(0)
	if err := scan(ctx, n, maps.Values(n.jobs), scanPiece, func(j *job) { unfinished += uint64(max(j.tasks, 0)) }, nil); err != nil {
		return nil, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	sched := n.sched.Stats()
	r.Node = n.nodeInfo()
	r.Jobs, r.Objects = uint32(len(n.jobs)), uint64(n.dir.Len())
	r.Workers = &mobulav1.WorkerCounts{
		Starting: uint32(sched.Starting), Idle: uint32(sched.Idle), Busy: uint32(max(0, sched.Workers-sched.Starting-sched.Idle)),
	}
	r.Tasks = &mobulav1.TaskCounts{Running: uint64(len(n.handles.slots) - len(n.handles.free))}
	for _, c := range sched.Classes {
		r.Tasks.Queued += uint64(c.Queued)
	}
	if known := r.Tasks.GetQueued() + r.Tasks.GetRunning(); unfinished > known {
		r.Tasks.Waiting = unfinished - known
	}
	return r, nil
}

// nodeInfo describes this node.
func (n *Node) nodeInfo() *mobulav1.NodeInfo {
	st := n.store.Stats()
	info := &mobulav1.NodeInfo{
		Record: &mobulav1.NodeRecord{
			Ref:    &mobulav1.NodeRef{NodeId: bytes.Clone(n.id[:]), Epoch: n.cfg.Epoch},
			Status: mobulav1.NodeStatus_NODE_STATUS_ALIVE, Address: n.cfg.Address, Hostname: n.cfg.Hostname, Build: n.cfg.Build,
			Pid: int32(n.cfg.PID), RegisteredUnixNs: n.startedAt.UnixNano(),
		},
		Store: &mobulav1.StoreUse{
			CapacityBytes: st.CapacityBytes, UsedBytes: st.UsedBytes, ObjectBytes: st.ObjectBytes, PinnedBytes: st.PinnedBytes,
			Segments: uint32(st.Segments), Objects: uint32(st.Objects), Waiting: uint32(st.Waiting),
		},
	}
	for _, name := range slices.Sorted(maps.Keys(n.labels)) {
		info.Record.Labels = append(info.Record.Labels, &mobulav1.NodeLabel{Name: name, Value: n.labels[name]})
	}
	if n.draining != "" {
		info.Record.Status, info.Record.DrainReason = mobulav1.NodeStatus_NODE_STATUS_DRAINING, n.draining
	}
	for _, c := range n.sched.Stats().Resources {
		info.Resources = append(info.Resources, &mobulav1.ResourceUse{Name: c.Name, Total: c.Total, Free: c.Free})
	}
	return info
}

// ListNodes implements mobulav1.NodeServiceServer.
func (s *State) ListNodes(ctx context.Context, r *mobulav1.ListNodesRequest) (*mobulav1.ListNodesResponse, error) {
	n, err := s.attached()
	if err != nil {
		return nil, err
	}
	list, err := newList(r.GetLimit(), r.GetPageToken())
	if err != nil {
		return nil, err
	}
	n.mu.Lock()
	self := n.nodeInfo()
	n.mu.Unlock()
	list.add(-self.GetRecord().GetRegisteredUnixNs(), n.id[:], self)
	err = n.records(ctx, mobulav1.Table_TABLE_NODES, nil, func(records []*mobulav1.Record) {
		for _, record := range records {
			if node := record.GetNode(); !bytes.Equal(node.GetRef().GetNodeId(), n.id[:]) {
				list.add(-node.GetRegisteredUnixNs(), node.GetRef().GetNodeId(), &mobulav1.NodeInfo{Record: node})
			}
		}
	})
	if err != nil {
		return nil, err
	}
	rows, next, err := makeRows(ctx, n, list, func(node *mobulav1.NodeInfo) *mobulav1.NodeInfo { return node })
	return &mobulav1.ListNodesResponse{Nodes: rows, Total: list.total, NextPageToken: next}, err
}
