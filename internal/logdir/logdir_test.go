package logdir

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func openDir(t testing.TB, limits Limits) *Dir {
	t.Helper()
	d, err := Open(filepath.Join(t.TempDir(), "logs"), limits)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// all reads a log page by page.
func all(t interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}, d *Dir, q Query) (text string, lost int64) {
	t.Helper()
	for {
		p, err := d.Read(q)
		if err != nil {
			t.Fatal(err)
		}
		text += string(p.Data)
		lost += p.Lost
		if p.End {
			return text, lost
		}
		if p.Next <= q.From && len(p.Data) == 0 && q.Tail < 0 {
			t.Fatalf("no progress from %d", q.From)
		}
		q.From, q.Inside, q.Tail = p.Next, p.Inside, -1
	}
}

// written is the oracle: the lines that were written, each with its task.
type written []struct{ task, line string }

func (w written) of(task string) (lines []string) {
	for _, l := range w {
		if task == "" || l.task == task {
			lines = append(lines, l.line)
		}
	}
	return lines
}

func TestWhatIsReadIsTheEndOfWhatWasWritten(t *testing.T) {
	t.Parallel()
	n := 0
	base := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		n++
		const limit = 500
		d, err := Open(filepath.Join(base, fmt.Sprint(n)), Limits{FileBytes: limit})
		if err != nil {
			t.Fatal(err)
		}
		f := d.Create("w.out")
		defer f.Close() //nolint:errcheck // what was written is checked
		var lines written
		task := ""
		for range rapid.IntRange(1, 60).Draw(t, "writes") {
			var batch, mark []byte
			for range rapid.IntRange(1, 4).Draw(t, "lines") {
				if next := rapid.SampledFrom([]string{task, "aa", "bb", ""}).Draw(t, "task"); next != task {
					task, mark = next, TaskMark(next, "f")
					batch = append(batch, mark...)
				}
				line := fmt.Sprintf("%d%s\n", len(lines), strings.Repeat("x", rapid.IntRange(0, 60).Draw(t, "length")))
				batch = append(batch, line...)
				lines = append(lines, struct{ task, line string }{task, line})
			}
			if _, err := f.Write(batch); err != nil {
				t.Fatal(err)
			}
			if mark != nil {
				f.SetMark(mark)
			}
		}
		check(t, d, lines, limit)
	})
}

func check(t *rapid.T, d *Dir, lines written, limit int64) {
	for _, task := range []string{"", "aa", "bb"} {
		want := strings.Join(lines.of(task), "")
		got, lost := all(t, d, Query{Name: "w.out", Task: task, Tail: -1})
		if !strings.HasSuffix(want, got) || lost == 0 && got != want {
			t.Fatalf("task %q: read %q of %q, %d lost", task, got, want, lost)
		}
		if task == "" && len(got) < min(len(want), int(limit)/2) {
			t.Fatalf("only %d of %d bytes are left", len(got), len(want))
		}
		count := rapid.IntRange(0, 30).Draw(t, "tail")
		tail, _ := all(t, d, Query{Name: "w.out", Task: task, Tail: count})
		left := strings.SplitAfter(got, "\n")
		left = left[:len(left)-1]
		if wantTail := strings.Join(left[max(0, len(left)-count):], ""); tail != wantTail {
			t.Fatalf("task %q: the last %d lines are %q, want %q", task, count, tail, wantTail)
		}
	}
}

