package shard

import (
	"errors"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/mobula-dev/mobula/controlplane/state"
	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"
)

// TestHistoryHasEveryChangeOnceInOrder compares what a watcher reads, from any revision and in pieces of any size, with a plain
// list.
func TestHistoryHasEveryChangeOnceInOrder(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		h := &history{limit: rapid.IntRange(changeOverhead, 100*changeOverhead).Draw(t, "limit")}
		h.reset(0)
		var all []state.Change
		revision := uint64(0)
		for range rapid.IntRange(0, 60).Draw(t, "entries") {
			var changes []state.Change
			for range rapid.IntRange(0, 3).Draw(t, "revisions") {
				revision++
				for range rapid.IntRange(0, 3).Draw(t, "changes") {
					table := rapid.SampledFrom([]mobulav1.Table{mobulav1.Table_TABLE_KEYS, mobulav1.Table_TABLE_NAMES}).Draw(t, "table")
					key := rapid.SampledFrom([]string{"a", "ab", "b"}).Draw(t, "key")
					changes = append(changes, state.Change{Table: table, Key: key, Event: &mobulav1.RecordEvent{Revision: revision}})
				}
			}
			all = append(all, changes...)
			h.append(changes, revision)
		}
		at := uint64(rapid.IntRange(0, int(revision)).Draw(t, "from"))
		var want []*mobulav1.RecordEvent
		for _, c := range all {
			if c.Table == mobulav1.Table_TABLE_KEYS && c.Key[0] == 'a' && c.Event.GetRevision() > at {
				want = append(want, c.Event)
			}
		}
		if at < h.floor {
			if _, _, err := h.after(at, mobulav1.Table_TABLE_KEYS, "a", 1); !errors.Is(err, ErrForgotten) {
				t.Fatalf("revision %d is below the floor %d: %v", at, h.floor, err)
			}
			return
		}
		var got []*mobulav1.RecordEvent
		for at < revision {
			events, next, err := h.after(at, mobulav1.Table_TABLE_KEYS, "a", rapid.IntRange(1, 5*changeOverhead).Draw(t, "piece"))
			if err != nil || next <= at {
				t.Fatalf("after %d: next %d, %v", at, next, err)
			}
			if len(events) > 0 && events[len(events)-1].GetRevision() > next {
				t.Fatal("a piece goes beyond its revision")
			}
			got, at = append(got, events...), next
		}
		if !slices.Equal(got, want) {
			t.Fatalf("got %v, want %v", got, want)
		}
		if h.bytes > h.limit {
			t.Fatalf("%d bytes are kept, the limit is %d", h.bytes, h.limit)
		}
		if _, _, err := h.after(revision+1, mobulav1.Table_TABLE_KEYS, "", 1); !errors.Is(err, ErrForgotten) {
			t.Fatalf("a revision that never was: %v", err)
		}
	})
}
