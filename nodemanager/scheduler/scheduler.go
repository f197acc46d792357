package scheduler

import (
	"fmt"
	"math"

	"github.com/mobula-dev/mobula/nodemanager/resource"
)

// Units of time in nanoseconds; package time is not for pure packages, because Now is in it.
const (
	millisecond = int64(1_000_000)
	second      = 1000 * millisecond
	minute      = 60 * second
)

// Config holds the scheduler's limits, and its times in nanoseconds. A zero field has the default that is stated.
type Config struct {
	// MaxWorkers bounds the workers that do not contain a waiting task; default 1024.
	MaxWorkers int
	// MaxStarting bounds the workers that are being started at a time; default 4.
	MaxStarting int
	// StartAttempts is how many starts of a group may fail in a row before its queued tasks are handed back; default 3.
	StartAttempts int
	// StartBackoffNs is the pause after the first failed start of a group, doubled with every further one; default 100 ms.
	StartBackoffNs int64
	// StartBackoffMaxNs bounds that pause; default 10 s.
	StartBackoffMaxNs int64
	// IdleTimeoutNs is how long a worker may have no lane before it is stopped; default 60 s.
	IdleTimeoutNs int64
	// WarmWorkers is how many workers of a job are never stopped for being idle; default 1, negative for none.
	WarmWorkers int
	// PipelineTargetNs is how much work, by the mean run time of its class, a lane may have; default 1 ms.
	PipelineTargetNs int64
	// MaxDepth bounds the tasks of a lane; default 256.
	MaxDepth int
	// RevokeAfterNs is how long a head may run before what is behind it is asked back; default 10 ms.
	RevokeAfterNs int64
	// FreeLanes bounds the lanes of a class that needs no resources; default 1000.
	FreeLanes int
	// ReserveAfterNs is how long a class may be passed over by smaller ones before it gets a reservation; default 1 s, negative for never.
	ReserveAfterNs int64
}

// defaults fills the zero fields.
func (c *Config) defaults() {
	set(&c.MaxWorkers, 1024)
	set(&c.MaxStarting, 4)
	set(&c.StartAttempts, 3)
	set(&c.StartBackoffNs, 100*millisecond)
	set(&c.StartBackoffMaxNs, 10*second)
	set(&c.IdleTimeoutNs, minute)
	set(&c.WarmWorkers, 1)
	set(&c.PipelineTargetNs, millisecond)
	set(&c.MaxDepth, 256)
	set(&c.RevokeAfterNs, 10*millisecond)
	set(&c.FreeLanes, 1000)
	set(&c.ReserveAfterNs, second)
}

func set[T int | int64](field *T, value T) {
	if *field == 0 {
		*field = value
	}
}

// validate refuses what cannot work. Negative values mean something only for WarmWorkers and ReserveAfterNs.
func (c *Config) validate() error {
	for _, f := range []struct {
		name  string
		value int64
	}{
		{"MaxWorkers", int64(c.MaxWorkers)}, {"MaxStarting", int64(c.MaxStarting)}, {"StartAttempts", int64(c.StartAttempts)},
		{"StartBackoffNs", c.StartBackoffNs}, {"StartBackoffMaxNs", c.StartBackoffMaxNs}, {"IdleTimeoutNs", c.IdleTimeoutNs},
		{"PipelineTargetNs", c.PipelineTargetNs}, {"MaxDepth", int64(c.MaxDepth)}, {"RevokeAfterNs", c.RevokeAfterNs},
		{"FreeLanes", int64(c.FreeLanes)},
	} {
		if f.value < 0 {
			return fmt.Errorf("scheduler config: %s is negative", f.name)
		}
	}
	if c.PipelineTargetNs > 60*minute {
		return fmt.Errorf("scheduler config: PipelineTargetNs %d is above an hour", c.PipelineTargetNs)
	}
	return nil
}

// EffectKind says what an effect asks for.
type EffectKind uint8

