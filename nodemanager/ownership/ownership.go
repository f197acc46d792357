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
	"slices"

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

// Object is one entry of the directory. The caller may embed it in its own record; it must not be copied after Create. A node has millions,
// so what few objects need lies behind one pointer.
type Object struct {
	// ID is the object's id.
	ID id.Object
	// CallSite is the caller's number of the place in the source that made it.
	CallSite uint32
	// Maker is the caller's record of what makes the object; nil for a put.
	Maker any

	internal int32 // holds of the node itself
	holder   Session
	holds    uint32 // of holder; 0 when there is none
	live     bool
	// Crossed says that another job than the object's has been given a ref to it. It stands here because there is room.
	Crossed bool
	value   *Value
	sub     subscription // first subscriber; its session is 0 when there is none
	others  *others      // nil while there are none
}

// others are those beyond one holder and one subscriber.
type others struct {
	holds   []holds
	subs    []subscription
	waiters []any
}

type holds struct {
	session Session
	count   uint32
}

type subscription struct {
	session   Session
	readyOnly bool
	sequence  uint64
}

// more returns the object's others, made when they are first needed.
func (o *Object) more() *others {
	if o.others == nil {
		o.others = new(others)
	}
	return o.others
}

// moreHolds returns the further holders, the list of which may be changed in place.
func (o *Object) moreHolds() []holds {
	if o.others == nil {
		return nil
	}
	return o.others.holds
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
	// ArgReady: Object, for which the Waiters wait, has its outcome.
	ArgReady
)

// Effect is something that the caller must do.
type Effect struct {
	Kind    EffectKind
	Object  *Object
	Session Session
	// Sequence names the submission for Deliver, of which Object is a result; 0 answers a Get.
	Sequence uint64
	// ReadyOnly says that Deliver tells readiness without the value.
	ReadyOnly bool
	// Waiters are what was given to Wait, in that order, for ArgReady: one effect for all, because a million tasks may wait for one object.
	Waiters []any
}

// Directory is the set of objects that the node knows.
type Directory struct {
	objects index
	effects []Effect
	told    []Effect  // what Effects returned last
	release []*Object // work list of freeing, so that chains of containers need no recursion
}

// New returns an empty directory.
func New(seed Seed) *Directory { return &Directory{objects: index{seed: seed}} }

// Len returns the number of objects.
func (d *Directory) Len() int { return d.objects.n }

// effectsKept is for how many effects room is kept for the next ones.
const effectsKept = 1 << 14

// Effects returns what has to be done since the last call; the slice is valid until the next call.
func (d *Directory) Effects() []Effect {
	clear(d.told) // or freed objects would stay
	if cap(d.told) > effectsKept {
		d.told = nil
	}
	d.effects, d.told = d.told[:0], d.effects
	return d.told
}

// Lookup returns the object, or nil.
func (d *Directory) Lookup(oid id.Object) *Object { return d.objects.get(oid) }

// Create enters a pending object with one internal hold, that of its maker.
func (d *Directory) Create(o *Object, oid id.Object) error {
	if !d.objects.add(o, oid) {
		return fmt.Errorf("object %v exists", oid)
	}
	o.ID, o.internal, o.live = oid, 1, true
	return nil
}

// Hold adds one hold of the session.
func (d *Directory) Hold(o *Object, s Session) {
	switch more := o.moreHolds(); {
	case o.holds == 0 && len(more) == 0:
		o.holder, o.holds = s, 1
	case o.holds > 0 && o.holder == s:
		o.holds++
	default:
		for i := range more {
			if more[i].session == s {
				more[i].count++
				return
			}
		}
		m := o.more()
		m.holds = append(m.holds, holds{session: s, count: 1})
	}
}

