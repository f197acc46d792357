package importrules

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
)

// rule is one law of the layout.
type rule struct {
	name string
	// check returns one sentence for each violation, in an order that depends on the module alone.
	check func(m *module) []string
}

// rules are all laws, in the order in which DESIGN section 12 tells them.
var rules = []rule{
	{"control plane and node manager meet only through gen", meetOnlyThroughGen},
	{"pure packages import only pure packages", pure},
	{"the Go client links the node role in one file", clientLinksNodeOnce},
	{"internal packages are leaves", internalLeaves},
	{"internal packages have two or more users", internalUsers},
	{"the binary only turns flags into a Config", binaryOnlyWires},
	{"the generator's stages know only the model", generatorStages},
	{"nothing imports programs, examples or test helpers", endsAreNotImported},
	{"examples use the public API only", examplesArePublic},
	{"packages are named after what they do", packageNames},
}

// serverDirs hold what runs in a node or a control server and must not be linked into a user's program, save by one file.
var serverDirs = []string{"controlplane", "nodemanager", "dashboard", "cmd"}

func meetOnlyThroughGen(m *module) []string {
	var bad []string
	for _, f := range m.files {
		for _, side := range [][2]string{{"controlplane", "nodemanager"}, {"nodemanager", "controlplane"}} {
			if !within(f.dir, side[0]) {
				continue
			}
			for _, dir := range f.local {
				if way := m.reaches(dir, side[1]); way != nil {
					bad = append(bad, fmt.Sprintf("%s reaches %s (%s): they meet only through gen", f.path, side[1], strings.Join(way, " → ")))
				}
			}
		}
	}
	return bad
}

// pureDirs hold state machines and models that take events in and give effects out.
var pureDirs = []string{
	"controlplane/state", "controlplane/placement", "nodemanager/scheduler", "nodemanager/resource", "nodemanager/ownership",
	"codegen/model",
}

// pureLocal lists what pure packages may import from the module beside each other: names and schemas.
var pureLocal = []string{"gen", "internal/id"}

// pureForeign lists all else that they may import; a name that ends in a slash stands for all packages below it. The list says
// what is allowed, so that a new source of time, luck or I/O is refused without anybody having thought of it. Time stays out even
// for its constants: an event carries nanoseconds, and with the package so near somebody would call Now.
var pureForeign = []string{
	"bytes", "cmp", "container/", "crypto/sha256", "encoding/", "errors", "fmt", "hash", "hash/adler32", "hash/crc32", "hash/crc64",
	"hash/fnv", "iter", "maps", "math", "math/bits", "math/cmplx", "regexp", "slices", "sort", "strconv", "strings", "unicode",
	"unicode/", "unsafe",
	// Interfaces, and buffers, for what the caller reads or writes; alone they do nothing.
	"bufio", "io",
	// Commands and snapshots are protobuf messages.
	"google.golang.org/protobuf/proto", "github.com/planetscale/vtprotobuf/protohelpers",
}

func pure(m *module) []string {
	var bad []string
	for _, f := range m.files {
		if f.test || !withinAny(f.dir, pureDirs...) {
			continue
		}
		for _, dir := range f.local {
			if !withinAny(dir, pureDirs...) && !withinAny(dir, pureLocal...) {
				bad = append(bad, fmt.Sprintf("%s imports %s: a pure package imports only pure packages", f.path, dir))
			}
		}
		for _, imported := range f.foreign {
			if !allowed(imported, pureForeign) {
				bad = append(bad, fmt.Sprintf("%s imports %q: a pure package has no I/O, clock, goroutine or randomness", f.path, imported))
			}
		}
	}
	// internal/id is held to the same list, since pure packages rest on it.
	for _, f := range m.files {
		if f.test || !within(f.dir, "internal/id") {
			continue
		}
		for _, imported := range slices.Concat(f.foreign, f.local) {
			if !allowed(imported, pureForeign) {
				bad = append(bad, fmt.Sprintf("%s imports %q: pure packages rest on internal/id", f.path, imported))
			}
		}
	}
	return bad
}

