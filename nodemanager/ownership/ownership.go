// Package ownership keeps a node's directory of objects: what is known of each value, who holds it, and who waits for it.
//
// It is a pure state machine: calls are events, Effects are what the caller must do. One owner calls it, under the node's lock.
//
// An object is PENDING until its value or error is known, then READY, and it is freed when nothing holds it any more:
//
//	Create ──► PENDING ──Resolve──► READY ──last hold dropped──► freed (effect Freed)
//	   └──────────────────────────────── last hold dropped ────► freed when Resolve comes
//
// Holds are of two sorts. Sessions (processes) hold by count, so that the holds of a dead process can be dropped. Everything inside
// the node (a task that needs an argument or will make a result, a value that contains a ref, an actor's name) holds by a plain count.
// A value that contains refs holds them: whoever holds the container needs no holds of its own on what is inside.
package ownership

import (
	"errors"
	"fmt"

	"github.com/mobula-dev/mobula/internal/id"
)

// Session numbers a client's session at this node.
type Session uint32

// ErrNotHeld means that a session released an object that it does not hold: a bug of the client.
var ErrNotHeld = errors.New("session releases an object that it does not hold")

// Value is the outcome of an object.
type Value struct {
	// Encoded is the encoded Value message, owned by the directory and never changed.
	Encoded []byte
	// Refs are the objects whose refs the value contains; the directory holds them until the value is freed.
	Refs []*Object
	// Size is the length of the value in bytes, stored or inline.
	Size uint64
	// Stored says that the bytes lie in the object store.
	Stored bool
	// Failed says that the value is an error.
	Failed bool
}

// Object is one entry of the directory. The caller may embed it in its own record; it must not be copied after Create.
type Object struct {
	// ID is the object's id.
	ID id.Object
	// Maker is the caller's record of what makes the object; nil for a put.
	Maker any
	// CallSite is the caller's number of the place in the source that made it.
	CallSite uint32

	internal int32 // holds of the node itself
	holder   Session
	holds    uint32  // of holder; 0 when there is none
	more     []holds // further holders
	live     bool
	value    *Value
	sub      subscription // first subscriber; its session is 0 when there is none
	moreSubs []subscription
	waiters  []any
}

type holds struct {
	session Session
	count   uint32
}

type subscription struct {
	session   Session
	readyOnly bool
	index     uint32
	sequence  uint64
}

// Value returns the outcome, or nil while the object is pending.
func (o *Object) Value() *Value { return o.value }

// Live reports whether the object is in the directory.
func (o *Object) Live() bool { return o.live }

// EffectKind says what an effect asks for.
type EffectKind uint8

const (
	// Freed: the object is gone; give back what its value occupies.
	Freed EffectKind = iota + 1
	// Deliver: tell Session of the outcome of Object.
	Deliver
	// ArgReady: Waiter's argument Object has its outcome.
	ArgReady
)

// Effect is something that the caller must do.
type Effect struct {
	Kind    EffectKind
	Object  *Object
	Session Session
	// Sequence and Index name the submission for Deliver; Sequence 0 answers a Get.
	Sequence uint64
	Index    uint32
	// ReadyOnly says that Deliver tells readiness without the value.
	ReadyOnly bool
	// Waiter is what was given to Wait, for ArgReady.
	Waiter any
}

// Directory is the set of objects that the node knows.
type Directory struct {
	objects map[id.Object]*Object
	effects []Effect
	release []*Object // work list of freeing, so that chains of containers need no recursion
}

// New returns an empty directory.
func New() *Directory { return &Directory{objects: make(map[id.Object]*Object)} }

// Len returns the number of objects.
func (d *Directory) Len() int { return len(d.objects) }

// Effects returns what has to be done since the last call; the slice is valid until the next event.
func (d *Directory) Effects() []Effect {
	e := d.effects
	d.effects = d.effects[:0]
	return e
}

// Lookup returns the object, or nil.
func (d *Directory) Lookup(oid id.Object) *Object { return d.objects[oid] }

// Create enters a pending object with one internal hold, that of its maker.
func (d *Directory) Create(o *Object, oid id.Object) error {
	if d.objects[oid] != nil {
		return fmt.Errorf("object %v exists", oid)
	}
	o.ID, o.internal, o.live = oid, 1, true
	d.objects[oid] = o
	return nil
}

// Hold adds one hold of the session.
func (d *Directory) Hold(o *Object, s Session) {
	switch {
	case o.holds == 0 && len(o.more) == 0:
		o.holder, o.holds = s, 1
	case o.holds > 0 && o.holder == s:
		o.holds++
	default:
		for i := range o.more {
			if o.more[i].session == s {
				o.more[i].count++
				return
			}
		}
		o.more = append(o.more, holds{session: s, count: 1})
	}
}

// Release drops one hold of the session.
func (d *Directory) Release(o *Object, s Session) error {
	if o.holds > 0 && o.holder == s {
		o.holds--
		d.maybeFree(o)
		return nil
	}
	for i := range o.more {
		if o.more[i].session == s {
			if o.more[i].count--; o.more[i].count == 0 {
				o.more = append(o.more[:i], o.more[i+1:]...)
			}
			d.maybeFree(o)
			return nil
		}
	}
	return fmt.Errorf("object %v: %w", o.ID, ErrNotHeld)
}

