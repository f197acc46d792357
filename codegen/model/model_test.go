package model

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// set sets options of a target, one after the other.
func set(t *testing.T, on Target, texts ...string) Options {
	t.Helper()
	var o Options
	for _, text := range texts {
		if err := o.Set(on, text); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
	}
	o.given = nil
	return o
}

func TestOptionsKeepWhatIsWritten(t *testing.T) {
	t.Parallel()
	number := func(v float64) *float64 { return &v }
	count := func(v int) *int { return &v }
	bytes := func(v int64) *int64 { return &v }
	for _, c := range []struct {
		on    Target
		texts string
		want  Options
	}{
		{OnTask, "cpu=0.0001 gpu=0.5", Options{CPU: number(0.0001), GPU: number(0.5)}},
		{OnTask, "cpu=1e3 gpu=8", Options{CPU: number(1000), GPU: number(8)}},
		{OnActor, "cpu=0", Options{CPU: number(0)}},
		{OnTask, "memory=1048576", Options{Memory: bytes(1 << 20)}},
		{OnTask, "memory=1.5GiB", Options{Memory: bytes(3 << 29)}},
		{OnTask, "memory=2KB", Options{Memory: bytes(2000)}},
		{OnTask, "memory=0", Options{Memory: bytes(0)}},
		{OnTask, "resources=b:2,a:0.5", Options{Resources: []Resource{{"a", 0.5}, {"b", 2}}}},
		{OnTask, "label=b:x:y,a:ü", Options{Labels: []Label{{"a", "ü"}, {"b", "x:y"}}}},
		{OnTask, "max_retries=-1", Options{MaxRetries: count(-1)}},
		{OnActor, "max_restarts=0 max_task_retries=3 max_pending_calls=-1 max_concurrency=2147483647",
			Options{MaxRestarts: count(0), MaxTaskRetries: count(3), MaxPendingCalls: count(-1), MaxConcurrency: count(1<<31 - 1)}},
		{OnMethod, "retry_errors", Options{RetryErrors: true}},
		{OnTask, "retry_errors=b,a isolation=process", Options{RetryErrors: true, RetryNames: []string{"a", "b"}, Isolated: true}},
		{OnActor, "lifetime=job isolation=shared", Options{}},
		{OnActor, "lifetime=detached", Options{Detached: true}},
	} {
		if d := cmp.Diff(c.want, set(t, c.on, strings.Fields(c.texts)...), cmp.AllowUnexported(Options{})); d != "" {
			t.Errorf("%s (-want +got):\n%s", c.texts, d)
		}
	}
}

func TestKnownOptionsAreSortedAndSomewhereAllowed(t *testing.T) {
	t.Parallel()
	if !slices.IsSortedFunc(knownOptions, func(a, b option) int { return strings.Compare(a.name, b.name) }) {
		t.Error("knownOptions is not sorted by name")
	}
	for _, k := range knownOptions {
		if k.on == 0 || k.want == "" {
			t.Errorf("option %s is allowed nowhere, or does not say what it wants", k.name)
		}
	}
}

// FuzzOption checks that no text of an option makes trouble: it is refused with a complete explanation, or accepted and
// then refused as repeated.
func FuzzOption(f *testing.F) {
	for _, k := range knownOptions {
		f.Add(uint8(k.on), k.name+"=1")
		f.Add(uint8(k.on), k.name+"=a:1,b:2")
	}
	for _, text := range []string{"", "=", "cpu", "cpu=", "cpu=1e309", "memory=1.0000001TiB", "label=:", "retry_errors=,", "isolation=process"} {
		f.Add(uint8(OnTask), text)
	}
	f.Fuzz(func(t *testing.T, on uint8, text string) {
		var o Options
		target := Target(on & uint8(OnTask|OnActor|OnMethod))
		err := o.Set(target, text)
		if err == nil {
			if err = o.Set(target, text); err == nil || err.Fault != RepeatedOption {
				t.Errorf("%q twice: %v, want RepeatedOption", text, err)
			}
		}
		if err.What == "" || err.Why == "" || err.Fix == "" || err.Fault == 0 {
			t.Errorf("%q: incomplete explanation %+v", text, err)
		}
	})
}

