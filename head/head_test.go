package head_test

import (
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mobula-dev/mobula/controlplane/shard"
	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"
	"github.com/mobula-dev/mobula/head"
	"github.com/mobula-dev/mobula/tests/harness"
)

// The tests of this file run alone: a head starts no children but its workers, and takes every other one of its process for a stray.

// small is a head that takes little of the machine.
func small(dir string) head.Config {
	return head.Config{Dir: dir, Durable: true, CPUs: 1, Memory: 1 << 20, StoreBytes: 1 << 20, Build: "test", Logger: slog.New(slog.DiscardHandler)}
}

// shortDir is t.TempDir with a path that is short enough for sockets.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "head") //nolint:usetesting // see above
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// openHead opens a head that closes with the test at the latest.
func openHead(t *testing.T, cfg head.Config) *head.Head {
	t.Helper()
	h, err := head.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeHead(t, h) })
	return h
}

func closeHead(t *testing.T, h *head.Head) {
	t.Helper()
	if err := h.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
}

// life asks a head which life of which node it is, as a tool does: over its socket, with the token of its directory.
func life(t *testing.T, h *head.Head) *mobulav1.NodeRef {
	t.Helper()
	c, err := head.Dial(t.Context(), h.Address())
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}()
	s, err := c.GetStatus(t.Context(), &mobulav1.GetStatusRequest{})
	if err != nil {
		t.Fatalf("status: %v", err)
	}
	return s.GetNode().GetRecord().GetRef()
}

func TestSecondHeadOfADirectoryIsRefusedAndHarmsNobody(t *testing.T) {
	t.Parallel()
	harness.Alone(t, func() {
		dir := shortDir(t)
		h := openHead(t, small(dir))
		token, err := os.ReadFile(filepath.Join(dir, "token"))
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			second, err := head.Open(t.Context(), small(dir))
			if err == nil {
				t.Fatalf("a second head opens the directory: %v", second.Close())
			}
			locked, ok := errors.AsType[*head.LockedError](err)
			if !ok || locked.Dir != dir || locked.PID != os.Getpid() || !strings.Contains(err.Error(), dir) {
				t.Errorf("the error does not say who has which directory: %v", err)
			}
		}
		if again, err := os.ReadFile(filepath.Join(dir, "token")); err != nil || string(again) != string(token) {
			t.Errorf("the refused head replaced the token: %v", err)
		}
		if got := life(t, h).GetEpoch(); got != 1 {
			t.Errorf("the first head is in epoch %d", got)
		}
	})
}

func TestFilesOfAHeadAreItsOwners(t *testing.T) {
	t.Parallel()
	harness.Alone(t, func() {
		dir := filepath.Join(shortDir(t), "node")
		openHead(t, small(dir))
		for name, want := range map[string]os.FileMode{
			".":         0o700 | os.ModeDir,
			"pid":       0o600,
			"token":     0o600,
			"node":      0o600,
			"control":   0o700 | os.ModeDir,
			"node.sock": 0o600 | os.ModeSocket,
			"api.sock":  0o600 | os.ModeSocket,
		} {
			if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode() != want {
				t.Errorf("%s has mode %v, want %v: %v", name, info.Mode(), want, err)
			}
		}
	})
}

func TestDurableHeadIsTheSameNodeInItsNextLife(t *testing.T) {
	t.Parallel()
	harness.Alone(t, func() {
		dir := shortDir(t)
		var node string
		var token []byte
		for epoch := uint64(1); epoch <= 3; epoch++ {
			h := openHead(t, small(dir))
			s := life(t, h)
			if node == "" {
				node = string(s.GetNodeId())
			}
			if s.GetEpoch() != epoch || string(s.GetNodeId()) != node || len(node) != 16 {
				t.Errorf("life %d is node %x in epoch %d; the first was node %x", epoch, s.GetNodeId(), s.GetEpoch(), node)
			}
			last := token
			var err error
			if _, token, err = head.ReadToken(h.Address()); err != nil || string(token) == string(last) {
				t.Errorf("life %d has no token of its own: %v", epoch, err)
			}
			closeHead(t, h)
			closeHead(t, h) // idempotent
			_, err = head.Dial(t.Context(), h.Address())
			if _, ok := errors.AsType[*head.NotRunningError](err); !ok {
				t.Errorf("a head that is closed answers: %v", err)
			}
			if pid, held, err := head.Holder(dir); err != nil || held {
				t.Errorf("a head that is closed holds its directory: %d, %v", pid, err)
			}
		}
	})
}

