package segment

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

func TestWriterKeepsObjectsApartAndAccountsForThem(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		n := newNode(64<<10, 1<<20)
		w := NewWriter(WriterConfig{KeepWarmBytes: 128 << 10, PrefaultFrom: 16 << 10}, n)
		defer func() {
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
		}()
		type object struct {
			block  Block
			buf    []byte
			seed   int
			sealed bool
		}
		var live []object
		seed := 0
		t.Repeat(map[string]func(*rapid.T){
			"": func(t *rapid.T) { checkWriter(t, w, n, len(live)) },
			"put": func(t *rapid.T) {
				size := rapid.OneOf(rapid.Uint64Range(1, 32<<10), rapid.Uint64Range(1, 300<<10)).Draw(t, "size")
				if n.room < max(n.shared, size+PageBytes) {
					return // would wait
				}
				b, buf, err := w.Acquire(context.Background(), size)
				if err != nil {
					t.Fatal(err)
				}
				seed++
				pattern(buf, seed)
				live = append(live, object{block: b, buf: buf, seed: seed})
			},
			"seal": func(t *rapid.T) {
				if len(live) == 0 {
					return
				}
				o := &live[rapid.IntRange(0, len(live)-1).Draw(t, "object")]
				if err := w.Seal(o.block); (err == nil) == o.sealed {
					t.Fatalf("seal of %v, sealed %v: %v", o.block, o.sealed, err)
				}
				o.sealed = true
			},
			"free": func(t *rapid.T) {
				if len(live) == 0 {
					return
				}
				i := rapid.IntRange(0, len(live)-1).Draw(t, "object")
				o := live[i]
				if !samePattern(o.buf, o.seed) {
					t.Fatalf("%v was overwritten", o.block)
				}
				live = slices.Delete(live, i, i+1)
				if err := w.Free(o.block); err != nil {
					t.Fatal(err)
				}
				if err := w.Free(o.block); !errors.Is(err, ErrNotAllocated) {
					t.Fatalf("freed twice: %v", err)
				}
			},
		})
	})
}

// checkWriter compares a Writer's sums with a recount.
func checkWriter(t *rapid.T, w *Writer, n *node, live int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var empty, length uint64
	objects := 0
	for _, a := range w.arenas {
		length += a.segment.Len()
		objects += a.objects
		if a.objects == 0 {
			empty += a.segment.Len()
		}
		if a.filling > a.objects || w.byID[a.id] != a {
			t.Fatalf("segment %d: %d filling of %d objects", a.id, a.filling, a.objects)
		}
	}
	if empty != w.emptyBytes || empty > uint64(w.cfg.KeepWarmBytes) || objects != live || len(w.byID) != len(w.arenas) {
		t.Fatalf("%d objects, want %d; %d bytes empty, counted %d", objects, live, empty, w.emptyBytes)
	}
	if n.room+length != 1<<20 {
		t.Fatalf("node has room for %d bytes beside %d", n.room, length)
	}
}

func TestWriterReusesTheSamePagesLastInFirstOut(t *testing.T) {
	t.Parallel()
	w := newTestWriter(t, WriterConfig{}, newNode(DefaultBytes, 1<<40))
	for _, size := range []uint64{200 << 10, 5 << 20, 40 << 20} {
		first, _ := acquire(t, w, size)
		second, _ := acquire(t, w, size)
		must(t, w.Free(first))
		must(t, w.Free(second))
		third, _ := acquire(t, w, size)
		if third != first && third != second {
			t.Errorf("object of %d bytes lies at %v; %v and %v were free", size, third, first, second)
		}
		backed := w.byID[third.Segment].segment.Backed()
		for range 100 {
			must(t, w.Free(third))
			again, _ := acquire(t, w, size)
			if again != third {
				t.Fatalf("object of %d bytes lies at %v, %v was freed last", size, again, third)
			}
		}
		if size > DefaultBytes/2 && w.byID[third.Segment].segment.Backed() != backed {
			t.Errorf("reuse took fresh memory")
		}
		must(t, w.Free(third))
	}
}

func TestObjectLongerThanHalfASegmentHasItAlone(t *testing.T) {
	t.Parallel()
	w := newTestWriter(t, WriterConfig{}, newNode(1<<20, 1<<40))
	large, _ := acquire(t, w, 600<<10)
	small, _ := acquire(t, w, 100<<10)
	if large.Segment == small.Segment {
		t.Error("a small object shares the segment of a large one")
	}
	must(t, w.Free(large))
	small2, _ := acquire(t, w, 300<<10)
	if small2.Segment == large.Segment {
		t.Error("an object wastes more than half of a segment")
	}
	if b, _ := acquire(t, w, 599<<10); b.Segment != large.Segment {
		t.Error("a segment of the right length was not reused")
	}
}