func TestNearestFindsWhatWasMeant(t *testing.T) {
	t.Parallel()
	names := OptionNames(OnTask | OnActor | OnMethod)
	for word, want := range map[string]string{
		"max_retry": "max_retries", "Max-Retries": "max_retries", "cpus": "cpu", "memroy": "memory", "mem": "", "lables": "label",
		"maxretries": "max_retries", "retry_exceptions": "", "x": "", "": "", "colour": "", strings.Repeat("cpu", 1000): "",
	} {
		if got := Nearest(word, names); got != want {
			t.Errorf("Nearest(%.20q) = %q, want %q", word, got, want)
		}
	}
}

// slowDistance is distance by its definition.
func slowDistance(a, b string) int {
	switch {
	case a == "":
		return len(b)
	case b == "":
		return len(a)
	case a[0] == b[0]:
		return slowDistance(a[1:], b[1:])
	default:
		return 1 + min(slowDistance(a[1:], b), slowDistance(a, b[1:]), slowDistance(a[1:], b[1:]))
	}
}

func TestDistanceIsTheLeastNumberOfEdits(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		word := rapid.StringMatching(`[abc]{0,6}`)
		a, b := word.Draw(t, "a"), word.Draw(t, "b")
		if got, want := distance(a, b), slowDistance(a, b); got != want {
			t.Errorf("distance(%q, %q) = %d, want %d", a, b, got, want)
		}
	})
}

// named refers to a declared type.
func named(name string) *Type {
	return &Type{Kind: Named, Name: Name{Path: "p", Package: "p", Name: name}}
}

// example returns the types and the instance of a function that takes an Outer, after a change.
func example(change func(ts Types, in *Instance)) (Types, *Instance) {
	ts := Types{
		"p.Outer": {Type: named("Outer"), Form: Structure, Fields: []Field{
			{Name: "A", Source: "A", Type: &Type{Kind: Int}},
			{Name: "Inner", Source: "Inner", Type: &Type{Kind: Slice, Elem: &Type{Kind: Pointer, Elem: named("Inner")}}},
		}},
		"p.Inner": {Type: named("Inner"), Form: Structure, Fields: []Field{
			{Name: "B", Source: "B", Type: &Type{Kind: String}}, {Name: "Outer", Source: "Outer", Type: &Type{Kind: Pointer, Elem: named("Outer")}},
		}},
		"p.Stranger": {Type: named("Stranger"), Form: Plain, Underlying: &Type{Kind: Int}},
	}
	in := &Instance{ID: "p.F", Signature: Signature{
		Params:  []Param{{Name: "o", Type: named("Outer")}},
		Results: []Param{{Type: &Type{Kind: Error}}},
	}}
	change(ts, in)
	return ts, in
}

func TestFingerprintChangesExactlyWithWhatIsSent(t *testing.T) {
	t.Parallel()
	ts, in := example(func(Types, *Instance) {})
	was := ts.Fingerprint(in)
	for name, c := range map[string]struct {
		same   bool
		change func(ts Types, in *Instance)
	}{
		"order of fields":     {true, func(ts Types, _ *Instance) { slices.Reverse(ts["p.Inner"].Fields) }},
		"name of a parameter": {true, func(_ Types, in *Instance) { in.Signature.Params[0].Name = "x" }},
		"context and error":   {true, func(_ Types, in *Instance) { in.Signature.Context, in.Signature.Fails = true, true }},
		"an alias": {true, func(_ Types, in *Instance) {
			in.Signature.Params[0].Type = &Type{Kind: Alias, Name: Name{Path: "q", Name: "A"}, Elem: named("Outer")}
		}},
		"a type that is not reached": {true, func(ts Types, _ *Instance) { ts["p.Stranger"].Underlying = &Type{Kind: String} }},
		"comments":                   {true, func(ts Types, _ *Instance) { ts["p.Inner"].Doc = "Inner is documented." }},
		"another word for a type": {true, func(ts Types, _ *Instance) {
			ts["p.Outer"].Fields[0].Type = &Type{Kind: Int, Name: Name{Name: "word"}}
		}},
		"identity":             {false, func(_ Types, in *Instance) { in.ID = "p.G" }},
		"type of a deep field": {false, func(ts Types, _ *Instance) { ts["p.Inner"].Fields[0].Type = &Type{Kind: Int} }},
		"name of a deep field": {false, func(ts Types, _ *Instance) { ts["p.Inner"].Fields[0].Name = "b" }},
		"omitempty":            {false, func(ts Types, _ *Instance) { ts["p.Inner"].Fields[0].OmitEmpty = true }},
		"another field": {false, func(ts Types, _ *Instance) {
			ts["p.Inner"].Fields = append(ts["p.Inner"].Fields, Field{Name: "C", Type: &Type{Kind: Bool}})
		}},
		"form": {false, func(ts Types, _ *Instance) { ts["p.Inner"].Form = Text }},
		"another parameter": {false, func(_ Types, in *Instance) {
			in.Signature.Params = append(in.Signature.Params, Param{Type: &Type{Kind: Int}})
		}},
		"a result": {false, func(_ Types, in *Instance) { in.Signature.Results = nil }},
		"parameter to result": {false, func(_ Types, in *Instance) {
			in.Signature.Params, in.Signature.Results = in.Signature.Results, in.Signature.Params
		}},
		"a ref instead of value": {false, func(_ Types, in *Instance) { in.Signature.Params[0].Type = &Type{Kind: Ref, Elem: named("Outer")} }},
	} {
		ts, in := example(c.change)
		if same := ts.Fingerprint(in) == was; same != c.same {
			t.Errorf("%s: fingerprint is the same: %t, want %t\n%s", name, same, c.same, ts.Schema(in))
		}
	}
}

