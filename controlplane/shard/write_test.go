package shard

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
)

func TestManyCallersShareEntries(t *testing.T) {
	t.Parallel()
	stall := newStall()
	s := open(t, Config{InMemory: true, fault: stall.fault})
	stall.armed.Store(true)
	const callers = 200
	var wg sync.WaitGroup
	write := func(c int) {
		if _, err := s.Apply(t.Context(), putBatch(c, 1, "k", "v")); err != nil {
			t.Errorf("apply: %v", err)
		}
	}
	wg.Go(func() { write(0) })
	<-stall.entered // The first is on its way to the disk, the others gather.
	before := s.raft.LastIndex()
	for c := 1; c < callers; c++ {
		wg.Go(func() { write(c) })
	}
	waitFor(t, func() bool { return s.queue.len() == callers-1 })
	close(stall.release)
	wg.Wait()
	if entries := s.raft.LastIndex() - before; entries != 2 {
		t.Errorf("%d callers made %d entries, want the first and one for the rest", callers, entries)
	}
	if s.Stale().Revision() != callers {
		t.Errorf("revision %d after %d writes", s.Stale().Revision(), callers)
	}
}

func TestOutcomeOfAnAbandonedWriteIsExact(t *testing.T) {
	t.Parallel()
	stall := newStall()
	s := open(t, Config{InMemory: true, QueueBatches: 2, fault: stall.fault})
	stall.armed.Store(true)
	errs := make([]chan error, 3)
	ctx, cancel := context.WithCancel(t.Context())
	for i := range errs {
		errs[i] = make(chan error, 1)
		go func() {
			_, err := s.Apply(ctx, putBatch(1, uint64(i+1), fmt.Sprint("k", i), "v"))
			errs[i] <- err
		}()
		if i == 0 {
			<-stall.entered // The first is on its way to the disk, the others wait.
		}
	}
	waitFor(t, func() bool { return s.queue.len() == 2 })
	if _, err := s.Apply(t.Context(), putBatch(2, 1, "k", "v")); !errors.Is(err, ErrBusy) {
		t.Errorf("full queue: %v", err)
	}
	cancel()
	var unknown *UnknownError
	if err := <-errs[0]; !errors.As(err, &unknown) || !errors.Is(err, context.Canceled) {
		t.Errorf("proposed: %v", err)
	}
	for _, c := range errs[1:] {
		if err := <-c; !errors.Is(err, context.Canceled) || errors.As(err, &unknown) {
			t.Errorf("not proposed: %v", err)
		}
	}
	close(stall.release)
	mustPut(t, s, 2, 1, "after", "v")
	if v := s.Stale(); get(t, v, "k0") != "v" || get(t, v, "k1") != "" || get(t, v, "k2") != "" {
		t.Error("the errors do not say what happened")
	}
}

func BenchmarkApply(b *testing.B) {
	for _, callers := range []int{1, 64} {
		b.Run(fmt.Sprint(callers), func(b *testing.B) {
			s := open(b, Config{Dir: b.TempDir()})
			var next atomic.Int64
			b.SetParallelism(callers)
			b.RunParallel(func(pb *testing.PB) {
				client, sequence := int(next.Add(1)), uint64(0)
				for pb.Next() {
					sequence++
					batch := putBatch(client, sequence, "k", "v")
					batch.Acked = sequence - 1
					if _, err := s.Apply(b.Context(), batch); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}
