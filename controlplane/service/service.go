// Package service serves a shard over gRPC: it checks requests at the edge, turns errors into status codes with details, and bounds
// what one client can make the server hold.
package service

import (
	"context"
	"sync/atomic"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/mobula-dev/mobula/controlplane/shard"
	"github.com/mobula-dev/mobula/controlplane/state"
	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"
)

const (
	// maxKeys is the most keys in one GetRecords.
	maxKeys = 1000
	// maxResponseBytes is below the 4 MiB that a gRPC client takes by default.
	maxResponseBytes = 3 << 20
	// pieceBytes is about how much one message of a stream holds; a record may be larger.
	pieceBytes = 256 << 10
	// bookmarkEvery is how many revisions a watcher may pass without a message before it is sent one without events, so that its place is one
	// from which it can resume.
	bookmarkEvery = 1000
)

// Handler implements ControlPlaneService on one shard.
type Handler struct {
	mobulav1.UnimplementedControlPlaneServiceServer
	shard      *shard.Shard
	maxStreams int64
	streams    atomic.Int64 // Streams that are open.
}

// New returns a handler that serves a shard to at most maxStreams streams at a time.
func New(s *shard.Shard, maxStreams int) *Handler {
	return &Handler{shard: s, maxStreams: int64(maxStreams)}
}

// ApplyCommands applies a batch.
func (h *Handler) ApplyCommands(ctx context.Context, req *mobulav1.ApplyCommandsRequest) (*mobulav1.ApplyCommandsResponse, error) {
	for _, c := range req.GetBatch().GetCommands() {
		if c.GetSetLimits() != nil {
			return nil, status.Error(codes.PermissionDenied, "limits are set by the control plane's own configuration")
		}
	}
	result, err := h.shard.Apply(ctx, req.GetBatch())
	if err != nil {
		return nil, toStatus(err)
	}
	return &mobulav1.ApplyCommandsResponse{Result: result}, nil
}

// view returns the state as a read wants it.
func (h *Handler) view(ctx context.Context, consistency mobulav1.Consistency) (*state.View, error) {
	switch consistency {
	case mobulav1.Consistency_CONSISTENCY_STALE:
		return h.shard.Stale(), nil
	case mobulav1.Consistency_CONSISTENCY_UNSPECIFIED, mobulav1.Consistency_CONSISTENCY_LINEARIZABLE:
		return h.shard.Linearizable(ctx)
	default:
		return nil, status.Errorf(codes.InvalidArgument, "unknown consistency %d", consistency)
	}
}

// GetRecords reads records by key.
func (h *Handler) GetRecords(ctx context.Context, req *mobulav1.GetRecordsRequest) (*mobulav1.GetRecordsResponse, error) {
	if n := len(req.GetKeys()); n > maxKeys {
		return nil, status.Errorf(codes.InvalidArgument, "%d keys, the most is %d", n, maxKeys)
	}
	v, err := h.view(ctx, req.GetConsistency())
	if err != nil {
		return nil, toStatus(err)
	}
	resp := &mobulav1.GetRecordsResponse{Revision: v.Revision()}
	size := 0
	for _, key := range req.GetKeys() {
		record, err := v.Get(key)
		if err != nil {
			return nil, toStatus(err)
		}
		if size += record.SizeVT(); size > maxResponseBytes {
			return nil, status.Errorf(codes.ResourceExhausted, "the records have more than %d bytes: ask for fewer keys at a time", maxResponseBytes)
		}
		resp.Records = append(resp.Records, record)
	}
	return resp, nil
}

// ListRecords reads one page of a table.
func (h *Handler) ListRecords(ctx context.Context, req *mobulav1.ListRecordsRequest) (*mobulav1.ListRecordsResponse, error) {
	v, err := h.view(ctx, req.GetConsistency())
	if err != nil {
		return nil, toStatus(err)
	}
	records, next, err := v.List(req)
	if err != nil {
		return nil, toStatus(err)
	}
	return &mobulav1.ListRecordsResponse{Records: records, NextPageToken: next, Revision: v.Revision()}, nil
}

// GetShard describes the shard as this server sees it; it works without a leader.
func (h *Handler) GetShard(_ context.Context, req *mobulav1.GetShardRequest) (*mobulav1.GetShardResponse, error) {
	v, at := h.shard.Stale(), h.shard.Status()
	slots := v.Slots()
	resp := &mobulav1.GetShardResponse{
		Shard:        v.Shard(),
		Slots:        slots[:],
		Revision:     v.Revision(),
		AppliedIndex: at.Applied,
		Term:         at.Term,
		Leader:       at.Leader,
		Limits:       v.Limits(),
		Records:      v.Counts(),
	}
	if req.GetWithHash() {
		hash := v.Hash()
		resp.Hash = hash[:]
	}
	return resp, nil
}

// admit takes one of the places for streams; give it back with h.streams.Add(-1).
func (h *Handler) admit() error {
	if h.streams.Add(1) > h.maxStreams {
		h.streams.Add(-1)
		return status.Errorf(codes.ResourceExhausted, "%d streams are open, which is the most", h.maxStreams)
	}
	return nil
}
