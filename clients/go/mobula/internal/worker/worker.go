// Package worker runs tasks and actors inside a worker process: it takes Execute frames from the session, runs the registered
// functions on lanes, and sends their outcomes back.
//
// A lane runs one call after another on a goroutine of its own, which ends when the lane is empty. An actor with max_concurrency
// above one runs its calls on as many goroutines. Everything is guarded by Worker.mu; user code runs without it.
package worker

import (
	"context"
	"fmt"
	"os"
	"sync"
	"time"

	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"

	"github.com/mobula-dev/mobula/clients/go/mobula/internal/core"
	"github.com/mobula-dev/mobula/internal/id"
)

// Worker runs what its node sends.
type Worker struct {
	rt *core.Runtime

	mu        sync.Mutex // guards the fields below
	templates map[uint32]*template
	lanes     map[uint32]*lane
	actors    map[id.Actor]*actor
	calls     map[uint64]*call
	warned    bool // of a get that does not know its task

	exit     chan struct{} // closed by an Exit frame
	exitOnce sync.Once
}

// template is what the node registered under a number.
type template struct {
	frame *mobulav1.Template
	f     *core.Func // nil when this program does not have it
}

// actor is one actor that lives here.
type actor struct {
	state any
	lane  uint32
}

// lane is a queue of calls; running counts those that have begun.
type lane struct {
	number  uint32
	queue   []*call
	running int
	limit   int
}

// call is one Execute frame on its way.
type call struct {
	frame   *mobulav1.Execute
	tmpl    *template
	lane    *lane
	begun   bool
	cancel  context.CancelCauseFunc
	stopped *cancelled
	blocks  int // gets in which the task waits at the moment
	started time.Time
	task    *core.Task
}

// New returns a worker. Attach must be called before frames come.
func New() *Worker {
	return &Worker{
		templates: make(map[uint32]*template), lanes: make(map[uint32]*lane), actors: make(map[id.Actor]*actor),
		calls: make(map[uint64]*call), exit: make(chan struct{}),
	}
}

// Attach gives the worker its runtime.
func (w *Worker) Attach(rt *core.Runtime) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.rt = rt
}

// Exiting is closed when the node has asked the worker to end.
func (w *Worker) Exiting() <-chan struct{} { return w.exit }

// Frame implements session.WorkerHandler.
func (w *Worker) Frame(kind mobulav1.FrameKind, payload []byte) error {
	switch kind {
	case mobulav1.FrameKind_FRAME_KIND_EXECUTE:
		m := new(mobulav1.Execute)
		if err := m.UnmarshalVT(payload); err != nil {
			return err
		}
		return w.execute(m)
	case mobulav1.FrameKind_FRAME_KIND_TEMPLATE:
		m := new(mobulav1.Template)
		if err := m.UnmarshalVT(payload); err != nil {
			return err
		}
		w.mu.Lock()
		w.templates[m.GetId()] = &template{frame: m, f: core.Lookup(m.GetName())}
		w.mu.Unlock()
		return nil
	case mobulav1.FrameKind_FRAME_KIND_REVOKE:
		var m mobulav1.Revoke
		if err := m.UnmarshalVT(payload); err != nil {
			return err
		}
		return w.revoke(m.GetLane())
	case mobulav1.FrameKind_FRAME_KIND_CANCEL_TASK:
		var m mobulav1.CancelTask
		if err := m.UnmarshalVT(payload); err != nil {
			return err
		}
		w.cancel(m.GetHandle(), m.GetReason())
		return nil
	case mobulav1.FrameKind_FRAME_KIND_ACTOR_GONE:
		var m mobulav1.ActorGone
		if err := m.UnmarshalVT(payload); err != nil {
			return err
		}
		if aid, err := id.FromBytes[id.Actor](m.GetActorId()); err == nil {
			w.dropActor(aid)
		}
		return nil
	case mobulav1.FrameKind_FRAME_KIND_EXIT:
		w.exitOnce.Do(func() { close(w.exit) })
		return nil
	default:
		return fmt.Errorf("worker does not know frame %v", kind)
	}
}

