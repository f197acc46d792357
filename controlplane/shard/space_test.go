package shard

import (
	"errors"
	"fmt"
	"sync/atomic"
	"syscall"
	"testing"
)

// TestFullDiskRefusesWritesAndServesReads fails the log as a full disk does, through the library's own step-down, and lets the
// disk recover.
func TestFullDiskRefusesWritesAndServesReads(t *testing.T) {
	t.Parallel()
	var full atomic.Bool
	s := open(t, Config{Dir: t.TempDir(), fault: func(string) error {
		if full.Load() {
			return fmt.Errorf("write: %w", syscall.ENOSPC)
		}
		return nil
	}})
	mustPut(t, s, 1, 1, "before", "v")
	full.Store(true)
	if _, err := s.Apply(t.Context(), putBatch(1, 2, "during", "v")); !errors.Is(err, ErrDiskFull) {
		t.Errorf("write that meets the full disk: %v", err)
	}
	waitFor(t, func() bool {
		_, err := s.Apply(t.Context(), putBatch(1, 3, "during", "v"))
		var unknown *UnknownError
		return errors.Is(err, ErrDiskFull) && !errors.As(err, &unknown)
	})
	v, err := s.Linearizable(t.Context())
	if err != nil || get(t, v, "before") != "v" || get(t, v, "during") != "" {
		t.Errorf("read on a full disk: %v", err)
	}
	full.Store(false)
	waitFor(t, func() bool {
		_, err := s.Apply(t.Context(), putBatch(1, 2, "during", "v"))
		return err == nil
	})
	if got := get(t, s.Stale(), "during"); got != "v" {
		t.Errorf("after the disk has room again: %q", got)
	}
}

func TestCloseWhileTheDiskIsFull(t *testing.T) {
	t.Parallel()
	var full atomic.Bool
	dir := t.TempDir()
	s := open(t, Config{Dir: dir, fault: func(string) error {
		if full.Load() {
			return syscall.ENOSPC
		}
		return nil
	}})
	mustPut(t, s, 1, 1, "k", "v")
	full.Store(true)
	if _, err := s.Apply(t.Context(), putBatch(1, 2, "k", "w")); err == nil {
		t.Fatal("written to a full disk")
	}
	waitFor(t, func() bool { return s.raft.State().String() == "Candidate" })
	closeShard(t, s)
	s = open(t, Config{Dir: dir})
	if got := get(t, s.Stale(), "k"); got != "v" {
		t.Errorf("key is %q", got)
	}
}
