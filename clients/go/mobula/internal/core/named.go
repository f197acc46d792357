package core

import (
	"context"

	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"

	"github.com/mobula-dev/mobula/clients/go/mobula/internal/session"
	"github.com/mobula-dev/mobula/internal/id"
)

// Class returns the class whose constructor is called.
func (c *Call) Class() string {
	if c.f.Class == nil {
		return ""
	}
	return c.f.Class.Name
}

// GetActor looks up a living actor by its name.
func GetActor(ctx context.Context, cls *Class, name string, options []Option) (*session.Actor, error) {
	rt, _ := From(ctx)
	if rt == nil {
		return nil, ErrNoRuntime
	}
	var o mobulav1.Options
	for _, opt := range options {
		if err := opt.Apply(&o); err != nil {
			return nil, err
		}
	}
	r, err := rt.Session.Query(ctx, &mobulav1.Query{Kind: &mobulav1.Query_GetActor{
		GetActor: &mobulav1.GetActor{Name: name, Namespace: o.GetNamespace()},
	}})
	if err != nil {
		return nil, err
	}
	if r.GetError() != nil {
		return nil, FromValue(r.GetError())
	}
	found := r.GetActor()
	aid, err := id.FromBytes[id.Actor](found.GetActorId())
	if err != nil {
		return nil, err
	}
	object := rt.Session.Held(aid.Object(0))
	if found.GetClass() != cls.Name {
		object.Release()
		return nil, &Error{Value: &mobulav1.ErrorValue{
			Kind:    mobulav1.ErrorKind_ERROR_KIND_INVALID_ARGUMENT,
			Message: "actor " + name + " is a " + found.GetClass() + ", not a " + cls.Name,
		}}
	}
	return &session.Actor{Object: object, Class: found.GetClass()}, nil
}
