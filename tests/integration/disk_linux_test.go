package integration

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mobula-dev/mobula/clients/go/mobula"
	"github.com/mobula-dev/mobula/head"
	"github.com/mobula-dev/mobula/tests/harness"
	"github.com/mobula-dev/mobula/tests/integration/work"
)

// fill makes the disk full for a process, and room again: the system refuses to write to any file of a process whose limit is reached, as it
// does on a full disk.
func fill(t *testing.T, pid int) (room func()) {
	t.Helper()
	var before unix.Rlimit
	if err := unix.Prlimit(pid, unix.RLIMIT_FSIZE, nil, &before); err != nil {
		t.Fatal(err)
	}
	if err := unix.Prlimit(pid, unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: 0, Max: before.Max}, nil); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := unix.Prlimit(pid, unix.RLIMIT_FSIZE, &before, nil); err != nil {
			t.Error(err)
		}
	}
}

// putKeys writes keys until one is refused, or there are n, and returns how many were acknowledged.
func putKeys(ctx context.Context, t *testing.T, prefix string, n int) (acknowledged int, err error) {
	t.Helper()
	for i := range n {
		if _, err := mobula.PutKey(ctx, fmt.Sprint(prefix, i), []byte(prefix)); err != nil {
			return i, err
		}
	}
	return n, nil
}

// checkKeys checks that what was acknowledged is there.
func checkKeys(ctx context.Context, t *testing.T, prefix string, n int) {
	t.Helper()
	for i := range n {
		if got, err := mobula.GetKey(ctx, fmt.Sprint(prefix, i)); err != nil || string(got.Value) != prefix {
			t.Errorf("key %s%d is %q, %v", prefix, i, got.Value, err)
		}
	}
}

func TestFullDiskLosesNothingThatWasAcknowledged(t *testing.T) {
	t.Parallel()
	harness.Alone(t, func() {
		cfg := head.Config{Durable: true}
		node := harness.StartNode(t, cfg)
		cfg.Dir = node.Dir
		ctx, stop := harness.OpenUntil(t, mobula.WithAddress(node.Address), mobula.WithNamespace("disk"))
		defer stop()
		harness.Get(t, work.AddRemote(ctx, 1, 2))
		if _, err := putKeys(ctx, t, "before", 20); err != nil {
			t.Fatal(err)
		}

		room := fill(t, node.PID())
		named := work.NewLogRemote(ctx, "first", mobula.Name("log")).AppendRemote(ctx, "second")
		limited, cancel := context.WithTimeout(ctx, 2*time.Second)
		during, err := putKeys(limited, t, "during", 1<<20)
		cancel()
		harness.HasKind(t, err, mobula.DeadlineExceeded) // the node goes on trying for longer than this context lasts
		checkKeys(ctx, t, "before", 20)                  // reads go on
		if got := harness.Get(t, work.AddRemote(ctx, 1, 2)); got != 3 {
			t.Errorf("a task on a node whose disk is full returns %d", got)
		}
		if !strings.Contains(node.Stderr(), "disk is full") {
			t.Errorf("the node does not say that its disk is full:\n%s", node.Stderr())
		}
		if err := failure(t, named); !strings.Contains(err.Error(), "disk is full") {
			t.Errorf("a name that cannot be written down is refused without the reason: %v", err)
		}

		room()
		after := 0
		harness.Eventually(t, harness.Patience, "writes succeed when there is room", func() bool {
			limited, cancel := context.WithTimeout(ctx, time.Second)
			defer cancel()
			after, err = putKeys(limited, t, "after", 5)
			return err == nil
		})
		stop()
		node.Signal(t, syscall.SIGKILL)
		node.Wait(t)

		again := harness.StartNode(t, cfg)
		ctx = harness.Open(t, mobula.WithAddress(again.Address), mobula.WithNamespace("disk"))
		checkKeys(ctx, t, "before", 20)
		checkKeys(ctx, t, "during", during)
		checkKeys(ctx, t, "after", after)
	})
}

// TestNodeRefusesADamagedDirectory damages what a node remembers, and repairs it.
func TestNodeRefusesADamagedDirectory(t *testing.T) {
	t.Parallel()
	harness.Alone(t, func() {
		cfg := head.Config{Durable: true}
		node := harness.StartNode(t, cfg)
		cfg.Dir = node.Dir
		ctx, stop := harness.OpenUntil(t, mobula.WithAddress(node.Address), mobula.WithNamespace("disk"))
		if _, err := putKeys(ctx, t, "precious", 3); err != nil {
			t.Fatal(err)
		}
		stop()
		node.Finish()
		if state := node.Wait(t); !state.Success() {
			t.Fatalf("the node ended with %v", state)
		}

		path := filepath.Join(cfg.Dir, "control", "shard-0", "raft.db")
		good, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		bad := bytes.ReplaceAll(good, []byte("precious1"), []byte("precious!"))
		if bytes.Equal(good, bad) {
			t.Fatal("the log does not hold the key")
		}
		for what, damaged := range map[string][]byte{"bit of an entry": bad, "three pages": good[:3*os.Getpagesize()], "nothing": nil} {
			if err := os.WriteFile(path, damaged, 0o600); err != nil {
				t.Fatal(err)
			}
			if said := harness.RefusedNode(t, cfg); !strings.Contains(said, path+" is damaged") {
				t.Errorf("%s: the node does not say what is damaged: %s", what, said)
			}
			if left, err := os.ReadFile(path); err != nil || !bytes.Equal(left, damaged) {
				t.Errorf("%s: the node changed the damaged file: %v", what, err)
			}
		}
		if err := os.WriteFile(path, good, 0o600); err != nil {
			t.Fatal(err)
		}
		again := harness.StartNode(t, cfg)
		checkKeys(harness.Open(t, mobula.WithAddress(again.Address), mobula.WithNamespace("disk")), t, "precious", 3)
	})
}
