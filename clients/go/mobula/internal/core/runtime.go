package core

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"os"
	"sync"
	"sync/atomic"

	"github.com/mobula-dev/mobula/clients/go/mobula/internal/session"
	"github.com/mobula-dev/mobula/internal/id"
	"github.com/mobula-dev/mobula/internal/telemetry"
)

// Runtime is a process's connection to its node and what belongs to it.
type Runtime struct {
	Session *session.Session
	Tracer  *telemetry.Tracer
	// Worker is told of gets that block; nil in a driver.
	Worker Worker

	watch watches
}

// Worker is what the client tells the worker that it runs in.
type Worker interface {
	// Blocker returns the blocker of a get that does not know its task.
	Blocker() session.Blocker
}

// current is the process's default runtime.
var current atomic.Pointer[Runtime]

// SetDefault makes rt the runtime of contexts that carry none; nil takes it away.
func SetDefault(rt *Runtime) { current.Store(rt) }

// ReplaceDefault makes rt the default if old is.
func ReplaceDefault(old, rt *Runtime) { current.CompareAndSwap(old, rt) }

// Default returns the process's default runtime, or nil.
func Default() *Runtime { return current.Load() }

// ErrNoRuntime means that no session was opened.
var ErrNoRuntime = errors.New("mobula is not initialised: call mobula.Init first, and pass on the context that it returns")

// ErrReturned is the cause with which a task's context ends when the task has returned. What the task submitted goes on.
var ErrReturned = errors.New("the task has returned")

type contextKey struct{}

// scope is what a context carries.
type scope struct {
	rt   *Runtime
	task *Task
}

// WithRuntime returns a context that carries rt.
func WithRuntime(ctx context.Context, rt *Runtime) context.Context {
	return context.WithValue(ctx, contextKey{}, &scope{rt: rt})
}

// WithTask returns a context that carries a running task.
func WithTask(ctx context.Context, rt *Runtime, t *Task) context.Context {
	return context.WithValue(ctx, contextKey{}, &scope{rt: rt, task: t})
}

// From returns the runtime and the task of a context; the runtime is the default one when it carries none.
func From(ctx context.Context) (*Runtime, *Task) {
	if s, ok := ctx.Value(contextKey{}).(*scope); ok {
		return s.rt, s.task
	}
	return Default(), nil
}

// Task is a task or a method call that runs in this process.
type Task struct {
	ID          id.Task
	Attempt     uint32
	Handle      uint64
	Func        *Func
	Actor       id.Actor // zero outside of an actor
	Incarnation uint32
	Resources   map[string]int64
	GPUs        []uint32
	MayRunAgain bool
	// Blocker lends the task's CPU while it waits.
	Blocker session.Blocker

	exit atomic.Bool // the actor ends itself with this call

	mu   sync.Mutex // guards seen
	seen map[id.Task]uint32
}

// ExitActor marks the actor to end when the call has returned.
func (t *Task) ExitActor() { t.exit.Store(true) }

// Exits reports whether ExitActor was called.
func (t *Task) Exits() bool { return t.exit.Load() }

// child makes the id of a task that t submits: the same in each attempt for an equal call, so that a task that runs again finds the
// work of the first attempt. Calls of actors are not shared: a new attempt makes new ones. The id is the hash of the parent, the
// function, the encoded arguments and the count of equal calls before it (DESIGN section 4).
func (t *Task) child(f *Func, args []byte, refs []session.RefArg, shared bool) id.Task {
	h := sha256.New()
	var n [8]byte
	_, _ = h.Write(t.ID[:]) // a hash takes everything
	if !shared {
		binary.LittleEndian.PutUint32(n[:], t.Attempt)
		_, _ = h.Write(n[:])
	}
	_, _ = h.Write([]byte(f.Name))
	_, _ = h.Write(args)
	for _, r := range refs {
		oid := r.Object.ID()
		_, _ = h.Write(oid[:])
	}
	sum := h.Sum(nil)
	key := id.Task(sum[:id.TaskSize])
	t.mu.Lock()
	if t.seen == nil {
		t.seen = make(map[id.Task]uint32)
	}
	occurrence := t.seen[key]
	t.seen[key] = occurrence + 1
	t.mu.Unlock()
	if occurrence == 0 {
		return key
	}
	binary.LittleEndian.PutUint32(n[:], occurrence)
	sum = sha256.New().Sum(append(key[:], n[:4]...))
	again := sha256.Sum256(sum)
	return id.Task(again[:id.TaskSize])
}

// Blocker returns what to tell when a get with ctx blocks; nil in a driver.
func Blocker(ctx context.Context, rt *Runtime) session.Blocker {
	if s, ok := ctx.Value(contextKey{}).(*scope); ok && s.task != nil {
		return s.task.Blocker
	}
	if rt != nil && rt.Worker != nil {
		return rt.Worker.Blocker()
	}
	return nil
}

// Warn writes a warning of the library where a person sees it.
func Warn(text string) {
	_, _ = os.Stderr.WriteString("mobula: " + text + "\n") // there is no other place to tell
}
