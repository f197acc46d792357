package wire

import (
	"errors"
	"fmt"
	"io"
	"os"

	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"
)

const (
	readBuffer = 64 << 10
	// maxUnclaimed is how many received descriptors may wait for the frame that they belong to.
	maxUnclaimed = 16
)

// Fill reads from the socket once, blocking until there is something. Slices that Next returned before are invalid afterwards.
func (c *Conn) Fill() error {
	c.makeRoom()
	n, files, err := c.reader.read(c, c.in[len(c.in):cap(c.in)])
	c.in = c.in[:len(c.in)+n]
	c.received = append(c.received, files...)
	if len(c.received) > maxUnclaimed {
		return c.readError(&ProtocolError{Reason: "descriptors beside frames that take none"})
	}
	if err == nil && n == 0 {
		err = io.EOF
	}
	if err != nil {
		return c.readError(err)
	}
	return nil
}

// readError fails the connection; an error that the other side of it caused earlier has precedence.
func (c *Conn) readError(err error) error {
	if errors.Is(err, io.EOF) && len(c.in) > c.inAt {
		err = &ProtocolError{Reason: fmt.Sprintf("connection ended inside a frame, %d bytes into it", len(c.in)-c.inAt)}
	}
	c.Fail(err)
	return c.Err()
}

// makeRoom moves the unread part to the front and sees to it that the frame that has begun fits.
func (c *Conn) makeRoom() {
	unread := c.in[c.inAt:]
	need := readBuffer
	if len(unread) >= HeaderSize {
		if h, err := parseHeader(unread); err == nil {
			need = max(need, HeaderSize+h.size)
		}
	}
	switch {
	case cap(c.in) < need:
		bigger := make([]byte, len(unread), need)
		copy(bigger, unread)
		c.in = bigger
	case len(unread) == 0 && cap(c.in) > 4*readBuffer:
		c.in = make([]byte, 0, readBuffer) // a large frame is gone: so is its buffer
	default:
		copy(c.in[:cap(c.in)], unread)
		c.in = c.in[:len(unread)]
	}
	c.inAt = 0
}

// Next returns the next complete frame that Fill has read; ok is false when there is none. The payload is valid until Fill.
func (c *Conn) Next() (kind mobulav1.FrameKind, payload []byte, ok bool, err error) {
	unread := c.in[c.inAt:]
	if len(unread) < HeaderSize {
		return 0, nil, false, nil
	}
	h, err := parseHeader(unread)
	if err != nil {
		return 0, nil, false, c.readError(err)
	}
	end := HeaderSize + h.size
	if len(unread) < end {
		return 0, nil, false, nil
	}
	c.inAt += end
	return h.kind, unread[HeaderSize:end:end], true, nil
}

// ReadFrame blocks until one whole frame is there; handshakes use it. The payload is valid until the next read.
func (c *Conn) ReadFrame() (mobulav1.FrameKind, []byte, error) {
	for {
		kind, payload, ok, err := c.Next()
		if err != nil || ok {
			return kind, payload, err
		}
		if err := c.Fill(); err != nil {
			return 0, nil, err
		}
	}
}

// TakeFile returns the oldest received descriptor that was not taken; the caller closes it.
func (c *Conn) TakeFile() (*os.File, error) {
	if len(c.received) == 0 {
		return nil, &ProtocolError{Reason: "frame without the descriptor that belongs to it"}
	}
	f := c.received[0]
	c.received = c.received[1:]
	return f, nil
}

// DropFiles closes descriptors that nobody took; the reading goroutine calls it when it ends.
func (c *Conn) DropFiles() {
	for _, f := range c.received {
		_ = f.Close() // nobody wants it
	}
	c.received = nil
}