func TestAFollowerSeesEveryLineOnceThoughTheFileChanges(t *testing.T) {
	t.Parallel()
	d := openDir(t, Limits{FileBytes: 1000})
	f := d.Create("w.out")
	q := Query{Name: "w.out", Tail: -1}
	var want, got strings.Builder
	for i := range 300 {
		line := fmt.Sprintf("line %d\n", i)
		want.WriteString(line)
		if _, err := f.Write([]byte(line)); err != nil {
			t.Fatal(err)
		}
		if i%50 != 49 {
			continue
		}
		p, err := d.Read(q)
		if err != nil || p.Lost != 0 || !p.Live || !p.End {
			t.Fatalf("page = %+v, %v", p, err)
		}
		got.Write(p.Data)
		q.From = p.Next
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if got.String() != want.String() {
		t.Errorf("a follower sees\n%s", got.String())
	}
	if p, err := d.Read(q); err != nil || p.Live || !p.End || len(p.Data) > 0 {
		t.Errorf("after the end: %+v, %v", p, err)
	}
	if p, err := d.Read(Query{Name: "w.out", From: 10, Tail: -1}); err != nil || p.Lost == 0 || !bytes.HasPrefix(p.Data, []byte("line ")) {
		t.Errorf("a slow follower gets %+v, %v", p, err)
	}
}

func TestAnUnfinishedLineWaitsForItsEnd(t *testing.T) {
	t.Parallel()
	d := openDir(t, Limits{})
	f := d.Create("w.out")
	if _, err := f.Write([]byte("one\ntw")); err != nil {
		t.Fatal(err)
	}
	if text, _ := all(t, d, Query{Name: "w.out", Tail: -1}); text != "one\n" {
		t.Errorf("while it is written: %q", text)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if text, _ := all(t, d, Query{Name: "w.out", Tail: -1}); text != "one\ntw" {
		t.Errorf("afterwards: %q", text)
	}
}

func TestAVeryLongLineIsReadWhole(t *testing.T) {
	t.Parallel()
	d := openDir(t, Limits{})
	f := d.Create("node.log")
	want := "a\n" + strings.Repeat("x", 3*readBytes+5) + "\nb\n"
	if _, err := f.Write([]byte(want)); err != nil {
		t.Fatal(err)
	}
	if text, _ := all(t, d, Query{Name: "node.log", Tail: -1}); text != want {
		t.Errorf("%d bytes are read, want %d", len(text), len(want))
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestTheOldestFilesThatNobodyWritesMakeRoom(t *testing.T) {
	t.Parallel()
	d := openDir(t, Limits{FileBytes: 1000, TotalBytes: 4000})
	live := d.Create("live.out")
	write := func(f *File, bytes int) {
		t.Helper()
		if _, err := f.Write([]byte(strings.Repeat("x", bytes-1) + "\n")); err != nil {
			t.Fatal(err)
		}
	}
	write(live, 900)
	for i := range 6 {
		f := d.Create(fmt.Sprintf("ended-%d.out", i))
		write(f, 900)
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := names(t, d, ""), "ended-3.out ended-4.out ended-5.out live.out"; got != want {
		t.Errorf("there are %s, want %s", got, want)
	}
	write(live, 900)
	if got, want := names(t, d, ""), "ended-4.out ended-5.out live.out live.out.1"; got != want {
		t.Errorf("there are %s, want %s", got, want)
	}
	if got := names(t, d, "live*"); got != "live.out live.out.1" {
		t.Errorf("the pattern finds %s", got)
	}
	infos, err := d.List("")
	if err != nil || !infos[2].Live || infos[0].Live || infos[3].Live {
		t.Errorf("files: %+v, %v", infos, err)
	}
	if _, err := d.List("["); err == nil {
		t.Error("a malformed pattern is accepted")
	}
	again, err := Open(d.Path(), Limits{TotalBytes: 2000}) // as after a restart, with less room
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Fields(names(t, again, "")); len(got) != 2 {
		t.Errorf("after a restart with less room there are %s", got)
	}
}

func TestTheOldFilesOfWritersMakeRoomAtLast(t *testing.T) {
	t.Parallel()
	d := openDir(t, Limits{FileBytes: 1000, TotalBytes: 3000})
	for i := range 2 {
		f := d.Create(fmt.Sprintf("live-%d.out", i))
		for range 2 {
			if _, err := f.Write([]byte(strings.Repeat("x", 899) + "\n")); err != nil {
				t.Fatal(err)
			}
		}
	}
	if got, want := names(t, d, ""), "live-0.out live-1.out live-1.out.1"; got != want {
		t.Errorf("there are %s, want %s", got, want)
	}
}

func names(t *testing.T, d *Dir, pattern string) string {
	t.Helper()
	infos, err := d.List(pattern)
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, i := range infos {
		list = append(list, i.Name)
	}
	return strings.Join(list, " ")
}

func TestALogGoesOnInTheNextLifeOfTheNode(t *testing.T) {
	t.Parallel()
	d := openDir(t, Limits{FileBytes: 100})
	var want string
	for i := range 5 {
		f := d.Create("node.log")
		for j := range 6 {
			line := fmt.Sprintf("life %d line %d\n", i, j)
			want += line
			if _, err := f.Write([]byte(line)); err != nil {
				t.Fatal(err)
			}
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	text, lost := all(t, d, Query{Name: "node.log", Tail: -1})
	if !strings.HasSuffix(want, text) || len(text) < 50 || int(lost)+len(text) < len(want) {
		t.Errorf("read %q, %d bytes lost", text, lost)
	}
}

func TestOnlyFilesOfTheDirectoryAreRead(t *testing.T) {
	t.Parallel()
	d := openDir(t, Limits{})
	outside := filepath.Join(d.Path(), "..", "secret")
	if err := os.WriteFile(outside, []byte("secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, filepath.Join(d.Path(), "link")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"../secret", outside, "link", ".", "..", "", "nothing", "a/../../secret"} {
		if p, err := d.Read(Query{Name: name, Tail: -1}); err == nil {
			t.Errorf("%q is read: %q", name, p.Data)
		}
	}
	if _, err := d.Read(Query{Name: "nothing", Tail: -1}); !errors.Is(err, ErrNotFound) {
		t.Errorf("of what is not there: %v", err)
	}
}

func TestAFailedWriteLeavesTheLogUsable(t *testing.T) {
	t.Parallel()
	d := openDir(t, Limits{FileBytes: 100})
	f := d.Create("w.out")
	if _, err := f.Write([]byte(strings.Repeat("x", 80) + "\n")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(d.Path(), "w.out.1"), 0o700); err != nil { // the file cannot become the old one
		t.Fatal(err)
	}
	if _, err := f.Write([]byte(strings.Repeat("y", 80) + "\n")); err == nil {
		t.Error("a write succeeds though the file cannot be changed")
	}
	if err := os.Remove(filepath.Join(d.Path(), "w.out.1")); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if _, err := f.Write([]byte(strings.Repeat("z", 80) + "\n")); err != nil {
			t.Error(err)
		}
	}
	if text, _ := all(t, d, Query{Name: "w.out", Tail: 1}); !strings.HasPrefix(text, "zzz") {
		t.Errorf("the last line is %q", text)
	}
}

// FuzzRead reads files that hold anything.
func FuzzRead(f *testing.F) {
	f.Add([]byte("a\n\x1e:task aa f\nb\n"), []byte("\x1e:from 18\nc"), int64(0), "aa", -1)
	f.Add([]byte("\x1e:from 99999\n"), []byte("\x1e:from 1\n"), int64(-5), "", 3)
	f.Add([]byte{}, []byte("\x1e:from 9223372036854775807\nx\n"), int64(1)<<62, "", 0)
	f.Fuzz(func(t *testing.T, old, newest []byte, from int64, task string, tail int) {
		d := openDir(t, Limits{})
		for name, content := range map[string][]byte{"w.out.1": old, "w.out": newest} {
			if err := os.WriteFile(filepath.Join(d.Path(), name), content, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		text, _ := all(t, d, Query{Name: "w.out", From: from, Task: task, Tail: tail})
		if len(text) > len(old)+len(newest) {
			t.Errorf("%d bytes are read of %d", len(text), len(old)+len(newest))
		}
	})
}

func TestListsAreSorted(t *testing.T) {
	t.Parallel()
	d := openDir(t, Limits{})
	for _, name := range []string{"c", "a", "b"} {
		f := d.Create(name)
		if _, err := f.Write([]byte("x\n")); err != nil {
			t.Fatal(err)
		}
	}
	if got := strings.Fields(names(t, d, "")); !slices.IsSorted(got) {
		t.Errorf("files: %v", got)
	}
}
