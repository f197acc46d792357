package codec

import (
	"errors"
	"math"
	"math/big"
	"reflect"
	"slices"
	"time"
	"unsafe"
)

var anyType = reflect.TypeFor[any]()

// anyPlan fills the plan of an empty interface: what it holds is encoded by its dynamic type, and read as plain Go values.
func anyPlan(pl *plan) {
	pl.special = true
	pl.enc = func(e *Encoder, p unsafe.Pointer) error { return e.any(*(*any)(p)) }
	pl.dec = func(d *Decoder, p unsafe.Pointer) error {
		v, err := d.any()
		*(*any)(p) = v
		return err
	}
}

// any writes a value by its dynamic type.
func (e *Encoder) any(v any) error {
	switch x := v.(type) {
	case nil:
		e.Nil()
		return nil
	case bool:
		e.meta = appendBool(e.meta, x)
		return nil
	case int:
		e.meta = appendInt(e.meta, int64(x))
		return nil
	case int64:
		e.meta = appendInt(e.meta, x)
		return nil
	case float64:
		e.meta = appendFloat64(e.meta, x)
		return nil
	case string:
		return e.string(x)
	case RefEncoder: // before error: a handle may be both
	case error:
		return e.errorText(x)
	}
	t := reflect.TypeOf(v)
	pl, err := planOf(t)
	if err != nil {
		// The path inside the dynamic type becomes the tail of the whole path.
		if te, ok := errors.AsType[*TypeError](err); ok && te.Path != "" {
			te.segments, te.Path = []string{".(" + te.Path + ")"}, ""
		}
		return err
	}
	h := reflect.New(t)
	h.Elem().Set(reflect.ValueOf(v))
	if err := e.enter(); err != nil {
		return err
	}
	if err := pl.enc(e, h.UnsafePointer()); err != nil {
		return at(err, t, "")
	}
	e.leave()
	return nil
}

// any reads the next item as plain Go values: nil, bool, int64, uint64 (beyond int64), *big.Int (beyond both), float64,
// string, []byte, []any, map[string]any (map[any]any if a key is not a string), a slice of numbers or a Tensor, time.Time,
// time.Duration, complex128, error, proto.Message, and refs.
func (d *Decoder) any() (any, error) {
	tok, err := d.next()
	if err != nil {
		return nil, err
	}
	switch tok.kind {
	case kindNil:
		return nil, nil
	case kindBool:
		return tok.bits != 0, nil
	case kindUint:
		if tok.bits > math.MaxInt64 {
			return tok.bits, nil
		}
		return int64(tok.bits), nil
	case kindInt:
		return int64(tok.bits), nil
	case kindFloat32, kindFloat64:
		return tok.float(), nil
	case kindStr:
		return string(d.take(tok.n)), nil
	case kindBin:
		return d.anyBytes(d.take(tok.n)), nil
	case kindArray:
		return d.anyList(tok)
	case kindMap:
		return d.anyMap(tok.n)
	default:
		return d.anyExt(tok)
	}
}

// anyBytes returns b, or a copy that the result owns.
func (d *Decoder) anyBytes(b []byte) []byte {
	if d.view {
		return slices.Clip(b)
	}
	return append([]byte{}, b...)
}

// anyList reads the elements of a list.
func (d *Decoder) anyList(tok token) (any, error) {
	if err := d.enter(); err != nil {
		return nil, err
	}
	const room = eagerMax / int(unsafe.Sizeof(any(nil)))
	list := make([]any, 0, min(tok.n, room))
	for i := range tok.n {
		v, err := d.any()
		if err != nil {
			return nil, at(err, anyType, index(i))
		}
		list = append(list, v)
	}
	d.leave()
	return list, nil
}

// anyMap reads n entries.
func (d *Decoder) anyMap(n int) (any, error) {
	if err := d.enter(); err != nil {
		return nil, err
	}
	text := make(map[string]any, min(n, 1<<10))
	var mixed map[any]any
	for range n {
		start := d.pos
		k, err := d.anyKey()
		if err != nil {
			return nil, at(err, anyType, "[key]")
		}
		step := d.data[start:d.pos]
		v, err := d.any()
		if err != nil {
			return nil, at(err, anyType, keyStep(step))
		}
		s, isText := k.(string)
		if isText && mixed == nil {
			text[s] = v
			continue
		}
		if mixed == nil {
			mixed = make(map[any]any, len(text))
			for s, v := range text {
				mixed[s] = v
			}
		}
		mixed[k] = v
	}
	d.leave()
	if mixed != nil {
		return mixed, nil
	}
	return text, nil
}

// anyExt reads the rest of an extension.
func (d *Decoder) anyExt(tok token) (any, error) {
	switch tok.ext {
	case extBytes:
		b, err := d.indexed(tok)
		if err != nil {
			return nil, err
		}
		return d.anyBytes(b), nil
	case extText:
		b, err := d.indexed(tok)
		return string(b), err
	case extArray, extInline:
		return d.anyArray(tok)
	case extRef, extActor:
		r, err := d.ref(tok)
		if err != nil {
			return nil, err
		}
		if m, ok := d.source.(AnyRefMaker); ok {
			v, err := m.AnyRef(r)
			if err != nil {
				return nil, &TypeError{Decoding: true, Reason: err.Error(), Err: err}
			}
			return v, nil
		}
		return r, nil
	case extBigInt:
		x := new(big.Int)
		return x, d.toBigInt(tok, x)
	case extComplex:
		c, _, err := d.complex(tok)
		return c, err
	case extTimestamp:
		t, err := d.time(tok)
		return t, err
	case extDuration:
		t, err := d.duration(tok)
		return t, err
	case extError:
		return d.errorText(tok), nil
	case extProto:
		return d.anyProto(tok)
	default:
		return nil, d.mismatched("a known extension", tok)
	}
}

// sliceTypes holds the Go slice for each element type that has one; an array of any other is read as a Tensor.
var sliceTypes = [...]reflect.Type{
	Bool: reflect.TypeFor[[]bool](), Int8: reflect.TypeFor[[]int8](), Uint8: reflect.TypeFor[[]uint8](),
	Int16: reflect.TypeFor[[]int16](), Uint16: reflect.TypeFor[[]uint16](), Int32: reflect.TypeFor[[]int32](),
	Uint32: reflect.TypeFor[[]uint32](), Int64: reflect.TypeFor[[]int64](), Uint64: reflect.TypeFor[[]uint64](),
	Float32: reflect.TypeFor[[]float32](), Float64: reflect.TypeFor[[]float64](),
	Complex64: reflect.TypeFor[[]complex64](), Complex128: reflect.TypeFor[[]complex128](),
}

// anyArray reads the rest of an array: a slice of numbers if it has one dimension, else a Tensor.
func (d *Decoder) anyArray(tok token) (any, error) {
	a, err := d.array(tok)
	if err != nil {
		return nil, err
	}
	if a.dims != 1 || a.dtype == Float16 || a.dtype == BFloat16 || a.dtype == Uint8 {
		return a.tensor(d.view), nil
	}
	if a.dtype == Bool && !bools(a.data) {
		return nil, d.malformed("a bool that is neither 0 nor 1")
	}
	to := reflect.New(sliceTypes[a.dtype])
	*(*slice)(to.UnsafePointer()) = slice{a.memory(d.view), a.count, a.count}
	return to.Elem().Interface(), nil
}

var timeType = reflect.TypeFor[time.Time]()
