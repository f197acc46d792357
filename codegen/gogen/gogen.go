// Package gogen writes Go stubs from the model of a package.
//
// What it writes is to be read: declarations in the order of their names, doc comments from the source, the source's own
// names for parameters, and nothing that a person would not have written. It depends on nothing but its input: the same
// model gives the same bytes.
package gogen

import (
	"bytes"
	"fmt"
	"go/format"
	"strings"

	"github.com/mobula-dev/mobula/codegen/model"
)

// Import paths of what generated code uses.
const (
	mobulaPath = "github.com/mobula-dev/mobula/clients/go/mobula"
	stubPath   = mobulaPath + "/stub"
)

// Config says what is to be written.
type Config struct {
	// Header is the first line.
	Header string
	// Build is the build constraint of the file, as an expression; empty for none.
	Build string
	// Scope has the identifiers that other files of the package declare.
	Scope map[string]bool
}

// File returns the file with the stubs of a package. An error is a fault of the generator: what it wrote is not Go.
func File(m *model.Package, cfg Config) ([]byte, error) {
	f := newFile(m, cfg)
	f.stubs()
	f.registration()
	f.guards()
	return f.bytes()
}

// Takeover returns a file whose init function hands the process over to the runtime when it was started as a worker or a
// node. If tested is not empty, it is the import path of a package whose registrations have to come first.
func Takeover(pkg, tested string, cfg Config) ([]byte, error) {
	f := newFile(&model.Package{Name: pkg}, cfg)
	f.blank = tested
	f.say("init runs after everything that this program imports has registered its functions. In a process that was started as a worker or as a node it does not return: main, flags and tests are not for those.")
	f.p("func init() { %s.Takeover() }", f.use(stubPath, "stub"))
	return f.bytes()
}

// file is a file under construction.
type file struct {
	cfg   Config
	model *model.Package
	body  bytes.Buffer
	names names
	// imports are the local names of imported packages, by path.
	imports map[string]string
	// packages are the packages' own names, by path.
	packages map[string]string
	// blank is a package to import for its effects.
	blank string
	// funcs is the variable that holds what is registered, and fields its fields by identity.
	funcs  string
	fields map[string]string
}

func newFile(m *model.Package, cfg Config) *file {
	f := &file{cfg: cfg, model: m, imports: map[string]string{}, packages: map[string]string{}, fields: map[string]string{}}
	f.names = reserved(m, cfg.Scope)
	f.funcs = f.names.fresh("mobulaFuncs")
	return f
}

// p writes a line.
func (f *file) p(format string, args ...any) { fmt.Fprintf(&f.body, format+"\n", args...) }

// commentWidth is how long lines of the file's own comments become.
const commentWidth = 110

// say writes a sentence or two of our own as a comment.
func (f *file) say(format string, args ...any) {
	line := "//"
	for word := range strings.FieldsSeq(fmt.Sprintf(format, args...)) {
		if len(line)+1+len(word) > commentWidth && line != "//" {
			f.p("%s", line)
			line = "//"
		}
		line += " " + word
	}
	f.p("%s", line)
}

// comment writes text of the source as a comment.
func (f *file) comment(text string) {
	text = strings.TrimRight(text, "\n")
	if text == "" {
		return
	}
	for line := range strings.SplitSeq(text, "\n") {
		f.body.WriteString(strings.TrimRight("// "+line, " ") + "\n")
	}
}

// bytes puts the file together and formats it.
func (f *file) bytes() ([]byte, error) {
	var b bytes.Buffer
	b.WriteString(f.cfg.Header + "\n\n")
	if f.cfg.Build != "" {
		b.WriteString("//go:build " + f.cfg.Build + "\n\n")
	}
	fmt.Fprintf(&b, "package %s\n\n", f.model.Name)
	f.writeImports(&b)
	b.Write(f.body.Bytes())
	out, err := format.Source(b.Bytes())
	if err != nil {
		return nil, fmt.Errorf("format the generated file of package %s: %w", f.model.Name, err)
	}
	return out, nil
}
