package docs

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/mobula-dev/mobula/tests/newuser/module"
)

// root is the root of the repository.
const root = "../.."

// documents lists the documents by their paths from the root.
func documents(t *testing.T) []string {
	t.Helper()
	paths := []string{"README.md", "CONTRIBUTING.md"}
	err := fs.WalkDir(os.DirFS(root), "docs", func(path string, _ fs.DirEntry, err error) error {
		if strings.HasSuffix(path, ".md") {
			paths = append(paths, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return paths
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(root, path))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestWhatTheDocumentsShowWorks(t *testing.T) {
	t.Parallel()
	for _, path := range documents(t) {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			all, err := blocks(read(t, path))
			if err != nil {
				t.Fatal(err)
			}
			p := &play{path: path}
			for _, b := range all {
				if err := p.block(t, b); err != nil {
					t.Fatalf("%s:%d: %v", path, b.line, err)
				}
			}
		})
	}
}

// play does what the blocks of a document say, one after another.
type play struct {
	path    string
	module  *module.Module // nil until a block needs it
	bin     string         // has the mobula binary; empty until a block needs it
	tmp     string         // stands for /tmp; empty until a block needs it
	output  *string        // of the block that ran last
	program int            // counts the programs
}

// block does what one block says.
func (p *play) block(t *testing.T, b block) error {
	t.Helper()
	if b.mark != "" && b.mark != "setup" && p.module == nil {
		p.module = module.New(t)
	}
	switch {
	case b.mark == "file":
		p.module.Write(t, b.name, b.text)
		if b.language == "go" {
			return checkGo(b.text)
		}
		return nil
	case b.mark == "run" && b.language == "sh":
		return p.script(t, b.text)
	case b.mark == "run":
		return p.run(t, b.text)
	case b.mark == "within":
		return p.compile(t, b)
	case b.mark == "output":
		if p.output == nil {
			return fmt.Errorf("no block ran before this output")
		}
		if *p.output != b.text {
			return fmt.Errorf("the block before it printed\n%s", *p.output)
		}
		return nil
	case b.language == "go":
		return checkGo(b.text)
	default:
		return nil
	}
}

// script runs a script in the document's module, with the mobula binary in its path if it wants that.
func (p *play) script(t *testing.T, text string) error {
	t.Helper()
	var variables []string
	if regexp.MustCompile(`(?m)^\s*mobula `).MatchString(text) {
		if p.bin == "" {
			p.bin = filepath.Join(t.TempDir(), "bin")
			p.module.Go(t, "build", "-C", p.module.Repository, "-o", filepath.Join(p.bin, "mobula"), "./cmd/mobula")
		}
		variables = []string{"PATH=" + p.bin + string(os.PathListSeparator) + os.Getenv("PATH")}
	}
	r := p.module.Run(t, "", variables, "bash", "-euo", "pipefail", "-c", p.ownTmp(t, text))
	if r.Err != nil {
		return fmt.Errorf("%w\n%s%s", r.Err, r.Stdout, r.Stderr)
	}
	p.output = &r.Stdout
	return nil
}

// tmp matches the directory for temporary files, at the beginning of a path.
var tmp = regexp.MustCompile(`(^|[\s=])/tmp/`)

// ownTmp puts a directory of the test in the place of /tmp, where others may use the names that a document shows.
func (p *play) ownTmp(t *testing.T, text string) string {
	t.Helper()
	if !tmp.MatchString(text) {
		return text
	}
	if p.tmp == "" {
		dir, err := os.MkdirTemp("", "docs") //nolint:usetesting // Sockets are made below it, and their paths must be short.
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := os.RemoveAll(dir); err != nil {
				t.Error(err)
			}
		})
		p.tmp = dir
	}
	return tmp.ReplaceAllString(text, "${1}"+p.tmp+"/")
}

// run runs a whole program.
func (p *play) run(t *testing.T, text string) error {
	t.Helper()
	if err := checkGo(text); err != nil {
		return err
	}
	p.program++
	dir := fmt.Sprintf("program%d", p.program)
	p.module.Write(t, dir+"/main.go", text)
	return p.script(t, fmt.Sprintf("go tool mobula-gen ./%[1]s && go run ./%[1]s", dir))
}

// compile compiles statements in their surroundings.
func (p *play) compile(t *testing.T, b block) error {
	t.Helper()
	if err := checkGo(b.text); err != nil {
		return err
	}
	around, err := os.ReadFile(filepath.Join("testdata", b.name+".go.txt"))
	if err != nil {
		return err
	}
	const here = "\t// SNIPPET\n"
	if strings.Count(string(around), here) != 1 {
		return fmt.Errorf("testdata/%s.go.txt does not say once where the snippet goes", b.name)
	}
	p.program++
	dir := fmt.Sprintf("program%d", p.program)
	p.module.Write(t, dir+"/main.go", strings.Replace(string(around), here, b.text, 1))
	return p.script(t, fmt.Sprintf("go tool mobula-gen ./%[1]s && go vet ./%[1]s", dir))
}

// generator matches the line that differs between a user's module, which has the generator as a tool, and this repository.
var generator = regexp.MustCompile(`(?m)^//go:generate .*\n`)

func TestProgramOfTheREADMEIsThatOfTheExamples(t *testing.T) {
	t.Parallel()
	all, err := blocks(read(t, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(all, func(b block) bool { return b.mark == "file" && b.name == "main.go" })
	if i < 0 {
		t.Fatal("README.md shows no main.go")
	}
	want := strings.Replace(read(t, "examples/hello/main.go"), " README.md shows it.", "", 1)
	if got := generator.ReplaceAllString(all[i].text, ""); got != generator.ReplaceAllString(want, "") {
		t.Errorf("README.md shows\n%s\nand examples/hello/main.go has\n%s", got, want)
	}
}

// link matches what a document links to.
var link = regexp.MustCompile(`\]\(([^)\s]+)\)`)

func TestLinksBetweenDocumentsLeadSomewhere(t *testing.T) {
	t.Parallel()
	for _, path := range documents(t) {
		text := read(t, path)
		for _, l := range link.FindAllStringSubmatch(text, -1) {
			target, anchor, _ := strings.Cut(l[1], "#")
			if strings.Contains(target, "://") {
				continue // that would need a network
			}
			file := path
			if target != "" {
				file = filepath.Join(filepath.Dir(path), target)
			}
			if _, err := os.Stat(filepath.Join(root, file)); err != nil {
				t.Errorf("%s links to %s: %v", path, l[1], err)
			} else if anchor != "" && !slices.Contains(anchors(read(t, file)), anchor) {
				t.Errorf("%s links to %s, and %s has no such heading", path, l[1], file)
			}
		}
	}
}

// anchors returns the names by which the headings of a document can be linked to.
func anchors(document string) []string {
	var all []string
	for line := range strings.Lines(document) {
		if heading, ok := strings.CutPrefix(strings.TrimLeft(line, "#"), " "); ok && strings.HasPrefix(line, "#") {
			heading = strings.ToLower(strings.TrimSpace(heading))
			heading = regexp.MustCompile(`[^\p{L}\p{N} _-]`).ReplaceAllString(heading, "")
			all = append(all, strings.ReplaceAll(heading, " ", "-"))
		}
	}
	return all
}
