package lexer_test

import (
	"go/scanner"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/mobula-dev/mobula/examples/wordindex/lexer"
)

// identifiers returns all that the lexer finds in a text.
func identifiers(text string) (found []string, l lexer.Lexer) {
	l.Reset([]byte(text))
	for name := l.Next(); name != nil; name = l.Next() {
		found = append(found, string(name))
	}
	return found, l
}

func TestLexerFindsIdentifiersAndNothingElse(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		text              string
		want              string // separated by spaces
		comments, strings int
	}{
		"nothing":                  {},
		"names and keywords":       {text: "func f(x_1 int) { return _ }", want: "func f x_1 int return _"},
		"selectors":                {text: "a.b.c[d]", want: "a b c d"},
		"other letters":            {text: "größe := 世界 + é1", want: "größe 世界 é1"},
		"other characters":         {text: "a→b €", want: "a b"},
		"byte order mark":          {text: "\ufeffpackage p", want: "package p"},
		"line comment":             {text: "a // b c\nd", want: "a d", comments: len("// b c")},
		"comment at the end":       {text: "a //", want: "a", comments: 2},
		"block comment":            {text: "a /* b\n** c */ d", want: "a d", comments: len("/* b\n** c */")},
		"block comment that is no": {text: "a /*/ b", want: "a", comments: len("/*/ b")},
		"division":                 {text: "a/b /c/", want: "a b c"},
		"string":                   {text: `a "b // c" d`, want: "a d", strings: len(`"b // c"`)},
		"escaped quote":            {text: `a "\"b\\" c '\'' d`, want: "a c d", strings: len(`"\"b\\"'\''`)},
		"raw string":               {text: "a `b\\` c `\"\nd` e", want: "a c e", strings: len("`b\\``\"\nd`")},
		"string without an end":    {text: "a \"b\nc 'd\ne `f\ng", want: "a c e", strings: len("\"b'd`f\ng")},
		"escape at the end":        {text: `a "\`, want: "a", strings: 2},
		"decimal numbers":          {text: "1 1_000 1.5 .5 1.e3 1E+3 2i a", want: "a"},
		"other numbers":            {text: "0x_1Fe 0XAp-1i 0b11 0o17 0x1.8p3 a", want: "a"},
		"number and name":          {text: "1.String() x[0:n]", want: "String x n"},
		"number that goes on":      {text: "0x1Fg 12ab", want: "g ab"},
		"not UTF-8":                {text: "a\xffb \xe4\xb8", want: "a b"},
		"zero bytes":               {text: "a\x00b", want: "a b"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			found, l := identifiers(tt.text)
			if got := strings.Join(found, " "); got != tt.want {
				t.Errorf("identifiers of %q = %q, want %q", tt.text, got, tt.want)
			}
			if l.CommentBytes != tt.comments || l.StringBytes != tt.strings {
				t.Errorf("%q has %d bytes of comments and %d of strings, want %d and %d", tt.text, l.CommentBytes, l.StringBytes, tt.comments, tt.strings)
			}
		})
	}
}

// scanned returns what the standard library's scanner finds; false when the text is not valid for it.
func scanned(text []byte) (found []string, valid bool) {
	var s scanner.Scanner
	files := token.NewFileSet()
	s.Init(files.AddFile("", files.Base(), len(text)), text, nil, 0)
	for {
		switch _, tok, literal := s.Scan(); {
		case tok == token.EOF:
			return found, s.ErrorCount == 0
		case tok == token.IDENT || tok.IsKeyword():
			found = append(found, literal)
		}
	}
}

// toolchain returns a folder of the Go toolchain's source.
func toolchain(tb testing.TB, dir string) string {
	tb.Helper()
	root, err := exec.CommandContext(tb.Context(), "go", "env", "GOROOT").Output()
	if err != nil {
		tb.Fatal(err)
	}
	return filepath.Join(strings.TrimSpace(string(root)), "src", filepath.FromSlash(dir))
}

func TestLexerAgreesWithTheStandardScanner(t *testing.T) {
	t.Parallel()
	files := 0
	for _, dir := range []string{"strconv", "unicode", "go/scanner", "go/parser", "net/http", "text/template"} {
		err := filepath.WalkDir(toolchain(t, dir), func(name string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() || filepath.Ext(name) != ".go" {
				return err
			}
			text, err := os.ReadFile(name)
			if err != nil {
				return err
			}
			want, valid := scanned(text)
			if !valid {
				return nil
			}
			files++
			if got, _ := identifiers(string(text)); !slices.Equal(got, want) {
				t.Errorf("%s: the lexer and the scanner find different identifiers", name)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if files < 100 {
		t.Fatalf("compared %d files, want more: is the toolchain's source there?", files)
	}
}

func FuzzLexer(f *testing.F) {
	for _, seed := range []string{
		"package p\nfunc f() { return 0x1p-2 + .5i }", "a \"\\\"\" `\n` '\\'' // c\n/* d */ e", "größe\xff\u0663", "/", "/*", "\"\\", "0x", "1e+", "é٣",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		got, l := identifiers(string(text))
		if n := l.CommentBytes + l.StringBytes; n > len(text) {
			t.Errorf("%d bytes of comments and strings in a text of %d", n, len(text))
		}
		if want, valid := scanned(text); valid && !slices.Equal(got, want) {
			t.Errorf("identifiers of %q = %q, the scanner finds %q", text, got, want)
		}
	})
}

func BenchmarkLexer(b *testing.B) {
	text, err := os.ReadFile(toolchain(b, "net/http/server.go"))
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	var l lexer.Lexer
	found := 0
	for b.Loop() {
		l.Reset(text)
		for l.Next() != nil {
			found++
		}
	}
	if found == 0 {
		b.Fatal("there are no identifiers")
	}
}
