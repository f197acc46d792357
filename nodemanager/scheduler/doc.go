// Package scheduler decides which task of a node runs when and where. It is a pure state machine: method calls are events, effects are
// what the caller must do; there is no I/O, clock, goroutine, lock, randomness or dependence on the order of maps. Time is int64
// nanoseconds of a monotonic clock, given with the events. One owner calls it, under the node's lock.
//
// # A task
//
//	        Submit, arguments missing            Submit, Requeue
//	Idle ──────────────────────────► Waiting ─┐        │
//	 ▲ ▲ ▲                              │     │ArgReady│(the last one)
//	 │ │ │            Cancel, JobGone   │     ▼        ▼
//	 │ │ └──────────────────────────────┴──── Queued ◄─────────┐
//	 │ │       Cancel, JobGone, StartFailed      │             │ returned by
//	 │ │                                         │ effect      │ Blocked, Revoked
//	 │ │                                         ▼ Dispatch    │
//	 │ └──────── Done, WorkerGone, JobGone ── Dispatched ──────┘
//	 │                                        │       ▲
//	 │                                Blocked ▼       │ Unblocked
//	 └────────── Done, WorkerGone, JobGone ── Blocked ┘
//
// An Infeasible task stays Idle. A task that is Idle again belongs to the caller, who may submit it again (a retry).
//
// # Lanes
//
// A lane is a lease on a worker: it holds the resources of one class of tasks while tasks of that class run in it one after another. A
// class is what makes tasks alike: job, function, resources, process. Tasks are pipelined into a lane behind the running head, so that a
// short task costs no round trip: as many as about a millisecond of work (PipelineTargetNs), by the measured mean of the class; one only
// until runs have been measured, and never before every lane that free resources and ready workers allow is open. A head that runs for
// longer than RevokeAfterNs gets no tasks behind it, and those that are there are asked back (effect Revoke), so that they run wherever
// else something becomes free.
//
// # Who is next
//
// Between jobs: the job with the lowest dominant share (the largest fraction of any one column that its lanes hold) goes first; among
// equals the one that has used least (run time times the share of a task; a job that was away gets no credit for it); then the one that
// waited longest. Between classes of a job: in turn. Within a class: first in, first out. A turn is a lane with one pipeline of tasks. A
// lane that runs empty, or has room, goes on with its own class only while no other class has a better claim on what it holds; so one
// task of a job waits for at most one running task, or one pipeline of about a millisecond, whatever another job has queued.
//
// The scheduler is work-conserving: whenever a queued task fits and there is a worker for it, it is dispatched, except that a class which
// was passed over because it needs much at once gets a reservation after ReserveAfterNs (see reservation), so that it is not starved.
//
// # Nested tasks never deadlock
//
// A task that waits inside get lends its CPUs and gives back what is behind it in its lane (Blocked). Those tasks are queued again at
// the front, and others use the CPUs. When it goes on it takes its CPUs again at once, even if nothing is free: then fewer CPUs than
// none are free until somebody ends, and nothing new starts. Workers of tasks that wait do not count against MaxWorkers. So neither CPUs
// nor workers can all be held by tasks that wait for tasks without a place, to any depth; the effect Warn tells of too many workers.
//
// # Actors
//
// The creation of an actor is a task of a class with Actor set. When it is Done its lane stays, holding what the actor needs to run
// (Spec.Running), until ActorGone. Method calls do not pass through here; ActorBlocked and ActorUnblocked lend its CPUs.
//
// # Workers
//
// A group is a job, an environment and a Kind. A shared worker runs any number of lanes, and there is at most one in a group that is not
// retiring; an isolated worker runs one lane at a time and is used again within its group. Workers are started when a task fits and has
// none, up to MaxStarting at a time and MaxWorkers in all, and stopped when idle. Start failures back off, and after StartAttempts in a
// row the group's queued tasks are handed back (effect StartFailed).
package scheduler
