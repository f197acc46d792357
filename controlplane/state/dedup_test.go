package state

import (
	"testing"

	"google.golang.org/protobuf/proto"

	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"
)

func TestRequestIDsAreAppliedOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	numbered := func(sequence uint64, c *mobulav1.Command) *mobulav1.Command {
		c = proto.CloneOf(c)
		c.Sequence = sequence
		return c
	}
	send := func(client int, acked uint64, commands ...*mobulav1.Command) []*mobulav1.CommandResult {
		return r.batch(&mobulav1.Batch{ClientId: id16(client), Acked: acked, Commands: commands}).GetResults()
	}
	first := send(1, 0, numbered(1, register(1, 0)), numbered(3, putKey("k", "1")))
	again := send(1, 0, numbered(3, putKey("k", "ignored")), numbered(1, register(1, 0)), numbered(2, putKey("late", "x")))
	if !proto.Equal(again[0], first[1]) || !proto.Equal(again[1], first[0]) {
		t.Errorf("repeated: %v, first: %v", again, first)
	}
	if again[2].GetCode() != codeOK {
		t.Errorf("a command that overtook another is %v", again[2])
	}
	if got := send(2, 0, numbered(1, register(1, 0)))[0].GetEpoch(); got != 2 {
		t.Errorf("the same number of another client gives epoch %d", got)
	}
	r = r.restore()
	if again := send(1, 0, numbered(1, register(1, 0))); !proto.Equal(again[0], first[0]) {
		t.Errorf("repeated after a restore: %v", again)
	}
	send(1, 2)
	if got := send(1, 0, numbered(2, putKey("late", "y")))[0].GetCode(); got != codeForgot {
		t.Errorf("below what was acknowledged: %v", got)
	}
	if got := send(1, 0, numbered(3, putKey("k", "y")))[0]; !proto.Equal(got, first[1]) {
		t.Errorf("above what was acknowledged: %v", got)
	}
}

func TestMemoryOfRequestIDsIsBounded(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.ok(setLimits(func(l *mobulav1.StateLimits) { l.Clients, l.ResultsPerClient, l.Results = 3, MaxBatch, MaxBatch+10 }))
	batch := func(client, from, n int) *mobulav1.Batch {
		b := &mobulav1.Batch{ClientId: id16(client)}
		for i := range n {
			c := putKey("k", "v")
			c.Sequence = uint64(from + i)
			b.Commands = append(b.Commands, c)
		}
		return b
	}
	r.batch(batch(1, 1, MaxBatch))
	r.batch(batch(1, MaxBatch+1, 1))
	if got := r.batch(batch(1, 1, 2)).GetResults(); got[0].GetCode() != codeForgot || got[1].GetCode() != codeOK {
		t.Errorf("the oldest result is %v, the one after it %v", got[0].GetCode(), got[1].GetCode())
	}
	for client := 2; client <= 5; client++ {
		r.batch(batch(client, 1, 5))
	}
	if n, results := r.s.clients.len(), r.s.results.len(); n != 3 || results != 15 || r.s.idleClients.len() != 3 {
		t.Errorf("%d clients and %d results are remembered", n, results)
	}
}
