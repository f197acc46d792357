// Package cgroup finds the control groups that a process is in, of the first or the second version, and reads their files.
package cgroup

import (
	"io/fs"
	"path"
	"strconv"
	"strings"
)

// Directories returns the directories of the control groups that this process is in and that have to do with memory or CPUs, and of those around
// them, from the inside out. root is the root of the file system. Inside a container the path of a group may be one of the host's: then a
// directory does not exist, and the last one, the mount itself, is the container's own group.
func Directories(root fs.FS) []string {
	const mount = "sys/fs/cgroup"
	text, err := fs.ReadFile(root, "proc/self/cgroup")
	if err != nil {
		return nil // no control groups
	}
	var dirs []string
	for line := range strings.Lines(string(text)) {
		// "0::/path" in the second version, "4:memory:/path" in the first.
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) != 3 {
			continue
		}
		base := mount
		for controller := range strings.SplitSeq(parts[1], ",") {
			if controller == "memory" || controller == "cpu" {
				base = path.Join(mount, controller)
			}
		}
		if parts[1] != "" && base == mount {
			continue // another controller
		}
		for dir := path.Clean("/" + parts[2]); ; dir = path.Dir(dir) {
			dirs = append(dirs, path.Join(base, dir))
			if dir == "/" {
				break
			}
		}
	}
	return dirs
}

// Number reads a file that holds one number; "max" is none.
func Number(root fs.FS, name string) (uint64, bool) {
	text, err := fs.ReadFile(root, name)
	if err != nil {
		return 0, false
	}
	n, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64)
	return n, err == nil
}

// Field reads a line "name number" of a file that has many, as memory.stat has.
func Field(root fs.FS, name, field string) (uint64, bool) {
	text, err := fs.ReadFile(root, name)
	if err != nil {
		return 0, false
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, field+" "); ok {
			n, err := strconv.ParseUint(strings.TrimSpace(value), 10, 64)
			return n, err == nil
		}
	}
	return 0, false
}
