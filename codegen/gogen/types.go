package gogen

import (
	"fmt"
	"go/token"
	"slices"
	"strconv"
	"strings"

	"github.com/mobula-dev/mobula/codegen/model"
)

// spell writes a type as Go source, importing what it needs.
func (f *file) spell(t *model.Type) string {
	switch t.Kind {
	case model.Slice:
		return "[]" + f.spell(t.Elem)
	case model.Array:
		return "[" + strconv.FormatInt(t.Len, 10) + "]" + f.spell(t.Elem)
	case model.Map:
		return "map[" + f.spell(t.Key) + "]" + f.spell(t.Elem)
	case model.Pointer:
		return "*" + f.spell(t.Elem)
	case model.Struct:
		return f.structure(t.Fields)
	case model.Union:
		terms := make([]string, 0, len(t.Terms))
		for _, term := range t.Terms {
			tilde := ""
			if term.Tilde {
				tilde = "~"
			}
			terms = append(terms, tilde+f.spell(term.Type))
		}
		return strings.Join(terms, " | ")
	case model.Named, model.Alias, model.Handle:
		return f.name(t.Name) + f.args(t.Args)
	case model.Ref:
		return f.mobula("Ref") + "[" + f.spell(t.Elem) + "]"
	case model.Parameter:
		return t.Name.Name
	default:
		if t.Name.Name != "" {
			return t.Name.Name
		}
		return t.Kind.Word()
	}
}

// name writes the name of a declared type.
func (f *file) name(n model.Name) string {
	if n.Path == "" || n.Path == f.model.Path {
		return n.Name
	}
	return f.use(n.Path, n.Package) + "." + n.Name
}

// args writes type arguments.
func (f *file) args(list []*model.Type) string {
	if len(list) == 0 {
		return ""
	}
	out := make([]string, 0, len(list))
	for _, a := range list {
		out = append(out, f.spell(a))
	}
	return "[" + strings.Join(out, ", ") + "]"
}

// structure writes a structure without a name.
func (f *file) structure(fields []model.Field) string {
	if len(fields) == 0 {
		return "struct{}"
	}
	var b strings.Builder
	b.WriteString("struct {\n")
	for _, field := range fields {
		if !field.Embedded {
			b.WriteString(field.Source + " ")
		}
		b.WriteString(f.spell(field.Type))
		if field.Tag != "" {
			b.WriteString(" " + quote(field.Tag))
		}
		b.WriteString("\n")
	}
	b.WriteString("}")
	return b.String()
}

// quote quotes a struct tag, with backquotes where that is possible, as people do.
func quote(tag string) string {
	if strconv.CanBackquote(tag) {
		return "`" + tag + "`"
	}
	return strconv.Quote(tag)
}

// reachable reports whether the file can mention a type: it is exported or of the same package, and not internal to
// somebody else's tree.
func (f *file) reachable(t *model.Type) bool {
	ok := true
	t.Walk(func(t *model.Type) bool {
		if n := t.Name; n.Path != "" && n.Path != f.model.Path {
			ok = ok && token.IsExported(n.Name) && n.Package != "main" && importable(n.Path, f.model.Path)
		}
		// What stands behind an alias need not be mentioned.
		if t.Kind == model.Alias {
			for _, a := range t.Args {
				ok = ok && f.reachable(a)
			}
			return false
		}
		return ok
	})
	return ok
}

// importable reports whether a package may import a path, as far as directories named internal decide that.
func importable(path, from string) bool {
	elements := strings.Split(path, "/")
	for i, element := range slices.Backward(elements) {
		if element == "internal" {
			parent := strings.Join(elements[:i], "/")
			return from == parent || strings.HasPrefix(from, parent+"/") || parent == ""
		}
	}
	return true
}

// funcType writes the type of a source function; receiver is put before its parameters.
func (f *file) funcType(s model.Signature, receiver, result string) string {
	var params, results []string
	if receiver != "" {
		params = append(params, receiver)
	}
	if s.Context {
		params = append(params, f.context())
	}
	for i, p := range s.Params {
		if s.Variadic && i == len(s.Params)-1 {
			params = append(params, "..."+f.spell(p.Type.Elem))
		} else {
			params = append(params, f.spell(p.Type))
		}
	}
	if result != "" {
		results = append(results, result)
	}
	for _, r := range s.Results {
		results = append(results, f.spell(r.Type))
	}
	if s.Fails {
		results = append(results, "error")
	}
	out := "func(" + strings.Join(params, ", ") + ")"
	switch len(results) {
	case 0:
	case 1:
		out += " " + results[0]
	default:
		out += " (" + strings.Join(results, ", ") + ")"
	}
	return out
}

// list writes "name type" pairs, naming a type once for neighbours that share it.
func list(pairs [][2]string) string {
	var b strings.Builder
	for i, p := range pairs {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(p[0])
		if i+1 == len(pairs) || pairs[i+1][1] != p[1] {
			fmt.Fprintf(&b, " %s", p[1])
		}
	}
	return b.String()
}
