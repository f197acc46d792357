package importrules

import (
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

// moduleRoot is the module's root, seen from this package's directory.
const moduleRoot = "../.."

func TestModuleKeepsItsLayout(t *testing.T) {
	t.Parallel()
	m, err := load(os.DirFS(moduleRoot))
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(m.dirs, "tests/importrules") {
		t.Fatalf("this package is not among those that were read: %v", m.dirs)
	}
	for _, r := range rules {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			for _, violation := range r.check(m) {
				t.Error(violation)
			}
		})
	}
}

// TestRulesCatchViolations shows that each rule can fail, and that it leaves alone what is right: the files of each case are a
// module, and want holds the start of each violation that its rule must report, in order.
func TestRulesCatchViolations(t *testing.T) {
	t.Parallel()
	proven := map[string]bool{}
	for _, c := range violations {
		proven[c.rule] = true
		t.Run(c.rule+"/"+c.name, func(t *testing.T) {
			t.Parallel()
			checkCase(t, c)
		})
	}
	for _, r := range rules {
		if !proven[r.name] {
			t.Errorf("no case shows that the rule %q can fail", r.name)
		}
	}
}

// checkCase runs the rule of a case over its module.
func checkCase(t *testing.T, c violation) {
	t.Helper()
	i := slices.IndexFunc(rules, func(r rule) bool { return r.name == c.rule })
	if i < 0 {
		t.Fatalf("there is no rule %q", c.rule)
	}
	fsys := fstest.MapFS{"go.mod": {Data: []byte("module example.com/m\n\ngo 1.26.0\n")}}
	for name, src := range c.files {
		fsys[name] = &fstest.MapFile{Data: []byte(source(src))}
	}
	m, err := load(fsys)
	if err != nil {
		t.Fatal(err)
	}
	got := rules[i].check(m)
	if len(got) != len(c.want) {
		t.Fatalf("got %d violations, want %d:\n%s", len(got), len(c.want), strings.Join(got, "\n"))
	}
	for i, want := range c.want {
		if !strings.HasPrefix(got[i], want) {
			t.Errorf("violation %d is %q, want it to start with %q", i, got[i], want)
		}
	}
}

// source makes a Go file of a case's shorthand: an optional //go:build line, then the package's name, then what it imports, where
// "." at the start stands for the module.
func source(short string) string {
	var b strings.Builder
	if rest, ok := strings.CutPrefix(short, "//"); ok {
		line, after, _ := strings.Cut(rest, "\n")
		b.WriteString("//" + line + "\n\n")
		short = after
	}
	words := strings.Fields(short)
	b.WriteString("package " + words[0] + "\n\n")
	for _, imported := range words[1:] {
		if rest, ok := strings.CutPrefix(imported, "./"); ok {
			imported = "example.com/m/" + rest
		}
		b.WriteString("import _ \"" + imported + "\"\n")
	}
	return b.String()
}

// violation is a module that breaks, or does not break, one rule.
type violation struct {
	rule, name string
	// files maps a path to the shorthand of its source.
	files map[string]string
	want  []string
}

