package core

import (
	"context"
	"errors"

	"github.com/mobula-dev/mobula/clients/go/mobula/internal/codec"
	"github.com/mobula-dev/mobula/clients/go/mobula/internal/session"
)

// errNoSource means that a ref was decoded where there is no session to make its handle.
var errNoSource = errors.New("refs can only be read from a value that came through a session")

// DecodeRef makes the handle of a ref inside a value.
func DecodeRef(src codec.RefSource, from codec.Ref) (*session.Object, error) {
	s, ok := src.(*RefSource)
	switch {
	case !ok:
		return nil, errNoSource
	case from.Kind != codec.RefObject:
		return nil, errors.New("the value has an actor handle where a ref is wanted")
	}
	return s.Object(from.ID), nil
}

// DecodeActor makes the handle of an actor inside a value.
func DecodeActor(src codec.RefSource, from codec.Ref) (*session.Actor, error) {
	s, ok := src.(*RefSource)
	switch {
	case !ok:
		return nil, errNoSource
	case from.Kind != codec.RefActor:
		return nil, errors.New("the value has a ref where an actor handle is wanted")
	}
	return &session.Actor{Object: s.Object(from.ID), Class: from.Class}, nil
}

// RuntimeOf returns the runtime of a session: a ref knows its session, whatever the context says.
func RuntimeOf(ctx context.Context, s *session.Session) (*Runtime, error) {
	rt, _ := From(ctx)
	if rt != nil && rt.Session == s {
		return rt, nil
	}
	if rt, ok := s.Owner().(*Runtime); ok {
		return rt, nil
	}
	return nil, ErrNoRuntime
}
