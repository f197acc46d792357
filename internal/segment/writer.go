package segment

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"
)

// Defaults of WriterConfig.
const (
	// DefaultKeepWarmBytes lets two objects of a gigabyte alternate without ever touching a fresh page.
	DefaultKeepWarmBytes = 2 << 30
	// DefaultIdleAfter is longer than a program thinks between two steps, and short enough that memory does not lie idle.
	DefaultIdleAfter = 30 * time.Second
	// DefaultPrefaultFrom is the smallest object that is worth faulting pages in ahead.
	DefaultPrefaultFrom = 1 << 20
)

// Grant is the node manager's leave to create one segment.
type Grant struct {
	// Segment is the id that the segment shall have.
	Segment uint32
	// Length is how long the segment shall be, in bytes.
	Length uint64
}

// Granter is the node manager, as a Writer sees it. Its methods are called from the goroutines that call the Writer, without any
// lock held, and may overlap.
type Granter interface {
	// Grant asks for a segment with room for an object of size bytes, and waits for it. When ctx ends first the request is
	// withdrawn, and a grant that crosses the withdrawal is given back.
	Grant(ctx context.Context, size uint64) (Grant, error)
	// Announce passes the segment's descriptor to the node, before any later message. It is the Writer's, and only sure to be open
	// during the call: an implementation that sends later sends a duplicate.
	Announce(g Grant, f *os.File) error
	// GiveBack tells the node that the segment will not be used again. It must not call the Writer.
	GiveBack(segment uint32)
}

// WriterConfig has the settings of a Writer. The zero value means the defaults.
type WriterConfig struct {
	// Name is the start of the segments' names in /proc; "mobula" if empty.
	Name string
	// KeepWarmBytes is how much empty segments may take before the one that is empty longest is given back; negative for none.
	KeepWarmBytes int64
	// IdleAfter is how long a segment stays empty before it is given back, at least; at most twice as long.
	IdleAfter time.Duration
	// PrefaultFrom is the size of the smallest object that starts pre-faulting; negative for never.
	PrefaultFrom int64
}

func (c WriterConfig) withDefaults() WriterConfig {
	if c.Name == "" {
		c.Name = "mobula"
	}
	if c.KeepWarmBytes == 0 {
		c.KeepWarmBytes = DefaultKeepWarmBytes
	}
	if c.IdleAfter <= 0 {
		c.IdleAfter = DefaultIdleAfter
	}
	if c.PrefaultFrom == 0 {
		c.PrefaultFrom = DefaultPrefaultFrom
	}
	return c
}

// NeedGrantError means that no segment has room: the node must grant one first. Writer.Acquire asks by itself.
type NeedGrantError struct {
	// Bytes is the size of the object.
	Bytes uint64
}

// Error implements error.
func (e *NeedGrantError) Error() string {
	return fmt.Sprintf("no segment has room for an object of %d bytes", e.Bytes)
}

// ErrNotAllocated means that a block is not one that the Writer handed out, or was freed before.
var ErrNotAllocated = errors.New("block is not allocated")

// Writer allocates objects in the segments of this process. All methods may be called from any goroutine.
//
// An object is allocated (its buffer is the caller's to fill), sealed (nobody writes any more) and freed. Small objects share
// segments; an object longer than half of the segment that was granted for it has that segment alone, and so has its successor
// there. A segment that is empty stays mapped, with its pages, for the next object, within KeepWarmBytes and IdleAfter.
type Writer struct {
	cfg     WriterConfig
	granter Granter
	create  func(name string, length uint64) (*Segment, error) // Create, but in tests

	mu         sync.Mutex
	arenas     []*arena            // oldest first; guarded by mu
	byID       map[uint32]*arena   // guarded by mu
	waiters    []*waiter           // oldest first; guarded by mu
	asking     bool                // a waiter asks for a segment that small objects share; guarded by mu
	emptyBytes uint64              // length of the empty segments; guarded by mu
	idle       *time.Timer         // runs while there are empty segments; guarded by mu
	ahead      *arena              // being pre-faulted; guarded by mu
	closed     bool                // guarded by mu
	background sync.WaitGroup      // the pre-faulting goroutine and the idle timer's; Add is guarded by mu
	closing    map[*arena]struct{} // closed with buffers that are still being filled; guarded by mu
}

// arena is a segment and what is allocated in it. Its fields but segment are guarded by Writer.mu.
type arena struct {
	id         uint32
	segment    *Segment
	space      *extents // nil for a segment with one large object
	solo       uint64   // size of that object, 0 when the segment is empty
	soloState  state
	objects    int
	filling    int // of objects
	emptySince time.Time
}

