package service

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"
	"github.com/mobula-dev/mobula/internal/id"
	"github.com/mobula-dev/mobula/nodemanager/resource"
	"github.com/mobula-dev/mobula/nodemanager/scheduler"
)

// A placement group is resources that are reserved together. For the scheduler a group that waits for its resources is a task that makes
// an actor, so that it is served in turn and not starved, in a worker that is no process; and one that has them is that actor.

// placementEnv is the environment of the worker that is no process. No environment of a task looks like it.
const placementEnv = "\x00placement"

// placementsMax bounds the groups of a job that were not removed, bundlesMax the bundles of one.
const placementsMax, bundlesMax = 10_000, 1000

// placement is one placement group of this node.
type placement struct {
	id      [16]byte
	job     *job // whose it is; for a detached one whose it was
	info    *mobulav1.PlacementGroupInfo
	pool    *resource.Pool
	sched   *scheduler.Job
	task    scheduler.Task
	lane    *scheduler.Lane // nil until it has its resources
	removed bool
	// detached says that it outlives its job.
	detached bool
}

// createPlacement enters a group; it gets its resources when there is room.
func (n *Node) createPlacement(s *session, q *mobulav1.CreatePlacementGroup) *mobulav1.ErrorValue {
	if reason := n.badPlacement(s, q); reason != "" {
		return badRequest(reason)
	}
	bundles := make([]resource.Request, 0, len(q.GetBundles()))
	for _, b := range q.GetBundles() {
		bundles = append(bundles, requestOf(b.GetResources()))
	}
	pool, err := n.resources.NewPool(bundles)
	if err != nil {
		return badRequest(fmt.Sprintf("placement group: %v", err))
	}
	shape, err := n.resources.Shape(pool.Whole())
	if err != nil {
		return badRequest(fmt.Sprintf("placement group: %v", err))
	}
	p := &placement{id: [16]byte(q.GetPlacementGroupId()), job: s.job, pool: pool, sched: s.job.sched, detached: q.GetDetached()}
	p.info = &mobulav1.PlacementGroupInfo{
		PlacementGroupId: p.id[:], Name: q.GetName(), Strategy: q.GetStrategy(), Bundles: q.GetBundles(),
		State: mobulav1.PlacementGroupInfo_STATE_PENDING,
	}
	n.placements[p.id] = p
	if q.GetStrategy() == mobulav1.PlacementGroupStrategy_PLACEMENT_GROUP_STRATEGY_STRICT_SPREAD && len(bundles) > 1 {
		p.info.Reason = fmt.Sprintf("each of the %d bundles needs a node of its own, and there is one node", len(bundles))
		return nil
	}
	if p.detached {
		p.sched = n.sched.NewJob(p)
	}
	p.task.Record = p
	p.task.Class = n.sched.Class(p.sched, scheduler.Spec{Shape: shape, Kind: scheduler.Shared, Env: placementEnv, Actor: true})
	n.sched.Submit(&p.task, 0, n.now)
	return nil
}

// badPlacement says what is wrong with a request for a group, or nothing.
func (n *Node) badPlacement(s *session, q *mobulav1.CreatePlacementGroup) string {
	own := 0
	for _, p := range n.placements {
		if p.removed {
			continue
		}
		if p.job == s.job {
			own++
		}
		if q.GetName() != "" && p.info.GetName() == q.GetName() && p.job.namespace == s.job.namespace {
			return fmt.Sprintf("a placement group with the name %q exists in namespace %q", q.GetName(), s.job.namespace)
		}
	}
	switch {
	case len(q.GetPlacementGroupId()) != 16:
		return fmt.Sprintf("the id of a placement group has 16 bytes, not %d", len(q.GetPlacementGroupId()))
	case n.placements[[16]byte(q.GetPlacementGroupId())] != nil:
		return "the placement group exists already"
	case len(q.GetBundles()) == 0 || len(q.GetBundles()) > bundlesMax:
		return fmt.Sprintf("a placement group has 1 to %d bundles, not %d", bundlesMax, len(q.GetBundles()))
	case own >= placementsMax:
		return fmt.Sprintf("the job has %d placement groups", own)
	case len(q.GetName()) > n.limits.name:
		return fmt.Sprintf("name is longer than %d bytes", n.limits.name)
	case q.GetStrategy() < 1 || q.GetStrategy() > mobulav1.PlacementGroupStrategy_PLACEMENT_GROUP_STRATEGY_STRICT_SPREAD:
		return fmt.Sprintf("placement strategy %d is not known", q.GetStrategy())
	}
	return ""
}

func badRequest(reason string) *mobulav1.ErrorValue {
	return &mobulav1.ErrorValue{Kind: mobulav1.ErrorKind_ERROR_KIND_INVALID_ARGUMENT, Message: reason}
}

// requestOf sorts resources by name into a request.
func requestOf(units map[string]int64) resource.Request {
	r := resource.Request{Custom: make(map[string]int64)}
	for name, amount := range units {
		switch name {
		case "CPU":
			r.CPUs = amount
		case "GPU":
			r.GPUs = amount
		case "memory":
			r.Memory = amount
		default:
			r.Custom[name] = amount
		}
	}
	return r
}

