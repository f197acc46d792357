package shard

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/mobula-dev/mobula/controlplane/state"
	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(tb testing.TB, cfg Config) *Shard {
	tb.Helper()
	s, err := Open(tb.Context(), cfg)
	if err != nil {
		tb.Fatalf("open: %v", err)
	}
	tb.Cleanup(func() { closeShard(tb, s) })
	return s
}

func closeShard(tb testing.TB, s *Shard) {
	tb.Helper()
	if err := s.Close(); err != nil {
		tb.Errorf("close: %v", err)
	}
}

func clientID(n int) []byte { return fmt.Appendf(nil, "client%010d", n) }

func put(sequence uint64, key, value string) *mobulav1.Command {
	return &mobulav1.Command{Sequence: sequence, Kind: &mobulav1.Command_PutKey{PutKey: &mobulav1.PutKey{Namespace: "ns", Key: key, Value: []byte(value)}}}
}

func putBatch(client int, sequence uint64, key, value string) *mobulav1.Batch {
	return &mobulav1.Batch{ClientId: clientID(client), Commands: []*mobulav1.Command{put(sequence, key, value)}}
}

func mustPut(tb testing.TB, s *Shard, client int, sequence uint64, key, value string) *mobulav1.CommandResult {
	tb.Helper()
	r, err := s.Apply(tb.Context(), putBatch(client, sequence, key, value))
	if err != nil {
		tb.Fatalf("put %s: %v", key, err)
	}
	return r.GetResults()[0]
}

func get(tb testing.TB, v *state.View, key string) string {
	tb.Helper()
	r, err := v.Get(&mobulav1.RecordKey{Table: mobulav1.Table_TABLE_KEYS, Namespace: "ns", Name: key})
	if err != nil {
		tb.Fatalf("get %s: %v", key, err)
	}
	return string(r.GetKey().GetValue())
}

// stall holds up one write of the log, once it is armed, until release is closed.
type stall struct {
	armed            atomic.Bool
	entered, release chan struct{}
}

func newStall() *stall {
	return &stall{entered: make(chan struct{}), release: make(chan struct{})}
}

func (s *stall) fault(op string) error {
	if op == "store logs" && s.armed.CompareAndSwap(true, false) {
		close(s.entered)
		<-s.release
	}
	return nil
}

// waitFor polls, because what it waits for has no event.
func waitFor(tb testing.TB, ok func() bool) {
	tb.Helper()
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	deadline := time.NewTimer(20 * time.Second)
	defer deadline.Stop()
	for !ok() {
		select {
		case <-ticker.C:
		case <-deadline.C:
			tb.Fatal("waited 20 s in vain")
		}
	}
}
