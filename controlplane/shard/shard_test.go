package shard

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/mobula-dev/mobula/controlplane/state"
)

func TestRestartKeepsDataAndRequestIDs(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, Config{Dir: dir})
	first := mustPut(t, s, 1, 1, "k", "v")
	hash := s.Stale().Hash()
	closeShard(t, s)

	s = open(t, Config{Dir: dir})
	if got := get(t, s.Stale(), "k"); got != "v" {
		t.Errorf("key is %q after a restart", got)
	}
	if s.Stale().Hash() != hash {
		t.Error("replaying the log gives another state")
	}
	if again := mustPut(t, s, 1, 1, "k", "other"); !proto.Equal(again, first) || get(t, s.Stale(), "k") != "v" {
		t.Errorf("a repeated request was applied again: %v, first %v", again, first)
	}
}

func TestRestartFromASnapshotGivesTheSameState(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, Config{Dir: dir, SnapshotBytes: 1})
	for i := range uint64(400) { // More than stay in the log behind a snapshot.
		mustPut(t, s, 1, i+1, fmt.Sprint("k", i%7), fmt.Sprint(i))
	}
	if err := s.raft.Snapshot().Error(); err != nil {
		t.Logf("snapshot: %v", err) // One is under way.
	}
	mustPut(t, s, 2, 1, "last", "one")
	hash, status := s.Stale().Hash(), s.Status()
	closeShard(t, s)
	if names, err := os.ReadDir(filepath.Join(dir, snapshotDir)); err != nil || len(names) == 0 || len(names) > keptSnapshots {
		t.Fatalf("snapshots: %v, %v", names, err)
	}
	s = open(t, Config{Dir: dir})
	if s.Stale().Hash() != hash || s.Status().Applied < status.Applied {
		t.Errorf("the state differs after a restart: %+v, was %+v", s.Status(), status)
	}
	if first, err := s.store.FirstIndex(); err != nil || first < 100 {
		t.Errorf("the log begins at entry %d: %v", first, err)
	}
}

func TestSecondOpenerLearnsWhoHasTheDirectory(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, Config{Dir: dir})
	var locked *LockedError
	if _, err := Open(t.Context(), Config{Dir: dir}); !errors.As(err, &locked) || locked.PID != os.Getpid() {
		t.Errorf("second opener: %v", err)
	}
	mustPut(t, s, 1, 1, "k", "v")
	closeShard(t, s)
	open(t, Config{Dir: dir})
}

func TestCloseEndsEverythingOnce(t *testing.T) {
	t.Parallel()
	s := open(t, Config{Dir: t.TempDir()})
	closeShard(t, s)
	closeShard(t, s)
	if _, err := s.Apply(t.Context(), putBatch(1, 1, "k", "v")); !errors.Is(err, ErrClosed) {
		t.Errorf("write: %v", err)
	}
	if _, err := s.Linearizable(t.Context()); !errors.Is(err, ErrClosed) {
		t.Errorf("read: %v", err)
	}
}

func TestLimitsAreProposedWhenTheyDiffer(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	limits := state.DefaultLimits()
	closeShard(t, open(t, Config{Dir: dir, Limits: limits}))
	limits.EndedJobs = 7
	s := open(t, Config{Dir: dir, Limits: limits})
	if got := s.Stale().Limits().GetEndedJobs(); got != 7 {
		t.Errorf("limit is %d", got)
	}
	closeShard(t, s)
	s = open(t, Config{Dir: dir})
	if got := s.Stale().Limits().GetEndedJobs(); got != 7 {
		t.Errorf("limit is %d after a restart", got)
	}
	limits.EndedJobs = 0
	closeShard(t, s)
	if _, err := Open(t.Context(), Config{Dir: dir, Limits: limits}); err == nil {
		t.Error("a limit of zero was taken")
	}
}

// BenchmarkOpen measures a start until the first write is durable.
func BenchmarkOpen(b *testing.B) {
	for name, reuse := range map[string]bool{"first": false, "again": true} {
		b.Run(name, func(b *testing.B) {
			dir := b.TempDir()
			for i := 0; b.Loop(); i++ {
				if !reuse {
					dir = b.TempDir()
				}
				s, err := Open(b.Context(), Config{Dir: dir})
				if err != nil {
					b.Fatal(err)
				}
				mustPut(b, s, i, 1, "k", "v")
				closeShard(b, s)
			}
		})
	}
}
