// Package errorvalue reads and writes values that are errors, as every party to a session exchanges them: a Value whose format is ERROR
// and whose metadata is an ErrorValue.
package errorvalue

import (
	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"
)

// Encode makes an encoded Value of an error.
func Encode(e *mobulav1.ErrorValue) []byte {
	meta, err := e.MarshalVT()
	if err != nil {
		panic("invariant: an ErrorValue encodes: " + err.Error())
	}
	v := mobulav1.Value{Format: mobulav1.ValueFormat_VALUE_FORMAT_ERROR, Meta: meta}
	b, err := v.MarshalVT()
	if err != nil {
		panic("invariant: a Value encodes: " + err.Error())
	}
	return b
}

// Decode reads the error of an encoded Value. One that cannot be read is itself an error, of kind INTERNAL, that says so.
func Decode(encoded []byte) *mobulav1.ErrorValue {
	var v mobulav1.Value
	if err := v.UnmarshalVT(encoded); err != nil {
		return unreadable(err.Error())
	}
	if v.GetFormat() != mobulav1.ValueFormat_VALUE_FORMAT_ERROR {
		return unreadable("its format is " + v.GetFormat().String())
	}
	e := new(mobulav1.ErrorValue)
	if err := e.UnmarshalVT(v.GetMeta()); err != nil {
		return unreadable(err.Error())
	}
	return e
}

func unreadable(why string) *mobulav1.ErrorValue {
	return &mobulav1.ErrorValue{Kind: mobulav1.ErrorKind_ERROR_KIND_INTERNAL, Message: "error value cannot be read: " + why}
}
