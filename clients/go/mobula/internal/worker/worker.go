// Package worker runs tasks and actors inside a worker process: it takes Execute frames from the session, runs the registered
// functions on lanes, and sends their outcomes back.
//
// A lane runs one call after another on a goroutine of its own, which ends when the lane is empty. An actor with max_concurrency
// above one runs its calls on as many goroutines. Everything is guarded by Worker.mu; user code runs without it.
package worker

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"sync"
	"time"

	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"

	"github.com/mobula-dev/mobula/clients/go/mobula/internal/core"
	"github.com/mobula-dev/mobula/clients/go/mobula/internal/session"
	"github.com/mobula-dev/mobula/internal/id"
	"github.com/mobula-dev/mobula/internal/telemetry"
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
	limit int // calls at a time
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

// runLane runs calls of a lane until none is left.
func (w *Worker) runLane(l *lane) {
	for {
		w.mu.Lock()
		if len(l.queue) == 0 {
			l.running--
			if l.running == 0 && l.limit == 1 {
				delete(w.lanes, l.number) // a lane of an actor keeps its limit
			}
			w.mu.Unlock()
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

// run executes one call and appends its outcome. A panic of user code is the task's failure, not the worker's.
func (w *Worker) run(c *call) {
	c.started = time.Now()
	m := c.frame
	done := &mobulav1.Done{Handle: m.GetHandle()}
	values, keep, err := w.invoke(c)
	if keep != nil {
		keep.Keep()
	}
	done.Results = values
	if err != nil {
		e := w.failure(c, err)
		done.Failed, done.ErrorNames = true, core.Registered(e)
		done.Results = [][]byte{encodeError(e)}
	}
	done.RunNs = max(1, int64(time.Since(c.started)))
	if c.task != nil {
		done.ExitActor = c.task.Exits()
	}
	w.mu.Lock()
	delete(w.calls, m.GetHandle())
	more := len(c.lane.queue) > 0
	w.mu.Unlock()
	if c.cancel != nil {
		c.cancel(core.ErrReturned)
	}
	if err := w.rt.Session.Send(mobulav1.FrameKind_FRAME_KIND_DONE, done); err != nil {
		w.tooLarge(c, done, err)
	}
	if more {
		w.rt.Session.Kick()
	}
}

// tooLarge replaces an outcome that does not fit a frame by the error that says so.
func (w *Worker) tooLarge(c *call, done *mobulav1.Done, err error) {
	done.Failed, done.ErrorNames = true, nil
	done.Results = [][]byte{encodeError(w.failure(c, fmt.Errorf("results of %s: %w", c.tmpl.frame.GetName(), err)))}
	_ = w.rt.Session.Send(mobulav1.FrameKind_FRAME_KIND_DONE, done) // if this fails too, the session has ended
}

// panicked is a panic of user code.
type panicked struct {
	value any
	stack []byte
}

// Error implements error.
func (p *panicked) Error() string { return fmt.Sprintf("panic: %v", p.value) }

// Unwrap returns the panic's value when it is an error.
func (p *panicked) Unwrap() error {
	err, _ := p.value.(error)
	return err
}

// userError is an error that the user's function returned.
type userError struct{ err error }

// Error implements error.
func (u *userError) Error() string { return u.err.Error() }

// invoke decodes the arguments, runs the function and encodes its results. The returned scope holds refs that came as arguments.
func (w *Worker) invoke(c *call) (values [][]byte, keep *session.Scope, err error) {
	f := c.tmpl.f
	if f == nil {
		return nil, nil, fmt.Errorf("function %s is not in this program", c.tmpl.frame.GetName())
	}
	in, keep, err := core.NewArgs(w.rt, f, c.frame)
	if err != nil {
		return nil, nil, err
	}
	defer in.Close()
	ctx, span, err := w.context(c)
	if err != nil {
		return nil, keep, err
	}
	defer func() {
		if v := recover(); v != nil {
			err = &userError{err: &panicked{value: v, stack: debug.Stack()}}
		}
		span.End(err)
	}()
	out := core.NewResults(ctx, w.rt)
	switch f.Kind {
	case mobulav1.TemplateKind_TEMPLATE_KIND_FUNCTION:
		err = f.Function(ctx, in, out)
	case mobulav1.TemplateKind_TEMPLATE_KIND_ACTOR:
		err = w.construct(ctx, c, in, out)
	case mobulav1.TemplateKind_TEMPLATE_KIND_METHOD:
		a := w.actorOf(c.task.Actor)
		if a == nil {
			return nil, keep, fmt.Errorf("actor %v is not in this process", c.task.Actor)
		}
		err = f.Method(ctx, a.state, in, out)
	default:
		return nil, keep, fmt.Errorf("template kind %v", f.Kind)
	}
	if out.IsUser(err) {
		err = &userError{err: err}
	}
	if err == nil && len(out.Values) == 0 && f.Returns == 1 { // a function without results
		core.Set(out, struct{}{})
		err = out.Err()
	}
	return out.Values, keep, err
}

// construct makes an actor.
func (w *Worker) construct(ctx context.Context, c *call, in *core.Args, out *core.Results) error {
	state, err := c.tmpl.f.Constructor(ctx, in)
	if err != nil {
		if in.Err() == nil {
			return out.Fail(err)
		}
		return err
	}
	limit := max(1, int(c.tmpl.frame.GetOptions().GetMaxConcurrency()))
	w.mu.Lock()
	w.actors[c.task.Actor] = &actor{state: state, limit: limit}
	c.lane.limit = limit
	w.mu.Unlock()
	core.Set(out, struct{}{})
	return out.Err()
}

func (w *Worker) actorOf(aid id.Actor) *actor {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.actors[aid]
}

// dropActor forgets an actor and ends it in order when it can be closed.
func (w *Worker) dropActor(aid id.Actor) {
	gone := &cancelled{reason: fmt.Sprintf("actor %v has ended", aid)}
	w.mu.Lock()
	a := w.actors[aid]
	delete(w.actors, aid)
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

// context makes the context of a call: its task, deadline, cancellation and trace.
func (w *Worker) context(c *call) (context.Context, telemetry.Active, error) {
	m := c.frame
	tid, err := id.FromBytes[id.Task](m.GetTaskId())
	if err != nil {
		return nil, telemetry.Active{}, err
	}
	t := &core.Task{
		ID: tid, Attempt: m.GetAttempt(), Handle: m.GetHandle(), Func: c.tmpl.f, Incarnation: m.GetIncarnation(),
		Resources: m.GetResources(), GPUs: m.GetGpus(), MayRunAgain: m.GetMayRunAgain(), Blocker: &blocker{w: w, c: c},
	}
	if len(m.GetActorId()) > 0 {
		if t.Actor, err = id.FromBytes[id.Actor](m.GetActorId()); err != nil {
			return nil, telemetry.Active{}, err
		}
	}
	ctx := core.WithTask(context.Background(), w.rt, t)
	var span telemetry.Active
	if w.rt.Tracer.Enabled() {
		ctx, span = w.rt.Tracer.Start(telemetry.Extract(ctx, m.GetTraceparent(), m.GetTracestate()), telemetry.Run, telemetry.Attributes{
			Function: c.tmpl.frame.GetName(), Task: tid, Attempt: m.GetAttempt(), Actor: t.Actor,
		})
	}
	ctx, cancel := context.WithCancelCause(ctx)
	if m.GetTimeoutNs() > 0 {
		var stop context.CancelFunc
		ctx, stop = context.WithTimeout(ctx, time.Duration(m.GetTimeoutNs()))
		outer := cancel
		cancel = func(cause error) { outer(cause); stop() }
	}
	w.mu.Lock()
	c.cancel, c.task = cancel, t
	stopped := c.stopped
	w.mu.Unlock()
	if stopped != nil { // before it began
		cancel(stopped)
		return nil, span, stopped
	}
	return ctx, span, nil
}

// failure is the error value of a call that failed.
func (w *Worker) failure(c *call, err error) *mobulav1.ErrorValue {
	var e *mobulav1.ErrorValue
	var user *userError
	var remote *core.Error
	switch {
	case errors.As(err, &user):
		e = core.ToValue(user.err)
		if p, ok := errors.AsType[*panicked](user.err); ok {
			e.Stack = core.Clip(string(p.stack))
		}
	case errors.As(err, &remote):
		e = remote.Value.CloneVT()
		e.Message = core.Clip(err.Error())
		if e.GetExecution() == mobulav1.Execution_EXECUTION_UNSPECIFIED {
			e.Execution = mobulav1.Execution_EXECUTION_FAILED
		}
	default:
		e = &mobulav1.ErrorValue{
			Kind: mobulav1.ErrorKind_ERROR_KIND_INVALID_ARGUMENT, Message: core.Clip(err.Error()), Execution: mobulav1.Execution_EXECUTION_NOT_EXECUTED,
		}
	}
	e.Function, e.TaskId, e.Attempt, e.Pid = c.tmpl.frame.GetName(), c.frame.GetTaskId(), c.frame.GetAttempt(), int32(os.Getpid())
	return e
}

// encodeError makes an encoded Value of an error.
func encodeError(e *mobulav1.ErrorValue) []byte {
	meta, err := e.MarshalVT()
	if err != nil {
		panic("invariant: an ErrorValue encodes: " + err.Error())
	}
	v := mobulav1.Value{Format: mobulav1.ValueFormat_VALUE_FORMAT_ERROR, Meta: meta}
	b, err := v.MarshalVT()
	if err != nil {
		panic("invariant: a Value encodes: " + err.Error())
	}
	return b
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
