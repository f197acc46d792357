package index

import (
	"cmp"
	"slices"
	"unicode"
	"unicode/utf8"
)

// Summary is what an index, or a part of one, says at a glance.
type Summary struct {
	// Totals sums up the files.
	Totals Totals
	// Names is the number of different identifiers, and Single that of those which occur in one file only.
	Names, Single int
	// Frequent are the identifiers that occur most often.
	Frequent []Entry
	// Widespread are the identifiers that occur in most packages.
	Widespread []Entry
	// Exported are the most widespread of those that begin with a capital: what packages have of each other's.
	Exported []Entry
	// Longest is the longest identifier; none when there are no identifiers.
	Longest []Entry
}

// Entry is what a summary says of one identifier.
type Entry struct {
	// Name is the identifier.
	Name string `json:"name"`
	// Count is how often it occurs, in how many Files and Packages.
	Count    int `json:"count"`
	Files    int `json:"files"`
	Packages int `json:"packages"`
	// FirstFile is the number of the first file in which it occurs.
	FirstFile int `json:"-"`
}

// Summarise returns the summary of an index, with the top entries in each list. packageOf has the number of each file's package; the
// files of a package have consecutive numbers.
func Summarise(x *Index, packageOf []uint32, top int) Summary {
	s := Summary{Totals: x.Totals, Names: x.Len()}
	for i := range x.Len() {
		files := x.FilesOf(i)
		if len(files) == 1 {
			s.Single++
		}
		s.rank(top, &Entry{
			Name: string(x.Name(i)), Count: int(x.Counts[i]), Files: len(files), Packages: packages(files, packageOf), FirstFile: int(files[0]),
		})
	}
	return s
}

// Combine returns the summary of an index of which the parts were summarised.
func Combine(top int, parts ...Summary) Summary {
	var s Summary
	for _, p := range parts {
		s.Totals.Add(p.Totals)
		s.Names += p.Names
		s.Single += p.Single
		offerAll(&s.Frequent, top, p.Frequent, byCount)
		offerAll(&s.Widespread, top, p.Widespread, byPackages)
		offerAll(&s.Exported, top, p.Exported, byPackages)
		offerAll(&s.Longest, 1, p.Longest, byLength)
	}
	return s
}

// rank offers an entry to every list.
func (s *Summary) rank(top int, e *Entry) {
	offer(&s.Frequent, top, e, byCount)
	offer(&s.Widespread, top, e, byPackages)
	if first, _ := utf8.DecodeRuneInString(e.Name); unicode.IsUpper(first) {
		offer(&s.Exported, top, e, byPackages)
	}
	offer(&s.Longest, 1, e, byLength)
}

// offerAll offers entries to a list.
func offerAll(list *[]Entry, top int, entries []Entry, order func(a, b *Entry) int) {
	for i := range entries {
		offer(list, top, &entries[i], order)
	}
}

// offer puts an entry into a list, which is in order and at most top long, if it belongs there.
func offer(list *[]Entry, top int, e *Entry, order func(a, b *Entry) int) {
	n := len(*list)
	if top == 0 || n == top && order(&(*list)[n-1], e) < 0 {
		return
	}
	at, _ := slices.BinarySearchFunc(*list, e, func(a Entry, b *Entry) int { return order(&a, b) })
	*list = slices.Insert(*list, at, *e)
	*list = (*list)[:min(n+1, top)]
}

// The orders end with the name, which no two entries share, so that a list does not depend on the order of what it was offered.

func byCount(a, b *Entry) int {
	return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Name, b.Name))
}

func byPackages(a, b *Entry) int {
	return cmp.Or(cmp.Compare(b.Packages, a.Packages), byCount(a, b))
}

func byLength(a, b *Entry) int {
	return cmp.Or(cmp.Compare(utf8.RuneCountInString(b.Name), utf8.RuneCountInString(a.Name)), cmp.Compare(a.Name, b.Name))
}

// packages counts the packages of files.
func packages(files, packageOf []uint32) int {
	n := 0
	last := uint32(0)
	for i, f := range files {
		if p := packageOf[f]; i == 0 || p != last {
			n++
			last = p
		}
	}
	return n
}