// placed opens a group whose resources were taken.
func (n *Node) placed(p *placement, l *scheduler.Lane) {
	devices := l.Devices()
	n.sched.Done(&p.task, 0, n.now)
	if p.removed {
		n.sched.ActorGone(l, n.now)
		return
	}
	p.lane = l
	p.info.State, p.info.Reason = mobulav1.PlacementGroupInfo_STATE_CREATED, ""
	p.info.BundleNodes = slices.Repeat([][]byte{n.id[:]}, len(p.info.GetBundles()))
	p.pool.Open(devices)
	n.sched.Tick(n.now) // what waited for it may run
}

// removePlacement gives a group's resources back and ends what is inside.
func (n *Node) removePlacement(p *placement) {
	if p.removed {
		return
	}
	p.removed = true
	p.info.State, p.info.Reason, p.info.BundleNodes = mobulav1.PlacementGroupInfo_STATE_REMOVED, "", nil
	p.pool.Close()
	gone := n.placementGone(p)
	refused := proto.CloneOf(gone)
	refused.Execution = mobulav1.Execution_EXECUTION_NOT_EXECUTED
	for _, j := range n.jobs {
		for _, t := range j.templates {
			if t.group == p {
				t.refused = refused // what is submitted from now on
			}
		}
	}
	for _, aid := range sortedIDs(n.actors) {
		if a := n.actors[aid]; a.tmpl.group == p {
			death := gone
			if a.state != actorCreating {
				death = &mobulav1.ErrorValue{Kind: mobulav1.ErrorKind_ERROR_KIND_ACTOR_DIED, Message: gone.GetMessage()} // it was placed, and has lived
			}
			n.endActor(a, death, true)
		}
	}
	for _, t := range n.tasksIn(p) {
		n.stopTask(t, gone, true)
	}
	switch {
	case p.lane != nil:
		n.sched.ActorGone(p.lane, n.now)
	case p.task.Class != nil:
		n.sched.Cancel(&p.task, n.now)
	}
	if p.detached {
		n.sched.JobGone(p.sched, n.now)
	}
}

// tasksIn returns the tasks that were to run in a group and have not ended.
func (n *Node) tasksIn(p *placement) []*task {
	var tasks []*task
	for o := range n.dir.All() {
		if t, ok := o.Maker.(*task); ok && t.tmpl.group == p && !t.done && o == &t.first {
			tasks = append(tasks, t)
		}
	}
	return tasks
}

func (n *Node) placementGone(p *placement) *mobulav1.ErrorValue {
	return &mobulav1.ErrorValue{
		Kind:      mobulav1.ErrorKind_ERROR_KIND_PLACEMENT_GROUP_REMOVED,
		Message:   fmt.Sprintf("the placement group %x, in which it was to run, was removed", p.id),
		Execution: mobulav1.Execution_EXECUTION_MAY_HAVE_EXECUTED,
	}
}

// endPlacements removes the groups of a job that has ended, but for detached ones.
func (n *Node) endPlacements(j *job) {
	for _, p := range n.placements {
		if p.job == j && !p.detached {
			n.removePlacement(p)
			delete(n.placements, p.id)
		}
	}
}

// visible reports whether a job may use a group: its own,  or one of its namespace that outlives jobs.
func (p *placement) visible(j *job) bool {
	return p.job == j || p.detached && p.job.namespace == j.namespace
}

// listPlacements answers with groups in the order of their ids.
func (n *Node) listPlacements(s *session, q *mobulav1.ListPlacementGroups, r *mobulav1.Reply) {
	for _, p := range n.placements {
		byID := len(q.GetPlacementGroupId()) == 0 || string(q.GetPlacementGroupId()) == string(p.id[:])
		if !byID || q.GetName() != "" && p.info.GetName() != q.GetName() || !p.visible(s.job) {
			continue
		}
		info := proto.CloneOf(p.info)
		if p.lane == nil && !p.removed && p.task.Class != nil {
			info.Reason = n.whyPending(p)
		}
		r.PlacementGroups = append(r.PlacementGroups, info)
	}
	slices.SortFunc(r.PlacementGroups, func(a, b *mobulav1.PlacementGroupInfo) int {
		return cmp.Compare(string(a.GetPlacementGroupId()), string(b.GetPlacementGroupId()))
	})
}

func (n *Node) whyPending(p *placement) string {
	if short, never := n.sched.Reason(&p.task); never {
		return "this node can never have it: " + short.String()
	}
	var short []string
	for _, s := range n.sched.Explain(&p.task, n.now).Short {
		short = append(short, s.String())
	}
	return strings.Join(short, "; ")
}