func TestAllocSaysThatItNeedsAGrant(t *testing.T) {
	t.Parallel()
	n := newNode(1<<20, 1<<40)
	w := newTestWriter(t, WriterConfig{}, n)
	need := new(NeedGrantError)
	if _, _, err := w.Alloc(1000); !errors.As(err, &need) || need.Bytes != 1000 {
		t.Fatalf("got %v", err)
	}
	g, err := n.Grant(t.Context(), need.Bytes)
	must(t, err)
	must(t, w.AddSegment(g, need.Bytes))
	b, _, err := w.Alloc(1000)
	must(t, err)
	must(t, w.Seal(b))
	for _, size := range []uint64{0, LengthMax + 1, 1 << 63} {
		if _, _, err := w.Alloc(size); err == nil || errors.As(err, &need) {
			t.Errorf("object of %d bytes: %v", size, err)
		}
	}
}

func TestEmptySegmentsAreGivenBackBeyondTheBudgetWhenIdleAndWhenAsked(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const mib = 1 << 20
		n := newNode(mib, 1<<40)
		w := newTestWriter(t, WriterConfig{KeepWarmBytes: 2 * mib, IdleAfter: 10 * time.Second}, n)
		var blocks []Block
		for range 4 {
			b, _ := acquire(t, w, mib)
			blocks = append(blocks, b)
		}
		for _, b := range blocks {
			must(t, w.Free(b))
			time.Sleep(time.Second)
		}
		if got := n.goneSegments(); !slices.Equal(got, []uint32{1, 2}) {
			t.Fatalf("given back beyond the budget: %v", got)
		}
		time.Sleep(21 * time.Second)
		synctest.Wait()
		if got := n.goneSegments(); !slices.Equal(got, []uint32{1, 2, 3, 4}) {
			t.Fatalf("given back when idle: %v", got)
		}
		b, _ := acquire(t, w, mib)
		must(t, w.Free(b))
		if freed, err := w.Trim(0); err != nil || freed != mib {
			t.Fatalf("trimmed %d bytes: %v", freed, err)
		}
		if count, length, empty := w.Segments(); count != 0 || length != 0 || empty != 0 {
			t.Fatalf("%d segments of %d bytes are left", count, length)
		}
		time.Sleep(time.Minute) // the timer finds nothing
	})
}

func TestManyWaitersForSharedSpaceAskOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := newNode(1<<20, 0)
		w := newTestWriter(t, WriterConfig{}, n)
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() { acquire(t, w, 10<<10) }) // 3 pages: 85 in a segment
		}
		synctest.Wait()
		if got := n.questions(); got != 1 {
			t.Errorf("%d requests for one segment", got)
		}
		n.grow(1 << 20)
		synctest.Wait()
		if got := n.questions(); got != 2 {
			t.Errorf("%d requests for two segments", got)
		}
		n.grow(1 << 20)
		wg.Wait()
	})
}

func TestWaiterIsServedByWhatIsFreedInItsOwnProcess(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for _, size := range []uint64{100 << 10, 600 << 10} {
			n := newNode(200<<10, RoundUp(size)+200<<10)
			w := newTestWriter(t, WriterConfig{}, n)
			held, _ := acquire(t, w, size)
			n.mu.Lock()
			n.room = 0
			n.mu.Unlock()
			if size <= 100<<10 {
				acquire(t, w, size) // the segment's other half
			}
			got := make(chan Block)
			go func() {
				b, _ := acquire(t, w, size)
				got <- b
			}()
			synctest.Wait()
			must(t, w.Free(held))
			if b := <-got; b != held {
				t.Errorf("waiter got %v, %v was freed", b, held)
			}
			synctest.Wait()
			n.grow(1 << 30)
			if w.asking || len(w.waiters) != 0 {
				t.Error("a request is left")
			}
		}
	})
}

func TestWaiterThatGivesUpPassesItsTurnOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := newNode(1<<20, 0)
		w := newTestWriter(t, WriterConfig{}, n)
		reason := errors.New("the caller's reason")
		var wg sync.WaitGroup
		cancels := make([]context.CancelCauseFunc, 3)
		for i := range cancels {
			ctx, cancel := context.WithCancelCause(t.Context())
			cancels[i] = cancel
			wg.Go(func() {
				if _, _, err := w.Acquire(ctx, 1000); !errors.Is(err, reason) {
					t.Errorf("waiter %d: %v", i, err)
				}
			})
			synctest.Wait()
		}
		for i := range cancels {
			cancels[i](reason)
			synctest.Wait()
			if want := min(i+2, 3); n.questions() != want {
				t.Errorf("%d requests after %d gave up, want %d", n.questions(), i+1, want)
			}
		}
		wg.Wait()
		if w.asking || len(w.waiters) != 0 {
			t.Error("a turn is lost")
		}
		n.grow(1 << 20)
		acquire(t, w, 1000)
	})
}

func TestRefusedGrantIsEachWaitersOwnError(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := newNode(1<<20, 0)
		n.fail = errors.New("store is full")
		w := newTestWriter(t, WriterConfig{}, n)
		var wg sync.WaitGroup
		for i := range 10 {
			wg.Go(func() {
				if _, _, err := w.Acquire(t.Context(), uint64(1+i%2*600<<10)); !errors.Is(err, n.fail) {
					t.Errorf("got %v", err)
				}
			})
		}
		wg.Wait()
	})
}

