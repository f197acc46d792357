package state

import (
	"bytes"
	"fmt"
	"testing"

	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"
)

// rig applies commands one at a time, each with the next sequence number, and fails the test on what is not expected.
type rig struct {
	t        *testing.T
	s        *State
	sequence uint64
	now      int64
	changes  []Change
}

func newRig(t *testing.T) *rig {
	t.Helper()
	return &rig{t: t, s: New(0, AllSlots())}
}

func (r *rig) apply(c *mobulav1.Command) *mobulav1.CommandResult {
	r.t.Helper()
	r.sequence++
	c.Sequence = r.sequence
	return r.batch(&mobulav1.Batch{ClientId: id16(200), Commands: []*mobulav1.Command{c}}).GetResults()[0]
}

func (r *rig) batch(b *mobulav1.Batch) *mobulav1.BatchResult {
	r.t.Helper()
	r.now++
	out, err := r.s.Apply(&mobulav1.LogEntry{Version: EntryVersion, TimeUnixNs: r.now, Batches: []*mobulav1.Batch{b}})
	if err != nil {
		r.t.Fatalf("apply: %v", err)
	}
	r.changes = append(r.changes, out.Changes...)
	return out.Results[0]
}

// want applies a command and checks the code of its result.
func (r *rig) want(code mobulav1.ResultCode, c *mobulav1.Command) *mobulav1.CommandResult {
	r.t.Helper()
	got := r.apply(c)
	if got.GetCode() != code {
		r.t.Fatalf("%v: %v %q, want %v", c, got.GetCode(), got.GetMessage(), code)
	}
	return got
}

func (r *rig) ok(c *mobulav1.Command) *mobulav1.CommandResult {
	r.t.Helper()
	return r.want(mobulav1.ResultCode_RESULT_CODE_OK, c)
}

func (r *rig) get(key *mobulav1.RecordKey) *mobulav1.Record {
	r.t.Helper()
	record, err := r.s.View().Get(key)
	if err != nil {
		r.t.Fatalf("get %v: %v", key, err)
	}
	return record
}

func (r *rig) actor(n int) *mobulav1.ActorRecord {
	r.t.Helper()
	return r.get(&mobulav1.RecordKey{Table: mobulav1.Table_TABLE_ACTORS, Id: id16(n)}).GetActor()
}

func (r *rig) job(n int) *mobulav1.JobRecord {
	r.t.Helper()
	return r.get(&mobulav1.RecordKey{Table: mobulav1.Table_TABLE_JOBS, Id: id16(n)}).GetJob()
}

func (r *rig) name(name string) *mobulav1.NameRecord {
	r.t.Helper()
	return r.get(nameKey("ns", name)).GetName()
}

func (r *rig) effects(node int) []*mobulav1.Effect {
	var es []*mobulav1.Effect
	for e := range r.s.View().Effects(id16(node), 0) {
		es = append(es, e)
	}
	return es
}

func id16(n int) []byte { return []byte(fmt.Sprintf("%016d", n)) }

func ref(n int, epoch uint64) *mobulav1.NodeRef {
	return &mobulav1.NodeRef{NodeId: id16(n), Epoch: epoch}
}

func cause(kind mobulav1.CauseKind) *mobulav1.Cause {
	return &mobulav1.Cause{Kind: kind, Message: "because"}
}

func register(n int, epoch uint64) *mobulav1.Command {
	return &mobulav1.Command{Kind: &mobulav1.Command_RegisterNode{RegisterNode: &mobulav1.RegisterNode{Ref: ref(n, epoch), Address: "addr"}}}
}

func nodeDead(n int, epoch uint64) *mobulav1.Command {
	return &mobulav1.Command{Kind: &mobulav1.Command_MarkNodeDead{MarkNodeDead: &mobulav1.MarkNodeDead{
		Ref: ref(n, epoch), Cause: cause(mobulav1.CauseKind_CAUSE_KIND_CRASHED),
	}}}
}

func drain(n int) *mobulav1.Command {
	return &mobulav1.Command{Kind: &mobulav1.Command_DrainNode{DrainNode: &mobulav1.DrainNode{Ref: ref(n, 0), Reason: "update"}}}
}

func startJob(job, node int, epoch uint64) *mobulav1.Command {
	return &mobulav1.Command{Kind: &mobulav1.Command_StartJob{StartJob: &mobulav1.StartJob{
		JobId: id16(job), Namespace: "ns", Program: "p", Node: ref(node, epoch),
	}}}
}

