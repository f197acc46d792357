package codec

import (
	"encoding/binary"
	"fmt"
	"reflect"
	"strconv"
	"unsafe"
)

// Options say how a Decoder reads.
type Options struct {
	// View lets numeric slices and byte slices alias the value's memory, which must then outlive every use of them and may
	// be read-only: writing to such a slice can end the process. Strings are always copied. Without View the result owns its
	// memory.
	View bool
	// Refs is handed to the ref hooks.
	Refs RefSource
}

// Decoder reads one value, piece by piece. The zero Decoder reads an empty value; Reset gives it another. It is not safe
// for concurrent use.
type Decoder struct {
	data    []byte
	pos     int
	buffers [][]byte
	refs    []byte
	view    bool
	source  RefSource

	depth int
	// claims is how many more list elements and map entries the headers may announce. Each takes a byte at least, so a
	// sound value never claims more than it has bytes, and an unsound one cannot make the decoder allocate more than that.
	claims int
	// used has a bit for each buffer that was read: a value reads each at most once, or a small value could ask for
	// endless copies of a large buffer.
	used      []uint64
	lastClass string
}

// Reset begins to read v, whose memory the caller keeps unchanged until the last Decode, and with Options.View until
// the last use of the results.
func (d *Decoder) Reset(v Encoded, o Options) {
	*d = Decoder{
		data: v.Meta, buffers: v.Buffers, refs: v.Refs, view: o.View, source: o.Refs,
		claims: len(v.Meta), used: keep(d.used), lastClass: d.lastClass,
	}
}

// Decode reads the next item as a T. An error is a *TypeError, a *NotPortableError or a *FormatError; nothing more can be
// read after it.
func Decode[T any](d *Decoder) (T, error) {
	var v T
	// The common scalars need no plan, and no place on the heap.
	switch p := any(&v).(type) {
	case *int:
		i, err := d.signed(strconv.IntSize)
		*p = int(i)
		return v, finish(err, reflect.TypeFor[T]())
	case *int64:
		i, err := d.signed(64)
		*p = i
		return v, finish(err, reflect.TypeFor[T]())
	case *float64:
		f, err := d.float64()
		*p = f
		return v, finish(err, reflect.TypeFor[T]())
	case *bool:
		t, err := d.bool()
		*p = t
		return v, finish(err, reflect.TypeFor[T]())
	}
	h := new(T)
	if err := decodeAt(d, reflect.TypeFor[T](), unsafe.Pointer(h)); err != nil {
		return v, err
	}
	return *h, nil
}

// DecodeInto reads the next item into the zero value that ptr, a non-nil pointer, points to: Decode for a type that is
// known at run time only.
func DecodeInto(d *Decoder, ptr any) error {
	v := reflect.ValueOf(ptr)
	return decodeAt(d, v.Type().Elem(), v.UnsafePointer())
}

// decodeAt reads into the zero value of type t at p.
func decodeAt(d *Decoder, t reflect.Type, p unsafe.Pointer) error {
	pl, err := planOf(t)
	if err != nil {
		return err
	}
	if err := pl.dec(d, p); err != nil {
		return finish(err, t)
	}
	return nil
}

// BeginArray reads the head of a list and returns its length; its elements are the next items.
func (d *Decoder) BeginArray() (int, error) {
	tok, err := d.next()
	if err != nil {
		return 0, err
	}
	if tok.kind != kindArray {
		return 0, finish(mismatch("a list", tok), reflect.TypeFor[[]any]())
	}
	return tok.n, nil
}

// Done returns an error if anything is left to read.
func (d *Decoder) Done() error {
	if d.pos < len(d.data) {
		return d.malformed("%d bytes follow the value", len(d.data)-d.pos)
	}
	return nil
}

// Skip passes over the next item, whatever it is.
func (d *Decoder) Skip() error {
	for items := 1; items > 0; items-- {
		tok, err := d.next()
		if err != nil {
			return err
		}
		switch tok.kind {
		case kindStr, kindBin, kindExt:
			d.pos += tok.n
		case kindArray:
			items += tok.n
		case kindMap:
			items += 2 * tok.n
		default: // a scalar, which has been read
		}
	}
	return nil
}