// allowed reports whether a list holds an import path, or a parent of it that ends in a slash.
func allowed(imported string, list []string) bool {
	return slices.ContainsFunc(list, func(entry string) bool {
		return imported == entry || strings.HasSuffix(entry, "/") && strings.HasPrefix(imported, entry)
	})
}

func clientLinksNodeOnce(m *module) []string {
	var bad, links []string
	for _, f := range m.files {
		if f.test || !within(f.dir, "clients/go") {
			continue
		}
		way := linksNode(m, f)
		if way == nil {
			continue
		}
		links = append(links, f.path)
		if f.dir != "clients/go/mobula" {
			bad = append(bad, fmt.Sprintf("%s reaches a server package (%s): only a file of clients/go/mobula may", f.path, strings.Join(way, " → ")))
		}
		thin := func(on bool) bool {
			return f.build == nil || f.build.Eval(func(tag string) bool { return tag != "mobula_thin" || on })
		}
		if thin(true) || !thin(false) {
			bad = append(bad, f.path+" links the node role and lacks the constraint //go:build !mobula_thin")
		}
	}
	if len(links) > 1 {
		bad = append(bad, fmt.Sprintf("the node role is linked by more than one file: %s", strings.Join(links, ", ")))
	}
	return bad
}

// linksNode returns how a file of the client reaches a server package other than through the client's own packages, whose files
// are looked at for themselves.
func linksNode(m *module, f file) []string {
	for _, dir := range f.local {
		if within(dir, "clients/go") {
			continue
		}
		if way := m.reaches(dir, serverDirs...); way != nil {
			return way
		}
	}
	return nil
}

func internalLeaves(m *module) []string {
	var bad []string
	for _, f := range m.files {
		if f.test || !within(f.dir, "internal") {
			continue
		}
		for _, dir := range f.local {
			if !withinAny(dir, "internal", "gen") {
				bad = append(bad, fmt.Sprintf("%s imports %s: an internal package is a leaf, and imports only others and gen", f.path, dir))
			}
		}
	}
	return bad
}

// fewUsers lists internal packages that may have fewer than two users, with the reason.
var fewUsers = map[string]string{}

func internalUsers(m *module) []string {
	users := map[string]map[string]bool{}
	for _, dir := range m.dirs {
		if within(dir, "internal") {
			users[dir] = map[string]bool{}
		}
	}
	for _, f := range m.files {
		for _, dir := range f.local {
			if of, ok := users[dir]; ok && !f.test && f.dir != dir && !within(f.dir, "tests") {
				of[component(f.dir)] = true
			}
		}
	}
	var bad []string
	for _, dir := range slices.Sorted(maps.Keys(users)) {
		of := slices.Sorted(maps.Keys(users[dir]))
		if len(of) < 2 && fewUsers[dir] == "" {
			bad = append(bad, fmt.Sprintf("%s has %d user(s) %v: a package with one user belongs to it (tests do not count)", dir, len(of), of))
		}
	}
	for _, dir := range slices.Sorted(maps.Keys(fewUsers)) {
		if of, ok := users[dir]; ok && len(of) >= 2 {
			bad = append(bad, dir+" has two users by now: strike it from fewUsers")
		}
	}
	return bad
}

// component names the part of the system that a directory belongs to. Every internal package, client, program and example is one
// for itself.
func component(dir string) string {
	if within(dir, "internal") {
		return dir
	}
	parts := strings.Split(dir, "/")
	if len(parts) > 1 && slices.Contains([]string{"clients", "cmd", "examples"}, parts[0]) {
		return path.Join(parts[:2]...)
	}
	return parts[0]
}

// binaryForeign lists what cmd/mobula may import from outside the module: enough to read flags, print, and wait for a signal.
var binaryForeign = []string{
	"context", "encoding/hex", "encoding/json", "errors", "fmt", "io", "log/slog", "maps", "os", "os/signal", "path/filepath", "runtime", "runtime/debug", "slices",
	"strconv", "strings", "syscall", "text/tabwriter", "time", "embed",
	"github.com/spf13/cobra", "golang.org/x/term", "golang.org/x/sys/unix",
}

