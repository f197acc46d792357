package shard

import (
	"fmt"
	"sync"
	"testing"
)

func TestReadSeesWhatWasAcknowledgedBefore(t *testing.T) {
	t.Parallel()
	s := open(t, Config{InMemory: true})
	var wg sync.WaitGroup
	for c := range 8 {
		wg.Go(func() {
			for i := range uint64(50) {
				key, value := fmt.Sprint("k", c), fmt.Sprint(i)
				if _, err := s.Apply(t.Context(), putBatch(c, i+1, key, value)); err != nil {
					t.Errorf("apply: %v", err)
					return
				}
				v, err := s.Linearizable(t.Context())
				if err != nil {
					t.Errorf("read: %v", err)
					return
				}
				if got := get(t, v, key); got != value {
					t.Errorf("read %q after %q was acknowledged", got, value)
				}
			}
		})
	}
	wg.Wait()
}

func BenchmarkLinearizable(b *testing.B) {
	s := open(b, Config{InMemory: true})
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := s.Linearizable(b.Context()); err != nil {
				b.Error(err)
				return
			}
		}
	})
}
