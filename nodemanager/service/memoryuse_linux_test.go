package service

import (
	"os"
	"testing"
	"testing/fstest"
)

func TestUseIsThatOfWhateverIsClosestToItsEnd(t *testing.T) {
	t.Parallel()
	file := func(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }
	meminfo := file("MemTotal:  1000 kB\nMemFree: 1 kB\nMemAvailable:   600 kB\n")
	for _, c := range []struct {
		name        string
		files       fstest.MapFS
		used, total uint64
	}{
		{"the machine", fstest.MapFS{}, 400 << 10, 1000 << 10},
		{"a group without a limit", fstest.MapFS{
			"proc/self/cgroup": file("0::/a\n"), "sys/fs/cgroup/a/memory.max": file("max\n"), "sys/fs/cgroup/a/memory.current": file("5\n"),
		}, 400 << 10, 1000 << 10},
		{"a group that is nearly full", fstest.MapFS{
			"proc/self/cgroup": file("0::/a/b\n"), "sys/fs/cgroup/a/memory.max": file("1000\n"), "sys/fs/cgroup/a/memory.current": file("990\n"),
			"sys/fs/cgroup/a/memory.stat": file("anon 1\ninactive_file 90\n"),
		}, 900, 1000},
		{"a group that is less full than the machine", fstest.MapFS{
			"proc/self/cgroup": file("0::/a\n"), "sys/fs/cgroup/a/memory.max": file("1000\n"), "sys/fs/cgroup/a/memory.current": file("100\n"),
		}, 400 << 10, 1000 << 10},
		{"the first version", fstest.MapFS{
			"proc/self/cgroup": file("4:memory:/x\n"), "sys/fs/cgroup/memory/x/memory.limit_in_bytes": file("1000\n"),
			"sys/fs/cgroup/memory/x/memory.usage_in_bytes": file("990\n"), "sys/fs/cgroup/memory/x/memory.stat": file("total_inactive_file 10\n"),
		}, 980, 1000},
		{"the first version without a limit", fstest.MapFS{
			"proc/self/cgroup": file("4:memory:/x\n"), "sys/fs/cgroup/memory/x/memory.limit_in_bytes": file("9223372036854771712\n"),
			"sys/fs/cgroup/memory/x/memory.usage_in_bytes": file("990\n"),
		}, 400 << 10, 1000 << 10},
	} {
		c.files["proc/meminfo"] = meminfo
		used, total, err := newProcMemory(c.files).Use()
		if err != nil || used != c.used || total != c.total {
			t.Errorf("%s: %d of %d, error %v; want %d of %d", c.name, used, total, err, c.used, c.total)
		}
	}
	if _, _, err := newProcMemory(fstest.MapFS{}).Use(); err == nil {
		t.Error("a system that tells nothing has memory")
	}
}

func TestTheMemoryOfAProcessGroupIsThatOfItsProcesses(t *testing.T) {
	t.Parallel()
	file := func(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }
	m := newProcMemory(fstest.MapFS{
		"proc/10/stat": file("10 (a) b) S 1 10 10 0"), "proc/10/status": file("RssAnon:\t 5 kB\nRssShmem:\t 99 kB\n"),
		"proc/11/stat": file("11 (c) S 10 10 10 0"), "proc/11/status": file("RssAnon:\t 7 kB\n"),
		"proc/12/stat": file("12 (d) S 1 12 12 0"), "proc/12/status": file("RssAnon:\t 9 kB\n"),
		"proc/13/stat": file("nonsense"), "proc/meminfo": file(""),
	})
	if got := m.Groups([]int{10, 99}); got[10] != 12<<10 || got[99] != 0 || len(got) != 2 {
		t.Errorf("groups use %v", got)
	}
	if _, total, err := systemMemory().Use(); err != nil || total == 0 {
		t.Errorf("this machine has %d bytes, error %v", total, err)
	}
	if own, ok := groupOf(os.DirFS("/"), "self"); !ok || systemMemory().Groups([]int{own})[own] == 0 {
		t.Error("this process has no memory")
	}
}
