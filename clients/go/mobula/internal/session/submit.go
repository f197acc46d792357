package session

import (
	"context"
	"fmt"
	"runtime"
	"strconv"
	"sync"
	"time"

	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"
	"github.com/mobula-dev/mobula/internal/id"
)

// Submission is one call before it is sent.
type Submission struct {
	// Template says what is called and how.
	Template TemplateSource
	// TaskID is the task's id.
	TaskID id.Task
	// Args is the encoded Value of the arguments.
	Args []byte
	// Refs are the arguments that are refs.
	Refs []RefArg
	// Inside are the handles of refs inside Args; they are kept alive until the submission is sent.
	Inside any
	// Actor is the handle's object for a call of a method, and for a creation the result.
	Actor *Actor
	// Parent is the node's handle of the submitting task; 0 outside of one.
	Parent uint64
	// Returns is the number of results.
	Returns int
	// CallerPC is a program counter in the caller, for the call site; 0 when unknown.
	CallerPC uintptr
	// Timeout is the time that the task has from now; 0 is without limit.
	Timeout time.Duration
	// Traceparent and Tracestate are the caller's trace context.
	Traceparent, Tracestate string
}

// RefArg is an argument that is a ref.
type RefArg struct {
	Position int
	Object   *Object
}

// TemplateSource makes a template the first time that a session needs it. Its Key identifies it within the process.
type TemplateSource interface {
	// Key returns a value that is equal for equal templates.
	Key() any
	// Template builds the frame; the session sets the id.
	Template() *mobulav1.Template
}

type templateKey = any

// Actor is this process's handle of an actor. Its Object is the handle's hold.
type Actor struct {
	// Object is the result of the creation: ready when the constructor has run.
	Object *Object
	// Class is the actor's class, "import/path.Type".
	Class string
}

// ID returns the actor's id.
func (a *Actor) ID() id.Actor { return a.Object.id.Task() }

// frames are reused for encoding; a frame is needed only until it is appended to the connection.
var submits = sync.Pool{New: func() any { return new(mobulav1.Submit) }}

// laterFields is the most that the fields of a Submit take that are set after its credit was taken: sequence, template, call site, actor.
// The node counts whole payloads; a client that spends a little more than it sends never overdraws.
const laterFields = 11 + 6 + 6 + 18

// Submit sends a submission and returns its results' handles. It fails without sending when ctx ends before there is credit, when the
// session has ended, or when the frame would be too large.
func (s *Session) Submit(ctx context.Context, sub *Submission, b Blocker) ([]Object, error) {
	m, _ := submits.Get().(*mobulav1.Submit)
	defer submits.Put(m)
	fillSubmit(m, sub)
	size := uint64(m.SizeVT() + laterFields)
	s.mu.Lock()
	if err := s.reserveLocked(ctx, size, b); err != nil {
		s.mu.Unlock()
		return nil, err
	}
	objects, err := s.submitLocked(m, sub)
	if err != nil {
		s.credit.giveBackLocked(size, 1)
	} else {
		s.credit.giveBackLocked(size-uint64(m.SizeVT()), 0) // the node counts what came
	}
	s.mu.Unlock()
	if err != nil {
		return nil, err
	}
	s.conn.Kick()
	runtime.KeepAlive(sub) // the refs' holds cover the submission until it is on its way
	return objects, nil
}

// fillSubmit sets what does not depend on the session's state.
func fillSubmit(m *mobulav1.Submit, sub *Submission) {
	refs := m.RefArgs[:0]
	*m = mobulav1.Submit{
		TaskId: sub.TaskID[:], Args: sub.Args, Parent: sub.Parent, TimeoutNs: int64(sub.Timeout),
		Traceparent: sub.Traceparent, Tracestate: sub.Tracestate,
	}
	for i := range sub.Refs {
		refs = append(refs, &mobulav1.RefArg{
			Position: uint32(sub.Refs[i].Position), ObjectId: sub.Refs[i].Object.id[:],
		})
	}
	m.RefArgs = refs
}

