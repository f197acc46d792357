package wire

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"

	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"
)

// Conn is one end of a session. Send and the flushing methods may be called from any goroutine; Fill, Next and TakeFile belong
// to one reading goroutine.
//
// Sending only appends to a buffer. The bytes leave by whichever comes first: Flush (the caller writes), TryFlush (the caller
// writes what the socket takes at once), or Kick (the connection's own goroutine writes). Whatever is pending goes out in one write.
type Conn struct {
	nc  net.Conn
	raw syscall.RawConn // nil when the socket has none: then TryFlush kicks

	mu       sync.Mutex // guards the fields below; taken after writeMu
	out      []byte     // frames that wait
	outFiles []sendFile // descriptors beside frames in out, by offset
	after    []func()   // called when out has been written
	err      error      // first fatal error
	outMax   int

	writeMu sync.Mutex // held by whoever writes
	tail    []byte     // taken from out and not yet written; guarded by writeMu
	files   []sendFile // descriptors beside frames in tail, by offset; guarded by writeMu
	written []func()   // called when tail has been written; guarded by writeMu
	spare   []byte     // buffer to swap in; guarded by writeMu

	kick   chan struct{}
	kicked atomic.Bool // a kick is pending: saves the channel operation
	done   chan struct{}
	ended  chan struct{}

	in       []byte // bytes read; the unread part is in[inAt:]
	inAt     int
	received []*os.File
	reader   fileReader
}

// sendFile is a descriptor that goes out with the byte at offset.
type sendFile struct {
	offset int
	file   *os.File
}

// DefaultOutMax is how many bytes may wait for a peer that does not read.
const DefaultOutMax = 256 << 20

// NewConn wraps a connected stream socket and takes it over. outMax is how many bytes may wait to be written before the
// connection is cut with ErrSlowPeer; 0 is DefaultOutMax.
func NewConn(nc net.Conn, outMax int) *Conn {
	if outMax == 0 {
		outMax = DefaultOutMax
	}
	c := &Conn{
		nc: nc, outMax: outMax,
		kick: make(chan struct{}, 1), done: make(chan struct{}), ended: make(chan struct{}),
	}
	if sc, ok := nc.(syscall.Conn); ok {
		if raw, err := sc.SyscallConn(); err == nil {
			c.raw = raw
		}
	}
	go c.writeLoop()
	return c
}

// Send appends a frame. It fails when the frame is too large or the connection has failed.
func (c *Conn) Send(kind mobulav1.FrameKind, m Message) error { return c.send(kind, m, nil, nil) }

// SendFile appends a frame with a descriptor beside it. It takes the file over, also when it fails: it is closed when it was written or
// the connection has ended.
func (c *Conn) SendFile(kind mobulav1.FrameKind, m Message, f *os.File) error {
	err := c.send(kind, m, f, nil)
	if err != nil {
		closeFile(f)
	}
	return err
}

// SendThen is Send, and has f called once the frame has been written to the socket, by whoever writes it; never, when the connection fails before. f must
// not block, nor call methods of the connection.
func (c *Conn) SendThen(kind mobulav1.FrameKind, m Message, f func()) error {
	return c.send(kind, m, nil, f)
}

// closeFile closes a descriptor that was only passed on: nothing can be lost.
func closeFile(f *os.File) { _ = f.Close() }

func (c *Conn) send(kind mobulav1.FrameKind, m Message, f *os.File, after func()) error {
	size := m.SizeVT()
	if size > MaxPayload {
		return fmt.Errorf("send %v of %d bytes: %w", kind, size, ErrFrameTooLarge)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return c.err
	}
	if len(c.out)+size > c.outMax {
		c.failLocked(ErrSlowPeer)
		return c.err
	}
	at := len(c.out)
	out, err := appendFrame(c.out, kind, m, size)
	c.out = out
	if err != nil {
		return err
	}
	if f != nil {
		c.outFiles = append(c.outFiles, sendFile{offset: at, file: f})
	}
	if after != nil {
		c.after = append(c.after, after)
	}
	return nil
}

// Pending returns how many bytes wait to be taken by a writer.
func (c *Conn) Pending() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.out)
}

// Kick lets the connection's own goroutine write what is pending.
func (c *Conn) Kick() {
	if c.kicked.Load() || c.kicked.Swap(true) {
		return
	}
	select {
	case c.kick <- struct{}{}:
	default:
	}
}

// Flush writes everything that is pending before it returns.
func (c *Conn) Flush() error {
	for {
		c.writeMu.Lock()
		err := c.writeAll()
		c.writeMu.Unlock()
		if err != nil || !c.more() {
			return err
		}
	}
}

