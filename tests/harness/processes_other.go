//go:build !linux

package harness

import (
	"syscall"
	"testing"
)

// Alive reports whether a process exists.
func Alive(pid int) bool { return syscall.Kill(pid, 0) == nil }

// Stop stops a process.
func Stop(t *testing.T, pid int) {
	t.Helper()
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatalf("stop process %d: %v", pid, err)
	}
}

// Children lists nothing: there is no portable way.
func Children(int) []int { return nil }

// Descendants lists nothing: there is no portable way.
func Descendants(int) []int { return nil }

func marked(string) []int { return nil }

func command(int) string { return "unknown" }

func descriptors(*testing.T) []string { return nil }
