package scheduler

// State of a task in the scheduler; the package comment draws the transitions.
type State uint8

const (
	// Idle: the scheduler does not know the task.
	Idle State = iota
	// Waiting: arguments are missing.
	Waiting
	// Queued: ready to run, waiting for resources or a worker.
	Queued
	// Dispatched: given to a worker, running or behind what runs in its lane.
	Dispatched
	// Blocked: running, waits inside get, its CPUs are lent.
	Blocked
)

// String names the state for people.
func (s State) String() string {
	switch s {
	case Idle:
		return "idle"
	case Waiting:
		return "waiting for arguments"
	case Queued:
		return "queued"
	case Dispatched:
		return "dispatched"
	case Blocked:
		return "blocked"
	default:
		return "unknown state"
	}
}

// Task is the scheduler's part of a task: 56 bytes, meant to be embedded in the caller's record. It is linked into the scheduler's lists
// while it is not Idle, so it must not be copied then.
type Task struct {
	// Class says what the task is like. The caller sets it before Submit. Requeue with isolate changes it.
	Class *Class
	// Record is the caller's, never touched here: a pointer to what the task is embedded in.
	Record any

	next, prev *Task
	lane       *Lane // while Dispatched or Blocked
	missing    int32 // arguments, while Waiting
	state      State
}

// State returns where the task stands.
func (t *Task) State() State { return t.state }

// Lane returns the lane of a task that is Dispatched or Blocked, and nil otherwise.
func (t *Task) Lane() *Lane { return t.lane }

// taskList is a doubly linked list through Task.next and Task.prev. A task is in at most one: its job's waiting list, its class's queue
// or its lane.
type taskList struct {
	first, last *Task
	n           int
}

func (l *taskList) pushBack(t *Task) {
	t.prev, t.next = l.last, nil
	if l.last == nil {
		l.first = t
	} else {
		l.last.next = t
	}
	l.last = t
	l.n++
}

func (l *taskList) pushFront(t *Task) {
	t.prev, t.next = nil, l.first
	if l.first == nil {
		l.last = t
	} else {
		l.first.prev = t
	}
	l.first = t
	l.n++
}

func (l *taskList) remove(t *Task) {
	if t.prev == nil {
		l.first = t.next
	} else {
		t.prev.next = t.next
	}
	if t.next == nil {
		l.last = t.prev
	} else {
		t.next.prev = t.prev
	}
	t.next, t.prev = nil, nil
	l.n--
}

// drain empties the list into a slice, making every task Idle.
func (l *taskList) drain(to []*Task) []*Task {
	for t := l.first; t != nil; t = l.first {
		l.remove(t)
		t.lane, t.missing, t.state = nil, 0, Idle
		to = append(to, t)
	}
	return to
}