func TestSchemaIsReadable(t *testing.T) {
	t.Parallel()
	ts, in := example(func(Types, *Instance) {})
	const want = `mobula schema 1
p.F(p.Outer)(error)
p.Inner = structure{B string;Outer *p.Outer}
p.Outer = structure{A int;Inner []*p.Inner}
`
	if d := cmp.Diff(want, ts.Schema(in)); d != "" {
		t.Errorf("schema (-want +got):\n%s", d)
	}
}

func TestFlatFieldsAreSentInPlace(t *testing.T) {
	t.Parallel()
	ts, _ := example(func(ts Types, _ *Instance) {
		ts["p.Outer"].Fields[1] = Field{Name: "Inner", Source: "Inner", Type: named("Inner"), Flat: true, Embedded: true}
	})
	var got []string
	for _, f := range ts.Wire(ts["p.Outer"].Fields) {
		got = append(got, f.Name)
	}
	if want := []string{"A", "B", "Outer"}; !slices.Equal(got, want) {
		t.Errorf("fields %v, want %v", got, want)
	}
}

func TestIDTellsTypesApart(t *testing.T) {
	t.Parallel()
	integer, text := &Type{Kind: Int}, &Type{Kind: String}
	all := []*Type{
		integer, text, named("A"), {Kind: Slice, Elem: integer}, {Kind: Array, Len: 3, Elem: integer}, {Kind: Array, Len: 4, Elem: integer},
		{Kind: Map, Key: text, Elem: integer}, {Kind: Map, Key: integer, Elem: text}, {Kind: Pointer, Elem: integer}, {Kind: Ref, Elem: integer},
		{Kind: Handle, Name: Name{Path: "p", Name: "A"}}, {Kind: Named, Name: Name{Path: "p", Name: "A"}, Args: []*Type{integer, text}},
		{Kind: Struct}, {Kind: Struct, Fields: []Field{{Name: "A", Type: integer}}}, {Kind: Struct, Fields: []Field{{Name: "A", Type: integer, OmitEmpty: true}}},
		{Kind: Union, Terms: []Term{{Type: integer}, {Tilde: true, Type: text}}}, {Kind: Parameter, Name: Name{Name: "T"}}, {Kind: Any}, {Kind: Error},
	}
	seen := map[string]int{}
	for i, typ := range all {
		if j, ok := seen[typ.ID()]; ok {
			t.Errorf("types %d and %d have the ID %s", j, i, typ.ID())
		}
		seen[typ.ID()] = i
	}
	alias := &Type{Kind: Alias, Name: Name{Path: "q", Name: "B"}, Elem: all[6]}
	if fmt.Sprint(alias.ID(), alias.Target().ID()) != fmt.Sprint(all[6].ID(), all[6].ID()) {
		t.Errorf("alias has the ID %s, want %s", alias.ID(), all[6].ID())
	}
}
