package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func sampleRows() []row {
	return []row{
		{Name: "a", Unit: "/s", Mean: 1_234_567.8, SD: 12.345, Ray: &figures{Mean: 1000}, Want: 1_000_000},
		{Name: "b", Unit: "MB", Mean: 81, Want: 80, AtMost: true},
		{Name: "c", Unit: "/s", NotYet: "later"},
		{Name: "d", Unit: "/s", Error: "broke\nin detail", Want: 5},
		{Name: "e", Unit: "s", Mean: 0.01234, Ray: &figures{Mean: 5}, Want: 0.5, AtMost: true},
	}
}

func TestTableMarksWhatIsMetAndWhatIsNot(t *testing.T) {
	t.Parallel()
	want := [][]string{
		{"a", "/s", "1,234,568", "12.3", "1,000", "1,235×", "1,000,000", "pass"},
		{"b", "MB", "81", "0", "", "", "≤ 80", "MISS"},
		{"c", "/s", "", "", "", "", "", "not yet: later"},
		{"d", "/s", "", "", "", "", "5", "FAILED: broke"},
		{"e", "s", "0.0123", "0", "5", "405×", "≤ 0.5", "pass"},
	}
	for i, r := range sampleRows() {
		if got := r.cells(); !slices.Equal(got, want[i]) {
			t.Errorf("row %d is %q, want %q", i, got, want[i])
		}
	}
}

func TestJSONHoldsWhatWasMeasured(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "out.json")
	if err := writeJSON(file, sampleRows()); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var list []map[string]any
	if err := json.Unmarshal(b, &list); err != nil {
		t.Fatal(err)
	}
	if len(list) != 3 || list[0]["name"] != "a" || list[0]["mean"] != 1_234_567.8 || list[0]["sd"] != 12.345 || len(list[0]) != 3 {
		t.Errorf("%v", list)
	}
}

func TestRecordingNamesMachineCommitAndEveryRow(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r := recording{Date: "2026-01-02T03:04:05Z", Commit: "abc", Settings: "settings", Machine: machine{CPU: "a CPU", CPUs: 2}, Rows: sampleRows()}
	if err := r.write(dir, "run"); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(dir, "run.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{"2026-01-02", "Commit abc", "; settings.", "a CPU, 2 CPUs", "| a | /s | 1,234,568 |", "| not yet: later |"} {
		if !strings.Contains(string(b), part) {
			t.Errorf("%q is not in\n%s", part, b)
		}
	}
	if b, err = os.ReadFile(filepath.Join(dir, "run.json")); err != nil {
		t.Fatal(err)
	}
	var back recording
	if err := json.Unmarshal(b, &back); err != nil || len(back.Rows) != 5 || back.Machine.CPU != "a CPU" {
		t.Errorf("%+v, %v", back, err)
	}
}

func TestFlagsThatExcludeEachOtherAreRefused(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"-embedded", "-address", "x"}, {"-record", "a/b"}, {"stray"}} {
		if _, err := parse(args); err == nil {
			t.Errorf("%q was taken", args)
		}
	}
	c, err := parse([]string{"-filter", "tasks,puts", "-quick"})
	if err != nil || !c.wants("some puts") || c.wants("actors") || c.timing.Rounds != 1 {
		t.Errorf("%+v, %v", c, err)
	}
}
