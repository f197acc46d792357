package main

import (
	"bytes"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"
)

func TestBarFillsItsWidth(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		width := rapid.IntRange(1, 200).Draw(t, "width")
		total := rapid.Int64Range(0, 1e12).Draw(t, "total")
		done := rapid.Int64Range(0, total).Draw(t, "done")
		text := rapid.StringMatching(`[a-z ]{0,60}`).Draw(t, "text")
		if got := bar(width, done, total, text); utf8.RuneCountInString(got) != width {
			t.Fatalf("bar %q has %d columns, want %d", got, utf8.RuneCountInString(got), width)
		}
	})
}

func TestBarShowsThePartThatIsDone(t *testing.T) {
	t.Parallel()
	for done, want := range map[int64]string{
		0: "[          ]  text", 50: "[=====     ]  text", 99: "[========= ]  text", 100: "[==========]  text",
	} {
		if got := bar(18, done, 100, "text"); got != want {
			t.Errorf("bar at %d %% is %q, want %q", done, got, want)
		}
	}
}

func TestPlainProgressIsOneLineForEachTenthOrSecond(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		p := newProgress(&out, 100)
		j := &job{tasks: 9}
		lines := func() int { return strings.Count(out.String(), "\n") }
		for step, want := range []struct {
			read  int64
			sleep time.Duration
			lines int
		}{
			{5, 100 * time.Millisecond, 0},
			{10, 100 * time.Millisecond, 1},
			{19, 100 * time.Millisecond, 1},
			{40, 100 * time.Millisecond, 2},
			{40, 900 * time.Millisecond, 2},
			{41, 100 * time.Millisecond, 3},
		} {
			time.Sleep(want.sleep)
			j.read = want.read
			if p.show(j); lines() != want.lines {
				t.Errorf("%d lines after step %d, want %d:\n%s", lines(), step, want.lines, &out)
			}
		}
	})
}

func TestThousandsAreSeparated(t *testing.T) {
	t.Parallel()
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567", -100: "-100", -1000: "-1,000"} {
		if got := thousands(n); got != want {
			t.Errorf("thousands(%d) = %s, want %s", n, got, want)
		}
	}
}
