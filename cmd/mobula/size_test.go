package main

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestSizesAreReadAsPeopleWriteThem(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]size{
		"0": 0, "1024": 1024, "10b": 10, "1k": 1 << 10, "1K": 1 << 10, "1KiB": 1 << 10, "1kb": 1000, "512MiB": 512 << 20, "2 GB": 2e9,
		"1.5g": 3 << 29, " 4GiB ": 4 << 30, "1t": 1 << 40, "0.5TB": 5e11,
	} {
		var s size
		if err := s.Set(text); err != nil || s != want {
			t.Errorf("%q: %d, %v; want %d", text, s, err, want)
		}
	}
	for _, text := range []string{"", "x", "GiB", "-1", "NaN", "inf", "1e30", "1 2", "1GiBB", "99999t"} {
		var s size
		if err := s.Set(text); err == nil {
			t.Errorf("%q was read as %d", text, s)
		}
	}
}

func TestSizesAreWrittenAsTheyAreRead(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.Uint64Range(1, 1<<49).Draw(t, "bytes")
		s := size(n)
		var back size
		if err := back.Set(s.String()); err != nil {
			t.Fatalf("%q: %v", s.String(), err)
		}
		if diff := float64(back) - float64(n); diff > float64(n)/10 || -diff > float64(n)/10 {
			t.Errorf("%d is written %q, which is %d", n, s.String(), back)
		}
	})
}

func TestTextOfProgramsCannotMoveTheCursor(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.String().Draw(t, "text")
		if got := clean(text); strings.ContainsFunc(got, func(r rune) bool { return r < 0x20 || r >= 0x7f && r < 0xa0 }) {
			t.Errorf("%q became %q", text, got)
		}
	})
	if got := clean("a\x1b[31mb\nc\u009bd"); got != "a?[31mb c?d" {
		t.Errorf("got %q", got)
	}
}

func TestTablesAreAligned(t *testing.T) {
	t.Parallel()
	table := &table{now: time.Unix(100, 0)}
	table.add(heading("NAME"), heading("SIZE"), heading("AGE"), heading("STATE"), heading("NOTE"))
	table.add("é", bytesCount(1<<20), stamp(40e9), state("alive"), "")
	table.add("longer", bytesCount(10), stamp(0), state("dead"), "a\nb")
	var b strings.Builder
	if err := table.writeTo(&b); err != nil {
		t.Fatal(err)
	}
	want := "NAME       SIZE    AGE  STATE  NOTE\n" +
		"é       1.0 MiB  1m00s  alive  -\n" +
		"longer     10 B      -  dead   a b\n"
	if b.String() != want {
		t.Errorf("got\n%swant\n%s", b.String(), want)
	}
	table.colour = true
	b.Reset()
	if err := table.writeTo(&b); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(b.String(), green+"alive"+plain+"  -\n") || !strings.Contains(b.String(), red+"dead"+plain+"   a b\n") {
		t.Errorf("in colour:\n%q", b.String())
	}
}

func TestAgesHaveTwoPlaces(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		-time.Second: "0s", 5 * time.Millisecond: "5ms", 59 * time.Second: "59s", 61 * time.Second: "1m01s",
		25 * time.Hour: "1d01h", 2*time.Hour + 3*time.Minute: "2h03m",
	} {
		if got := age(d); got != want {
			t.Errorf("%v is written %q, want %q", d, got, want)
		}
	}
}

func TestWordsAreQuotedForShells(t *testing.T) {
	t.Parallel()
	for word, want := range map[string]string{"unix:/a/b.sock": "unix:/a/b.sock", "a b": "'a b'", "it's": `'it'\''s'`, "": "''", "$x": "'$x'"} {
		if got := quote(word); got != want {
			t.Errorf("%q is quoted %s, want %s", word, got, want)
		}
	}
}
