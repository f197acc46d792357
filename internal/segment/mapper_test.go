package segment

import (
	"errors"
	"sync"
	"testing"
	"unsafe"
)

// addressOf returns where a slice lies.
func addressOf(b []byte) uintptr { return uintptr(unsafe.Pointer(unsafe.SliceData(b))) }

// mapped returns a Mapper with a segment 1 of the given length.
func mapped(tb testing.TB, length uint64) (*Mapper, *Segment) {
	tb.Helper()
	s, err := Create("mobula-test", length)
	must(tb, err)
	must(tb, s.Back(length))
	m := NewMapper()
	must(tb, m.Add(1, dup(tb, s.File()), length))
	tb.Cleanup(func() {
		must(tb, m.Close())
		must(tb, s.Close())
	})
	return m, s
}

func TestViewStaysInsideItsSegment(t *testing.T) {
	t.Parallel()
	m, _ := mapped(t, 64<<10)
	tests := map[Block]error{
		{1, 0, 64 << 10}:         nil,
		{1, 64 << 10, 0}:         nil,
		{1, 64<<10 - 1, 1}:       nil,
		{1, 64<<10 - 1, 2}:       ErrOutOfBounds,
		{1, 64<<10 + 1, 0}:       ErrOutOfBounds,
		{1, 1, ^uint64(0)}:       ErrOutOfBounds,
		{1, ^uint64(0), 2}:       ErrOutOfBounds,
		{1, 1 << 63, 1 << 63}:    ErrOutOfBounds,
		{2, 0, 1}:                ErrUnknownSegment,
		{^uint32(0), 0, 1 << 20}: ErrUnknownSegment,
	}
	for b, want := range tests {
		v, err := m.View(b)
		if !errors.Is(err, want) {
			t.Errorf("view of %v: %v", b, err)
		}
		if uint64(len(v.Bytes())) != b.Size && err == nil || cap(v.Bytes()) != len(v.Bytes()) {
			t.Errorf("view of %v has %d bytes", b, len(v.Bytes()))
		}
		must(t, v.Release())
	}
}

func FuzzViewNeverLeavesItsSegment(f *testing.F) {
	m, s := mapped(f, 64<<10)
	f.Add(uint32(1), uint64(0), uint64(64<<10))
	f.Add(uint32(1), uint64(64<<10), uint64(1))
	f.Add(uint32(1), uint64(64<<10), uint64(0))
	f.Add(uint32(1), ^uint64(0), uint64(1))
	f.Fuzz(func(t *testing.T, segment uint32, offset, size uint64) {
		v, err := m.View(Block{Segment: segment, Offset: offset, Size: size})
		if err != nil {
			return
		}
		at := addressOf(v.Bytes()) - addressOf((*m.table.Load())[1].data)
		if (uint64(at) != offset && size > 0) || uint64(len(v.Bytes())) != size || offset+size > s.Len() {
			t.Fatalf("view at %d of %d bytes", at, len(v.Bytes()))
		}
		must(t, v.Release())
	})
}

func TestSegmentIsMappedOnceAndUntilItsLastView(t *testing.T) {
	t.Parallel()
	m, s := mapped(t, 64<<10)
	copy(s.bytes(0, 5), "hello")
	must(t, m.Add(1, dup(t, s.File()), 64<<10))
	if m.Len() != 1 {
		t.Fatal("mapped twice")
	}
	a, err := m.View(Block{1, 0, 5})
	must(t, err)
	b, err := m.View(Block{1, 1, 4})
	must(t, err)
	must(t, m.Drop(1))
	must(t, m.Drop(1))
	if _, err := m.View(Block{1, 0, 1}); !errors.Is(err, ErrUnknownSegment) {
		t.Errorf("view of a dropped segment: %v", err)
	}
	must(t, a.Release())
	if string(b.Bytes()) != "ello" || a.m.unmapped.Load() {
		t.Error("a view is gone before its release")
	}
	lateView(t, a.m) // found before the drop, begun after it
	must(t, b.Release())
	lateView(t, a.m)
	if !a.m.unmapped.Load() {
		t.Error("still mapped after the last view")
	}
	must(t, m.Close())
	if err := m.Add(2, dup(t, s.File()), 64<<10); !errors.Is(err, ErrClosed) {
		t.Errorf("added to a closed Mapper: %v", err)
	}
}

// lateView checks that a view that is too late is refused and leaves the count as it was.
func lateView(t *testing.T, mp *mapping) {
	t.Helper()
	before := mp.views.Load()
	if ok, err := mp.begin(); ok || err != nil || mp.views.Load() != before {
		t.Errorf("a view of a dropped segment begins: %v, %v", ok, err)
	}
}

func TestDropAndViewMayRace(t *testing.T) {
	t.Parallel()
	for range 200 {
		m, s := mapped(t, PageBytes)
		s.bytes(0, 1)[0] = 1
		mp := (*m.table.Load())[1]
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				for range 20 {
					v, err := m.View(Block{1, 0, 1})
					if err != nil {
						return
					}
					if v.Bytes()[0] != 1 {
						t.Error("wrong byte")
					}
					must(t, v.Release())
				}
			})
		}
		wg.Go(func() { must(t, m.Drop(1)) })
		wg.Wait()
		if !mp.unmapped.Load() {
			t.Fatal("still mapped")
		}
	}
}
