package main

import (
	"os"
	"runtime"
	"testing"
)

func TestMemoryOfThisProcessIsKnown(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("only Linux tells the memory of a process")
	}
	m, err := residentOf(os.Getpid())
	if err != nil || m.RSS < 1<<20 || m.PSS == 0 || m.PSS > m.RSS {
		t.Errorf("%+v, %v", m, err)
	}
	peak, err := peakOf(os.Getpid())
	if err != nil || peak < m.RSS/2 {
		t.Errorf("peak %d, %v", peak, err)
	}
	if parent, err := parentOf(os.Getpid()); err != nil || parent != os.Getppid() {
		t.Errorf("parent %d, %v", parent, err)
	}
}

func TestSizesAreReadFromLines(t *testing.T) {
	t.Parallel()
	if got := kilobytes([]byte("Name:\tx\nRss:\t     12 kB\n"), "Rss:"); got != 12<<10 {
		t.Errorf("%d", got)
	}
	if got := kilobytes([]byte("Rss: many\n"), "Rss:") + kilobytes(nil, "Rss:"); got != 0 {
		t.Errorf("%d", got)
	}
}
