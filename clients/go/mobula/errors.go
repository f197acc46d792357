package mobula

import (
	"errors"
	"fmt"
	"strings"

	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"

	"github.com/mobula-dev/mobula/clients/go/mobula/internal/core"
	"github.com/mobula-dev/mobula/clients/go/mobula/internal/session"
)

// ErrorKind is what happened, as a program branches on it.
type ErrorKind uint8

// The kinds of error.
const (
	// Internal is a broken promise of the runtime itself: please report it.
	Internal ErrorKind = iota
	// TaskFailed: the function returned an error or panicked. Unwrap finds the user's error when it is registered.
	TaskFailed
	// WorkerCrashed: the process that ran the task ended before the task did.
	WorkerCrashed
	// ActorDied: the actor is dead for good.
	ActorDied
	// ActorUnavailable: the actor is being restarted.
	ActorUnavailable
	// Cancelled: the task was cancelled, or the wait was. errors.Is finds context.Canceled.
	Cancelled
	// DeadlineExceeded: the caller's deadline passed. errors.Is finds context.DeadlineExceeded.
	DeadlineExceeded
	// Unschedulable: no node can ever meet the demand.
	Unschedulable
	// QueueFull: a bound on queued work was reached before the caller's context ended.
	QueueFull
	// StoreFull: the object store cannot hold the object.
	StoreFull
	// ObjectLost: the value is gone and cannot be made again.
	ObjectLost
	// NodeLost: the connection to the node ended.
	NodeLost
	// InvalidArgument: the request is malformed, or asks for something that is refused.
	InvalidArgument
	// NotFound: the named thing does not exist.
	NotFound
	// AlreadyExists: the name is taken.
	AlreadyExists
	// StaleStubs: the program's stubs do not match the functions that are served.
	StaleStubs
	// BadValue: a value cannot be sent, or cannot be read as the wanted type.
	BadValue
	// OutOfDisk: the disk is full.
	OutOfDisk
	// WorkerStart: a worker process could not be started.
	WorkerStart
	// PendingCallsLimit: the actor has as many calls pending as it may.
	PendingCallsLimit
	// PermissionDenied: the caller may not do this.
	PermissionDenied
	// Unavailable: the service cannot answer now; try again.
	Unavailable
	// SessionClosed: the session was closed before the work was done.
	SessionClosed
)

// kinds maps the wire's kinds to this package's.
var kinds = map[mobulav1.ErrorKind]ErrorKind{
	mobulav1.ErrorKind_ERROR_KIND_TASK_FAILED:         TaskFailed,
	mobulav1.ErrorKind_ERROR_KIND_WORKER_CRASHED:      WorkerCrashed,
	mobulav1.ErrorKind_ERROR_KIND_ACTOR_DIED:          ActorDied,
	mobulav1.ErrorKind_ERROR_KIND_ACTOR_UNAVAILABLE:   ActorUnavailable,
	mobulav1.ErrorKind_ERROR_KIND_CANCELLED:           Cancelled,
	mobulav1.ErrorKind_ERROR_KIND_DEADLINE_EXCEEDED:   DeadlineExceeded,
	mobulav1.ErrorKind_ERROR_KIND_UNSCHEDULABLE:       Unschedulable,
	mobulav1.ErrorKind_ERROR_KIND_QUEUE_FULL:          QueueFull,
	mobulav1.ErrorKind_ERROR_KIND_STORE_FULL:          StoreFull,
	mobulav1.ErrorKind_ERROR_KIND_OBJECT_LOST:         ObjectLost,
	mobulav1.ErrorKind_ERROR_KIND_NODE_LOST:           NodeLost,
	mobulav1.ErrorKind_ERROR_KIND_INVALID_ARGUMENT:    InvalidArgument,
	mobulav1.ErrorKind_ERROR_KIND_NOT_FOUND:           NotFound,
	mobulav1.ErrorKind_ERROR_KIND_ALREADY_EXISTS:      AlreadyExists,
	mobulav1.ErrorKind_ERROR_KIND_STALE_STUBS:         StaleStubs,
	mobulav1.ErrorKind_ERROR_KIND_BAD_VALUE:           BadValue,
	mobulav1.ErrorKind_ERROR_KIND_OUT_OF_DISK:         OutOfDisk,
	mobulav1.ErrorKind_ERROR_KIND_INTERNAL:            Internal,
	mobulav1.ErrorKind_ERROR_KIND_WORKER_START:        WorkerStart,
	mobulav1.ErrorKind_ERROR_KIND_PENDING_CALLS_LIMIT: PendingCallsLimit,
	mobulav1.ErrorKind_ERROR_KIND_PERMISSION_DENIED:   PermissionDenied,
	mobulav1.ErrorKind_ERROR_KIND_UNAVAILABLE:         Unavailable,
	mobulav1.ErrorKind_ERROR_KIND_SESSION_CLOSED:      SessionClosed,
}

