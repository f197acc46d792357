// Package docs runs what the documents show. A fenced block tells by the comment above it what shall be done with it:
//
//	<!-- run -->            sh: runs in a module of the document's own. go: is a whole program, which is generated for and run.
//	<!-- output -->         is what the block that ran last must have printed.
//	<!-- file: NAME -->     is put into the module under that name.
//	<!-- within: NAME -->   are statements, which must compile in testdata/NAME.go.txt.
//	<!-- setup -->          is run by tests/newuser, since it makes a module from nothing.
//
// A block of Go without a comment must be what gofmt would make of it.
package docs

import (
	"errors"
	"fmt"
	"go/format"
	"regexp"
	"slices"
	"strings"
)

// block is a fenced block of a document.
type block struct {
	line       int    // of the fence, from 1
	language   string // after the fence; empty when there is none
	mark, name string // what the comment above it says; empty when there is none
	text       string
}

var (
	fence   = regexp.MustCompile("^( *)(`{3,}|~{3,})([^` ]*)$")
	comment = regexp.MustCompile(`^<!-- ([a-z]+)(?:: (.*))? -->$`)
)

// marks has, for each mark, the languages that it may stand above; nil for any.
var marks = map[string][]string{"run": {"sh", "go"}, "output": {"text"}, "file": nil, "within": {"go"}, "setup": {"sh"}}

// blocks returns the fenced blocks of a document.
func blocks(document string) ([]block, error) {
	var (
		all        []block
		open       *block
		end        string
		indent     int
		mark, name string
		problems   []error
	)
	for i, line := range strings.Split(document, "\n") {
		switch f := fence.FindStringSubmatch(line); {
		case open != nil && strings.TrimSpace(line) == end:
			all = append(all, *open)
			open = nil
		case open != nil:
			open.text += line[min(indent, len(line)-len(strings.TrimLeft(line, " "))):] + "\n"
		case f != nil:
			open = &block{line: i + 1, language: f[3], mark: mark, name: name}
			end, indent, mark, name = f[2], len(f[1]), "", ""
			if languages, ok := marks[open.mark]; open.mark != "" && (!ok || languages != nil && !slices.Contains(languages, open.language)) {
				problems = append(problems, fmt.Errorf("line %d: a block of %q cannot be marked %q", i+1, open.language, open.mark))
			}
		default:
			if mark != "" && marked(mark) {
				problems = append(problems, fmt.Errorf("line %d: the mark %q is not directly above a block", i, mark))
			}
			mark, name = "", ""
			if c := comment.FindStringSubmatch(line); c != nil {
				mark, name = c[1], c[2]
			}
		}
	}
	if open != nil {
		problems = append(problems, fmt.Errorf("line %d: the block does not end", open.line))
	}
	return all, errors.Join(problems...)
}

// marked reports whether a comment is one of ours. Documents may have others.
func marked(mark string) bool { _, ok := marks[mark]; return ok }

// checkGo checks a block of Go that stands for itself: a file, declarations or statements.
func checkGo(text string) error {
	formatted, err := format.Source([]byte(text))
	if err != nil {
		return fmt.Errorf("it does not parse: %w", err)
	}
	if string(formatted) != text {
		return fmt.Errorf("gofmt would write it so:\n%s", formatted)
	}
	return nil
}
