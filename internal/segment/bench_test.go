package segment

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// The figures that docs/adr/0002-segments.md quotes come from here:
//
//	go test -run '^$' -bench . -benchtime 1s ./internal/segment

var benchSizes = []int{1e6, 100e6, 838e6}

func benchName(n int) string { return fmt.Sprintf("%dMB", n/1e6) }

func source(n int) []byte {
	src := make([]byte, n)
	for i := range src {
		src[i] = byte(i)
	}
	return src
}

// put allocates, copies, seals and frees.
func put(b *testing.B, w *Writer, src []byte) {
	b.Helper()
	block, buf := acquire(b, w, uint64(len(src)))
	CopyInto(buf, src)
	must(b, w.Seal(block))
	must(b, w.Free(block))
}

// BenchmarkPutWarm puts objects into pages that were used before, and in turn with each put copies the same bytes from heap to heap
// with one memcpy, so that both meet the same load. Its figures are medians: GB/s of both, and how much of memcpy the put reaches.
func BenchmarkPutWarm(b *testing.B) {
	for _, n := range benchSizes {
		b.Run(benchName(n), func(b *testing.B) {
			src, dst := source(n), source(n)
			w := newTestWriter(b, WriterConfig{}, newNode(DefaultBytes, 1<<40))
			put(b, w, src)
			var memcpy, puts []time.Duration
			b.ReportAllocs()
			for b.Loop() {
				start := time.Now()
				copy(dst, src)
				between := time.Now()
				put(b, w, src)
				memcpy, puts = append(memcpy, between.Sub(start)), append(puts, time.Since(between))
			}
			plain, warm := median(memcpy), median(puts)
			b.ReportMetric(float64(n)/float64(plain), "memcpy-GB/s")
			b.ReportMetric(float64(n)/float64(warm), "put-GB/s")
			b.ReportMetric(float64(plain)/float64(warm), "of-memcpy")
		})
	}
}

func median(d []time.Duration) time.Duration {
	slices.Sort(d)
	return d[len(d)/2]
}

// BenchmarkPutCold puts the first object of a process, into pages that the kernel has to find and clear.
func BenchmarkPutCold(b *testing.B) {
	for _, n := range benchSizes {
		b.Run(benchName(n), func(b *testing.B) {
			src := source(n)
			b.SetBytes(int64(n))
			for b.Loop() {
				w := newTestWriter(b, WriterConfig{PrefaultFrom: -1}, newNode(DefaultBytes, 1<<40))
				put(b, w, src)
				b.StopTimer()
				must(b, w.Close())
				b.StartTimer()
			}
		})
	}
}

// BenchmarkAllocSealFree is the bookkeeping of one small put, and with a thousand objects beside it.
func BenchmarkAllocSealFree(b *testing.B) {
	for _, beside := range []int{0, 1000} {
		b.Run(fmt.Sprintf("beside=%d", beside), func(b *testing.B) {
			w := newTestWriter(b, WriterConfig{}, newNode(DefaultBytes, 1<<40))
			for range beside {
				acquire(b, w, 200<<10)
			}
			acquire(b, w, 200<<10)
			b.ReportAllocs()
			for b.Loop() {
				block, _, err := w.Alloc(150 << 10)
				if err != nil {
					b.Fatal(err)
				}
				if w.Seal(block) != nil || w.Free(block) != nil {
					b.Fatal("not allocated")
				}
			}
		})
	}
}

// BenchmarkView is how long a reader takes to find an object and to let go of it.
func BenchmarkView(b *testing.B) {
	m, _ := mapped(b, 1<<20)
	b.ReportAllocs()
	for b.Loop() {
		v, err := m.View(Block{Segment: 1, Offset: 64, Size: 1000})
		if err != nil || v.Release() != nil {
			b.Fatal(err)
		}
	}
}
