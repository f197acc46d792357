package workerpool

import (
	"bytes"
	"strings"
	"sync"
)

const (
	tailLines     = 20
	tailLineBytes = 512
	// crashLines is how much of a crash report is kept from its head: a Go report begins with what happened and the stack that did it, and ends with
	// other goroutines, by the thousand.
	crashLines = 16
)

// crashHeads begin the crash reports of runtimes.
var crashHeads = [][]byte{
	[]byte("panic: "), []byte("fatal error: "), []byte("runtime: goroutine stack exceeds"), []byte("FATAL ERROR: "),
	[]byte("unexpected fault address"), []byte("SIGSEGV: "), []byte("SIGABRT: "), []byte("SIGBUS: "), []byte("SIGILL: "), []byte("SIGFPE: "),
	[]byte("SIGQUIT: "), []byte("SIGSYS: "), []byte("SIGTRAP: "),
}

func isCrashHead(line []byte) bool {
	for _, head := range crashHeads {
		if bytes.HasPrefix(line, head) {
			return true
		}
	}
	return false
}

// tail keeps what explains a worker's death: its last lines, and the head of the last crash report. Both streams of a worker share one.
type tail struct {
	mu    sync.Mutex
	ring  [tailLines][]byte // guarded by mu, as all below; each is reused
	next  int
	count int
	crash [][]byte // head of the report
	since int      // lines added since the head of the report began
}

// add takes a line; it keeps a copy of its beginning.
func (t *tail) add(line []byte) {
	line = line[:min(len(line), tailLineBytes)]
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ring[t.next] = append(t.ring[t.next][:0], line...)
	t.next = (t.next + 1) % tailLines
	t.count = min(t.count+1, tailLines)
	switch {
	case t.since >= crashLines && isCrashHead(line), t.crash == nil && isCrashHead(line):
		t.crash, t.since = [][]byte{bytes.Clone(line)}, 1
	case t.crash != nil:
		if t.since < crashLines {
			t.crash = append(t.crash, bytes.Clone(line))
		}
		t.since++
	}
}

// lines returns the head of the last crash report and then the last lines that are not in it.
func (t *tail) lines() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var lines []string
	count := t.count
	if t.crash != nil {
		for _, line := range t.crash {
			lines = append(lines, text(line))
		}
		if after := t.since - len(t.crash); after > count {
			lines = append(lines, "…")
		} else {
			count = after
		}
	}
	for i := count; i > 0; i-- {
		lines = append(lines, text(t.ring[(t.next-i+tailLines)%tailLines]))
	}
	return lines
}

// text is a line as text: what is not becomes a mark, also a letter that was cut.
func text(line []byte) string { return strings.ToValidUTF8(string(line), "\uFFFD") }
