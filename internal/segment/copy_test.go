package segment

import (
	"bytes"
	"sync/atomic"
	"testing"
)

func TestCopyIntoCopiesEveryByteAndNoMore(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, splitBytes, splitBytes + 1, 3*chunkBytes + 17, 5 * chunkBytes} {
		src, dst := make([]byte, n), make([]byte, n+10)
		pattern(src, n)
		if got := CopyInto(dst, src); got != n || !bytes.Equal(dst[:n], src) || !bytes.Equal(dst[n:], make([]byte, 10)) {
			t.Errorf("copy of %d bytes: %d", n, got)
		}
	}
}

func TestParallelCallsOnceForEach(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, 2, 3, 100} {
		calls := make([]atomic.Int32, n)
		parallel(n, func(i int) { calls[i].Add(1) })
		for i := range calls {
			if got := calls[i].Load(); got != 1 {
				t.Errorf("%d of %d was called %d times", i, n, got)
			}
		}
	}
}
