package model

import (
	"slices"
	"strings"
)

// Form is how values of a declared type are sent.
type Form uint8

// The forms of declared types.
const (
	// Plain values are sent as those of Definition.Type.
	Plain Form = iota
	// Structure values are sent as maps from the names of Definition.Fields.
	Structure
	// Text values are sent as the text that the type makes of them.
	Text
	// Binary values are sent as the bytes that the type makes of them.
	Binary
	// Message values are protobuf messages.
	Message
	// AnyMessage values are protobuf messages of any type.
	AnyMessage
	// Time, Duration, BigInt and Tensor values have a form of their own in docs/values.md.
	Time
	Duration
	BigInt
	Tensor
)

// formNames are the words for the forms in schemas.
var formNames = [...]string{"plain", "structure", "text", "binary", "message", "any-message", "time", "duration", "bigint", "tensor"}

// String returns the word for the form.
func (f Form) String() string { return formNames[f] }

// Definition is what a declared type is.
type Definition struct {
	// Type is the declared type as it is referred to, with its type arguments.
	Type *Type
	// Doc is the doc comment of a type of the module that is being generated for.
	Doc string
	// Form is how its values are sent.
	Form Form
	// Underlying is what a Plain type is made of.
	Underlying *Type
	// Fields are those of a Structure, in the order of the source.
	Fields []Field
	// Whole is true if the source has no field that is not in Fields, so that its shape can be written down.
	Whole bool
	// Local is true if the type is declared in the module that is being generated for, and can so change with it.
	Local bool
}

// Field is a field of a structure.
type Field struct {
	// Name is its name on the wire.
	Name string
	// Source is its identifier in the source.
	Source string
	// Type is what is sent.
	Type *Type
	// OmitEmpty is true if an empty value is left out.
	OmitEmpty bool
	// Flat is true if the field is a structure whose fields count as those of the outer one.
	Flat bool
	// Embedded is true if the source embeds the field, whether or not it is flat.
	Embedded bool
	// Tag is the field's tag in the source, verbatim.
	Tag string
	// Doc is the doc comment of a field of the module that is being generated for.
	Doc string
}

// Wire returns the fields of a structure as they are sent, those of flat ones in place, sorted by name.
func (ts Types) Wire(fields []Field) []Field {
	var out []Field
	for _, f := range fields {
		if !f.Flat {
			out = append(out, f)
			continue
		}
		inner := f.Type.Target()
		if inner.Kind == Struct {
			out = append(out, ts.Wire(inner.Fields)...)
		} else if d := ts[inner.ID()]; d != nil {
			out = append(out, ts.Wire(d.Fields)...)
		}
	}
	slices.SortStableFunc(out, func(a, b Field) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// writeFields writes fields for an ID.
func writeFields(b *strings.Builder, fields []Field) {
	b.WriteString("{")
	for i, f := range fields {
		if i > 0 {
			b.WriteString(";")
		}
		if f.Flat {
			b.WriteString("+")
		}
		b.WriteString(f.Name)
		if f.OmitEmpty {
			b.WriteString("?")
		}
		b.WriteString(" ")
		f.Type.write(b)
	}
	b.WriteString("}")
}