func (s *Session) submitLocked(m *mobulav1.Submit, sub *Submission) ([]Object, error) {
	if s.err != nil {
		return nil, &LostError{Value: s.lostError()}
	}
	template, err := s.templateLocked(sub.Template)
	if err != nil {
		return nil, err
	}
	if m.CallSite, err = s.callSiteLocked(sub.CallerPC); err != nil {
		return nil, err
	}
	m.Template = template
	if a := sub.Actor; a != nil {
		aid := a.ID()
		m.ActorId = aid[:]
	}
	m.Sequence = s.sequence + 1
	if err := s.conn.Send(mobulav1.FrameKind_FRAME_KIND_SUBMIT, m); err != nil {
		return nil, fmt.Errorf("submit %v: %w", sub.TaskID, err)
	}
	s.sequence++
	objects := s.newObjects(sub.TaskID, max(sub.Returns, 1))
	s.pending.add(s.sequence, objects)
	return objects, nil
}

// newObjects makes the handles of a task's results, with one cleanup for all of them.
func (s *Session) newObjects(t id.Task, n int) []Object {
	objects := make([]Object, n)
	for i := range objects {
		objects[i].s = s
		objects[i].id = t.Object(uint32(i))
		objects[i].shared = n > 1
		objects[i].state.Store(statePending)
	}
	s.releases.watch(objects)
	return objects
}

// LostError means that the session has ended.
type LostError struct{ Value *mobulav1.ErrorValue }

// Error implements error.
func (e *LostError) Error() string { return e.Value.GetMessage() }

// templateLocked returns the number of a template, registering it first if it is new.
func (s *Session) templateLocked(src TemplateSource) (uint32, error) {
	key := src.Key()
	if n, ok := s.templates[key]; ok {
		return n, nil
	}
	t := src.Template()
	t.Id = uint32(len(s.templates) + 1)
	if err := s.conn.Send(mobulav1.FrameKind_FRAME_KIND_TEMPLATE, t); err != nil {
		return 0, fmt.Errorf("register %s: %w", t.GetName(), err)
	}
	s.templates[key] = t.GetId()
	return t.GetId(), nil
}

// callSitesMax is how many places a session may register; calls from others name none.
const callSitesMax = 65_535

// callSiteLocked returns the number of a place in the source.
func (s *Session) callSiteLocked(pc uintptr) (uint32, error) {
	if pc == 0 {
		return 0, nil
	}
	if n, ok := s.callSites[pc]; ok {
		return n, nil
	}
	if len(s.callSites) >= callSitesMax {
		return 0, nil
	}
	frame, _ := runtime.CallersFrames([]uintptr{pc}).Next()
	site := mobulav1.CallSite{Id: uint32(len(s.callSites) + 1), Location: frame.File + ":" + strconv.Itoa(frame.Line)}
	if err := s.conn.Send(mobulav1.FrameKind_FRAME_KIND_CALL_SITE, &site); err != nil {
		return 0, fmt.Errorf("register call site: %w", err)
	}
	s.callSites[pc] = site.Id
	return site.Id, nil
}

// Cancel asks the node to end the task that makes the object.
func (s *Session) Cancel(o *Object, force, recursive bool) error {
	err := s.conn.Send(mobulav1.FrameKind_FRAME_KIND_CANCEL, &mobulav1.Cancel{ObjectId: o.id[:], Force: force, Recursive: recursive})
	if err != nil {
		return err
	}
	return s.conn.Flush()
}

// Kill asks the node to end an actor.
func (s *Session) Kill(a *Actor, noRestart bool) error {
	aid := a.ID()
	err := s.conn.Send(mobulav1.FrameKind_FRAME_KIND_KILL_ACTOR, &mobulav1.KillActor{ActorId: aid[:], NoRestart: noRestart})
	if err != nil {
		return err
	}
	return s.conn.Flush()
}

// Query asks the node something and waits for the reply.
func (s *Session) Query(ctx context.Context, q *mobulav1.Query) (*mobulav1.Reply, error) {
	ch := make(chan *mobulav1.Reply, 1)
	s.mu.Lock()
	if s.err != nil {
		s.mu.Unlock()
		return nil, &LostError{Value: s.lostError()}
	}
	s.queryID++
	q.Id = s.queryID
	s.queries[q.Id] = ch
	err := s.conn.Send(mobulav1.FrameKind_FRAME_KIND_QUERY, q)
	s.mu.Unlock()
	if err != nil {
		return nil, err
	}
	s.conn.Kick()
	select {
	case r := <-ch:
		return r, nil
	case <-ctx.Done():
		s.mu.Lock()
		delete(s.queries, q.Id)
		s.mu.Unlock()
		return nil, context.Cause(ctx)
	}
}
