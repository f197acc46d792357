package service

import (
	"context"
	"errors"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/mobula-dev/mobula/controlplane/shard"
	"github.com/mobula-dev/mobula/controlplane/state"
	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"
)

// WatchRecords streams changes. A watch is a position in the shard's history and holds nothing else: when its client is too slow,
// only the transport's buffer fills, and when the position is forgotten, the watch is cut.
func (h *Handler) WatchRecords(req *mobulav1.WatchRecordsRequest, stream grpc.ServerStreamingServer[mobulav1.WatchRecordsResponse]) error {
	if err := h.admit(); err != nil {
		return err
	}
	defer h.streams.Add(-1)
	prefix, err := state.Prefix(req.GetPrefix())
	switch {
	case err != nil:
		return toStatus(err)
	case req.GetPrefix().GetTable() == mobulav1.Table_TABLE_LINEAGE:
		return status.Error(codes.InvalidArgument, "lineage cannot be watched")
	case req.GetIncludeExisting() && req.GetAfterRevision() != 0:
		return status.Error(codes.InvalidArgument, "include_existing and after_revision exclude each other")
	}
	w := &watch{shard: h.shard, stream: stream, key: req.GetPrefix(), prefix: prefix}
	if w.at, w.told = req.GetAfterRevision(), req.GetAfterRevision(); w.at == 0 {
		v, err := h.shard.Linearizable(stream.Context())
		if err != nil {
			return toStatus(err)
		}
		if req.GetIncludeExisting() {
			if err := w.sendExisting(v); err != nil {
				return err
			}
		}
		w.at = v.Revision()
		if err := w.send(&mobulav1.WatchRecordsResponse{Revision: w.at, Synced: true}); err != nil {
			return err
		}
	} else if _, _, err := h.shard.Changes(w.at, req.GetPrefix().GetTable(), prefix, 1); err != nil {
		return toStatus(err)
	}
	return w.follow(stream.Context())
}

// watch is one open watch.
type watch struct {
	shard  *shard.Shard
	stream grpc.ServerStreamingServer[mobulav1.WatchRecordsResponse]
	key    *mobulav1.RecordKey
	prefix string
	at     uint64 // Everything up to this revision was sent, if it matched.
	told   uint64 // The revision that the client was told last.
}

func (w *watch) send(resp *mobulav1.WatchRecordsResponse) error {
	w.told = resp.GetRevision()
	return w.stream.Send(resp)
}

// sendExisting sends the records that there are, as puts.
func (w *watch) sendExisting(v *state.View) error {
	records, err := v.Records(w.key)
	if err != nil {
		return toStatus(err)
	}
	piece, size := &mobulav1.WatchRecordsResponse{}, 0
	for record := range records {
		event := &mobulav1.RecordEvent{Type: mobulav1.EventType_EVENT_TYPE_PUT, Key: state.KeyOf(record), Record: record, Revision: v.Revision()}
		piece.Events = append(piece.Events, event)
		if size += event.SizeVT(); size < pieceBytes {
			continue
		}
		if err := w.send(piece); err != nil {
			return err
		}
		piece, size = &mobulav1.WatchRecordsResponse{}, 0
	}
	if len(piece.GetEvents()) == 0 {
		return nil
	}
	return w.send(piece)
}

// follow sends changes as they happen.
func (w *watch) follow(ctx context.Context) error {
	for {
		changed := w.shard.Changed()
		events, next, err := w.shard.Changes(w.at, w.key.GetTable(), w.prefix, pieceBytes)
		if errors.Is(err, shard.ErrForgotten) {
			return w.send(&mobulav1.WatchRecordsResponse{Revision: w.at, Cut: true})
		}
		if err != nil {
			return toStatus(err)
		}
		moved := next > w.at
		if len(events) > 0 || next-w.told >= bookmarkEvery {
			if err := w.sendEvents(events, next); err != nil {
				return err
			}
		}
		w.at = next
		if moved {
			continue
		}
		if err := wait(ctx, w.shard, changed); err != nil {
			return err
		}
	}
}

// sendEvents sends the events up to a revision. One command may have changed more than a message holds: then its revision is told with the last of
// its pieces.
func (w *watch) sendEvents(events []*mobulav1.RecordEvent, upTo uint64) error {
	first, size := 0, 0
	for i, e := range events {
		n := e.SizeVT()
		if i > first && size+n > 2*pieceBytes {
			if err := w.send(&mobulav1.WatchRecordsResponse{Events: events[first:i], Revision: e.GetRevision() - 1}); err != nil {
				return err
			}
			first, size = i, 0
		}
		size += n
	}
	return w.send(&mobulav1.WatchRecordsResponse{Events: events[first:], Revision: upTo})
}

// wait waits for the next change, or returns the status with which the stream ends.
func wait(ctx context.Context, s *shard.Shard, changed <-chan struct{}) error {
	select {
	case <-changed:
		return nil
	case <-ctx.Done():
		return status.FromContextError(ctx.Err()).Err()
	case <-s.Closing():
		return toStatus(shard.ErrClosed)
	}
}

// WatchEffects streams what a node shall do, from the oldest effect that it has not acknowledged.
func (h *Handler) WatchEffects(req *mobulav1.WatchEffectsRequest, stream grpc.ServerStreamingServer[mobulav1.WatchEffectsResponse]) error {
	if err := h.admit(); err != nil {
		return err
	}
	defer h.streams.Add(-1)
	// From here on this server's own view is recent enough to know the node's registration.
	if _, err := h.shard.Linearizable(stream.Context()); err != nil {
		return toStatus(err)
	}
	var sent uint64
	for {
		// In this order, or a change in between would go unnoticed until the next one.
		changed := h.shard.Changed()
		v := h.shard.Stale()
		if !v.Alive(req.GetNode()) {
			return status.Errorf(codes.FailedPrecondition, "node %x has no living epoch %d: register again",
				req.GetNode().GetNodeId(), req.GetNode().GetEpoch())
		}
		piece := unsent(v, req.GetNode().GetNodeId(), sent)
		if len(piece) > 0 {
			if err := stream.Send(&mobulav1.WatchEffectsResponse{Effects: piece}); err != nil {
				return err
			}
			sent = piece[len(piece)-1].GetId()
		} else if err := wait(stream.Context(), h.shard, changed); err != nil {
			return err
		}
	}
}

// unsent returns the next effects for a node, about as many as a message holds.
func unsent(v *state.View, node []byte, after uint64) []*mobulav1.Effect {
	var piece []*mobulav1.Effect
	size := 0
	for e := range v.Effects(node, after) {
		piece = append(piece, e)
		if size += e.SizeVT(); size >= pieceBytes {
			break
		}
	}
	return piece
}