// queryPlacement answers the queries on groups.
func (n *Node) queryPlacement(s *session, q *mobulav1.Query, r *mobulav1.Reply) {
	switch k := q.GetKind().(type) {
	case *mobulav1.Query_CreatePlacementGroup:
		r.Error = n.createPlacement(s, k.CreatePlacementGroup)
	case *mobulav1.Query_RemovePlacementGroup:
		if len(k.RemovePlacementGroup.GetPlacementGroupId()) != 16 {
			r.Error = badRequest("the id of a placement group has 16 bytes")
			return
		}
		if p := n.placements[[16]byte(k.RemovePlacementGroup.GetPlacementGroupId())]; p != nil && p.visible(s.job) {
			n.removePlacement(p)
		}
	case *mobulav1.Query_ListPlacementGroups:
		n.listPlacements(s, k.ListPlacementGroups, r)
	}
}

// locate sets where a template's tasks run; the error says why they can run nowhere.
func (n *Node) locate(t *template, j *job, spec *scheduler.Spec) *mobulav1.ErrorValue {
	o := t.options
	never := func(format string, args ...any) *mobulav1.ErrorValue {
		return &mobulav1.ErrorValue{
			Kind: mobulav1.ErrorKind_ERROR_KIND_UNSCHEDULABLE, Function: t.name, Message: t.name + " can never run: " + fmt.Sprintf(format, args...),
			Execution: mobulav1.Execution_EXECUTION_NOT_EXECUTED,
		}
	}
	if label, expression := unmet(n.labels, o.GetLabelSelector()); label != "" && !n.anyOf(o.GetFallbackStrategy()) {
		return never("no node has a label %s that is %s", label, expression)
	}
	switch k := o.GetSchedulingStrategy().GetKind().(type) {
	case *mobulav1.SchedulingStrategy_NodeAffinity_:
		wanted, err := id.FromBytes[id.Node](k.NodeAffinity.GetNodeId())
		if err != nil {
			return badRequest(err.Error())
		}
		if wanted != n.id && !k.NodeAffinity.GetSoft() {
			return never("there is no node %v", wanted)
		}
	case *mobulav1.SchedulingStrategy_NodeLabels_:
		if label, expression := unmet(n.labels, k.NodeLabels.GetHard()); label != "" {
			return never("no node has a label %s that is %s", label, expression)
		}
	case *mobulav1.SchedulingStrategy_PlacementGroup_:
		return n.locateInGroup(t, j, spec, k.PlacementGroup)
	}
	return nil
}

func (n *Node) locateInGroup(t *template, j *job, spec *scheduler.Spec, g *mobulav1.SchedulingStrategy_PlacementGroup) *mobulav1.ErrorValue {
	if len(g.GetPlacementGroupId()) != 16 {
		return badRequest("the id of a placement group has 16 bytes")
	}
	p := n.placements[[16]byte(g.GetPlacementGroupId())]
	if p == nil || !p.visible(j) {
		return badRequest(fmt.Sprintf("%s: there is no placement group %x", t.name, g.GetPlacementGroupId()))
	}
	t.group = p
	if p.removed {
		e := n.placementGone(p)
		e.Execution = mobulav1.Execution_EXECUTION_NOT_EXECUTED
		return e
	}
	bundle := int(g.GetBundleIndex())
	if p.pool.Bundle(bundle) == nil {
		return badRequest(fmt.Sprintf("%s: the placement group %x has %d bundles, and no bundle %d", t.name, p.id, len(p.info.GetBundles()), bundle))
	}
	spec.Pool, spec.Bundle = p.pool, bundle
	return nil
}

// nodeLabels returns the labels that a node has been given, and those that every node has.
func nodeLabels(cfg Config) map[string]string {
	labels := map[string]string{"ray.io/node-id": cfg.NodeID.String(), "mobula.dev/node-id": cfg.NodeID.String()}
	maps.Copy(labels, cfg.Labels)
	return labels
}

// anyOf reports whether the node meets one of some selectors, each "label=expression,label=expression".
func (n *Node) anyOf(selectors []string) bool {
	return slices.ContainsFunc(selectors, func(selector string) bool {
		conditions := make(map[string]string)
		for part := range strings.SplitSeq(selector, ",") {
			label, expression, _ := strings.Cut(part, "=")
			conditions[label] = expression
		}
		label, _ := unmet(n.labels, conditions)
		return label == ""
	})
}

// unmet returns a condition that labels do not meet, or nothing. Expressions are "value", "!value", "in(a,b)", "!in(a,b)", "exists()"
// and "!exists()".
func unmet(labels, conditions map[string]string) (label, expression string) {
	for label, expression := range conditions {
		if !meets(labels, label, expression) {
			return label, expression
		}
	}
	return "", ""
}

func meets(labels map[string]string, label, expression string) bool {
	value, there := labels[label]
	positive, negated := strings.CutPrefix(expression, "!")
	word, list, call := strings.Cut(strings.TrimSuffix(positive, ")"), "(")
	switch {
	case call && word == "exists":
		return there != negated
	case call && word == "in":
		in := there && slices.ContainsFunc(strings.Split(list, ","), func(v string) bool { return strings.TrimSpace(v) == value })
		return in != negated
	default:
		return (there && value == positive) != negated
	}
}