// NewWriter returns a Writer without segments.
func NewWriter(cfg WriterConfig, g Granter) *Writer {
	return &Writer{
		cfg: cfg.withDefaults(), granter: g, create: Create, byID: make(map[uint32]*arena), closing: make(map[*arena]struct{}),
	}
}

// Alloc allocates an object of size bytes in a segment that exists, and returns its place and its memory, whose content is
// arbitrary. The error is a *NeedGrantError when there is no room.
func (w *Writer) Alloc(size uint64) (Block, []byte, error) {
	if err := checkSize(size); err != nil {
		return Block{}, nil, err
	}
	w.mu.Lock()
	if w.closed {
		w.mu.Unlock()
		return Block{}, nil, ErrClosed
	}
	a, b, ok := w.place(size)
	w.mu.Unlock()
	if !ok {
		return Block{}, nil, &NeedGrantError{Bytes: size}
	}
	return w.back(a, b)
}

func checkSize(size uint64) error {
	if size == 0 || size > LengthMax {
		return fmt.Errorf("allocate object of %d bytes: not between 1 and %d", size, uint64(LengthMax))
	}
	return nil
}

// back puts memory behind a block that was just placed.
func (w *Writer) back(a *arena, b Block) (Block, []byte, error) {
	if err := a.segment.Back(b.End()); err != nil {
		return Block{}, nil, errors.Join(fmt.Errorf("allocate object of %d bytes: %w", b.Size, err), w.Free(b))
	}
	w.prefault(a, b.Size)
	return b, a.segment.bytes(b.Offset, b.Size), nil
}

// place finds room for an object. Freed space of any segment, the oldest first so that the younger ones can empty, comes before
// space that was never used. mu is held.
func (w *Writer) place(size uint64) (*arena, Block, bool) {
	pages := uint32(RoundUp(size) / PageBytes)
	var solo *arena
	for _, a := range w.arenas {
		if a.space == nil {
			if a.suits(size) && (solo == nil || a.segment.Len() < solo.segment.Len()) {
				solo = a
			}
		} else if a.fits(size) {
			if page, ok := a.space.reuse(pages); ok {
				return a, w.took(a, page, size), true
			}
		}
	}
	if solo != nil {
		solo.solo, solo.soloState = size, filling
		return solo, w.took(solo, 0, size), true
	}
	for _, a := range w.arenas {
		if a.space != nil && a.fits(size) {
			if page, ok := a.space.extend(pages); ok {
				return a, w.took(a, page, size), true
			}
		}
	}
	return nil, Block{}, false
}

// fits reports whether a shared segment is for objects of the size at all.
func (a *arena) fits(size uint64) bool { return size <= a.segment.Len()/2 }

// suits reports whether an empty segment for one object is good for one of the size: at most half of it is wasted.
func (a *arena) suits(size uint64) bool {
	return a.solo == 0 && size <= a.segment.Len() && size > a.segment.Len()/2
}

func (w *Writer) took(a *arena, page uint32, size uint64) Block {
	if a.objects == 0 {
		w.emptyBytes -= a.segment.Len()
	}
	a.objects++
	a.filling++
	return Block{Segment: a.id, Offset: uint64(page) * PageBytes, Size: size}
}

// AddSegment creates the segment that the node granted for an object of size bytes, announces it, and gives its room to those who
// wait for some. When it fails the grant has been given back.
func (w *Writer) AddSegment(g Grant, size uint64) error {
	s, err := w.create(fmt.Sprintf("%s-%d", w.cfg.Name, g.Segment), g.Length)
	if err != nil {
		w.granter.GiveBack(g.Segment)
		return err
	}
	if err := w.granter.Announce(g, s.File()); err != nil {
		return errors.Join(fmt.Errorf("announce segment %d: %w", g.Segment, err), s.Close())
	}
	a := &arena{id: g.Segment, segment: s, emptySince: time.Now()}
	if size <= s.Len()/2 {
		a.space = newExtents(s.Len())
	}
	w.mu.Lock()
	if w.closed {
		w.mu.Unlock()
		return errors.Join(ErrClosed, s.Close())
	}
	w.arenas = append(w.arenas, a)
	w.byID[a.id] = a
	w.emptyBytes += s.Len()
	woken := w.serve()
	w.armIdle()
	w.mu.Unlock()
	wake(woken)
	return nil
}

// Seal says that the object is complete: nobody writes to its memory any more.
func (w *Writer) Seal(b Block) error {
	w.mu.Lock()
	a := w.arenaOf(b)
	ok := a != nil && a.sealBlock(b)
	if ok {
		a.filling--
	}
	last := ok && w.lastOfClosing(a)
	w.mu.Unlock()
	switch {
	case !ok:
		return fmt.Errorf("seal block %v: %w", b, ErrNotAllocated)
	case last:
		return a.segment.Close()
	}
	return nil
}

