package codec

import (
	"encoding/binary"
	"fmt"
	"math"
	"unsafe"
)

// DType is the type of the elements of an array.
type DType uint8

// The element types, as docs/values.md numbers them.
const (
	Bool DType = iota + 1
	Int8
	Uint8
	Int16
	Uint16
	Int32
	Uint32
	Int64
	Uint64
	Float16
	BFloat16
	Float32
	Float64
	Complex64
	Complex128
)

// dtypes describes each DType: its name and the size of an element in bytes.
var dtypes = [...]struct {
	name string
	size int
}{
	Bool: {"bool", 1}, Int8: {"int8", 1}, Uint8: {"uint8", 1}, Int16: {"int16", 2}, Uint16: {"uint16", 2}, Int32: {"int32", 4},
	Uint32: {"uint32", 4}, Int64: {"int64", 8}, Uint64: {"uint64", 8}, Float16: {"float16", 2}, BFloat16: {"bfloat16", 2},
	Float32: {"float32", 4}, Float64: {"float64", 8}, Complex64: {"complex64", 8}, Complex128: {"complex128", 16},
}

// Valid reports whether t is one of the element types.
func (t DType) Valid() bool { return t >= Bool && t <= Complex128 }

// String returns the name that numpy uses too.
func (t DType) String() string {
	if !t.Valid() {
		return fmt.Sprintf("dtype(%d)", uint8(t))
	}
	return dtypes[t].name
}

// Size returns the size of an element in bytes; 0 for an invalid type.
func (t DType) Size() int {
	if !t.Valid() {
		return 0
	}
	return dtypes[t].size
}

// dimensionsMax is the most dimensions that an array may have.
const dimensionsMax = 32

// Tensor is an array of any element type and number of dimensions, as its raw bytes. It is the way to exchange arrays of
// more than one dimension, and float16, with other languages. The zero Tensor is nil on the wire.
type Tensor struct {
	// DType is the type of the elements.
	DType DType
	// Shape is the length of each dimension, outermost first; none for a single element.
	Shape []int
	// Data holds the elements in row-major order, little endian. After a Decode with Options.View it aliases the value.
	Data []byte
}

// elements returns the product of the dimensions, or false if it or its size in bytes overflows.
func elements(shape []int, size int) (int, bool) {
	n := 1
	for _, dim := range shape {
		if dim < 0 || dim != 0 && n > math.MaxInt/size/dim {
			return 0, false
		}
		n *= dim
	}
	return n, true
}

// tensorPlan fills the plan of Tensor.
func tensorPlan(pl *plan) {
	pl.special = true
	pl.enc = func(e *Encoder, p unsafe.Pointer) error {
		t := (*Tensor)(p)
		if t.DType == 0 && t.Shape == nil && t.Data == nil {
			e.Nil()
			return nil
		}
		if !t.DType.Valid() || len(t.Shape) > dimensionsMax {
			return unsendable(fmt.Sprintf("it has %s and %d dimensions", t.DType, len(t.Shape)))
		}
		if n, ok := elements(t.Shape, t.DType.Size()); !ok || n*t.DType.Size() != len(t.Data) {
			return unsendable(fmt.Sprintf("its shape %v of %s does not fit its %d bytes", t.Shape, t.DType, len(t.Data)))
		}
		e.array(t.DType, t.Shape, t.Data)
		return nil
	}
	pl.dec = func(d *Decoder, p unsafe.Pointer) error {
		if d.isNil() {
			return nil
		}
		tok, err := d.next()
		if err != nil {
			return err
		}
		a, err := d.array(tok)
		if err != nil {
			return err
		}
		*(*Tensor)(p) = a.tensor(d.view)
		return nil
	}
}