func binaryOnlyWires(m *module) []string {
	var bad []string
	for _, f := range m.files {
		if f.test || !within(f.dir, "cmd/mobula") {
			continue
		}
		for _, dir := range f.local {
			root := slices.Contains([]string{"controlplane", "nodemanager", "head", "dashboard", "clients/go/mobula", "gen/mobula/v1"}, dir)
			if !root && !withinAny(dir, "internal", "cmd/mobula") {
				bad = append(bad, fmt.Sprintf("%s imports %s: the binary wires the roots of components, not their parts", f.path, dir))
			}
		}
		for _, imported := range f.foreign {
			if !allowed(imported, binaryForeign) {
				bad = append(bad, fmt.Sprintf("%s imports %q: the binary turns flags into a Config and nothing else", f.path, imported))
			}
		}
	}
	return bad
}

func generatorStages(m *module) []string {
	stages := []string{"codegen/parse", "codegen/model", "codegen/gogen", "codegen/pygen", "codegen/tsgen"}
	var bad []string
	for _, f := range m.files {
		if f.test || !within(f.dir, "codegen") {
			continue
		}
		for _, dir := range f.local {
			if !withinAny(dir, "codegen", "internal", "gen") {
				bad = append(bad, fmt.Sprintf("%s imports %s: the generator links nothing of the runtime", f.path, dir))
			}
			own := slices.ContainsFunc(stages, func(stage string) bool { return within(f.dir, stage) && within(dir, stage) })
			if withinAny(f.dir, stages...) && withinAny(dir, stages...) && !own && !within(dir, "codegen/model") {
				bad = append(bad, fmt.Sprintf("%s imports %s: stages of the generator share the model only", f.path, dir))
			}
		}
	}
	return bad
}

// program is the program that a folder belongs to: the first two elements of its path ("examples/wordindex").
func program(dir string) string {
	parts := strings.SplitN(dir, "/", 3)
	return strings.Join(parts[:min(len(parts), 2)], "/")
}

func endsAreNotImported(m *module) []string {
	var bad []string
	for _, f := range m.files {
		for _, dir := range f.local {
			switch {
			case within(dir, "tests") && !f.test && !within(f.dir, "tests"):
				bad = append(bad, fmt.Sprintf("%s imports %s: only tests import what is below tests", f.path, dir))
			case withinAny(dir, "cmd", "examples") && program(dir) != program(f.dir):
				bad = append(bad, fmt.Sprintf("%s imports %s: a program is not a library", f.path, dir))
			}
		}
	}
	return bad
}

func examplesArePublic(m *module) []string {
	var bad []string
	for _, f := range m.files {
		if !within(f.dir, "examples") {
			continue
		}
		for _, dir := range f.local {
			inside := within(dir, "internal") || strings.Contains(dir, "/internal/") || withinAny(dir, append([]string{"gen"}, serverDirs...)...)
			if inside {
				bad = append(bad, fmt.Sprintf("%s imports %s: an example uses what a user can", f.path, dir))
			}
		}
	}
	return bad
}

// emptyNames say nothing of what a package does.
var emptyNames = []string{"util", "utils", "common", "helper", "helpers", "types", "misc", "shared", "base"}

func packageNames(m *module) []string {
	var bad []string
	seen := map[string]bool{}
	for _, f := range m.files {
		if seen[f.dir+" "+f.pkg] {
			continue
		}
		seen[f.dir+" "+f.pkg] = true
		if slices.Contains(emptyNames, f.pkg) || slices.Contains(emptyNames, path.Base(f.dir)) {
			bad = append(bad, fmt.Sprintf("package %s in %s: name it after what it does", f.pkg, f.dir))
		}
		if within(f.dir, "nodemanager") && strings.HasSuffix(f.pkg, "manager") && f.dir != "nodemanager" {
			bad = append(bad, fmt.Sprintf("package %s in %s: a manager inside a manager", f.pkg, f.dir))
		}
	}
	return bad
}
