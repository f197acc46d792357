package index

import "bytes"

// Merge returns the part p of the union of several indexes. They must be of different files, and come in the order of the numbers of
// these. The result shares no memory with them.
func Merge(p Part, from ...*Index) *Index {
	cursors := make([]cursor, 0, len(from))
	merged := &Index{}
	entries, names, files := 0, 0, 0
	for _, x := range from {
		if p.Number == 0 {
			merged.Totals.Add(x.Totals)
		}
		start, end := p.entries(x)
		if start == end {
			continue
		}
		cursors = append(cursors, cursor{x: x, at: start, end: end})
		entries += end - start
		names += bytesOf(x.NameEnds, start, end)
		files += bytesOf(x.FileEnds, start, end)
	}
	merged.grow(entries, names, files)
	for len(cursors) > 0 {
		least := 0
		for i := 1; i < len(cursors); i++ {
			if cursors[i].less(&cursors[least]) {
				least = i
			}
		}
		cursors = merged.take(cursors, least)
	}
	return merged
}

// bytesOf returns the total length of the items from start to end, given where each one ends.
func bytesOf(ends []uint32, start, end int) int {
	first, _ := span(ends, start)
	return int(ends[end-1] - first)
}

// cursor is an entry of an index that is being merged, and those after it.
type cursor struct {
	x       *Index
	at, end int // at < end
}

// less orders two cursors by their entries.
func (c *cursor) less(other *cursor) bool {
	a, b := c.x.Hashes[c.at], other.x.Hashes[other.at]
	return a < b || a == b && bytes.Compare(c.x.Name(c.at), other.x.Name(other.at)) < 0
}

// same reports whether the cursor is at the entry with that hash and name.
func (c *cursor) same(hash uint32, name []byte) bool {
	return c.x.Hashes[c.at] == hash && bytes.Equal(c.x.Name(c.at), name)
}

// take appends the entry of the cursor at least, which no other is less than, with what the cursors after it have on the same
// name. It returns the cursors that have entries left, in the same order.
func (x *Index) take(cursors []cursor, least int) []cursor {
	hash, name := cursors[least].x.Hashes[cursors[least].at], cursors[least].x.Name(cursors[least].at)
	x.append(hash, name)
	last := x.Len() - 1
	ended := false
	for i := least; i < len(cursors); i++ {
		c := &cursors[i]
		if i > least && !c.same(hash, name) {
			continue
		}
		x.Counts[last] += c.x.Counts[c.at]
		x.Files = append(x.Files, c.x.FilesOf(c.at)...)
		c.at++
		ended = ended || c.at == c.end
	}
	x.close()
	if !ended {
		return cursors
	}
	left := cursors[:0]
	for _, c := range cursors {
		if c.at < c.end {
			left = append(left, c)
		}
	}
	return left
}
