package segment

import (
	"bytes"
	"context"
	"errors"
	"os"
	"sync"
	"testing"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

// TestMain runs the other process of the tests that need two, or the tests, after which no goroutine may be left.
func TestMain(m *testing.M) {
	if role := os.Getenv("MOBULA_TEST_SEGMENT_ROLE"); role != "" {
		if err := runRole(role); err != nil {
			panic(err)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

// node is a Granter that grants up to a number of bytes at a time and remembers what it was told.
type node struct {
	shared uint64 // length of segments that objects share

	mu        sync.Mutex
	room      uint64
	next      uint32
	asked     int
	length    map[uint32]uint64
	announced map[uint32]*os.File
	gone      []uint32
	changed   chan struct{} // closed and replaced when room grows
	fail      error         // what Grant returns, if set
}

func newNode(shared, room uint64) *node {
	return &node{
		shared: shared, room: room, length: make(map[uint32]uint64), announced: make(map[uint32]*os.File), changed: make(chan struct{}),
	}
}

func (n *node) Grant(ctx context.Context, size uint64) (Grant, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.asked++
	for {
		length := n.shared
		if size > length/2 {
			length = RoundUp(size)
		}
		if n.fail != nil {
			return Grant{}, n.fail
		}
		if length <= n.room {
			n.room -= length
			n.next++
			n.length[n.next] = length
			return Grant{Segment: n.next, Length: length}, nil
		}
		changed := n.changed
		n.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
		}
		n.mu.Lock()
		if ctx.Err() != nil {
			return Grant{}, context.Cause(ctx)
		}
	}
}

func (n *node) Announce(g Grant, f *os.File) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.length[g.Segment] != g.Length || n.announced[g.Segment] != nil {
		return errors.New("announced a segment that was not granted")
	}
	n.announced[g.Segment] = f
	return Check(f, g.Length)
}

func (n *node) GiveBack(segment uint32) {
	n.mu.Lock()
	n.gone = append(n.gone, segment)
	length := n.length[segment]
	n.mu.Unlock()
	n.grow(length)
}

// grow gives the node more room.
func (n *node) grow(by uint64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.room += by
	close(n.changed)
	n.changed = make(chan struct{})
}

func (n *node) goneSegments() []uint32 {
	n.mu.Lock()
	defer n.mu.Unlock()
	return append([]uint32(nil), n.gone...)
}

func (n *node) questions() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.asked
}

// newTestWriter returns a Writer that is closed with the test.
func newTestWriter(tb testing.TB, cfg WriterConfig, g Granter) *Writer {
	tb.Helper()
	w := NewWriter(cfg, g)
	tb.Cleanup(func() { must(tb, w.Close()) })
	return w
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

// acquire allocates, asking the node if need be.
func acquire(tb testing.TB, w *Writer, size uint64) (Block, []byte) {
	tb.Helper()
	b, buf, err := w.Acquire(tb.Context(), size)
	must(tb, err)
	if uint64(len(buf)) != size || b.Size != size || b.Offset%PageBytes != 0 {
		tb.Fatalf("acquired %v and %d bytes, want %d", b, len(buf), size)
	}
	return b, buf
}

// pattern fills a buffer with what is only right for one seed.
func pattern(buf []byte, seed int) {
	for i := range buf {
		buf[i] = byte(seed + i*7 + i>>8)
	}
}

func samePattern(buf []byte, seed int) bool {
	want := make([]byte, len(buf))
	pattern(want, seed)
	return bytes.Equal(buf, want)
}

// dup returns a descriptor as a reader would receive it.
func dup(tb testing.TB, f *os.File) *os.File {
	tb.Helper()
	fd, err := unix.Dup(int(f.Fd()))
	must(tb, err)
	return os.NewFile(uintptr(fd), "reader")
}
