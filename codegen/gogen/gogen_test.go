package gogen

import (
	"cmp"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/mobula-dev/mobula/codegen/model"
)

// The files themselves are compared with golden ones, compiled and run by the tests of cmd/mobula-gen.

func TestFreshNamesAreFreeAndAsWantedIfPossible(t *testing.T) {
	t.Parallel()
	n := names{"a": true, "a2": true}
	for _, want := range []string{"a3", "a4"} {
		if got := n.fresh("a"); got != want {
			t.Errorf("fresh(a) = %s, want %s", got, want)
		}
	}
	if got := n.fresh("type"); got != "type2" {
		t.Errorf("fresh(type) = %s, want type2: the word is a keyword", got)
	}
	if got := n.fresh("b"); got != "b" {
		t.Errorf("fresh(b) = %s", got)
	}
}

func TestInternalPackagesAreImportedOnlyFromTheirTree(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		path, from string
		want       bool
	}{
		{"a/b", "c", true}, {"a/internal", "a", true}, {"a/internal/b", "a/c/d", true}, {"a/internal/b", "ab", false},
		{"a/internal/b", "c", false}, {"internal/abi", "a", true}, {"a/internal/b/internal/c", "a/d", false},
		{"a/internal/b/internal/c", "a/internal/b/d", true}, {"a/internals", "c", true},
	} {
		if got := importable(c.path, c.from); got != c.want {
			t.Errorf("importable(%s, %s) = %t, want %t", c.path, c.from, got, c.want)
		}
	}
}

func TestAmountsAreWrittenAsPeopleDo(t *testing.T) {
	t.Parallel()
	for n, want := range map[int64]string{0: "0", 1000: "1000", 1 << 20: "1 << 20", 512 << 20: "512 << 20", 3 << 29: "1536 << 20", 1 << 41: "2 << 40"} {
		if got := bytesOf(n); got != want {
			t.Errorf("bytesOf(%d) = %s, want %s", n, got, want)
		}
	}
	if got := number(0.0001); got != "0.0001" {
		t.Errorf("number(0.0001) = %s", got)
	}
}

// identifier draws what people call parameters, and what they should not.
var identifier = rapid.SampledFrom([]string{
	"", "_", "a", "b", "ctx", "opts", "call", "refs", "stub", "mobula", "context", "reflect", "fmt", "err", "in", "out", "actor", "instance",
	"nil", "int", "string", "error", "any", "arg1", "F", "Actor", "mobulaFuncs", "h", "handle", "result", "result1", "T", "p",
})

// schemaType draws a type.
func schemaType() *rapid.Generator[*model.Type] {
	return rapid.Custom(func(t *rapid.T) *model.Type {
		leaf := rapid.SampledFrom([]*model.Type{
			{Kind: model.Int}, {Kind: model.String}, {Kind: model.Error}, {Kind: model.Any},
			{Kind: model.Named, Name: model.Name{Path: "p", Package: "p", Name: "T"}},
			{Kind: model.Named, Name: model.Name{Path: "x/context", Package: "context", Name: "T"}},
			{Kind: model.Named, Name: model.Name{Path: "x/stub", Package: "stub", Name: "T"}},
			{Kind: model.Handle, Name: model.Name{Path: "p", Package: "p", Name: "ActorHandle"}},
		}).Draw(t, "leaf")
		switch rapid.IntRange(0, 4).Draw(t, "wrap") {
		case 1:
			return &model.Type{Kind: model.Slice, Elem: leaf}
		case 2:
			return &model.Type{Kind: model.Map, Key: &model.Type{Kind: model.String}, Elem: leaf}
		case 3:
			return &model.Type{Kind: model.Ref, Elem: leaf}
		case 4:
			return &model.Type{Kind: model.Struct, Whole: true, Fields: []model.Field{{Name: "A", Source: "A", Type: leaf, Tag: `mobula:"a"`}}}
		default:
			return leaf
		}
	})
}

// signature draws a signature that a source could have: its names differ from each other.
func signature(t *rapid.T) model.Signature {
	used := map[string]bool{}
	draw := func(label string) []model.Param {
		var out []model.Param
		for range rapid.IntRange(0, 4).Draw(t, label) {
			name := identifier.Draw(t, "name")
			if used[name] {
				name = "_"
			}
			used[name] = true
			out = append(out, model.Param{Name: name, Type: schemaType().Draw(t, "type")})
		}
		return out
	}
	return model.Signature{
		Params: draw("params"), Results: draw("results"),
		Context: rapid.Bool().Draw(t, "context"), Fails: rapid.Bool().Draw(t, "fails"),
	}
}

