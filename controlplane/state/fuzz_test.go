package state

import (
	"bytes"
	"errors"
	"testing"

	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"
)

// FuzzApply decodes and applies any bytes: an entry is refused or applied, the same way twice, and the state can be saved and
// read back.
func FuzzApply(f *testing.F) {
	seed := func(commands ...*mobulav1.Command) {
		for i, c := range commands {
			c.Sequence = uint64(i + 1)
		}
		e := &mobulav1.LogEntry{Version: EntryVersion, TimeUnixNs: 1, Batches: []*mobulav1.Batch{{ClientId: id16(1), Commands: commands}}}
		data, err := e.MarshalVT()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	seed(register(1, 1), startJob(10, 1, 1), create(createActor(20, 10, 1, 1, "n")), actorAlive(20, 1, 1, 1), endActor(20, true))
	seed(register(1, 1), startJob(10, 1, 1), putLineage(10, 1, 2), finishJob(10), putKey("k", "v"), register(1, 2), drain(1), nodeDead(1, 2))
	seed(setLimits(func(l *mobulav1.StateLimits) { l.DeadNodes = 1 }))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		var hashes [2][32]byte
		var halted [2]bool
		for i := range 2 {
			e := new(mobulav1.LogEntry)
			if err := e.UnmarshalVT(data); err != nil {
				return
			}
			s := New(0, AllSlots())
			_, err := s.Apply(e)
			if err != nil && !errors.Is(err, ErrHalt) {
				t.Fatalf("apply: %v", err)
			}
			halted[i] = err != nil
			var buf bytes.Buffer
			if err := s.View().WriteSnapshot(&buf); err != nil {
				t.Fatalf("write: %v", err)
			}
			restored, err := Restore(&buf)
			if err != nil {
				t.Fatalf("restore: %v", err)
			}
			hashes[i] = s.View().Hash()
			if restored.View().Hash() != hashes[i] {
				t.Fatal("the restored state differs")
			}
		}
		if hashes[0] != hashes[1] || halted[0] != halted[1] {
			t.Fatal("two replicas differ")
		}
	})
}

// FuzzRestore reads any bytes as a snapshot: it is refused with ErrSnapshot, or read and usable.
func FuzzRestore(f *testing.F) {
	s := New(0, AllSlots())
	for i, c := range []*mobulav1.Command{register(1, 1), startJob(10, 1, 1), create(createActor(20, 10, 1, 1, "n")), putLineage(10, 1), drain(1), putKey("k", "v")} {
		c.Sequence = uint64(i + 1)
		if _, err := s.Apply(&mobulav1.LogEntry{Version: EntryVersion, Batches: []*mobulav1.Batch{{ClientId: id16(1), Commands: []*mobulav1.Command{c}}}}); err != nil {
			f.Fatal(err)
		}
	}
	var buf bytes.Buffer
	if err := s.View().WriteSnapshot(&buf); err != nil {
		f.Fatal(err)
	}
	f.Add(buf.Bytes())
	f.Add(buf.Bytes()[:buf.Len()-3])
	f.Add([]byte(snapshotMagic))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := Restore(bytes.NewReader(data))
		if err != nil {
			if !errors.Is(err, ErrSnapshot) {
				t.Fatalf("error is not ErrSnapshot: %v", err)
			}
			return
		}
		c := nodeDead(1, 1)
		c.Sequence = 1
		if _, err := s.Apply(&mobulav1.LogEntry{Version: EntryVersion, Batches: []*mobulav1.Batch{{ClientId: id16(2), Commands: []*mobulav1.Command{c}}}}); err != nil {
			t.Fatalf("apply: %v", err)
		}
	})
}

// TestDamagedSnapshotIsRefused flips every bit and cuts at every byte.
func TestDamagedSnapshotIsRefused(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.ok(register(1, 1))
	r.ok(putKey("k", "v"))
	var buf bytes.Buffer
	if err := r.s.View().WriteSnapshot(&buf); err != nil {
		t.Fatal(err)
	}
	for i := range buf.Len() {
		if _, err := Restore(bytes.NewReader(buf.Bytes()[:i])); !errors.Is(err, ErrSnapshot) {
			t.Fatalf("cut at byte %d: %v", i, err)
		}
		for bit := range 8 {
			data := bytes.Clone(buf.Bytes())
			data[i] ^= 1 << bit
			if _, err := Restore(bytes.NewReader(data)); !errors.Is(err, ErrSnapshot) {
				t.Fatalf("bit %d of byte %d: %v", bit, i, err)
			}
		}
	}
}

func BenchmarkApplyLineage(b *testing.B) {
	s := New(0, AllSlots())
	apply := func(commands ...*mobulav1.Command) {
		if _, err := s.Apply(&mobulav1.LogEntry{Version: EntryVersion, Batches: []*mobulav1.Batch{{ClientId: id16(1), Acked: 1 << 60, Commands: commands}}}); err != nil {
			b.Fatal(err)
		}
	}
	s.limits.LineageBytes = 1 << 50
	first := []*mobulav1.Command{register(1, 1), startJob(10, 1, 1)}
	first[0].Sequence, first[1].Sequence = 1, 2
	if _, err := s.Apply(&mobulav1.LogEntry{Version: EntryVersion, Batches: []*mobulav1.Batch{{ClientId: id16(2), Commands: first}}}); err != nil {
		b.Fatal(err)
	}
	const records = 64
	b.ReportAllocs()
	for i := 0; b.Loop(); i += records {
		c := &mobulav1.PutLineage{}
		for j := range records {
			c.Records = append(c.Records, &mobulav1.LineageRecord{TaskId: id16(i + j), JobId: id16(10), Spec: make([]byte, 256)})
		}
		apply(&mobulav1.Command{Sequence: 1<<60 + uint64(i) + 1, Kind: &mobulav1.Command_PutLineage{PutLineage: c}})
	}
	b.ReportMetric(float64(b.N)*records/b.Elapsed().Seconds(), "records/s")
}

func BenchmarkView(b *testing.B) {
	s := New(0, AllSlots())
	b.ReportAllocs()
	for b.Loop() {
		s.View()
	}
}
