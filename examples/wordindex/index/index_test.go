package index_test

import (
	"bytes"
	"cmp"
	"fmt"
	"go/token"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/mobula-dev/mobula/examples/wordindex/index"
	"github.com/mobula-dev/mobula/examples/wordindex/lexer"
)

// use is what the oracle knows of a name.
type use struct {
	count int
	files []uint32
}

// oracle indexes files in the simplest way.
func oracle(files []string) map[string]use {
	uses := make(map[string]use)
	for number, text := range files {
		for name := range names(text) {
			u := uses[name]
			u.count++
			if !slices.Contains(u.files, uint32(number)) {
				u.files = append(u.files, uint32(number))
			}
			uses[name] = u
		}
	}
	return uses
}

// names yields the identifiers of a text that are no keywords.
func names(text string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		var l lexer.Lexer
		l.Reset([]byte(text))
		for name := l.Next(); name != nil; name = l.Next() {
			if !token.IsKeyword(string(name)) && !yield(string(name)) {
				return
			}
		}
	}
}

// content returns what an index says, in the oracle's form.
func content(x *index.Index) map[string]use {
	uses := make(map[string]use)
	for i := range x.Len() {
		uses[string(x.Name(i))] = use{count: int(x.Counts[i]), files: slices.Clone(x.FilesOf(i))}
	}
	return uses
}

// build indexes files of which the first has that number.
func build(first int, files []string) *index.Index {
	b := index.NewBuilder()
	for i, text := range files {
		b.Add(uint32(first+i), []byte(text))
	}
	return b.Index()
}

// texts generates the texts of files: few names, so that files share some.
func texts(least, most int) *rapid.Generator[[]string] {
	name := rapid.OneOf(
		rapid.SampledFrom([]string{"a", "b", "err", "Error", "New", "é", "Ünder", "func", "return", "x1", "aVeryLongNameIndeedOfThirtyCharacters"}),
		rapid.StringMatching(`[a-cA-C]{1,3}`),
	)
	return rapid.SliceOfN(rapid.Map(rapid.SliceOfN(name, 0, 30), func(s []string) string { return strings.Join(s, " ") }), least, most)
}

func TestIndexSaysWhereAndHowOftenEachNameOccurs(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		files := texts(0, 8).Draw(t, "files")
		x := build(0, files)
		if got, want := content(x), oracle(files); !reflect.DeepEqual(got, want) {
			t.Fatalf("index of %q\n got %v\nwant %v", files, got, want)
		}
		if !slices.IsSorted(x.Hashes) {
			t.Fatal("the entries are not in the order of their hashes")
		}
	})
}

func TestMergedPartsAreTheWhole(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		files := texts(1, 12).Draw(t, "files")
		var batches []*index.Index
		for first := 0; first < len(files); {
			n := rapid.IntRange(1, len(files)-first).Draw(t, "batch")
			batches = append(batches, build(first, files[first:first+n]))
			first += n
		}
		whole := build(0, files)
		of := rapid.IntRange(1, 9).Draw(t, "parts")
		entries := 0
		for n := range of {
			part := index.Part{Number: n, Of: of}
			merged := index.Merge(part, batches...)
			if err := merged.Compare(whole, part); err != nil {
				t.Fatal(err)
			}
			if again := index.Merge(part, merged); !reflect.DeepEqual(again, merged) {
				t.Fatal("a part that is merged with nothing changes")
			}
			entries += merged.Len()
		}
		if entries != whole.Len() {
			t.Fatalf("the parts have %d entries, the whole %d", entries, whole.Len())
		}
	})
}

func TestBuilderIsAsNewAfterReset(t *testing.T) {
	t.Parallel()
	b := index.NewBuilder()
	b.Add(7, []byte(manyNames(100_000)))
	first := b.Index()
	for range 2 {
		b.Reset()
		b.Add(0, []byte("var a = b // c"))
		if err := b.Index().Compare(build(0, []string{"var a = b // c"}), index.Part{}); err != nil {
			t.Fatal(err)
		}
	}
	if err := first.Compare(build(7, []string{manyNames(100_000)}), index.Part{}); err != nil {
		t.Errorf("an index changed when its builder went on: %v", err)
	}
}

// manyNames returns a text of that many different names: enough that some have equal hashes.
func manyNames(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "n%d ", i)
	}
	return b.String()
}

func TestNamesOfEqualHashStayApart(t *testing.T) {
	t.Parallel()
	// Among 150,000 names, two or three pairs of equal 32-bit hashes are to be expected.
	text := manyNames(150_000)
	whole := build(0, []string{text, text})
	equal := 0
	for i := 1; i < whole.Len(); i++ {
		if whole.Hashes[i] == whole.Hashes[i-1] {
			equal++
			if bytes.Compare(whole.Name(i-1), whole.Name(i)) >= 0 {
				t.Errorf("%q comes before %q, which has the same hash", whole.Name(i-1), whole.Name(i))
			}
		}
	}
	if equal == 0 {
		t.Fatal("no two names have equal hashes: the test does not test anything")
	}
	if whole.Len() != 150_000 {
		t.Errorf("%d entries, want 150000", whole.Len())
	}
	merged := index.Merge(index.Part{}, build(0, []string{text}), build(1, []string{text}))
	if err := merged.Compare(whole, index.Part{}); err != nil {
		t.Error(err)
	}
}

