package service

import (
	"os"
	"strconv"
	"strings"
)

// residentBytes returns how much memory this process occupies, 0 when the system does not say. Shared memory is left out: the object
// store's pages are counted by the store.
func residentBytes() uint64 {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	sum := uint64(0)
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(line, ":")
		if name != "RssAnon" && name != "RssFile" {
			continue
		}
		if kib, err := strconv.ParseUint(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64); err == nil {
			sum += kib << 10
		}
	}
	return sum
}
