package service

import (
	"bytes"
	"testing"

	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"
	"github.com/mobula-dev/mobula/internal/id"
	"github.com/mobula-dev/mobula/internal/segment"
	"github.com/mobula-dev/mobula/internal/wire"
)

// Values in shared memory, as sections 4 and 7 of docs/protocol.md have them.

// room asks for a segment and announces it.
func (p *peer) room(size uint64) *mobulav1.Grant {
	p.t.Helper()
	p.last.query++
	p.send(&mobulav1.GrantRequest{Id: p.last.query, Bytes: size})
	g := expect[*mobulav1.Grant](p)
	if g.GetError() != nil {
		p.t.Fatalf("no room: %v", g.GetError())
	}
	s, err := segment.Create("test", g.GetBytes())
	if err != nil {
		p.t.Fatal(err)
	}
	f, err := wire.Dup(s.File())
	if err != nil {
		p.t.Fatal(err)
	}
	if err := p.conn.SendFile(mobulav1.FrameKind_FRAME_KIND_SEGMENT, &mobulav1.Segment{Segment: g.GetSegment(), Size: g.GetBytes()}, f); err != nil {
		p.t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		p.t.Fatal(err)
	}
	p.send()
	return g
}

// stored is a value that lies in a segment.
func stored(g *mobulav1.Grant, offset uint64, refs ...id.Object) []byte {
	return must(&mobulav1.Value{
		Format: mobulav1.ValueFormat_VALUE_FORMAT_MSGPACK, Block: &mobulav1.Block{Segment: g.GetSegment(), Offset: offset, Size: 4096}, Refs: packed(refs...),
	})
}

// place reads the outcome of submission sequence, or with 0 of a Get, which must be a stored value.
func (p *peer) place(sequence uint64) *mobulav1.Block {
	p.t.Helper()
	r := expect[*mobulav1.Result](p)
	var v mobulav1.Value
	if err := v.UnmarshalVT(r.GetValue()); err != nil || r.GetSequence() != sequence || v.GetBlock() == nil {
		p.t.Fatalf("result %v %s, error %v", r.GetSequence(), text(r.GetValue()), err)
	}
	return v.GetBlock()
}

// shown reads the segment that the peer is shown, with its descriptor.
func (p *peer) shown(g *mobulav1.Grant) {
	p.t.Helper()
	m := expect[*mobulav1.Segment](p)
	f, err := p.conn.TakeFile()
	if err != nil || m.GetSegment() != g.GetSegment() || m.GetSize() != g.GetBytes() {
		p.t.Fatalf("segment %v for %v, error %v", m, g, err)
	}
	if err := f.Close(); err != nil {
		p.t.Fatal(err)
	}
}

func TestAStoredResultIsReadWhereItLies(t *testing.T) {
	t.Parallel()
	w := open(t)
	d := w.driver()
	c := d.submit(d.template(aFunction))
	wk := w.worker()
	e := wk.executes(c)
	g := wk.room(1 << 20)
	wk.send(&mobulav1.Done{Handle: e.GetHandle(), RunNs: 1, Results: [][]byte{stored(g, 64)}})
	d.shown(g)
	if b := d.place(c.GetSequence()); b.GetSegment() != g.GetSegment() || b.GetOffset() != 64 {
		t.Errorf("%v", b)
	}
	d.get(c.object(0)) // the segment is not shown twice
	d.place(0)
	d.release(c.object(0))
	d.has(0)
	if f := expect[*mobulav1.Freed](wk); len(f.GetBlocks()) != 1 || f.GetBlocks()[0].GetOffset() != 64 {
		t.Errorf("%v", f)
	}
	wk.send(&mobulav1.SegmentGone{Segment: g.GetSegment()})
	expect[*mobulav1.SegmentGone](d)
	d.goodbye()
	w.quiescent()
}

func TestAStoredArgumentIsPinnedUntilTheTaskIsDone(t *testing.T) {
	t.Parallel()
	w := open(t)
	d := w.driver()
	g := d.room(1 << 20)
	o := d.put(stored(g, 0))
	c := d.submit(d.template(aFunction), refs(o))
	d.release(o)
	wk := w.worker()
	wk.shown(g)
	e := wk.executes(c)
	d.silence()
	w.locked(func(n *Node) {
		if n.store.Stats().PinnedBytes != 4096 {
			t.Errorf("%+v", n.store.Stats())
		}
	})
	wk.done(e, "done")
	d.result(c, 0)
	expect[*mobulav1.Freed](d)
	d.goodbye()
	w.quiescent()
}

