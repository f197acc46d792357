package session

import (
	"context"
	"fmt"
	"runtime"

	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"
	"github.com/mobula-dev/mobula/internal/id"
)

// Put makes an object of an encoded Value, which it keeps.
func (s *Session) Put(ctx context.Context, t id.Task, encoded []byte, b Blocker) (*Object, error) {
	oid := t.Object(0)
	m := mobulav1.Put{ObjectId: oid[:], Value: encoded}
	var pcs [1]uintptr
	runtime.Callers(6, pcs[:])
	s.mu.Lock()
	defer s.mu.Unlock()
	size := uint64(m.SizeVT() + laterFields)
	if err := s.reserveLocked(ctx, size, b); err != nil {
		return nil, err
	}
	if err := s.putLocked(&m, pcs[0]); err != nil {
		s.credit.giveBackLocked(size, 1)
		return nil, fmt.Errorf("put %v: %w", oid, err)
	}
	s.credit.giveBackLocked(size-uint64(m.SizeVT()), 0) // the node counts what came
	s.conn.Kick()
	o := &s.newObjects(t, 1)[0]
	var v mobulav1.Value
	if v.UnmarshalVTUnsafe(encoded) == nil && v.GetBlock() != nil {
		o.state.Store(stateReady) // a get asks the node, which lets this process map the segment as a reader
		return o, nil
	}
	s.resolveLocked(o, encoded)
	return o, nil
}

func (s *Session) putLocked(m *mobulav1.Put, pc uintptr) error {
	if s.err != nil {
		return &LostError{Value: s.lostError()}
	}
	var err error
	if m.CallSite, err = s.callSiteLocked(pc); err != nil {
		return err
	}
	return s.conn.Send(mobulav1.FrameKind_FRAME_KIND_PUT, m)
}

// Held returns a handle of an object on which the node has given this process a hold.
func (s *Session) Held(oid id.Object) *Object {
	objects := make([]Object, 1)
	objects[0].s, objects[0].id = s, oid
	s.releases.watch(objects)
	return &objects[0]
}

// SetOwner attaches what the session belongs to, once, before it is used.
func (s *Session) SetOwner(owner any) { s.owner = owner }

// Owner returns what SetOwner attached.
func (s *Session) Owner() any { return s.owner }
