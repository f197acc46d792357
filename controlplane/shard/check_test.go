package shard

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/raft"
)

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
