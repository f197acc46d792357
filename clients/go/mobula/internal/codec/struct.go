package codec

import (
	"bytes"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"
	"unsafe"
)

// field is one field of a struct as it is sent.
type field struct {
	// key is the encoded name, head and all.
	key []byte
	// name is the name on the wire, step the way to the field in a path.
	name, step string
	// offset is where the field lies in the struct, embedded structs counted in.
	offset uintptr
	plan   *plan
	// empty reports whether the field is to be left out; nil when it never is.
	empty func(p unsafe.Pointer) bool
}

// structure fills the plan of a struct: a map from names to fields, ordered like every other map.
func (c *compiler) structure(pl *plan) *TypeError {
	b := fieldsOf{c: c, names: map[string]bool{}}
	if err := b.add(pl.typ, 0, ""); err != nil {
		return err
	}
	if len(b.fields) == 0 && b.hidden {
		return unsendable("it has only unexported fields, which would be lost; export them, or implement encoding.TextMarshaler and TextUnmarshaler")
	}
	slices.SortFunc(b.fields, func(x, y field) int { return bytes.Compare(x.key, y.key) })
	byName := make(map[string]int, len(b.fields))
	optional := false
	for i, f := range b.fields {
		byName[f.name] = i
		optional = optional || f.empty != nil
	}
	fields := b.fields
	pl.enc = func(e *Encoder, p unsafe.Pointer) error { return e.fields(fields, optional, p) }
	pl.dec = func(d *Decoder, p unsafe.Pointer) error { return d.fields(fields, byName, p) }
	return nil
}

// fieldsOf gathers the fields of one struct.
type fieldsOf struct {
	c      *compiler
	fields []field
	// names finds double names. That one field hides another of its name, as Go allows, would lose the other.
	names map[string]bool
	// hidden is true once an unexported field was passed over.
	hidden bool
}

// add gathers the fields of t, which lies at offset in the struct.
func (b *fieldsOf) add(t reflect.Type, offset uintptr, path string) *TypeError {
	for f := range t.Fields() {
		name, omit, err := parseTag(f)
		switch {
		case err != nil:
			_ = at(err, t, path+"."+f.Name) // adds the step to err itself
			return err
		case name == "-" || f.Name == "_":
		case b.flattens(f):
			if err := b.add(f.Type, offset+f.Offset, path+"."+f.Name); err != nil {
				return err
			}
		case !f.IsExported():
			b.hidden = true
			if f.Anonymous && loses(f.Type) {
				return unsendable("it embeds " + f.Type.String() + ", an unexported pointer, whose fields would be lost; embed it by value or mark it mobula:\"-\"")
			}
		default:
			if err := b.field(t, f, name, omit, offset, path); err != nil {
				return err
			}
		}
	}
	return nil
}

// flattens reports whether the fields of an embedded struct count as fields of the struct itself. An embedded pointer is a
// field like any other, under the name of its type, as is an embedded struct with a tag or a form of its own.
func (b *fieldsOf) flattens(f reflect.StructField) bool {
	if !f.Anonymous || f.Type.Kind() != reflect.Struct || f.Tag.Get("mobula") != "" {
		return false
	}
	if native(f.Type) != nil {
		return false
	}
	for _, m := range methodForms {
		if m.of(f.Type) {
			if promoted, err := mayBePromoted(f.Type, m.of); err != nil || !promoted {
				return false
			}
		}
	}
	return true
}

// loses reports whether leaving out an embedded pointer would hide exported fields.
func loses(t reflect.Type) bool {
	if t.Kind() != reflect.Pointer || t.Elem().Kind() != reflect.Struct {
		return false
	}
	for f := range t.Elem().Fields() {
		if f.IsExported() {
			return true
		}
	}
	return false
}

// field adds field f of t.
func (b *fieldsOf) field(t reflect.Type, f reflect.StructField, name string, omit bool, offset uintptr, path string) *TypeError {
	step := path + "." + f.Name
	if b.names[name] {
		err := unsendable(fmt.Sprintf("two fields have the name %q; give one another name with a mobula tag", name))
		err.GoType = f.Type.String()
		_ = at(err, t, step) // adds the step to err itself
		return err
	}
	b.names[name] = true
	pl, err := b.c.part(t, f.Type, step)
	if err != nil {
		return err
	}
	added := field{key: appendString(nil, name), name: name, step: step, offset: offset + f.Offset, plan: pl}
	if omit {
		added.empty = emptiness(f.Type)
	}
	b.fields = append(b.fields, added)
	return nil
}

