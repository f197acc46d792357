package segment

import (
	"errors"
	"fmt"
	"time"
)

// aheadMax is how far pages are faulted in ahead of use at most: one shared segment.
const aheadMax = DefaultBytes

// Trim gives empty segments back until those that remain empty have at most keep bytes, those that are empty longest first, and
// returns how many bytes went. Call it with 0 when the node asks to collect.
func (w *Writer) Trim(keep uint64) (uint64, error) {
	w.mu.Lock()
	gone := w.takeEmpty(keep, time.Time{})
	w.mu.Unlock()
	return w.giveBack(gone)
}

// takeEmpty removes empty segments, those that are empty longest first, until the rest has at most keep bytes, and then those that
// are empty since a time before the given one. mu is held.
func (w *Writer) takeEmpty(keep uint64, since time.Time) []*arena {
	var gone []*arena
	for w.emptyBytes > 0 {
		var oldest *arena
		for _, a := range w.arenas {
			if a.objects == 0 && (oldest == nil || a.emptySince.Before(oldest.emptySince)) {
				oldest = a
			}
		}
		if w.emptyBytes <= keep && !oldest.emptySince.Before(since) {
			break
		}
		w.remove(oldest)
		gone = append(gone, oldest)
	}
	return gone
}

// giveBack unmaps segments that were taken out and then tells the node, so that the node never counts memory as free that is not.
func (w *Writer) giveBack(gone []*arena) (uint64, error) {
	var bytes uint64
	var errs []error
	for _, a := range gone {
		bytes += a.segment.Len()
		if err := a.segment.Close(); err != nil {
			errs = append(errs, fmt.Errorf("release segment %d: %w", a.id, err))
		}
		w.granter.GiveBack(a.id)
	}
	return bytes, errors.Join(errs...)
}

// armIdle makes sure that a timer runs while there are empty segments. mu is held.
func (w *Writer) armIdle() {
	if w.emptyBytes == 0 || w.idle != nil || w.closed {
		return
	}
	w.background.Add(1)
	w.idle = time.AfterFunc(w.cfg.IdleAfter, w.onIdle)
}

// onIdle gives back what has been empty for IdleAfter.
func (w *Writer) onIdle() {
	defer w.background.Done()
	w.mu.Lock()
	if w.closed {
		w.mu.Unlock()
		return
	}
	w.idle = nil
	gone := w.takeEmpty(^uint64(0), time.Now().Add(-w.cfg.IdleAfter+time.Nanosecond))
	w.armIdle()
	w.mu.Unlock()
	// A segment that cannot be unmapped is mapped for good: nothing that anybody could do about it, and the node was told.
	_, _ = w.giveBack(gone)
}

// prefault starts faulting pages in ahead when a large object was put at the end of what is backed. A process that puts none never
// has more memory than it uses; one that does has at most twice that.
func (w *Writer) prefault(a *arena, size uint64) {
	if a.space == nil || w.cfg.PrefaultFrom < 0 || size < uint64(w.cfg.PrefaultFrom) {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed || w.ahead != nil || a.segment.Backed() >= a.target() {
		return
	}
	w.ahead = a
	w.background.Go(w.runAhead)
}

// target returns how much of the segment shall be backed: as much again as is used. Writer.mu is held.
func (a *arena) target() uint64 {
	used := uint64(a.space.top) * PageBytes
	return min(used+min(max(used, pieceBytes), aheadMax), a.segment.Len())
}

// runAhead backs a segment piece by piece until it has caught up. An error ends it: whoever needs the memory will see the error
// himself, and a segment that was given back meanwhile is closed.
func (w *Writer) runAhead() {
	for {
		w.mu.Lock()
		a := w.ahead
		target, backed := a.target(), a.segment.Backed()
		if w.closed || backed >= target {
			w.ahead = nil
			w.mu.Unlock()
			return
		}
		w.mu.Unlock()
		if err := a.segment.Back(min(backed+pieceBytes, target)); err != nil {
			w.mu.Lock()
			w.ahead = nil
			w.mu.Unlock()
			return
		}
	}
}
