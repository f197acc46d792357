package scheduler

import (
	"slices"

	"github.com/mobula-dev/mobula/nodemanager/resource"
)

// Kind says with whom a worker process is shared.
type Kind uint8

const (
	// Shared: the process runs any number of lanes of its group.
	Shared Kind = iota + 1
	// Isolated: the process runs one lane at a time.
	Isolated
)

// String names the kind for people.
func (k Kind) String() string {
	switch k {
	case Shared:
		return "shared"
	case Isolated:
		return "isolated"
	default:
		return "unknown kind"
	}
}

// Spec is what makes tasks of a job alike. Equal Specs are one Class.
type Spec struct {
	// Function is the caller's number of the function (its template).
	Function uint64
	// Shape is what a task needs to be placed. It comes from the Set of the scheduler's Ledger.
	Shape *resource.Shape
	// Running is what an actor holds once it is made; it must be within Shape. Nil, it holds all of Shape. Used for actors only.
	Running *resource.Shape
	// Kind is with whom the process is shared.
	Kind Kind
	// Env names the process's environment: language, executable, variables. The scheduler only compares it.
	Env string
	// Actor says that the task creates an actor.
	Actor bool
	// Pool is where the resources come from; nil is the node's Ledger. What a pool has was taken from the node when the pool was opened, and
	// is not counted again, neither for fairness nor against reservations.
	Pool *resource.Pool
	// Bundle is the part of the pool, or -1 for any.
	Bundle int
}

// Class is an interned Spec of a job: a queue, the lanes that serve it, and how long its tasks run.
type Class struct {
	spec  Spec
	job   *Job
	group *group
	// ledgers are where its resources may come from, in the order in which they are tried: one, unless any bundle of a pool will do.
	ledgers []*resource.Ledger
	size    float64 // the largest fraction of a column that one task needs
	solo    *Class  // the same with a process of its own and no pipeline, for tasks under suspicion; made when needed

	queue   taskList
	lanes   laneSet // that run its tasks, blocked ones included, actors not
	roomy   laneSet
	cursor  int // the next of roomy to get a task
	running int // lanes that are not blocked

	mean  int64 // moving average of run times in nanoseconds, times 8
	runs  int64
	depth int // how many tasks a lane may have

	alone      bool // never more than one task in a lane
	atLimit    bool // the last try to get a worker failed for MaxWorkers
	infeasible bool

	ringLinks links[Class] // in the ring of its job while the queue is not empty
}

func (c *Class) links() *links[Class] { return &c.ringLinks }

// Job returns the job.
func (c *Class) Job() *Job { return c.job }

// Spec returns what the class was made of.
func (c *Class) Spec() Spec { return c.spec }

// Queued returns the number of queued tasks.
func (c *Class) Queued() int { return c.queue.n }

// MeanRunNs returns the moving average of run times in nanoseconds; 0 when nothing has run.
func (c *Class) MeanRunNs() int64 { return c.mean / 8 }

// Depth returns how many tasks a lane of the class may have at present, the running one included.
func (c *Class) Depth() int { return c.depth }

// maxRun bounds what a worker may claim that a task ran, in nanoseconds: a wrong clock must not overflow the average.
const maxRun = int64(24 * 3600 * 1e9)

// observe counts one run and sets the depth: what fits in the pipeline target, and at most twice as much with every run that was
// measured, because the first runs say little. The job has used as much.
func (c *Class) observe(run int64, cfg *Config) {
	run = max(0, min(run, maxRun))
	c.job.used += float64(run) * c.size
	if c.runs == 0 {
		c.mean = run * 8
	} else {
		c.mean += run - c.mean/8
	}
	c.runs++
	if c.alone {
		return
	}
	limit := cfg.MaxDepth
	if c.runs < 30 {
		limit = min(limit, 1<<c.runs)
	}
	c.depth = max(1, int(min(int64(limit), cfg.PipelineTargetNs*8/max(1, c.mean))))
}

// Job is what classes, workers and fairness belong to: one session of a driver. A detached actor that outlives its driver needs a Job of
// its own.
type Job struct {
	// Record is the caller's, never touched here.
	Record any

	classes  map[Spec]*Class
	ordered  []*Class // classes in the order in which they were made
	groups   []*group
	ring     list[Class, *Class] // classes with queued tasks; the front is the next
	waiting  taskList            // tasks whose arguments are missing
	workers  int                 // started and not gone
	standing int                 // of these, starting or ready
	held     []int64             // by column, what its lanes hold, without what is lent
	share    float64             // the largest fraction of a column in held
	used     float64             // what its tasks have used: run time in nanoseconds times the dominant share of one; never falls
	gone     bool

	ringLinks links[Job] // in the scheduler's ring while its own is not empty
}

