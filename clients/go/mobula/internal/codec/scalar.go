package codec

import (
	"encoding/binary"
	"math"
	"math/big"
	"reflect"
	"unsafe"
)

// integer is any signed integer type; natural any unsigned one.
type (
	integer interface {
		~int | ~int8 | ~int16 | ~int32 | ~int64
	}
	natural interface {
		~uint | ~uint8 | ~uint16 | ~uint32 | ~uint64
	}
)

// setFunc stores the number whose token is tok at p.
type setFunc func(d *Decoder, tok token, p unsafe.Pointer) error

// scalarPlan fills the plan of a type of a plain kind; false if its kind is not one.
func scalarPlan(pl *plan) bool {
	switch pl.typ.Kind() {
	case reflect.Bool:
		pl.enc = func(e *Encoder, p unsafe.Pointer) error {
			e.meta = appendBool(e.meta, *(*bool)(p))
			return nil
		}
		pl.set = setBool
	case reflect.Int:
		pl.enc, pl.set = encInteger[int], setInteger[int]
	case reflect.Int8:
		pl.enc, pl.set = encInteger[int8], setInteger[int8]
	case reflect.Int16:
		pl.enc, pl.set = encInteger[int16], setInteger[int16]
	case reflect.Int32:
		pl.enc, pl.set = encInteger[int32], setInteger[int32]
	case reflect.Int64:
		pl.enc, pl.set = encInteger[int64], setInteger[int64]
	case reflect.Uint:
		pl.enc, pl.set = encNatural[uint], setNatural[uint]
	case reflect.Uint8:
		pl.enc, pl.set = encNatural[uint8], setNatural[uint8]
	case reflect.Uint16:
		pl.enc, pl.set = encNatural[uint16], setNatural[uint16]
	case reflect.Uint32:
		pl.enc, pl.set = encNatural[uint32], setNatural[uint32]
	case reflect.Uint64:
		pl.enc, pl.set = encNatural[uint64], setNatural[uint64]
	case reflect.Float32:
		pl.enc = func(e *Encoder, p unsafe.Pointer) error {
			e.meta = appendFloat32(e.meta, *(*float32)(p))
			return nil
		}
		pl.set = setFloat32
	case reflect.Float64:
		pl.enc = func(e *Encoder, p unsafe.Pointer) error {
			e.meta = appendFloat64(e.meta, *(*float64)(p))
			return nil
		}
		pl.set = setFloat64
	case reflect.Complex64, reflect.Complex128:
		complexPlan(pl)
		return true
	case reflect.String:
		pl.enc = func(e *Encoder, p unsafe.Pointer) error { return e.string(*(*string)(p)) }
		pl.dec = func(d *Decoder, p unsafe.Pointer) error {
			s, err := d.string()
			*(*string)(p) = s
			return err
		}
		return true
	default:
		return false
	}
	set := pl.set
	pl.dec = func(d *Decoder, p unsafe.Pointer) error {
		tok, err := d.next()
		if err != nil {
			return err
		}
		return set(d, tok, p)
	}
	return true
}

func encInteger[I integer](e *Encoder, p unsafe.Pointer) error {
	e.meta = appendInt(e.meta, int64(*(*I)(p)))
	return nil
}

func encNatural[N natural](e *Encoder, p unsafe.Pointer) error {
	e.meta = appendUint(e.meta, uint64(*(*N)(p)))
	return nil
}

func setInteger[I integer](d *Decoder, tok token, p unsafe.Pointer) error {
	v, err := d.toInt(tok, int(unsafe.Sizeof(I(0)))*8)
	*(*I)(p) = I(v)
	return err
}

func setNatural[N natural](d *Decoder, tok token, p unsafe.Pointer) error {
	bits := int(unsafe.Sizeof(N(0))) * 8
	if tok.kind == kindInt || tok.kind == kindUint && bits < 64 && tok.bits>>bits != 0 {
		return unreadable("%s does not fit", tok)
	}
	if tok.kind != kindUint {
		return d.mismatched("an integer", tok)
	}
	*(*N)(p) = N(tok.bits)
	return nil
}

