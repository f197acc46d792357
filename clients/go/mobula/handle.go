package mobula

import (
	"context"
	"errors"

	"github.com/mobula-dev/mobula/clients/go/mobula/internal/codec"
	"github.com/mobula-dev/mobula/clients/go/mobula/internal/core"
	"github.com/mobula-dev/mobula/clients/go/mobula/internal/session"
)

// Handle is an actor, of any class; generated handles embed it. It may be copied, passed to calls and sent inside values. The actor
// ends when no handle of it is left anywhere. The zero Handle is empty: using it is an error.
type Handle struct { //nolint:recvcheck // only the codec's decoding needs a pointer
	actor *session.Actor
	err   error
}

// ID returns the actor's id in hexadecimal, or nothing for an empty handle.
func (h Handle) ID() string {
	if h.actor == nil {
		return ""
	}
	return h.actor.ID().String()
}

// Class returns the actor's class, "import/path.Type", or nothing for an empty handle.
func (h Handle) Class() string {
	if h.actor == nil {
		return ""
	}
	return h.actor.Class
}

// WaitReady waits until the actor's constructor has run, and returns its error if it failed.
func (h Handle) WaitReady(ctx context.Context) error {
	if err := h.check(); err != nil {
		return public(err)
	}
	rt, err := core.RuntimeOf(ctx, h.actor.Object.Session())
	if err != nil {
		return public(err)
	}
	_, err = core.Get[any](ctx, rt, h.actor.Object)
	return public(err)
}

var errNoActor = errors.New("the actor handle is empty: it was not made by a constructor's stub or got from a value")

func (h Handle) check() error {
	switch {
	case h.err != nil:
		return h.err
	case h.actor == nil:
		return errNoActor
	default:
		return nil
	}
}

// Actor is any generated handle, or a Handle.
type Actor interface{ handle() Handle }

func (h Handle) handle() Handle { return h }

// Kill ends an actor at once, for good: calls that wait fail, the outcome of those that run is unknown.
func Kill(a Actor) error { return kill(a, true) }

// KillRestart ends an actor's present life at once; it is made again if it has restarts left.
func KillRestart(a Actor) error { return kill(a, false) }

func kill(a Actor, noRestart bool) error {
	h := a.handle()
	if err := h.check(); err != nil {
		return public(err)
	}
	return public(h.actor.Object.Session().Kill(h.actor, noRestart))
}

// MobulaEncodeRef lets handles be sent inside values. It is for the codec.
func (h Handle) MobulaEncodeRef() (codec.Ref, error) {
	if h.err != nil {
		return codec.Ref{}, h.err
	}
	if h.actor == nil {
		return codec.Ref{}, nil
	}
	return codec.Ref{ID: h.actor.Object.ID(), Kind: codec.RefActor, Class: h.actor.Class}, nil
}

// MobulaDecodeRef is for the codec.
func (h *Handle) MobulaDecodeRef(src codec.RefSource, from codec.Ref) error {
	a, err := core.DecodeActor(src, from)
	h.actor = a
	return err
}

// HandleOf returns the handle of an actor, or of an error. It is for package stub.
func HandleOf(a *session.Actor, err error) Handle { return Handle{actor: a, err: err} }

// ActorOf returns what a handle refers to. It is for package stub.
func ActorOf(h Handle) (*session.Actor, error) { return h.actor, h.check() }
