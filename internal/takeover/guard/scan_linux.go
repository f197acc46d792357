package guard

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Process is what /proc tells of a process.
type Process struct {
	PID, Parent, Group int
	// State is the kernel's letter; 'Z' is a process that ended and was not reaped.
	State byte
}

// Scan lists the processes of this machine. Processes that end meanwhile may be missing.
func Scan() ([]Process, error) {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	names, err := dir.Readdirnames(-1)
	if err := errors.Join(err, dir.Close()); err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	procs := make([]Process, 0, len(names))
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		if p, ok := Lookup(pid); ok {
			procs = append(procs, p)
		}
	}
	return procs, nil
}

// Lookup returns one process, false when there is none.
func Lookup(pid int) (Process, bool) {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return Process{}, false
	}
	return parseStat(pid, stat)
}

// parseStat reads the state, parent and group: the fields after the program's name, which may itself hold blanks and brackets.
func parseStat(pid int, stat []byte) (Process, bool) {
	i := bytes.LastIndexByte(stat, ')')
	if i < 0 {
		return Process{}, false
	}
	f := strings.Fields(string(stat[i+1:]))
	if len(f) < 3 || len(f[0]) != 1 {
		return Process{}, false
	}
	parent, err1 := strconv.Atoi(f[1])
	group, err2 := strconv.Atoi(f[2])
	return Process{PID: pid, Parent: parent, Group: group, State: f[0][0]}, err1 == nil && err2 == nil
}

// Mark returns the worker's id with which the pool marked a process or one of its ancestors, false when it carries no mark of this pool or may not be
// looked at.
func Mark(pid int, pool string) (worker string, ok bool) {
	env, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/environ")
	if err != nil {
		return "", false
	}
	prefix := []byte(EnvMark + "=" + pool + "/")
	for kv := range bytes.SplitSeq(env, []byte{0}) {
		if w, found := bytes.CutPrefix(kv, prefix); found {
			return string(w), true
		}
	}
	return "", false
}

// sweep kills until nothing is left to kill. A process that is forking while it is killed may need a second round.
func sweep(groups map[int]bool, pool string, deadline time.Time) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for time.Now().Before(deadline) {
		for group := range groups {
			_ = syscall.Kill(-group, syscall.SIGKILL) // Mostly the group is empty by now.
		}
		procs, err := Scan()
		if err != nil {
			return // Without /proc the groups are all there is to go by.
		}
		left := leftovers(procs, groups, func(pid int) bool { _, ok := Mark(pid, pool); return ok })
		if len(left) == 0 {
			return
		}
		for _, pid := range left {
			_ = syscall.Kill(pid, syscall.SIGKILL) // It may have ended since.
		}
		<-tick.C
	}
}

// leftovers returns the live processes that belong to the groups or are marked, and all below them.
func leftovers(procs []Process, groups map[int]bool, marked func(pid int) bool) []int {
	doomed := make(map[int]bool)
	self := os.Getpid()
	for first, grown := true, true; grown; first = false {
		grown = false
		for _, p := range procs {
			if p.State == 'Z' || p.State == 'X' || p.PID == self || doomed[p.PID] {
				continue
			}
			if groups[p.Group] || doomed[p.Parent] || first && marked(p.PID) {
				doomed[p.PID], grown = true, true
			}
		}
	}
	pids := make([]int, 0, len(doomed))
	for pid := range doomed {
		pids = append(pids, pid)
	}
	return pids
}
