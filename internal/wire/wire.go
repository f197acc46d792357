// Package wire carries the frames of the session protocol over a stream socket: length-prefixed protobuf messages, coalesced into
// few writes, with file descriptors beside them on Unix sockets. docs/protocol.md states the format.
//
// A frame is an 8-byte header (payload length uint32, kind uint16, zero uint16, all little-endian) and its payload.
package wire

import (
	"encoding/binary"
	"errors"
	"fmt"

	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"
)

const (
	// HeaderSize is the length of a frame's header in bytes.
	HeaderSize = 8
	// MaxPayload is the longest payload of a frame in bytes.
	MaxPayload = 1 << 20
	// ProtocolVersion is the version of the session protocol that this build speaks.
	ProtocolVersion = 1
)

// Errors of a connection.
var (
	// ErrFrameTooLarge means that a payload is longer than MaxPayload: nothing was sent.
	ErrFrameTooLarge = errors.New("frame exceeds 1 MiB")
	// ErrSlowPeer means that the peer does not read: what waits for it reached the limit and the connection was cut.
	ErrSlowPeer = errors.New("peer does not read; connection cut")
	// ErrClosed means that this side closed the connection.
	ErrClosed = errors.New("connection closed")
)

// ProtocolError is a violation of the framing by the peer.
type ProtocolError struct{ Reason string }

// Error implements error.
func (e *ProtocolError) Error() string { return "protocol error: " + e.Reason }

// Message is a generated message that encodes itself without reflection.
type Message interface {
	SizeVT() int
	MarshalToSizedBufferVT(b []byte) (int, error)
}

// appendFrame appends header and payload to b.
func appendFrame(b []byte, kind mobulav1.FrameKind, m Message, size int) ([]byte, error) {
	at := len(b)
	b = grow(b, HeaderSize+size)
	binary.LittleEndian.PutUint32(b[at:], uint32(size))
	binary.LittleEndian.PutUint16(b[at+4:], uint16(kind))
	binary.LittleEndian.PutUint16(b[at+6:], 0)
	if _, err := m.MarshalToSizedBufferVT(b[at+HeaderSize:]); err != nil {
		return b[:at], fmt.Errorf("encode %v: %w", kind, err)
	}
	return b, nil
}

// grow extends b by n bytes, doubling its capacity when it must.
func grow(b []byte, n int) []byte {
	if need := len(b) + n; need > cap(b) {
		bigger := make([]byte, len(b), max(need, 2*cap(b), 4096))
		copy(bigger, b)
		b = bigger
	}
	return b[:len(b)+n]
}

// header is a parsed frame header.
type header struct {
	size int
	kind mobulav1.FrameKind
}

// parseHeader reads the header at the start of b, which must hold HeaderSize bytes.
func parseHeader(b []byte) (header, error) {
	size := binary.LittleEndian.Uint32(b)
	if size > MaxPayload {
		return header{}, &ProtocolError{Reason: fmt.Sprintf("payload of %d bytes exceeds %d", size, MaxPayload)}
	}
	if z := binary.LittleEndian.Uint16(b[6:]); z != 0 {
		return header{}, &ProtocolError{Reason: fmt.Sprintf("reserved header field is %d", z)}
	}
	return header{size: int(size), kind: mobulav1.FrameKind(binary.LittleEndian.Uint16(b[4:]))}, nil
}
