package head

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func asError[E error](err error) (E, bool) { return errors.AsType[E](err) }

func isError[E error](err error) bool {
	_, ok := asError[E](err)
	return ok
}

func TestDirectoryHasOneHeadAtATime(t *testing.T) {
	t.Parallel()
	path := filepath.Join(shortDir(t), "new", "node")
	d, err := openDirectory(path, false)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("directory: %v, %v", info.Mode(), err)
	}
	if info, err := os.Stat(filepath.Join(path, tokenName)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("token: %v, %v", info.Mode(), err)
	}
	_, err = openDirectory(path, false)
	if locked, ok := asError[*LockedError](err); !ok || locked.PID != os.Getpid() || locked.Dir != path {
		t.Errorf("second: %v", err)
	}
	if pid, held, err := Holder(path); err != nil || !held || pid != os.Getpid() {
		t.Errorf("holder %d, %v, %v", pid, held, err)
	}
	if err := d.close(); err != nil {
		t.Fatal(err)
	}
	if pid, held, err := Holder(path); err != nil || held {
		t.Errorf("holder after the end: %d, %v, %v", pid, held, err)
	}
	if _, held, err := Holder(filepath.Join(path, "nowhere")); err != nil || held {
		t.Errorf("holder of nothing: %v, %v", held, err)
	}
	again, err := openDirectory(path, false)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(again.token, d.token) {
		t.Error("the next life has the token of the last")
	}
	if err := again.close(); err != nil {
		t.Error(err)
	}
}

func TestDurableNodeKeepsItsIdAndCountsItsLives(t *testing.T) {
	t.Parallel()
	path := shortDir(t)
	var first *directory
	for epoch := uint64(1); epoch <= 3; epoch++ {
		d, err := openDirectory(path, true)
		if err != nil {
			t.Fatal(err)
		}
		if first == nil {
			first = d
		}
		if d.epoch != epoch || d.node != first.node {
			t.Errorf("life %d: epoch %d, node %v", epoch, d.epoch, d.node)
		}
		if err := d.close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestDirectoryThatCannotBeUsedIsRefused(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, want string
		prepare    func(dir string) (path string, err error)
	}{
		{"others may write", "others may write", func(dir string) (string, error) {
			return dir, os.Chmod(dir, 0o770) // that is the point
		}},
		{"a file", "not a directory", func(dir string) (string, error) {
			path := filepath.Join(dir, "file")
			return path, os.WriteFile(path, nil, 0o600)
		}},
		{"a long path", "choose a shorter directory", func(dir string) (string, error) {
			return filepath.Join(dir, strings.Repeat("x", socketPathMax)), nil
		}},
		{"a damaged identity", "does not say who the node is", func(dir string) (string, error) {
			return dir, os.WriteFile(filepath.Join(dir, nodeName), []byte(`{"node":"ab","epoch":1}`), 0o600)
		}},
		{"no identity", "does not say who the node is", func(dir string) (string, error) {
			return dir, os.WriteFile(filepath.Join(dir, nodeName), nil, 0o600)
		}},
	} {
		path, err := c.prepare(shortDir(t))
		if err != nil {
			t.Fatal(err)
		}
		d, err := openDirectory(path, true)
		if err == nil {
			t.Errorf("%s was taken: %v", c.name, d.close())
		} else if !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
		if _, held, err := Holder(path); c.name != "a file" && (err != nil || held) {
			t.Errorf("%s: still held: %v, %v", c.name, held, err)
		}
	}
}

func TestSocketsOfAFormerLifeAreRemoved(t *testing.T) {
	t.Parallel()
	path := shortDir(t)
	for _, name := range []string{nodeSocketName, apiSocketName, tokenName + ".new"} {
		if err := os.WriteFile(filepath.Join(path, name), nil, 0o644); err != nil { // a looser mode must not be kept
			t.Fatal(err)
		}
	}
	d, err := openDirectory(path, false)
	if err != nil {
		t.Fatal(err)
	}
	l, err := listen(filepath.Join(path, nodeSocketName))
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(filepath.Join(path, nodeSocketName)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("socket: %v, %v", info.Mode(), err)
	}
	if err := errors.Join(l.Close(), d.close()); err != nil {
		t.Error(err)
	}
}
