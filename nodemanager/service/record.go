package service

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

const (
	// recordBatch is how many commands go to the control plane in one batch.
	recordBatch = 1024
	// recordQueue is how many may wait: beyond it what is only for the record is dropped, and what somebody waits for is refused.
	recordQueue = 64 << 10
	// recordTimeout bounds one try of a batch.
	recordTimeout = 5 * time.Second
	// recordRetry is the pause between tries, doubled up to recordRetryMax.
	recordRetry, recordRetryMax = 20 * time.Millisecond, 2 * time.Second
)

// recorder tells the control plane what happens, in order, in batches. Its queue is guarded by the node's mu; one goroutine sends.
// A batch is tried until it is answered: commands carry numbers, by which the control plane knows those that it has applied.
type recorder struct {
	client   mobulav1.ControlPlaneServiceClient
	clientID [16]byte
	sequence uint64
	queue    []record
	dropped  uint64
	trouble  string // why the batch that is being tried was not answered yet; empty when nothing is wrong
	kick     chan struct{}
}

// record is one command and who waits for its result.
type record struct {
	command *mobulav1.Command
	// done is called under the node's lock; nil when nobody waits.
	done func(*mobulav1.CommandResult, *mobulav1.ErrorValue)
}

func (r *recorder) init(client mobulav1.ControlPlaneServiceClient) {
	r.client = client
	_, _ = rand.Read(r.clientID[:]) // never fails: crypto/rand ends the process instead
	r.kick = make(chan struct{}, 1)
}

// record queues a command.
func (n *Node) record(c *mobulav1.Command, done func(*mobulav1.CommandResult, *mobulav1.ErrorValue)) {
	r := &n.recorder
	if len(r.queue) >= recordQueue {
		r.dropped++
		if done != nil {
			done(nil, &mobulav1.ErrorValue{
				Kind: mobulav1.ErrorKind_ERROR_KIND_UNAVAILABLE, Execution: mobulav1.Execution_EXECUTION_NOT_EXECUTED,
				Message: fmt.Sprintf("%d commands wait for the control plane", len(r.queue)),
			})
		}
		return
	}
	r.sequence++
	c.Sequence = r.sequence
	r.queue = append(r.queue, record{command: c, done: done})
	select {
	case r.kick <- struct{}{}:
	default:
	}
}

// runRecorder sends what is queued until the node closes.
func (n *Node) runRecorder() {
	for {
		select {
		case <-n.recorder.kick:
		case <-n.ctx.Done():
			return
		}
		for {
			n.mu.Lock()
			batch := n.recorder.queue
			if len(batch) > recordBatch {
				batch = batch[:recordBatch]
			}
			n.recorder.queue = n.recorder.queue[len(batch):]
			n.mu.Unlock()
			if len(batch) == 0 {
				break
			}
			n.sendRecords(batch)
		}
	}
}

// sendRecords sends one batch and hands out its results.
func (n *Node) sendRecords(batch []record) {
	m := &mobulav1.Batch{ClientId: n.recorder.clientID[:], Acked: batch[0].command.GetSequence() - 1}
	for _, r := range batch {
		m.Commands = append(m.Commands, r.command)
	}
	results, failed := n.applyCommands(m)
	n.locked(func() {
		n.recorder.trouble = ""
		for i, r := range batch {
			var result *mobulav1.CommandResult
			if failed == nil {
				result = results[i]
			}
			switch {
			case r.done != nil:
				r.done(result, failed)
			case result != nil && result.GetCode() != mobulav1.ResultCode_RESULT_CODE_OK:
				n.log.Debug("control plane refused a record", "command", fmt.Sprintf("%T", r.command.GetKind()), "code", result.GetCode(), "message", result.GetMessage())
			}
		}
	})
}

