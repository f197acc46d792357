package shard

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/raft"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

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

// filled returns a directory with a log, and with a snapshot if wanted.
func filled(t *testing.T, snapshot bool) string {
	t.Helper()
	dir := t.TempDir()
	s := open(t, Config{Dir: dir})
	for i := range uint64(50) {
		mustPut(t, s, 1, i+1, fmt.Sprint("key", i), fmt.Sprint("value", i))
	}
	if snapshot {
		if err := s.raft.Snapshot().Error(); err != nil {
			t.Fatal(err)
		}
	}
	closeShard(t, s)
	return dir
}

// TestDamageIsNamedAndNothingIsSkipped damages one file at a time, in ways that the libraries below would pass over or panic on.
func TestDamageIsNamedAndNothingIsSkipped(t *testing.T) {
	t.Parallel()
	edit := func(change func([]byte) []byte) func(*testing.T, string) {
		return func(t *testing.T, path string) {
			t.Helper()
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, change(data), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	flip := func(find string) func([]byte) []byte {
		return func(data []byte) []byte {
			// Old pages may hold a copy that no longer counts, so all of them are damaged.
			if !bytes.Contains(data, []byte(find)) {
				t.Errorf("%q is not in the file", find)
			}
			return bytes.ReplaceAll(data, []byte(find), append([]byte{find[0] ^ 1}, find[1:]...))
		}
	}
	remove := func(t *testing.T, path string) {
		t.Helper()
		if err := os.RemoveAll(path); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		snapshot bool
		file     string // A pattern below the directory.
		damage   func(*testing.T, string)
		named    string // What the error must name.
	}{
		"bit of a log entry":     {false, logFile, edit(flip("value37")), logFile},
		"log cut short":          {false, logFile, edit(func(d []byte) []byte { return d[:3*os.Getpagesize()] }), logFile},
		"log cut to nothing":     {false, logFile, edit(func(d []byte) []byte { return nil }), logFile},
		"log of zeros":           {false, logFile, edit(func(d []byte) []byte { return make([]byte, len(d)) }), logFile},
		"first meta page":        {false, logFile, edit(func(d []byte) []byte { d[16+20] ^= 1; return d }), logFile},
		"second meta page":       {false, logFile, edit(func(d []byte) []byte { d[os.Getpagesize()+16+40] ^= 1; return d }), logFile},
		"pages of nonsense":      {false, logFile, edit(func(d []byte) []byte { fillNonsense(d[2*os.Getpagesize():]); return d }), logFile},
		"log removed":            {false, logFile, remove, logFile},
		"identity removed":       {false, identityFile, remove, identityFile},
		"identity of nonsense":   {false, identityFile, edit(func([]byte) []byte { return []byte("{") }), identityFile},
		"log behind a snapshot":  {true, snapshotDir, remove, logFile},
		"bit of a snapshot":      {true, snapshotDir + "/*/state.bin", edit(flip("value37")), snapshotDir},
		"snapshot's meta":        {true, snapshotDir + "/*/meta.json", edit(func([]byte) []byte { return []byte("{") }), snapshotDir},
		"snapshot cut short":     {true, snapshotDir + "/*/state.bin", edit(func(d []byte) []byte { return d[:len(d)-20] }), snapshotDir},
		"snapshot's file is not": {true, snapshotDir + "/*/state.bin", remove, snapshotDir},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := filled(t, c.snapshot)
			if name == "log behind a snapshot" {
				// Enough entries that the log no longer begins at the first.
				s := open(t, Config{Dir: dir})
				for i := range uint64(2 * trailingLogs) {
					mustPut(t, s, 2, i+1, "k", "v")
				}
				if err := s.raft.Snapshot().Error(); err != nil {
					t.Fatal(err)
				}
				closeShard(t, s)
			}
			paths, err := filepath.Glob(filepath.Join(dir, c.file))
			if err != nil || len(paths) != 1 {
				t.Fatalf("%v, %v", paths, err)
			}
			c.damage(t, paths[0])
			s, err := Open(t.Context(), Config{Dir: dir})
			if err == nil {
				closeShard(t, s)
				t.Fatal("opened")
			}
			var damaged *CorruptError
			if !errors.As(err, &damaged) || !strings.Contains(err.Error(), c.named) {
				t.Errorf("error is not a CorruptError that names %s: %v", c.named, err)
			}
		})
	}
}

func fillNonsense(b []byte) {
	for i := range b {
		b[i] = byte(i*131 + i/251)
	}
}

func TestFirstStartThatWasCutOffIsRepeated(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, Config{Dir: dir})
	closeShard(t, s)
	// As it is after each step of fill.
	for _, cut := range []func() error{
		func() error { return os.Rename(filepath.Join(dir, logFile), filepath.Join(dir, newLogFile)) },
		func() error { return os.WriteFile(filepath.Join(dir, newLogFile), []byte("half"), 0o600) },
	} {
		if err := errors.Join(os.Remove(filepath.Join(dir, identityFile)), cut()); err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(filepath.Join(dir, logFile)); err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
		s = open(t, Config{Dir: dir})
		mustPut(t, s, 1, 1, "k", "v")
		closeShard(t, s)
	}
	// The log has its name, but shard.json is not there yet.
	fresh := t.TempDir()
	cut := &Shard{cfg: Config{Dir: fresh}, id: newIdentity(0)}
	conf := raft.DefaultConfig()
	cut.connect(conf)
	conf.Logger = &raftLogger{log: slog.New(slog.DiscardHandler)}
	d, err := createLog(fresh, conf, raft.NewDiscardSnapshotStore(), cut.trans)
	if err != nil || d.Close() != nil {
		t.Fatal(err)
	}
	s = open(t, Config{Dir: fresh})
	mustPut(t, s, 1, 1, "k", "v")
}

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
