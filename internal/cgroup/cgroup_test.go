package cgroup

import (
	"slices"
	"testing"
	"testing/fstest"
)

func TestGroupsAreFoundFromTheInsideOut(t *testing.T) {
	t.Parallel()
	file := func(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }
	root := fstest.MapFS{
		"proc/self/cgroup": file("5:cpu,cpuacct:/x\n1:name=systemd:/x\nnonsense\n0::/../a/b\n"),
		"n":                file("12\n"), "max": file("max\n"), "many": file("a 1\nab 2\nb x\n"),
	}
	want := []string{"sys/fs/cgroup/cpu/x", "sys/fs/cgroup/cpu", "sys/fs/cgroup/a/b", "sys/fs/cgroup/a", "sys/fs/cgroup"}
	if got := Directories(root); !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
	if got := Directories(fstest.MapFS{}); len(got) > 0 {
		t.Errorf("without groups got %q", got)
	}
	if n, ok := Number(root, "n"); !ok || n != 12 {
		t.Errorf("number is %d, %v", n, ok)
	}
	if _, ok := Number(root, "max"); ok {
		t.Error("max is a number")
	}
	if n, ok := Field(root, "many", "ab"); !ok || n != 2 {
		t.Errorf("field is %d, %v", n, ok)
	}
	for _, name := range []string{"b", "c"} {
		if _, ok := Field(root, "many", name); ok {
			t.Errorf("field %s is a number", name)
		}
	}
}
