package codec

import (
	"encoding/binary"
	"reflect"
	"unsafe"

	"github.com/mobula-dev/mobula/internal/id"
)

// RefKind says what a ref refers to.
type RefKind uint8

const (
	// RefObject is a ref to an object: a future value.
	RefObject RefKind = iota
	// RefActor is an actor handle.
	RefActor
)

// classMax is the longest class name of an actor handle, in bytes.
const classMax = 4 << 10

// Ref is a ref as it stands in a value. A Ref is itself a value that can be encoded and decoded.
//
//nolint:recvcheck // it is read into, so RefDecoder needs a pointer, while RefEncoder is for values
type Ref struct {
	// ID is the object, or for an actor handle object 0 of the task that created the actor. A zero ID is no ref: it is
	// encoded as nil.
	ID id.Object
	// Kind tells an object from an actor handle.
	Kind RefKind
	// Class is the name of the actor's class; empty for an object.
	Class string
}

// RefSource is what a reader of refs needs to know, such as the session that the value came through. The codec hands it
// on and does not look inside, but for AnyRefMaker.
type RefSource = any

// RefEncoder is implemented by types that are sent as refs, at any depth inside a value.
type RefEncoder interface {
	// MobulaEncodeRef returns the ref to send. It is called on the goroutine that encodes.
	MobulaEncodeRef() (Ref, error)
}

// RefDecoder is implemented by the pointer to every type that implements RefEncoder.
type RefDecoder interface {
	// MobulaDecodeRef fills the receiver, which is zero, from r. It is called on the goroutine that decodes, once for each
	// ref, in the order in which they stand in the value. A nil in the value leaves the receiver zero, without a call.
	MobulaDecodeRef(src RefSource, r Ref) error
}

// AnyRefMaker is implemented by a RefSource that makes the Go value for a ref that is read into an empty interface;
// without it such a ref is read as a Ref.
type AnyRefMaker interface {
	// AnyRef is called on the goroutine that decodes, once for each such ref.
	AnyRef(r Ref) (any, error)
}

// MobulaEncodeRef implements RefEncoder.
func (r Ref) MobulaEncodeRef() (Ref, error) { return r, nil }

// MobulaDecodeRef implements RefDecoder.
func (r *Ref) MobulaDecodeRef(_ RefSource, from Ref) error {
	*r = from
	return nil
}

var (
	refEncoderType = reflect.TypeFor[RefEncoder]()
	refDecoderType = reflect.TypeFor[RefDecoder]()
)

// refPlan encodes a type through its ref hooks.
func refPlan(pl *plan) {
	t := pl.typ
	pl.special = true
	pl.enc = func(e *Encoder, p unsafe.Pointer) error {
		r, err := as[RefEncoder](t, p).MobulaEncodeRef()
		if err != nil {
			return &TypeError{Reason: err.Error(), Err: err}
		}
		return e.ref(r)
	}
	pl.dec = func(d *Decoder, p unsafe.Pointer) error {
		tok, err := d.next()
		if err != nil {
			return err
		}
		if tok.kind == kindNil {
			return nil
		}
		r, err := d.ref(tok)
		if err != nil {
			return err
		}
		if err := as[RefDecoder](t, p).MobulaDecodeRef(d.source, r); err != nil {
			return &TypeError{Decoding: true, Reason: err.Error(), Err: err}
		}
		return nil
	}
}

// ref reads the rest of a ref whose head is tok.
func (d *Decoder) ref(tok token) (Ref, error) {
	if tok.kind != kindExt || tok.ext != extRef && tok.ext != extActor {
		return Ref{}, d.mismatched("a ref", tok)
	}
	if tok.n < 4 || tok.ext == extRef && tok.n != 4 || tok.n > 4+classMax {
		return Ref{}, d.malformed("a ref with %d bytes", tok.n)
	}
	payload := d.take(tok.n)
	index := uint64(binary.LittleEndian.Uint32(payload))
	if index >= uint64(len(d.refs)/id.ObjectSize) {
		return Ref{}, d.malformed("ref %d of %d", index, len(d.refs)/id.ObjectSize)
	}
	r := Ref{ID: id.Object(d.refs[index*id.ObjectSize:])}
	if tok.ext == extActor {
		r.Kind = RefActor
		r.Class = d.class(payload[4:])
	}
	return r, nil
}

// class returns the name as a string, without an allocation when it is that of the previous handle.
func (d *Decoder) class(name []byte) string {
	if string(name) != d.lastClass {
		d.lastClass = string(name)
	}
	return d.lastClass
}

func appendU32(b []byte, v uint32) []byte { return binary.LittleEndian.AppendUint32(b, v) }