func (j *Job) links() *links[Job] { return &j.ringLinks }

// Share returns the job's dominant share: the largest fraction of any one of the node's columns that its lanes hold.
func (j *Job) Share() float64 { return j.share }

// NewJob adds a job.
func (s *Scheduler) NewJob(record any) *Job {
	j := &Job{Record: record, classes: make(map[Spec]*Class), held: make([]int64, s.ledger.Columns())}
	s.jobs = append(s.jobs, j)
	return j
}

// Class interns a Spec in a job. It panics when the Spec breaks its own rules, which the caller's validation of options excludes. The
// caller keeps the result with its template: this is a map access, not for every task.
func (s *Scheduler) Class(j *Job, spec Spec) *Class {
	if c, ok := j.classes[spec]; ok {
		return c
	}
	if spec.Shape == nil || spec.Kind != Shared && spec.Kind != Isolated {
		panic("scheduler: class without shape or kind")
	}
	if spec.Actor && spec.Running != nil && !spec.Running.Within(spec.Shape) {
		panic("scheduler: actor that needs more to run than to be placed")
	}
	c := s.newClass(j, spec)
	j.classes[spec] = c
	return c
}

func (s *Scheduler) newClass(j *Job, spec Spec) *Class {
	c := &Class{spec: spec, job: j, depth: 1, alone: spec.Actor}
	c.lanes.place, c.roomy.place = ofClass, roomy
	c.group = j.group(spec.Kind, spec.Env)
	c.group.classes = append(c.group.classes, c)
	c.ledgers = []*resource.Ledger{s.ledger}
	if spec.Pool != nil {
		c.ledgers = spec.Pool.Bundle(spec.Bundle)
	}
	c.infeasible = !slices.ContainsFunc(c.ledgers, func(l *resource.Ledger) bool { _, never := l.Infeasible(spec.Shape); return !never })
	for i := range spec.Shape.Len() {
		c.size = max(c.size, s.fraction(spec.Shape.At(i)))
	}
	j.ordered = append(j.ordered, c)
	return c
}

// isolated returns the twin of a class whose tasks run alone in a process.
func (s *Scheduler) isolated(c *Class) *Class {
	if c.solo == nil {
		spec := c.spec
		spec.Kind = Isolated
		c.solo = s.newClass(c.job, spec)
		c.solo.alone = true
		c.solo.solo = c.solo
	}
	return c.solo
}

// account moves what a shape of a class needs into its job's held amounts (sign 1) or out of them (-1), and computes its share anew.
func (s *Scheduler) account(c *Class, shape *resource.Shape, sign int64) {
	if c.spec.Pool != nil {
		return
	}
	j := c.job
	for i := range shape.Len() {
		column, amount := shape.At(i)
		j.held[column] += sign * amount
	}
	s.reckon(j)
}

// accountCPU is account for the CPUs of a shape only, which are lent and reclaimed.
func (s *Scheduler) accountCPU(c *Class, shape *resource.Shape, sign int64) {
	if c.spec.Pool != nil {
		return
	}
	j := c.job
	j.held[resource.CPU] += sign * shape.Need(resource.CPU)
	s.reckon(j)
}

func (s *Scheduler) reckon(j *Job) {
	j.share = 0
	for c, held := range j.held {
		if held > 0 {
			j.share = max(j.share, s.fraction(resource.Column(c), held))
		}
	}
}

// shareWith returns the share that a job would have if it held a shape more.
func (s *Scheduler) shareWith(j *Job, shape *resource.Shape) float64 {
	share := j.share
	for i := range shape.Len() {
		c, amount := shape.At(i)
		share = max(share, s.fraction(c, j.held[c]+amount))
	}
	return share
}

// fraction returns what part of a column an amount is. Equal arguments give equal results on every machine: one rounded division.
func (s *Scheduler) fraction(c resource.Column, amount int64) float64 {
	total := s.ledger.Total(c)
	if total == 0 {
		return 0
	}
	return float64(amount) / float64(total)
}
