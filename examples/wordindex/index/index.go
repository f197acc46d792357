// Package index holds an index of identifiers: how often each one occurs, and in which files. It knows nothing of Mobula: it is the
// part of the example that would be the same in any program.
//
// An Index is made to travel and to be merged. It is a few flat slices of numbers and one of bytes, which cross processes without being
// converted and are read where they lie, and its entries are in the order of the hashes of their names. A range of hashes is thus a
// range of entries: to merge a part of several indexes is to read only that part of each, so that tasks which merge different parts of the
// same indexes share no work.
package index

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/bits"
	"slices"
)

// Index is an index of some files. Entry i has the name Name(i). An Index that was taken from a running task's argument is a view:
// nothing here writes to one, or keeps a part of one.
type Index struct {
	// Totals sums up the files. Of the parts of an index only the first one has it, so that the sum over all parts is right.
	Totals Totals
	// Hashes are the names' hashes. Entries are ordered by hash, and by name among equal hashes.
	Hashes []uint32
	// Names has all names, one after the other.
	Names []byte
	// NameEnds is where each name ends in Names.
	NameEnds []uint32
	// Counts is how often each name occurs.
	Counts []uint32
	// Files has the numbers of the files in which the names occur, of one entry after the other, ascending in each.
	Files []uint32
	// FileEnds is where the files of each entry end in Files.
	FileEnds []uint32
}

// Totals counts what was read.
type Totals struct {
	// Files, Bytes and Lines are the size of the text.
	Files int `json:"files"`
	Bytes int `json:"bytes"`
	Lines int `json:"lines"`
	// CommentBytes and StringBytes are the parts of Bytes in comments and in literals.
	CommentBytes int `json:"comment_bytes"`
	StringBytes  int `json:"string_bytes"`
	// Identifiers and Keywords are how many of each there were.
	Identifiers int `json:"identifiers"`
	Keywords    int `json:"keywords"`
}

// Add adds the counts of other.
func (t *Totals) Add(other Totals) {
	t.Files += other.Files
	t.Bytes += other.Bytes
	t.Lines += other.Lines
	t.CommentBytes += other.CommentBytes
	t.StringBytes += other.StringBytes
	t.Identifiers += other.Identifiers
	t.Keywords += other.Keywords
}

// Len returns the number of entries.
func (x *Index) Len() int { return len(x.Hashes) }

// Name returns the name of entry i. It is part of the index.
func (x *Index) Name(i int) []byte {
	start, end := span(x.NameEnds, i)
	return x.Names[start:end]
}

// FilesOf returns the numbers of the files in which entry i occurs, ascending. They are part of the index.
func (x *Index) FilesOf(i int) []uint32 {
	start, end := span(x.FileEnds, i)
	return x.Files[start:end]
}

// span returns where item i begins and ends, given where each one ends.
func span(ends []uint32, i int) (start, end uint32) {
	if i > 0 {
		start = ends[i-1]
	}
	return start, ends[i]
}

// Part is a part of every index: one of Of ranges of hashes, of equal size. The zero Part is all of it.
type Part struct{ Number, Of int }

// entries returns the range of x's entries that are in the part.
func (p Part) entries(x *Index) (start, end int) {
	if p.Of <= 1 {
		return 0, x.Len()
	}
	first := func(part int) int {
		i, _ := slices.BinarySearchFunc(x.Hashes, uint64(part)<<32/uint64(p.Of), func(h uint32, bound uint64) int {
			if uint64(h) < bound {
				return -1
			}
			return 1
		})
		return i
	}
	return first(p.Number), first(p.Number + 1)
}

// Compare returns nil if x is exactly the part p of whole, or an error that names the first difference.
func (x *Index) Compare(whole *Index, p Part) error {
	start, end := p.entries(whole)
	for i := range min(x.Len(), end-start) {
		name, want := x.Name(i), whole.Name(start+i)
		switch {
		case !bytes.Equal(name, want) || x.Hashes[i] != whole.Hashes[start+i]:
			return fmt.Errorf("entry %d is %q, want %q", start+i, name, want)
		case x.Counts[i] != whole.Counts[start+i]:
			return fmt.Errorf("%q occurs %d times, want %d", name, x.Counts[i], whole.Counts[start+i])
		case !slices.Equal(x.FilesOf(i), whole.FilesOf(start+i)):
			return fmt.Errorf("%q occurs in %d files, want %d or others", name, len(x.FilesOf(i)), len(whole.FilesOf(start+i)))
		}
	}
	if x.Len() != end-start {
		return fmt.Errorf("there are %d identifiers, want %d", x.Len(), end-start)
	}
	if p.Number == 0 && x.Totals != whole.Totals {
		return fmt.Errorf("the totals are %+v, want %+v", x.Totals, whole.Totals)
	}
	return nil
}

// append adds an entry with no files; the caller appends those and calls close.
func (x *Index) append(hash uint32, name []byte) {
	x.Hashes = append(x.Hashes, hash)
	x.Names = append(x.Names, name...)
	x.NameEnds = append(x.NameEnds, uint32(len(x.Names)))
	x.Counts = append(x.Counts, 0)
}

// close ends the entry that was appended last.
func (x *Index) close() { x.FileEnds = append(x.FileEnds, uint32(len(x.Files))) }

// grow makes room for entries with names and files of these total lengths.
func (x *Index) grow(entries, names, files int) {
	x.Hashes, x.Counts = make([]uint32, 0, entries), make([]uint32, 0, entries)
	x.NameEnds, x.FileEnds = make([]uint32, 0, entries), make([]uint32, 0, entries)
	x.Names, x.Files = make([]byte, 0, names), make([]uint32, 0, files)
}

// hash returns the hash of a name. It is the same in every process, since indexes that were made in different ones are merged by it;
// that rules out hash/maphash, which differs from process to process so that nobody can choose colliding keys. Here nobody gains by
// that: names that collide cost a comparison.
func hash(name []byte) uint32 {
	const multiplier = 0x9e3779b97f4a7c15 // 2^64 divided by the golden ratio: odd, and without a pattern in its bits
	h := uint64(len(name))
	for len(name) > 8 {
		h = mix(h^binary.LittleEndian.Uint64(name), multiplier)
		name = name[8:]
	}
	var last uint64
	if n := len(name); n >= 4 {
		last = uint64(binary.LittleEndian.Uint32(name))<<32 | uint64(binary.LittleEndian.Uint32(name[n-4:]))
	} else if n > 0 {
		last = uint64(name[0])<<16 | uint64(name[n/2])<<8 | uint64(name[n-1])
	}
	h = mix(h^last, multiplier)
	return uint32(h>>32) ^ uint32(h)
}

// mix multiplies to 128 bits and folds them.
func mix(a, b uint64) uint64 {
	high, low := bits.Mul64(a, b)
	return high ^ low
}