var violations = []violation{
	{
		rule: "control plane and node manager meet only through gen", name: "direct, indirect and in tests",
		files: map[string]string{
			"controlplane/a.go":          "controlplane ./gen/v1 ./internal/id",
			"controlplane/service/s.go":  "service ./nodemanager/scheduler",
			"nodemanager/n.go":           "nodemanager ./gen/v1 ./bridge",
			"nodemanager/n_test.go":      "nodemanager_test ./controlplane",
			"nodemanager/scheduler/s.go": "scheduler",
			"bridge/b.go":                "bridge ./controlplane",
			"cmd/mobula/main.go":         "main ./controlplane ./nodemanager",
		},
		want: []string{
			"controlplane/service/s.go reaches nodemanager (nodemanager/scheduler)",
			"nodemanager/n.go reaches controlplane (bridge → controlplane)",
			"nodemanager/n_test.go reaches controlplane (controlplane)",
		},
	},
	{
		rule: "pure packages import only pure packages", name: "clock, goroutines, luck and I/O",
		files: map[string]string{
			"controlplane/state/s.go":        "state bytes errors fmt slices ./gen/v1 ./internal/id google.golang.org/protobuf/proto encoding/binary",
			"controlplane/state/s_test.go":   "state time testing math/rand/v2",
			"controlplane/state/s_darwin.go": "state os",
			"nodemanager/scheduler/s.go":     "scheduler time sync ./nodemanager/resource",
			"nodemanager/resource/r.go":      "resource math/rand/v2",
			"nodemanager/ownership/o.go":     "ownership ./internal/wire hash/maphash",
			"nodemanager/workerpool/w.go":    "workerpool os time",
			"codegen/model/m.go":             "model go/types",
			"codegen/modeller/m.go":          "modeller go/types",
			"internal/id/i.go":               "id crypto/rand",
		},
		want: []string{
			`codegen/model/m.go imports "go/types"`,
			`controlplane/state/s_darwin.go imports "os"`,
			"nodemanager/ownership/o.go imports internal/wire",
			`nodemanager/ownership/o.go imports "hash/maphash"`,
			`nodemanager/resource/r.go imports "math/rand/v2"`,
			`nodemanager/scheduler/s.go imports "time"`,
			`nodemanager/scheduler/s.go imports "sync"`,
			`internal/id/i.go imports "crypto/rand"`,
		},
	},
	{
		rule: "the Go client links the node role in one file", name: "one file under the build tag is right",
		files: map[string]string{
			"clients/go/mobula/node.go":        "//go:build !mobula_thin && (linux || darwin)\nmobula ./nodemanager ./controlplane",
			"clients/go/mobula/init.go":        "mobula ./internal/wire ./clients/go/mobula/stub",
			"clients/go/mobula/mobula_test.go": "mobula ./nodemanager",
			"clients/go/mobula/stub/s.go":      "stub ./clients/go/mobula",
			"internal/wire/w.go":               "wire",
			"nodemanager/n.go":                 "nodemanager",
		},
	},
	{
		rule: "the Go client links the node role in one file", name: "two files, a wrong place, no tag, a detour",
		files: map[string]string{
			"clients/go/mobula/head.go":            "//go:build !mobula_thin\nmobula ./controlplane/service",
			"clients/go/mobula/internal/call/c.go": "//go:build linux\ncall ./internal/wire",
			"internal/wire/w.go":                   "wire ./nodemanager",
		},
		want: []string{
			"clients/go/mobula/internal/call/c.go reaches a server package (internal/wire → nodemanager)",
			"clients/go/mobula/internal/call/c.go links the node role and lacks",
			"the node role is linked by more than one file: clients/go/mobula/head.go, clients/go/mobula/internal/call/c.go",
		},
	},
	{
		rule: "internal packages are leaves", name: "an import of a component",
		files: map[string]string{
			"internal/wire/w.go":      "wire ./gen/v1 ./internal/id",
			"internal/wire/w_test.go": "wire ./nodemanager",
			"internal/head/h.go":      "head ./nodemanager",
		},
		want: []string{"internal/head/h.go imports nodemanager"},
	},
	{
		rule: "internal packages have two or more users", name: "none, one, one twice, and tests only",
		files: map[string]string{
			"internal/none/n.go":       "none",
			"internal/one/o.go":        "one",
			"internal/twice/t.go":      "twice",
			"internal/fine/f.go":       "fine",
			"internal/fine/deep/d.go":  "deep",
			"nodemanager/n.go":         "nodemanager ./internal/one ./internal/twice ./internal/fine/deep",
			"nodemanager/service/s.go": "service ./internal/twice",
			"nodemanager/n_test.go":    "nodemanager ./internal/none",
			"tests/harness/h.go":       "harness ./internal/one",
			"clients/go/mobula/m.go":   "mobula ./internal/fine",
			"controlplane/c.go":        "controlplane ./internal/fine",
			"internal/fine/user.go":    "fine ./internal/fine/deep",
		},
		want: []string{
			"internal/none has 0 user(s) []",
			"internal/one has 1 user(s) [nodemanager]",
			"internal/twice has 1 user(s) [nodemanager]",
		},
	},
	{
		rule: "the binary only turns flags into a Config", name: "parts of components, and a server of its own",
		files: map[string]string{
			"cmd/mobula/main.go":      "main context os github.com/spf13/cobra ./controlplane ./nodemanager ./internal/build",
			"cmd/mobula/up.go":        "main net/http ./nodemanager/scheduler ./gen/v1",
			"cmd/mobula/main_test.go": "main net/http",
		},
		want: []string{
			"cmd/mobula/up.go imports nodemanager/scheduler",
			"cmd/mobula/up.go imports gen/v1",
			`cmd/mobula/up.go imports "net/http"`,
		},
	},
	{
		rule: "the generator's stages know only the model", name: "a short cut between stages, and the runtime",
		files: map[string]string{
			"codegen/generate.go":            "codegen ./codegen/parse ./codegen/gogen",
			"codegen/parse/p.go":             "parse ./codegen/model ./codegen/parse/directive",
			"codegen/gogen/g.go":             "gogen ./codegen/model ./codegen/parse",
			"codegen/cmd/mobula-gen/main.go": "main ./codegen ./clients/go/mobula",
		},
		want: []string{
			"codegen/cmd/mobula-gen/main.go imports clients/go/mobula",
			"codegen/gogen/g.go imports codegen/parse",
		},
	},
	{
		rule: "nothing imports programs, examples or test helpers", name: "all three",
		files: map[string]string{
			"nodemanager/n.go":           "nodemanager ./tests/harness",
			"nodemanager/n_test.go":      "nodemanager ./tests/harness ./examples/wordindex/index",
			"tests/bench/b.go":           "main ./tests/harness ./cmd/mobula/flags",
			"examples/wordindex/main.go": "main ./examples/wordindex/index",
			"cmd/mobula/main.go":         "main ./cmd/mobula/flags",
		},
		want: []string{
			"nodemanager/n.go imports tests/harness",
			"nodemanager/n_test.go imports examples/wordindex/index",
			"tests/bench/b.go imports cmd/mobula/flags",
		},
	},
	{
		rule: "examples use the public API only", name: "insides and servers",
		files: map[string]string{
			"examples/wordindex/main.go": "main ./clients/go/mobula ./examples/wordindex/index",
			"examples/other/main.go":     "main ./internal/id ./nodemanager ./clients/go/mobula/internal/codec",
		},
		want: []string{
			"examples/other/main.go imports internal/id",
			"examples/other/main.go imports nodemanager",
			"examples/other/main.go imports clients/go/mobula/internal/codec",
		},
	},
	{
		rule: "packages are named after what they do", name: "empty names and managers in managers",
		files: map[string]string{
			"internal/util/u.go":            "util",
			"internal/util/v.go":            "util",
			"nodemanager/common/c.go":       "wire",
			"nodemanager/n.go":              "nodemanager",
			"nodemanager/storemanager/s.go": "storemanager",
			"controlplane/types/t_test.go":  "types_test",
		},
		want: []string{
			"package types in controlplane/types",
			"package util in internal/util",
			"package wire in nodemanager/common",
			"package storemanager in nodemanager/storemanager: a manager inside a manager",
		},
	},
}

