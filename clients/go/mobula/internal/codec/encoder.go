package codec

import (
	"fmt"
	"math"
	"reflect"
	"slices"
	"unicode/utf8"
	"unsafe"

	"github.com/mobula-dev/mobula/internal/id"
)

// Encoded is one value in the form in which it travels.
type Encoded struct {
	// Meta is the MessagePack metadata.
	Meta []byte
	// Buffers are the out-of-band payloads, in the order in which Meta numbers them. Those that Finish returns may alias
	// memory of the program that encoded (its slices and strings): nobody may change that memory until they are copied to
	// the wire or to the store. Those that OpenStored returns alias the store.
	Buffers [][]byte
	// Refs holds the ids of the refs inside, 20 bytes each, in the order in which Meta numbers them.
	Refs []byte
}

// Size returns the bytes that the value takes inline: metadata, buffers and refs.
func (v Encoded) Size() int {
	n := len(v.Meta) + len(v.Refs)
	for _, b := range v.Buffers {
		n += len(b)
	}
	return n
}

// Encoder writes one value, piece by piece, into memory that it reuses. The zero Encoder is ready. It is not safe for
// concurrent use.
type Encoder struct {
	meta    []byte
	buffers [][]byte
	refs    []byte
	depth   int

	// keys and entries are stacks of encoded map keys, used while maps are sorted.
	keys    []byte
	entries []entry
	// inKey is true while a map key is encoded: keys are whole, without buffers.
	inKey bool
}

// keepMax is the capacity beyond which Reset gives memory back.
const keepMax = 1 << 20

// Reset forgets the value written so far. What Finish returned must not be used any more.
func (e *Encoder) Reset() {
	clear(e.buffers)
	*e = Encoder{meta: keep(e.meta), buffers: keep(e.buffers), refs: keep(e.refs), keys: keep(e.keys), entries: keep(e.entries)}
}

// keep empties a slice, and drops one that has become too large to hold on to.
func keep[T any](s []T) []T {
	if uintptr(cap(s))*unsafe.Sizeof(*new(T)) > keepMax {
		return nil
	}
	return s[:0]
}

// BeginArray starts a list whose n elements follow as n calls of Encode, Nil or BeginArray. A call's arguments are one list.
func (e *Encoder) BeginArray(n int) { e.meta = appendArrayHeader(e.meta, n) }

// Nil writes nil: for an argument that is a ref, whose id travels beside the value.
func (e *Encoder) Nil() { e.meta = append(e.meta, 0xc0) }

// Finish returns what was written. It stays valid until the next Reset or Encode.
func (e *Encoder) Finish() Encoded {
	return Encoded{Meta: e.meta, Buffers: e.buffers, Refs: e.refs}
}

// Encode appends v. An error is a *TypeError, and leaves the encoder as it was before the call. The buffers of the value
// may alias v's slices and strings; see Encoded.
func Encode[T any](e *Encoder, v T) error {
	// The common scalars need no plan, and no place on the heap for v.
	switch x := any(v).(type) {
	case int:
		e.meta = appendInt(e.meta, int64(x))
		return nil
	case int64:
		e.meta = appendInt(e.meta, x)
		return nil
	case int32:
		e.meta = appendInt(e.meta, int64(x))
		return nil
	case uint64:
		e.meta = appendUint(e.meta, x)
		return nil
	case float64:
		e.meta = appendFloat64(e.meta, x)
		return nil
	case bool:
		e.meta = appendBool(e.meta, x)
		return nil
	case string:
		return e.string(x) // never fails outside of a key
	}
	h := v
	return encodeAt(e, reflect.TypeFor[T](), unsafe.Pointer(&h))
}

// encodeAt appends the value of type t at p, or nothing.
func encodeAt(e *Encoder, t reflect.Type, p unsafe.Pointer) error {
	pl, err := planOf(t)
	if err != nil {
		return err
	}
	meta, buffers, refs := len(e.meta), len(e.buffers), len(e.refs)
	if err := pl.enc(e, p); err != nil {
		clear(e.buffers[buffers:])
		e.meta, e.buffers, e.refs = e.meta[:meta], e.buffers[:buffers], e.refs[:refs]
		e.keys, e.entries, e.inKey, e.depth = e.keys[:0], e.entries[:0], false, 0
		return finish(err, t)
	}
	return nil
}

// enter goes one level down; what nests too deep is nearly always a cycle.
func (e *Encoder) enter() error {
	if e.depth++; e.depth > depthMax {
		return unsendable(fmt.Sprintf("it nests more than %d levels deep, so it is probably a cycle; send a list with indices instead", depthMax))
	}
	return nil
}

func (e *Encoder) leave() { e.depth-- }

// buffer adds an out-of-band payload and returns its number.
func (e *Encoder) buffer(b []byte) uint32 {
	e.buffers = append(e.buffers, slices.Clip(b))
	return uint32(len(e.buffers) - 1)
}

// bytes writes a byte string, which may be aliased.
func (e *Encoder) bytes(b []byte) error {
	if len(b) >= bytesOutOfBand && !e.inKey {
		e.meta = appendIndex(e.meta, extBytes, e.buffer(b))
		return nil
	}
	if len(b) > lengthMax {
		return unsendable("a map key is at most 4 GiB long")
	}
	e.meta = append(appendLength(e.meta, len(b), 0xc4, 0xc5, 0xc6), b...)
	return nil
}

// string writes s as text, or as bytes when it is not UTF-8.
func (e *Encoder) string(s string) error {
	if len(s) < bytesOutOfBand {
		e.meta = appendString(e.meta, s)
		return nil
	}
	if e.inKey {
		if len(s) > lengthMax {
			return unsendable("a map key is at most 4 GiB long")
		}
		e.meta = appendString(e.meta, s)
		return nil
	}
	code := int8(extText)
	if !utf8.ValidString(s) {
		code = extBytes
	}
	e.meta = appendIndex(e.meta, code, e.buffer(unsafe.Slice(unsafe.StringData(s), len(s))))
	return nil
}

// ref writes a ref, or nil for one without an id.
func (e *Encoder) ref(r Ref) error {
	if r.ID == (id.Object{}) {
		e.Nil()
		return nil
	}
	index := len(e.refs) / id.ObjectSize
	if index > math.MaxUint32 {
		return unsendable("a value holds at most 4,294,967,296 refs")
	}
	e.refs = append(e.refs, r.ID[:]...)
	if r.Kind == RefObject {
		e.meta = appendIndex(e.meta, extRef, uint32(index))
		return nil
	}
	if len(r.Class) > classMax {
		return unsendable(fmt.Sprintf("the class name of an actor is at most %d bytes long", classMax))
	}
	e.meta = appendExtHeader(e.meta, extActor, 4+len(r.Class))
	e.meta = append(appendU32(e.meta, uint32(index)), r.Class...)
	return nil
}

// wrap turns what was written since start into the payload of an extension. Payloads wrapped so are small: their large
// parts are buffers.
func (e *Encoder) wrap(start int, code int8) {
	n := len(e.meta) - start
	var head [6]byte
	h := appendExtHeader(head[:0], code, n)
	e.meta = append(e.meta, h...)
	copy(e.meta[start+len(h):], e.meta[start:start+n])
	copy(e.meta[start:], h)
}
