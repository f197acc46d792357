package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/mobula-dev/mobula/codegen/gogen"
	"github.com/mobula-dev/mobula/codegen/parse"
)

// change is one file that is not what it should be.
type change struct {
	// Path is relative to the working directory where that is shorter.
	Path string `json:"path"`
	// Kind is create, update or remove.
	Kind string `json:"change"`
	// Diff is a unified diff from what the file is to what it should be.
	Diff string `json:"diff"`

	file    string // absolute
	content []byte // nil to remove
}

// plan returns the files to change, and what stands in the way.
func plan(dir string, packages []*parse.Package) ([]change, []parse.Problem) {
	changes, problems := []change{}, []parse.Problem(nil)
	root, err := filepath.Abs(dir)
	if err != nil {
		root = dir
	}
	for _, p := range packages {
		files, err := generate(p)
		if err != nil {
			problems = append(problems, parse.Problem{
				Path: parse.Relative(root, p.Dir), Code: parse.GeneratorBroken, What: "what was generated is not Go", Why: err.Error(),
				Fix: "please report this with the declarations of the package",
			})
			continue
		}
		for _, f := range files {
			c, problem := compare(root, f)
			switch {
			case problem != nil:
				problems = append(problems, *problem)
			case c != nil:
				changes = append(changes, *c)
			}
		}
	}
	return changes, problems
}

// generated is a file as it should be: absent if content is nil.
type generated struct {
	file    string
	content []byte
}

// generate returns the files of one package.
func generate(p *parse.Package) ([]generated, error) {
	at := func(name string) string { return filepath.Join(p.Dir, name) }
	out := []generated{{file: at(parse.StubFile)}, {file: at(parse.MainFile)}, {file: at(parse.TestFile)}}
	var err error
	if p.Model != nil {
		out[0].content, err = gogen.File(p.Model, gogen.Config{Header: parse.Header, Build: p.Build, Scope: p.Scope})
		if err != nil {
			return nil, fmt.Errorf("write stubs: %w", err)
		}
	}
	for i, t := range []*parse.Takeover{p.Main, p.Test} {
		if t == nil {
			continue
		}
		out[1+i].content, err = gogen.Takeover(t.Package, t.Tested, gogen.Config{Header: parse.Header, Build: t.Build, Scope: t.Scope})
		if err != nil {
			return nil, fmt.Errorf("write takeover: %w", err)
		}
	}
	return out, nil
}

// compare returns the change that makes a file what it should be; nil if it is.
func compare(root string, g generated) (*change, *parse.Problem) {
	path := parse.Relative(root, g.file)
	old, err := os.ReadFile(g.file)
	missing := errors.Is(err, fs.ErrNotExist)
	if err != nil && !missing {
		return nil, fileFailed(path, "the file cannot be read", err)
	}
	foreign := !missing && !parse.HasHeader(old)
	switch {
	case missing && g.content == nil, foreign && g.content == nil, !missing && g.content != nil && bytes.Equal(old, g.content):
		return nil, nil
	case foreign:
		return nil, &parse.Problem{
			Path: path, Code: parse.ForeignFile, What: "the file has the name of a generated one",
			Why: "it does not begin with the header of mobula-gen, which never touches such files", Fix: "rename it",
		}
	}
	c := &change{Path: path, Kind: "update", Diff: unified(path, old, g.content), file: g.file, content: g.content}
	if missing {
		c.Kind = "create"
	} else if g.content == nil {
		c.Kind = "remove"
	}
	return c, nil
}

// apply makes the changes. It goes on after a failure: each file is right or as it was.
func apply(changes []change) []parse.Problem {
	var problems []parse.Problem
	for _, c := range changes {
		var err error
		if c.content == nil {
			err = os.Remove(c.file)
		} else {
			err = write(c.file, c.content)
		}
		if err != nil {
			problems = append(problems, *fileFailed(c.Path, "the file cannot be written", err))
		}
	}
	return problems
}

// sourceMode is the mode of what is written: source that everybody may read.
const sourceMode = 0o644

// write replaces a file, so that nobody ever sees a part of it. The temporary file's name begins with a dot: the go command
// does not take it for source.
func write(path string, content []byte) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*.tmp")
	if err != nil {
		return fmt.Errorf("make a temporary file: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	_, err = f.Write(content)
	if err == nil {
		err = f.Chmod(sourceMode)
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("write the temporary file: %w", err)
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return fmt.Errorf("replace the file: %w", err)
	}
	return nil
}

// fileFailed is the problem of a file that the system refuses.
func fileFailed(path, what string, err error) *parse.Problem {
	return &parse.Problem{Path: path, Code: parse.FileFailed, What: what, Why: err.Error(), Fix: "correct that and run mobula-gen again"}
}
