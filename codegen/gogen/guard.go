package gogen

import (
	"slices"
	"strconv"
	"strings"

	"github.com/mobula-dev/mobula/codegen/model"
)

// guards writes what stops compiling when the source is no longer what the stubs were generated from. The names of the
// types and variables in it are the message: they are what the compiler prints.
func (f *file) guards() {
	f.say("What follows does not compile if the source has changed since this file was generated. Then run go generate.")
	f.p("func _() {")
	f.each(func(s stubFunc, a *model.Actor, zero bool) {
		for i, in := range s.fn.Instances {
			name := s.fn.Name
			switch {
			case zero:
				f.p("_ = new(%s)", a.Name)
			case s.handle != "":
				f.guardFunc(name, name, f.funcType(in.Signature, "", "*"+a.Name))
			case s.receiver != "":
				f.guardFunc(a.Name+name, "(*"+a.Name+")."+name, f.funcType(in.Signature, "*"+a.Name, ""))
			case i > 0:
				f.guardFunc(name+strconv.Itoa(i+1), name+f.args(in.Args), f.funcType(in.Signature, "", ""))
			default:
				f.guardFunc(name, name+f.args(in.Args), f.funcType(in.Signature, "", ""))
			}
		}
	})
	f.p("}\n")
	for _, d := range f.local() {
		f.guardStruct(d)
	}
}

// stale ends the names that the compiler prints.
const stale = "HasChanged_RunGoGenerate"

// guardFunc writes the assertion that a function has a type.
func (f *file) guardFunc(name, expr, typ string) {
	f.p("type %s%s %s", name, stale, typ)
	f.p("var _ %s%s = %s", name, stale, expr)
}

// local returns the structures of the module that signatures reach and that the file can mention, sorted.
func (f *file) local() []*model.Definition {
	ids := map[string]bool{}
	f.each(func(s stubFunc, _ *model.Actor, _ bool) {
		for _, in := range s.fn.Instances {
			for _, id := range f.model.Types.Reach(in.Signature) {
				ids[id] = true
			}
		}
	})
	var out []*model.Definition
	for id := range ids {
		d := f.model.Types[id]
		if d.Local && d.Form == model.Structure && f.reachable(d.Type) {
			out = append(out, d)
		}
	}
	slices.SortFunc(out, func(a, b *model.Definition) int { return strings.Compare(a.Type.ID(), b.Type.ID()) })
	return out
}

// guardStruct writes the assertion that a structure has its shape. One whose fields are all sent is compared as a whole,
// so that new fields are noticed; of another, the types of the fields that are sent are.
func (f *file) guardStruct(d *model.Definition) {
	if len(d.Fields) == 0 && d.Whole {
		return
	}
	whole := d.Whole
	var fields []model.Field
	for _, field := range d.Fields {
		if f.reachable(field.Type) {
			fields = append(fields, field)
		} else {
			whole = false
		}
	}
	name := d.Type.Name.Name + stale
	if whole {
		f.p("func _() {")
		f.p("var %s %s", name, f.structure(fields))
		f.p("var _ %s = %s", f.spell(d.Type), name)
		f.p("}\n")
		return
	}
	if len(fields) == 0 {
		return
	}
	f.p("func _(%s *%s) {", name, f.spell(d.Type))
	for _, field := range fields {
		f.p("var _ *%s = &%s.%s", f.spell(field.Type), name, field.Source)
	}
	f.p("}\n")
}
