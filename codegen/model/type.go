package model

import (
	"strconv"
	"strings"
)

// Kind is the kind of a type.
type Kind uint8

// The kinds of types. The comment says which other fields of Type they use.
const (
	Bool Kind = iota + 1
	Int
	Int8
	Int16
	Int32
	Int64
	Uint
	Uint8
	Uint16
	Uint32
	Uint64
	Float32
	Float64
	Complex64
	Complex128
	String
	Any       // any plain value, its type known only when it is sent
	Error     // an error, as its text
	Slice     // Elem
	Array     // Elem, Len
	Map       // Key, Elem
	Pointer   // Elem, or nothing
	Struct    // Fields; a structure without a name of its own
	Named     // Name, Args; what it is says its Definition
	Alias     // Name, Args; another name of Elem
	Ref       // Name, Elem; a future of Elem
	Handle    // Name; a handle of an actor
	Parameter // Name; a type parameter
	Union     // Terms; a constraint written in place
)

// basicNames are the kinds that are a word of the language.
var basicNames = map[Kind]string{
	Bool: "bool", Int: "int", Int8: "int8", Int16: "int16", Int32: "int32", Int64: "int64",
	Uint: "uint", Uint8: "uint8", Uint16: "uint16", Uint32: "uint32", Uint64: "uint64",
	Float32: "float32", Float64: "float64", Complex64: "complex64", Complex128: "complex128",
	String: "string", Any: "any", Error: "error",
}

// Word returns the word for a kind that needs no more than one, such as "int"; empty for other kinds.
func (k Kind) Word() string { return basicNames[k] }

// Type is a type as it is written: declared types are referred to by name, and Types says what they are.
type Type struct {
	Kind Kind
	// Name is the declared name; for a basic kind its other word, "byte" or "rune", if that was written.
	Name Name
	// Args are the type arguments of a declared type.
	Args []*Type
	// Key is the key of a map.
	Key *Type
	// Elem is what a list, pointer or ref holds, and what an alias stands for.
	Elem *Type
	// Len is the length of an array.
	Len int64
	// Fields are those of a structure without a name.
	Fields []Field
	// Whole is as in Definition, for a structure without a name.
	Whole bool
	// Terms are the alternatives of a union.
	Terms []Term
}

// Term is one alternative of a constraint.
type Term struct {
	// Tilde is true if types whose underlying type is Type are meant too.
	Tilde bool
	Type  *Type
}

// Target returns the type without the aliases around it.
func (t *Type) Target() *Type {
	for t.Kind == Alias {
		t = t.Elem
	}
	return t
}

// ID returns the type as text in which names are qualified by import path and aliases are replaced by what they stand
// for: equal for identical types, and the key of Types for declared ones.
func (t *Type) ID() string {
	var b strings.Builder
	t.write(&b)
	return b.String()
}

// write writes the ID of the type.
func (t *Type) write(b *strings.Builder) {
	switch t.Kind {
	case Slice:
		b.WriteString("[]")
		t.Elem.write(b)
	case Array:
		b.WriteString("[" + strconv.FormatInt(t.Len, 10) + "]")
		t.Elem.write(b)
	case Map:
		b.WriteString("map[")
		t.Key.write(b)
		b.WriteString("]")
		t.Elem.write(b)
	case Pointer:
		b.WriteString("*")
		t.Elem.write(b)
	case Ref:
		b.WriteString("ref[")
		t.Elem.write(b)
		b.WriteString("]")
	case Handle:
		b.WriteString("actor ")
		t.Name.write(b)
	case Struct:
		writeFields(b, t.Fields)
	case Alias:
		t.Elem.write(b)
	case Named:
		t.Name.write(b)
		writeList(b, "[", t.Args, "]")
	case Parameter:
		b.WriteString(t.Name.Name)
	case Union:
		for i, term := range t.Terms {
			if i > 0 {
				b.WriteString("|")
			}
			if term.Tilde {
				b.WriteString("~")
			}
			term.Type.write(b)
		}
	default:
		b.WriteString(t.Kind.Word())
	}
}

func (n Name) write(b *strings.Builder) {
	if n.Path != "" {
		b.WriteString(n.Path + ".")
	}
	b.WriteString(n.Name)
}

// writeList writes the IDs of types between brackets; nothing at all for no types.
func writeList(b *strings.Builder, open string, list []*Type, closing string) {
	for i, t := range list {
		if i == 0 {
			b.WriteString(open)
		} else {
			b.WriteString(",")
		}
		t.write(b)
	}
	if len(list) > 0 {
		b.WriteString(closing)
	}
}

// Walk calls visit for the type and for every type that is written inside it, but not for what declared types are made
// of. It does not go below a type for which visit returns false.
func (t *Type) Walk(visit func(*Type) bool) {
	if t == nil || !visit(t) {
		return
	}
	for _, a := range t.Args {
		a.Walk(visit)
	}
	t.Key.Walk(visit)
	t.Elem.Walk(visit)
	for _, f := range t.Fields {
		f.Type.Walk(visit)
	}
	for _, term := range t.Terms {
		term.Type.Walk(visit)
	}
}
