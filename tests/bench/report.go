package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"text/tabwriter"
)

// number writes a figure with three digits or, above a thousand, as a whole number with separators.
func number(x float64) string {
	if math.Abs(x) < 1000 {
		s := strconv.FormatFloat(x, 'g', 3, 64)
		if strings.Contains(s, "e") {
			s = strconv.FormatFloat(x, 'f', 4, 64)
		}
		return s
	}
	s := strconv.FormatFloat(math.Abs(x), 'f', 0, 64)
	var b strings.Builder
	if x < 0 {
		b.WriteByte('-')
	}
	for i, c := range s {
		if i > 0 && (len(s)-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteRune(c)
	}
	return b.String()
}

// header heads both kinds of table.
var header = []string{"line", "unit", "Mobula", "±", "Ray", "times", "wanted", ""} //nolint:gochecknoglobals // constant

// cells are the columns of a row.
func (r row) cells() []string {
	c := []string{r.Name, r.Unit, "", "", "", "", "", ""}
	if r.Ray != nil {
		c[4] = number(r.Ray.Mean)
	}
	if r.Want > 0 {
		c[6] = number(r.Want)
		if r.AtMost {
			c[6] = "≤ " + c[6]
		}
	}
	switch {
	case r.NotYet != "":
		c[7] = "not yet: " + r.NotYet
		return c
	case r.Error != "":
		first, _, _ := strings.Cut(r.Error, "\n")
		c[7] = "FAILED: " + first
		return c
	}
	c[2], c[3] = number(r.Mean), number(r.SD)
	if r.Ray != nil {
		ratio := r.Mean / r.Ray.Mean
		if r.AtMost {
			ratio = 1 / ratio
		}
		c[5] = number(ratio) + "×"
	}
	switch {
	case r.Want == 0:
	case r.met():
		c[7] = "pass"
	default:
		c[7] = "MISS"
	}
	return c
}

// printTable prints rows for a terminal.
func printTable(w io.Writer, rows []row) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, c := range append([][]string{header}, cellsOf(rows)...) {
		if _, err := fmt.Fprintln(t, strings.TrimRight(strings.Join(c, "\t"), "\t")); err != nil {
			return fmt.Errorf("print the table: %w", err)
		}
	}
	if err := t.Flush(); err != nil {
		return fmt.Errorf("print the table: %w", err)
	}
	return nil
}

func cellsOf(rows []row) [][]string {
	all := make([][]string, len(rows))
	for i, r := range rows {
		all[i] = r.cells()
	}
	return all
}

// writeJSON writes what was measured as a list of name, mean and sd.
func writeJSON(file string, rows []row) error {
	type entry struct {
		Name string  `json:"name"`
		Mean float64 `json:"mean"`
		SD   float64 `json:"sd"`
	}
	list := []entry{}
	for _, r := range rows {
		if r.measured() {
			list = append(list, entry{Name: r.Name, Mean: r.Mean, SD: r.SD})
		}
	}
	return writeIndented(file, list)
}

func writeIndented(file string, v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("write %s: %w", file, err)
	}
	if err := os.WriteFile(file, append(b, '\n'), 0o644); err != nil { //nolint:gosec // results are for everybody
		return fmt.Errorf("write %s: %w", file, err)
	}
	return nil
}

// recording is a run with what one needs to judge it.
type recording struct {
	Date   string `json:"date"`
	Commit string `json:"commit"`
	// Settings say how it was measured.
	Settings string  `json:"settings"`
	Machine  machine `json:"machine"`
	Rows     []row   `json:"rows"`
}

// write writes the run to dir as name.json and name.md.
func (r recording) write(dir, name string) error {
	if err := writeIndented(filepath.Join(dir, name+".json"), r); err != nil {
		return err
	}
	file := filepath.Join(dir, name+".md")
	if err := os.WriteFile(file, []byte(r.markdown()), 0o644); err != nil { //nolint:gosec // results are for everybody
		return fmt.Errorf("write %s: %w", file, err)
	}
	return nil
}

// markdown writes the run for people.
func (r recording) markdown() string {
	var b strings.Builder
	m := r.Machine
	fmt.Fprintf(&b, "# Benchmark, %s\n\nCommit %s, %s; %s.\n\n", r.Date, r.Commit, m.Go, r.Settings)
	fmt.Fprintf(&b, "Machine: %s, %d CPUs, %s, %s. Load average when it began %s, when it ended %s.\n\n", m.CPU, m.CPUs, m.Memory, m.System, m.LoadBefore, m.LoadAfter)
	b.WriteString(notes + "\n")
	for i, c := range append([][]string{header}, cellsOf(r.Rows)...) {
		b.WriteString("| " + strings.Join(c, " | ") + " |\n")
		if i == 0 {
			b.WriteString("|---|---|--:|--:|--:|--:|--:|---|\n")
		}
	}
	return b.String()
}

// notes say what the figures mean.
const notes = `Mean and population standard deviation of the rounds of the timer of ` + "`ray microbenchmark`" + `, with no pause before a line. "Ray" is
Ray 2.60 on a two-core machine of this kind, and "wanted" is what is wanted there; "times" is Mobula over Ray, or the other way round
where less is better. A unit of the GB/s lines is Ray's: 0.8 for 838,860,800 bytes, that is 1.0486 billion bytes.

The driver, the node and the workers are processes of their own. Tasks of the driver run in one Go worker process; clients and actors have
a process each, but for the rows marked (shared process). A value that this process has put or got is kept by it: getting it again
decodes it and asks nobody, where Ray asks its object store. A put of a small value does not wait for the node.
`
