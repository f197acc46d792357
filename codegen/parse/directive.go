package parse

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"regexp"
	"slices"
	"strings"

	"github.com/mobula-dev/mobula/codegen/model"
)

// tool is the tool of our directives: //mobula:name args.
const tool = "mobula"

// The directives.
const (
	directiveRemote      = "remote"
	directiveActor       = "actor"
	directiveMethod      = "method"
	directiveLocal       = "local"
	directiveInstantiate = "instantiate"
)

var directiveNames = []string{directiveActor, directiveInstantiate, directiveLocal, directiveMethod, directiveRemote}

// marks are the annotated declarations of a package, and those that may matter to them, in the order of the source.
type marks struct {
	functions []*functionMark
	actors    []*actorMark
	// methods are all methods with a receiver of a type of the package, and constructors all functions named New….
	methods, constructors []*functionMark
}

// functionMark is a function or a method with its directives.
type functionMark struct {
	decl *ast.FuncDecl
	file *ast.File
	// directives are by name; only instantiate may occur more than once.
	directives map[string][]ast.Directive
}

// has reports whether the function has a directive.
func (m *functionMark) has(name string) bool { return len(m.directives[name]) > 0 }

// receiver returns the name of the receiver's type; empty for a function.
func (m *functionMark) receiver() string {
	if m.decl.Recv == nil || len(m.decl.Recv.List) == 0 {
		return ""
	}
	expr := m.decl.Recv.List[0].Type
	for {
		switch x := expr.(type) {
		case *ast.StarExpr:
			expr = x.X
		case *ast.ParenExpr:
			expr = x.X
		case *ast.IndexExpr:
			expr = x.X
		case *ast.IndexListExpr:
			expr = x.X
		case *ast.Ident:
			return x.Name
		default:
			return ""
		}
	}
}

// actorMark is a type with the actor directive.
type actorMark struct {
	spec      *ast.TypeSpec
	doc       *ast.CommentGroup
	file      *ast.File
	directive ast.Directive
}

// fileScan finds the directives of one file.
type fileScan struct {
	s        *source
	fset     *token.FileSet
	file     *ast.File
	problems *problems
	// seen are the directives that stand in the doc comment of something.
	seen map[token.Pos]bool
}

// scan finds the directives of a file of the package, and everything that looks like one and is none.
func (s *source) scan(fset *token.FileSet, f *ast.File, ps *problems) {
	sc := &fileScan{s: s, fset: fset, file: f, problems: ps, seen: map[token.Pos]bool{}}
	for _, decl := range f.Decls {
		switch d := decl.(type) {
		case *ast.FuncDecl:
			sc.function(d)
		case *ast.GenDecl:
			if d.Tok == token.TYPE {
				sc.types(d)
			}
		}
	}
	documented := docs(f)
	for _, group := range f.Comments {
		for _, c := range group.List {
			if d, ok := directiveOf(c); ok && !sc.seen[c.Slash] {
				sc.misplaced(d, group)
			} else if !ok && documented[group] {
				sc.nearMiss(c)
			}
		}
	}
}

// scanTest finds directives in a test file, where they cannot be.
func scanTest(fset *token.FileSet, f *ast.File, ps *problems) {
	for _, group := range f.Comments {
		for _, c := range group.List {
			if d, ok := directiveOf(c); ok {
				ps.add(fset.Position(c.Slash), InTestFile, fmt.Sprintf("//mobula:%s is in a test file", d.Name),
					"workers would have to be test binaries", "move the declaration to a file that is not a test")
			}
		}
	}
}

// directiveOf parses a directive of ours.
func directiveOf(c *ast.Comment) (ast.Directive, bool) {
	d, ok := ast.ParseDirective(c.Slash, c.Text)
	return d, ok && d.Tool == tool
}

// docs returns the comments that stand directly above a declaration at package level.
func docs(f *ast.File) map[*ast.CommentGroup]bool {
	out := map[*ast.CommentGroup]bool{}
	for _, decl := range f.Decls {
		switch d := decl.(type) {
		case *ast.FuncDecl:
			out[d.Doc] = true
		case *ast.GenDecl:
			out[d.Doc] = true
			for _, spec := range d.Specs {
				switch sp := spec.(type) {
				case *ast.TypeSpec:
					out[sp.Doc] = true
				case *ast.ValueSpec:
					out[sp.Doc] = true
				}
			}
		}
	}
	return out
}

