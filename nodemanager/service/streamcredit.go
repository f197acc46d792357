package service

import (
	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"
	"github.com/mobula-dev/mobula/nodemanager/ownership"
)

// The items of streams have a part of the budgets of their job, or a quick producer would leave no room for what its slow reader calls meanwhile.
// Workers spend credit on them, which the node grants while there is room. Beyond it a producer may still give the one item after the last
// that was read: so whoever waits for an item gets it, whatever it holds, and there is no deadlock.

const (
	// itemOverhead is what an item costs the node besides its value, in bytes, and spends besides: small ones count too.
	itemOverhead = 512
	// itemsShare and storedItemsShare: so much of the job's bytes, and of the object store, is for items.
	itemsShare, storedItemsShare = 2, 4
)

// itemUse is what the living items of a job occupy in bytes.
type itemUse struct {
	inline, stored uint64
	stalled        []*session // of workers that wait until it is less
}

// itemSize is what an item spends and occupies.
func itemSize(v *ownership.Value) uint64 { return v.Size + itemOverhead }

// chargeItem enters what an object occupies if it is an item of a stream, or takes it back.
func (n *Node) chargeItem(o *ownership.Object, v *ownership.Value, enter bool) {
	x, ok := o.Maker.(*item)
	if !ok {
		return
	}
	j := x.task.tmpl.job
	use := &j.items.inline
	if v.Stored {
		use = &j.items.stored
	}
	if enter {
		*use += itemSize(v)
		return
	}
	*use -= itemSize(v)
	n.feedStreams(j)
}

// crowded reports whether the items of a job leave no room for more.
func (n *Node) crowded(j *job) bool {
	return j.items.inline >= j.maxBytes/itemsShare || j.items.stored >= n.cfg.StoreBytes/storedItemsShare
}

// spendItem takes note of an item that a worker has sent.
func (n *Node) spendItem(s *session, encoded []byte) error {
	m := &n.scratchValue
	resetValue(m)
	if err := m.UnmarshalVTUnsafe(encoded); err != nil {
		return err
	}
	v := ownership.Value{Size: uint64(len(encoded))}
	if b := m.GetBlock(); b != nil {
		v.Size = b.GetSize()
	}
	s.flow.itemBytes += itemSize(&v)
	return nil
}

// replenishItems grants a worker credit for items when half of the window is used, unless the items of a job whose streams it runs leave no room.
func (n *Node) replenishItems(s *session) {
	if s == nil || s.worker == nil {
		return
	}
	f := &s.flow
	if f.grantedItemBytes > f.itemBytes+creditWindow/2 {
		return
	}
	for _, t := range s.worker.streams {
		if j := t.tmpl.job; n.crowded(j) && n.isRead(t) { // what nobody reads is dropped, and needs no room
			n.stall(s, j)
			return
		}
	}
	f.stalledBy = nil
	f.grantedItemBytes = f.itemBytes + creditWindow
	n.send(s, mobulav1.FrameKind_FRAME_KIND_CREDIT, &mobulav1.Credit{ItemBytes: f.grantedItemBytes})
}

// stall has a worker wait until a job has room for items. It is told now what its streams' readers have read, and whenever they read more.
func (n *Node) stall(s *session, j *job) {
	if s.flow.stalledBy == j {
		return
	}
	s.flow.stalledBy = j
	j.items.stalled = append(j.items.stalled, s)
	for _, t := range s.worker.streams {
		n.tellConsumed(t, t.stream())
	}
}

// feedStreams grants credit to workers that waited for room for a job's items.
func (n *Node) feedStreams(j *job) {
	if len(j.items.stalled) == 0 || n.crowded(j) {
		return
	}
	stalled := j.items.stalled
	j.items.stalled = nil
	for _, s := range stalled {
		if s.flow.stalledBy == j {
			s.flow.stalledBy = nil
			n.replenishItems(s)
		}
	}
}

// readerGone lets streams go on whose reader has ended: what they still yield needs no room.
func (n *Node) readerGone() {
	for _, w := range n.workers {
		if len(w.streams) > 0 {
			n.replenishItems(w.session)
		}
		for _, t := range w.streams {
			n.tellConsumed(t, t.stream()) // lifts generator_backpressure
		}
	}
}