// Release drops one hold of the session.
func (d *Directory) Release(o *Object, s Session) error {
	if o.holds > 0 && o.holder == s {
		o.holds--
		d.maybeFree(o)
		return nil
	}
	for i, h := range o.moreHolds() {
		if h.session == s {
			if o.others.holds[i].count--; h.count == 1 {
				o.others.holds = slices.Delete(o.others.holds, i, i+1)
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
	for _, h := range o.moreHolds() {
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
	for _, h := range o.moreHolds() {
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
	o.sub = subscription{}
	if m := o.others; m != nil {
		for _, s := range m.subs {
			d.deliver(o, s)
		}
		if len(m.waiters) > 0 {
			d.effects = append(d.effects, Effect{Kind: ArgReady, Object: o, Waiters: m.waiters})
		}
		if m.subs, m.waiters = nil, nil; len(m.holds) == 0 {
			o.others = nil
		}
	}
	d.Drop(o)
	return true
}

// Subscribe asks for one delivery of the outcome to the session; at once when it is known.
func (d *Directory) Subscribe(o *Object, s Session, sequence uint64, readyOnly bool) {
	sub := subscription{session: s, sequence: sequence, readyOnly: readyOnly}
	switch {
	case o.value != nil:
		d.deliver(o, sub)
	case o.sub.session == 0:
		o.sub = sub
	default:
		m := o.more()
		m.subs = append(m.subs, sub)
	}
}

// AwaitedBy reports whether the session is to be told of the outcome, which is not known yet.
func (o *Object) AwaitedBy(s Session) bool {
	if o.sub.session == s {
		return true
	}
	return o.others != nil && slices.ContainsFunc(o.others.subs, func(sub subscription) bool { return sub.session == s })
}

func (d *Directory) deliver(o *Object, s subscription) {
	d.effects = append(d.effects, Effect{Kind: Deliver, Object: o, Session: s.session, Sequence: s.sequence, ReadyOnly: s.readyOnly})
}

// Wait has ArgReady told to the waiter when the outcome is known; it reports false, and tells nothing, when it is known already.
func (d *Directory) Wait(o *Object, waiter any) bool {
	if o.value != nil {
		return false
	}
	m := o.more()
	m.waiters = append(m.waiters, waiter)
	return true
}

// refs are the objects whose refs the value contains.
func (o *Object) refs() []*Object {
	if o.value == nil {
		return nil
	}
	return o.value.Refs
}

// SessionGone drops the holds and subscriptions of a dead session. It looks at every object: sessions end rarely.
func (d *Directory) SessionGone(s Session) {
	var held []*Object
	for o := range d.objects.all() {
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
	if m := o.others; m != nil {
		m.subs = slices.DeleteFunc(m.subs, func(sub subscription) bool { return sub.session == s })
	}
	if o.sub.session != s {
		return
	}
	o.sub = subscription{}
	if m := o.others; m != nil && len(m.subs) > 0 {
		o.sub, m.subs = m.subs[0], m.subs[1:]
	}
}

func (o *Object) forget(s Session) {
	if o.holder == s {
		o.holds = 0
	}
	if m := o.others; m != nil {
		m.holds = slices.DeleteFunc(m.holds, func(h holds) bool { return h.session == s })
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
		o, d.release[last], d.release = d.release[last], nil, d.release[:last]
		if !o.live || o.held() {
			continue
		}
		o.live = false
		d.Supersede(o)
		d.effects = append(d.effects, Effect{Kind: Freed, Object: o})
		for _, r := range o.refs() {
			r.internal--
			if !r.held() {
				d.release = append(d.release, r)
			}
		}
	}
}

func (o *Object) held() bool { return o.internal > 0 || o.holds > 0 || len(o.moreHolds()) > 0 }

// Each calls f for every object, in order of id.
func (d *Directory) Each(f func(*Object)) {
	all := slices.Collect(d.All())
	sortByID(all)
	for _, o := range all {
		f(o)
	}
}

// Supersede takes an object out of the directory's index, so that another can be created under its id; those who hold it keep it.
func (d *Directory) Supersede(o *Object) { d.objects.remove(o) }

// MoveHolds gives the sessions' holds on a superseded object to its successor: what a session holds is an id.
func (d *Directory) MoveHolds(old, successor *Object) {
	successor.holder, successor.holds = old.holder, old.holds
	old.holds = 0
	if more := old.moreHolds(); len(more) > 0 {
		successor.more().holds, old.others.holds = more, nil
	}
	d.maybeFree(old)
}