// array writes an array, out of band when it is long; then it aliases data.
func (e *Encoder) array(t DType, shape []int, data []byte) {
	n := 2
	for _, dim := range shape {
		n += uvarintLen(uint64(dim))
	}
	outOfBand := len(data) >= arrayOutOfBand && !e.inKey
	if outOfBand {
		e.meta = appendExtHeader(e.meta, extArray, n+4)
	} else {
		e.meta = appendExtHeader(e.meta, extInline, n+len(data))
	}
	e.meta = append(e.meta, byte(t), byte(len(shape)))
	for _, dim := range shape {
		e.meta = binary.AppendUvarint(e.meta, uint64(dim))
	}
	if outOfBand {
		e.meta = appendU32(e.meta, e.buffer(data))
		return
	}
	e.meta = append(e.meta, data...)
}

// uvarintLen returns the bytes that v takes as a uvarint.
func uvarintLen(v uint64) int {
	n := 1
	for ; v >= 0x80; v >>= 7 {
		n++
	}
	return n
}

// array is an array as it stands in a value.
type array struct {
	dtype DType
	// dims is the number of dimensions; lengths holds them as uvarints, which have been checked.
	dims    int
	lengths []byte
	// count is the number of elements.
	count int
	data  []byte
	// buffered is true when data is a buffer, which may be aliased; else it is in the metadata, at any alignment.
	buffered bool
}

// array reads the rest of an array whose head is tok.
func (d *Decoder) array(tok token) (a array, err error) {
	if tok.kind != kindExt || tok.ext != extArray && tok.ext != extInline {
		return a, d.mismatched("an array", tok)
	}
	payload := d.take(tok.n)
	if len(payload) < 2 || !DType(payload[0]).Valid() || payload[1] > dimensionsMax {
		return a, d.malformed("an array with a bad element type or number of dimensions")
	}
	a.dtype, a.dims = DType(payload[0]), int(payload[1])
	payload = payload[2:]
	a.lengths = payload
	size := a.dtype.Size()
	a.count = 1
	for range a.dims {
		v, n := binary.Uvarint(payload)
		if n <= 0 || n != uvarintLen(v) || v != 0 && uint64(a.count) > math.MaxInt/uint64(size)/v {
			return a, d.malformed("an array with a bad dimension")
		}
		a.count, payload = a.count*int(v), payload[n:]
	}
	a.data = payload
	if tok.ext == extArray {
		if len(payload) != 4 {
			return a, d.malformed("an array with the number of a buffer in %d bytes", len(payload))
		}
		a.buffered = true
		if a.data, err = d.buffer(binary.LittleEndian.Uint32(payload)); err != nil {
			return a, err
		}
	}
	if a.count*size != len(a.data) {
		return a, d.malformed("an array of %d %s in %d bytes", a.count, a.dtype, len(a.data))
	}
	return a, nil
}

// tensor returns the array as a Tensor, which aliases it if it may.
func (a *array) tensor(view bool) Tensor {
	t := Tensor{DType: a.dtype, Shape: make([]int, a.dims), Data: a.data}
	lengths := a.lengths
	for i := range t.Shape {
		v, n := binary.Uvarint(lengths)
		t.Shape[i], lengths = int(v), lengths[n:]
	}
	if !view || !a.buffered {
		t.Data = unsafe.Slice((*byte)(clone(a.data)), len(a.data))
	}
	return t
}

// none is where empty slices point to.
var none [0]uint64

// clone returns a copy of data that is aligned for any element type.
func clone(data []byte) unsafe.Pointer {
	switch n := len(data); {
	case n == 0:
		return unsafe.Pointer(&none)
	case n < 1<<10:
		words := make([]uint64, (n+7)/8)
		p := unsafe.Pointer(&words[0])
		copy(unsafe.Slice((*byte)(p), n), data)
		return p
	default:
		// Appending to nothing does not clear the memory first. Blocks of this size are aligned to eight bytes at least.
		return unsafe.Pointer(unsafe.SliceData(append([]byte(nil), data...)))
	}
}

// memory returns a pointer to the elements for a Go slice, aliasing them if it may.
func (a *array) memory(view bool) unsafe.Pointer {
	p := unsafe.Pointer(unsafe.SliceData(a.data))
	if view && a.buffered && len(a.data) > 0 && uintptr(p)%uintptr(min(a.dtype.Size(), 8)) == 0 {
		return p
	}
	return clone(a.data)
}
