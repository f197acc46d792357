package codec

import (
	"encoding/binary"
	"fmt"
	"math"
	"unicode/utf8"
)

// Extension codes of docs/values.md. Numbers inside their payloads are little endian.
const (
	extTimestamp = -1 // MessagePack's own timestamp
	extBytes     = 1  // bytes in a buffer: u32 buffer
	extText      = 2  // UTF-8 text in a buffer: u32 buffer
	extArray     = 3  // array in a buffer: u8 dtype, u8 dimensions, uvarint each, u32 buffer
	extInline    = 4  // array in the metadata: u8 dtype, u8 dimensions, uvarint each, elements
	extRef       = 5  // object: u32 ref
	extActor     = 6  // actor handle: u32 ref, class name
	extBigInt    = 7  // integer beyond 64 bits: two's complement
	extComplex   = 8  // two float32 or two float64
	extDuration  = 9  // i64 nanoseconds
	extError     = 10 // text of an error
	extProto     = 11 // protobuf message: MessagePack array of full name and bytes
	extPickle    = 12 // Python object: MessagePack array of type name, stream, buffer numbers
)

const (
	// bytesOutOfBand is the length from which bytes and strings are buffers.
	bytesOutOfBand = 4 << 10
	// arrayOutOfBand is the length in bytes from which arrays are buffers.
	arrayOutOfBand = 1 << 10
	// depthMax bounds the nesting of values, and finds cycles.
	depthMax = 1000
	// lengthMax is the longest string, byte string, list or map: MessagePack has 32-bit lengths.
	lengthMax = math.MaxUint32
)

// appendUint appends v in its shortest form.
func appendUint(b []byte, v uint64) []byte {
	switch {
	case v < 0x80:
		return append(b, byte(v))
	case v <= math.MaxUint8:
		return append(b, 0xcc, byte(v))
	case v <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(b, 0xcd), uint16(v))
	case v <= math.MaxUint32:
		return binary.BigEndian.AppendUint32(append(b, 0xce), uint32(v))
	default:
		return binary.BigEndian.AppendUint64(append(b, 0xcf), v)
	}
}

// appendInt appends v in its shortest form; what is not negative takes the unsigned forms.
func appendInt(b []byte, v int64) []byte {
	switch {
	case v >= 0:
		return appendUint(b, uint64(v))
	case v >= -32:
		return append(b, byte(v))
	case v >= math.MinInt8:
		return append(b, 0xd0, byte(v))
	case v >= math.MinInt16:
		return binary.BigEndian.AppendUint16(append(b, 0xd1), uint16(v))
	case v >= math.MinInt32:
		return binary.BigEndian.AppendUint32(append(b, 0xd2), uint32(v))
	default:
		return binary.BigEndian.AppendUint64(append(b, 0xd3), uint64(v))
	}
}

func appendBool(b []byte, v bool) []byte {
	if v {
		return append(b, 0xc3)
	}
	return append(b, 0xc2)
}

func appendFloat32(b []byte, v float32) []byte {
	return binary.BigEndian.AppendUint32(append(b, 0xca), math.Float32bits(v))
}

func appendFloat64(b []byte, v float64) []byte {
	return binary.BigEndian.AppendUint64(append(b, 0xcb), math.Float64bits(v))
}

// appendLength appends the head of something whose length has an 8-bit form c8 (0: none), a 16-bit and a 32-bit form.
func appendLength(b []byte, n int, c8, c16, c32 byte) []byte {
	switch {
	case n <= math.MaxUint8 && c8 != 0:
		return append(b, c8, byte(n))
	case n <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(b, c16), uint16(n))
	default:
		return binary.BigEndian.AppendUint32(append(b, c32), uint32(n))
	}
}

// appendString appends s whole: as text if it is UTF-8, else as bytes. The caller has checked its length.
func appendString(b []byte, s string) []byte {
	if !utf8.ValidString(s) {
		return append(appendLength(b, len(s), 0xc4, 0xc5, 0xc6), s...)
	}
	if len(s) < 32 {
		return append(append(b, 0xa0|byte(len(s))), s...)
	}
	return append(appendLength(b, len(s), 0xd9, 0xda, 0xdb), s...)
}

func appendArrayHeader(b []byte, n int) []byte {
	if n < 16 {
		return append(b, 0x90|byte(n))
	}
	return appendLength(b, n, 0, 0xdc, 0xdd)
}

func appendMapHeader(b []byte, n int) []byte {
	if n < 16 {
		return append(b, 0x80|byte(n))
	}
	return appendLength(b, n, 0, 0xde, 0xdf)
}

// appendExtHeader appends the head of an extension with a payload of n bytes.
func appendExtHeader(b []byte, code int8, n int) []byte {
	switch n {
	case 1:
		b = append(b, 0xd4)
	case 2:
		b = append(b, 0xd5)
	case 4:
		b = append(b, 0xd6)
	case 8:
		b = append(b, 0xd7)
	case 16:
		b = append(b, 0xd8)
	default:
		b = appendLength(b, n, 0xc7, 0xc8, 0xc9)
	}
	return append(b, byte(code))
}

// appendIndex appends an extension whose payload is the number of a buffer or of a ref.
func appendIndex(b []byte, code int8, index uint32) []byte {
	return binary.LittleEndian.AppendUint32(append(b, 0xd6, byte(code)), index)
}

// kind is the family of a MessagePack item.
type kind uint8

const (
	kindNil kind = iota
	kindBool
	kindUint // an integer that is not negative
	kindInt  // a negative integer
	kindFloat32
	kindFloat64
	kindStr
	kindBin
	kindArray
	kindMap
	kindExt
)

// token is the head of one MessagePack item: a whole scalar, or the length of what follows.
type token struct {
	kind kind
	ext  int8
	// n is the length of the payload in bytes (str, bin, ext) or the number of elements or pairs (array, map).
	n int
	// bits is the scalar: 0 or 1, the integer (two's complement), or the bits of a float.
	bits uint64
}

// float returns the number in a float token.
func (t token) float() float64 {
	if t.kind == kindFloat32 {
		return float64(math.Float32frombits(uint32(t.bits)))
	}
	return math.Float64frombits(t.bits)
}

// String describes the token for an error message.
func (t token) String() string {
	switch t.kind {
	case kindNil:
		return "nil"
	case kindBool:
		return "a bool"
	case kindUint:
		return fmt.Sprintf("the integer %d", t.bits)
	case kindInt:
		return fmt.Sprintf("the integer %d", int64(t.bits))
	case kindFloat32, kindFloat64:
		return fmt.Sprintf("the float %v", t.float())
	case kindStr:
		return "a string"
	case kindBin:
		return "bytes"
	case kindArray:
		return fmt.Sprintf("a list of %d", t.n)
	case kindMap:
		return fmt.Sprintf("a map of %d", t.n)
	default:
		return extName(t.ext)
	}
}

// extName names an extension for an error message.
func extName(code int8) string {
	switch code {
	case extTimestamp:
		return "a time"
	case extBytes:
		return "bytes"
	case extText:
		return "a string"
	case extArray, extInline:
		return "an array"
	case extRef:
		return "a ref"
	case extActor:
		return "an actor handle"
	case extBigInt:
		return "an integer beyond 64 bits"
	case extComplex:
		return "a complex number"
	case extDuration:
		return "a duration"
	case extError:
		return "an error"
	case extProto:
		return "a protobuf message"
	case extPickle:
		return "a Python object"
	default:
		return fmt.Sprintf("extension %d, which this version does not know", code)
	}
}
