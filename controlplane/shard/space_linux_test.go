package shard

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// TestRealFullDisk fills a small file system and empties it again.
func TestRealFullDisk(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=8m"); err != nil {
		t.Skipf("a small file system needs privileges: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	s := open(t, Config{Dir: filepath.Join(dir, "shard"), DiskReserve: 1 << 20})
	mustPut(t, s, 1, 1, "before", "v")
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 9<<20), 0o600); !errors.Is(err, unix.ENOSPC) {
		t.Fatalf("fill: %v", err)
	}
	var unknown *UnknownError
	if _, err := s.Apply(t.Context(), putBatch(1, 2, "during", "v")); !errors.Is(err, ErrDiskFull) || errors.As(err, &unknown) {
		t.Errorf("write: %v", err)
	}
	if v, err := s.Linearizable(t.Context()); err != nil || get(t, v, "before") != "v" {
		t.Errorf("read: %v", err)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	mustPut(t, s, 1, 2, "during", "v")
	closeShard(t, s)
}
