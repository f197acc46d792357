package service

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path"
	"strconv"
	"strings"

	"github.com/mobula-dev/mobula/internal/cgroup"
)

// procMemory reads /proc and the control groups below the root of a file system.
type procMemory struct {
	root   fs.FS
	groups []string // directories of the control groups that have a limit on memory, when the node began
}

func systemMemory() MemorySource { return newProcMemory(os.DirFS("/")) }

func newProcMemory(root fs.FS) *procMemory {
	m := &procMemory{root: root}
	for _, dir := range cgroup.Directories(root) {
		if _, _, ok := groupUse(root, dir); ok {
			m.groups = append(m.groups, dir)
		}
	}
	return m
}

// Use implements MemorySource.
func (m *procMemory) Use() (used, total uint64, err error) {
	text, err := fs.ReadFile(m.root, "proc/meminfo")
	if err != nil {
		return 0, 0, err
	}
	total, okTotal := kibibytes(text, "MemTotal:")
	available, okAvailable := kibibytes(text, "MemAvailable:")
	if !okTotal || !okAvailable || available > total {
		return 0, 0, errors.New("/proc/meminfo does not say MemTotal and MemAvailable")
	}
	used = total - available
	for _, dir := range m.groups {
		if u, limit, ok := groupUse(m.root, dir); ok && float64(u)/float64(limit) > float64(used)/float64(total) {
			used, total = u, limit
		}
	}
	return used, total, nil
}

// unlimited is what the first version of control groups reports in place of no limit, or more.
const unlimited = 1 << 60

// groupUse reads how much a control group uses of its limit, without the cache of files that it can drop; false when it has no limit.
func groupUse(root fs.FS, dir string) (used, limit uint64, ok bool) {
	use, inactive := "memory.current", "inactive_file"
	limit, ok = cgroup.Number(root, path.Join(dir, "memory.max"))
	if !ok {
		use, inactive = "memory.usage_in_bytes", "total_inactive_file"
		limit, ok = cgroup.Number(root, path.Join(dir, "memory.limit_in_bytes"))
	}
	if !ok || limit == 0 || limit >= unlimited {
		return 0, 0, false
	}
	used, ok = cgroup.Number(root, path.Join(dir, use))
	if cache, has := cgroup.Field(root, path.Join(dir, "memory.stat"), inactive); has {
		used -= min(used, cache)
	}
	return used, limit, ok
}

// kibibytes finds a line "name 123 kB" and returns its value in bytes.
func kibibytes(text []byte, name string) (uint64, bool) {
	for line := range bytes.Lines(text) {
		if value, ok := bytes.CutPrefix(line, []byte(name)); ok {
			n, err := strconv.ParseUint(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(string(value)), "kB")), 10, 54)
			return n << 10, err == nil
		}
	}
	return 0, false
}

// Groups implements MemorySource. It counts the anonymous memory of a group's processes: what they share with the object store is the store's.
func (m *procMemory) Groups(pids []int) map[int]uint64 {
	wanted := make(map[int]uint64, len(pids))
	for _, pid := range pids {
		wanted[pid] = 0
	}
	entries, err := fs.ReadDir(m.root, "proc")
	if err != nil {
		return wanted
	}
	for _, e := range entries {
		if c := e.Name()[0]; c < '0' || c > '9' {
			continue
		}
		group, ok := groupOf(m.root, e.Name())
		if _, of := wanted[group]; !ok || !of {
			continue
		}
		if text, err := fs.ReadFile(m.root, path.Join("proc", e.Name(), "status")); err == nil {
			anonymous, _ := kibibytes(text, "RssAnon:")
			wanted[group] += anonymous
		}
	}
	return wanted
}

// groupOf returns the process group of a process.
func groupOf(root fs.FS, pid string) (int, bool) {
	text, err := fs.ReadFile(root, path.Join("proc", pid, "stat"))
	if err != nil {
		return 0, false // it has ended
	}
	// "pid (name) state parent group …", and the name may have anything in it.
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	if len(fields) < 3 {
		return 0, false
	}
	group, err := strconv.Atoi(fields[2])
	return group, err == nil
}