func TestHeadThatIsNotDurableForgetsWhoItWas(t *testing.T) {
	t.Parallel()
	harness.Alone(t, func() {
		cfg := small(shortDir(t))
		cfg.Durable = false
		h := openHead(t, cfg)
		first := life(t, h)
		closeHead(t, h)
		second := life(t, openHead(t, cfg))
		if first.GetEpoch() != 1 || second.GetEpoch() != 1 || string(first.GetNodeId()) == string(second.GetNodeId()) {
			t.Errorf("the lives are %x/%d and %x/%d", first.GetNodeId(), first.GetEpoch(), second.GetNodeId(), second.GetEpoch())
		}
		for _, name := range []string{"node", "control"} {
			if _, err := os.Stat(filepath.Join(cfg.Dir, name)); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("it left %s: %v", name, err)
			}
		}
	})
}

func TestHeadReplacesTheSocketsOfADeadOne(t *testing.T) {
	t.Parallel()
	harness.Alone(t, func() {
		dir := shortDir(t)
		for _, name := range []string{"node.sock", "api.sock"} {
			l, err := net.ListenUnix("unix", &net.UnixAddr{Net: "unix", Name: filepath.Join(dir, name)})
			if err != nil {
				t.Fatal(err)
			}
			l.SetUnlinkOnClose(false) // as it is when a process is killed
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
		}
		life(t, openHead(t, small(dir)))
		nc, err := net.Dial("unix", filepath.Join(dir, "node.sock"))
		if err != nil {
			t.Fatalf("no driver can connect: %v", err)
		}
		if err := nc.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestHeadThatDoesNotStartGivesTheDirectoryBack(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		spoil  func(cfg *head.Config) error
		refuse func(error) bool
	}{
		{"damaged log", func(cfg *head.Config) error {
			return os.WriteFile(filepath.Join(cfg.Dir, "control", "shard-0", "raft.db"), []byte("nonsense"), 0o600)
		}, func(err error) bool {
			damaged, ok := errors.AsType[*shard.CorruptError](err)
			return ok && strings.HasSuffix(damaged.Path, filepath.Join("control", "shard-0", "raft.db"))
		}},
		{"CPUs below zero", func(cfg *head.Config) error { cfg.CPUs = -1; return nil }, func(err error) bool {
			return strings.Contains(err.Error(), "CPUs -1")
		}},
		{"no room for a control plane", func(cfg *head.Config) error {
			return errors.Join(os.RemoveAll(filepath.Join(cfg.Dir, "control")), os.WriteFile(filepath.Join(cfg.Dir, "control"), nil, 0o600))
		}, func(err error) bool { return strings.Contains(err.Error(), "control") }},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			harness.Alone(t, func() {
				cfg := small(shortDir(t))
				closeHead(t, openHead(t, cfg))
				if err := c.spoil(&cfg); err != nil {
					t.Fatal(err)
				}
				h, err := head.Open(t.Context(), cfg)
				if err == nil {
					t.Fatalf("it opened: %v", h.Close())
				}
				if !c.refuse(err) {
					t.Errorf("the error does not say what is wrong: %v", err)
				}
				if pid, held, err := head.Holder(cfg.Dir); err != nil || held {
					t.Errorf("the directory is still held by %d: %v", pid, err)
				}
			})
		})
	}
}