// kindNames are the kinds' names, for String.
var kindNames = [...]string{
	"Internal", "TaskFailed", "WorkerCrashed", "ActorDied", "ActorUnavailable", "Cancelled", "DeadlineExceeded", "Unschedulable",
	"QueueFull", "StoreFull", "ObjectLost", "NodeLost", "InvalidArgument", "NotFound", "AlreadyExists", "StaleStubs", "BadValue",
	"OutOfDisk", "WorkerStart", "PendingCallsLimit", "PermissionDenied", "Unavailable", "SessionClosed",
}

// String returns the kind's name.
func (k ErrorKind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return fmt.Sprintf("ErrorKind(%d)", uint8(k))
}

// Execution says whether the work may have happened.
type Execution uint8

// What may have happened.
const (
	// NotApplicable: the error is not about a piece of work.
	NotApplicable Execution = iota
	// NotExecuted: the work did not start.
	NotExecuted
	// MayHaveExecuted: the work may have started, and may have had effects.
	MayHaveExecuted
	// Failed: the work ran and failed.
	Failed
)

// String returns a phrase for people.
func (e Execution) String() string {
	switch e {
	case NotExecuted:
		return "not executed"
	case MayHaveExecuted:
		return "may have executed"
	case Failed:
		return "executed and failed"
	default:
		return "not applicable"
	}
}

// Error is what every function of this package and every Ref fails with. errors.Is and errors.As look into the user's own errors,
// when those are registered (RegisterError, RegisterSentinel), and into the error of the task, argument or actor that caused it.
type Error struct {
	// Kind is what happened.
	Kind ErrorKind
	// Message says it in a sentence.
	Message string
	// Execution says whether the work may have happened.
	Execution Execution
	// Function is the function or method concerned, "import/path.Name"; empty when there is none.
	Function string
	// TaskID is the task in hexadecimal; empty when there is none.
	TaskID string
	// Attempt is the attempt that failed, from 1; 0 when it does not apply.
	Attempt int
	// PID is the process that failed; 0 when it does not apply.
	PID int
	// CallSite is the place in the source from which the task was submitted, "file:line"; empty when unknown.
	CallSite string
	// Stack is the remote stack of a panic; empty for returned errors.
	Stack string
	// Hint says what to do; empty when there is nothing to add.
	Hint string

	cause error
}

// Error returns the message, with function, place, and hint.
func (e *Error) Error() string {
	var b strings.Builder
	if e.Function != "" && !strings.Contains(e.Message, e.Function) {
		b.WriteString(e.Function)
		b.WriteString(": ")
	}
	b.WriteString(e.Message)
	if e.Execution != NotApplicable {
		fmt.Fprintf(&b, " (%s)", e.Execution)
	}
	if e.Hint != "" {
		b.WriteString("; ")
		b.WriteString(e.Hint)
	}
	return b.String()
}

// Format prints the error; %+v adds where it was submitted, where it failed and the remote stack.
func (e *Error) Format(s fmt.State, verb rune) {
	_, _ = fmt.Fprint(s, e.Error()) // fmt.State does not fail
	if verb != 'v' || !s.Flag('+') {
		return
	}
	if e.CallSite != "" {
		_, _ = fmt.Fprintf(s, "\n  submitted at %s", e.CallSite)
	}
	if e.PID != 0 {
		_, _ = fmt.Fprintf(s, "\n  failed in process %d, attempt %d", e.PID, e.Attempt)
	}
	if e.Stack != "" {
		_, _ = fmt.Fprintf(s, "\n  remote stack:\n%s", e.Stack)
	}
	if cause, ok := errors.AsType[*Error](e.cause); ok {
		_, _ = fmt.Fprintf(s, "\ncaused by: %+v", cause)
	}
}

