package head

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	"google.golang.org/grpc"

	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"
)

func controlPlaneClient(c *grpc.ClientConn) mobulav1.ControlPlaneServiceClient {
	return mobulav1.NewControlPlaneServiceClient(c)
}

// reportPast says what died with the node's last life if that ended without a word. It must be called before the new life registers, which
// makes the control plane draw the consequences. Trouble is logged: the past is no reason not to start.
func (h *Head) reportPast(ctx context.Context) {
	cp := controlPlaneClient(h.client)
	got, err := cp.GetRecords(ctx, &mobulav1.GetRecordsRequest{Keys: []*mobulav1.RecordKey{{Table: mobulav1.Table_TABLE_NODES, Id: h.dir.node[:]}}})
	if err != nil {
		h.log.Warn("what the last life of this node left behind cannot be read", "error", err)
		return
	}
	if len(got.GetRecords()) == 0 {
		return // its first life
	}
	last := got.GetRecords()[0].GetNode()
	if s := last.GetStatus(); s != mobulav1.NodeStatus_NODE_STATUS_ALIVE && s != mobulav1.NodeStatus_NODE_STATUS_DRAINING {
		return // the first life, or the last one ended in order
	}
	jobs, actors := 0, 0
	err = errors.Join(
		eachLive(ctx, cp, mobulav1.Table_TABLE_JOBS, func(*mobulav1.Record) { jobs++ }),
		eachLive(ctx, cp, mobulav1.Table_TABLE_ACTORS, func(*mobulav1.Record) { actors++ }),
	)
	if err != nil {
		h.log.Warn("what the last life of this node left behind cannot be read", "error", err)
		return
	}
	h.log.Warn("the last life of this node ended without a word; what it ran is lost",
		"pid", last.GetPid(), "epoch", last.GetRef().GetEpoch(), "jobs", jobs, "actors", actors)
}

// eachLive goes through the records of a table that are not of something ended.
func eachLive(ctx context.Context, cp mobulav1.ControlPlaneServiceClient, table mobulav1.Table, visit func(*mobulav1.Record)) error {
	r := &mobulav1.ListRecordsRequest{Prefix: &mobulav1.RecordKey{Table: table}, LiveOnly: true}
	for {
		page, err := cp.ListRecords(ctx, r)
		if err != nil {
			return fmt.Errorf("list %v: %w", table, err)
		}
		for _, record := range page.GetRecords() {
			visit(record)
		}
		if r.PageToken = page.GetNextPageToken(); len(r.PageToken) == 0 {
			return nil
		}
	}
}

// recordEnd tells the control plane that this life of the node ended in order.
func (h *Head) recordEnd() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	var client [16]byte
	_, _ = rand.Read(client[:]) // never fails: crypto/rand ends the process instead
	ref := &mobulav1.NodeRef{NodeId: h.dir.node[:], Epoch: h.dir.epoch}
	dead := &mobulav1.MarkNodeDead{Ref: ref, Cause: &mobulav1.Cause{
		Kind: mobulav1.CauseKind_CAUSE_KIND_EXITED, Message: "the node was shut down", Node: ref,
	}}
	resp, err := controlPlaneClient(h.client).ApplyCommands(ctx, &mobulav1.ApplyCommandsRequest{Batch: &mobulav1.Batch{
		ClientId: client[:], Commands: []*mobulav1.Command{{Sequence: 1, Kind: &mobulav1.Command_MarkNodeDead{MarkNodeDead: dead}}},
	}})
	if err != nil {
		return fmt.Errorf("record the end of the node: %w", err)
	}
	for _, r := range resp.GetResult().GetResults() {
		switch r.GetCode() {
		case mobulav1.ResultCode_RESULT_CODE_OK, mobulav1.ResultCode_RESULT_CODE_NOT_FOUND, mobulav1.ResultCode_RESULT_CODE_STALE:
			// The last two: this life ended before it had registered.
		default:
			return fmt.Errorf("record the end of the node: %s", r.GetMessage())
		}
	}
	return nil
}
