package parse

import (
	"fmt"
	"go/token"
	"go/types"
	"reflect"
	"strings"

	"github.com/mobula-dev/mobula/codegen/model"
)

// schemas turns Go types into schemas. What can be sent is decided exactly as package codec decides it at run time, so
// that what passes here passes there.
type schemas struct {
	// pkg is the package that is described; its types are named without it.
	pkg *types.Package
	// own reports whether a package, by import path, belongs to the module that is being worked on.
	own func(path string) bool
	// docs are the doc comments of types and fields of that module, by the position of their names.
	docs map[token.Pos]string
	// types has the definitions that were made, and faults why one could not be, by the ID of the type.
	types  model.Types
	faults map[string]*fault
}

// fault says why a type cannot be sent. It grows its path on the way up.
type fault struct {
	// steps lead to the place, outermost first, as in ".Hooks", "[]", ".Fn".
	steps []string
	// goType is the type there, and reason why it cannot be sent.
	goType string
	reason reason
	// unresolved is true if the type checker could not make sense of the type; at is where.
	unresolved bool
	at         token.Pos
}

// reason is why a type cannot be sent, and what to do about it.
type reason struct{ why, fix string }

// Reasons that occur more than once.
var (
	reasonFunc      = reason{"functions and channels do not cross processes", "make it a name by which the other side finds it"}
	reasonAddress   = reason{"an address means nothing in another process", "make it a number"}
	reasonInterface = reason{"its reader cannot know which type to make", "use a concrete type, or any for plain data"}
	reasonKey       = reason{"nobody could find an entry of the map again by such a key", "use strings or numbers as keys"}
	reasonNoValue   = reason{"it is no type of values", "use another type"}
)

// under returns the fault as seen from outside, one step up.
func (f *fault) under(step string) *fault {
	out := *f
	if step != "" {
		out.steps = append([]string{step}, f.steps...)
	}
	return &out
}

// why returns the path and what is wrong there, for a value of type t that is called name.
func (f *fault) why(t types.Type, name string) string {
	path := strings.Join(f.steps, "")
	if path == "" {
		return fmt.Sprintf("%s cannot be sent: %s", f.goType, f.reason.why)
	}
	if base := baseName(t); base != "" && strings.HasPrefix(path, ".") {
		name = base
	}
	return fmt.Sprintf("%s is %s: %s", name+path, f.goType, f.reason.why)
}

// fix returns what to do about it.
func (f *fault) fix() string {
	if strings.Contains(strings.Join(f.steps, ""), ".") {
		return f.reason.fix + `, or mark the field mobula:"-"`
	}
	return f.reason.fix
}

// baseName returns the name of a declared type, behind pointers; empty if it has none.
func baseName(t types.Type) string {
	for {
		switch x := types.Unalias(t).(type) {
		case *types.Pointer:
			t = x.Elem()
		case *types.Named:
			return x.Obj().Name()
		default:
			return ""
		}
	}
}

// fault says that t cannot be sent.
func (s *schemas) fault(t types.Type, r reason) *fault {
	return &fault{goType: types.TypeString(t, types.RelativeTo(s.pkg)), reason: r}
}

// send checks that values of t can be sent and defines the declared types in it.
func (s *schemas) send(t types.Type) *fault {
	switch x := t.(type) {
	case *types.Alias:
		return s.send(types.Unalias(x))
	case *types.Named:
		return s.sendNamed(x)
	}
	form, fault := s.special(t)
	if fault != nil || form != formKind {
		return fault
	}
	return s.sendKind(t)
}

// sendNamed checks a declared type and defines it.
func (s *schemas) sendNamed(t *types.Named) *fault {
	if t.Obj().Type() == errorType {
		return nil
	}
	spelled, bad := s.spell(t)
	if bad != nil {
		return bad
	}
	if spelled.Kind == model.Ref {
		return s.send(t.TypeArgs().At(0)).maybeUnder(".Get()")
	}
	if spelled.Kind == model.Handle {
		return nil
	}
	id := spelled.ID()
	if f := s.faults[id]; f != nil {
		return f
	}
	if s.types[id] != nil {
		return nil // done, or under way
	}
	if len(id) > idMax {
		return s.fault(t, reason{"its type arguments are nested too deeply", "use a type that is not made of ever larger ones"})
	}
	d := &model.Definition{
		Type: spelled, Doc: s.docs[t.Obj().Pos()], Local: t.Obj().Pkg() != nil && s.own(t.Obj().Pkg().Path()),
	}
	s.types[id] = d
	if f := s.define(d, t); f != nil {
		s.faults[id] = f
		return f
	}
	return nil
}

