package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/mobula-dev/mobula/examples/wordindex/index"
)

// report is what the program found, and how fast. The tags are the names that -json uses.
type report struct {
	Dir      string       `json:"dir"`
	Packages int          `json:"packages"`
	Totals   index.Totals `json:"totals"`
	// Names is the number of different identifiers, and InOneFile that of those which occur in one file only.
	Names     int `json:"names"`
	InOneFile int `json:"names_in_one_file"`
	// The lists are those of index.Summary.
	Frequent   []index.Entry `json:"frequent"`
	Widespread []index.Entry `json:"widespread"`
	Exported   []index.Entry `json:"exported"`
	Longest    string        `json:"longest"`
	// LongestIn is the first file that the longest name occurs in.
	LongestIn string `json:"longest_in"`

	Batches int `json:"batches"`
	Tasks   int `json:"tasks"`
	// Start is the time in seconds from nothing to a node that takes work; Job that from the first submission to the summary.
	Start float64 `json:"start_s"`
	Job   float64 `json:"job_s"`
	// Sequential is the time in seconds of the same work without Mobula, which had the same result; 0 when it was not done.
	Sequential float64 `json:"sequential_s,omitempty"`
	// Speedup is Sequential over Job.
	Speedup float64 `json:"speedup,omitempty"`
	// MBPerSecond is the text that the job read, in millions of bytes, over its time.
	MBPerSecond float64 `json:"mb_per_s"`
}

// newReport returns a report of what was found in a corpus.
func newReport(c *corpus, s index.Summary) *report {
	r := &report{
		Dir: c.root, Packages: c.packages, Totals: s.Totals, Names: s.Names, InOneFile: s.Single,
		Frequent: s.Frequent, Widespread: s.Widespread, Exported: s.Exported,
	}
	for _, e := range s.Longest {
		r.Longest, r.LongestIn = e.Name, c.paths[e.FirstFile]
	}
	return r
}

// json writes the report for programs.
func (r *report) json(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(r)
}

// text writes the report for people.
func (r *report) text(w io.Writer) error {
	var b strings.Builder
	t := r.Totals
	fmt.Fprintf(&b, "%s\n%s files in %s packages, %s lines, %s MB: %d %% comments, %d %% strings\n",
		r.Dir, thousands(t.Files), thousands(r.Packages), thousands(t.Lines), megabytes(int64(t.Bytes)),
		percent(int64(t.CommentBytes), int64(t.Bytes)), percent(int64(t.StringBytes), int64(t.Bytes)))
	fmt.Fprintf(&b, "%s different identifiers, used %s times; %d %% of them in one file only\n",
		thousands(r.Names), thousands(t.Identifiers), percent(int64(r.InOneFile), int64(r.Names)))
	table(&b, "most frequent", r.Frequent)
	table(&b, "in most packages", r.Widespread)
	table(&b, "capitalised, in most packages", r.Exported)
	if r.Longest != "" {
		fmt.Fprintf(&b, "\nlongest, with %d characters, in %s:\n  %s\n", utf8.RuneCountInString(r.Longest), r.LongestIn, r.Longest)
	}
	fmt.Fprintf(&b, "\nMobula      %6.2f s  %4.0f MB/s  %d tasks on %d batches, after %.2f s to start a node\n",
		r.Job, r.MBPerSecond, r.Tasks, r.Batches, r.Start)
	if r.Sequential > 0 {
		fmt.Fprintf(&b, "sequential  %6.2f s  %4.0f MB/s  the same code without Mobula: the same index, entry by entry\nspeed-up    %6.2f\n",
			r.Sequential, float64(t.Bytes)/1e6/r.Sequential, r.Speedup)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// table writes a list of identifiers.
func table(b *strings.Builder, title string, entries []index.Entry) {
	if len(entries) == 0 {
		return
	}
	fmt.Fprintf(b, "\n%-32s %12s %8s %9s\n", title, "uses", "files", "packages")
	for _, e := range entries {
		fmt.Fprintf(b, "  %-30s %12s %8s %9s\n", e.Name, thousands(e.Count), thousands(e.Files), thousands(e.Packages))
	}
}

// thousands writes a number with a comma after every three digits.
func thousands(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
