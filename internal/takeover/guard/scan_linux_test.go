package guard

import (
	"os"
	"slices"
	"syscall"
	"testing"

	"pgregory.net/rapid"
)

func TestScanSeesThisProcess(t *testing.T) {
	t.Parallel()
	procs, err := Scan()
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(procs, func(p Process) bool { return p.PID == os.Getpid() })
	if i < 0 {
		t.Fatal("this process is missing")
	}
	p := procs[i]
	if p.Parent != os.Getppid() || p.Group != syscall.Getpgrp() || p.State == 'Z' {
		t.Errorf("process = %+v, want parent %d and group %d", p, os.Getppid(), syscall.Getpgrp())
	}
	if _, ok := Mark(os.Getpid(), "nobody"); ok {
		t.Error("this process carries a mark that nobody made")
	}
}

func TestParseStatIsNotFooledByTheProgramsName(t *testing.T) {
	t.Parallel()
	for stat, want := range map[string]Process{
		"7 (sh) S 3 5 5 0":             {7, 3, 5, 'S'},
		"7 (a) R 1 1 (b) Z 3 5 5 0":    {7, 3, 5, 'Z'},
		"7 ((sd-pam)) S 3 5 5 0 -1 41": {7, 3, 5, 'S'},
	} {
		if got, ok := parseStat(7, []byte(stat)); !ok || got != want {
			t.Errorf("parseStat(%q) = %+v, %v, want %+v", stat, got, ok, want)
		}
	}
}

func FuzzParseStat(f *testing.F) {
	f.Add([]byte("7 (sh) S 3 5 5 0"))
	f.Add([]byte("7 (sh"))
	f.Add([]byte(") S x y"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if p, ok := parseStat(7, b); ok && p.PID != 7 {
			t.Errorf("process = %+v", p)
		}
	})
}

// TestLeftoversAreGroupsMarksAndWhatIsBelow compares with walking up from each process.
func TestLeftoversAreGroupsMarksAndWhatIsBelow(t *testing.T) {
	t.Parallel()
	self := os.Getpid()
	rapid.Check(t, func(t *rapid.T) {
		procs := make(map[int]Process)
		marks := make(map[int]bool)
		for pid := self + 1; pid < self+2+rapid.IntRange(0, 12).Draw(t, "n"); pid++ {
			procs[pid] = Process{
				PID: pid, Parent: rapid.IntRange(self, pid-1).Draw(t, "parent"), Group: rapid.IntRange(2, 6).Draw(t, "group"),
				State: rapid.SampledFrom([]byte("SZ")).Draw(t, "state"),
			}
			marks[pid] = rapid.IntRange(0, 4).Draw(t, "marked") == 0
		}
		groups := map[int]bool{2: true}
		var doomed func(pid int) bool
		doomed = func(pid int) bool {
			p, ok := procs[pid]
			return ok && p.State != 'Z' && (groups[p.Group] || marks[pid] || doomed(p.Parent))
		}
		var list []Process
		var want []int
		for pid, p := range procs {
			list = append(list, p)
			if doomed(pid) {
				want = append(want, pid)
			}
		}
		got := leftovers(list, groups, func(pid int) bool { return marks[pid] })
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("leftovers = %v, want %v", got, want)
		}
	})
}