// TryFlush writes what the socket takes without blocking and leaves the rest to the connection's goroutine.
func (c *Conn) TryFlush() {
	if c.raw == nil {
		c.Kick()
		return
	}
	for c.writeMu.TryLock() {
		full := c.writeSome()
		c.writeMu.Unlock()
		if full {
			c.Kick()
			return
		}
		// Whoever appended while we held writeMu found it taken and left the bytes to us.
		if !c.more() {
			return
		}
	}
}

// more reports whether bytes wait and the connection works.
func (c *Conn) more() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.out) > 0 && c.err == nil
}

func (c *Conn) writeLoop() {
	defer close(c.ended)
	for {
		select {
		case <-c.kick:
		case <-c.done:
			return
		}
		c.kicked.Store(false)
		if c.Flush() != nil {
			return
		}
	}
}

// take moves what is pending into tail if tail is empty. It needs writeMu.
func (c *Conn) take() bool {
	if len(c.tail) > 0 {
		return true
	}
	if cap(c.tail) > 0 && cap(c.tail) <= MaxPayload {
		c.spare = c.tail[:0]
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.out) == 0 || c.err != nil {
		return false
	}
	c.tail, c.out = c.out, c.spare
	c.files, c.outFiles = c.outFiles, nil
	c.written, c.after = c.after, nil
	c.spare = nil
	return true
}

// writeAll writes until nothing is pending. It needs writeMu.
func (c *Conn) writeAll() error {
	for c.take() {
		for len(c.tail) > 0 {
			var n int
			var err error
			if len(c.files) > 0 {
				n, err = c.writeFiles()
			} else {
				n, err = c.nc.Write(c.tail)
			}
			c.advance(n)
			if err != nil {
				c.Fail(err)
				return err
			}
		}
	}
	return c.Err()
}

// writeSome writes without blocking and reports whether the socket is full. It needs writeMu.
func (c *Conn) writeSome() (full bool) {
	for c.take() {
		if len(c.files) > 0 {
			return true // descriptors are rare: the goroutine sends them
		}
		var n int
		var werr error
		err := c.raw.Write(func(fd uintptr) bool {
			n, werr = syscall.Write(int(fd), c.tail)
			return true
		})
		if err != nil {
			c.Fail(err)
			return false
		}
		if werr != nil {
			if errors.Is(werr, syscall.EAGAIN) || errors.Is(werr, syscall.EINTR) {
				return true
			}
			c.Fail(werr)
			return false
		}
		c.advance(n)
		if len(c.tail) > 0 {
			return true
		}
	}
	return false
}

// writeFiles writes up to the end of the first frame range that carries a descriptor.
func (c *Conn) writeFiles() (int, error) {
	first := c.files[0]
	if first.offset > 0 {
		return c.nc.Write(c.tail[:first.offset])
	}
	end := len(c.tail)
	if len(c.files) > 1 {
		end = c.files[1].offset
	}
	uc, ok := c.nc.(*net.UnixConn)
	if !ok {
		return 0, errors.New("descriptors need a Unix socket")
	}
	n, _, err := uc.WriteMsgUnix(c.tail[:end], syscall.UnixRights(int(first.file.Fd())), nil)
	if n > 0 {
		closeFile(first.file)
		c.files = c.files[1:]
	}
	return n, err
}

// advance drops n written bytes from tail.
func (c *Conn) advance(n int) {
	if n == len(c.tail) {
		c.tail = c.tail[:0]
		for _, f := range c.written {
			f()
		}
		c.written = nil
		return
	}
	c.tail = c.tail[n:]
	for i := range c.files {
		c.files[i].offset -= n
	}
}

// Fail records the first fatal error and closes the socket; the reader and all senders see that error.
func (c *Conn) Fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failLocked(err)
}

func (c *Conn) failLocked(err error) {
	if c.err != nil {
		return
	}
	c.err = err
	for _, f := range c.outFiles {
		closeFile(f.file)
	}
	c.out, c.outFiles, c.after = nil, nil, nil
	close(c.done)
	_ = c.nc.Close() // the connection is given up; its error is c.err
}

// Err returns the first fatal error, or nil.
func (c *Conn) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// Close gives the connection up and waits for its goroutine. What is still pending is lost: Flush first.
func (c *Conn) Close() error {
	c.Fail(ErrClosed)
	<-c.ended
	c.writeMu.Lock()
	defer c.writeMu.Unlock()
	for _, f := range c.files {
		closeFile(f.file)
	}
	c.files = nil
	return nil
}

// NetConn returns the socket, for its addresses and credentials.
func (c *Conn) NetConn() net.Conn { return c.nc }
