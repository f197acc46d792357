package shard

import (
	"context"
	"errors"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// outcome is how a call ended, and when.
type outcome struct {
	value string
	err   error
	took  time.Duration
}

// write writes a key aside.
func write(t *testing.T, s *Shard, sequence uint64, key string) <-chan outcome {
	t.Helper()
	c, begin := make(chan outcome, 1), time.Now()
	go func() {
		_, err := s.Apply(t.Context(), putBatch(1, sequence, key, "v"))
		c <- outcome{err: err, took: time.Since(begin)}
	}()
	return c
}

// read reads a key aside.
func read(t *testing.T, s *Shard, key string) <-chan outcome {
	t.Helper()
	c, begin := make(chan outcome, 1), time.Now()
	go func() {
		v, err := s.Linearizable(t.Context())
		if err != nil {
			c <- outcome{err: err, took: time.Since(begin)}
			return
		}
		c <- outcome{value: get(t, v, key), took: time.Since(begin)}
	}()
	return c
}

// TestHungDiskKeepsNobodyWaiting hangs a write of the log. Its clock is synctest's: it moves when nothing else does.
func TestHungDiskKeepsNobodyWaiting(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const limit = 3 * time.Second
		stall := newStall()
		s, err := Open(t.Context(), Config{InMemory: true, fault: stall.fault})
		if err != nil {
			t.Fatal(err)
		}
		defer closeShard(t, s)
		mustPut(t, s, 1, 1, "before", "v")
		stall.armed.Store(true)
		proposed := write(t, s, 2, "proposed")
		<-stall.entered
		queued, reader := write(t, s, 3, "queued"), read(t, s, "before")
		synctest.Wait()
		second := read(t, s, "before") // Of the round after the one that hangs.

		var unknown *UnknownError
		if o := <-proposed; !errors.Is(o.err, ErrDiskStalled) || !errors.As(o.err, &unknown) || o.took != limit {
			t.Errorf("proposed write ended after %v with %v", o.took, o.err)
		}
		if o := <-queued; !errors.Is(o.err, ErrDiskStalled) || errors.As(o.err, &unknown) || o.took != limit {
			t.Errorf("queued write ended after %v with %v", o.took, o.err)
		}
		for _, c := range []<-chan outcome{reader, second} {
			if o := <-c; o.value != "v" || o.err != nil || o.took > limit {
				t.Errorf("read ended after %v with %q, %v", o.took, o.value, o.err)
			}
		}
		if o := <-write(t, s, 3, "queued"); !errors.Is(o.err, ErrDiskStalled) || errors.As(o.err, &unknown) || o.took != 0 {
			t.Errorf("later write ended after %v with %v", o.took, o.err)
		}
		if o := <-read(t, s, "before"); o.value != "v" || o.err != nil || o.took != 0 {
			t.Errorf("later read ended after %v with %q, %v", o.took, o.value, o.err)
		}

		close(stall.release)
		synctest.Wait()
		mustPut(t, s, 1, 2, "proposed", "repeated")
		mustPut(t, s, 1, 3, "queued", "w")
		if v := s.Stale(); get(t, v, "proposed") != "v" || get(t, v, "queued") != "w" {
			t.Error("the errors do not say what happened")
		}
		if o := <-read(t, s, "before"); o.value != "v" || o.err != nil {
			t.Errorf("read after the stall: %q, %v", o.value, o.err)
		}
	})
}

// TestHungDiskStopsNoReadAfterAnElection hangs the first write of a term, for which nobody but a reader waits.
func TestHungDiskStopsNoReadAfterAnElection(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		stall := newStall()
		var full atomic.Bool
		s, err := Open(t.Context(), Config{InMemory: true, fault: func(op string) error {
			if op == "store logs" && full.CompareAndSwap(true, false) {
				stall.armed.Store(true)
				return errors.New("input/output error") // Raft steps down, stands again, and its first write hangs.
			}
			return stall.fault(op)
		}})
		if err != nil {
			t.Fatal(err)
		}
		defer closeShard(t, s)
		mustPut(t, s, 1, 1, "k", "v")
		full.Store(true)
		var unknown *UnknownError
		if o := <-write(t, s, 2, "k"); !errors.As(o.err, &unknown) {
			t.Errorf("write that fails: %v", o.err)
		}
		<-stall.entered
		for range 3 {
			if o := <-read(t, s, "k"); o.value != "v" || o.err != nil || o.took > 3*time.Second {
				t.Errorf("read ended after %v with %q, %v", o.took, o.value, o.err)
			}
		}
		close(stall.release)
		synctest.Wait()
	})
}

func TestCloseGivesUpOnAHungDisk(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		stall := newStall()
		s, err := Open(t.Context(), Config{InMemory: true, fault: stall.fault})
		if err != nil {
			t.Fatal(err)
		}
		stall.armed.Store(true)
		proposed := write(t, s, 1, "k")
		<-stall.entered
		begin := time.Now()
		if err := s.Close(); !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) != closeTimeout {
			t.Errorf("close after %v: %v", time.Since(begin), err)
		}
		if o := <-proposed; !errors.Is(o.err, ErrDiskStalled) {
			t.Errorf("proposed write: %v", o.err)
		}
		close(stall.release) // What it left behind ends when the disk answers.
	})
}

// TestStartOnAHungDiskFails hangs the first write of a start, the term of the election.
func TestStartOnAHungDiskFails(t *testing.T) {
	t.Parallel()
	for _, op := range []string{"save", "store logs"} {
		t.Run(op, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				release, begin := make(chan struct{}), time.Now()
				_, err := Open(t.Context(), Config{InMemory: true, fault: func(got string) error {
					if got == op {
						<-release
					}
					return nil
				}})
				if !errors.Is(err, ErrDiskStalled) || time.Since(begin) > 40*time.Second {
					t.Errorf("open after %v: %v", time.Since(begin), err)
				}
				close(release)
			})
		})
	}
}

// TestStartOnAFullDiskSaysSo starts with a log that takes nothing, not even a term.
func TestStartOnAFullDiskSaysSo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		_, err := Open(t.Context(), Config{InMemory: true, fault: func(string) error { return syscall.ENOSPC }})
		if !errors.Is(err, ErrDiskFull) || time.Since(begin) > 4*time.Second {
			t.Errorf("open after %v: %v", time.Since(begin), err)
		}
	})
}