func finishJob(job int) *mobulav1.Command {
	return &mobulav1.Command{Kind: &mobulav1.Command_FinishJob{FinishJob: &mobulav1.FinishJob{
		JobId: id16(job), Status: mobulav1.JobStatus_JOB_STATUS_SUCCEEDED, Cause: cause(mobulav1.CauseKind_CAUSE_KIND_EXITED),
	}}}
}

func createActor(actor, job, node int, epoch uint64, name string) *mobulav1.CreateActor {
	c := &mobulav1.CreateActor{ActorId: id16(actor), JobId: id16(job), Class: "C", Name: name, Node: ref(node, epoch)}
	if name != "" {
		c.Namespace = "ns"
	}
	return c
}

func create(c *mobulav1.CreateActor) *mobulav1.Command {
	return &mobulav1.Command{Kind: &mobulav1.Command_CreateActor{CreateActor: c}}
}

func actorAlive(actor int, incarnation uint32, node int, epoch uint64) *mobulav1.Command {
	return &mobulav1.Command{Kind: &mobulav1.Command_MarkActorAlive{MarkActorAlive: &mobulav1.MarkActorAlive{
		ActorId: id16(actor), Incarnation: incarnation, Node: ref(node, epoch), WorkerId: id16(300), Pid: 7,
	}}}
}

func actorDead(actor int, incarnation uint32, kind mobulav1.CauseKind) *mobulav1.Command {
	return &mobulav1.Command{Kind: &mobulav1.Command_MarkActorDead{MarkActorDead: &mobulav1.MarkActorDead{
		ActorId: id16(actor), Incarnation: incarnation, Cause: cause(kind),
	}}}
}

func endActor(actor int, noRestart bool) *mobulav1.Command {
	return &mobulav1.Command{Kind: &mobulav1.Command_EndActor{EndActor: &mobulav1.EndActor{ActorId: id16(actor), NoRestart: noRestart, Reason: "enough"}}}
}

func putKey(key, value string) *mobulav1.Command {
	return &mobulav1.Command{Kind: &mobulav1.Command_PutKey{PutKey: &mobulav1.PutKey{Namespace: "ns", Key: key, Value: []byte(value)}}}
}

func putLineage(job int, tasks ...int) *mobulav1.Command {
	c := &mobulav1.PutLineage{}
	for _, task := range tasks {
		c.Records = append(c.Records, &mobulav1.LineageRecord{TaskId: id16(task), JobId: id16(job), Spec: []byte("spec")})
	}
	return &mobulav1.Command{Kind: &mobulav1.Command_PutLineage{PutLineage: c}}
}

func setLimits(change func(*mobulav1.StateLimits)) *mobulav1.Command {
	l := DefaultLimits()
	change(l)
	return &mobulav1.Command{Kind: &mobulav1.Command_SetLimits{SetLimits: &mobulav1.SetLimits{Limits: l}}}
}

const (
	codeOK       = mobulav1.ResultCode_RESULT_CODE_OK
	codeInvalid  = mobulav1.ResultCode_RESULT_CODE_INVALID_ARGUMENT
	codeNotFound = mobulav1.ResultCode_RESULT_CODE_NOT_FOUND
	codeExists   = mobulav1.ResultCode_RESULT_CODE_ALREADY_EXISTS
	codeConflict = mobulav1.ResultCode_RESULT_CODE_CONFLICT
	codeStale    = mobulav1.ResultCode_RESULT_CODE_STALE
	codeEnded    = mobulav1.ResultCode_RESULT_CODE_ENDED
	codeLimit    = mobulav1.ResultCode_RESULT_CODE_LIMIT_EXCEEDED
	codeShard    = mobulav1.ResultCode_RESULT_CODE_WRONG_SHARD
	codeForgot   = mobulav1.ResultCode_RESULT_CODE_FORGOTTEN

	crashed = mobulav1.CauseKind_CAUSE_KIND_CRASHED
	exited  = mobulav1.CauseKind_CAUSE_KIND_EXITED
)

// restore returns a rig whose state went through a snapshot.
func (r *rig) restore() *rig {
	r.t.Helper()
	var buf bytes.Buffer
	if err := r.s.View().WriteSnapshot(&buf); err != nil {
		r.t.Fatal(err)
	}
	s, err := Restore(&buf)
	if err != nil {
		r.t.Fatal(err)
	}
	return &rig{t: r.t, s: s, sequence: r.sequence, now: r.now}
}