// directives returns the known directives of a doc comment, by name.
func (sc *fileScan) directives(doc *ast.CommentGroup) map[string][]ast.Directive {
	out := map[string][]ast.Directive{}
	if doc == nil {
		return out
	}
	for _, c := range doc.List {
		d, ok := directiveOf(c)
		if !ok {
			continue
		}
		sc.seen[c.Slash] = true
		if !slices.Contains(directiveNames, d.Name) {
			sc.unknown(d)
			continue
		}
		if len(out[d.Name]) > 0 && d.Name != directiveInstantiate {
			sc.problem(d.Slash, DuplicateDirective, fmt.Sprintf("//mobula:%s is given twice", d.Name), "one of the two would be ignored", "put all options on one line")
			continue
		}
		out[d.Name] = append(out[d.Name], d)
	}
	return out
}

// problem adds a problem at a position of the file.
func (sc *fileScan) problem(at token.Pos, code Code, what, why, fix string) {
	sc.problems.add(sc.fset.Position(at), code, what, why, fix)
}

// unknown reports a directive that does not exist.
func (sc *fileScan) unknown(d ast.Directive) {
	fix := "use one of " + strings.Join(directiveNames, ", ")
	if near := model.Nearest(d.Name, directiveNames); near != "" {
		fix = "did you mean //mobula:" + near + "?"
	}
	sc.problem(d.Slash, UnknownDirective, fmt.Sprintf("unknown directive //mobula:%s", d.Name), "no directive has this name", fix)
}

// function notes a function or method.
func (sc *fileScan) function(decl *ast.FuncDecl) {
	m := &functionMark{decl: decl, file: sc.file, directives: sc.directives(decl.Doc)}
	marks := &sc.s.marks
	if decl.Recv != nil {
		sc.refuse(m, directiveActor, directiveRemote, directiveInstantiate)
		marks.methods = append(marks.methods, m)
		return
	}
	sc.refuse(m, directiveActor, directiveMethod)
	if strings.HasPrefix(decl.Name.Name, "New") {
		marks.constructors = append(marks.constructors, m)
	} else {
		sc.refuse(m, directiveLocal)
	}
	switch {
	case m.has(directiveRemote) && !decl.Name.IsExported():
		sc.problem(m.directives[directiveRemote][0].Slash, Unexported, fmt.Sprintf("function %s is not exported", decl.Name.Name),
			"other processes call it by its name", fmt.Sprintf("rename it to %s", exported(decl.Name.Name)))
	case m.has(directiveRemote) && m.has(directiveLocal):
		sc.problem(m.directives[directiveLocal][0].Slash, DuplicateDirective, fmt.Sprintf("function %s is both remote and local", decl.Name.Name),
			"it cannot be both", "remove one of the directives")
	case m.has(directiveRemote):
		marks.functions = append(marks.functions, m)
		sc.keepImports(m)
	case m.has(directiveInstantiate):
		sc.problem(m.directives[directiveInstantiate][0].Slash, BadInstantiation, fmt.Sprintf("function %s is instantiated but not remote", decl.Name.Name),
			"//mobula:instantiate lists the forms in which a remote function can be called", "add //mobula:remote")
	}
}

// keepImports notes which imports the instantiations mention, since nothing else in the file may.
func (sc *fileScan) keepImports(m *functionMark) {
	for _, d := range m.directives[directiveInstantiate] {
		expr, err := parser.ParseExpr(d.Args)
		if err != nil {
			continue // reported where instantiations are resolved
		}
		ast.Inspect(expr, func(n ast.Node) bool {
			if sel, ok := n.(*ast.SelectorExpr); ok {
				if x, ok := sel.X.(*ast.Ident); ok {
					sc.s.imports[x.Name] = true
				}
			}
			return true
		})
	}
}

