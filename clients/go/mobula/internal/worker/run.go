package worker

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/mobula-dev/mobula/clients/go/mobula/internal/core"
	"github.com/mobula-dev/mobula/clients/go/mobula/internal/session"
	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"
	"github.com/mobula-dev/mobula/internal/errorvalue"
	"github.com/mobula-dev/mobula/internal/id"
	"github.com/mobula-dev/mobula/internal/telemetry"
)

// outcome is what became of a call.
type outcome struct {
	values [][]byte
	keep   *session.Scope // refs that came as arguments; nil when there were none
	err    error
}

// errGoexit is the outcome of a function that neither returned nor panicked.
var errGoexit = errors.New("the function ended its goroutine and returned nothing: it called runtime.Goexit, as FailNow of package testing does")

// run executes one call and appends its outcome. A panic of user code is the task's failure, not the worker's, and so is the end of the
// goroutine, which run does not survive: the outcome is appended all the same.
func (w *Worker) run(c *call) {
	c.started = time.Now()
	o := outcome{err: &userError{err: errGoexit}} // stands unless invoke says better
	defer w.finish(c, &o)
	w.invoke(c, &o)
}

// finish appends the outcome of a call.
func (w *Worker) finish(c *call, o *outcome) {
	m := c.frame
	done := &mobulav1.Done{Handle: m.GetHandle(), Results: o.values}
	if o.keep != nil {
		o.keep.Keep()
	}
	if o.err != nil {
		e := w.failure(c, o.err)
		done.Failed, done.ErrorNames = true, core.Registered(e)
		done.Results = [][]byte{errorvalue.Encode(e)}
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
	done.Results = [][]byte{errorvalue.Encode(w.failure(c, fmt.Errorf("results of %s: %w", c.tmpl.frame.GetName(), err)))}
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

// Exception implements telemetry.Exception.
func (u *userError) Exception() (name, stack string) {
	if p, ok := errors.AsType[*panicked](u.err); ok {
		return fmt.Sprintf("panic of %T", p.value), string(p.stack)
	}
	return fmt.Sprintf("%T", u.err), ""
}

// invoke decodes the arguments, runs the function and encodes its results into o. What it has not set by the time when user code ends the
// goroutine stays as it was.
func (w *Worker) invoke(c *call, o *outcome) {
	f := c.tmpl.f
	if f == nil {
		o.err = &core.Error{Value: &mobulav1.ErrorValue{
			Kind: mobulav1.ErrorKind_ERROR_KIND_NOT_FOUND, Execution: mobulav1.Execution_EXECUTION_NOT_EXECUTED,
			Message: fmt.Sprintf("function %s is not in this program", c.tmpl.frame.GetName()),
		}}
		return
	}
	if want := max(1, int(c.tmpl.frame.GetNumReturns())); c.tmpl.frame.GetPortable() && want != f.Returns { // stubs know it, callers in other languages say it
		o.err = fmt.Errorf("%s has %d results, and the call wants %d: give it num_returns=%d", f.Name, f.Returns, want, f.Returns)
		return
	}
	in, keep, err := core.NewArgs(w.rt, f, c.frame)
	if err != nil {
		o.err = err
		return
	}
	defer in.Close()
	o.keep = keep
	ctx, span, err := w.context(c)
	if err != nil {
		o.err = err
		return
	}
	defer func() {
		if v := recover(); v != nil {
			o.err = &userError{err: &panicked{value: v, stack: debug.Stack()}}
		}
		span.End(o.err)
	}()
	o.values, o.err = w.call(ctx, c, in)
}

// call runs the function of a call.
func (w *Worker) call(ctx context.Context, c *call, in *core.Args) ([][]byte, error) {
	f, out := c.tmpl.f, core.NewResults(ctx, w.rt)
	var err error
	switch f.Kind {
	case mobulav1.TemplateKind_TEMPLATE_KIND_FUNCTION:
		err = f.Function(ctx, in, out)
	case mobulav1.TemplateKind_TEMPLATE_KIND_ACTOR:
		err = w.construct(ctx, c, in, out)
	case mobulav1.TemplateKind_TEMPLATE_KIND_METHOD:
		a := w.actorOf(c.task.Actor)
		if a == nil {
			return nil, fmt.Errorf("actor %v is not in this process", c.task.Actor)
		}
		err = f.Method(ctx, a.state, in, out)
	default:
		return nil, fmt.Errorf("template kind %v", f.Kind)
	}
	switch {
	case err != nil && out.Failed():
		return nil, &userError{err: err}
	case err == nil && len(out.Values) == 0 && f.Returns == 1 && c.tmpl.frame.GetPortable(): // a function without results; nil says so in every language
		core.Set[any](out, nil)
		err = out.Err()
	case err == nil && len(out.Values) == 0 && f.Returns == 1: // the stub reads a struct{}
		core.Set(out, struct{}{})
		err = out.Err()
	}
	if err != nil {
		out.Discard()
	}
	return out.Values, err
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
	w.actors[c.task.Actor] = &actor{state: state, lane: c.lane.number}
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
			Function: c.tmpl.frame.GetName(), Name: c.tmpl.frame.GetOptions().GetName(), Task: tid, Attempt: m.GetAttempt(), Actor: t.Actor,
			Incarnation: m.GetIncarnation(), Queued: time.Duration(m.GetQueuedNs()),
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
	e := valueOf(err)
	e.Function, e.TaskId, e.Attempt, e.Pid = c.tmpl.frame.GetName(), c.frame.GetTaskId(), c.frame.GetAttempt(), int32(os.Getpid())
	return e
}

// valueOf makes an error value. A user's error may panic when it is read: a nil pointer of a type that implements error is a common mistake.
func valueOf(err error) (e *mobulav1.ErrorValue) {
	defer func() {
		if v := recover(); v != nil {
			e = core.ToValue(fmt.Errorf("an error that panics when it is read: %v", v))
		}
	}()
	var user *userError
	var remote *core.Error
	switch {
	case errors.As(err, &user):
		e = core.ToValue(user.err)
		if p, ok := errors.AsType[*panicked](user.err); ok {
			e.Stack = core.Clip(string(p.stack))
		}
	case errors.As(err, &remote):
		e = proto.CloneOf(remote.Value)
		e.Message = core.Clip(err.Error())
		if e.GetExecution() == mobulav1.Execution_EXECUTION_UNSPECIFIED {
			e.Execution = mobulav1.Execution_EXECUTION_FAILED
		}
	default:
		e = &mobulav1.ErrorValue{
			Kind: mobulav1.ErrorKind_ERROR_KIND_INVALID_ARGUMENT, Message: core.Clip(err.Error()), Execution: mobulav1.Execution_EXECUTION_NOT_EXECUTED,
		}
	}
	return e
}
