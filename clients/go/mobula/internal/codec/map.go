package codec

import (
	"bytes"
	"fmt"
	"reflect"
	"slices"
	"time"
	"unsafe"
)

// entry is one entry of a map that is being encoded: where its encoded key lies in Encoder.keys, and the number of its value.
type entry struct {
	start, end, value int
}

// mapping fills the plan of a map. Entries are sorted by their encoded keys, so that equal maps are equal bytes.
func (c *compiler) mapping(pl *plan) *TypeError {
	t := pl.typ
	key, err := c.part(t, t.Key(), "[key]")
	if err != nil {
		return err
	}
	if bad := unfitKey(key.typ, key.special); bad != "" {
		return unsendable("its keys hold " + bad + ", by which nobody could find an entry again; use strings or numbers")
	}
	if t.Key() == anyType {
		key = &plan{typ: anyType, enc: encAnyKey, dec: decAnyKey}
	}
	elem, err := c.part(t, t.Elem(), "[]")
	if err != nil {
		return err
	}
	m := mapPlan{typ: t, key: key, elem: elem, values: reflect.SliceOf(t.Elem())}
	pl.enc, pl.dec = m.enc, m.dec
	return nil
}

// unfitKey names what makes a type unfit for a key; empty when it is fit. Refs and pointers are equal only to themselves.
func unfitKey(t reflect.Type, special bool) string {
	if special {
		if both(refEncoderType)(t) || both(protoMessageType)(t) || t == errorType {
			return t.String()
		}
		return ""
	}
	switch t.Kind() {
	case reflect.Pointer:
		return "pointers"
	case reflect.Interface:
		if t != anyType {
			return "interfaces"
		}
	case reflect.Array:
		return unfitPart(t.Elem())
	case reflect.Struct:
		for f := range t.Fields() {
			if bad := unfitPart(f.Type); bad != "" {
				return bad
			}
		}
	default: // fit
	}
	return ""
}

// unfitPart is unfitKey for a part of a key.
func unfitPart(t reflect.Type) string {
	if t == anyType {
		return "interfaces"
	}
	special := t == timeType
	for _, m := range methodForms {
		special = special || m.of(t)
	}
	return unfitKey(t, special)
}

// mapPlan encodes and decodes one map type.
type mapPlan struct {
	typ       reflect.Type
	key, elem *plan
	// values is the type of a slice of the map's elements.
	values reflect.Type
}

// enc writes the map at p. Keys are encoded first, to be sorted; values follow in their order, so that buffers and refs
// are numbered in it too.
func (m *mapPlan) enc(e *Encoder, p unsafe.Pointer) error {
	v := reflect.NewAt(m.typ, p).Elem()
	if v.IsNil() {
		e.Nil()
		return nil
	}
	n := v.Len()
	if n > lengthMax {
		return unsendable("a map has at most 4,294,967,295 entries")
	}
	if err := e.enter(); err != nil {
		return err
	}
	keys, first := len(e.keys), len(e.entries)
	values := reflect.MakeSlice(m.values, n, n)
	if err := m.encKeys(e, v, values); err != nil {
		return err
	}
	sorted := e.entries[first:]
	slices.SortFunc(sorted, func(x, y entry) int {
		return bytes.Compare(e.keys[x.start:x.end], e.keys[y.start:y.end])
	})
	e.meta = appendMapHeader(e.meta, n)
	base, size := values.UnsafePointer(), m.elem.typ.Size()
	for i := range n {
		// A nested map may have moved the stack of entries.
		x := e.entries[first+i]
		key := e.keys[x.start:x.end]
		if i > 0 {
			if y := e.entries[first+i-1]; bytes.Equal(key, e.keys[y.start:y.end]) {
				return at(unsendable("two keys are equal once they are encoded"), m.typ, "")
			}
		}
		e.meta = append(e.meta, key...)
		if err := m.elem.enc(e, unsafe.Add(base, uintptr(x.value)*size)); err != nil {
			return at(err, m.elem.typ, keyStep(e.keys[x.start:x.end]))
		}
	}
	e.keys, e.entries = e.keys[:keys], e.entries[:first]
	e.leave()
	return nil
}