const (
	// Dispatch: send Task to Worker in Lane; Lane.Devices are its GPUs.
	Dispatch EffectKind = iota + 1
	// StartWorker: start a process for Worker (its Job, Kind and Env), then call WorkerStarted or WorkerStartFailed.
	StartWorker
	// StopWorker: end Worker's process, which has nothing to do or whose job is gone, then call WorkerGone.
	StopWorker
	// Revoke: ask Lane.Worker for what has not begun in Lane, then call Revoked.
	Revoke
	// Infeasible: this node can never run Task; Scheduler.Reason says why. It is the caller's again.
	Infeasible
	// StartFailed: no worker could be started for Task. It is the caller's again.
	StartFailed
	// WakeAt: call Tick at Time; it replaces the WakeAt before it.
	WakeAt
	// Warn: there are Count workers, more than MaxWorkers, because tasks wait for tasks that wait.
	Warn
)

// String names the kind for people.
func (k EffectKind) String() string {
	switch k {
	case Dispatch:
		return "dispatch"
	case StartWorker:
		return "start worker"
	case StopWorker:
		return "stop worker"
	case Revoke:
		return "revoke"
	case Infeasible:
		return "infeasible"
	case StartFailed:
		return "start failed"
	case WakeAt:
		return "wake at"
	case Warn:
		return "warn"
	default:
		return "unknown effect"
	}
}

// Effect is something that the caller must do; fields that its kind does not name are zero.
type Effect struct {
	Kind   EffectKind
	Task   *Task
	Lane   *Lane
	Worker *Worker
	// Time is in nanoseconds, on the clock of the events.
	Time  int64
	Count int
}

// never is the time of a wake that nobody needs.
const never = int64(math.MaxInt64)

// Scheduler is the local scheduler of a node; the package comment says how it works and who may call it.
type Scheduler struct {
	cfg    Config
	ledger *resource.Ledger

	jobs    []*Job // in the order in which they came
	ring    list[Job, *Job]
	active  int // classes with queued tasks
	piped   laneSet
	idle    list[Worker, *Worker] // workers without lanes, the longest idle first
	fresh   []*Lane               // that an event has opened, until it ends
	reserve reservation
	floor   float64 // what a job that comes to the ring is taken to have used at least

	workers  int // started and not gone
	exempt   int // of these, with a waiting task
	starting int
	stopping int
	warnAt   int

	wake    int64 // the earliest time for which a WakeAt is out; never when there is none
	effects []Effect
	drained []Effect // the buffer that Effects returned last
}

// New returns a scheduler for a node with a ledger, which from now on only the scheduler changes.
func New(cfg Config, ledger *resource.Ledger) (*Scheduler, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	cfg.defaults()
	s := &Scheduler{cfg: cfg, ledger: ledger, wake: never, warnAt: cfg.MaxWorkers + 1}
	s.piped.place = piped
	return s, nil
}

// Effects returns what is to be done because of the events since the last call, in order. The slice is valid until the next call, so
// the caller may give events while it goes through it.
func (s *Scheduler) Effects() []Effect {
	out := s.effects
	clear(s.drained) // so that finished tasks are not kept alive
	if cap(s.drained) > effectsKept {
		s.drained = nil
	}
	s.effects, s.drained = s.drained[:0], out
	return out
}

// effectsKept is the length up to which a buffer of effects is used again: one burst must not hold memory for ever.
const effectsKept = 1 << 14

func (s *Scheduler) emit(e Effect) { s.effects = append(s.effects, e) }

// wakeAt asks for a Tick at a time unless one will come before.
func (s *Scheduler) wakeAt(at int64) {
	if at < s.wake {
		s.wake = at
		s.emit(Effect{Kind: WakeAt, Time: at})
	}
}

// Tick does what is due at a time. The caller calls it when the time of WakeAt has come; calling it at other times does no harm.
func (s *Scheduler) Tick(now int64) {
	s.wake = never
	s.revokeOverdue(now)
	s.stopIdle(now)
	s.dispatch(now)
}

// Ledger returns the node's accounts, for reading.
func (s *Scheduler) Ledger() *resource.Ledger { return s.ledger }