func TestHashesSpreadOverTheParts(t *testing.T) {
	t.Parallel()
	const names, of = 80_000, 8
	whole := build(0, []string{manyNames(names)})
	for n := range of {
		if got := index.Merge(index.Part{Number: n, Of: of}, whole).Len(); got < names/of*9/10 || got > names/of*11/10 {
			t.Errorf("part %d has %d of %d entries, want about an eighth", n, got, names)
		}
	}
}

func TestCompareNamesTheFirstDifference(t *testing.T) {
	t.Parallel()
	whole := build(0, []string{"a b", "a"})
	tests := map[string]struct {
		files []string
		want  string
	}{
		"same":         {[]string{"a b", "a"}, ""},
		"other count":  {[]string{"a b", "a a"}, `"a" occurs 3 times, want 2`},
		"other file":   {[]string{"b a", "", "a"}, `"a" occurs in 2 files, want 2 or others`},
		"missing name": {[]string{"b", ""}, "1 identifiers, want 2"},
		"other name":   {[]string{"a c", "a"}, `is "`},
		"other totals": {[]string{"a b ", "a"}, "the totals are"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := build(0, tt.files).Compare(whole, index.Part{})
			if tt.want == "" {
				if err != nil {
					t.Errorf("equal indexes differ: %v", err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want one with %q", err, tt.want)
			}
		})
	}
}

// summaryOracle summarises in the simplest way: it sorts everything.
func summaryOracle(x *index.Index, packageOf []uint32, top int) index.Summary {
	s := index.Summary{Totals: x.Totals, Names: x.Len()}
	var entries []index.Entry
	for name, u := range content(x) {
		packages := make(map[uint32]bool)
		for _, f := range u.files {
			packages[packageOf[f]] = true
		}
		if len(u.files) == 1 {
			s.Single++
		}
		entries = append(entries, index.Entry{Name: name, Count: u.count, Files: len(u.files), Packages: len(packages), FirstFile: int(u.files[0])})
	}
	pick := func(n int, keep func(index.Entry) bool, keys func(index.Entry) []int) []index.Entry {
		list := slices.DeleteFunc(slices.Clone(entries), func(e index.Entry) bool { return !keep(e) })
		slices.SortFunc(list, func(a, b index.Entry) int {
			return cmp.Or(slices.Compare(keys(b), keys(a)), strings.Compare(a.Name, b.Name))
		})
		if n = min(n, len(list)); n == 0 {
			return nil
		}
		return list[:n]
	}
	all := func(index.Entry) bool { return true }
	capital := func(e index.Entry) bool { return unicode.IsUpper([]rune(e.Name)[0]) }
	byPackages := func(e index.Entry) []int { return []int{e.Packages, e.Count} }
	s.Frequent = pick(top, all, func(e index.Entry) []int { return []int{e.Count} })
	s.Widespread = pick(top, all, byPackages)
	s.Exported = pick(top, capital, byPackages)
	s.Longest = pick(1, all, func(e index.Entry) []int { return []int{utf8.RuneCountInString(e.Name)} })
	return s
}

func TestSummaryIsThatOfAllEntriesSorted(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		files := texts(1, 10).Draw(t, "files")
		packageOf := make([]uint32, len(files))
		for i := 1; i < len(files); i++ {
			packageOf[i] = packageOf[i-1] + uint32(rapid.IntRange(0, 1).Draw(t, "next package"))
		}
		top := rapid.IntRange(0, 6).Draw(t, "top")
		x := build(0, files)
		want := summaryOracle(x, packageOf, top)
		if got := index.Summarise(x, packageOf, top); !reflect.DeepEqual(got, want) {
			t.Fatalf("summary of %q\n got %+v\nwant %+v", files, got, want)
		}
		var parts []index.Summary
		for n := range 5 {
			parts = append(parts, index.Summarise(index.Merge(index.Part{Number: n, Of: 5}, x), packageOf, top))
		}
		if got := index.Combine(top, parts...); !reflect.DeepEqual(got, want) {
			t.Fatalf("combined summary of %q\n got %+v\nwant %+v", files, got, want)
		}
	})
}

func TestTotalsCountWhatWasRead(t *testing.T) {
	t.Parallel()
	got := build(0, []string{"package p // it\n", "var s = \"x y\"\n"}).Totals
	want := index.Totals{Files: 2, Bytes: 30, Lines: 2, CommentBytes: 5, StringBytes: 5, Identifiers: 2, Keywords: 2}
	if got != want {
		t.Errorf("totals %+v, want %+v", got, want)
	}
}

func BenchmarkMerge(b *testing.B) {
	var from []*index.Index
	for i := range 4 {
		from = append(from, build(i, []string{manyNames(10_000 * (i + 1))}))
	}
	b.ReportAllocs()
	for b.Loop() {
		index.Merge(index.Part{}, from...)
	}
}
