package codec

import (
	"encoding/binary"
	"reflect"
	"unsafe"
)

// slice is the memory of a Go slice.
type slice struct {
	data unsafe.Pointer
	len  int
	cap  int
}

// dtypeOf returns the element type that has the memory of a Go kind; 0 if there is none.
func dtypeOf(k reflect.Kind) DType {
	switch k {
	case reflect.Bool:
		return Bool
	case reflect.Int8:
		return Int8
	case reflect.Uint8:
		return Uint8
	case reflect.Int16:
		return Int16
	case reflect.Uint16:
		return Uint16
	case reflect.Int32:
		return Int32
	case reflect.Uint32:
		return Uint32
	case reflect.Int, reflect.Int64:
		return Int64
	case reflect.Uint, reflect.Uint64:
		return Uint64
	case reflect.Float32:
		return Float32
	case reflect.Float64:
		return Float64
	case reflect.Complex64:
		return Complex64
	case reflect.Complex128:
		return Complex128
	default:
		return 0
	}
}

// numericSlicePlan fills the plan of a slice whose elements, of plan elem, are the elements of an array of type t.
func numericSlicePlan(pl, elem *plan, t DType) {
	pl.enc = func(e *Encoder, p unsafe.Pointer) error {
		s := *(*slice)(p)
		if s.data == nil {
			e.Nil()
			return nil
		}
		data := unsafe.Slice((*byte)(s.data), s.len*t.Size())
		if t == Uint8 {
			return e.bytes(data)
		}
		shape := [1]int{s.len}
		e.array(t, shape[:], data)
		return nil
	}
	list := listDecoder(pl.typ, elem)
	pl.dec = func(d *Decoder, p unsafe.Pointer) error {
		if d.isNil() {
			return nil
		}
		tok, err := d.next()
		if err != nil {
			return err
		}
		if tok.kind == kindArray {
			return list(d, tok, p)
		}
		a, err := d.numbers(tok, t)
		if err != nil {
			return err
		}
		if a.dtype == t && (t != Bool || bools(a.data)) {
			*(*slice)(p) = slice{a.memory(d.view), a.count, a.count}
			return nil
		}
		to := reflect.MakeSlice(pl.typ, a.count, a.count).UnsafePointer()
		*(*slice)(p) = slice{to, a.count, a.count}
		return d.convert(&a, elem, to)
	}
}

// numericArrayPlan fills the plan of a Go array whose elements, of plan elem, are the elements of an array of type t.
func numericArrayPlan(pl, elem *plan, t DType) {
	n := pl.typ.Len()
	pl.enc = func(e *Encoder, p unsafe.Pointer) error {
		data := unsafe.Slice((*byte)(p), n*t.Size())
		// What the caller passed as an array is a copy that nobody else has, or part of a larger value that may change as
		// soon as the call returns, which users of arrays do not expect: a buffer gets a copy.
		if len(data) >= arrayOutOfBand && !e.inKey {
			data = append([]byte(nil), data...)
		}
		if t == Uint8 {
			return e.bytes(data)
		}
		shape := [1]int{n}
		e.array(t, shape[:], data)
		return nil
	}
	list := fixedDecoder(pl.typ, elem)
	pl.dec = func(d *Decoder, p unsafe.Pointer) error {
		tok, err := d.next()
		if err != nil {
			return err
		}
		if tok.kind == kindArray {
			return list(d, tok, p)
		}
		a, err := d.numbers(tok, t)
		if err != nil {
			return err
		}
		if a.count != n {
			return unreadable("want %d elements, got %d", n, a.count)
		}
		if a.dtype == t && (t != Bool || bools(a.data)) {
			copy(unsafe.Slice((*byte)(p), len(a.data)), a.data)
			return nil
		}
		return d.convert(&a, elem, p)
	}
}

// numbers reads the rest of an array of one dimension, or of bytes if those are wanted.
func (d *Decoder) numbers(tok token, want DType) (array, error) {
	if want == Uint8 {
		if tok.kind == kindBin {
			return array{dtype: Uint8, dims: 1, count: tok.n, data: d.take(tok.n), buffered: d.view}, nil
		}
		if tok.kind == kindExt && tok.ext == extBytes {
			b, err := d.indexed(tok)
			return array{dtype: Uint8, dims: 1, count: len(b), data: b, buffered: true}, err
		}
	}
	if tok.kind != kindExt || tok.ext != extArray && tok.ext != extInline {
		if want == Uint8 {
			return array{}, d.mismatched("bytes", tok)
		}
		return array{}, d.mismatched("an array of "+want.String()+", or a list", tok)
	}
	a, err := d.array(tok)
	if err == nil && a.dims != 1 {
		return a, unreadable("want an array of one dimension, got one of %d; take it as a Tensor", a.dims)
	}
	return a, err
}

// bools reports whether each byte is a bool. Other bytes must not become Go bools by aliasing.
func bools(data []byte) bool {
	for _, b := range data {
		if b > 1 {
			return false
		}
	}
	return true
}

// convert stores each element of a at to, as elem reads that number.
func (d *Decoder) convert(a *array, elem *plan, to unsafe.Pointer) error {
	if elem.set == nil || a.dtype == Float16 || a.dtype == BFloat16 || a.dtype >= Complex64 {
		return unreadable("want an array of another element type, got %s; take it as a Tensor", a.dtype)
	}
	size := elem.typ.Size()
	for i := range a.count {
		tok, ok := element(a.dtype, a.data[i*a.dtype.Size():])
		if !ok {
			return d.malformed("a bool that is neither 0 nor 1")
		}
		if err := elem.set(d, tok, unsafe.Add(to, uintptr(i)*size)); err != nil {
			return at(err, elem.typ, index(i))
		}
	}
	return nil
}

// element returns the number at the start of b as a token; false for what is not a bool.
func element(t DType, b []byte) (token, bool) {
	switch t {
	case Bool:
		return token{kind: kindBool, bits: uint64(b[0])}, b[0] <= 1
	case Int8:
		return signed(uint64(b[0]), 1), true
	case Uint8:
		return token{kind: kindUint, bits: uint64(b[0])}, true
	case Int16:
		return signed(uint64(binary.LittleEndian.Uint16(b)), 2), true
	case Uint16:
		return token{kind: kindUint, bits: uint64(binary.LittleEndian.Uint16(b))}, true
	case Int32:
		return signed(uint64(binary.LittleEndian.Uint32(b)), 4), true
	case Uint32:
		return token{kind: kindUint, bits: uint64(binary.LittleEndian.Uint32(b))}, true
	case Int64:
		return signed(binary.LittleEndian.Uint64(b), 8), true
	case Uint64:
		return token{kind: kindUint, bits: binary.LittleEndian.Uint64(b)}, true
	case Float32:
		return token{kind: kindFloat32, bits: uint64(binary.LittleEndian.Uint32(b))}, true
	default: // Float64: convert refuses the rest.
		return token{kind: kindFloat64, bits: binary.LittleEndian.Uint64(b)}, true
	}
}