// Unwrap returns the user's error or the error that caused this one.
func (e *Error) Unwrap() error { return e.cause }

// public makes an error of the internal packages an *Error.
func public(err error) error {
	if err == nil {
		return nil
	}
	if _, done := errors.AsType[*Error](err); done {
		return err
	}
	if remote, ok := errors.AsType[*core.Error](err); ok {
		e := fromValue(remote)
		if err != error(remote) { //nolint:errorlint // whether it is wrapped
			e.Message = err.Error()
		}
		return e
	}
	e := &Error{Kind: InvalidArgument, Message: err.Error(), Execution: NotExecuted, cause: err}
	var lost *session.LostError
	var refused *session.RefusedError
	switch {
	case errors.As(err, &lost):
		e = fromValue(core.FromValue(lost.Value))
		e.Execution = NotExecuted
	case errors.As(err, &refused):
		e = fromValue(core.FromValue(refused.Value))
	case errors.Is(err, session.ErrQueueFull):
		e.Kind, e.Hint = QueueFull, "get or release results before more work is submitted, or give the call more time"
	default:
		e.Kind = localKind(err)
	}
	return e
}

// fromValue presents an error value.
func fromValue(r *core.Error) *Error {
	v := r.Value
	e := &Error{
		Kind: kinds[v.GetKind()], Message: v.GetMessage(), Function: v.GetFunction(), Attempt: int(v.GetAttempt()), PID: int(v.GetPid()),
		CallSite: v.GetCallSite(), Stack: v.GetStack(), Hint: v.GetHint(), Execution: Execution(v.GetExecution()),
	}
	if len(v.GetTaskId()) > 0 {
		e.TaskID = fmt.Sprintf("%x", v.GetTaskId())
	}
	e.cause = publicCause(r)
	return e
}

// publicCause presents what caused an error, and lets errors.Is find the end of a context.
func publicCause(r *core.Error) error {
	cause := r.Cause
	if inner := r.Value.GetCause(); inner != nil {
		presented := fromValue(core.FromValue(inner))
		var asIs *core.Error
		if errors.As(cause, &asIs) && asIs == cause { //nolint:errorlint // whether it is wrapped
			cause = presented
		} else if cause != nil {
			cause = errors.Join(presented, cause)
		}
	}
	if sentinel := r.Sentinel(); sentinel != nil && !errors.Is(cause, sentinel) {
		if cause == nil {
			return sentinel
		}
		return errors.Join(sentinel, cause)
	}
	return cause
}

// localKind is the kind of an error that this process made itself.
func localKind(err error) ErrorKind {
	switch {
	case core.IsDeadline(err):
		return DeadlineExceeded
	case core.IsCancelled(err):
		return Cancelled
	case core.IsBadValue(err):
		return BadValue
	default:
		return InvalidArgument
	}
}

// RegisterError lets errors of type T, at any depth of a chain, cross processes by value, so that errors.As finds them. T is encoded
// like a value: its exported fields cross. The name must be the same in all processes of the program; register in a package variable:
//
//	var _ = mobula.RegisterError[*NotEnough]("bank.NotEnough")
//
// It panics when the name is taken, as that is a bug of the program.
func RegisterError[T error](name string) struct{} {
	if err := core.RegisterErrorType[T](name); err != nil {
		panic("mobula: " + err.Error())
	}
	return struct{}{}
}

// RegisterSentinel lets an error value cross processes as itself, so that errors.Is finds it:
//
//	var ErrEmpty = errors.New("empty")
//	var _ = mobula.RegisterSentinel("bank.ErrEmpty", ErrEmpty)
//
// It panics when the name is taken, as that is a bug of the program.
func RegisterSentinel(name string, err error) struct{} {
	if err := core.RegisterSentinel(name, err); err != nil {
		panic("mobula: " + err.Error())
	}
	return struct{}{}
}

// Public presents an error of the runtime's own packages as an *Error. It is for package stub.
func Public(err error) error { return public(err) }
