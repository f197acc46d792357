package service

import (
	"fmt"

	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"
	"github.com/mobula-dev/mobula/internal/errorvalue"
	"github.com/mobula-dev/mobula/internal/id"
	"github.com/mobula-dev/mobula/internal/wire"
	"github.com/mobula-dev/mobula/nodemanager/ownership"
)

// inlineMax is the longest encoded value that stays out of the object store: 100 KiB and what its envelope needs.
const inlineMax = 100<<10 + 4096

// settle carries out effects until none is left.
func (n *Node) settle() {
	for {
		effects := n.dir.Effects()
		for _, e := range effects {
			n.objectEffect(e)
		}
		idle := len(effects) == 0
		if n.schedulerEffects() || n.storeEffects() {
			idle = false
		}
		if idle {
			return
		}
	}
}

func (n *Node) objectEffect(e ownership.Effect) {
	switch e.Kind {
	case ownership.Deliver:
		n.deliver(n.sessions[e.Session], e)
	case ownership.ArgReady:
		for _, w := range e.Waiters {
			if t, ok := w.(*task); ok {
				n.argReady(t, e.Object)
			}
		}
	case ownership.Freed:
		n.freed(e.Object)
	default:
		panic(fmt.Sprintf("invariant: object effect %d", e.Kind))
	}
}

// deliver tells a session of an outcome. Results are pushed while the client has granted credit for them; beyond it the client is told
// that they are ready and asks for those that it wants.
func (n *Node) deliver(s *session, e ownership.Effect) {
	if s == nil {
		return
	}
	v := e.Object.Value()
	r := &n.scratchResult
	*r = mobulav1.Result{Sequence: e.Sequence, Size: v.Size}
	if e.Sequence == 0 {
		r.ObjectId = e.Object.ID[:]
	} else {
		r.Index = e.Object.ID.Index()
	}
	size := uint64(len(v.Encoded))
	asked := e.Sequence == 0 && !e.ReadyOnly
	if asked || (!e.ReadyOnly && s.flow.pushedBytes+size <= s.flow.mayPushBytes) {
		r.Value, r.Size = v.Encoded, 0
		if v.Stored && !n.share(s, e.Object) {
			return // the session is ending
		}
		n.cross(n.jobOf(e.Object), s.job, v.Refs)
		s.flow.pushedBytes += size
	}
	n.send(s, mobulav1.FrameKind_FRAME_KIND_RESULT, r)
}

// freed gives back what a freed object occupied.
func (n *Node) freed(o *ownership.Object) {
	if v := o.Value(); v != nil {
		n.chargeItem(o, v, false)
		if v.Stored {
			n.store.Free(o.ID)
		} else if j := n.jobOf(o); j != nil {
			j.refund(len(v.Encoded))
			n.feed(j)
		}
	}
	if t, ok := o.Maker.(*task); ok && t.tmpl.kind == mobulav1.TemplateKind_TEMPLATE_KIND_ACTOR && o == &t.first {
		n.handleDropped(t.actor)
	}
}

// lookup returns an object that the session may use: one of its own job, or one that has crossed from another. Others do not exist for it.
func (n *Node) lookup(s *session, oid id.Object) *ownership.Object {
	o := n.dir.Lookup(oid)
	if o == nil || o.Crossed || n.jobOf(o) == s.job {
		return o
	}
	return nil
}

// cross notes that refs, which a job has in a value or in arguments, go to another job. From then on the id of the object is enough, whoever has
// it (docs/adr/0007). So all refs inside a value of a job are either the job's or have crossed, and what a process finds in a value that it
// may read it may use.
func (n *Node) cross(from, to *job, refs []*ownership.Object) {
	if from == to {
		return
	}
	for _, o := range refs {
		if !o.Crossed && n.jobOf(o) != to {
			o.Crossed = true
		}
	}
}

// jobOf returns the job whose budget an object's value counts against.
func (n *Node) jobOf(o *ownership.Object) *job {
	switch m := o.Maker.(type) {
	case *task:
		return m.tmpl.job
	case *item:
		return m.task.tmpl.job
	case *put:
		return m.job
	default:
		return nil
	}
}

// put is the maker of an object that a client made of a value.
type put struct {
	object ownership.Object
	job    *job
	from   *session
}

func (n *Node) onPut(s *session, payload []byte) error {
	if err := s.spend(len(payload)); err != nil {
		return err
	}
	var m mobulav1.Put
	if err := m.UnmarshalVT(payload); err != nil {
		return err
	}
	oid, err := id.ObjectFromBytes(m.GetObjectId())
	if err != nil {
		return &wire.ProtocolError{Reason: err.Error()}
	}
	if existing := n.dir.Lookup(oid); existing != nil {
		if n.jobOf(existing) != s.job {
			return &wire.ProtocolError{Reason: "put of an object of another job"}
		}
		n.dir.Hold(existing, s.id) // a task that ran again put it again
		if v := existing.Value(); v != nil && v.Stored {
			_, err := n.value(s, oid, m.GetValue()) // gives the place of the second copy back
			return err
		}
		return nil
	}
	p := &put{job: s.job, from: s}
	p.object.Maker, p.object.CallSite = p, m.GetCallSite()
	if err := n.dir.Create(&p.object, oid); err != nil {
		return &wire.ProtocolError{Reason: err.Error()}
	}
	n.dir.Hold(&p.object, s.id)
	v, err := n.value(s, oid, m.GetValue())
	if err != nil {
		n.resolve(&p.object, failedValue(errorvalue.Encode(unknownObject(oid)))) // or it would stay for ever
		return err
	}
	n.resolve(&p.object, v)
	return nil
}

