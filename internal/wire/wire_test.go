package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"go.uber.org/goleak"

	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// pair returns two connected sessions over a Unix socket.
func pair(t *testing.T, outMax int) (a, b *Conn) {
	t.Helper()
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	accepted := make(chan net.Conn, 1)
	go func() {
		nc, err := l.Accept()
		if err != nil {
			nc = nil
		}
		accepted <- nc
	}()
	dialled, err := net.Dial("unix", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	nc := <-accepted
	if nc == nil {
		t.Fatal("not accepted")
	}
	a, b = NewConn(dialled, outMax), NewConn(nc, outMax)
	t.Cleanup(func() {
		_ = a.Close()
		_ = b.Close()
	})
	return a, b
}

func goodbye(reason string) *mobulav1.Goodbye { return &mobulav1.Goodbye{Reason: reason} }

const kind = mobulav1.FrameKind_FRAME_KIND_GOODBYE

// read returns the reason of the next frame.
func read(t *testing.T, c *Conn) string {
	t.Helper()
	k, payload, err := c.ReadFrame()
	if err != nil || k != kind {
		t.Fatalf("got %v, %v; want %v", k, err, kind)
	}
	var m mobulav1.Goodbye
	if err := m.UnmarshalVT(payload); err != nil {
		t.Fatal(err)
	}
	return m.GetReason()
}

func TestFramesArriveWholeAndInOrderHoweverTheyAreFlushed(t *testing.T) {
	t.Parallel()
	a, b := pair(t, 0)
	const frames = 2000
	done := make(chan error, 1)
	go func() {
		done <- func() error {
			for i := range frames {
				// Lengths from empty to several read buffers.
				reason := fmt.Sprintf("%d %s", i, bytes.Repeat([]byte{'x'}, i*i%60_000))
				if err := a.Send(kind, goodbye(reason)); err != nil {
					return err
				}
				switch i % 3 {
				case 0:
					a.Kick()
				case 1:
					a.TryFlush()
				case 2:
					if err := a.Flush(); err != nil {
						return err
					}
				}
			}
			return a.Flush()
		}()
	}()
	for i := range frames {
		var got, xs int
		reason := read(t, b)
		if _, err := fmt.Sscanf(reason, "%d", &got); err != nil || got != i {
			t.Fatalf("frame %d came in place of %d", got, i)
		}
		if xs = len(reason) - len(fmt.Sprintf("%d ", i)); xs != i*i%60_000 {
			t.Fatalf("frame %d has %d bytes, want %d", i, xs, i*i%60_000)
		}
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func TestManySendersLoseNothing(t *testing.T) {
	t.Parallel()
	a, b := pair(t, 0)
	const senders, frames = 8, 500
	var wg sync.WaitGroup
	for s := range senders {
		wg.Go(func() {
			for i := range frames {
				if a.Send(kind, goodbye(fmt.Sprintf("%d %d", s, i))) != nil {
					return
				}
				a.TryFlush()
			}
		})
	}
	next := make([]int, senders)
	for range senders * frames {
		var s, i int
		if _, err := fmt.Sscanf(read(t, b), "%d %d", &s, &i); err != nil {
			t.Fatal(err)
		}
		if next[s] != i {
			t.Fatalf("sender %d: frame %d came in place of %d", s, i, next[s])
		}
		next[s]++
	}
	wg.Wait()
}

func TestDescriptorsArriveWithTheirFrames(t *testing.T) {
	t.Parallel()
	a, b := pair(t, 0)
	const files = 40
	go func() {
		for i := range files {
			f, err := os.CreateTemp(t.TempDir(), "")
			if err != nil {
				a.Fail(err)
				return
			}
			if _, err := fmt.Fprint(f, i); err != nil {
				a.Fail(err)
				return
			}
			if a.Send(kind, goodbye("before")) != nil || a.SendFile(kind, goodbye("with"), f) != nil {
				return
			}
			a.TryFlush()
		}
	}()
	for i := range files {
		if got := read(t, b); got != "before" {
			t.Fatalf("got %q", got)
		}
		if got := read(t, b); got != "with" {
			t.Fatalf("got %q", got)
		}
		f, err := b.TakeFile()
		if err != nil {
			t.Fatal(err)
		}
		content := make([]byte, 8)
		n, err := f.ReadAt(content, 0)
		if err != nil && !errors.Is(err, io.EOF) {
			t.Fatal(err)
		}
		if string(content[:n]) != fmt.Sprint(i) {
			t.Fatalf("file %d came in place of %d", content[0], i)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := b.TakeFile(); err == nil {
		t.Fatal("a descriptor was invented")
	}
}

func TestPeerThatDoesNotReadIsCut(t *testing.T) {
	t.Parallel()
	a, _ := pair(t, 1<<20)
	m := goodbye(string(bytes.Repeat([]byte{'x'}, 100_000)))
	var err error
	for range 1000 {
		if err = a.Send(kind, m); err != nil {
			break
		}
		a.TryFlush() // never blocks
	}
	if !errors.Is(err, ErrSlowPeer) {
		t.Fatalf("got %v, want ErrSlowPeer", err)
	}
}

func TestFrameBeyondTheLimitIsRefusedAndTheConnectionGoesOn(t *testing.T) {
	t.Parallel()
	a, b := pair(t, 0)
	if err := a.Send(kind, goodbye(string(make([]byte, MaxPayload+1)))); !errors.Is(err, ErrFrameTooLarge) {
		t.Fatalf("got %v, want ErrFrameTooLarge", err)
	}
	if err := errors.Join(a.Send(kind, goodbye("next")), a.Flush()); err != nil {
		t.Fatal(err)
	}
	if got := read(t, b); got != "next" {
		t.Fatalf("got %q", got)
	}
}

func TestGarbageIsAProtocolError(t *testing.T) {
	t.Parallel()
	long := make([]byte, HeaderSize)
	binary.LittleEndian.PutUint32(long, MaxPayload+1)
	reserved := []byte{0, 0, 0, 0, 4, 0, 1, 0}
	for name, raw := range map[string][]byte{
		"too long": long, "reserved field": reserved, "half a header": {1, 0, 0}, "half a frame": {9, 0, 0, 0, 4, 0, 0, 0, 'x'},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, b := pair(t, 0)
			if _, err := a.NetConn().Write(raw); err != nil {
				t.Fatal(err)
			}
			_ = a.Close()
			_, _, err := b.ReadFrame()
			if _, ok := errors.AsType[*ProtocolError](err); !ok {
				t.Fatalf("got %v, want a ProtocolError", err)
			}
		})
	}
}

func TestEndBetweenFramesIsEOF(t *testing.T) {
	t.Parallel()
	a, b := pair(t, 0)
	if err := errors.Join(a.Send(kind, goodbye("last")), a.Flush()); err != nil {
		t.Fatal(err)
	}
	_ = a.Close()
	if got := read(t, b); got != "last" {
		t.Fatalf("got %q", got)
	}
	if _, _, err := b.ReadFrame(); !errors.Is(err, io.EOF) {
		t.Fatalf("got %v, want EOF", err)
	}
	if err := b.Send(kind, goodbye("late")); err == nil {
		t.Fatal("a failed connection takes frames")
	}
}

// FuzzReader feeds arbitrary bytes, in arbitrary pieces, to the reader: it never panics and hands out only what was framed.
func FuzzReader(f *testing.F) {
	frame, err := appendFrame(nil, kind, goodbye("hi"), goodbye("hi").SizeVT())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(frame, uint16(3))
	f.Add(append(bytes.Clone(frame), frame[:5]...), uint16(1))
	f.Add([]byte{255, 255, 255, 255, 0, 0, 0, 0}, uint16(8))
	f.Fuzz(func(t *testing.T, raw []byte, piece uint16) {
		p1, p2 := net.Pipe()
		c := NewConn(p2, 0)
		go func() {
			rest := raw
			for len(rest) > 0 {
				n := min(len(rest), int(piece%1024)+1)
				if _, err := p1.Write(rest[:n]); err != nil {
					break
				}
				rest = rest[n:]
			}
			_ = p1.Close()
		}()
		used := 0
		for {
			_, payload, err := c.ReadFrame()
			if err != nil {
				break
			}
			if !bytes.Equal(payload, raw[used+HeaderSize:used+HeaderSize+len(payload)]) {
				t.Fatal("payload differs from what was sent")
			}
			used += HeaderSize + len(payload)
		}
		_ = c.Close()
		_ = p1.Close()
	})
}

func BenchmarkSendAndRead(b *testing.B) {
	p1, p2, err := socketPair()
	if err != nil {
		b.Fatal(err)
	}
	w, r := NewConn(p1, 0), NewConn(p2, 0)
	defer func() { _ = w.Close(); _ = r.Close() }()
	m := &mobulav1.Release{ObjectIds: make([]byte, 40)}
	b.ReportAllocs()
	go func() {
		for range b.N {
			if w.Send(mobulav1.FrameKind_FRAME_KIND_RELEASE, m) != nil {
				return
			}
			w.Kick()
		}
	}()
	for range b.N {
		if _, _, err := r.ReadFrame(); err != nil {
			b.Fatal(err)
		}
	}
}

// socketPair returns two connected Unix sockets.
func socketPair() (net.Conn, net.Conn, error) {
	l, err := net.Listen("unix", "")
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = l.Close() }()
	a, err := net.Dial("unix", l.Addr().String())
	if err != nil {
		return nil, nil, err
	}
	b, err := l.Accept()
	return a, b, err
}

// What is to happen after a frame happens when the kernel has all of it, however it got there, once, and never when the connection fails before.
func TestSendThenCallsOnceTheFrameIsWritten(t *testing.T) {
	t.Parallel()
	for name, flush := range map[string]func(*Conn){
		"Flush":    func(c *Conn) { _ = c.Flush() },
		"TryFlush": func(c *Conn) { c.TryFlush() },
		"Kick":     func(c *Conn) { c.Kick() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, b := pair(t, 0)
			written := make(chan string, 8)
			for _, reason := range []string{"one", "two"} {
				if err := a.SendThen(kind, goodbye(reason), func() { written <- reason }); err != nil {
					t.Fatal(err)
				}
			}
			if len(written) > 0 {
				t.Error("called before anything was written")
			}
			flush(a)
			for _, want := range []string{"one", "two"} {
				if got := <-written; got != want {
					t.Errorf("called for %s, want %s", got, want)
				}
				if got := read(t, b); got != want {
					t.Errorf("read %s, want %s", got, want)
				}
			}
			if err := a.Send(kind, goodbye("three")); err != nil {
				t.Fatal(err)
			}
			flush(a)
			read(t, b)
			if len(written) > 0 {
				t.Error("called twice")
			}
		})
	}
}

func TestSendThenIsNotCalledWhenTheConnectionFails(t *testing.T) {
	t.Parallel()
	a, _ := pair(t, 0)
	called := false
	if err := a.SendThen(kind, goodbye("lost"), func() { called = true }); err != nil {
		t.Fatal(err)
	}
	a.Fail(errors.New("gone"))
	if a.Flush() == nil || called {
		t.Errorf("called %v", called)
	}
}
