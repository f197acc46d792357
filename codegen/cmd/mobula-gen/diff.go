package main

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
)

// contextLines is how many lines around a change a diff shows.
const contextLines = 3

// editsMax is how many lines may differ before a diff stops looking for what is common: its cost grows with their square.
const editsMax = 2000

// edit is one line of a diff: kept (' '), removed ('-') or added ('+').
type edit struct {
	op   byte
	line string
}

// unified returns a unified diff between two versions of a file; nil stands for no file.
func unified(path string, old, now []byte) string {
	var b strings.Builder
	from, to := "a/"+path, "b/"+path
	if old == nil {
		from = "/dev/null"
	}
	if now == nil {
		to = "/dev/null"
	}
	fmt.Fprintf(&b, "--- %s\n+++ %s\n", from, to)
	edits := diff(lines(old), lines(now))
	oldLine, newLine := 1, 1
	for start := 0; start < len(edits); {
		first := slices.IndexFunc(edits[start:], func(e edit) bool { return e.op != ' ' })
		if first < 0 {
			break
		}
		begin := max(start, start+first-contextLines)
		oldLine, newLine = oldLine+begin-start, newLine+begin-start
		end := hunkEnd(edits, start+first)
		oldCount, newCount := hunk(&b, edits[begin:end], oldLine, newLine)
		oldLine, newLine, start = oldLine+oldCount, newLine+newCount, end
	}
	return b.String()
}

// hunkEnd returns where the hunk with the change at first ends: where so many lines are kept that the context of the next
// change does not touch.
func hunkEnd(edits []edit, first int) int {
	last := first
	for i := first; i < len(edits) && i-last <= 2*contextLines; i++ {
		if edits[i].op != ' ' {
			last = i
		}
	}
	return min(len(edits), last+1+contextLines)
}

// hunk writes one hunk and returns how many lines of either version it covers.
func hunk(b *strings.Builder, edits []edit, oldLine, newLine int) (oldCount, newCount int) {
	for _, e := range edits {
		if e.op != '+' {
			oldCount++
		}
		if e.op != '-' {
			newCount++
		}
	}
	// By convention an empty range begins at the line before it.
	if oldCount == 0 {
		oldLine--
	}
	if newCount == 0 {
		newLine--
	}
	fmt.Fprintf(b, "@@ -%d,%d +%d,%d @@\n", oldLine, oldCount, newLine, newCount)
	for _, e := range edits {
		b.WriteByte(e.op)
		b.WriteString(e.line)
		if !strings.HasSuffix(e.line, "\n") {
			b.WriteString("\n\\ No newline at end of file\n")
		}
	}
	return oldCount, newCount
}

// lines splits a text after each line feed.
func lines(text []byte) []string {
	var out []string
	for line := range bytes.Lines(text) {
		out = append(out, string(line))
	}
	return out
}

// diff returns the shortest way from a to b, or if that is too long the one that replaces everything in the middle.
func diff(a, b []string) []edit {
	head := 0
	for head < len(a) && head < len(b) && a[head] == b[head] {
		head++
	}
	tail := 0
	for tail < len(a)-head && tail < len(b)-head && a[len(a)-1-tail] == b[len(b)-1-tail] {
		tail++
	}
	var out []edit
	add := func(op byte, list []string) {
		for _, line := range list {
			out = append(out, edit{op, line})
		}
	}
	add(' ', a[:head])
	middleA, middleB := a[head:len(a)-tail], b[head:len(b)-tail]
	if edits, ok := shortest(middleA, middleB); ok {
		out = append(out, edits...)
	} else {
		add('-', middleA)
		add('+', middleB)
	}
	add(' ', a[len(a)-tail:])
	return out
}

// shortest finds the shortest edits by the greedy algorithm of Myers (An O(ND) Difference Algorithm, 1986): reach[k] is
// how far in a one gets on diagonal k, where x-y = k, with d edits. It gives up beyond editsMax.
func shortest(a, b []string) ([]edit, bool) {
	limit := min(len(a)+len(b), editsMax)
	reach := make([]int, 2*limit+3)
	middle := limit + 1
	var trace [][]int
	for d := 0; d <= limit; d++ {
		trace = append(trace, slices.Clone(reach[middle-d:middle+d+1]))
		for k := -d; k <= d; k += 2 {
			x := reach[middle+k-1] + 1
			if k == -d || k != d && reach[middle+k-1] < reach[middle+k+1] {
				x = reach[middle+k+1]
			}
			y := x - k
			for x < len(a) && y < len(b) && a[x] == b[y] {
				x, y = x+1, y+1
			}
			reach[middle+k] = x
			if x >= len(a) && y >= len(b) {
				return backtrack(a, b, trace), true
			}
		}
	}
	return nil, false
}

// backtrack reads the edits from the trace, last first. trace[d] holds what was reached before step d, from diagonal -d
// to d.
func backtrack(a, b []string, trace [][]int) []edit {
	var out []edit
	x, y := len(a), len(b)
	for d := len(trace) - 1; d > 0; d-- {
		before := trace[d]
		at := func(k int) int { return before[k+d] }
		k := x - y
		previous := k - 1
		if k == -d || k != d && at(k-1) < at(k+1) {
			previous = k + 1
		}
		px := at(previous)
		py := px - previous
		for x > px && y > py {
			x, y = x-1, y-1
			out = append(out, edit{' ', a[x]})
		}
		if previous == k+1 {
			y--
			out = append(out, edit{'+', b[y]})
		} else {
			x--
			out = append(out, edit{'-', a[x]})
		}
	}
	for x > 0 {
		x--
		out = append(out, edit{' ', a[x]})
	}
	slices.Reverse(out)
	return out
}
