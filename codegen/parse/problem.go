package parse

import (
	"cmp"
	"fmt"
	"go/token"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

// Code is the stable code of a kind of problem. docs/codegen.md has a paragraph for each.
type Code string

// The codes. Those from MOB900 on are failures of tools or of the environment; the others are for the user to correct.
const (
	SyntaxError         Code = "MOB001"
	ImportCycle         Code = "MOB002"
	NearMiss            Code = "MOB101"
	UnknownDirective    Code = "MOB102"
	MisplacedDirective  Code = "MOB103"
	Unexported          Code = "MOB104"
	DuplicateDirective  Code = "MOB105"
	UnknownOption       Code = "MOB106"
	BadOptionValue      Code = "MOB107"
	MisplacedOption     Code = "MOB108"
	RepeatedOption      Code = "MOB109"
	NotAStruct          Code = "MOB110"
	NotInstantiated     Code = "MOB111"
	BadInstantiation    Code = "MOB112"
	GenericNotSupported Code = "MOB113"
	MixedConstraints    Code = "MOB114"
	InTestFile          Code = "MOB115"
	BadArguments        Code = "MOB116"
	CannotBeSent        Code = "MOB201"
	Unresolved          Code = "MOB202"
	MisplacedContext    Code = "MOB203"
	MisplacedError      Code = "MOB204"
	NotAConstructor     Code = "MOB205"
	NoConstructor       Code = "MOB206"
	NameTaken           Code = "MOB301"
	PredeclaredShadowed Code = "MOB302"
	ForeignFile         Code = "MOB303"
	OutsideModule       Code = "MOB304"
	FileArgument        Code = "MOB305"
	ListFailed          Code = "MOB901"
	PackageMissing      Code = "MOB902"
	NothingMatched      Code = "MOB903"
	FileFailed          Code = "MOB904"
	GeneratorBroken     Code = "MOB905"
)

// Codes returns all codes, in order.
func Codes() []Code {
	return []Code{
		SyntaxError, ImportCycle, NearMiss, UnknownDirective, MisplacedDirective,
		Unexported, DuplicateDirective, UnknownOption, BadOptionValue, MisplacedOption,
		RepeatedOption, NotAStruct, NotInstantiated, BadInstantiation, GenericNotSupported,
		MixedConstraints, InTestFile, BadArguments, CannotBeSent, Unresolved,
		MisplacedContext, MisplacedError, NotAConstructor, NoConstructor, NameTaken,
		PredeclaredShadowed, ForeignFile, OutsideModule, FileArgument, ListFailed,
		PackageMissing, NothingMatched, FileFailed, GeneratorBroken,
	}
}

// Environment reports whether problems with the code are failures of a tool or of the environment rather than mistakes in
// the source.
func (c Code) Environment() bool { return c >= "MOB900" }

// Problem is one thing that is wrong: what it is, why that is so, and how to put it right.
type Problem struct {
	// Path is the file, relative to the working directory where that is shorter; empty if there is no place to show.
	Path string `json:"path,omitempty"`
	// Line and Column are counted from one, columns in bytes; zero if there is no place to show.
	Line   int    `json:"line,omitempty"`
	Column int    `json:"column,omitempty"`
	Code   Code   `json:"code"`
	What   string `json:"what"`
	Why    string `json:"why"`
	Fix    string `json:"fix"`
}

// String returns the problem on one line: "path:line:column: code: what; why; how to fix".
func (p Problem) String() string {
	place := ""
	switch {
	case p.Line > 0:
		place = fmt.Sprintf("%s:%d:%d: ", p.Path, p.Line, p.Column)
	case p.Path != "":
		place = p.Path + ": "
	}
	text := fmt.Sprintf("%s%s: %s; %s; %s", place, p.Code, p.What, p.Why, p.Fix)
	return strings.Join(strings.Fields(text), " ")
}

// problems gathers problems; it may be used from several goroutines.
type problems struct {
	mu   sync.Mutex
	list []Problem // guarded by mu
}

// add adds a problem at a position, which may be the zero one.
func (ps *problems) add(at token.Position, code Code, what, why, fix string) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	ps.list = append(ps.list, Problem{at.Filename, at.Line, at.Column, code, what, why, fix})
}

// any reports whether there are problems.
func (ps *problems) any() bool {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	return len(ps.list) > 0
}

// sorted returns the problems by position, each once, with paths relative to dir.
func (ps *problems) sorted(dir string) []Problem {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	for i := range ps.list {
		ps.list[i].Path = Relative(dir, ps.list[i].Path)
	}
	slices.SortFunc(ps.list, func(a, b Problem) int {
		return cmp.Or(strings.Compare(a.Path, b.Path), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column),
			strings.Compare(string(a.Code), string(b.Code)), strings.Compare(a.What, b.What), strings.Compare(a.Why, b.Why))
	})
	return slices.Compact(ps.list)
}

// Relative returns path relative to dir, or as it is if that is shorter.
func Relative(dir, path string) string {
	if path == "" {
		return ""
	}
	rel, err := filepath.Rel(dir, path)
	if err != nil || len(rel) >= len(path) {
		return path
	}
	return filepath.ToSlash(rel)
}
