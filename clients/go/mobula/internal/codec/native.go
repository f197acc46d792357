package codec

import (
	"encoding"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"reflect"
	"time"
	"unsafe"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

var (
	errorType             = reflect.TypeFor[error]()
	protoMessageType      = reflect.TypeFor[proto.Message]()
	textMarshalerType     = reflect.TypeFor[encoding.TextMarshaler]()
	textUnmarshalerType   = reflect.TypeFor[encoding.TextUnmarshaler]()
	binaryMarshalerType   = reflect.TypeFor[encoding.BinaryMarshaler]()
	binaryUnmarshalerType = reflect.TypeFor[encoding.BinaryUnmarshaler]()
)

// as returns the pointer p, to a value of type t, as an interface that methodForms has found it to implement.
func as[I any](t reflect.Type, p unsafe.Pointer) I {
	return reflect.NewAt(t, p).Interface().(I) //nolint:errcheck // t has a plan with this method form only if it holds
}

// timePlan fills the plan of time.Time: MessagePack's timestamp. It is read in UTC; the location and the monotonic reading
// are not sent.
func timePlan(pl *plan) {
	pl.special = true
	pl.enc = func(e *Encoder, p unsafe.Pointer) error {
		t := (*time.Time)(p)
		e.time(t.Unix(), uint32(t.Nanosecond()))
		return nil
	}
	pl.dec = func(d *Decoder, p unsafe.Pointer) error {
		tok, err := d.next()
		if err != nil {
			return err
		}
		t, err := d.time(tok)
		*(*time.Time)(p) = t
		return err
	}
}

// time writes a timestamp in its shortest form.
func (e *Encoder) time(seconds int64, nanoseconds uint32) {
	switch {
	case seconds>>34 != 0:
		e.meta = appendExtHeader(e.meta, extTimestamp, 12)
		e.meta = binary.BigEndian.AppendUint32(e.meta, nanoseconds)
		e.meta = binary.BigEndian.AppendUint64(e.meta, uint64(seconds))
	case nanoseconds != 0 || seconds > math.MaxUint32:
		e.meta = appendExtHeader(e.meta, extTimestamp, 8)
		e.meta = binary.BigEndian.AppendUint64(e.meta, uint64(nanoseconds)<<34|uint64(seconds))
	default:
		e.meta = appendExtHeader(e.meta, extTimestamp, 4)
		e.meta = binary.BigEndian.AppendUint32(e.meta, uint32(seconds))
	}
}

// time reads the rest of a timestamp.
func (d *Decoder) time(tok token) (time.Time, error) {
	if tok.kind != kindExt || tok.ext != extTimestamp {
		return time.Time{}, d.mismatched("a time", tok)
	}
	var seconds int64
	var nanoseconds uint64
	switch b := d.take(tok.n); tok.n {
	case 4:
		seconds = int64(binary.BigEndian.Uint32(b))
	case 8:
		v := binary.BigEndian.Uint64(b)
		seconds, nanoseconds = int64(v&(1<<34-1)), v>>34
	case 12:
		seconds, nanoseconds = int64(binary.BigEndian.Uint64(b[4:])), uint64(binary.BigEndian.Uint32(b))
	default:
		return time.Time{}, d.malformed("a time of %d bytes", tok.n)
	}
	if nanoseconds >= 1e9 {
		return time.Time{}, d.malformed("a time with %d nanoseconds", nanoseconds)
	}
	return time.Unix(seconds, int64(nanoseconds)).UTC(), nil
}

// durationPlan fills the plan of time.Duration.
func durationPlan(pl *plan) {
	pl.special = true
	pl.enc = func(e *Encoder, p unsafe.Pointer) error {
		e.meta = appendExtHeader(e.meta, extDuration, 8)
		e.meta = binary.LittleEndian.AppendUint64(e.meta, uint64(*(*time.Duration)(p)))
		return nil
	}
	pl.dec = func(d *Decoder, p unsafe.Pointer) error {
		tok, err := d.next()
		if err != nil {
			return err
		}
		t, err := d.duration(tok)
		*(*time.Duration)(p) = t
		return err
	}
}

// duration reads the rest of a duration. A plain number is refused: nothing says whether it means seconds.
func (d *Decoder) duration(tok token) (time.Duration, error) {
	if tok.kind != kindExt || tok.ext != extDuration {
		return 0, d.mismatched("a duration", tok)
	}
	if tok.n != 8 {
		return 0, d.malformed("a duration of %d bytes", tok.n)
	}
	return time.Duration(binary.LittleEndian.Uint64(d.take(8))), nil
}

// errorPlan fills the plan of the error interface: the text of the error, which is read as an error with that text.
func errorPlan(pl *plan) {
	pl.special = true
	pl.enc = func(e *Encoder, p unsafe.Pointer) error {
		err := *(*error)(p)
		if err == nil {
			e.Nil()
			return nil
		}
		return e.errorText(err)
	}
	pl.dec = func(d *Decoder, p unsafe.Pointer) error {
		if d.isNil() {
			return nil
		}
		tok, err := d.next()
		if err != nil {
			return err
		}
		if tok.kind != kindExt || tok.ext != extError {
			return d.mismatched("an error", tok)
		}
		*(*error)(p) = d.errorText(tok)
		return nil
	}
}

// errorTextMax is how much of an error's text is sent, in bytes.
const errorTextMax = 64 << 10

func (e *Encoder) errorText(err error) error {
	text := err.Error()
	if len(text) > errorTextMax {
		text = text[:errorTextMax] + fmt.Sprintf(" … (%d bytes more)", len(text)-errorTextMax)
	}
	e.meta = append(appendExtHeader(e.meta, extError, len(text)), text...)
	return nil
}

func (d *Decoder) errorText(tok token) error { return errors.New(string(d.take(tok.n))) }

// textPlan fills the plan of a type with encoding.TextMarshaler and TextUnmarshaler: a string, which every language can
// read. It is preferred to the binary form for that reason.
func textPlan(pl *plan) {
	t := pl.typ
	pl.special = true
	pl.enc = func(e *Encoder, p unsafe.Pointer) error {
		text, err := as[encoding.TextMarshaler](t, p).MarshalText()
		if err != nil {
			return &TypeError{Reason: err.Error(), Err: err}
		}
		return e.string(string(text))
	}
	pl.dec = func(d *Decoder, p unsafe.Pointer) error {
		text, err := d.string()
		if err != nil {
			return err
		}
		err = as[encoding.TextUnmarshaler](t, p).UnmarshalText([]byte(text))
		if err != nil {
			return &TypeError{Decoding: true, Reason: err.Error(), Err: err}
		}
		return nil
	}
}

// binaryPlan fills the plan of a type with encoding.BinaryMarshaler and BinaryUnmarshaler only: bytes.
func binaryPlan(pl *plan) {
	t := pl.typ
	pl.special = true
	pl.enc = func(e *Encoder, p unsafe.Pointer) error {
		b, err := as[encoding.BinaryMarshaler](t, p).MarshalBinary()
		if err != nil {
			return &TypeError{Reason: err.Error(), Err: err}
		}
		return e.bytes(b)
	}
	pl.dec = func(d *Decoder, p unsafe.Pointer) error {
		b, err := d.bytes()
		if err != nil {
			return err
		}
		if err := as[encoding.BinaryUnmarshaler](t, p).UnmarshalBinary(b); err != nil {
			return &TypeError{Decoding: true, Reason: err.Error(), Err: err}
		}
		return nil
	}
}

// bytes reads bytes, which alias the value.
func (d *Decoder) bytes() ([]byte, error) {
	tok, err := d.next()
	switch {
	case err != nil:
		return nil, err
	case tok.kind == kindBin:
		return d.take(tok.n), nil
	case tok.kind == kindExt && tok.ext == extBytes:
		return d.indexed(tok)
	default:
		return nil, d.mismatched("bytes", tok)
	}
}

// protoPlan fills the plan of a generated protobuf message.
func protoPlan(pl *plan) {
	t := pl.typ
	pl.special = true
	pl.enc = func(e *Encoder, p unsafe.Pointer) error {
		return e.proto(as[proto.Message](t, p))
	}
	pl.dec = func(d *Decoder, p unsafe.Pointer) error {
		tok, err := d.next()
		if err != nil {
			return err
		}
		m := as[proto.Message](t, p)
		want := m.ProtoReflect().Descriptor().FullName()
		return d.proto(tok, func(name protoreflect.FullName) (proto.Message, error) {
			if name != want {
				return nil, unreadable("want protobuf message %s, got %s", want, name)
			}
			return m, nil
		})
	}
}

// protoInterfacePlan fills the plan of the interface proto.Message: any message that the reading program has linked in.
func protoInterfacePlan(pl *plan) {
	pl.special = true
	pl.enc = func(e *Encoder, p unsafe.Pointer) error {
		m := *(*proto.Message)(p)
		if m == nil || !m.ProtoReflect().IsValid() {
			e.Nil()
			return nil
		}
		return e.proto(m)
	}
	pl.dec = func(d *Decoder, p unsafe.Pointer) error {
		if d.isNil() {
			return nil
		}
		tok, err := d.next()
		if err != nil {
			return err
		}
		m, err := d.anyProto(tok)
		*(*proto.Message)(p) = m
		return err
	}
}

// proto writes a message: its full name and its bytes, in an order that does not change within one build.
func (e *Encoder) proto(m proto.Message) error {
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		return &TypeError{Reason: err.Error(), Err: err}
	}
	start := len(e.meta)
	e.meta = appendArrayHeader(e.meta, 2)
	e.meta = appendString(e.meta, string(m.ProtoReflect().Descriptor().FullName()))
	if err := e.bytes(b); err != nil {
		return err
	}
	e.wrap(start, extProto)
	return nil
}

// proto reads the rest of a message into the one that find returns for its name.
func (d *Decoder) proto(tok token, find func(protoreflect.FullName) (proto.Message, error)) error {
	if tok.kind != kindExt || tok.ext != extProto {
		return d.mismatched("a protobuf message", tok)
	}
	outer, name, err := d.openNamed(tok)
	if err != nil {
		return err
	}
	m, err := find(protoreflect.FullName(name))
	if err != nil {
		return err
	}
	b, err := d.bytes()
	if err != nil {
		return err
	}
	if err := proto.Unmarshal(b, m); err != nil {
		return &TypeError{Decoding: true, Reason: err.Error(), Err: err}
	}
	return d.closeNamed(outer)
}

// anyProto reads the rest of a message of a type that the program has linked in.
func (d *Decoder) anyProto(tok token) (proto.Message, error) {
	var m proto.Message
	err := d.proto(tok, func(name protoreflect.FullName) (proto.Message, error) {
		t, err := protoregistry.GlobalTypes.FindMessageByName(name)
		if err != nil {
			return nil, unreadable("protobuf message %s is not linked into this program; import its package", name)
		}
		m = t.New().Interface()
		return m, nil
	})
	return m, err
}
