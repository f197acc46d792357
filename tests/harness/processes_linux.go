package harness

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// pids lists the processes of the machine.
func pids() []int {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	var all []int
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil {
			all = append(all, pid)
		}
	}
	return all
}

// stat returns a process's state and parent; ok is false when it has gone.
func stat(pid int) (state byte, parent int, ok bool) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, 0, false
	}
	_, rest, found := bytes.Cut(b[max(0, bytes.LastIndexByte(b, ')')):], []byte(" "))
	fields := bytes.Fields(rest)
	if !found || len(fields) < 2 {
		return 0, 0, false
	}
	parent, err = strconv.Atoi(string(fields[1]))
	return fields[0][0], parent, err == nil
}

// Alive reports whether a process exists and has not ended.
func Alive(pid int) bool {
	state, _, ok := stat(pid)
	return ok && state != 'Z' && state != 'X'
}

// Stop stops a process and waits until all its threads have stopped.
func Stop(t *testing.T, pid int) {
	t.Helper()
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatalf("stop process %d: %v", pid, err)
	}
	Eventually(t, Patience, fmt.Sprintf("process %d is stopped", pid), func() bool {
		threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
		return err == nil && !slices.ContainsFunc(threads, func(path string) bool {
			b, err := os.ReadFile(path)
			return err == nil && !bytes.Contains(b, []byte(") T "))
		})
	})
}

// Children lists the living children of a process.
func Children(pid int) []int {
	return slices.DeleteFunc(pids(), func(p int) bool {
		state, parent, ok := stat(p)
		return !ok || parent != pid || state == 'Z'
	})
}

// Descendants lists the living children of a process, their children, and so on.
func Descendants(pid int) []int {
	all := Children(pid)
	for _, child := range all {
		all = append(all, Descendants(child)...)
	}
	return all
}

// marked lists the living processes that carry the mark.
func marked(mark string) []int {
	want := []byte(envMark + "=" + mark + "\x00")
	return slices.DeleteFunc(pids(), func(pid int) bool {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
		return err != nil || !bytes.Contains(b, want) || !Alive(pid)
	})
}

// command is what a process runs, for people.
func command(pid int) string {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil {
		return "gone"
	}
	role, _ := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid)) // a process that has gone has none
	for kv := range bytes.SplitSeq(role, []byte{0}) {
		if bytes.HasPrefix(kv, []byte("MOBULA_")) && !bytes.HasPrefix(kv, []byte("MOBULA_HARNESS")) {
			b = append(append(b, ' '), kv...)
		}
	}
	return strings.ReplaceAll(string(b), "\x00", " ")
}

// descriptors lists what this process has open, without what the Go runtime opens once and keeps.
func descriptors(t *testing.T) []string {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	var open []string
	for _, e := range entries {
		to, err := os.Readlink("/proc/self/fd/" + e.Name())
		if err != nil {
			continue // the listing's own
		}
		if to == "anon_inode:[eventpoll]" || to == "anon_inode:[eventfd]" || strings.HasPrefix(to, "/proc/") || strings.HasPrefix(to, "/sys/") {
			continue
		}
		open = append(open, e.Name()+"="+to)
	}
	return open
}
