package objectstore

import (
	"cmp"
	"maps"
	"slices"

	"github.com/mobula-dev/mobula/internal/segment"
)

// seg is one segment, from its grant on.
type seg struct {
	id         uint32
	length     uint64
	memory     uint64   // what is accounted: its length, and when its writer is dead what it has
	owner      *session // nil when it is dead: nothing new comes in
	job        *job
	registered bool
	descriptor Descriptor
	told       bool    // since the last object: to be given back if it is empty, or needed by its writer when somebody else waited
	places     []place // of its objects, by offset
	readers    map[Session]struct{}
}

// place is where an object lies in its segment. It has no pointers, so that the collector need not be told when places move.
type place struct{ offset, end uint64 }

// Register enters the descriptor of a segment that was granted, which the caller has checked (segment.Check). The store owns the
// descriptor from then on; after an error it is still the caller's.
func (s *Store) Register(sid Session, number uint32, length uint64, d Descriptor) error {
	c, err := s.client(sid)
	if err != nil {
		return err
	}
	sg := c.segments[number]
	switch {
	case sg == nil:
		return protocolError(sid, "announces segment %d, which it was not granted", number)
	case sg.registered:
		return protocolError(sid, "announces segment %d again", number)
	case sg.length != length:
		return protocolError(sid, "announces segment %d of %d bytes, granted were %d", number, length, sg.length)
	}
	sg.registered, sg.descriptor, sg.told = true, d, s.waiting > 0
	return nil
}

// GiveBack ends an empty segment, or a grant that was not used.
func (s *Store) GiveBack(sid Session, number uint32) error {
	c, err := s.client(sid)
	if err != nil {
		return err
	}
	sg := c.segments[number]
	if sg == nil {
		return protocolError(sid, "gives back segment %d, which it does not have", number)
	}
	if len(sg.places) > 0 {
		return protocolError(sid, "gives back segment %d, in which %d objects lie", number, len(sg.places))
	}
	s.drop(sg)
	s.admit()
	return nil
}

// Shrink accounts for what a segment really has behind it, in answer to the effect Orphaned. It may be gone by then.
func (s *Store) Shrink(number uint32, memory uint64) {
	sg := s.segments[number]
	if sg == nil || sg.owner != nil || memory >= sg.memory {
		return
	}
	s.used -= sg.memory - memory
	sg.job.segmentBytes -= sg.memory - memory
	sg.memory = memory
	s.admit()
}

// drop ends a segment without objects.
func (s *Store) drop(sg *seg) {
	if len(sg.places) > 0 {
		panic("invariant: a segment with objects is dropped")
	}
	delete(s.segments, sg.id)
	if sg.owner != nil {
		delete(sg.owner.segments, sg.id)
		sg.owner.segmentBytes -= sg.length
	}
	for _, reader := range slices.Sorted(maps.Keys(sg.readers)) {
		delete(s.sessions[reader].reads, sg.id)
		s.effects = append(s.effects, Effect{Kind: SegmentGone, Session: reader, Segment: sg.id})
	}
	if sg.registered {
		s.effects = append(s.effects, Effect{Kind: CloseDescriptor, Segment: sg.id, Length: sg.length, Descriptor: sg.descriptor})
	}
	s.used -= sg.memory
	sg.job.segments--
	sg.job.segmentBytes -= sg.memory
	s.forget(sg.job)
}

// checkBlock reports whether an object may lie at a place where nothing lies yet, and its index among the segment's objects.
func (sg *seg) checkBlock(sid Session, b segment.Block) (index int, err error) {
	switch {
	case b.Size == 0 || b.Offset%blockAlign != 0:
		return 0, protocolError(sid, "block %v is empty or does not start at a multiple of %d", b, blockAlign)
	case b.Offset > sg.length || b.Size > sg.length-b.Offset:
		return 0, protocolError(sid, "block %v reaches beyond its segment of %d bytes", b, sg.length)
	case len(sg.places) >= objectsPerSegmentMax:
		return 0, protocolError(sid, "segment %d has %d objects, which is the most", sg.id, len(sg.places))
	}
	i := sg.indexOf(b.Offset)
	if i > 0 && sg.places[i-1].end > b.Offset {
		return 0, protocolError(sid, "block %v overlaps an object at [%d:%d]", b, sg.places[i-1].offset, sg.places[i-1].end)
	}
	if i < len(sg.places) && b.End() > sg.places[i].offset {
		return 0, protocolError(sid, "block %v overlaps an object at [%d:%d]", b, sg.places[i].offset, sg.places[i].end)
	}
	return i, nil
}

// indexOf returns the index of the first object that starts at the offset or behind it.
func (sg *seg) indexOf(offset uint64) int {
	i, _ := slices.BinarySearchFunc(sg.places, offset, func(p place, at uint64) int { return cmp.Compare(p.offset, at) })
	return i
}