// standIns are the packages that the written files import, as far as they use them.
var standIns = map[string]string{
	"context":   "package context; type Context interface{ Done() }",
	"fmt":       "package fmt; func Errorf(string, ...any) error",
	"x/context": "package context; type T struct{}",
	"x/stub":    "package stub; type T struct{}",
	"reflect":   "package reflect; type Type interface{ Name() string }; func TypeFor[T any]() Type",
	mobulaPath: `package mobula
type Ref[T any] struct{ v T }
type Handle struct{}
type Option struct{}
func Val[T any](T) Ref[T]`,
	stubPath: `package stub
import ("context"; "reflect"; "github.com/mobula-dev/mobula/clients/go/mobula")
const V1 = 1
type (
	Func struct{}; Class struct{}; Call struct{}; Args struct{}; Results struct{}; Refs struct{}
	FuncInfo struct { Name string; Fingerprint uint64; Params []string; Returns int; Options []mobula.Option; Types []reflect.Type; Handler func(context.Context, *Args, *Results) error }
	ActorInfo struct { Name string; Options []mobula.Option }
	ConstructorInfo struct { Name string; Fingerprint uint64; Params []string; Types []reflect.Type; Handler func(context.Context, *Args) (any, error) }
	MethodInfo struct { Name string; Fingerprint uint64; Params []string; Returns int; Options []mobula.Option; Types []reflect.Type; Handler func(context.Context, any, *Args, *Results) error }
)
func Function(FuncInfo) *Func
func Actor(ActorInfo) *Class
func Constructor(*Class, ConstructorInfo) *Func
func Method(*Class, MethodInfo) *Func
func NewCall(context.Context, *Func, int, []mobula.Option) *Call
func NewMethodCall(context.Context, mobula.Handle, *Func, int, []mobula.Option) *Call
func Arg[T any](*Call, T)
func ArgRef[T any](*Call, mobula.Ref[T])
func Submit0(*Call) mobula.Ref[struct{}]
func Submit1[R any](*Call) mobula.Ref[R]
func SubmitN(*Call) Refs
func At[R any](Refs, int) mobula.Ref[R]
func SubmitActor(*Call) mobula.Handle
func GetActor(context.Context, *Class, string, []mobula.Option) (mobula.Handle, error)
func Next[T any](*Args) T
func (*Args) Err() error
func Set[T any](*Results, T)
func (*Results) Err() error
func (*Results) Fail(error) error`,
}

// world imports stand-ins.
type world map[string]*types.Package

// Import implements types.Importer.
func (w world) Import(path string) (*types.Package, error) {
	if w[path] != nil {
		return w[path], nil
	}
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, path, standIns[path], 0)
	if err != nil {
		return nil, err
	}
	// The missing bodies of functions are errors that do not matter.
	cfg := types.Config{Importer: w, IgnoreFuncBodies: true, Error: func(error) {}}
	w[path], _ = cfg.Check(path, fset, []*ast.File{f}, nil)
	return w[path], nil
}

// written is a signature as a source would have it, whose file imports everything under names that collide with nothing.
func written(s model.Signature, result string) string {
	f := newFile(&model.Package{Path: "p", Name: "p"}, Config{})
	f.imports = map[string]string{"context": "source1", "x/context": "source2", "x/stub": "source3", mobulaPath: "source4"}
	var params, results []string
	if s.Context {
		params = append(params, "_ "+f.context())
	}
	for _, p := range s.Params {
		params = append(params, cmp.Or(p.Name, "_")+" "+f.spell(p.Type))
	}
	if result != "" {
		results = append(results, "_ "+result)
	}
	for _, p := range s.Results {
		results = append(results, cmp.Or(p.Name, "_")+" "+f.spell(p.Type))
	}
	if s.Fails {
		results = append(results, "_ error")
	}
	return "(" + strings.Join(params, ", ") + ") (" + strings.Join(results, ", ") + ") { for {} }\n"
}

// sourceImports begin a source.
const sourceImports = `package p
import (source1 "context"; source2 "x/context"; source3 "x/stub"; source4 "` + mobulaPath + `")
type (_ source1.Context; _ source2.T; _ source3.T; _ source4.Option; T struct{}; Actor struct{})
`

// TestHostileNamesCompile draws signatures whose parameters and results are named like everything that stubs use, in
// packages that declare such names too, and type-checks what is written for them together with the source.
func TestHostileNamesCompile(t *testing.T) {
	t.Parallel()
	imports := world{}
	rapid.Check(t, func(t *rapid.T) {
		function := func(name, id string) *model.Function {
			s := signature(t)
			return &model.Function{Name: name, Signature: s, Instances: []model.Instance{{ID: id, Signature: s}}}
		}
		construct := function("NewActor", "p.NewActor")
		construct.Signature.Results, construct.Instances[0].Signature.Results = nil, nil
		m := &model.Package{
			Path: "p", Name: "p", Types: model.Types{}, Functions: []*model.Function{function("F", "p.F")},
			Actors: []*model.Actor{{
				Name: "Actor", ID: "p.Actor", Constructors: []*model.Constructor{{Function: *construct}},
				Methods: []*model.Function{function("M", "p.Actor.M")},
			}},
		}
		source := sourceImports + "func F" + written(m.Functions[0].Signature, "") + "func NewActor" + written(construct.Signature, "*Actor") +
			"func (*Actor) M" + written(m.Actors[0].Methods[0].Signature, "")
		scope := map[string]bool{"F": true, "T": true, "Actor": true, "NewActor": true}
		for _, name := range []string{"stub", "mobula", "context", "reflect", "mobulaFuncs", "call", "ctx", "source", "arg1"} {
			if scope[name] = rapid.Bool().Draw(t, "declare "+name); scope[name] {
				source += "var " + name + " int\n"
			}
		}
		content, err := File(m, Config{Header: "// Generated.", Scope: scope})
		if err != nil {
			t.Fatal(err)
		}
		fset := token.NewFileSet()
		var files []*ast.File
		for name, text := range map[string]string{"source.go": source, "mobula_gen.go": string(content)} {
			f, err := parser.ParseFile(fset, name, text, 0)
			if err != nil {
				t.Fatalf("%v\n%s", err, text)
			}
			files = append(files, f)
		}
		cfg := types.Config{Importer: imports}
		if _, err := cfg.Check("p", fset, files, nil); err != nil {
			t.Fatalf("%v\n%s\n%s", err, source, content)
		}
	})
}
