package service

import mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"

func (n *Node) recordJobEnd(*job, error)            {}
func (n *Node) trace(*task, *mobulav1.Execute)      {}
func (n *Node) aliasActor(a, taken *actor, t *task) {}
