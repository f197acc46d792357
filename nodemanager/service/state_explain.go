package service

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"

	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"
	"github.com/mobula-dev/mobula/internal/id"
	"github.com/mobula-dev/mobula/nodemanager/ownership"
	"github.com/mobula-dev/mobula/nodemanager/resource"
	"github.com/mobula-dev/mobula/nodemanager/scheduler"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// explainLines bounds an explanation: it is made in one piece, under the node's lock.
const explainLines = 20

// Explain implements mobulav1.NodeServiceServer.
func (s *State) Explain(_ context.Context, r *mobulav1.ExplainRequest) (*mobulav1.ExplainResponse, error) {
	n, err := s.attached()
	if err != nil {
		return nil, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.now = n.clock()
	e := explainer{n: n, seen: make(map[*ownership.Object]bool), above: make(map[*ownership.Object]bool)}
	switch b := r.GetId(); len(b) {
	case id.TaskSize:
		tid := id.Task(b)
		if a := n.actors[tid]; a != nil {
			e.actor(a)
		} else if o := n.dir.Lookup(tid.Object(0)); o != nil {
			e.object(o, 0)
		}
	case id.ObjectSize:
		if o := n.dir.Lookup(id.Object(b)); o != nil {
			e.object(o, 0)
		}
	default:
		return nil, status.Errorf(codes.InvalidArgument, "id has %d bytes: a task or an actor has %d, an object %d", len(b), id.TaskSize, id.ObjectSize)
	}
	if len(e.lines) == 0 {
		return nil, status.Errorf(codes.NotFound, "the node does not know %x: it never did, or nobody holds it any more", r.GetId())
	}
	return &mobulav1.ExplainResponse{Text: strings.Join(e.lines, "\n")}, nil
}

// explainer collects the lines of an explanation: what is asked for, and below it, indented, what it waits for.
type explainer struct {
	n     *Node
	seen  map[*ownership.Object]bool
	above map[*ownership.Object]bool // those that wait for what is explained now
	lines []string
}

func (e *explainer) line(depth int, format string, args ...any) bool {
	if len(e.lines) == explainLines {
		e.lines = append(e.lines, "…")
	}
	if len(e.lines) > explainLines {
		return false
	}
	e.lines = append(e.lines, strings.Repeat("  ", depth)+fmt.Sprintf(format, args...))
	return true
}

// actor tells of an actor, and, until it is made, of what makes it.
func (e *explainer) actor(a *actor) {
	e.line(0, "actor %s: %v, incarnation %d, %d calls waiting, %d at its process", a, a.state, a.incarnation, a.waiting, len(a.flying))
	switch {
	case a.state == actorDead:
		e.line(1, "%s", a.death.GetMessage())
	case a.state == actorCreating:
		e.object(&a.creation.first, 1)
	case a.recreation != nil:
		e.line(1, "its constructor runs again: %v", e.n.sched.Explain(&a.recreation.sched, e.n.now))
	}
}

// object tells of an object, and of what it waits for.
func (e *explainer) object(o *ownership.Object, depth int) {
	if e.above[o] {
		e.line(depth, "object %v: see above; this is a circle, in which nothing goes on unless one of the gets in it waits for something else", o.ID)
		return
	}
	if e.seen[o] {
		e.line(depth, "object %v: see above", o.ID)
		return
	}
	e.seen[o], e.above[o] = true, true
	defer delete(e.above, o)
	if !e.line(depth, "object %v: %s", o.ID, e.n.explainObject(o)) || o.Value() != nil {
		return
	}
	t, ok := o.Maker.(*task)
	if !ok || t.done {
		return
	}
	for _, arg := range t.refs[:t.refArgs] {
		if arg.Value() == nil && len(e.lines) <= explainLines {
			e.object(arg, depth+1)
		}
	}
	switch {
	case t.handle != 0 && t.blocks():
		e.gets(t, depth+1)
	case t.tmpl.kind == mobulav1.TemplateKind_TEMPLATE_KIND_METHOD:
		e.ahead(t, depth+1)
	case t.sched.State() == scheduler.Queued:
		e.holders(t, depth+1)
	}
}

// gets tells what the process of a task that waits in a get has asked for and does not have. It looks at every object, as people ask rarely.
func (e *explainer) gets(t *task, depth int) {
	var missing []*ownership.Object
	for o := range e.n.dir.All() {
		if o.Value() == nil && o.AwaitedBy(t.worker.session.id) {
			missing = append(missing, o)
		}
	}
	slices.SortFunc(missing, func(a, b *ownership.Object) int { return bytes.Compare(a.ID[:], b.ID[:]) })
	for _, o := range missing {
		if len(e.lines) <= explainLines {
			e.object(o, depth)
		}
	}
}

// ahead tells of the calls that an actor runs, and for whose end a call waits.
func (e *explainer) ahead(t *task, depth int) {
	a := t.actor
	if a == nil {
		return
	}
	for _, other := range a.flying[:min(len(a.flying), a.capacity())] {
		if other != t && !other.done && len(e.lines) <= explainLines {
			e.object(&other.first, depth)
		}
	}
}

// holders tells who has what a queued task is short of.
func (e *explainer) holders(t *task, depth int) {
	for _, short := range e.n.sched.Explain(&t.sched, e.n.now).Short {
		for _, h := range short.Holders {
			what := fmt.Sprintf("%d running", h.Lanes-h.Actors)
			if h.Actors > 0 {
				what = fmt.Sprintf("%d actors", h.Actors)
			}
			e.line(depth, "%s of %s is held by %s: %s", resource.Format(short.Column, h.Amount), short.Resource, e.n.className(h.Class), what)
		}
	}
}

// className names what the tasks of a class run.
func (n *Node) className(c *scheduler.Class) string {
	if c.Spec().Env == placementEnv {
		return "placement groups"
	}
	j, ok := c.Job().Record.(*job)
	if !ok {
		return "another job"
	}
	for _, t := range j.templates {
		if uint64(t.number) == c.Spec().Function {
			return t.name
		}
	}
	return "a function of job " + j.id.String()
}
