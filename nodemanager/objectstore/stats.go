package objectstore

import (
	"iter"
	"maps"
	"slices"

	"github.com/mobula-dev/mobula/internal/id"
	"github.com/mobula-dev/mobula/internal/segment"
)

// totals are kept as events come.
type totals struct {
	granted, refused, sealed, freed uint64
	objectBytes, pinnedBytes        uint64
}

// Stats is the store at one moment.
type Stats struct {
	// CapacityBytes is the limit, UsedBytes what is accounted of all segments, ObjectBytes what lies in them, PinnedBytes what of that is
	// being read.
	CapacityBytes, UsedBytes, ObjectBytes, PinnedBytes uint64
	// Segments and Objects count what there is, Waiting the requests that wait.
	Segments, Objects, Waiting int
	// Granted, Refused, Sealed and Freed count events since the start.
	Granted, Refused, Sealed, Freed uint64
}

// Stats returns the sums.
func (s *Store) Stats() Stats {
	return Stats{
		CapacityBytes: s.cfg.CapacityBytes, UsedBytes: s.used, ObjectBytes: s.totals.objectBytes, PinnedBytes: s.totals.pinnedBytes,
		Segments: len(s.segments), Objects: len(s.objects), Waiting: s.waiting,
		Granted: s.totals.granted, Refused: s.totals.refused, Sealed: s.totals.sealed, Freed: s.totals.freed,
	}
}

// State is what is the case with an object.
type State uint8

const (
	// Sealed: complete, and held.
	Sealed State = iota + 1
	// Draining: nobody holds it, somebody still reads it.
	Draining
)

// String names the state.
func (s State) String() string {
	switch s {
	case Sealed:
		return "sealed"
	case Draining:
		return "draining"
	default:
		return "unknown"
	}
}

// ObjectInfo describes an object.
type ObjectInfo struct {
	// ID and Job say which object it is and whose.
	ID  id.Object
	Job id.Job
	// Block is where it lies.
	Block segment.Block
	// State is what is the case with it.
	State State
	// Pins counts the pins of all sessions.
	Pins uint64
	// Writer is the session in whose segment it lies; 0 when that is dead.
	Writer Session
	Meta
}

func (o *object) info() ObjectInfo {
	i := ObjectInfo{ID: o.id, Job: o.seg.job.id, Block: o.block, State: Sealed, Pins: o.pins, Meta: o.meta}
	if o.freed {
		i.State = Draining
	}
	if o.seg.owner != nil {
		i.Writer = o.seg.owner.id
	}
	return i
}

// Lookup describes one object.
func (s *Store) Lookup(oid id.Object) (ObjectInfo, bool) {
	o := s.objects[oid]
	if o == nil {
		return ObjectInfo{}, false
	}
	return o.info(), true
}

// Objects yields all objects in order of id. The store must not change meanwhile.
func (s *Store) Objects() iter.Seq[ObjectInfo] {
	return func(yield func(ObjectInfo) bool) {
		for _, o := range sortedObjects(maps.Values(s.objects)) {
			if !yield(o.info()) {
				return
			}
		}
	}
}

// Sessions returns what each session is answerable for, in order of their numbers.
func (s *Store) Sessions() []SessionUse {
	uses := make([]SessionUse, 0, len(s.sessions))
	for _, id := range slices.Sorted(maps.Keys(s.sessions)) {
		uses = append(uses, s.sessions[id].use())
	}
	return uses
}
