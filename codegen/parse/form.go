package parse

import (
	"go/token"
	"go/types"
	"strings"

	"github.com/mobula-dev/mobula/codegen/model"
)

// Forms that only this package distinguishes.
const (
	// formKind is the form of types that are sent as their kind is.
	formKind model.Form = 100 + iota
	// formRef is the form of refs and actor handles.
	formRef
)

// nativeForms are the types that have a form of their own.
var nativeForms = map[string]model.Form{
	"time.Time":                            model.Time,
	"time.Duration":                        model.Duration,
	"math/big.Int":                         model.BigInt,
	RuntimePath + "/internal/codec.Tensor": model.Tensor,
	"google.golang.org/protobuf/reflect/protoreflect.ProtoMessage": model.AnyMessage,
}

// refusedTypes are types whose methods would lose a part of the value without a word.
var refusedTypes = map[string]reason{
	"math/big.Float": {"its text form loses the precision", "send a string and the precision"},
}

// pathName returns "import/path.Name" of a declared type; empty for others.
func pathName(t types.Type) string {
	n, ok := types.Unalias(t).(*types.Named)
	if !ok || n.Obj().Pkg() == nil {
		return ""
	}
	return n.Obj().Pkg().Path() + "." + n.Obj().Name()
}

// special returns the form of a type that is not sent as its kind is, or formKind.
func (s *schemas) special(t types.Type) (model.Form, *fault) {
	t = types.Unalias(t)
	if name := pathName(t); name != "" {
		if form, ok := nativeForms[name]; ok {
			return form, nil
		}
		if bad, ok := refusedTypes[name]; ok {
			return formKind, s.fault(t, bad)
		}
	}
	switch t.Underlying().(type) {
	case *types.Pointer, *types.Interface:
		return formKind, nil
	}
	for _, m := range methodForms {
		if !m.of(t) {
			continue
		}
		promoted, bad := s.mayBePromoted(t, m.of)
		if bad != nil {
			return formKind, bad
		}
		if !promoted {
			return m.form, nil
		}
	}
	if hasMethod(t, "MobulaEncodeRef") != hasMethod(t, "MobulaDecodeRef") {
		return formKind, s.fault(t, reason{"it has one of MobulaEncodeRef and MobulaDecodeRef, but not the other", "implement both"})
	}
	return formKind, nil
}

// methodForms are the ways in which a type's methods decide its form, the first that applies.
var methodForms = []struct {
	of   func(types.Type) bool
	form model.Form
}{
	{func(t types.Type) bool { return hasMethod(t, "MobulaEncodeRef") && hasMethod(t, "MobulaDecodeRef") }, formRef},
	{isMessage, model.Message},
	{func(t types.Type) bool { return marshals(t, "Text") }, model.Text},
	{func(t types.Type) bool { return marshals(t, "Binary") }, model.Binary},
}

// method returns the signature of a method of the pointer to t, or of t itself if it is an interface; nil if it has none.
func method(t types.Type, name string) *types.Signature {
	if _, ok := t.Underlying().(*types.Interface); !ok {
		t = types.NewPointer(t)
	}
	obj, _, _ := types.LookupFieldOrMethod(t, false, nil, name)
	fn, ok := obj.(*types.Func)
	if !ok {
		return nil
	}
	return fn.Signature()
}

func hasMethod(t types.Type, name string) bool { return method(t, name) != nil }

// isMessage reports whether a type is a generated protobuf message.
func isMessage(t types.Type) bool {
	sig := method(t, "ProtoReflect")
	return sig != nil && sig.Params().Len() == 0 && sig.Results().Len() == 1 &&
		strings.HasSuffix(pathName(sig.Results().At(0).Type()), "/protoreflect.Message")
}

// marshals reports whether a type has the methods of encoding.TextMarshaler and TextUnmarshaler, or of their Binary kin.
func marshals(t types.Type, kind string) bool {
	m, u := method(t, "Marshal"+kind), method(t, "Unmarshal"+kind)
	return m != nil && u != nil && types.Identical(m, marshalSignature) && types.Identical(u, unmarshalSignature)
}

// The signatures of the methods of package encoding.
var (
	bytesType          = types.NewSlice(types.Typ[types.Byte])
	marshalSignature   = types.NewSignatureType(nil, nil, nil, nil, tuple(bytesType, errorType), false)
	unmarshalSignature = types.NewSignatureType(nil, nil, nil, tuple(bytesType), tuple(errorType), false)
)

// tuple makes a tuple of types.
func tuple(list ...types.Type) *types.Tuple {
	vars := make([]*types.Var, 0, len(list))
	for _, t := range list {
		vars = append(vars, types.NewParam(token.NoPos, nil, "", t))
	}
	return types.NewTuple(vars...)
}

// mayBePromoted reports whether a structure may have got its methods from an embedded field, so that they would encode
// that field and lose the others. It is true where the structure can be sent field by field instead, and a fault where it
// cannot. It decides as package codec does, which does not see whose a method is.
func (s *schemas) mayBePromoted(t types.Type, of func(types.Type) bool) (bool, *fault) {
	st, ok := t.Underlying().(*types.Struct)
	if !ok || st.NumFields() < 2 {
		return false, nil
	}
	promotes, hidden := false, ""
	for f := range st.Fields() {
		switch {
		case f.Embedded() && of(indirect(f.Type())):
			promotes = true
		case !f.Exported() && f.Name() != "_":
			hidden = f.Name()
		}
	}
	switch {
	case !promotes:
		return false, nil
	case hidden != "":
		return false, s.fault(t, reason{"it embeds a type whose methods may encode that field alone and lose " + hidden, "give the embedded field a name"})
	default:
		return true, nil
	}
}

// indirect returns what a pointer points to, or the type itself.
func indirect(t types.Type) types.Type {
	if p, ok := types.Unalias(t).(*types.Pointer); ok {
		return p.Elem()
	}
	return t
}
