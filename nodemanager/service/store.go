package service

import (
	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"
	"github.com/mobula-dev/mobula/internal/id"
	"github.com/mobula-dev/mobula/internal/wire"
	"github.com/mobula-dev/mobula/nodemanager/ownership"
)

type storeState struct{}

func (*storeState) init(*Node) error { return nil }
func (*storeState) Free(id.Object)   {}

func (n *Node) storeEffects() bool                         { return false }
func (n *Node) share(s *session, o *ownership.Object) bool { return true }
func (n *Node) storeSessionGone(s *session)                {}
func (n *Node) seal(*session, id.Object, *mobulav1.Block) error {
	return &wire.ProtocolError{Reason: "store"}
}
func (n *Node) onStoreFrame(*session, mobulav1.FrameKind, []byte) error {
	return &wire.ProtocolError{Reason: "store"}
}
func (n *Node) recordJobEnd(*job, error)            {}
func (n *Node) trace(*task, *mobulav1.Execute)      {}
func (n *Node) aliasActor(a, taken *actor, t *task) {}
func (a *actor) class() string                      { return a.tmpl.name }
