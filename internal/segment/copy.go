package segment

import (
	"runtime"
	"sync"
	"sync/atomic"
)

const (
	// splitBytes is from when on a copy is shared between threads: two cores move 26 GB/s and one 20, but a thread takes some ten
	// microseconds to wake, in which one core copies 200 KB.
	splitBytes = 4 << 20
	// chunkBytes is what a thread copies before it looks for more: small against splitBytes, so that a thread that is held up
	// holds up the copy by 100 microseconds at most.
	chunkBytes = 2 << 20
	// threadsMax bounds the threads of one copy or one fault-in: memory is saturated long before the cores are.
	threadsMax = 4
)

// CopyInto copies src to the start of dst, which must be at least as long, and returns the number of bytes. It shares long copies
// between threads.
func CopyInto(dst, src []byte) int {
	dst = dst[:len(src)]
	if len(src) <= splitBytes {
		return copy(dst, src)
	}
	parallel((len(src)+chunkBytes-1)/chunkBytes, func(i int) {
		from := i * chunkBytes
		to := min(from+chunkBytes, len(src))
		copy(dst[from:to], src[from:to])
	})
	return len(src)
}

// parallel calls f for 0 to n-1, each once, on up to threadsMax goroutines, the caller's among them, and returns when all are done.
func parallel(n int, f func(int)) {
	threads := min(n, runtime.GOMAXPROCS(0), threadsMax)
	if threads < 2 {
		for i := range n {
			f(i)
		}
		return
	}
	var next atomic.Int64
	work := func() {
		for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
			f(i)
		}
	}
	var wg sync.WaitGroup
	for range threads - 1 {
		wg.Go(work)
	}
	work()
	wg.Wait()
}
