package mobula

import (
	"context"

	"github.com/mobula-dev/mobula/clients/go/mobula/internal/core"
)

// TaskInfo is what a running task or method knows of itself.
type TaskInfo struct {
	// TaskID, JobID, NodeID and ActorID are in hexadecimal; ActorID is empty outside of an actor.
	TaskID, JobID, NodeID, ActorID string
	// Function is the function or method, "import/path.Name".
	Function string
	// Attempt counts the runs of this task, from 1.
	Attempt int
	// Incarnation counts the lives of the actor, from 1; 0 outside of one.
	Incarnation int
	// Resources are the resources that are assigned, in units; nil for one CPU.
	Resources map[string]float64
	// GPUs are the GPUs that are assigned, by index.
	GPUs []int
}

// Task returns what the task that ctx belongs to knows of itself; ok is false outside of a task.
func Task(ctx context.Context) (info TaskInfo, ok bool) {
	rt, t := core.From(ctx)
	if t == nil {
		return TaskInfo{}, false
	}
	w := rt.Session.Welcome()
	info = TaskInfo{
		TaskID: t.ID.String(), JobID: rt.Session.Job().String(), NodeID: hexID(w.GetNodeId()), Function: t.Func.Name,
		Attempt: int(t.Attempt), Incarnation: int(t.Incarnation),
	}
	if !t.Actor.IsZero() {
		info.ActorID = t.Actor.String()
	}
	if len(t.Resources) > 0 {
		info.Resources = quantities(t.Resources)
	}
	for _, g := range t.GPUs {
		info.GPUs = append(info.GPUs, int(g))
	}
	return info, true
}

// ExitActor ends the actor whose method runs with ctx when that method returns. Calls that wait behind it fail with ActorDied. It does
// nothing outside of an actor.
func ExitActor(ctx context.Context) {
	if _, t := core.From(ctx); t != nil && !t.Actor.IsZero() {
		t.ExitActor()
	}
}