func setBool(d *Decoder, tok token, p unsafe.Pointer) error {
	if tok.kind != kindBool {
		return d.mismatched("a bool", tok)
	}
	*(*bool)(p) = tok.bits != 0
	return nil
}

func setFloat64(d *Decoder, tok token, p unsafe.Pointer) error {
	v, err := d.toFloat(tok)
	*(*float64)(p) = v
	return err
}

// setFloat32 rounds, since most languages have only 64-bit floats to send, but does not make infinity of a number.
func setFloat32(d *Decoder, tok token, p unsafe.Pointer) error {
	v, err := d.toFloat(tok)
	if err != nil {
		return err
	}
	f := float32(v)
	if math.IsInf(float64(f), 0) && !math.IsInf(v, 0) {
		return unreadable("%s does not fit", tok)
	}
	*(*float32)(p) = f
	return nil
}

// toInt returns the integer of tok if it fits into a signed integer of so many bits.
func (d *Decoder) toInt(tok token, bits int) (int64, error) {
	if tok.kind != kindUint && tok.kind != kindInt {
		return 0, d.mismatched("an integer", tok)
	}
	v := int64(tok.bits)
	if shift := 64 - bits; tok.kind == kindUint && v < 0 || v<<shift>>shift != v {
		return 0, unreadable("%s does not fit", tok)
	}
	return v, nil
}

// toFloat returns the number of tok; an integer is read as a float when nothing is lost, since some languages send 3.0 as 3.
func (d *Decoder) toFloat(tok token) (float64, error) {
	var f float64
	var exact bool
	switch tok.kind {
	case kindFloat32, kindFloat64:
		return tok.float(), nil
	case kindUint:
		f = float64(tok.bits)
		exact = f < 1<<64 && uint64(f) == tok.bits
	case kindInt:
		f = float64(int64(tok.bits))
		exact = int64(f) == int64(tok.bits)
	default:
		return 0, d.mismatched("a number", tok)
	}
	if !exact {
		return 0, unreadable("%s is not exactly a float", tok)
	}
	return f, nil
}

// signed reads a signed integer of so many bits.
func (d *Decoder) signed(bits int) (int64, error) {
	tok, err := d.next()
	if err != nil {
		return 0, err
	}
	return d.toInt(tok, bits)
}

// float64 reads a float.
func (d *Decoder) float64() (float64, error) {
	tok, err := d.next()
	if err != nil {
		return 0, err
	}
	return d.toFloat(tok)
}

// bool reads a bool.
func (d *Decoder) bool() (bool, error) {
	tok, err := d.next()
	if err != nil {
		return false, err
	}
	if tok.kind != kindBool {
		return false, d.mismatched("a bool", tok)
	}
	return tok.bits != 0, nil
}

// string reads text, or bytes: a Go string that is not UTF-8 is sent as bytes.
func (d *Decoder) string() (string, error) {
	tok, err := d.next()
	if err != nil {
		return "", err
	}
	switch {
	case tok.kind == kindStr, tok.kind == kindBin:
		return string(d.take(tok.n)), nil
	case tok.kind == kindExt && (tok.ext == extText || tok.ext == extBytes):
		b, err := d.indexed(tok)
		return string(b), err
	default:
		return "", d.mismatched("a string", tok)
	}
}

// complexPlan fills the plan of complex64 or complex128.
func complexPlan(pl *plan) {
	narrow := pl.typ.Kind() == reflect.Complex64
	pl.enc = func(e *Encoder, p unsafe.Pointer) error {
		if narrow {
			c := *(*complex64)(p)
			e.meta = appendExtHeader(e.meta, extComplex, 8)
			e.meta = appendU32(appendU32(e.meta, math.Float32bits(real(c))), math.Float32bits(imag(c)))
			return nil
		}
		c := *(*complex128)(p)
		e.meta = appendExtHeader(e.meta, extComplex, 16)
		e.meta = binary.LittleEndian.AppendUint64(e.meta, math.Float64bits(real(c)))
		e.meta = binary.LittleEndian.AppendUint64(e.meta, math.Float64bits(imag(c)))
		return nil
	}
	pl.dec = func(d *Decoder, p unsafe.Pointer) error {
		tok, err := d.next()
		if err != nil {
			return err
		}
		c, wide, err := d.complex(tok)
		if err != nil {
			return err
		}
		if !narrow {
			*(*complex128)(p) = c
			return nil
		}
		if wide {
			return unreadable("a complex number of two 64-bit floats does not fit")
		}
		*(*complex64)(p) = complex64(c)
		return nil
	}
}