// idMax ends generic types that contain ever larger instances of themselves.
const idMax = 4096

// maybeUnder is under, for a fault that may be nil.
func (f *fault) maybeUnder(step string) *fault {
	if f == nil {
		return nil
	}
	return f.under(step)
}

// define fills the definition of a declared type.
func (s *schemas) define(d *model.Definition, t *types.Named) *fault {
	form, bad := s.special(t)
	if bad != nil {
		return bad
	}
	if form != formKind {
		d.Form = form
		return nil
	}
	under := t.Underlying()
	if st, ok := under.(*types.Struct); ok {
		d.Form = model.Structure
		if bad := s.sendFields(t, st); bad != nil {
			return bad
		}
		d.Fields, d.Whole, bad = s.fields(st)
		return bad
	}
	if bad := s.sendKind(under); bad != nil {
		return s.named(bad, t)
	}
	d.Underlying, bad = s.spell(under)
	return bad
}

// named puts the declared type into a fault that is about the type as a whole.
func (s *schemas) named(f *fault, t types.Type) *fault {
	if len(f.steps) > 0 || f.unresolved {
		return f
	}
	return s.fault(t, f.reason)
}

// sendKind checks a type that is sent as its kind is.
func (s *schemas) sendKind(t types.Type) *fault {
	switch x := t.(type) {
	case *types.Basic:
		return s.sendBasic(x)
	case *types.Slice:
		return s.send(x.Elem()).maybeUnder("[]")
	case *types.Array:
		return s.send(x.Elem()).maybeUnder("[]")
	case *types.Pointer:
		return s.send(x.Elem())
	case *types.Map:
		return s.sendMap(x)
	case *types.Struct:
		return s.sendFields(t, x)
	case *types.Interface:
		if x.NumMethods() == 0 && !x.IsComparable() && x.NumEmbeddeds() == 0 {
			return nil
		}
		return s.fault(t, reasonInterface)
	case *types.Signature, *types.Chan:
		return s.fault(t, reasonFunc)
	default:
		return s.fault(t, reasonNoValue)
	}
}

// sendBasic checks a basic type.
func (s *schemas) sendBasic(t *types.Basic) *fault {
	switch {
	case t.Kind() == types.Invalid:
		return &fault{goType: "a type", unresolved: true}
	case t.Kind() == types.Uintptr, t.Kind() == types.UnsafePointer:
		return s.fault(t, reasonAddress)
	case t.Info()&types.IsUntyped != 0:
		return s.fault(t, reasonNoValue)
	default:
		return nil
	}
}

// sendMap checks a map.
func (s *schemas) sendMap(t *types.Map) *fault {
	if f := s.send(t.Key()); f != nil {
		return f.under("[key]")
	}
	if s.unfitKey(t.Key(), false) {
		return s.fault(t.Key(), reasonKey).under("[key]")
	}
	return s.send(t.Elem()).maybeUnder("[]")
}

// unfitKey reports whether a type, or in a part of a key a part, is equal only to itself.
func (s *schemas) unfitKey(t types.Type, part bool) bool {
	form, _ := s.special(t)
	switch {
	case form == formRef || form == model.Message || types.Unalias(t) == errorType || form == model.AnyMessage:
		return true
	case form != formKind:
		return false
	}
	switch x := t.Underlying().(type) {
	case *types.Pointer:
		return true
	case *types.Interface:
		return part
	case *types.Array:
		return s.unfitKey(x.Elem(), true)
	case *types.Struct:
		for f := range x.Fields() {
			if s.unfitKey(f.Type(), true) {
				return true
			}
		}
	}
	return false
}

// errorType is the predeclared error.
var errorType = types.Universe.Lookup("error").Type()

// sendFields checks the fields of a structure, and that nothing would be lost without a word.
func (s *schemas) sendFields(t types.Type, st *types.Struct) *fault {
	names := map[string]bool{}
	hidden := false
	if f := s.gather(st, "", names, &hidden); f != nil {
		return f
	}
	if len(names) == 0 && hidden {
		return s.fault(t, reason{"it has only unexported fields, which would be lost", "export them, or implement encoding.TextMarshaler and TextUnmarshaler"})
	}
	return nil
}

