package codec

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/mobula-dev/mobula/internal/id"
)

// The stored layout, in which a value lies in shared memory or on disk, little endian:
//
//	0   8 bytes  magic, the last byte of which is the version
//	8   u64      length of the whole
//	16  u64      length of the metadata
//	24  u32      number of buffers
//	28  u32      number of refs
//	32  32 bytes zero, for later versions
//	64  u64      length of each buffer
//	    20 bytes id of each ref
//	    metadata
//	    each buffer, at the next multiple of 64
//
// There are no offsets: they follow from the lengths, so that buffers cannot overlap whatever the lengths say.
const (
	storedMagic  = "MOBULAV\x01"
	storedHeader = 64
	// storedAlign is the alignment of buffers: a cache line, and the widest vector load.
	storedAlign = 64
)

// StoredSize returns the bytes that v takes in the stored layout.
func StoredSize(v Encoded) int {
	n := storedHeader + 8*len(v.Buffers) + len(v.Refs) + len(v.Meta)
	for _, b := range v.Buffers {
		n = alignUp(n) + len(b)
	}
	return n
}

// WriteStored writes v in the stored layout into dst, which has StoredSize bytes and begins at a multiple of 64.
func WriteStored(dst []byte, v Encoded) error {
	return WriteStoredWith(dst, v, func(dst, src []byte) { copy(dst, src) })
}

// WriteStoredWith is WriteStored with a function of the caller's that copies each buffer, such as one that uses several
// cores. Both arguments of copyBuffer have the same length.
func WriteStoredWith(dst []byte, v Encoded, copyBuffer func(dst, src []byte)) error {
	if size := StoredSize(v); len(dst) != size {
		return fmt.Errorf("write stored value: %d bytes of memory for %d", len(dst), size)
	}
	refs := len(v.Refs) / id.ObjectSize
	if len(v.Refs)%id.ObjectSize != 0 || refs > math.MaxUint32 || len(v.Buffers) > math.MaxUint32 {
		return fmt.Errorf("write stored value: %d bytes of refs and %d buffers", len(v.Refs), len(v.Buffers))
	}
	head := dst[:storedHeader]
	clear(head)
	copy(head, storedMagic)
	binary.LittleEndian.PutUint64(head[8:], uint64(len(dst)))
	binary.LittleEndian.PutUint64(head[16:], uint64(len(v.Meta)))
	binary.LittleEndian.PutUint32(head[24:], uint32(len(v.Buffers)))
	binary.LittleEndian.PutUint32(head[28:], uint32(refs))
	n := storedHeader
	for _, b := range v.Buffers {
		binary.LittleEndian.PutUint64(dst[n:], uint64(len(b)))
		n += 8
	}
	n += copy(dst[n:], v.Refs)
	n += copy(dst[n:], v.Meta)
	for _, b := range v.Buffers {
		start := alignUp(n)
		// Memory is reused: what lies between buffers must not be left over from another object.
		clear(dst[n:start])
		n = start + len(b)
		copyBuffer(dst[start:n:n], b)
	}
	return nil
}

// OpenStored reads the stored layout. The result aliases src, which must stay as it is for as long as the result is used.
// An error is a *FormatError.
func OpenStored(src []byte) (Encoded, error) {
	var v Encoded
	if len(src) < storedHeader || string(src[:len(storedMagic)]) != storedMagic {
		return v, &FormatError{Reason: "this is not a stored value of version 1"}
	}
	for i := 32; i < storedHeader; i++ {
		if src[i] != 0 {
			return v, &FormatError{Offset: i, Reason: "a reserved byte is set"}
		}
	}
	if total := binary.LittleEndian.Uint64(src[8:]); total != uint64(len(src)) {
		return v, &FormatError{Offset: 8, Reason: fmt.Sprintf("a stored value of %d bytes in %d", total, len(src))}
	}
	// All counts are checked against what is left before they are used, so that no sum overflows.
	rest := src[storedHeader:]
	buffers, refs := uint64(binary.LittleEndian.Uint32(src[24:])), uint64(binary.LittleEndian.Uint32(src[28:]))
	meta := binary.LittleEndian.Uint64(src[16:])
	if tables := 8*buffers + id.ObjectSize*refs; tables > uint64(len(rest)) || meta > uint64(len(rest))-tables {
		return v, &FormatError{Offset: 16, Reason: "its tables and metadata are longer than the stored value"}
	}
	lengths, rest := rest[:8*buffers], rest[8*buffers:]
	v.Refs, rest = part(rest, id.ObjectSize*int(refs))
	v.Meta, rest = part(rest, int(meta))
	if buffers > 0 {
		v.Buffers = make([][]byte, buffers)
	}
	for i := range v.Buffers {
		at := len(src) - len(rest)
		pad := alignUp(at) - at
		n := binary.LittleEndian.Uint64(lengths[8*i:])
		if pad > len(rest) || n > uint64(len(rest)-pad) {
			return Encoded{}, &FormatError{Offset: storedHeader + 8*i, Reason: fmt.Sprintf("buffer %d of %d bytes ends behind the stored value", i, n)}
		}
		v.Buffers[i], rest = part(rest[pad:], int(n))
	}
	if len(rest) != 0 {
		return Encoded{}, &FormatError{Offset: len(src) - len(rest), Reason: fmt.Sprintf("%d bytes follow the last buffer", len(rest))}
	}
	return v, nil
}

// part splits b after n bytes; nobody can append to the first part into the second.
func part(b []byte, n int) (first, rest []byte) { return b[:n:n], b[n:] }

func alignUp(n int) int { return (n + storedAlign - 1) &^ (storedAlign - 1) }