// applyCommands tries a batch until the control plane answers it or the node closes.
func (n *Node) applyCommands(m *mobulav1.Batch) ([]*mobulav1.CommandResult, *mobulav1.ErrorValue) {
	pause := recordRetry
	for {
		ctx, cancel := context.WithTimeout(n.ctx, recordTimeout)
		resp, err := n.recorder.client.ApplyCommands(ctx, &mobulav1.ApplyCommandsRequest{Batch: m})
		cancel()
		switch {
		case err == nil && len(resp.GetResult().GetResults()) == len(m.GetCommands()):
			return resp.GetResult().GetResults(), nil
		case err == nil:
			err = errors.New("the control plane gave fewer results than it got commands")
		case n.ctx.Err() != nil:
			return nil, &mobulav1.ErrorValue{Kind: mobulav1.ErrorKind_ERROR_KIND_UNAVAILABLE, Message: "the node is shutting down"}
		case retryable(err):
			n.log.Warn("control plane does not answer; trying again", "error", err, "commands", len(m.GetCommands()))
			n.mu.Lock()
			n.recorder.trouble = status.Convert(err).Message()
			n.mu.Unlock()
			select {
			case <-time.After(pause):
			case <-n.ctx.Done():
			}
			pause = min(2*pause, recordRetryMax)
			continue
		}
		n.log.Error("control plane refused a batch", "error", err)
		return nil, &mobulav1.ErrorValue{Kind: mobulav1.ErrorKind_ERROR_KIND_INTERNAL, Message: "control plane: " + err.Error()}
	}
}

// unanswered is the outcome of what waited for the control plane in vain. It needs mu.
func (n *Node) unanswered() *mobulav1.ErrorValue {
	e := &mobulav1.ErrorValue{
		Kind: mobulav1.ErrorKind_ERROR_KIND_UNAVAILABLE, Message: "the control plane did not answer in time",
		Execution: mobulav1.Execution_EXECUTION_MAY_HAVE_EXECUTED,
	}
	if n.recorder.trouble != "" {
		e.Message += ": " + n.recorder.trouble
	}
	return e
}

// retryable reports whether the same batch may succeed later.
func retryable(err error) bool {
	switch status.Code(err) {
	case codes.Unavailable, codes.DeadlineExceeded, codes.Aborted, codes.ResourceExhausted, codes.Canceled, codes.Unknown:
		return true
	default:
		return false
	}
}

// nodeRef names this life of the node.
func (n *Node) nodeRef() *mobulav1.NodeRef {
	return &mobulav1.NodeRef{NodeId: n.id[:], Epoch: n.cfg.Epoch}
}

// recordNode registers this life of the node.
func (n *Node) recordNode() {
	m := &mobulav1.RegisterNode{
		Ref: n.nodeRef(), Address: n.cfg.Address, Hostname: n.cfg.Hostname, Build: n.cfg.Build, Pid: int32(n.cfg.PID),
	}
	l := n.sched.Ledger()
	for c := range l.Columns() {
		column := columnOf(c)
		m.Resources = append(m.Resources, &mobulav1.Quantity{Name: l.Name(column), Units: l.Total(column)})
	}
	slices.SortFunc(m.Resources, func(a, b *mobulav1.Quantity) int { return strings.Compare(a.GetName(), b.GetName()) })
	n.record(&mobulav1.Command{Kind: &mobulav1.Command_RegisterNode{RegisterNode: m}}, nil)
}

func (n *Node) recordJobStart(j *job, pid int32) {
	n.record(&mobulav1.Command{Kind: &mobulav1.Command_StartJob{StartJob: &mobulav1.StartJob{
		JobId: j.id[:], Namespace: j.namespace, Program: j.program, Language: j.language, Pid: pid, Node: n.nodeRef(),
	}}}, nil)
	if len(j.functions) == 0 {
		return
	}
	functions := &mobulav1.PutFunctions{}
	for name, fingerprint := range j.functions {
		functions.Functions = append(functions.Functions, &mobulav1.FunctionRecord{JobId: j.id[:], Name: name, Fingerprint: fingerprint, Language: j.language})
	}
	slices.SortFunc(functions.Functions, func(a, b *mobulav1.FunctionRecord) int { return strings.Compare(a.GetName(), b.GetName()) })
	n.record(&mobulav1.Command{Kind: &mobulav1.Command_PutFunctions{PutFunctions: functions}}, nil)
}

// recordJobEnd records how a job ended. The control plane ends its actors with it.
func (n *Node) recordJobEnd(j *job, cause error) {
	m := &mobulav1.FinishJob{
		JobId: j.id[:], Status: mobulav1.JobStatus_JOB_STATUS_SUCCEEDED, Cause: &mobulav1.Cause{Kind: mobulav1.CauseKind_CAUSE_KIND_EXITED, Message: "the driver ended in order"},
	}
	if cause != nil {
		m.Status = mobulav1.JobStatus_JOB_STATUS_FAILED
		m.Cause = &mobulav1.Cause{Kind: mobulav1.CauseKind_CAUSE_KIND_CRASHED, Message: "driver lost: " + cause.Error(), Node: n.nodeRef()}
	}
	n.record(&mobulav1.Command{Kind: &mobulav1.Command_FinishJob{FinishJob: m}}, nil)
}

