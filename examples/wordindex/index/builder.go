package index

import (
	"bytes"
	"cmp"
	"slices"

	"github.com/mobula-dev/mobula/examples/wordindex/lexer"
)

// keywords are not identifiers. They are the first names of every builder, so that telling them apart costs nothing per name.
var keywords = [...]string{
	"break", "case", "chan", "const", "continue", "default", "defer", "else", "fallthrough", "for", "func", "go", "goto", "if", "import",
	"interface", "map", "package", "range", "return", "select", "struct", "switch", "type", "var",
}

// Builder makes an index of files that are given to it one by one. It is not safe for concurrent use.
//
// Names are numbered as they come. A table of open addressing finds the number of a name; nothing in the builder has pointers that
// a garbage collector would have to follow.
type Builder struct {
	totals Totals
	lexer  lexer.Lexer

	names   []byte // all names, one after the other
	entries []entry
	table   []uint64 // hash in the upper half, number plus one in the lower; 0 is free. Its length is a power of two.
	uses    []use    // in the order of files
}

// entry is what is known of one name.
type entry struct {
	start, end uint32 // of the name in names
	hash       uint32
	count      uint32
	files      uint32 // number of files in which it occurs
	last       uint32 // number plus one of the last of them
}

// use says that a name occurs in a file.
type use struct{ name, file uint32 }

// NewBuilder returns an empty builder.
func NewBuilder() *Builder {
	b := &Builder{table: make([]uint64, 1<<15)}
	b.start()
	return b
}

// start gives the keywords their numbers.
func (b *Builder) start() {
	for _, k := range keywords {
		b.number([]byte(k))
	}
}

// Add indexes a file. Files come in ascending order of their numbers. The text is not kept.
func (b *Builder) Add(file uint32, text []byte) {
	b.lexer.Reset(text)
	identifiers := 0
	for name := b.lexer.Next(); name != nil; name = b.lexer.Next() {
		identifiers++
		n := b.number(name)
		e := &b.entries[n]
		e.count++
		if e.last != file+1 {
			e.last = file + 1
			e.files++
			b.uses = append(b.uses, use{n, file})
		}
	}
	b.totals.Add(Totals{
		Files: 1, Bytes: len(text), Lines: bytes.Count(text, []byte{'\n'}),
		CommentBytes: b.lexer.CommentBytes, StringBytes: b.lexer.StringBytes, Identifiers: identifiers,
	})
}

// number returns the number of a name, a new one when it has none.
func (b *Builder) number(name []byte) uint32 {
	h := hash(name)
	mask := uint32(len(b.table) - 1)
	at := h & mask
	for ; b.table[at] != 0; at = (at + 1) & mask {
		if b.table[at]>>32 != uint64(h) {
			continue
		}
		n := uint32(b.table[at]) - 1
		if e := &b.entries[n]; string(b.names[e.start:e.end]) == string(name) {
			return n
		}
	}
	n := uint32(len(b.entries))
	start := uint32(len(b.names))
	b.names = append(b.names, name...)
	b.entries = append(b.entries, entry{start: start, end: uint32(len(b.names)), hash: h})
	b.table[at] = uint64(h)<<32 | uint64(n+1)
	if len(b.entries) > len(b.table)/2 {
		b.rehash()
	}
	return n
}

// rehash doubles the table.
func (b *Builder) rehash() {
	b.table = make([]uint64, 2*len(b.table))
	mask := uint32(len(b.table) - 1)
	for n := range b.entries {
		h := b.entries[n].hash
		at := h & mask
		for b.table[at] != 0 {
			at = (at + 1) & mask
		}
		b.table[at] = uint64(h)<<32 | uint64(n+1)
	}
}

// Reset makes the builder empty again. It keeps its memory, which saves most of the cost of another one.
func (b *Builder) Reset() {
	clear(b.table)
	*b = Builder{names: b.names[:0], entries: b.entries[:0], table: b.table, uses: b.uses[:0]}
	b.start()
}

// Index returns the index of the files that were added. It shares no memory with the builder.
func (b *Builder) Index() *Index {
	order := b.order()
	x := &Index{Totals: b.totals}
	x.grow(len(order), len(b.names), 0)
	next := make([]uint32, len(b.entries)) // where the next file of each name goes in Files
	total := uint32(0)
	for _, n := range order {
		e := &b.entries[n]
		x.append(e.hash, b.names[e.start:e.end])
		x.Counts[x.Len()-1] = e.count
		next[n] = total
		total += e.files
		x.FileEnds = append(x.FileEnds, total)
	}
	x.Files = make([]uint32, total)
	for _, u := range b.uses {
		if u.name >= uint32(len(keywords)) {
			x.Files[next[u.name]] = u.file
			next[u.name]++
		}
	}
	for _, e := range b.entries[:len(keywords)] {
		x.Totals.Keywords += int(e.count)
	}
	x.Totals.Identifiers -= x.Totals.Keywords
	return x
}

// order returns the numbers of the names but for keywords, in the order of an index's entries.
func (b *Builder) order() []uint32 {
	keys := make([]uint64, 0, len(b.entries)-len(keywords)) // hash in the upper half: integers sort several times faster than names
	for n := len(keywords); n < len(b.entries); n++ {
		keys = append(keys, uint64(b.entries[n].hash)<<32|uint64(n))
	}
	slices.Sort(keys)
	order := make([]uint32, len(keys))
	for i, k := range keys {
		order[i] = uint32(k)
	}
	for i := 0; i < len(keys); {
		j := i + 1
		for j < len(keys) && keys[j]>>32 == keys[i]>>32 {
			j++
		}
		if j > i+1 { // different names of equal hash
			slices.SortFunc(order[i:j], func(p, q uint32) int { return b.compare(p, q) })
		}
		i = j
	}
	return order
}

// compare orders two names by their bytes.
func (b *Builder) compare(p, q uint32) int {
	return cmp.Compare(b.name(p), b.name(q))
}

func (b *Builder) name(n uint32) string { return string(b.names[b.entries[n].start:b.entries[n].end]) }