// encKeys puts the encoded keys of v and their entries on the stacks, and the values into a slice.
func (m *mapPlan) encKeys(e *Encoder, v, values reflect.Value) error {
	key := reflect.New(m.key.typ)
	meta, inKey := e.meta, e.inKey
	e.meta, e.inKey = e.keys, true
	i := 0
	for it := v.MapRange(); it.Next(); i++ {
		key.Elem().SetIterKey(it)
		values.Index(i).SetIterValue(it)
		start := len(e.meta)
		if err := m.key.enc(e, key.UnsafePointer()); err != nil {
			e.meta = meta
			return at(err, m.key.typ, "[key]")
		}
		e.entries = append(e.entries, entry{start, len(e.meta), i})
	}
	e.keys, e.meta, e.inKey = e.meta, meta, inKey
	return nil
}

// dec reads a map into the nil map at p.
func (m *mapPlan) dec(d *Decoder, p unsafe.Pointer) error {
	tok, err := d.next()
	switch {
	case err != nil:
		return err
	case tok.kind == kindNil:
		return nil
	case tok.kind != kindMap:
		return d.mismatched("a map", tok)
	}
	if err := d.enter(); err != nil {
		return err
	}
	out := reflect.MakeMapWithSize(m.typ, m.room(tok.n))
	key, elem := reflect.New(m.key.typ), reflect.New(m.elem.typ)
	for range tok.n {
		key.Elem().SetZero()
		elem.Elem().SetZero()
		start := d.pos
		if err := m.key.dec(d, key.UnsafePointer()); err != nil {
			return at(err, m.key.typ, "[key]")
		}
		end := d.pos
		if err := m.elem.dec(d, elem.UnsafePointer()); err != nil {
			return at(err, m.elem.typ, keyStep(d.data[start:end]))
		}
		out.SetMapIndex(key.Elem(), elem.Elem())
	}
	reflect.NewAt(m.typ, p).Elem().Set(out)
	d.leave()
	return nil
}

// room is for how many of n entries a map gets memory before any have been read.
func (m *mapPlan) room(n int) int {
	return min(n, 1+eagerMax/int(8+m.key.typ.Size()+m.elem.typ.Size()))
}

// keyStep is the step of a path through an encoded key.
func keyStep(key []byte) string {
	d := Decoder{data: key, claims: len(key)}
	v, err := d.any()
	if err != nil {
		return "[?]"
	}
	if s, ok := v.(string); ok {
		return fmt.Sprintf("[%.64q]", s)
	}
	return fmt.Sprintf("[%.64s]", fmt.Sprint(v))
}

// encAnyKey writes a key that is an empty interface, as occurs where other languages mix the types of keys. Only types
// that Go can hash and compare may be inside.
func encAnyKey(e *Encoder, p unsafe.Pointer) error {
	v := *(*any)(p)
	if !plainKey(v) {
		return unsendable(fmt.Sprintf("a key of dynamic type %T is not a bool, number, string or time", v))
	}
	return e.any(v)
}

// decAnyKey reads what encAnyKey writes.
func decAnyKey(d *Decoder, p unsafe.Pointer) error {
	v, err := d.anyKey()
	*(*any)(p) = v
	return err
}

// anyKey reads a key without a type. Bytes are read as a string: a Go string that is not UTF-8 is sent as bytes.
func (d *Decoder) anyKey() (any, error) {
	v, err := d.any()
	if err != nil {
		return nil, err
	}
	if b, ok := v.([]byte); ok {
		return string(b), nil
	}
	if !plainKey(v) {
		return nil, unreadable("want a key that is a bool, number, string or time, got %T", v)
	}
	return v, nil
}

// plainKey reports whether a value may be a key of type any.
func plainKey(v any) bool {
	switch v.(type) {
	case time.Time, time.Duration:
		return true
	}
	if v == nil {
		return false
	}
	switch reflect.TypeOf(v).Kind() {
	case reflect.Bool, reflect.String, reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64, reflect.Uint,
		reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Float32, reflect.Float64:
		return true
	default:
		return false
	}
}
