package segment

import "math/bits"

// extents allocates runs of pages inside one segment: a two-level segregated fit with immediate coalescing, constant time for both
// operations. The pages from top on were never used. Below it every page belongs to exactly one extent, used or free; no two free
// extents touch. Free extents of like length form a list, last in first out, because what was freed last is warmest in the caches.
//
// The tables are indexed by page and hold no pointers, 16 bytes for each page of 4 KiB.
type extents struct {
	pages, top uint32
	// head has, at the first page of an extent, its length and state (see tag); zero elsewhere.
	head []uint32
	// foot has, at the last page of an extent, its first page; it means nothing elsewhere.
	foot []uint32
	// next and prev link the free list of the extent that starts at the page; ends of lists are noPage.
	next, prev []uint32
	bins       [binCount]uint32
	// filled has a bit for each bin that is not empty.
	filled [binCount / 64]uint64
}

// state of an extent.
type state uint32

const (
	// free: no object.
	free state = iota
	// filling: allocated, the caller writes.
	filling
	// sealed: allocated, nobody writes.
	sealed

	stateBits = 2
	stateMask = 1<<stateBits - 1
)

const (
	noPage = ^uint32(0)
	// subBits: 8 bins for each power of two, so that an extent of the next bin is at most an eighth longer than asked for.
	subBits = 3
	// extentMax is the longest run of pages that a segment is used for: 64 GiB.
	extentMax = 1 << 24
	// binCount covers extents of up to extentMax pages (bin 176), in whole words.
	binCount = 192
	// probes is how many extents of the bin that fits only perhaps are looked at.
	probes = 4
)

func newExtents(length uint64) *extents {
	pages := uint32(min(length/PageBytes, extentMax))
	table := make([]uint32, 4*pages)
	e := &extents{
		pages: pages, head: table[:pages], foot: table[pages : 2*pages], next: table[2*pages : 3*pages], prev: table[3*pages:],
	}
	for i := range e.bins {
		e.bins[i] = noPage
	}
	return e
}

// binOf returns the bin of extents that are n pages long: exact below 16 pages.
func binOf(n uint32) int {
	if n < 1<<subBits {
		return int(n)
	}
	e := bits.Len32(n) - 1
	return (e-subBits+1)<<subBits + int(n>>(e-subBits))&(1<<subBits-1)
}

// reuse allocates n pages of freed space.
func (e *extents) reuse(n uint32) (page uint32, ok bool) {
	bin := binOf(n)
	at := e.bins[bin]
	for i := 0; i < probes && at != noPage; i++ {
		if e.length(at) >= n {
			return e.take(at, n), true
		}
		at = e.next[at]
	}
	for word := (bin + 1) / 64; word < len(e.filled); word++ {
		set := e.filled[word]
		if word == (bin+1)/64 {
			set &= ^uint64(0) << ((bin + 1) % 64)
		}
		if set != 0 {
			return e.take(e.bins[word*64+bits.TrailingZeros64(set)], n), true
		}
	}
	return 0, false
}

// extend allocates n pages with pages that were never used; it takes a free extent below them along.
func (e *extents) extend(n uint32) (page uint32, ok bool) {
	from := e.top
	if e.top > 0 {
		if last := e.foot[e.top-1]; e.state(last) == free {
			from = last
		}
	}
	if n > e.pages-from {
		return 0, false
	}
	if from < e.top {
		e.unlink(from)
	}
	e.top = max(e.top, from+n)
	e.set(from, n, filling)
	return from, true
}

// sealAt turns a filling extent of n pages into a sealed one.
func (e *extents) sealAt(page, n uint32) bool {
	if page >= e.top || e.head[page] != tag(n, filling) {
		return false
	}
	e.set(page, n, sealed)
	return true
}

// release frees the extent of n pages at page, and reports what it was; free if there is none.
func (e *extents) release(page, n uint32) state {
	if page >= e.top || e.length(page) != n || n == 0 {
		return free
	}
	was := e.state(page)
	if was == free {
		return free
	}
	e.head[page] = 0 // no longer the start of an extent when it is merged
	if page > 0 {
		if before := e.foot[page-1]; e.state(before) == free {
			e.unlink(before)
			page, n = before, n+page-before
		}
	}
	if after := page + n; after < e.top && e.state(after) == free {
		n += e.length(after)
		e.unlink(after)
		e.head[after] = 0
	}
	e.link(page, n)
	return was
}

// take allocates the first n pages of a free extent and gives back the rest.
func (e *extents) take(page, n uint32) uint32 {
	have := e.length(page)
	e.unlink(page)
	e.set(page, n, filling)
	if have > n {
		e.link(page+n, have-n)
	}
	return page
}

func (e *extents) length(page uint32) uint32 { return e.head[page] >> stateBits }
func (e *extents) state(page uint32) state   { return state(e.head[page] & stateMask) }

// tag packs length and state of an extent: 30 bits of pages are 4 TiB, beyond LengthMax.
func tag(n uint32, s state) uint32 { return n<<stateBits | uint32(s) }

func (e *extents) set(page, n uint32, s state) {
	e.head[page] = tag(n, s)
	e.foot[page+n-1] = page
}

func (e *extents) link(page, n uint32) {
	e.set(page, n, free)
	bin := binOf(n)
	first := e.bins[bin]
	e.next[page], e.prev[page] = first, noPage
	if first != noPage {
		e.prev[first] = page
	}
	e.bins[bin] = page
	e.filled[bin/64] |= 1 << (bin % 64)
}

func (e *extents) unlink(page uint32) {
	next, prev, bin := e.next[page], e.prev[page], binOf(e.length(page))
	if next != noPage {
		e.prev[next] = prev
	}
	if prev != noPage {
		e.next[prev] = next
		return
	}
	e.bins[bin] = next
	if next == noPage {
		e.filled[bin/64] &^= 1 << (bin % 64)
	}
}
