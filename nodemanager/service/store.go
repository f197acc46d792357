package service

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"
	"github.com/mobula-dev/mobula/internal/id"
	"github.com/mobula-dev/mobula/internal/segment"
	"github.com/mobula-dev/mobula/internal/wire"
	"github.com/mobula-dev/mobula/nodemanager/objectstore"
	"github.com/mobula-dev/mobula/nodemanager/ownership"
)

// storeState is the object store and what its effects need.
type storeState struct {
	*objectstore.Store
	timer *time.Timer // for Tick; armed while requests wait
}

func (st *storeState) init(n *Node) error {
	store, err := objectstore.New(objectstore.Config{CapacityBytes: n.cfg.StoreBytes})
	if err != nil {
		return err
	}
	st.Store = store
	n.cfg.StoreBytes = store.Stats().CapacityBytes
	st.timer = time.AfterFunc(time.Hour, func() { n.locked(func() { n.store.Tick(time.Now()) }) })
	st.timer.Stop()
	return nil
}

// onStoreFrame handles the frames of the object store.
func (n *Node) onStoreFrame(s *session, kind mobulav1.FrameKind, payload []byte) error {
	sid := objectstore.Session(s.id)
	switch kind {
	case mobulav1.FrameKind_FRAME_KIND_GRANT_REQUEST:
		var m mobulav1.GrantRequest
		if err := m.UnmarshalVT(payload); err != nil {
			return err
		}
		if m.GetWithdraw() {
			n.store.Withdraw(sid, m.GetId())
			return nil
		}
		r := objectstore.Request{Session: sid, ID: m.GetId(), Bytes: m.GetBytes(), CallSite: s.callSite(m.GetCallSite())}
		now := time.Now()
		if m.GetTimeoutNs() > 0 {
			r.Deadline = now.Add(time.Duration(m.GetTimeoutNs()))
		}
		return n.store.RequestGrant(now, r)
	case mobulav1.FrameKind_FRAME_KIND_SEGMENT:
		var m mobulav1.Segment
		if err := m.UnmarshalVT(payload); err != nil {
			return err
		}
		f, err := s.conn.TakeFile()
		if err != nil {
			return err
		}
		if err := segment.Check(f, m.GetSize()); err != nil {
			return errors.Join(&wire.ProtocolError{Reason: err.Error()}, f.Close())
		}
		if err := n.store.Register(sid, m.GetSegment(), m.GetSize(), f); err != nil {
			return errors.Join(err, f.Close())
		}
		return nil
	case mobulav1.FrameKind_FRAME_KIND_SEGMENT_GONE:
		var m mobulav1.SegmentGone
		if err := m.UnmarshalVT(payload); err != nil {
			return err
		}
		return n.store.GiveBack(sid, m.GetSegment())
	default: // Unpin
		var m mobulav1.Unpin
		if err := m.UnmarshalVT(payload); err != nil {
			return err
		}
		ids, err := id.Objects(m.GetObjectIds())
		if err != nil {
			return &wire.ProtocolError{Reason: err.Error()}
		}
		for oid := range ids {
			n.unpin(s, oid)
		}
		return nil
	}
}

// unpin drops one pin. A session's last release of an object drops its pins, so an unpin may come too late: that is no error.
func (n *Node) unpin(s *session, oid id.Object) {
	if err := n.store.Unpin(objectstore.Session(s.id), oid); err != nil && !errors.Is(err, objectstore.ErrNotPinned) {
		n.log.Warn("unpin", "session", s.String(), "error", err)
	}
}

// unpinAll drops the pins of a session that has released an object.
func (n *Node) unpinAll(s *session, oid id.Object) {
	for n.store.Unpin(objectstore.Session(s.id), oid) == nil {
		continue
	}
}

// seal enters an object that a client has written, and returns where it lies: elsewhere than b when it was sealed before.
func (n *Node) seal(s *session, oid id.Object, b *mobulav1.Block) (*mobulav1.Block, error) {
	meta := objectstore.Meta{}
	if o := n.dir.Lookup(oid); o != nil {
		switch m := o.Maker.(type) {
		case *task:
			meta.Name, meta.CallSite = m.tmpl.name, m.from.callSite(m.callSite)
			if n.sessions[m.from.id] == m.from {
				meta.Holder = objectstore.Session(m.from.id)
			}
		case *item:
			meta.Name, meta.CallSite = m.task.tmpl.name, m.task.from.callSite(o.CallSite)
		case *put:
			meta.CallSite = s.callSite(o.CallSite)
		}
	}
	err := n.store.Seal(objectstore.Session(s.id), oid, blockOf(b), meta)
	if !errors.Is(err, objectstore.ErrExists) {
		return b, err
	}
	first, ok := n.store.Lookup(oid) // the first copy counts
	if !ok {
		return nil, err
	}
	return &mobulav1.Block{Segment: first.Block.Segment, Offset: first.Block.Offset, Size: first.Block.Size}, nil
}