func TestAcquireUnderContentionLosesNobody(t *testing.T) {
	t.Parallel()
	n := newNode(256<<10, 1<<20)
	w := newTestWriter(t, WriterConfig{KeepWarmBytes: -1, PrefaultFrom: 32 << 10}, n)
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 100 {
				size := uint64(1 + (g*7919+i*104729)%(400<<10))
				b, buf := acquire(t, w, size)
				buf[0], buf[size-1] = byte(g), byte(g)
				if i%3 > 0 {
					must(t, w.Seal(b))
				}
				if buf[0] != byte(g) || buf[size-1] != byte(g) {
					t.Errorf("%v was overwritten", b)
				}
				must(t, w.Free(b))
			}
		})
	}
	wg.Wait()
	if count, _, _ := w.Segments(); count != 0 || n.room != 1<<20 {
		t.Errorf("%d segments are left, node has room for %d", count, n.room)
	}
}

func TestFullMachineLeavesTheWriterWhole(t *testing.T) {
	t.Parallel()
	w := newTestWriter(t, WriterConfig{PrefaultFrom: -1}, newNode(8<<20, 1<<40))
	full := true
	w.create = func(name string, length uint64) (*Segment, error) {
		s, err := Create(name, length)
		if err != nil {
			return nil, err
		}
		back := s.back
		s.back = func(offset, n uint64) error {
			if full {
				return fmt.Errorf("%w: injected", ErrNoMemory)
			}
			return back(offset, n)
		}
		return s, nil
	}
	for range 10 {
		if _, _, err := w.Acquire(t.Context(), 3<<20); !errors.Is(err, ErrNoMemory) {
			t.Fatalf("got %v", err)
		}
	}
	full = false
	_, buf := acquire(t, w, 3<<20)
	pattern(buf, 1)
	if count, length, empty := w.Segments(); count != 1 || empty != 0 {
		t.Errorf("%d segments of %d bytes, %d empty", count, length, empty)
	}
}

func TestGrantIsGivenBackWhenTheSegmentCannotBeMade(t *testing.T) {
	t.Parallel()
	n := newNode(1<<20, 1<<20)
	w := newTestWriter(t, WriterConfig{}, n)
	w.create = func(string, uint64) (*Segment, error) { return nil, os.ErrPermission }
	if _, _, err := w.Acquire(t.Context(), 1000); !errors.Is(err, os.ErrPermission) {
		t.Fatalf("got %v", err)
	}
	if n.room != 1<<20 {
		t.Error("the grant is lost")
	}
}

func TestCloseKeepsMemoryThatIsBeingFilled(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := NewWriter(WriterConfig{}, newNode(1<<20, 2<<20))
		b1, buf1 := acquire(t, w, 10<<10)
		b2, buf2 := acquire(t, w, 10<<10)
		acquire(t, w, 700<<10)
		waited := make(chan error)
		go func() {
			_, _, err := w.Acquire(t.Context(), 600<<10)
			waited <- err
		}()
		synctest.Wait()
		must(t, w.Close())
		must(t, w.Close())
		if err := <-waited; !errors.Is(err, ErrClosed) {
			t.Errorf("waiter got %v", err)
		}
		pattern(buf1, 1)
		must(t, w.Seal(b1))
		pattern(buf2, 2) // would end the process if it were unmapped
		must(t, w.Free(b2))
		must(t, w.Free(b1))
		if len(w.closing) != 1 {
			t.Error("only the segment whose buffer is abandoned may be left")
		}
		if _, _, err := w.Acquire(t.Context(), 1); !errors.Is(err, ErrClosed) {
			t.Errorf("got %v", err)
		}
	})
}

func FuzzForeignBlocksAreRefused(f *testing.F) {
	f.Add(uint32(1), uint64(0), uint64(1))
	f.Add(uint32(1), uint64(PageBytes), uint64(5000))
	f.Add(uint32(2), uint64(0), uint64(1<<63))
	f.Add(uint32(1), ^uint64(0)&^(PageBytes-1), ^uint64(0))
	f.Fuzz(func(t *testing.T, segment uint32, offset, size uint64) {
		w := newTestWriter(t, WriterConfig{}, newNode(64<<10, 1<<20))
		acquire(t, w, 5000)
		own, _ := acquire(t, w, 5000)
		solo, _ := acquire(t, w, 60<<10)
		b := Block{Segment: segment, Offset: offset, Size: size}
		sealErr, freeErr := w.Seal(b), w.Free(b)
		mine := b == own || b == solo || b == Block{Segment: 1, Size: 5000}
		// The Writer knows the pages of a block, not its last byte.
		near := segment == 1 && (offset == 0 || offset == own.Offset) && size > 4096 && size <= 8192
		if (sealErr == nil || freeErr == nil) && !mine && !near {
			t.Fatalf("accepted %v", b)
		}
	})
}
