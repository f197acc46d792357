package docs

import (
	"strings"
	"testing"
)

// A check that cannot fail checks nothing: each of these documents has one mistake.
func TestMistakesInDocumentsAreFound(t *testing.T) {
	t.Parallel()
	const program = "package main\n\nimport \"fmt\"\n\nfunc main() { fmt.Println(%s) }\n"
	for name, c := range map[string]struct{ document, want string }{
		"Go that does not parse":         {"```go\nx := = 1\n```", "does not parse"},
		"Go that is not formatted":       {"```go\nx:=1\n```", "gofmt would write it so"},
		"a script that fails":            {"<!-- run -->\n```sh\nfalse\necho on\n```", "exit status 1"},
		"a pipe that fails":              {"<!-- run -->\n```sh\nfalse | cat\n```", "exit status 1"},
		"a program that does not build":  {"<!-- run -->\n```go\n" + strings.Replace(program, "%s", "one", 1) + "```", "undefined: one"},
		"another output":                 {"<!-- run -->\n```sh\necho 1\n```\n<!-- output -->\n```text\n2\n```", "printed\n1\n"},
		"output of nothing":              {"<!-- output -->\n```text\n2\n```", "no block ran"},
		"a snippet that does not fit":    {"<!-- within: program -->\n```go\nx, err := mobula.Put(ctx)\n```", "not enough arguments"},
		"a snippet without surroundings": {"<!-- within: nothing -->\n```go\nx := 1\n```", "no such file"},
		"a mark in the wrong place":      {"<!-- run -->\ntext\n```sh\ntrue\n```", "not directly above a block"},
		"a mark on another language":     {"<!-- run -->\n```json\n{}\n```", "cannot be marked"},
		"a block without an end":         {"```sh\ntrue\n", "does not end"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := playAll(t, c.document)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error is %v, want one that says %q", err, c.want)
			}
		})
	}
}

func TestDocumentsWithoutMistakesPass(t *testing.T) {
	t.Parallel()
	for name, document := range map[string]string{
		"a script, a file and its output": "<!-- file: a.txt -->\n```text\n1\n```\n<!-- run -->\n```sh\ncat a.txt\n```\n<!-- output -->\n```text\n1\n```\n",
		"statements that compile":         "<!-- within: program -->\n```go\nref, err := mobula.Put(ctx, 1)\nif err != nil {\n\treturn err\n}\ndefer ref.Release()\n```",
		"an indented block":               "- item\n  ```go\n  x := 1\n  ```\n",
		"other comments and languages":    "<!-- toc -->\n\n```json\n{\n```\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if err := playAll(t, document); err != nil {
				t.Error(err)
			}
		})
	}
}

// playAll does what a document says and returns the first error.
func playAll(t *testing.T, document string) error {
	t.Helper()
	all, err := blocks(document)
	if err != nil {
		return err
	}
	p := &play{}
	for _, b := range all {
		if err := p.block(t, b); err != nil {
			return err
		}
	}
	return nil
}

func FuzzBlocks(f *testing.F) {
	f.Add("<!-- run -->\n```sh\ntrue\n```\n")
	f.Add("- a\n  ~~~go\n  x := 1\n  ~~~\n```")
	f.Add("<!-- within: x -->\n\n````\n```\n````")
	f.Fuzz(func(t *testing.T, document string) {
		all, err := blocks(document)
		lines := strings.Count(document, "\n") + 1
		for _, b := range all {
			if b.line < 1 || b.line > lines {
				t.Errorf("a block is said to begin at line %d of %d (%v)", b.line, lines, err)
			}
			if !strings.HasSuffix("\n"+b.text, "\n") {
				t.Errorf("the text of a block does not end a line: %q", b.text)
			}
		}
	})
}
