package objectstore

import (
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// memoryBytes returns how much memory this process may use: the machine's, or less in a container.
func memoryBytes() (uint64, error) {
	var info unix.Sysinfo_t
	if err := unix.Sysinfo(&info); err != nil {
		return 0, os.NewSyscallError("sysinfo", err)
	}
	total := uint64(info.Totalram) * uint64(info.Unit) //nolint:unconvert // Totalram is narrower on other platforms
	// The limit of the container as its inside sees it, in the second and the first version of control groups.
	for _, file := range []string{"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"} {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // no such control group
		}
		if limit, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64); err == nil { // or "max"
			total = min(total, limit)
		}
	}
	return total, nil
}