func TestLoadSeesWhatTheGoCommandSees(t *testing.T) {
	t.Parallel()
	m, err := load(fstest.MapFS{
		"go.mod":                  {Data: []byte("// A comment.\nmodule example.com/m\n")},
		"a/a.go":                  {Data: []byte("package a\nimport \"example.com/m/b\"\n")},
		"a/a_windows.go":          {Data: []byte("package a\nimport \"example.com/m/c\"\n")},
		"a/script.go":             {Data: []byte("//go:build ignore\n\npackage main\nimport \"example.com/m/d\"\n")},
		"a/testdata/bad.go":       {Data: []byte("not Go")},
		"a/_draft.go":             {Data: []byte("not Go")},
		".hidden/bad.go":          {Data: []byte("not Go")},
		"node_modules/x/bad.go":   {Data: []byte("not Go")},
		"tools/go.mod":            {Data: []byte("module example.com/m/tools\n")},
		"tools/bad.go":            {Data: []byte("not Go")},
		"onlytests/x_test.go":     {Data: []byte("package onlytests_test\nimport \"example.com/m/a\"\n")},
		"example.com/m/README.md": {Data: []byte("no Go")},
	})
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"a", "onlytests"}; !slices.Equal(m.dirs, want) {
		t.Errorf("directories are %v, want %v", m.dirs, want)
	}
	if want := []string{"b", "c"}; !slices.Equal(m.deps["a"], want) {
		t.Errorf("a imports %v, want %v", m.deps["a"], want)
	}
	if len(m.deps["onlytests"]) != 0 {
		t.Errorf("imports of tests count as the package's: %v", m.deps["onlytests"])
	}
}

func TestLoadNamesTheFileThatItCannotRead(t *testing.T) {
	t.Parallel()
	for name, fsys := range map[string]fstest.MapFS{
		"go.mod": {},
		"module": {"go.mod": {Data: []byte("go 1.26\n")}},
		"a/a.go": {"go.mod": {Data: []byte("module m\n")}, "a/a.go": {Data: []byte("not Go")}},
	} {
		if _, err := load(fsys); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("the error is %v, want it to name %s", err, name)
		}
	}
}
