package service

import (
	"testing"
	"unsafe"
)

func TestLargeHeapKeepsLittleGarbage(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		live uint64
		want int
	}{
		{0, 100}, {10 << 20, 100}, {garbageMax, 100}, {2 * garbageMax, 50}, {300 << 20, 32}, {8 << 30, percentMin},
	} {
		if got := collectorPercent(c.live); got != c.want {
			t.Errorf("a heap of %d MiB may grow by %d %%, want %d %%", c.live>>20, got, c.want)
		}
	}
}

func TestAQueuedTaskIsSmall(t *testing.T) {
	t.Parallel()
	const sizeClass = 288 // of the allocator; the next is 320
	if size := unsafe.Sizeof(task{}); size > sizeClass {
		t.Errorf("a task has %d bytes: what few tasks need belongs into extras, or a million queued ones cost 32 MB more", size)
	}
}