// next reads the head of the next item. A payload that it announces is all there.
func (d *Decoder) next() (token, error) {
	if d.pos >= len(d.data) {
		return token{}, d.malformed("the value ends too early")
	}
	c := d.data[d.pos]
	d.pos++
	switch {
	case c < 0x80:
		return token{kind: kindUint, bits: uint64(c)}, nil
	case c >= 0xe0:
		return token{kind: kindInt, bits: uint64(int64(int8(c)))}, nil
	case c < 0x90:
		return d.claim(token{kind: kindMap, n: int(c & 0x0f)})
	case c < 0xa0:
		return d.claim(token{kind: kindArray, n: int(c & 0x0f)})
	case c < 0xc0:
		return d.payload(token{kind: kindStr, n: int(c & 0x1f)})
	default:
		return d.nextLong(c)
	}
}

// width is the number of bytes that follow the first byte 0xc0+i before any payload; the type of an extension is counted
// apart. 0xc1 is not MessagePack.
var width = [32]uint8{
	0, 0, 0, 0, 1, 2, 4, 1, 2, 4, 4, 8, 1, 2, 4, 8,
	1, 2, 4, 8, 0, 0, 0, 0, 0, 1, 2, 4, 2, 4, 2, 4,
}

// nextLong reads the head of an item whose first byte is c, from 0xc0 to 0xdf.
func (d *Decoder) nextLong(c byte) (token, error) {
	w := int(width[c-0xc0])
	if len(d.data)-d.pos < w {
		return token{}, d.malformed("the value ends too early")
	}
	var v uint64
	switch b := d.data[d.pos:]; w {
	case 1:
		v = uint64(b[0])
	case 2:
		v = uint64(binary.BigEndian.Uint16(b))
	case 4:
		v = uint64(binary.BigEndian.Uint32(b))
	case 8:
		v = binary.BigEndian.Uint64(b)
	}
	d.pos += w
	switch {
	case c == 0xc0:
		return token{kind: kindNil}, nil
	case c == 0xc1:
		return token{}, d.malformed("byte 0xc1 is not MessagePack")
	case c <= 0xc3:
		return token{kind: kindBool, bits: uint64(c - 0xc2)}, nil
	case c <= 0xc6:
		return d.payload(token{kind: kindBin, n: int(v)})
	case c <= 0xc9:
		return d.extension(int(v))
	case c == 0xca:
		return token{kind: kindFloat32, bits: v}, nil
	case c == 0xcb:
		return token{kind: kindFloat64, bits: v}, nil
	case c <= 0xcf:
		return token{kind: kindUint, bits: v}, nil
	case c <= 0xd3:
		return signed(v, w), nil
	case c <= 0xd8:
		return d.extension(1 << (c - 0xd4))
	case c <= 0xdb:
		return d.payload(token{kind: kindStr, n: int(v)})
	case c <= 0xdd:
		return d.claim(token{kind: kindArray, n: int(v)})
	default:
		return d.claim(token{kind: kindMap, n: int(v)})
	}
}

// signed makes the token of a two's complement integer of w bytes.
func signed(v uint64, w int) token {
	shift := 64 - 8*w
	i := int64(v<<shift) >> shift
	if i < 0 {
		return token{kind: kindInt, bits: uint64(i)}
	}
	return token{kind: kindUint, bits: uint64(i)}
}

// payload checks that the bytes that t announces are there.
func (d *Decoder) payload(t token) (token, error) {
	if t.n > len(d.data)-d.pos {
		return token{}, d.malformed("%s of %d bytes, of which %d are there", t, t.n, len(d.data)-d.pos)
	}
	return t, nil
}

// extension reads the type of an extension with n bytes of payload.
func (d *Decoder) extension(n int) (token, error) {
	if d.pos >= len(d.data) {
		return token{}, d.malformed("the value ends too early")
	}
	code := int8(d.data[d.pos])
	d.pos++
	return d.payload(token{kind: kindExt, ext: code, n: n})
}

