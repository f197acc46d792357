package codec

import (
	"reflect"
	"strconv"
	"unsafe"
)

// list fills the plan of a slice or an array.
func (c *compiler) list(pl *plan) *TypeError {
	t := pl.typ
	elem, err := c.part(t, t.Elem(), "[]")
	if err != nil {
		return err
	}
	dtype := dtypeOf(elem.typ.Kind())
	if elem.special {
		dtype = 0
	}
	switch {
	case t.Kind() == reflect.Slice && dtype != 0:
		numericSlicePlan(pl, elem, dtype)
	case t.Kind() == reflect.Slice:
		slicePlan(pl, elem)
	case dtype != 0:
		numericArrayPlan(pl, elem, dtype)
	default:
		arrayPlan(pl, elem)
	}
	return nil
}

// slicePlan fills the plan of a slice that is a MessagePack list.
func slicePlan(pl, elem *plan) {
	size := elem.typ.Size()
	pl.enc = func(e *Encoder, p unsafe.Pointer) error {
		s := *(*slice)(p)
		if s.data == nil {
			e.Nil()
			return nil
		}
		return e.list(elem, s.data, s.len, size)
	}
	list := listDecoder(pl.typ, elem)
	pl.dec = func(d *Decoder, p unsafe.Pointer) error {
		tok, err := d.next()
		switch {
		case err != nil:
			return err
		case tok.kind == kindNil:
			return nil
		case tok.kind != kindArray:
			return d.mismatched("a list", tok)
		default:
			return list(d, tok, p)
		}
	}
}

// arrayPlan fills the plan of an array that is a MessagePack list.
func arrayPlan(pl, elem *plan) {
	n, size := pl.typ.Len(), elem.typ.Size()
	pl.enc = func(e *Encoder, p unsafe.Pointer) error { return e.list(elem, p, n, size) }
	list := fixedDecoder(pl.typ, elem)
	pl.dec = func(d *Decoder, p unsafe.Pointer) error {
		tok, err := d.next()
		switch {
		case err != nil:
			return err
		case tok.kind != kindArray:
			return d.mismatched("a list", tok)
		default:
			return list(d, tok, p)
		}
	}
}

// list writes n elements that lie size bytes apart from p on.
func (e *Encoder) list(elem *plan, p unsafe.Pointer, n int, size uintptr) error {
	if n > lengthMax {
		return unsendable("a list has at most 4,294,967,295 elements")
	}
	if err := e.enter(); err != nil {
		return err
	}
	e.meta = appendArrayHeader(e.meta, n)
	for i := range n {
		if err := elem.enc(e, unsafe.Add(p, uintptr(i)*size)); err != nil {
			return at(err, elem.typ, index(i))
		}
	}
	e.leave()
	return nil
}

// index is the step of a path to element i.
func index(i int) string { return "[" + strconv.Itoa(i) + "]" }

// eagerMax is the memory in bytes that a list gets before any of its elements have been read.
const eagerMax = 1 << 20

// listDecoder returns a function that reads the elements of a list, whose head is tok, into the slice at p.
func listDecoder(t reflect.Type, elem *plan) func(d *Decoder, tok token, p unsafe.Pointer) error {
	size := elem.typ.Size()
	return func(d *Decoder, tok token, p unsafe.Pointer) error {
		if err := d.enter(); err != nil {
			return err
		}
		// A slice grows as its elements prove to be there: one byte of input may stand for an element of any size.
		room := tok.n
		if uint64(room)*uint64(size) > eagerMax {
			room = max(1, int(eagerMax/size))
		}
		s := reflect.MakeSlice(t, room, room)
		for i := range tok.n {
			if i == room {
				room = min(tok.n, 2*room)
				grown := reflect.MakeSlice(t, room, room)
				reflect.Copy(grown, s)
				s = grown
			}
			if err := elem.dec(d, unsafe.Add(s.UnsafePointer(), uintptr(i)*size)); err != nil {
				return at(err, elem.typ, index(i))
			}
		}
		*(*slice)(p) = slice{s.UnsafePointer(), tok.n, tok.n}
		d.leave()
		return nil
	}
}

// fixedDecoder returns a function that reads the elements of a list, whose head is tok, into the array at p.
func fixedDecoder(t reflect.Type, elem *plan) func(d *Decoder, tok token, p unsafe.Pointer) error {
	n, size := t.Len(), elem.typ.Size()
	return func(d *Decoder, tok token, p unsafe.Pointer) error {
		if tok.n != n {
			return unreadable("want %d elements, got %d", n, tok.n)
		}
		if err := d.enter(); err != nil {
			return err
		}
		for i := range n {
			if err := elem.dec(d, unsafe.Add(p, uintptr(i)*size)); err != nil {
				return at(err, elem.typ, index(i))
			}
		}
		d.leave()
		return nil
	}
}
