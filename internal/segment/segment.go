// Package segment is the shared memory of a node: memfd segments that one process writes and others map read-only.
//
// A process that puts objects has one Writer. It asks the node manager for segments, allocates objects inside them and reuses the
// space, and with it the pages, when the node manager says that an object is freed. A process that reads has one Mapper, which
// keeps every segment mapped once and hands out views. Neither talks to the network: Granter is how a Writer reaches its node.
//
// No reader can be killed by a writer: a segment is sealed against shrinking before its descriptor leaves the process, and every
// page that an object lies on is backed by memory before the object's buffer is handed out, so that a full machine is an error at
// the allocation and never a SIGBUS at the first touch. Check is what a receiver of a descriptor calls before it trusts one.
//
// No two locks of this package are ever held together. docs/adr/0002-segments.md has the decisions and the measurements.
package segment

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

const (
	// PageBytes is the unit of allocation: every object starts on a page of its own.
	PageBytes = 4 << 10
	// DefaultBytes is the length of a segment that many objects share.
	DefaultBytes = 64 << 20
	// LengthMax is the longest segment: 1 TiB, far beyond any machine's share, and far from where sums of lengths overflow.
	LengthMax = 1 << 40
	// pieceBytes is how much memory is taken from the system at a time: 1 to 2 ms, so that whoever waits for a piece waits briefly.
	pieceBytes = 4 << 20
	// stepBytes is the least that a segment grows by: half a millisecond of page faults for the first small object.
	stepBytes = 1 << 20
)

var (
	// ErrClosed means that the Writer, Mapper or Segment was closed.
	ErrClosed = errors.New("closed")
	// ErrNoMemory means that the machine has no memory for the object: nothing was allocated.
	ErrNoMemory = errors.New("machine has no memory left for the object store")
	// ErrUntrusted means that a descriptor is not a segment that can be read without danger: the peer is broken or hostile.
	ErrUntrusted = errors.New("descriptor is not a sealed segment of the announced length")
	// ErrUnsupported means that this kernel cannot make segments.
	ErrUnsupported = errors.New("kernel has no sealed shared memory")
)

// Block is the place of an object in a segment.
type Block struct {
	// Segment is the segment's id on its node.
	Segment uint32
	// Offset is the first byte, counted from the start of the segment.
	Offset uint64
	// Size is the length in bytes.
	Size uint64
}

// End returns the first byte behind the block.
func (b Block) End() uint64 { return b.Offset + b.Size }

// String returns the block as segment[offset:end].
func (b Block) String() string { return fmt.Sprintf("%d[%d:%d]", b.Segment, b.Offset, b.End()) }

// RoundUp returns the length of the pages that hold size bytes.
func RoundUp(size uint64) uint64 { return (size + PageBytes - 1) &^ (PageBytes - 1) }

// Segment is a segment in the process that writes it. All methods may be called from any goroutine.
type Segment struct {
	file *os.File
	data []byte
	// backed is how many bytes from the start have memory behind them.
	backed atomic.Uint64

	growMu sync.Mutex // held while memory is taken or the mapping goes
	closed bool       // guarded by growMu
	// back takes memory for a piece that starts on a page; tests replace it.
	back func(offset, n uint64) error
}

// Create makes a segment of a length that is rounded up to whole pages, sealed, with no memory behind it yet. The name is for
// people who look at /proc.
func Create(name string, length uint64) (*Segment, error) {
	if length == 0 || length > LengthMax {
		return nil, fmt.Errorf("create segment %s: length %d is not between 1 and %d", name, length, uint64(LengthMax))
	}
	length = RoundUp(length)
	f, err := createFile(name)
	if err != nil {
		return nil, fmt.Errorf("create segment %s: %w", name, err)
	}
	s, err := newSegment(f, length)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("create segment %s: %w", name, err), f.Close())
	}
	return s, nil
}

// newSegment sizes, maps and seals a file. The order matters: a sealed file cannot be sized, and a file that is sealed against
// future writing cannot be mapped writable.
func newSegment(f *os.File, length uint64) (*Segment, error) {
	if err := f.Truncate(int64(length)); err != nil {
		return nil, err
	}
	data, err := unix.Mmap(int(f.Fd()), 0, int(length), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, os.NewSyscallError("mmap", err)
	}
	advise(data)
	if err := seal(f); err != nil {
		return nil, errors.Join(err, os.NewSyscallError("munmap", unix.Munmap(data)))
	}
	s := &Segment{file: f, data: data}
	s.back = func(offset, n uint64) error { return back(f, data, offset, n) }
	return s, nil
}

// File returns the segment's descriptor, for sending it to others. It belongs to the segment and ends with it.
func (s *Segment) File() *os.File { return s.file }

// Len returns the length in bytes.
func (s *Segment) Len() uint64 { return uint64(len(s.data)) }

// Backed returns how many bytes from the start have memory behind them.
func (s *Segment) Backed() uint64 { return s.backed.Load() }

// bytes returns the bytes of [offset, offset+size), which the caller may write once Back covers them, without room to append.
func (s *Segment) bytes(offset, size uint64) []byte {
	return s.data[offset : offset+size : offset+size]
}

// Back takes memory from the system until the first n bytes of the segment have it. Several threads share a long stretch, because
// the kernel's page faults are what bounds it. An error wraps ErrNoMemory when the machine is full, and then nothing is lost.
func (s *Segment) Back(n uint64) error {
	if n <= s.backed.Load() {
		return nil
	}
	s.growMu.Lock()
	defer s.growMu.Unlock()
	if s.closed {
		return ErrClosed
	}
	from, to := s.backed.Load(), min((n+stepBytes-1)&^(stepBytes-1), s.Len())
	if from >= to {
		return nil
	}
	pieces := int((to - from + pieceBytes - 1) / pieceBytes)
	var failed atomic.Pointer[error]
	parallel(pieces, func(i int) {
		if failed.Load() != nil {
			return
		}
		at := from + uint64(i)*pieceBytes
		if err := s.back(at, min(pieceBytes, to-at)); err != nil {
			failed.CompareAndSwap(nil, &err)
		}
	})
	if err := failed.Load(); err != nil {
		return fmt.Errorf("back %d bytes of a segment: %w", to-from, *err)
	}
	s.backed.Store(to)
	return nil
}

// Close unmaps the segment and closes its descriptor. Nothing may use its bytes any more. The memory goes back to the system when
// the last process that maps it or has its descriptor lets go.
func (s *Segment) Close() error {
	s.growMu.Lock()
	defer s.growMu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	return errors.Join(os.NewSyscallError("munmap", unix.Munmap(s.data)), s.file.Close())
}

// Check reports whether a descriptor that came from another process is a segment of exactly the given length that can be mapped
// and read without danger. An error wraps ErrUntrusted.
func Check(f *os.File, length uint64) error {
	if length == 0 || length > LengthMax || length%PageBytes != 0 {
		return fmt.Errorf("%w: length %d", ErrUntrusted, length)
	}
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUntrusted, err)
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%w: it is %v", ErrUntrusted, info.Mode().Type())
	}
	if uint64(info.Size()) != length {
		return fmt.Errorf("%w: it has %d bytes, announced were %d", ErrUntrusted, info.Size(), length)
	}
	return checkSeals(f)
}