// claim checks that the elements that t announces can be there.
func (d *Decoder) claim(t token) (token, error) {
	n := t.n
	if t.kind == kindMap {
		n *= 2
	}
	if d.claims -= n; d.claims < 0 || n > len(d.data)-d.pos {
		return token{}, d.malformed("%s does not fit into the %d bytes that are left", t, len(d.data)-d.pos)
	}
	return t, nil
}

// take returns the next n bytes, which next has found to be there.
func (d *Decoder) take(n int) []byte {
	b := d.data[d.pos : d.pos+n : d.pos+n]
	d.pos += n
	return b
}

// isNil reports whether the next item is nil, and if so passes over it.
func (d *Decoder) isNil() bool {
	if d.pos < len(d.data) && d.data[d.pos] == 0xc0 {
		d.pos++
		return true
	}
	return false
}

// buffer returns buffer i, once.
func (d *Decoder) buffer(i uint32) ([]byte, error) {
	if uint64(i) >= uint64(len(d.buffers)) {
		return nil, d.malformed("buffer %d of %d", i, len(d.buffers))
	}
	word, bit := int(i/64), uint64(1)<<(i%64)
	if word >= len(d.used) {
		d.used = append(d.used, make([]uint64, (len(d.buffers)+63)/64-len(d.used))...)
	}
	if d.used[word]&bit != 0 {
		return nil, d.malformed("buffer %d is used twice", i)
	}
	d.used[word] |= bit
	return d.buffers[i], nil
}

// indexed returns the buffer that a bytes or text extension names.
func (d *Decoder) indexed(tok token) ([]byte, error) {
	if tok.n != 4 {
		return nil, d.malformed("%s with the number of a buffer in %d bytes", tok, tok.n)
	}
	return d.buffer(binary.LittleEndian.Uint32(d.take(4)))
}

// enter goes one level down.
func (d *Decoder) enter() error {
	if d.depth++; d.depth > depthMax {
		return d.malformed("it nests more than %d levels deep", depthMax)
	}
	return nil
}

func (d *Decoder) leave() { d.depth-- }

// mismatched is the error for an item of the wrong kind, whose head is tok; a Python object has an error of its own.
func (d *Decoder) mismatched(want string, tok token) error {
	if tok.kind != kindExt || tok.ext != extPickle {
		return mismatch(want, tok)
	}
	_, name, err := d.openNamed(tok)
	if err != nil {
		return err
	}
	return &NotPortableError{PythonType: name}
}

// nameMax is the longest name of a protobuf message or a Python type, in bytes.
const nameMax = 4 << 10

// openNamed reads the name at the start of an extension that holds a MessagePack list. Until closeNamed, which wants back
// what openNamed returned, the decoder reads the rest of that list.
func (d *Decoder) openNamed(tok token) (outer []byte, name string, err error) {
	outer = d.data
	d.data = d.data[:d.pos+tok.n]
	list, err := d.next()
	if err != nil {
		return nil, "", err
	}
	if list.kind != kindArray || list.n < 2 {
		return nil, "", d.malformed("%s without its name", tok)
	}
	text, err := d.next()
	if err != nil {
		return nil, "", err
	}
	if text.kind != kindStr || text.n > nameMax {
		return nil, "", d.malformed("%s whose name is %s of %d bytes", tok, text, text.n)
	}
	return outer, string(d.take(text.n)), nil
}

// closeNamed ends what openNamed began.
func (d *Decoder) closeNamed(outer []byte) error {
	if d.pos != len(d.data) {
		return d.malformed("an extension with %d bytes too many", len(d.data)-d.pos)
	}
	d.data = outer
	return nil
}

// malformed makes the error for a broken rule of the format.
func (d *Decoder) malformed(format string, args ...any) error {
	return &FormatError{Offset: d.pos, Reason: fmt.Sprintf(format, args...)}
}
