package head

import (
	"testing"
	"testing/fstest"
)

func TestLimitsOfTheContainerCount(t *testing.T) {
	t.Parallel()
	file := func(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }
	meminfo := file("MemTotal:       16777216 kB\nMemFree:        1 kB\n") // 16 GiB
	for _, c := range []struct {
		name  string
		files fstest.MapFS
		want  machine
	}{
		{"no control groups", fstest.MapFS{}, machine{16 << 30, 8}},
		{"no limits", fstest.MapFS{
			"proc/self/cgroup": file("0::/user.slice\n"), "sys/fs/cgroup/user.slice/memory.max": file("max\n"),
			"sys/fs/cgroup/user.slice/cpu.max": file("max 100000\n"),
		}, machine{16 << 30, 8}},
		{"limits of the group itself", fstest.MapFS{
			"proc/self/cgroup": file("0::/a/b\n"), "sys/fs/cgroup/a/b/memory.max": file("1073741824\n"),
			"sys/fs/cgroup/a/b/cpu.max": file("150000 100000\n"),
		}, machine{1 << 30, 2}},
		{"the lowest limit of the groups around it", fstest.MapFS{
			"proc/self/cgroup": file("0::/a/b\n"), "sys/fs/cgroup/a/b/memory.max": file("4294967296"),
			"sys/fs/cgroup/a/memory.max": file("2147483648"), "sys/fs/cgroup/a/cpu.max": file("50000 100000"),
		}, machine{2 << 30, 1}},
		{"a container that sees its own group at the mount, and the host's path", fstest.MapFS{
			"proc/self/cgroup": file("0::/../../docker/abc\n"), "sys/fs/cgroup/memory.max": file("1073741824"),
		}, machine{1 << 30, 8}},
		{"the first version", fstest.MapFS{
			"proc/self/cgroup": file("5:cpu,cpuacct:/x\n4:memory:/x\n1:name=systemd:/x\n0::/\n"),
			"sys/fs/cgroup/memory/x/memory.limit_in_bytes":     file("1073741824\n"),
			"sys/fs/cgroup/cpu/x/cpu.cfs_quota_us":             file("300000\n"),
			"sys/fs/cgroup/cpu/x/cpu.cfs_period_us":            file("100000\n"),
			"sys/fs/cgroup/name=systemd/memory.limit_in_bytes": file("1\n"),
		}, machine{1 << 30, 3}},
		{"the first version without limits", fstest.MapFS{
			"proc/self/cgroup": file("5:cpu:/x\n4:memory:/x\n"),
			"sys/fs/cgroup/memory/x/memory.limit_in_bytes": file("9223372036854771712\n"),
			"sys/fs/cgroup/cpu/x/cpu.cfs_quota_us":         file("-1\n"),
			"sys/fs/cgroup/cpu/x/cpu.cfs_period_us":        file("100000\n"),
		}, machine{16 << 30, 8}},
		{"garbage", fstest.MapFS{
			"proc/self/cgroup": file("garbage\n0::\n"), "sys/fs/cgroup/memory.max": file("lots"), "sys/fs/cgroup/cpu.max": file("0 0"),
		}, machine{16 << 30, 8}},
	} {
		c.files["proc/meminfo"] = meminfo
		if got, err := readLimits(c.files, 8); err != nil || got != c.want {
			t.Errorf("%s: %+v, %v; want %+v", c.name, got, err, c.want)
		}
	}
	for name, files := range map[string]fstest.MapFS{
		"nothing":  {},
		"no total": {"proc/meminfo": file("MemFree: 1 kB\n")},
		"garbage":  {"proc/meminfo": file("MemTotal: lots\n")},
	} {
		if got, err := readLimits(files, 8); err == nil {
			t.Errorf("%s: %+v", name, got)
		}
	}
}
