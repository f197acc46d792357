package parse

import (
	"go/types"

	"github.com/mobula-dev/mobula/codegen/model"
)

// basicKinds are the kinds of basic types.
var basicKinds = map[types.BasicKind]model.Kind{
	types.Bool: model.Bool, types.Int: model.Int, types.Int8: model.Int8, types.Int16: model.Int16, types.Int32: model.Int32,
	types.Int64: model.Int64, types.Uint: model.Uint, types.Uint8: model.Uint8, types.Uint16: model.Uint16,
	types.Uint32: model.Uint32, types.Uint64: model.Uint64, types.Float32: model.Float32, types.Float64: model.Float64,
	types.Complex64: model.Complex64, types.Complex128: model.Complex128, types.String: model.String,
}

// spell describes a type as it is written. It defines nothing; what cannot be sent at all cannot be spelled either.
func (s *schemas) spell(t types.Type) (*model.Type, *fault) {
	switch x := t.(type) {
	case *types.Basic:
		return s.spellBasic(x)
	case *types.Alias:
		return s.spellAlias(x)
	case *types.Named:
		return s.spellNamed(x)
	case *types.TypeParam:
		return &model.Type{Kind: model.Parameter, Name: model.Name{Name: x.Obj().Name()}}, nil
	case *types.Slice:
		return s.spellElem(model.Type{Kind: model.Slice}, x.Elem(), "[]")
	case *types.Array:
		return s.spellElem(model.Type{Kind: model.Array, Len: x.Len()}, x.Elem(), "[]")
	case *types.Pointer:
		return s.spellElem(model.Type{Kind: model.Pointer}, x.Elem(), "")
	case *types.Map:
		key, bad := s.spell(x.Key())
		if bad != nil {
			return nil, bad.under("[key]")
		}
		return s.spellElem(model.Type{Kind: model.Map, Key: key}, x.Elem(), "[]")
	case *types.Struct:
		fields, whole, bad := s.fields(x)
		if bad == nil && !whole {
			bad = s.fault(x, reason{"a structure without a name must have none but exported fields", "declare a type for it"})
		}
		return &model.Type{Kind: model.Struct, Fields: fields, Whole: whole}, bad
	case *types.Interface:
		if x.NumMethods() == 0 && !x.IsComparable() && x.NumEmbeddeds() == 0 {
			return &model.Type{Kind: model.Any}, nil
		}
		return nil, s.fault(x, reasonInterface)
	case *types.Signature, *types.Chan:
		return nil, s.fault(x, reasonFunc)
	default:
		return nil, s.fault(x, reasonNoValue)
	}
}

// spellBasic describes a basic type.
func (s *schemas) spellBasic(t *types.Basic) (*model.Type, *fault) {
	if bad := s.sendBasic(t); bad != nil {
		return nil, bad
	}
	out := &model.Type{Kind: basicKinds[t.Kind()]}
	if t.Name() != out.Kind.Word() {
		out.Name.Name = t.Name()
	}
	return out, nil
}

// spellElem completes the description of a type that is made of another.
func (s *schemas) spellElem(out model.Type, elem types.Type, step string) (*model.Type, *fault) {
	var bad *fault
	out.Elem, bad = s.spell(elem)
	return &out, bad.maybeUnder(step)
}

// spellAlias describes an alias. The predeclared any is no more than its word.
func (s *schemas) spellAlias(t *types.Alias) (*model.Type, *fault) {
	target, bad := s.spell(types.Unalias(t))
	if bad != nil || t.Obj().Pkg() == nil {
		return target, bad
	}
	args, bad := s.spellArgs(t.TypeArgs())
	return &model.Type{Kind: model.Alias, Name: nameOf(t.Obj()), Args: args, Elem: target}, bad
}

// spellNamed describes a declared type.
func (s *schemas) spellNamed(t *types.Named) (*model.Type, *fault) {
	if t == errorType {
		return &model.Type{Kind: model.Error}, nil
	}
	args, bad := s.spellArgs(t.TypeArgs())
	if bad != nil {
		return nil, bad
	}
	out := &model.Type{Kind: model.Named, Name: nameOf(t.Obj()), Args: args}
	if pathName(t) == RuntimePath+".Ref" && len(args) == 1 {
		out.Kind, out.Elem = model.Ref, args[0]
		return out, nil
	}
	if form, bad := s.special(t); bad == nil && form == formRef {
		out.Kind = model.Handle
	}
	return out, nil
}

// spellArgs describes type arguments.
func (s *schemas) spellArgs(list *types.TypeList) ([]*model.Type, *fault) {
	var out []*model.Type
	for arg := range list.Types() {
		t, bad := s.spell(arg)
		if bad != nil {
			return nil, bad
		}
		out = append(out, t)
	}
	return out, nil
}

// nameOf returns the name of a declared type.
func nameOf(obj *types.TypeName) model.Name {
	n := model.Name{Name: obj.Name()}
	if p := obj.Pkg(); p != nil {
		n.Path, n.Package = p.Path(), p.Name()
	}
	return n
}

// constraint describes the constraint of a type parameter; nil if it can only be written in place.
func (s *schemas) constraint(t types.Type) *model.Type {
	switch x := t.(type) {
	case *types.Alias, *types.Named:
		if out, bad := s.spell(x); bad == nil {
			return out
		}
		// An alias of an interface cannot be spelled as a value, but it has a name.
		if a, ok := x.(*types.Alias); ok {
			if args, bad := s.spellArgs(a.TypeArgs()); bad == nil {
				return &model.Type{Kind: model.Named, Name: nameOf(a.Obj()), Args: args}
			}
		}
		return nil
	case *types.Interface:
		if x.NumMethods() == 0 && x.NumEmbeddeds() == 0 {
			return &model.Type{Kind: model.Any}
		}
		if x.NumExplicitMethods() == 0 && x.NumEmbeddeds() == 1 {
			return s.constraint(x.EmbeddedType(0))
		}
		return nil
	case *types.Union:
		return s.union(x)
	default:
		out, bad := s.spell(t)
		if bad != nil {
			return nil
		}
		return &model.Type{Kind: model.Union, Terms: []model.Term{{Type: out}}}
	}
}

// union describes a union; nil if a term cannot be spelled.
func (s *schemas) union(u *types.Union) *model.Type {
	out := &model.Type{Kind: model.Union}
	for t := range u.Terms() {
		spelled, bad := s.spell(t.Type())
		if bad != nil {
			return nil
		}
		out.Terms = append(out.Terms, model.Term{Tilde: t.Tilde(), Type: spelled})
	}
	return out
}