// resolve gives an object its outcome and charges an inline one to the job's budget.
func (n *Node) resolve(o *ownership.Object, v *ownership.Value) {
	j := n.jobOf(o)
	if !n.dir.Resolve(o, v) || j == nil {
		return
	}
	n.chargeItem(o, v, true)
	n.cross(nil, j, v.Refs) // a worker of another job may have made the value
	if !v.Stored {
		j.charge(len(v.Encoded))
	}
}

// value checks an encoded value that a client sent and seals it in the store when it lies there. encoded is kept.
func (n *Node) value(s *session, oid id.Object, encoded []byte) (*ownership.Value, error) {
	m := &n.scratchValue
	resetValue(m)
	if err := m.UnmarshalVTUnsafe(encoded); err != nil {
		return nil, fmt.Errorf("value of object %v: %w", oid, err)
	}
	if m.GetFormat() == mobulav1.ValueFormat_VALUE_FORMAT_UNSPECIFIED {
		return nil, &wire.ProtocolError{Reason: fmt.Sprintf("value of object %v has no format", oid)}
	}
	v := &ownership.Value{
		Encoded: encoded, Size: uint64(len(encoded)), Failed: m.GetFormat() == mobulav1.ValueFormat_VALUE_FORMAT_ERROR,
	}
	if refs := m.GetRefs(); len(refs) > 0 {
		inside, err := id.Objects(refs)
		if err != nil {
			return nil, &wire.ProtocolError{Reason: err.Error()}
		}
		v.Refs = make([]*ownership.Object, 0, len(refs)/id.ObjectSize)
		for r := range inside {
			o := n.lookup(s, r)
			if o == nil {
				return n.lostInside(oid, r), nil
			}
			v.Refs = append(v.Refs, o)
		}
	}
	if b := m.GetBlock(); b != nil {
		at, err := n.seal(s, oid, b)
		if err != nil {
			return nil, err
		}
		if at != b {
			m.Block = at
			if v.Encoded, err = m.MarshalVT(); err != nil {
				return nil, fmt.Errorf("value of object %v: %w", oid, err)
			}
		}
		v.Stored, v.Size = true, at.GetSize()
		return v, nil
	}
	if len(encoded) > inlineMax && len(m.GetRefs()) == 0 {
		return nil, &wire.ProtocolError{Reason: fmt.Sprintf("inline value of %d bytes", len(encoded))}
	}
	return v, nil
}

// lostInside is the outcome of an object whose value contains a ref that nobody holds: its sender broke the rule that a ref that is
// passed on must be held.
func (n *Node) lostInside(oid, inside id.Object) *ownership.Value {
	encoded := errorvalue.Encode(&mobulav1.ErrorValue{
		Kind:      mobulav1.ErrorKind_ERROR_KIND_OBJECT_LOST,
		Message:   fmt.Sprintf("the value of object %v contains a ref to object %v, which nobody holds", oid, inside),
		Execution: mobulav1.Execution_EXECUTION_FAILED,
		Hint:      "do not release a ref that is passed on",
	})
	return &ownership.Value{Encoded: encoded, Size: uint64(len(encoded)), Failed: true}
}

func (n *Node) onHold(s *session, payload []byte) error {
	var m mobulav1.Hold
	if err := m.UnmarshalVT(payload); err != nil {
		return err
	}
	ids, err := id.Objects(m.GetObjectIds())
	if err != nil {
		return &wire.ProtocolError{Reason: err.Error()}
	}
	for oid := range ids {
		if o := n.lookup(s, oid); o != nil {
			n.dir.Hold(o, s.id)
		}
	}
	return nil
}

func (n *Node) onRelease(s *session, payload []byte) error {
	m := &n.scratchRelease
	*m = mobulav1.Release{}
	if err := m.UnmarshalVTUnsafe(payload); err != nil {
		return err
	}
	ids, err := id.Objects(m.GetObjectIds())
	if err != nil {
		return &wire.ProtocolError{Reason: err.Error()}
	}
	for oid := range ids {
		o := n.dir.Lookup(oid)
		if o == nil {
			continue // freed by the end of another session that it was shared with
		}
		if o.HeldBy(s.id) == 0 && n.jobOf(o) != s.job {
			continue // its Hold was passed over, because it had not crossed
		}
		if v := o.Value(); v != nil && v.Stored && o.HeldBy(s.id) == 1 {
			n.unpinAll(s, oid)
		}
		if err := n.dir.Release(o, s.id); err != nil {
			return &wire.ProtocolError{Reason: err.Error()}
		}
	}
	return nil
}

func (n *Node) onGet(s *session, payload []byte) error {
	var m mobulav1.Get
	if err := m.UnmarshalVT(payload); err != nil {
		return err
	}
	ids, err := id.Objects(m.GetObjectIds())
	if err != nil {
		return &wire.ProtocolError{Reason: err.Error()}
	}
	for oid := range ids {
		if o := n.lookup(s, oid); o != nil {
			n.dir.Subscribe(o, s.id, 0, m.GetReadyOnly())
			continue
		}
		n.send(s, mobulav1.FrameKind_FRAME_KIND_RESULT, &mobulav1.Result{ObjectId: oid[:], Value: errorvalue.Encode(unknownObject(oid))})
	}
	return nil
}

// unknownObject is the answer about an object that the node does not have.
func unknownObject(oid id.Object) *mobulav1.ErrorValue {
	return &mobulav1.ErrorValue{
		Kind:    mobulav1.ErrorKind_ERROR_KIND_OBJECT_LOST,
		Message: fmt.Sprintf("object %v is not known to this node: every hold on it was dropped, or its job has ended", oid),
		Hint:    "keep a ref to the object, or to what contains it, for as long as it is needed",
	}
}
