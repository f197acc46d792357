package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
)

// machine is what a run was made on.
type machine struct {
	CPU        string `json:"cpu"`
	CPUs       int    `json:"cpus"`
	Memory     string `json:"memory"`
	System     string `json:"system"`
	Go         string `json:"go"`
	LoadBefore string `json:"load_before"`
	LoadAfter  string `json:"load_after"`
}

// thisMachine describes the machine; what the system does not tell is left "unknown".
func thisMachine() machine {
	m := machine{
		CPU: field("/proc/cpuinfo", "model name"), CPUs: runtime.NumCPU(), Memory: "memory unknown", System: runtime.GOOS + "/" + runtime.GOARCH,
		Go: runtime.Version(), LoadBefore: load(),
	}
	if b, err := os.ReadFile("/proc/meminfo"); err == nil {
		m.Memory = fmt.Sprintf("%.0f GiB", float64(kilobytes(b, "MemTotal:"))/(1<<30))
	}
	if b, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		m.System += " " + strings.TrimSpace(string(b))
	}
	return m
}

// field returns the value of the first line "name : value" of a file.
func field(file, name string) string {
	b, _ := os.ReadFile(file) // unknown if it cannot be read
	for line := range strings.Lines(string(b)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return "unknown CPU"
}

// load returns the load average of the last minute.
func load() string {
	b, _ := os.ReadFile("/proc/loadavg") // unknown if it cannot be read
	if first, _, ok := strings.Cut(string(b), " "); ok {
		return first
	}
	return "unknown"
}

// commit names the commit of the module, with a plus sign when files differ from it.
func commit(ctx context.Context, root string) string {
	git := func(args ...string) (string, error) {
		b, err := exec.CommandContext(ctx, "git", append([]string{"-C", root}, args...)...).Output()
		return strings.TrimSpace(string(b)), err
	}
	hash, err := git("rev-parse", "--short=12", "HEAD")
	if err != nil {
		return "unknown"
	}
	if changed, err := git("status", "--porcelain"); err != nil || changed != "" {
		hash += "+"
	}
	return hash
}