// parseTag reads the tag of a field: mobula:"name,omitempty", or "-" to skip it.
func parseTag(f reflect.StructField) (name string, omit bool, err *TypeError) {
	tag, tagged := f.Tag.Lookup("mobula")
	name, option, _ := strings.Cut(tag, ",")
	switch {
	case name == "-" && option != "" || option != "" && option != "omitempty":
		err = unsendable(fmt.Sprintf("its tag is mobula:%q; want mobula:\"name\", mobula:\"name,omitempty\" or mobula:\"-\"", tag))
	case !utf8.ValidString(name) || len(name) > nameMax:
		err = unsendable(fmt.Sprintf("its name is not UTF-8 of at most %d bytes", nameMax))
	case tagged && name != "-" && !f.IsExported():
		err = unsendable("it has a mobula tag but is unexported, so it cannot be sent; export it or remove the tag")
	}
	if err != nil {
		err.GoType = f.Type.String()
	}
	if name == "" {
		name = f.Name
	}
	return name, option == "omitempty", err
}

// emptiness returns a function that reports whether the value of type t at p is empty: zero, or of length zero.
func emptiness(t reflect.Type) func(p unsafe.Pointer) bool {
	switch t.Kind() {
	case reflect.Slice:
		return func(p unsafe.Pointer) bool { return (*slice)(p).len == 0 }
	case reflect.String:
		return func(p unsafe.Pointer) bool { return *(*string)(p) == "" }
	case reflect.Map:
		return func(p unsafe.Pointer) bool { return reflect.NewAt(t, p).Elem().Len() == 0 }
	default:
		return func(p unsafe.Pointer) bool { return reflect.NewAt(t, p).Elem().IsZero() }
	}
}

// fields writes the fields of the struct at p.
func (e *Encoder) fields(fields []field, optional bool, p unsafe.Pointer) error {
	if err := e.enter(); err != nil {
		return err
	}
	n := len(fields)
	if optional {
		for i := range fields {
			if f := &fields[i]; f.empty != nil && f.empty(unsafe.Add(p, f.offset)) {
				n--
			}
		}
	}
	e.meta = appendMapHeader(e.meta, n)
	for i := range fields {
		f := &fields[i]
		q := unsafe.Add(p, f.offset)
		if f.empty != nil && f.empty(q) {
			continue
		}
		e.meta = append(e.meta, f.key...)
		if err := f.plan.enc(e, q); err != nil {
			return at(err, f.plan.typ, f.step)
		}
	}
	e.leave()
	return nil
}

// fields reads a map into the struct at p. Names that it does not know are skipped, fields that are missing stay zero: so
// programs of different versions understand each other.
func (d *Decoder) fields(fields []field, byName map[string]int, p unsafe.Pointer) error {
	tok, err := d.next()
	if err != nil {
		return err
	}
	if tok.kind != kindMap {
		return d.mismatched("a map of fields", tok)
	}
	if err := d.enter(); err != nil {
		return err
	}
	expected := 0
	for range tok.n {
		i, err := d.fieldName(fields, byName, expected)
		if err != nil {
			return err
		}
		if i < 0 {
			if err := d.Skip(); err != nil {
				return err
			}
			continue
		}
		f := &fields[i]
		if err := f.plan.dec(d, unsafe.Add(p, f.offset)); err != nil {
			return at(err, f.plan.typ, f.step)
		}
		expected = i + 1
	}
	d.leave()
	return nil
}

// fieldName reads a name and returns the number of its field, or -1. Most senders know the same fields, in the same
// order, so the expected one is tried first.
func (d *Decoder) fieldName(fields []field, byName map[string]int, expected int) (int, error) {
	if expected < len(fields) && bytes.HasPrefix(d.data[d.pos:], fields[expected].key) {
		d.pos += len(fields[expected].key)
		return expected, nil
	}
	start := d.pos
	tok, err := d.next()
	if err != nil {
		return -1, err
	}
	if tok.kind == kindStr {
		if i, ok := byName[string(d.take(tok.n))]; ok {
			return i, nil
		}
		return -1, nil
	}
	d.pos = start
	return -1, d.Skip()
}
