package harness

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"

	"github.com/mobula-dev/mobula/head"
)

// Embedded returns the address of the node that the open session of a test that runs alone has started.
func Embedded(t *testing.T) string {
	t.Helper()
	dirs, err := filepath.Glob(filepath.Join(os.TempDir(), "mobula-node-*"))
	if err != nil || len(dirs) != 1 {
		t.Fatalf("there are %d embedded nodes (%v), want one", len(dirs), err)
	}
	return "unix:" + filepath.Join(dirs[0], "node.sock")
}

// Status asks a node for its status.
func Status(t *testing.T, address string) *mobulav1.GetStatusResponse {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	c, err := head.Dial(ctx, address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}()
	s, err := c.GetStatus(ctx, &mobulav1.GetStatusRequest{})
	if err != nil {
		t.Fatalf("ask the node for its status: %v", err)
	}
	return s
}

// leftover says what a node has of tasks, actors, objects, shared memory and assigned resources, or nothing.
func leftover(s *mobulav1.GetStatusResponse) string {
	var left string
	add := func(what string, n int64) {
		if n != 0 {
			left += fmt.Sprintf(" %d %s", n, what)
		}
	}
	tasks, store := s.GetTasks(), s.GetNode().GetStore()
	add("tasks", int64(tasks.GetWaiting()+tasks.GetQueued()+tasks.GetRunning()))
	add("actors", int64(s.GetActors()))
	add("objects", int64(s.GetObjects()))
	add("objects in the store", int64(store.GetObjects()))
	add("bytes of objects in the store", int64(store.GetObjectBytes()))
	add("pinned bytes", int64(store.GetPinnedBytes()))
	add("writers waiting for room", int64(store.GetWaiting()))
	for _, r := range s.GetNode().GetResources() {
		add("units of "+r.GetName()+" in use", r.GetTotal()-r.GetFree())
	}
	return left
}

// CheckEmpty waits until a node has nothing of its sessions any more but the sessions. prepare, which may be nil, runs before each look.
func CheckEmpty(t *testing.T, address string, prepare func()) {
	t.Helper()
	var left string
	if !poll(Patience/2, func() bool {
		if prepare != nil {
			prepare()
		}
		left = leftover(Status(t, address))
		return left == ""
	}) {
		t.Errorf("the node still has%s", left)
	}
}
