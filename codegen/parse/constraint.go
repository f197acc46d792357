package parse

import (
	"go/ast"
	"go/build"
	"go/build/constraint"
	"io"
	"path/filepath"
	"strings"
)

// constraintOf returns the condition under which the go command takes a file, by its //go:build line and its name, as an
// expression; empty if it always does.
func constraintOf(path string, f *ast.File) string {
	var parts []string
	for _, group := range f.Comments {
		if group.Pos() > f.Package {
			break
		}
		for _, c := range group.List {
			if !constraint.IsGoBuild(c.Text) {
				continue
			}
			if expr, err := constraint.Parse(c.Text); err == nil {
				parts = append(parts, expr.String())
			}
		}
	}
	parts = append(parts, platforms(path)...)
	for i, p := range parts {
		if len(parts) > 1 && strings.Contains(p, "||") {
			parts[i] = "(" + p + ")"
		}
	}
	return strings.Join(parts, " && ")
}

// platforms returns the operating system and the architecture that a file's name asks for, if any.
func platforms(path string) []string {
	name := strings.TrimSuffix(strings.TrimSuffix(filepath.Base(path), ".go"), "_test")
	words := strings.Split(name, "_")
	first := max(1, len(words)-2)
	for i := len(words) - 1; i >= first; i-- {
		if !isPlatform(words[i]) {
			return words[i+1:]
		}
	}
	return words[min(first, len(words)):]
}

// isPlatform reports whether a word at the end of a file's name is an operating system or an architecture: whether a
// build for neither leaves the file out. Asking the build package keeps this true for every version of Go.
func isPlatform(word string) bool {
	elsewhere := build.Context{
		GOOS: "none", GOARCH: "none", Compiler: "gc",
		OpenFile: func(string) (io.ReadCloser, error) { return io.NopCloser(strings.NewReader("package p\n")), nil },
	}
	match, err := elsewhere.MatchFile("", "x_"+word+".go")
	return err == nil && !match
}

// shared returns the constraint that all files have, or none if they differ.
func shared(constraints []string) string {
	for _, c := range constraints {
		if c != constraints[0] {
			return ""
		}
	}
	if len(constraints) == 0 {
		return ""
	}
	return constraints[0]
}