// giveBack tells a session that the place of a value is free that nobody wants.
func (n *Node) giveBack(s *session, encoded []byte) {
	m := &n.scratchValue
	resetValue(m)
	if m.UnmarshalVTUnsafe(encoded) == nil && m.GetBlock() != nil {
		n.send(s, mobulav1.FrameKind_FRAME_KIND_FREED, freedFrame([]segment.Block{blockOf(m.GetBlock())}, false))
	}
}

func blockOf(b *mobulav1.Block) segment.Block {
	return segment.Block{Segment: b.GetSegment(), Offset: b.GetOffset(), Size: b.GetSize()}
}

// share pins a stored object for a session and sees to it that the session can map its segment. It reports whether the value can be
// sent; if not the session ends.
func (n *Node) share(s *session, o *ownership.Object) bool {
	p, err := n.store.Pin(objectstore.Session(s.id), o.ID)
	if err != nil {
		n.log.Error("stored object cannot be shared", "object", o.ID, "session", s.String(), "error", err)
		s.conn.Fail(err)
		return false
	}
	if !p.Share {
		return true
	}
	f, ok := p.Descriptor.(*os.File)
	if !ok {
		panic(fmt.Sprintf("invariant: descriptor of a segment is a %T", p.Descriptor))
	}
	f, err = wire.Dup(f)
	if err != nil {
		n.log.Error("segment cannot be shared", "segment", p.Block.Segment, "error", err)
		s.conn.Fail(err)
		return false
	}
	m := &mobulav1.Segment{Segment: p.Block.Segment, Size: p.Length}
	if s.conn.SendFile(mobulav1.FrameKind_FRAME_KIND_SEGMENT, m, f) != nil {
		return false // its reader notices
	}
	n.mark(s)
	return true
}

// storeEffects carries out what the store decided and reports whether there was anything.
func (n *Node) storeEffects() bool {
	effects := n.store.Effects()
	var orphans []objectstore.Effect
	for _, e := range effects {
		if e.Kind == objectstore.Orphaned {
			orphans = append(orphans, e)
			continue
		}
		n.storeEffect(e)
	}
	for _, e := range orphans { // after the others, which the answer makes invalid
		n.store.Shrink(e.Segment, memoryOf(e.Descriptor, e.Length))
	}
	if next := n.store.Next(); !next.IsZero() {
		n.store.timer.Reset(max(0, time.Until(next)))
	}
	return len(effects) > 0
}

func (n *Node) storeEffect(e objectstore.Effect) {
	s := n.sessions[ownership.Session(e.Session)]
	switch e.Kind {
	case objectstore.Granted:
		n.send(s, mobulav1.FrameKind_FRAME_KIND_GRANT, &mobulav1.Grant{Id: e.Request, Bytes: e.Length, Segment: e.Segment})
	case objectstore.Refused:
		n.send(s, mobulav1.FrameKind_FRAME_KIND_GRANT, &mobulav1.Grant{Id: e.Request, Error: &mobulav1.ErrorValue{
			Kind: mobulav1.ErrorKind_ERROR_KIND_STORE_FULL, Message: e.Err.Error(), CallSite: e.Err.CallSite,
			Execution: mobulav1.Execution_EXECUTION_NOT_EXECUTED, Hint: "release refs that are not needed, or start the node with a larger store",
		}})
	case objectstore.Freed:
		n.send(s, mobulav1.FrameKind_FRAME_KIND_FREED, freedFrame(e.Blocks, e.GiveBack))
	case objectstore.SegmentGone:
		n.send(s, mobulav1.FrameKind_FRAME_KIND_SEGMENT_GONE, &mobulav1.SegmentGone{Segment: e.Segment})
	case objectstore.CloseDescriptor:
		end := func() {
			if err := e.Descriptor.Close(); err != nil {
				n.log.Error("close segment", "segment", e.Segment, "error", err)
			}
		}
		if !n.aside(end) { // it may take long: the pages go back to the system
			end()
		}
	case objectstore.Collect:
		n.send(s, mobulav1.FrameKind_FRAME_KIND_COLLECT, &mobulav1.Collect{HeldBytes: e.Length})
	default:
		panic(fmt.Sprintf("invariant: store effect %d", e.Kind))
	}
}

// memoryOf returns how many bytes of memory a segment has: its length when that cannot be found out.
func memoryOf(d objectstore.Descriptor, length uint64) uint64 {
	f, ok := d.(*os.File)
	if !ok {
		return length
	}
	info, err := f.Stat() // of a file in memory: it takes a microsecond
	if err != nil {
		return length
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return uint64(st.Blocks) * 512 // the unit of st_blocks, whatever the file system's
	}
	return length
}

func freedFrame(blocks []segment.Block, giveBack bool) *mobulav1.Freed {
	m := &mobulav1.Freed{Blocks: make([]*mobulav1.Block, len(blocks)), GiveBack: giveBack}
	for i, b := range blocks {
		m.Blocks[i] = &mobulav1.Block{Segment: b.Segment, Offset: b.Offset, Size: b.Size}
	}
	return m
}
