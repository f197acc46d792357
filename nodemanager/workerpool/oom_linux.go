package workerpool

import (
	"bufio"
	"bytes"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
)

// oomCounter notices out-of-memory kills of the kernel in this process's memory group. The number is of the whole group: it makes a kill
// probable, not certain.
type oomCounter struct {
	file string // empty when the kernel tells nothing

	mu   sync.Mutex
	seen int64 // kills accounted for; guarded by mu
}

func newOOMCounter() *oomCounter {
	c := &oomCounter{file: oomFile(os.DirFS("/"))}
	c.seen, _ = c.read()
	return c
}

// claim reports whether the kernel counted a kill that no worker's end has claimed yet, and claims it.
func (c *oomCounter) claim() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	now, ok := c.read()
	if !ok || now <= c.seen {
		return false
	}
	c.seen++
	return true
}

func (c *oomCounter) read() (int64, bool) {
	if c.file == "" {
		return 0, false
	}
	b, err := os.ReadFile(c.file)
	if err != nil {
		return 0, false
	}
	return parseOOMKills(b)
}

// parseOOMKills finds the line "oom_kill N", the same in memory.events (cgroup v2) and memory.oom_control (v1).
func parseOOMKills(b []byte) (int64, bool) {
	for line := range bytes.Lines(b) {
		if number, ok := bytes.CutPrefix(bytes.TrimSpace(line), []byte("oom_kill ")); ok {
			n, err := strconv.ParseInt(string(number), 10, 64)
			return n, err == nil
		}
	}
	return 0, false
}

// oomFile finds the file that counts the kills of this process's memory group. The group's path is of the host, and in a container the
// mount begins at the container's own group: so the path is tried first, and the mount's root after it. Where no group counts, the
// machine's own count must do.
func oomFile(root fs.FS) string {
	if file := groupOOMFile(root); file != "" {
		return file
	}
	if file := "proc/vmstat"; countsKills(root, file) {
		return "/" + file
	}
	return ""
}

func groupOOMFile(root fs.FS) string {
	groups, err := root.Open("proc/self/cgroup")
	if err != nil {
		return ""
	}
	defer func() { _ = groups.Close() }() // Only read from.
	for scan := bufio.NewScanner(groups); scan.Scan(); {
		f := strings.SplitN(scan.Text(), ":", 3)
		if len(f) != 3 {
			continue
		}
		var mounts []string
		name := "memory.oom_control"
		switch {
		case strings.Contains(","+f[1]+",", ",memory,"):
			mounts = []string{"sys/fs/cgroup/memory"}
		case f[0] == "0" && f[1] == "":
			name, mounts = "memory.events", []string{"sys/fs/cgroup", "sys/fs/cgroup/unified"}
		}
		for _, mount := range mounts {
			for _, dir := range []string{filepath.Join(mount, f[2]), mount} {
				if file := filepath.Join(dir, name); countsKills(root, file) {
					return "/" + file
				}
			}
		}
	}
	return ""
}

func countsKills(root fs.FS, name string) bool {
	f, err := root.Open(name)
	if err != nil {
		return false
	}
	defer func() { _ = f.Close() }() // Only read from.
	b, err := io.ReadAll(io.LimitReader(f, 64<<10))
	if err != nil {
		return false
	}
	_, ok := parseOOMKills(b)
	return ok
}