func (a *arena) sealBlock(b Block) bool {
	page, pages, ok := b.pages()
	switch {
	case !ok:
		return false
	case a.space != nil:
		return a.space.sealAt(page, pages)
	case page != 0 || a.solo != b.Size || a.soloState != filling:
		return false
	}
	a.soloState = sealed
	return true
}

// pages returns the block's place in pages.
func (b Block) pages() (first, n uint32, ok bool) {
	if b.Size == 0 || b.Size > LengthMax || b.Offset > LengthMax || b.Offset%PageBytes != 0 {
		return 0, 0, false
	}
	return uint32(b.Offset / PageBytes), uint32(RoundUp(b.Size) / PageBytes), true
}

// Free gives an object's space back for reuse: because the node says that the object is freed, or because it was never sealed and
// the caller does not write to its memory any more. It may give back an empty segment, to which it tells the Granter.
func (w *Writer) Free(b Block) error {
	w.mu.Lock()
	a := w.arenaOf(b)
	was := free
	if a != nil {
		was = a.freeBlock(b)
	}
	if was == free {
		closed := w.closed
		w.mu.Unlock()
		if closed {
			return nil // nothing is left to free
		}
		return fmt.Errorf("free block %v: %w", b, ErrNotAllocated)
	}
	if was == filling {
		a.filling--
	}
	a.objects--
	if w.closed {
		last := w.lastOfClosing(a)
		w.mu.Unlock()
		if last {
			return a.segment.Close()
		}
		return nil
	}
	if a.objects == 0 {
		w.emptyBytes += a.segment.Len()
		a.emptySince = time.Now()
	}
	woken := w.serve()
	gone := w.takeEmpty(uint64(max(w.cfg.KeepWarmBytes, 0)), time.Time{})
	w.armIdle()
	w.mu.Unlock()
	wake(woken)
	_, err := w.giveBack(gone)
	return err
}

func (a *arena) freeBlock(b Block) state {
	page, pages, ok := b.pages()
	switch {
	case !ok:
		return free
	case a.space != nil:
		return a.space.release(page, pages)
	case page != 0 || a.solo == 0 || a.solo != b.Size:
		return free
	}
	was := a.soloState
	a.solo, a.soloState = 0, free
	return was
}

// arenaOf returns the arena of a block, also after Close. mu is held.
func (w *Writer) arenaOf(b Block) *arena { return w.byID[b.Segment] }

// Segments returns how many segments the Writer has, their length and the length of those that are empty, in bytes.
func (w *Writer) Segments() (n int, length, empty uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, a := range w.arenas {
		length += a.segment.Len()
	}
	return len(w.arenas), length, w.emptyBytes
}

// Close ends the Writer: those who wait get ErrClosed, the segments are unmapped, at once or when the last buffer that is being
// filled in them is sealed or freed. The Granter is not told: its session is over. It returns the first error.
func (w *Writer) Close() error {
	w.mu.Lock()
	if w.closed {
		w.mu.Unlock()
		w.background.Wait()
		return nil
	}
	w.closed = true
	if w.idle != nil && w.idle.Stop() {
		w.background.Done()
	}
	w.idle = nil
	woken := w.waiters
	w.waiters = nil
	for _, wt := range woken {
		wt.reply = reply{err: ErrClosed}
	}
	var unused []*arena
	for _, a := range w.arenas {
		if a.filling > 0 {
			w.closing[a] = struct{}{}
		} else {
			unused = append(unused, a)
			delete(w.byID, a.id)
		}
	}
	w.arenas = nil
	w.mu.Unlock()
	wake(woken)
	w.background.Wait()
	var errs []error
	for _, a := range unused {
		errs = append(errs, a.segment.Close())
	}
	return errors.Join(errs...)
}

// lastOfClosing reports, once, that nothing is being filled any more in a segment that outlived Close. mu is held.
func (w *Writer) lastOfClosing(a *arena) bool {
	if _, ok := w.closing[a]; !ok || a.filling > 0 {
		return false
	}
	delete(w.closing, a)
	delete(w.byID, a.id)
	return true
}

// remove takes a segment out of the Writer. mu is held.
func (w *Writer) remove(a *arena) {
	w.arenas = slices.DeleteFunc(w.arenas, func(b *arena) bool { return a == b })
	delete(w.byID, a.id)
	w.emptyBytes -= a.segment.Len()
}