// HeldBy returns how many holds the session has.
func (o *Object) HeldBy(s Session) int {
	if o.holds > 0 && o.holder == s {
		return int(o.holds)
	}
	for _, h := range o.more {
		if h.session == s {
			return int(h.count)
		}
	}
	return 0
}

// Holders returns the sessions that hold the object and the number of the node's own holds.
func (o *Object) Holders() (sessions []Session, internal int) {
	if o.holds > 0 {
		sessions = append(sessions, o.holder)
	}
	for _, h := range o.more {
		sessions = append(sessions, h.session)
	}
	return sessions, int(o.internal)
}

// Retain adds one hold of the node itself.
func (d *Directory) Retain(o *Object) { o.internal++ }

// Drop drops one hold of the node itself.
func (d *Directory) Drop(o *Object) {
	if o.internal <= 0 {
		panic(fmt.Sprintf("invariant: object %v dropped more often than retained", o.ID))
	}
	o.internal--
	d.maybeFree(o)
}

// Resolve gives a pending object its outcome and drops the maker's hold. The refs inside the value are retained.
// A second outcome is ignored: the first one is the value.
func (d *Directory) Resolve(o *Object, v *Value) (first bool) {
	if o.value != nil {
		return false
	}
	o.value = v
	for _, r := range v.Refs {
		d.Retain(r)
	}
	if o.sub.session != 0 {
		d.deliver(o, o.sub)
	}
	for _, s := range o.moreSubs {
		d.deliver(o, s)
	}
	o.sub, o.moreSubs = subscription{}, nil
	for _, w := range o.waiters {
		d.effects = append(d.effects, Effect{Kind: ArgReady, Object: o, Waiter: w})
	}
	o.waiters = nil
	d.Drop(o)
	return true
}

// Subscribe asks for one delivery of the outcome to the session; at once when it is known.
func (d *Directory) Subscribe(o *Object, s Session, sequence uint64, index uint32, readyOnly bool) {
	sub := subscription{session: s, sequence: sequence, index: index, readyOnly: readyOnly}
	switch {
	case o.value != nil:
		d.deliver(o, sub)
	case o.sub.session == 0:
		o.sub = sub
	default:
		o.moreSubs = append(o.moreSubs, sub)
	}
}

func (d *Directory) deliver(o *Object, s subscription) {
	d.effects = append(d.effects, Effect{
		Kind: Deliver, Object: o, Session: s.session, Sequence: s.sequence, Index: s.index, ReadyOnly: s.readyOnly,
	})
}

// Wait has ArgReady told to the waiter when the outcome is known; it reports false, and tells nothing, when it is known already.
func (d *Directory) Wait(o *Object, waiter any) bool {
	if o.value != nil {
		return false
	}
	o.waiters = append(o.waiters, waiter)
	return true
}

// SessionGone drops the holds and subscriptions of a dead session. It looks at every object: sessions end rarely.
func (d *Directory) SessionGone(s Session) {
	var held []*Object
	for _, o := range d.objects {
		o.unsubscribe(s)
		if o.HeldBy(s) > 0 {
			held = append(held, o)
		}
	}
	sortByID(held)
	for _, o := range held {
		o.forget(s)
		d.maybeFree(o)
	}
}

func (o *Object) unsubscribe(s Session) {
	for i := 0; i < len(o.moreSubs); {
		if o.moreSubs[i].session == s {
			o.moreSubs = append(o.moreSubs[:i], o.moreSubs[i+1:]...)
		} else {
			i++
		}
	}
	if o.sub.session == s {
		o.sub = subscription{}
		if n := len(o.moreSubs); n > 0 {
			o.sub, o.moreSubs = o.moreSubs[0], o.moreSubs[1:]
		}
	}
}

func (o *Object) forget(s Session) {
	if o.holder == s {
		o.holds = 0
	}
	for i := range o.more {
		if o.more[i].session == s {
			o.more = append(o.more[:i], o.more[i+1:]...)
			return
		}
	}
}

// maybeFree frees the object when nothing holds it, and then what only its value held.
func (d *Directory) maybeFree(o *Object) {
	if o.held() {
		return
	}
	d.release = append(d.release, o)
	for len(d.release) > 0 {
		last := len(d.release) - 1
		o, d.release = d.release[last], d.release[:last]
		if !o.live || o.held() {
			continue
		}
		o.live = false
		d.Supersede(o)
		d.effects = append(d.effects, Effect{Kind: Freed, Object: o})
		if o.value == nil {
			continue
		}
		for _, r := range o.value.Refs {
			r.internal--
			if !r.held() {
				d.release = append(d.release, r)
			}
		}
	}
}

func (o *Object) held() bool { return o.internal > 0 || o.holds > 0 || len(o.more) > 0 }

// Each calls f for every object, in order of id.
func (d *Directory) Each(f func(*Object)) {
	all := make([]*Object, 0, len(d.objects))
	for _, o := range d.objects {
		all = append(all, o)
	}
	sortByID(all)
	for _, o := range all {
		f(o)
	}
}

// Supersede takes an object out of the directory's index, so that another can be created under its id; those who hold it keep it.
func (d *Directory) Supersede(o *Object) {
	if d.objects[o.ID] == o {
		delete(d.objects, o.ID)
	}
}

// MoveHolds gives the sessions' holds on a superseded object to its successor: what a session holds is an id.
func (d *Directory) MoveHolds(old, successor *Object) {
	successor.holder, successor.holds, successor.more = old.holder, old.holds, old.more
	old.holds, old.more = 0, nil
	d.maybeFree(old)
}
