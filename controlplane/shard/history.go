package shard

import (
	"sort"
	"strings"
	"sync"

	"github.com/mobula-dev/mobula/controlplane/state"
	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"
)

// signal wakes all that wait for the next change of something. The zero signal is ready for use.
type signal struct {
	mu sync.Mutex
	ch chan struct{} // guarded by mu; nil while nobody waits.
}

// wait returns a channel that is closed by the next fire. Look at the thing after calling wait, not before.
func (s *signal) wait() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ch == nil {
		s.ch = make(chan struct{})
	}
	return s.ch
}

func (s *signal) fire() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ch != nil {
		close(s.ch)
		s.ch = nil
	}
}

// changeOverhead is what a change costs in memory beside its record, roughly.
const changeOverhead = 256

// history holds the newest changes, for watchers. A watcher is a position in it and has no buffer of its own, so that the memory
// for all watchers is one bound, and a slow one costs nothing until it has lost its place.
type history struct {
	limit int // Bytes.

	mu      sync.Mutex
	changes []state.Change // guarded by mu, as are the fields below; the first head of them are forgotten.
	head    int
	bytes   int
	floor   uint64 // Changes up to this revision are forgotten.
	latest  uint64 // Revision of the state after the last entry.
}

func changeSize(c *state.Change) int { return c.Event.SizeVT() + changeOverhead }

// append adds the changes of one entry and forgets the oldest ones beyond the limit, whole revisions at a time.
func (h *history) append(changes []state.Change, revision uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.latest = revision
	for i := range changes {
		h.bytes += changeSize(&changes[i])
	}
	h.changes = append(h.changes, changes...)
	for h.bytes > h.limit && h.head < len(h.changes) {
		h.floor = h.changes[h.head].Event.GetRevision()
		for h.head < len(h.changes) && h.changes[h.head].Event.GetRevision() == h.floor {
			h.bytes -= changeSize(&h.changes[h.head])
			h.changes[h.head] = state.Change{}
			h.head++
		}
	}
	if h.head > 1024 && h.head > len(h.changes)/2 {
		h.changes = append([]state.Change(nil), h.changes[h.head:]...)
		h.head = 0
	}
}

// reset forgets everything: the state was replaced.
func (h *history) reset(revision uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.changes, h.head, h.bytes = nil, 0, 0
	h.floor, h.latest = revision, revision
}

// after returns the changes of a table after a revision whose keys begin with prefix, up to about maxBytes, and the revision up to which
// they are complete. It reports ErrForgotten if changes after the revision are not all known.
func (h *history) after(revision uint64, table mobulav1.Table, prefix string, maxBytes int) ([]*mobulav1.RecordEvent, uint64, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if revision < h.floor || revision > h.latest {
		return nil, 0, ErrForgotten
	}
	known := h.changes[h.head:]
	i := sort.Search(len(known), func(i int) bool { return known[i].Event.GetRevision() > revision })
	var events []*mobulav1.RecordEvent
	size, last := 0, revision
	for ; i < len(known); i++ {
		c := &known[i]
		if at := c.Event.GetRevision(); at != last {
			if size >= maxBytes {
				return events, last, nil
			}
			last = at
		}
		if c.Table == table && strings.HasPrefix(c.Key, prefix) {
			events = append(events, c.Event)
			size += changeSize(c)
		}
	}
	return events, h.latest, nil
}
