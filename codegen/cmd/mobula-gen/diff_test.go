package main

import (
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// patch applies a unified diff to a text the way patch does, and reports whether it applies.
func patch(old, diff string) (string, bool) {
	from := strings.SplitAfter(old, "\n")
	var out strings.Builder
	next := 0 // first line of from that is not handled
	for _, line := range strings.Split(diff, "\n")[2:] {
		switch {
		case line == "" || strings.HasPrefix(line, `\`):
		case strings.HasPrefix(line, "@@"):
			start, count, _ := strings.Cut(strings.TrimPrefix(strings.Fields(line)[1], "-"), ",")
			n, err := strconv.Atoi(start)
			if count != "0" {
				n--
			}
			if err != nil || n < next || n > len(from) {
				return "", false
			}
			out.WriteString(strings.Join(from[next:n], ""))
			next = n
		case line[0] == '+':
			out.WriteString(line[1:] + "\n")
		default:
			if next >= len(from) || from[next] != line[1:]+"\n" {
				return "", false
			}
			if next++; line[0] == ' ' {
				out.WriteString(line[1:] + "\n")
			}
		}
	}
	return out.String() + strings.Join(from[next:], ""), true
}

// commonLines returns the length of the longest common subsequence, by its definition.
func commonLines(a, b []string) int {
	table := make([][]int, len(a)+1)
	for i := range table {
		table[i] = make([]int, len(b)+1)
	}
	for i := range a {
		for j := range b {
			table[i+1][j+1] = max(table[i][j+1], table[i+1][j])
			if a[i] == b[j] {
				table[i+1][j+1] = table[i][j] + 1
			}
		}
	}
	return table[len(a)][len(b)]
}

func TestDiffLeadsFromOldToNewByTheShortestWay(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.SliceOfN(rapid.SampledFrom([]string{"a\n", "b\n", "c\n"}), 1, 40)
		old, now := text.Draw(t, "old"), text.Draw(t, "new")
		d := unified("f", []byte(strings.Join(old, "")), []byte(strings.Join(now, "")))
		if got, ok := patch(strings.Join(old, ""), d); !ok || got != strings.Join(now, "") {
			t.Fatalf("patched: %q, %t; want %q\n%s", got, ok, strings.Join(now, ""), d)
		}
		kept := 0
		for _, e := range diff(old, now) {
			if e.op == ' ' {
				kept++
			}
		}
		if want := commonLines(old, now); kept != want {
			t.Errorf("%d lines kept, want %d\n%s", kept, want, d)
		}
	})
}

func TestDiffOfVeryDifferentTextsReplacesAll(t *testing.T) {
	t.Parallel()
	line := func(prefix string) []string {
		var out []string
		for i := range editsMax {
			out = append(out, prefix+strconv.Itoa(i)+"\n")
		}
		return out
	}
	edits := diff(append(line("a"), "end\n"), append(line("b"), "end\n"))
	if len(edits) != 2*editsMax+1 || edits[0].op != '-' || edits[editsMax].op != '+' || edits[2*editsMax].op != ' ' {
		t.Errorf("%d edits, want all removed, all added, the end kept", len(edits))
	}
}

func TestDiffSaysWhenTheLastLineIsNotEnded(t *testing.T) {
	t.Parallel()
	const want = "--- a/f\n+++ b/f\n@@ -1,1 +1,1 @@\n-a\n\\ No newline at end of file\n+a\n"
	if got := unified("f", []byte("a"), []byte("a\n")); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