func TestTheFirstCopyOfAResultCounts(t *testing.T) {
	t.Parallel()
	w := open(t)
	d := w.driver()
	g := d.room(1 << 20)
	o := d.put(stored(g, 0))
	d.send(&mobulav1.Put{ObjectId: o[:], Value: stored(g, 8192)})
	d.get(o)
	d.shown(g)
	if b := d.place(0); b.GetOffset() != 0 {
		t.Errorf("%v", b)
	}
	if f := expect[*mobulav1.Freed](d); len(f.GetBlocks()) != 1 || f.GetBlocks()[0].GetOffset() != 8192 {
		t.Errorf("the second copy's place is not given back: %v", f)
	}
}

func TestARequestThatNeverFitsIsRefused(t *testing.T) {
	t.Parallel()
	w := open(t)
	d := w.driver()
	d.send(&mobulav1.CallSite{Id: 1, Location: "main.go:7"}, &mobulav1.GrantRequest{Id: 1, Bytes: 1 << 40, CallSite: 1})
	if g := expect[*mobulav1.Grant](d); g.GetId() != 1 || g.GetError().GetKind() != mobulav1.ErrorKind_ERROR_KIND_STORE_FULL || g.GetError().GetCallSite() != "main.go:7" {
		t.Errorf("%v", g)
	}
}

func TestLiesAboutSharedMemoryEndTheSession(t *testing.T) {
	t.Parallel()
	for name, lie := range map[string]func(d *peer){
		"unknown segment":      func(d *peer) { d.put(stored(&mobulav1.Grant{Segment: 99}, 0)) },
		"beyond its end":       func(d *peer) { d.put(stored(d.room(1<<20), 1<<40)) },
		"not aligned":          func(d *peer) { d.put(stored(d.room(1<<20), 1)) },
		"over another":         func(d *peer) { g := d.room(1 << 20); d.put(stored(g, 0)); d.put(stored(g, 64)) },
		"without a descriptor": func(d *peer) { d.send(&mobulav1.Segment{Segment: 1, Size: 4096}) },
		"gone, not empty": func(d *peer) {
			g := d.room(1 << 20)
			d.put(stored(g, 0))
			d.send(&mobulav1.SegmentGone{Segment: g.GetSegment()})
		},
		"half an id in unpin": func(d *peer) { d.send(&mobulav1.Unpin{ObjectIds: make([]byte, 30)}) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := open(t)
			d := w.driver()
			lie(d)
			d.cutOff()
			w.quiescent()
		})
	}
}

func TestAnUnpinThatComesTooLateIsNone(t *testing.T) {
	t.Parallel()
	d := open(t).driver()
	o := d.put(value("inline"))
	d.send(&mobulav1.Unpin{ObjectIds: bytes.Repeat(o[:], 3)})
	d.silence()
}

func TestWhatAGivenUpTaskMayReadStaysUntilItHasReturned(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(wk *peer, e *mobulav1.Execute, arg id.Object){
		"and can be held then": func(wk *peer, e *mobulav1.Execute, arg id.Object) {
			wk.hold(arg)
			wk.done(e, "too late")
			wk.get(arg)
			wk.place(0)
			wk.release(arg)
		},
		"or its process has ended": func(wk *peer, _ *mobulav1.Execute, _ id.Object) { wk.crash() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := open(t, func(c *Config) { c.Resources.CPUs = 2 * unit })
			d := w.driver()
			g := d.room(1 << 20)
			arg := d.put(stored(g, 0))
			f := d.template(aFunction)
			c, sibling := d.submit(f, refs(arg)), d.submit(f)
			wk := w.worker()
			wk.shown(g)
			e := wk.executes(c)
			wk.executes(sibling) // keeps the process
			d.release(arg)
			d.cancel(c, false)
			expect[*mobulav1.CancelTask](wk)
			d.failure(c, cancelled)
			d.silence() // nothing is freed
			end(wk, e, arg)
			if m := expect[*mobulav1.Freed](d); len(m.GetBlocks()) != 1 {
				t.Errorf("%v", m)
			}
			d.goodbye()
			w.quiescent()
		})
	}
}