// complex reads the rest of a complex number; wide if it is made of 64-bit floats.
func (d *Decoder) complex(tok token) (c complex128, wide bool, err error) {
	if tok.kind != kindExt || tok.ext != extComplex {
		f, err := d.toFloat(tok)
		if err != nil {
			return 0, false, d.mismatched("a complex number", tok)
		}
		return complex(f, 0), tok.kind == kindFloat64, nil
	}
	switch tok.n {
	case 8:
		b := d.take(8)
		re, im := math.Float32frombits(binary.LittleEndian.Uint32(b)), math.Float32frombits(binary.LittleEndian.Uint32(b[4:]))
		return complex(float64(re), float64(im)), false, nil
	case 16:
		b := d.take(16)
		re, im := math.Float64frombits(binary.LittleEndian.Uint64(b)), math.Float64frombits(binary.LittleEndian.Uint64(b[8:]))
		return complex(re, im), true, nil
	default:
		return 0, false, d.malformed("a complex number of %d bytes", tok.n)
	}
}

// bigIntPlan fills the plan of big.Int: an integer like any other when it has 64 bits, else two's complement.
func bigIntPlan(pl *plan) {
	pl.special = true
	pl.enc = func(e *Encoder, p unsafe.Pointer) error { return e.bigInt((*big.Int)(p)) }
	pl.dec = func(d *Decoder, p unsafe.Pointer) error {
		tok, err := d.next()
		if err != nil {
			return err
		}
		return d.toBigInt(tok, (*big.Int)(p))
	}
}

// bigInt writes x.
func (e *Encoder) bigInt(x *big.Int) error {
	switch {
	case x.IsInt64():
		e.meta = appendInt(e.meta, x.Int64())
		return nil
	case x.IsUint64():
		e.meta = appendUint(e.meta, x.Uint64())
		return nil
	}
	// A negative number -m is the complement of m-1 at every length that leaves room for the sign.
	m := x
	if x.Sign() < 0 {
		m = new(big.Int).Not(x)
	}
	n := m.BitLen()/8 + 1
	if n > lengthMax {
		return unsendable("an integer is at most 4 GiB long")
	}
	e.meta = appendExtHeader(e.meta, extBigInt, n)
	start := len(e.meta)
	e.meta = append(e.meta, make([]byte, n)...)
	b := m.FillBytes(e.meta[start:])
	for i, j := 0, n-1; i < j; i, j = i+1, j-1 {
		b[i], b[j] = b[j], b[i]
	}
	if x.Sign() < 0 {
		complement(b)
	}
	return nil
}

// toBigInt reads the rest of an integer of any size into x.
func (d *Decoder) toBigInt(tok token, x *big.Int) error {
	switch {
	case tok.kind == kindInt:
		x.SetInt64(int64(tok.bits))
		return nil
	case tok.kind == kindUint:
		x.SetUint64(tok.bits)
		return nil
	case tok.kind != kindExt || tok.ext != extBigInt:
		return d.mismatched("an integer", tok)
	case tok.n == 0:
		return d.malformed("an integer without bytes")
	}
	payload := d.take(tok.n)
	b := make([]byte, len(payload))
	for i, c := range payload {
		b[len(b)-1-i] = c
	}
	negative := b[0]&0x80 != 0
	if negative {
		complement(b)
	}
	x.SetBytes(b)
	if negative {
		x.Not(x)
	}
	return nil
}

func complement(b []byte) {
	for i := range b {
		b[i] = ^b[i]
	}
}
