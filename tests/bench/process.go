package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// What follows reads /proc, which only Linux has; elsewhere the rows that need it say so.

// resident is the memory of a process, in bytes.
type resident struct {
	// RSS counts pages that are shared with other processes in full, PSS in part.
	RSS, PSS uint64
}

// residentOf reads a process's memory.
func residentOf(pid int) (resident, error) {
	b, err := os.ReadFile(procFile(pid, "smaps_rollup"))
	if err != nil {
		return resident{}, fmt.Errorf("read memory of process %d: %w", pid, err)
	}
	return resident{RSS: kilobytes(b, "Rss:"), PSS: kilobytes(b, "Pss:")}, nil
}

// peakOf reads the most memory that a process had resident since it began or resetPeak was called.
func peakOf(pid int) (uint64, error) {
	b, err := os.ReadFile(procFile(pid, "status"))
	if err != nil {
		return 0, fmt.Errorf("read peak memory of process %d: %w", pid, err)
	}
	return kilobytes(b, "VmHWM:"), nil
}

// resetPeak begins a new measurement of a process's peak.
func resetPeak(pid int) error {
	if err := os.WriteFile(procFile(pid, "clear_refs"), []byte("5"), 0); err != nil {
		return fmt.Errorf("reset peak memory of process %d: %w", pid, err)
	}
	return nil
}

// kilobytes finds a line such as "Rss:   123 kB" and returns it in bytes, 0 if there is none.
func kilobytes(b []byte, label string) uint64 {
	for line := range bytes.Lines(b) {
		if rest, ok := bytes.CutPrefix(line, []byte(label)); ok {
			n, _ := strconv.ParseUint(strings.TrimSuffix(string(bytes.TrimSpace(rest)), " kB"), 10, 64) // 0 if it is no number
			return n << 10
		}
	}
	return 0
}

func procFile(pid int, name string) string { return "/proc/" + strconv.Itoa(pid) + "/" + name }

// descendants returns the processes that pid has started, and those that these have, parents before children.
func descendants(pid int) ([]int, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	children := make(map[int][]int)
	for _, e := range entries {
		if child, err := strconv.Atoi(e.Name()); err == nil {
			if parent, err := parentOf(child); err == nil { // otherwise it has ended meanwhile
				children[parent] = append(children[parent], child)
			}
		}
	}
	found := children[pid]
	for i := 0; i < len(found); i++ {
		found = append(found, children[found[i]]...)
	}
	return found, nil
}

// parentOf reads the parent of a process.
func parentOf(pid int) (int, error) {
	b, err := os.ReadFile(procFile(pid, "status"))
	if err != nil {
		return 0, err
	}
	for s := bufio.NewScanner(bytes.NewReader(b)); s.Scan(); {
		if rest, ok := strings.CutPrefix(s.Text(), "PPid:"); ok {
			return strconv.Atoi(strings.TrimSpace(rest))
		}
	}
	return 0, errors.New("its status names no parent")
}

// sameProgram reports whether a process runs this executable.
func sameProgram(pid int) bool {
	own, err := os.Stat("/proc/self/exe")
	if err != nil {
		return false
	}
	its, err := os.Stat(procFile(pid, "exe"))
	return err == nil && os.SameFile(own, its)
}

// isGuard reports whether a process is the one that ends the others of a node when the node is gone.
func isGuard(pid int) bool {
	b, err := os.ReadFile(procFile(pid, "cmdline"))
	return err == nil && bytes.Contains(b, []byte("mobula-guard"))
}