// recordActor records that an actor is being made; done hears the answer.
func (n *Node) recordActor(a *actor, done func(*mobulav1.CommandResult, *mobulav1.ErrorValue)) {
	o := a.tmpl.options
	m := &mobulav1.CreateActor{
		ActorId: a.id[:], JobId: a.job.id[:], Class: a.tmpl.frame.GetClass(), MaxRestarts: o.GetMaxRestarts(), Node: n.nodeRef(),
		Detached: a.detached(),
	}
	if a.name != "" {
		m.Name, m.Namespace, m.GetIfExists = a.name, a.namespace, o.GetGetIfExists()
	}
	n.record(&mobulav1.Command{Kind: &mobulav1.Command_CreateActor{CreateActor: m}}, done)
}

func (n *Node) recordAlive(a *actor) {
	n.record(&mobulav1.Command{Kind: &mobulav1.Command_MarkActorAlive{MarkActorAlive: &mobulav1.MarkActorAlive{
		ActorId: a.id[:], Incarnation: a.incarnation, Node: n.nodeRef(), WorkerId: a.worker.id[:], Pid: a.worker.pid(),
	}}}, nil)
}

// recordDeath records the end of an incarnation; final when no other follows.
func (n *Node) recordDeath(a *actor, cause *mobulav1.ErrorValue, final bool) {
	if a.job.ended {
		return // its record ended with the job
	}
	n.record(&mobulav1.Command{Kind: &mobulav1.Command_MarkActorDead{MarkActorDead: &mobulav1.MarkActorDead{
		ActorId: a.id[:], Incarnation: a.incarnation, NoRestart: final,
		Cause: &mobulav1.Cause{Kind: mobulav1.CauseKind_CAUSE_KIND_CRASHED, Message: cause.GetMessage(), Node: n.nodeRef()},
	}}}, nil)
}

// runEffects carries out what the control plane wants of this node, until the node closes.
func (n *Node) runEffects() {
	pause := recordRetry
	for n.ctx.Err() == nil {
		err := n.watchEffects(func() { pause = recordRetry })
		if n.ctx.Err() != nil {
			return
		}
		if status.Code(err) != codes.FailedPrecondition { // not registered yet
			n.log.Debug("stream of effects ended; opening it again", "error", err)
		}
		select {
		case <-time.After(pause):
		case <-n.ctx.Done():
		}
		pause = min(2*pause, recordRetryMax)
	}
}

func (n *Node) watchEffects(progress func()) error {
	stream, err := n.recorder.client.WatchEffects(n.ctx, &mobulav1.WatchEffectsRequest{Node: n.nodeRef()})
	if err != nil {
		return err
	}
	for {
		m, err := stream.Recv()
		if err != nil {
			return err
		}
		progress()
		n.locked(func() {
			last := uint64(0)
			for _, e := range m.GetEffects() {
				n.carryOut(e)
				last = e.GetId()
			}
			n.record(&mobulav1.Command{Kind: &mobulav1.Command_AckEffects{AckEffects: &mobulav1.AckEffects{Node: n.nodeRef(), Through: last}}}, nil)
		})
	}
}

// carryOut does what an effect asks for; it may come more than once.
func (n *Node) carryOut(e *mobulav1.Effect) {
	switch k := e.GetKind().(type) {
	case *mobulav1.Effect_EndActor:
		if len(k.EndActor.GetActorId()) != 16 {
			return
		}
		if a := n.actors[[16]byte(k.EndActor.GetActorId())]; a != nil && a.incarnation == k.EndActor.GetIncarnation() {
			n.endActor(a, &mobulav1.ErrorValue{Message: fmt.Sprintf("actor %s was ended: %s", a, k.EndActor.GetReason())}, true)
		}
	case *mobulav1.Effect_EndJob:
		if len(k.EndJob.GetJobId()) != 16 {
			return
		}
		if j := n.jobs[[16]byte(k.EndJob.GetJobId())]; j != nil && j.driver != nil {
			j.driver.conn.Fail(errors.New("the control plane ended the job"))
		}
	case *mobulav1.Effect_Drain:
		n.draining = k.Drain.GetReason()
	}
}
