package objectstore

import (
	"bytes"
	"errors"
	"fmt"
	"iter"
	"slices"

	"github.com/mobula-dev/mobula/internal/id"
	"github.com/mobula-dev/mobula/internal/segment"
)

var (
	// ErrUnknownObject means that the store does not have the object.
	ErrUnknownObject = errors.New("object is not in the store")
	// ErrExists means that the object was sealed before, elsewhere: the first copy counts (Lookup says where it lies), also if it was
	// freed and only still being read, and the writer is told that the space of this one is free.
	ErrExists = errors.New("object is in the store already")
	// ErrNotPinned means that a session unpins what it did not pin.
	ErrNotPinned = errors.New("object is not pinned by the session")
)

// Meta is what is told about an object when it is sealed, for people who ask who fills the store.
type Meta struct {
	// Holder is the session for which the object was made, which is asked to collect garbage; 0, or one
	// that has ended, is the writer.
	Holder Session
	// CallSite is the place in the source that made it.
	CallSite string
	// Name is the function that made it; empty for a put.
	Name string
}

// object is a sealed object.
type object struct {
	id    id.Object
	block segment.Block
	seg   *seg
	meta  Meta
	pins  uint64 // of all sessions
	freed bool   // nobody holds it; it goes with the last pin
}

// Placement is where a reader finds an object.
type Placement struct {
	// Block is the place.
	Block segment.Block
	// Share says that the session has not been given the segment yet: Descriptor must be sent before the place is.
	Share bool
	// Length is that of the segment.
	Length uint64
	// Descriptor is the segment's. It stays open until the effect CloseDescriptor.
	Descriptor Descriptor
}

// Seal enters an object that its writer has completed. It may be repeated. The error is ErrExists if the object lies elsewhere.
func (s *Store) Seal(sid Session, oid id.Object, b segment.Block, m Meta) error {
	c, err := s.client(sid)
	if err != nil {
		return err
	}
	sg := c.segments[b.Segment]
	if sg == nil || !sg.registered {
		return protocolError(sid, "seals object %v in segment %d, which it has not announced", oid, b.Segment)
	}
	before := s.objects[oid]
	if before != nil && before.block == b && !before.freed {
		return nil
	}
	i, err := sg.checkBlock(sid, b)
	if err != nil {
		return err
	}
	if before != nil {
		before.freed = false // it is wanted again
		s.tellFreed(c, b)
		return fmt.Errorf("seal object %v: %w", oid, ErrExists)
	}
	h := s.sessions[m.Holder]
	if h == nil {
		h, m.Holder = c, sid
	}
	h.heldBytes += b.Size
	o := &object{id: oid, block: b, seg: sg, meta: m}
	s.objects[oid] = o
	sg.places = slices.Insert(sg.places, i, place{offset: b.Offset, end: b.End()})
	sg.told = false
	sg.job.objectBytes += b.Size
	c.liveBytes += b.Size
	s.totals.sealed++
	s.totals.objectBytes += b.Size
	return nil
}

// Pin keeps an object for a session that is going to read it, until Unpin or the session's end. Pins count. The session may be of another
// job than the object: who may read what is not the store's to say.
func (s *Store) Pin(sid Session, oid id.Object) (Placement, error) {
	c, err := s.client(sid)
	if err != nil {
		return Placement{}, err
	}
	o := s.objects[oid]
	if o == nil {
		return Placement{}, fmt.Errorf("pin object %v: %w", oid, ErrUnknownObject)
	}
	sg := o.seg
	p := Placement{Block: o.block, Length: sg.length, Descriptor: sg.descriptor}
	if _, ok := sg.readers[sid]; !ok {
		if sg.readers == nil {
			sg.readers = make(map[Session]struct{})
		}
		sg.readers[sid] = struct{}{}
		c.reads[sg.id] = sg
		p.Share = true
	}
	if o.pins == 0 {
		s.totals.pinnedBytes += o.block.Size
	}
	if c.pins[o] == 0 {
		c.pinnedBytes += o.block.Size
	}
	o.pins++
	c.pins[o]++
	return p, nil
}

// Unpin drops one pin of a session.
func (s *Store) Unpin(sid Session, oid id.Object) error {
	c, err := s.client(sid)
	if err != nil {
		return err
	}
	o := s.objects[oid]
	if o == nil || c.pins[o] == 0 {
		return fmt.Errorf("unpin object %v of session %d: %w", oid, sid, ErrNotPinned)
	}
	s.unpin(c, o, 1)
	s.admit()
	return nil
}

func (s *Store) unpin(c *session, o *object, n uint32) {
	c.pins[o] -= n
	if c.pins[o] == 0 {
		delete(c.pins, o)
		c.pinnedBytes -= o.block.Size
	}
	o.pins -= uint64(n)
	if o.pins > 0 {
		return
	}
	s.totals.pinnedBytes -= o.block.Size
	if o.freed {
		s.remove(o)
	}
}

// Free says that nobody holds an object any more. It goes at once, or when the last reader has unpinned it. Free reports whether
// the store had it.
func (s *Store) Free(oid id.Object) bool {
	o := s.objects[oid]
	if o == nil || o.freed {
		return false
	}
	o.freed = true
	if o.pins == 0 {
		s.remove(o)
		s.admit()
	}
	return true
}

// remove takes out an object that nobody holds or reads.
func (s *Store) remove(o *object) {
	sg := o.seg
	delete(s.objects, o.id)
	i := sg.indexOf(o.block.Offset)
	sg.places = slices.Delete(sg.places, i, i+1)
	sg.job.objectBytes -= o.block.Size
	if h := s.sessions[o.meta.Holder]; h != nil {
		h.heldBytes -= o.block.Size
	}
	s.totals.objectBytes -= o.block.Size
	s.totals.freed++
	if sg.owner != nil {
		sg.owner.liveBytes -= o.block.Size
		s.tellFreed(sg.owner, o.block)
		if s.waiting > 0 && len(sg.places) == 0 {
			s.tellGiveBack(sg)
		}
	} else if len(sg.places) == 0 {
		s.drop(sg)
	}
}

// tellFreed has the writer told that a block is free, together with others.
func (s *Store) tellFreed(c *session, b segment.Block) {
	s.touch(c)
	c.freed = append(c.freed, b)
}

// touch notes that a session has to be told something.
func (s *Store) touch(c *session) {
	if len(c.freed) == 0 && !c.giveBack {
		s.dirty = append(s.dirty, c)
	}
}

// sortedObjects returns objects in order of their ids, so that effects do not depend on the order of maps.
func sortedObjects(objects iter.Seq[*object]) []*object {
	return slices.SortedFunc(objects, func(a, b *object) int { return bytes.Compare(a.id[:], b.id[:]) })
}