// execute puts a call on its lane.
func (w *Worker) execute(m *mobulav1.Execute) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	t := w.templates[m.GetTemplate()]
	if t == nil {
		return fmt.Errorf("template %d was not announced", m.GetTemplate())
	}
	l := w.lanes[m.GetLane()]
	if l == nil {
		l = &lane{number: m.GetLane(), limit: 1}
		w.lanes[l.number] = l
	}
	c := &call{frame: m, tmpl: t, lane: l}
	w.calls[m.GetHandle()] = c
	l.queue = append(l.queue, c)
	if l.running < l.limit {
		l.running++
		go w.runLane(l)
	}
	return nil
}

// runLane runs calls of a lane until none is left. When a call ends its goroutine, the lane goes on in another.
func (w *Worker) runLane(l *lane) {
	empty := false
	defer func() {
		if !empty {
			go w.runLane(l)
		}
	}()
	for {
		w.mu.Lock()
		if len(l.queue) == 0 {
			l.running--
			if l.running == 0 && l.limit == 1 && w.lanes[l.number] == l {
				delete(w.lanes, l.number) // a lane of an actor keeps its limit
			}
			w.mu.Unlock()
			empty = true
			w.flush()
			return
		}
		c := l.queue[0]
		l.queue[0] = nil
		l.queue = l.queue[1:]
		if len(l.queue) == 0 {
			l.queue = nil
		}
		c.begun = true
		w.mu.Unlock()
		w.run(c)
	}
}

// flush sends outcomes that were appended; a failed connection ends the process by its own way.
func (w *Worker) flush() { _ = w.rt.Session.Flush() }

// dropActor forgets an actor and ends it in order when it can be closed.
func (w *Worker) dropActor(aid id.Actor) {
	gone := &cancelled{reason: fmt.Sprintf("actor %v has ended", aid)}
	w.mu.Lock()
	a := w.actors[aid]
	delete(w.actors, aid)
	if a != nil {
		delete(w.lanes, a.lane) // the node may use the number again while calls of the actor still run
	}
	var cancels []context.CancelCauseFunc
	for _, c := range w.calls {
		if string(c.frame.GetActorId()) != string(aid[:]) {
			continue
		}
		c.stopped = gone
		if c.cancel != nil {
			cancels = append(cancels, c.cancel)
		}
	}
	w.mu.Unlock()
	for _, cancel := range cancels {
		cancel(gone)
	}
	if a == nil {
		return
	}
	if c, ok := a.state.(interface{ Close() error }); ok {
		go func() {
			defer func() {
				if v := recover(); v != nil {
					fmt.Fprintf(os.Stderr, "mobula: Close of actor %v panicked: %v\n", aid, v)
				}
			}()
			if err := c.Close(); err != nil {
				fmt.Fprintf(os.Stderr, "mobula: Close of actor %v: %v\n", aid, err)
			}
		}()
	}
}

// cancel ends the context of a call that runs; one that has not begun runs with an ended context.
func (w *Worker) cancel(handle uint64, reason string) {
	w.mu.Lock()
	c := w.calls[handle]
	var cancel context.CancelCauseFunc
	if c != nil {
		c.stopped, cancel = &cancelled{reason: reason}, c.cancel
	}
	w.mu.Unlock()
	if cancel != nil {
		cancel(c.stopped)
	}
}

// cancelled is the cause of a context that the node ended.
type cancelled struct{ reason string }

// Error implements error.
func (c *cancelled) Error() string { return c.reason }

// Is makes errors.Is(cause, context.Canceled) true.
func (c *cancelled) Is(target error) bool { return target == context.Canceled }

// revoke gives back what has not begun in a lane.
func (w *Worker) revoke(number uint32) error {
	w.mu.Lock()
	m := mobulav1.Revoked{Lane: number}
	if l := w.lanes[number]; l != nil {
		m.Returned = w.takeQueue(l)
	}
	w.mu.Unlock()
	if err := w.rt.Session.Send(mobulav1.FrameKind_FRAME_KIND_REVOKED, &m); err != nil {
		return err
	}
	w.rt.Session.Kick()
	return nil
}

// takeQueue empties a lane's queue and returns the handles. It needs mu.
func (w *Worker) takeQueue(l *lane) []uint64 {
	var handles []uint64
	for _, c := range l.queue {
		handles = append(handles, c.frame.GetHandle())
		delete(w.calls, c.frame.GetHandle())
	}
	l.queue = nil
	return handles
}
