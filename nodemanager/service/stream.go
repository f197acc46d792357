package service

import (
	"fmt"

	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"
	"github.com/mobula-dev/mobula/internal/id"
	"github.com/mobula-dev/mobula/internal/wire"
	"github.com/mobula-dev/mobula/nodemanager/ownership"
)

// stream is what a task has whose results are a stream. Object 0 of the task is the stream: it resolves when no more items come, to their
// number or to the error that ended them. Item i, from 1, is object i. Items that an attempt gave stay when the task runs again: the next attempt
// gives them again, and those are dropped.
type stream struct {
	sequence uint64 // of the submission, with which its submitter is told of items
	yielded  uint32 // items that there are
	next     uint32 // item that the current attempt gives next
	consumed uint64 // items that the reader has read, as it says
}

// nobodyReads is what a reader that will read no more says that it has read: neither credit nor generator_backpressure holds its stream back,
// and its items are dropped.
const nobodyReads = 1 << 63

// isRead reports whether somebody may still read a task's stream.
func (n *Node) isRead(t *task) bool {
	return t.stream().consumed < nobodyReads && n.sessions[t.from.id] == t.from
}

// item is one item of a stream.
type item struct {
	object ownership.Object
	task   *task
}

// stream returns what the task has of a stream, or nil.
func (t *task) stream() *stream {
	if t.extra == nil {
		return nil
	}
	return t.extra.stream
}

// onYield takes an item of a stream from a worker.
func (n *Node) onYield(s *session, payload []byte) error {
	var m mobulav1.Yield
	if err := m.UnmarshalVT(payload); err != nil {
		return err
	}
	w := s.worker
	if w == nil {
		return &wire.ProtocolError{Reason: "frame that only a worker sends"}
	}
	before := s.flow.itemBytes
	if err := n.spendItem(s, m.GetValue()); err != nil {
		return err
	}
	t := n.handles.get(m.GetHandle())
	if t == nil { // given up
		n.giveBack(s, m.GetValue())
		return nil
	}
	st := t.stream()
	switch {
	case t.worker != w:
		return &wire.ProtocolError{Reason: "item of a task that another worker has"}
	case st == nil:
		return &wire.ProtocolError{Reason: "item of a task that has no stream"}
	case m.GetIndex() != st.next:
		return &wire.ProtocolError{Reason: fmt.Sprintf("item %d in place of %d", m.GetIndex(), st.next)}
	case before >= s.flow.grantedItemBytes && uint64(m.GetIndex()) > st.consumed+1:
		return &wire.ProtocolError{Reason: "credit for items overdrawn"}
	}
	st.next++
	return n.yield(s, t, st, m.GetIndex(), m.GetValue())
}

// yield enters an item and tells the submitter of it, who then has a hold on it.
func (n *Node) yield(s *session, t *task, st *stream, index uint32, encoded []byte) error {
	oid := t.id().Object(index)
	again := index <= st.yielded || !n.isRead(t) // of an earlier attempt, or for nobody
	st.yielded = max(st.yielded, index)
	if old := n.dir.Lookup(oid); old != nil {
		if x, ok := old.Maker.(*item); ok && x.task == t {
			_, err := n.value(s, oid, encoded) // gives the place of the second copy back
			return err
		}
		n.dir.Supersede(old) // of a task with this id that failed
	}
	x := &item{task: t}
	x.object.Maker, x.object.CallSite = x, t.callSite
	if err := n.dir.Create(&x.object, oid); err != nil {
		return &wire.ProtocolError{Reason: err.Error()}
	}
	n.dir.Retain(&x.object)
	defer n.dir.Drop(&x.object) // frees what nobody wants
	v, err := n.value(s, oid, encoded)
	if err != nil {
		n.resolve(&x.object, emptyValue()) // or it would stay for ever
		return err
	}
	if !again {
		n.dir.Hold(&x.object, t.from.id)
		n.dir.Subscribe(&x.object, t.from.id, st.sequence, false)
	}
	n.resolve(&x.object, v)
	return nil
}

// onConsumed takes from a client how far it has read a stream, and tells the worker that makes it.
func (n *Node) onConsumed(s *session, payload []byte) error {
	var m mobulav1.Consumed
	if err := m.UnmarshalVT(payload); err != nil {
		return err
	}
	oid, err := id.ObjectFromBytes(m.GetObjectId())
	if err != nil {
		return &wire.ProtocolError{Reason: err.Error()}
	}
	o := n.lookup(s, oid)
	if o == nil {
		return nil // its submitter has dropped it
	}
	t, ok := o.Maker.(*task)
	if !ok {
		return nil
	}
	st := t.stream()
	if st == nil || m.GetItems() <= st.consumed {
		return nil
	}
	if m.GetItems() > uint64(st.yielded) && m.GetItems() < nobodyReads && t.tmpl.options.GetGeneratorBackpressure() > 0 {
		return nil // its reader waits for the end: what the option says holds all the same
	}
	st.consumed = min(m.GetItems(), nobodyReads)
	n.tellConsumed(t, st)
	return nil
}

// tellConsumed tells the worker of a task how far its stream was read, if that is what it may be waiting for.
func (n *Node) tellConsumed(t *task, st *stream) {
	if !n.isRead(t) {
		st.consumed = nobodyReads // for good
	}
	if st.consumed == 0 || t.handle == 0 || t.unsent || t.worker.session == nil {
		return
	}
	if t.tmpl.options.GetGeneratorBackpressure() == 0 && (t.worker.session.flow.stalledBy == nil || st.consumed+1 < uint64(st.next)) {
		return
	}
	n.send(t.worker.session, mobulav1.FrameKind_FRAME_KIND_CONSUMED, &mobulav1.Consumed{Handle: t.handle, Items: st.consumed})
}