// gather checks the fields of one structure, those of flattened ones in place.
func (s *schemas) gather(st *types.Struct, path string, names map[string]bool, hidden *bool) *fault {
	for i := range st.NumFields() {
		f := st.Field(i)
		step := path + "." + f.Name()
		name, _, bad := parseTag(f, st.Tag(i))
		switch {
		case bad != nil:
			return s.fault(f.Type(), *bad).under(step)
		case name == "-" || f.Name() == "_":
		case s.flattens(f, st.Tag(i)):
			if inner, ok := f.Type().Underlying().(*types.Struct); ok {
				if bad := s.gather(inner, step, names, hidden); bad != nil {
					return bad
				}
			}
		case !f.Exported():
			*hidden = true
			if f.Embedded() && loses(f.Type()) {
				return s.fault(f.Type(), reason{"the fields behind an unexported embedded pointer would be lost", "embed it by value"}).under(step)
			}
		case names[name]:
			return s.fault(f.Type(), reason{fmt.Sprintf("another field has the name %q too", name), "give one another name with a mobula tag"}).under(step)
		default:
			names[name] = true
			if bad := s.send(f.Type()); bad != nil {
				bad = bad.under(step)
				if bad.unresolved && bad.at == token.NoPos {
					bad.at = f.Pos()
				}
				return bad
			}
		}
	}
	return nil
}

// fields describes the fields of a structure, and reports whether they are all that the source has.
func (s *schemas) fields(st *types.Struct) ([]model.Field, bool, *fault) {
	var out []model.Field
	whole := true
	for i := range st.NumFields() {
		f := st.Field(i)
		name, omit, _ := parseTag(f, st.Tag(i))
		flat := s.flattens(f, st.Tag(i))
		if name == "-" || f.Name() == "_" || !f.Exported() && !flat {
			whole = false
			continue
		}
		t, bad := s.spell(f.Type())
		if bad != nil {
			return nil, false, bad.under("." + f.Name())
		}
		out = append(out, model.Field{
			Name: name, Source: f.Name(), Type: t, OmitEmpty: omit, Flat: flat, Embedded: f.Embedded(),
			Tag: st.Tag(i), Doc: s.docs[f.Pos()],
		})
	}
	return out, whole, nil
}

// flattens reports whether the fields of an embedded field count as those of the structure itself.
func (s *schemas) flattens(f *types.Var, tag string) bool {
	if _, ok := f.Type().Underlying().(*types.Struct); !f.Embedded() || !ok || reflect.StructTag(tag).Get("mobula") != "" {
		return false
	}
	form, bad := s.special(f.Type())
	return bad == nil && form == formKind
}

// loses reports whether leaving out an embedded pointer would hide exported fields.
func loses(t types.Type) bool {
	p, ok := t.Underlying().(*types.Pointer)
	if !ok {
		return false
	}
	st, ok := p.Elem().Underlying().(*types.Struct)
	if !ok {
		return false
	}
	for f := range st.Fields() {
		if f.Exported() {
			return true
		}
	}
	return false
}

// fieldNameMax is the longest name of a field on the wire, in bytes.
const fieldNameMax = 4 << 10

// parseTag reads the tag of a field: mobula:"name,omitempty", or "-" to skip it. The reason, if there is one, says what is
// wrong with it.
func parseTag(f *types.Var, tag string) (name string, omit bool, bad *reason) {
	value, tagged := reflect.StructTag(tag).Lookup("mobula")
	name, option, _ := strings.Cut(value, ",")
	switch {
	case name == "-" && option != "" || option != "" && option != "omitempty":
		bad = &reason{fmt.Sprintf("its tag is mobula:%q", value), `write mobula:"name" or mobula:"name,omitempty"`}
	case len(name) > fieldNameMax || strings.ToValidUTF8(name, "") != name:
		bad = &reason{fmt.Sprintf("its name is not UTF-8 of at most %d bytes", fieldNameMax), "give it another name"}
	case tagged && name != "-" && !f.Exported():
		bad = &reason{"it has a mobula tag but is unexported", "export it, or remove the tag"}
	}
	if name == "" {
		name = f.Name()
	}
	return name, option == "omitempty", bad
}
