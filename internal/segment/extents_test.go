package segment

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"
)

// oracle knows for each page which allocation has it.
type oracle struct {
	owner []int // 0 is free
}

// check compares every extent with the oracle and every table of the allocator with the others.
func (e *extents) check(o oracle) error {
	listed := 0
	for page, lastFree := uint32(0), false; page < e.top; {
		n, isFree := e.length(page), e.state(page) == free
		switch {
		case n == 0 || page+n > e.top:
			return fmt.Errorf("extent of %d pages at %d, top %d", n, page, e.top)
		case e.foot[page+n-1] != page:
			return fmt.Errorf("foot of extent at %d is %d", page, e.foot[page+n-1])
		case isFree && lastFree:
			return fmt.Errorf("free extents touch at %d", page)
		}
		for i := page; i < page+n; i++ {
			if (o.owner[i] == 0) != isFree || o.owner[i] != o.owner[page] {
				return fmt.Errorf("page %d belongs to %d, extent at %d free: %v", i, o.owner[i], page, isFree)
			}
			if i > page && e.head[i] != 0 {
				return fmt.Errorf("page %d inside the extent at %d has a head", i, page)
			}
		}
		if isFree {
			listed++
		}
		lastFree, page = isFree, page+n
	}
	for bin, page := range e.bins {
		if (page != noPage) != (e.filled[bin/64]&(1<<(bin%64)) != 0) {
			return fmt.Errorf("bit of bin %d", bin)
		}
		for before := noPage; page != noPage; before, page = page, e.next[page] {
			if e.prev[page] != before || binOf(e.length(page)) != bin || e.state(page) != free {
				return fmt.Errorf("extent at %d in bin %d", page, bin)
			}
			listed--
		}
	}
	if listed != 0 {
		return fmt.Errorf("%d free extents are not listed", listed)
	}
	return nil
}

func TestExtentsNeverOverlapAndAlwaysCoalesce(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		pages := rapid.Uint32Range(1, 300).Draw(t, "pages")
		e, o := newExtents(uint64(pages)*PageBytes), oracle{owner: make([]int, pages)}
		type run struct{ page, n uint32 }
		live := map[int]run{}
		last := 0
		t.Repeat(map[string]func(*rapid.T){
			"": func(t *rapid.T) {
				if err := e.check(o); err != nil {
					t.Fatal(err)
				}
			},
			"alloc": func(t *rapid.T) {
				n := rapid.Uint32Range(1, pages).Draw(t, "n")
				page, ok := e.reuse(n)
				if !ok {
					page, ok = e.extend(n)
				}
				if !ok {
					if o.tail() >= int(n) {
						t.Fatalf("no room for %d pages, %d are free at the end", n, o.tail())
					}
					return
				}
				last++
				for i := page; i < page+n; i++ {
					if o.owner[i] != 0 {
						t.Fatalf("page %d is taken", i)
					}
					o.owner[i] = last
				}
				live[last] = run{page, n}
			},
			"free": func(t *rapid.T) {
				if len(live) == 0 {
					return
				}
				id := rapid.IntRange(1, last).Filter(func(id int) bool { return live[id].n > 0 }).Draw(t, "id")
				r := live[id]
				if e.release(r.page, r.n+1) != free || (r.n > 1 && e.release(r.page+1, r.n-1) != free) {
					t.Fatal("a wrong length or a wrong start is freed")
				}
				want := filling
				if rapid.Bool().Draw(t, "seal") {
					want = sealed
					if !e.sealAt(r.page, r.n) || e.sealAt(r.page, r.n) {
						t.Fatal("sealed twice or never")
					}
				}
				if e.release(r.page, r.n) != want {
					t.Fatalf("release of %v", r)
				}
				if e.release(r.page, r.n) != free {
					t.Fatal("freed twice")
				}
				delete(live, id)
				for i := r.page; i < r.page+r.n; i++ {
					o.owner[i] = 0
				}
			},
		})
	})
}

// tail returns how many pages at the end are free.
func (o oracle) tail() int {
	n := 0
	for n < len(o.owner) && o.owner[len(o.owner)-1-n] == 0 {
		n++
	}
	return n
}

func TestBinsAreInOrderOfLength(t *testing.T) {
	t.Parallel()
	for n := uint32(2); n <= extentMax; n += 1 + n/64 {
		if a, b := binOf(n-1), binOf(n); a > b || b >= binCount || (n < 16 && b != int(n)) {
			t.Fatalf("binOf(%d) = %d, binOf(%d) = %d", n-1, a, n, b)
		}
	}
}

func TestFreedSpaceIsReusedLastInFirstOut(t *testing.T) {
	t.Parallel()
	e := newExtents(1 << 20)
	var at [9]uint32
	for i := range at {
		at[i], _ = e.extend(5)
	}
	for _, i := range []int{1, 5, 3} { // with used neighbours, so that they stay apart
		e.release(at[i], 5)
	}
	for _, want := range []int{3, 5, 1} {
		if got, ok := e.reuse(5); !ok || got != at[want] {
			t.Fatalf("reused page %d, want %d", got, at[want])
		}
	}
}

func BenchmarkExtents(b *testing.B) {
	e := newExtents(DefaultBytes)
	for range 100 {
		e.extend(100)
	}
	for b.Loop() {
		page, ok := e.reuse(30)
		if !ok {
			page, _ = e.extend(30)
		}
		e.release(page, 30)
	}
}
