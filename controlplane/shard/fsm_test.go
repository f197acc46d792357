package shard

import (
	"errors"
	"testing"
	"time"

	"github.com/mobula-dev/mobula/controlplane/state"
	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"
)

func TestUnknownCommandInTheLogStopsTheShard(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, Config{Dir: dir})
	mustPut(t, s, 1, 1, "k", "v")
	// The edge refuses it, so it can only come from another version's leader.
	unknown := &mobulav1.Batch{ClientId: clientID(1), Commands: []*mobulav1.Command{{Sequence: 2}}}
	var invalid *state.InvalidError
	if _, err := s.Apply(t.Context(), unknown); !errors.As(err, &invalid) {
		t.Fatalf("at the edge: %v", err)
	}
	data, err := encodeEntry(&mobulav1.LogEntry{Version: state.EntryVersion, Batches: []*mobulav1.Batch{unknown}})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.raft.Apply(data, time.Second).Error(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Apply(t.Context(), putBatch(1, 3, "k", "w")); !errors.Is(err, state.ErrHalt) {
		t.Errorf("write after the halt: %v", err)
	}
	if _, err := s.Linearizable(t.Context()); !errors.Is(err, state.ErrHalt) {
		t.Errorf("read after the halt: %v", err)
	}
	if s.raft.Snapshot().Error() == nil {
		t.Error("a snapshot was taken that claims what was not applied")
	}
	closeShard(t, s)
	if _, err := Open(t.Context(), Config{Dir: dir}); !errors.Is(err, state.ErrHalt) {
		t.Errorf("open: %v", err)
	}
}

func FuzzDecodeEntry(f *testing.F) {
	data, err := encodeEntry(&mobulav1.LogEntry{Version: 1, Batches: []*mobulav1.Batch{putBatch(1, 1, "k", "v")}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add(data[:4])
	f.Add([]byte{dataFormat, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		e, err := decodeEntry(data)
		if err != nil {
			return
		}
		again, err := encodeEntry(e)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := decodeEntry(again); err != nil {
			t.Fatal(err)
		}
	})
}