// types notes the types of a declaration.
func (sc *fileScan) types(decl *ast.GenDecl) {
	for _, spec := range decl.Specs {
		ts, ok := spec.(*ast.TypeSpec)
		if !ok {
			continue
		}
		doc := ts.Doc
		if doc == nil && !decl.Lparen.IsValid() {
			doc = decl.Doc
		}
		m := &functionMark{directives: sc.directives(doc)}
		sc.refuse(m, directiveRemote, directiveMethod, directiveLocal, directiveInstantiate)
		if m.has(directiveActor) {
			sc.s.marks.actors = append(sc.s.marks.actors, &actorMark{spec: ts, doc: doc, file: sc.file, directive: m.directives[directiveActor][0]})
		}
	}
}

// refuse reports directives that do not belong on what they stand on, and forgets them.
func (sc *fileScan) refuse(m *functionMark, names ...string) {
	for _, name := range names {
		for _, d := range m.directives[name] {
			sc.problem(d.Slash, MisplacedDirective, fmt.Sprintf("//mobula:%s does not belong here", name), whereTo[name], fixFor(name, m))
		}
		delete(m.directives, name)
	}
}

// whereTo says where each directive belongs.
var whereTo = map[string]string{
	directiveRemote:      "it makes a function remote",
	directiveActor:       "it makes a struct type an actor",
	directiveMethod:      "it gives options to a method of an actor",
	directiveLocal:       "it keeps a method or a constructor of an actor from being remote",
	directiveInstantiate: "it lists the types for which a generic remote function can be called",
}

// fixFor says what to do about a directive that is on the wrong thing.
func fixFor(name string, m *functionMark) string {
	if name == directiveRemote && m.decl != nil && m.decl.Recv != nil {
		return fmt.Sprintf("put //mobula:actor on type %s, and its exported methods are remote", m.receiver())
	}
	if name == directiveRemote && m.decl == nil {
		return "use //mobula:actor for a struct type"
	}
	if name == directiveActor && m.decl != nil {
		return "use //mobula:remote for a function"
	}
	return "move it, or remove it"
}

// misplaced reports a directive that is in no doc comment that could take it.
func (sc *fileScan) misplaced(d ast.Directive, group *ast.CommentGroup) {
	if !slices.Contains(directiveNames, d.Name) {
		sc.unknown(d)
		return
	}
	fix := "put it directly above the declaration, without an empty line between"
	for _, decl := range sc.file.Decls {
		if decl.Pos() <= group.Pos() && group.Pos() < decl.End() {
			fix = "put it above a declaration at package level"
		}
	}
	sc.problem(d.Slash, MisplacedDirective, fmt.Sprintf("//mobula:%s annotates nothing", d.Name), whereTo[d.Name], fix)
}

// almost matches comments that look like our directives.
var almost = regexp.MustCompile(`^(?://|/\*)\s*(?i:mobula)\s*[:.]?\s*([A-Za-z_]+)(.*?)(?:\*/)?$`)

// nearMiss reports a comment that was surely meant as a directive: it names one, in whatever spelling, and goes on as a
// directive would, with options and nothing else. Prose that mentions a directive does not.
func (sc *fileScan) nearMiss(c *ast.Comment) {
	m := almost.FindStringSubmatch(strings.TrimSpace(c.Text))
	if m == nil || !strings.Contains(c.Text, ":") {
		return
	}
	name := strings.ToLower(m[1])
	if !slices.Contains(directiveNames, name) {
		return
	}
	for word := range strings.FieldsSeq(m[2]) {
		if !strings.Contains(word, "=") && word != "retry_errors" && (name != directiveInstantiate || !strings.Contains(m[2], "[")) {
			return
		}
	}
	what := fmt.Sprintf("%q is not a directive", strings.TrimSpace(c.Text))
	sc.problem(c.Slash, NearMiss, what, "a directive is //mobula:name in lower case without spaces, so this one is an ordinary comment",
		strings.TrimSpace("write //mobula:"+name+strings.TrimRight(m[2], " ")))
}

// exported returns the name with its first letter in upper case.
func exported(name string) string {
	if name == "" {
		return name
	}
	return strings.ToUpper(name[:1]) + name[1:]
}
