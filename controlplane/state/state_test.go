package state

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

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

func TestRestartOfANodeReportsWhatDiedWithIt(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	if got := r.ok(register(1, 0)).GetEpoch(); got != 1 {
		t.Fatalf("first epoch is %d", got)
	}
	r.ok(startJob(10, 1, 1))
	r.ok(startJob(11, 1, 1))
	r.ok(finishJob(11))
	detached := createActor(20, 10, 1, 1, "held")
	detached.Detached, detached.MaxRestarts = true, -1
	r.ok(create(detached))
	r.ok(actorAlive(20, 1, 1, 1))
	r.ok(putKey("k", "v"))

	if got := r.ok(register(1, 0)).GetEpoch(); got != 2 {
		t.Fatalf("epoch after the restart is %d", got)
	}
	job, actor := r.job(10), r.actor(20)
	if job.GetStatus() != mobulav1.JobStatus_JOB_STATUS_FAILED || job.GetCause().GetKind() != mobulav1.CauseKind_CAUSE_KIND_NODE_LOST {
		t.Errorf("running job is %v", job)
	}
	if actor.GetStatus() != mobulav1.ActorStatus_ACTOR_STATUS_DEAD || !proto.Equal(actor.GetCause().GetNode(), ref(1, 1)) {
		t.Errorf("actor is %v", actor)
	}
	if got := r.job(11).GetStatus(); got != mobulav1.JobStatus_JOB_STATUS_SUCCEEDED {
		t.Errorf("job that had ended is %v", got)
	}
	if got := string(r.get(&mobulav1.RecordKey{Table: mobulav1.Table_TABLE_KEYS, Namespace: "ns", Name: "k"}).GetKey().GetValue()); got != "v" {
		t.Errorf("key is %q", got)
	}
	// The name still leads to the dead actor, and may be claimed.
	if got := r.name("held"); !bytes.Equal(got.GetActorId(), id16(20)) || !strings.Contains(got.GetActor().GetCause().GetMessage(), "epoch 1 was lost") {
		t.Errorf("name leads to %v", got)
	}
	r.ok(startJob(12, 1, 2))
	r.ok(create(createActor(21, 12, 1, 2, "held")))
	if got := r.name("held"); !bytes.Equal(got.GetActorId(), id16(21)) {
		t.Errorf("claimed name leads to %v", got)
	}
	// Whoever still speaks for the old life is told so.
	for _, zombie := range []*mobulav1.Command{register(1, 1), startJob(13, 1, 1), nodeDead(1, 1)} {
		if got := r.want(codeStale, zombie); got.GetEpoch() != 2 {
			t.Errorf("zombie learns epoch %d", got.GetEpoch())
		}
	}
}

func TestNameBelongsToOneLivingActor(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.ok(register(1, 1))
	r.ok(startJob(10, 1, 1))
	r.ok(create(createActor(20, 10, 1, 1, "n")))
	if got := r.want(codeExists, create(createActor(21, 10, 1, 1, "n"))); !bytes.Equal(got.GetActorId(), id16(20)) {
		t.Errorf("refusal names actor %s", got.GetActorId())
	}
	if r.actor(21) != nil {
		t.Error("actor exists without its name")
	}
	getIfExists := createActor(21, 10, 1, 1, "n")
	getIfExists.GetIfExists = true
	if got := r.ok(create(getIfExists)); !got.GetExisted() || !bytes.Equal(got.GetActorId(), id16(20)) {
		t.Errorf("get_if_exists: %v", got)
	}
	r.ok(actorDead(20, 1, exited))
	if got := r.name("n"); got != nil {
		t.Errorf("name of a dead actor leads to %v", got)
	}
	if got := r.ok(create(proto.CloneOf(getIfExists))); got.GetExisted() || !bytes.Equal(got.GetActorId(), id16(21)) {
		t.Errorf("get_if_exists of a free name: %v", got)
	}
}

func TestDetachedActorOutlivesItsJob(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.ok(register(1, 1))
	r.ok(startJob(10, 1, 1))
	detached := createActor(20, 10, 1, 1, "kept")
	detached.Detached = true
	r.ok(create(detached))
	r.ok(create(createActor(21, 10, 1, 1, "lost")))
	r.ok(finishJob(10))
	if got := r.actor(20).GetStatus(); got != mobulav1.ActorStatus_ACTOR_STATUS_PENDING || r.name("kept") == nil {
		t.Errorf("detached actor is %v", got)
	}
	if got := r.actor(21); got.GetCause().GetKind() != mobulav1.CauseKind_CAUSE_KIND_JOB_ENDED || r.name("lost") != nil {
		t.Errorf("actor of the job is %v", got)
	}
	r.want(codeEnded, create(createActor(22, 10, 1, 1, "")))
}

func TestIncarnationsFenceZombies(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.ok(register(1, 1))
	r.ok(startJob(10, 1, 1))
	c := createActor(20, 10, 1, 1, "")
	c.MaxRestarts = 1
	r.ok(create(c))
	r.ok(actorAlive(20, 1, 1, 1))
	r.ok(actorAlive(20, 1, 1, 1)) // Said twice.
	if got := r.ok(actorDead(20, 1, crashed)); got.GetIncarnation() != 2 {
		t.Fatalf("incarnation after a crash is %d", got.GetIncarnation())
	}
	if got := r.actor(20); got.GetStatus() != mobulav1.ActorStatus_ACTOR_STATUS_RESTARTING || got.GetRestarts() != 1 || len(got.GetWorkerId()) != 0 {
		t.Fatalf("restarting actor is %v", got)
	}
	r.want(codeStale, actorAlive(20, 1, 1, 1))
	r.want(codeStale, actorDead(20, 1, crashed))
	r.want(codeInvalid, actorAlive(20, 3, 1, 1))
	r.ok(actorAlive(20, 2, 1, 1))
	r.ok(actorDead(20, 2, crashed))
	if got := r.actor(20); got.GetStatus() != mobulav1.ActorStatus_ACTOR_STATUS_DEAD {
		t.Fatalf("actor without restarts left is %v", got)
	}
	r.want(codeEnded, actorAlive(20, 2, 1, 1))
}

func TestEffectsWaitUntilAcknowledgedOrMoot(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.ok(register(1, 1))
	r.ok(register(2, 1))
	r.ok(startJob(10, 1, 1))
	r.ok(create(createActor(20, 10, 1, 1, "n")))
	r.ok(endActor(20, true))
	r.ok(drain(2))
	r.ok(drain(2)) // Said twice.
	r.ok(finishJob(10))
	if one, two := r.effects(1), r.effects(2); len(one) != 2 || one[0].GetEndActor() == nil || one[1].GetEndJob() == nil ||
		len(two) != 2 || two[0].GetDrain() == nil || two[1].GetEndJob() == nil {
		t.Fatalf("effects: %v, %v", one, two)
	}
	if r.name("n") != nil {
		t.Error("killed actor keeps its name")
	}
	ack := func(node int, through uint64) *mobulav1.Command {
		return &mobulav1.Command{Kind: &mobulav1.Command_AckEffects{AckEffects: &mobulav1.AckEffects{Node: ref(node, 1), Through: through}}}
	}
	r.ok(ack(1, r.effects(1)[0].GetId()))
	r.ok(ack(1, r.effects(1)[0].GetId()-1)) // An older one, late.
	if one, two := r.effects(1), r.effects(2); len(one) != 1 || len(two) != 2 {
		t.Fatalf("after the acknowledgement: %v, %v", one, two)
	}
	restored := r.restore()
	if got := restored.effects(1); len(got) != 1 || got[0].GetEndJob() == nil {
		t.Fatalf("after a restore: %v", got)
	}
	r.ok(nodeDead(2, 1))
	if got := r.effects(2); len(got) != 0 {
		t.Fatalf("effects of a dead node: %v", got)
	}
	r.want(codeEnded, ack(2, 1))
}

func TestEffectsAreBounded(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.ok(setLimits(func(l *mobulav1.StateLimits) { l.Effects = 1 }))
	r.ok(register(1, 1))
	r.ok(register(2, 1))
	r.ok(startJob(10, 1, 1))
	r.ok(drain(1))
	revision := r.s.Revision()
	r.want(codeLimit, drain(2))
	r.want(codeLimit, finishJob(10))
	if r.job(10).GetStatus() != mobulav1.JobStatus_JOB_STATUS_RUNNING || r.s.Revision() != revision {
		t.Error("a refused command changed something")
	}
	r.ok(nodeDead(1, 1)) // Never refused.
}

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

func TestCompareAndSetIsSafeAcrossDeletion(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	put := func(condition mobulav1.PutKey_Condition, version uint64) *mobulav1.Command {
		return &mobulav1.Command{Kind: &mobulav1.Command_PutKey{PutKey: &mobulav1.PutKey{
			Namespace: "ns", Key: "k", Value: []byte("v"), Condition: condition, Version: version,
		}}}
	}
	remove := func(version uint64) *mobulav1.Command {
		return &mobulav1.Command{Kind: &mobulav1.Command_DeleteKey{DeleteKey: &mobulav1.DeleteKey{Namespace: "ns", Key: "k", Version: version}}}
	}
	r.want(codeNotFound, put(mobulav1.PutKey_CONDITION_VERSION, 1))
	v1 := r.ok(put(mobulav1.PutKey_CONDITION_ABSENT, 0)).GetVersion()
	if got := r.want(codeExists, put(mobulav1.PutKey_CONDITION_ABSENT, 0)).GetVersion(); got != v1 {
		t.Errorf("refusal names version %d, want %d", got, v1)
	}
	r.ok(remove(v1))
	r.want(codeNotFound, remove(0))
	v2 := r.ok(put(mobulav1.PutKey_CONDITION_ABSENT, 0)).GetVersion()
	if v2 <= v1 {
		t.Errorf("version %d after %d", v2, v1)
	}
	if got := r.want(codeConflict, put(mobulav1.PutKey_CONDITION_VERSION, v1)).GetVersion(); got != v2 {
		t.Errorf("conflict names version %d, want %d", got, v2)
	}
	r.want(codeConflict, remove(v1))
	r.ok(put(mobulav1.PutKey_CONDITION_VERSION, v2))
}

func TestBytesOfKeysAndLineageAreBounded(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.ok(setLimits(func(l *mobulav1.StateLimits) { l.KeyBytes, l.LineageBytes = 20, 3*lineageOverhead }))
	r.ok(putKey("a", "0123456789"))
	r.want(codeLimit, putKey("b", "0123456789"))
	r.ok(putKey("a", "01"))
	r.ok(putKey("b", "0123456789"))
	r.ok(register(1, 1))
	r.ok(startJob(10, 1, 1))
	r.ok(putLineage(10, 1, 2))
	r.ok(putLineage(10, 1, 2)) // Nothing new.
	r.want(codeLimit, putLineage(10, 3, 4))
	if got := r.s.View().Counts()[mobulav1.Table_TABLE_LINEAGE-1]; got != 2 {
		t.Errorf("%d lineage records: a refused command left some", got)
	}
	r.ok(&mobulav1.Command{Kind: &mobulav1.Command_DeleteLineage{DeleteLineage: &mobulav1.DeleteLineage{TaskIds: append(id16(1), id16(9)...)}}})
	r.ok(putLineage(10, 3))
}

func TestLineageOfAnEndedJobIsSwept(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.ok(register(1, 1))
	r.ok(startJob(10, 1, 1))
	r.ok(startJob(11, 1, 1))
	r.ok(startJob(12, 1, 1))
	r.ok(putLineage(11, 1))
	r.ok(putLineage(12, 2, 3))
	const many = 3*sweepPerEntry + 5
	for task := 1000; task < 1000+many; task += MaxBatch {
		var tasks []int
		for i := task; i < min(task+MaxBatch, 1000+many); i++ {
			tasks = append(tasks, i)
		}
		r.ok(putLineage(10, tasks...))
	}
	r.ok(finishJob(10))
	r.ok(finishJob(12))
	r.want(codeEnded, putLineage(10, 4))
	r = r.restore() // A sweep goes on after a restart.
	for range 3 {
		r.ok(putKey("k", "v"))
	}
	if got := r.s.View().Counts()[mobulav1.Table_TABLE_LINEAGE-1]; got != 1 || r.s.sweeping != "" || r.s.lineageByJob.len() != 1 {
		t.Errorf("%d lineage records are left, want that of the other job", got)
	}
}

func TestWhatHasEndedIsBounded(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.ok(setLimits(func(l *mobulav1.StateLimits) { l.DeadNodes, l.EndedJobs, l.DeadActors = 1, 2, 3 }))
	for i := 1; i <= 5; i++ {
		r.ok(register(i, 1))
		r.ok(startJob(10+i, i, 1))
		r.ok(&mobulav1.Command{Kind: &mobulav1.Command_PutFunctions{PutFunctions: &mobulav1.PutFunctions{
			Functions: []*mobulav1.FunctionRecord{{JobId: id16(10 + i), Name: "f", Fingerprint: 1}},
		}}})
		r.ok(create(createActor(20+i, 10+i, i, 1, fmt.Sprintf("n%d", i))))
		r.ok(nodeDead(i, 1))
	}
	got := r.s.View().Counts()
	for i, want := range []uint64{1, 2, 3, 3, 2} { // Nodes, jobs, actors, names of dead actors, functions of jobs.
		if got[i] != want {
			t.Errorf("%v has %d records, want %d", mobulav1.Table(i+1), got[i], want)
		}
	}
	if r.name("n2") != nil || r.name("n3") == nil || r.job(13) != nil || r.job(14) == nil {
		t.Error("the newest are not those that were kept")
	}
}

func TestFunctionsOfAJobDoNotChange(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.ok(setLimits(func(l *mobulav1.StateLimits) { l.FunctionsPerJob = 2 }))
	r.ok(register(1, 1))
	r.ok(startJob(10, 1, 1))
	put := func(fs ...*mobulav1.FunctionRecord) *mobulav1.Command {
		for _, f := range fs {
			f.JobId = id16(10)
		}
		return &mobulav1.Command{Kind: &mobulav1.Command_PutFunctions{PutFunctions: &mobulav1.PutFunctions{Functions: fs}}}
	}
	r.ok(put(&mobulav1.FunctionRecord{Name: "f", Fingerprint: 1}, &mobulav1.FunctionRecord{Name: "f", Fingerprint: 1}))
	r.want(codeConflict, put(&mobulav1.FunctionRecord{Name: "g", Fingerprint: 1}, &mobulav1.FunctionRecord{Name: "f", Fingerprint: 2}))
	r.want(codeConflict, put(&mobulav1.FunctionRecord{Name: "h", Fingerprint: 1}, &mobulav1.FunctionRecord{Name: "h", Fingerprint: 2}))
	r.want(codeLimit, put(&mobulav1.FunctionRecord{Name: "g", Fingerprint: 1}, &mobulav1.FunctionRecord{Name: "h", Fingerprint: 1}))
	if got := r.s.View().Counts()[mobulav1.Table_TABLE_FUNCTIONS-1]; got != 1 {
		t.Errorf("%d functions, want 1", got)
	}
}

func TestRequestIDsAreAppliedOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	numbered := func(sequence uint64, c *mobulav1.Command) *mobulav1.Command {
		c = proto.CloneOf(c)
		c.Sequence = sequence
		return c
	}
	send := func(client int, acked uint64, commands ...*mobulav1.Command) []*mobulav1.CommandResult {
		return r.batch(&mobulav1.Batch{ClientId: id16(client), Acked: acked, Commands: commands}).GetResults()
	}
	first := send(1, 0, numbered(1, register(1, 0)), numbered(3, putKey("k", "1")))
	again := send(1, 0, numbered(3, putKey("k", "ignored")), numbered(1, register(1, 0)), numbered(2, putKey("late", "x")))
	if !proto.Equal(again[0], first[1]) || !proto.Equal(again[1], first[0]) {
		t.Errorf("repeated: %v, first: %v", again, first)
	}
	if again[2].GetCode() != codeOK {
		t.Errorf("a command that overtook another is %v", again[2])
	}
	if got := send(2, 0, numbered(1, register(1, 0)))[0].GetEpoch(); got != 2 {
		t.Errorf("the same number of another client gives epoch %d", got)
	}
	r = r.restore()
	if again := send(1, 0, numbered(1, register(1, 0))); !proto.Equal(again[0], first[0]) {
		t.Errorf("repeated after a restore: %v", again)
	}
	send(1, 2)
	if got := send(1, 0, numbered(2, putKey("late", "y")))[0].GetCode(); got != codeForgot {
		t.Errorf("below what was acknowledged: %v", got)
	}
	if got := send(1, 0, numbered(3, putKey("k", "y")))[0]; !proto.Equal(got, first[1]) {
		t.Errorf("above what was acknowledged: %v", got)
	}
}

func TestMemoryOfRequestIDsIsBounded(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.ok(setLimits(func(l *mobulav1.StateLimits) { l.Clients, l.ResultsPerClient, l.Results = 3, MaxBatch, MaxBatch+10 }))
	batch := func(client, from, n int) *mobulav1.Batch {
		b := &mobulav1.Batch{ClientId: id16(client)}
		for i := range n {
			c := putKey("k", "v")
			c.Sequence = uint64(from + i)
			b.Commands = append(b.Commands, c)
		}
		return b
	}
	r.batch(batch(1, 1, MaxBatch))
	r.batch(batch(1, MaxBatch+1, 1))
	if got := r.batch(batch(1, 1, 2)).GetResults(); got[0].GetCode() != codeForgot || got[1].GetCode() != codeOK {
		t.Errorf("the oldest result is %v, the one after it %v", got[0].GetCode(), got[1].GetCode())
	}
	for client := 2; client <= 5; client++ {
		r.batch(batch(client, 1, 5))
	}
	if n, results := r.s.clients.len(), r.s.results.len(); n != 3 || results != 15 || r.s.idleClients.len() != 3 {
		t.Errorf("%d clients and %d results are remembered", n, results)
	}
}

func TestUnknownCommandHaltsBeforeAnythingIsApplied(t *testing.T) {
	t.Parallel()
	s := New(0, AllSlots())
	before := s.View().Hash()
	known := putKey("k", "v")
	known.Sequence = 1
	for name, entry := range map[string]*mobulav1.LogEntry{
		"unknown command": {Version: EntryVersion, Batches: []*mobulav1.Batch{{ClientId: id16(1), Commands: []*mobulav1.Command{known, {Sequence: 2}}}}},
		"unknown version": {Version: EntryVersion + 1, Batches: []*mobulav1.Batch{{ClientId: id16(1), Commands: []*mobulav1.Command{known}}}},
	} {
		if _, err := s.Apply(entry); !errors.Is(err, ErrHalt) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if s.View().Hash() != before {
		t.Error("the state changed")
	}
}

func TestSlotsThatAreNotOwnedAreRefused(t *testing.T) {
	t.Parallel()
	slots := AllSlots()
	slots.Remove(SlotOf(id16(20)))
	r := newRig(t)
	r.s = New(3, slots)
	r.ok(register(1, 1))
	r.ok(startJob(10, 1, 1))
	r.want(codeShard, create(createActor(20, 10, 1, 1, "")))
	r.want(codeShard, putLineage(10, 21, 20))
	r.ok(create(createActor(21, 10, 1, 1, "")))
	if got := r.restore().s.View().Slots(); got != slots {
		t.Error("the slots are not in the snapshot")
	}
	object := append(id16(20), 0, 0, 0, 9)
	if SlotOf(object) != SlotOf(id16(20)) {
		t.Error("an object is not in the slot of its task")
	}
}

func TestSlotsAreEven(t *testing.T) {
	t.Parallel()
	var counts [SlotCount]int
	for i := range 256 * 100 {
		id := [16]byte{1, 2, 3, 4, 5, 6, 7, 8, 14: byte(i >> 8), 15: byte(i)} // A random root and a counter.
		counts[SlotOf(id[:])]++
	}
	for slot, n := range counts {
		if n < 50 || n > 200 {
			t.Errorf("slot %d has %d of 25,600 ids, want about 100", slot, n)
		}
	}
}

func TestMalformedCommandsAreRefusedWithASentence(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", MaxName+1)
	r := newRig(t)
	r.ok(register(1, 1))
	r.ok(startJob(10, 1, 1))
	named := createActor(20, 10, 1, 1, "n")
	named.Namespace = "a\x00b"
	lonely := createActor(20, 10, 1, 1, "")
	lonely.GetIfExists = true
	fat := createActor(20, 10, 1, 1, "")
	fat.Spec = make([]byte, MaxActorSpec+1)
	unsorted := register(1, 0)
	unsorted.GetRegisterNode().Labels = []*mobulav1.NodeLabel{{Name: "b"}, {Name: "a"}}
	running := finishJob(10)
	running.GetFinishJob().Status = mobulav1.JobStatus_JOB_STATUS_RUNNING
	cursed := finishJob(10)
	cursed.GetFinishJob().Cause = nil
	for _, c := range []*mobulav1.Command{
		{Kind: &mobulav1.Command_RegisterNode{}},
		{Kind: &mobulav1.Command_RegisterNode{RegisterNode: &mobulav1.RegisterNode{Ref: &mobulav1.NodeRef{NodeId: []byte("short")}}}},
		startJob(11, 1, 0), register(1, MaxEpoch+1), unsorted, running, cursed,
		create(named), create(lonely), create(fat),
		putKey("", "v"), putKey(long, "v"), putKey("\xff", "v"), putKey("k", strings.Repeat("v", MaxValue+1)),
		{Kind: &mobulav1.Command_PutKey{PutKey: &mobulav1.PutKey{Namespace: "ns", Key: "k", Version: 1}}},
		{Kind: &mobulav1.Command_PutFunctions{PutFunctions: &mobulav1.PutFunctions{}}},
		{Kind: &mobulav1.Command_DeleteLineage{DeleteLineage: &mobulav1.DeleteLineage{TaskIds: []byte("odd")}}},
		{Kind: &mobulav1.Command_SetLimits{SetLimits: &mobulav1.SetLimits{}}},
		setLimits(func(l *mobulav1.StateLimits) { l.ResultsPerClient = 1 }),
	} {
		revision := r.s.Revision()
		if got := r.want(codeInvalid, c); got.GetMessage() == "" || r.s.Revision() != revision {
			t.Errorf("%v: %v", c, got)
		}
	}
}

func TestListGoesThroughATableInPages(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for i := range 25 {
		r.ok(putKey(fmt.Sprintf("a%02d", i), "v"))
	}
	r.ok(putKey("b", "v"))
	var got []string
	req := &mobulav1.ListRecordsRequest{
		Prefix:   &mobulav1.RecordKey{Table: mobulav1.Table_TABLE_KEYS, Namespace: "ns", Name: "a"},
		PageSize: 7, KeysOnly: true,
	}
	pages := 0
	for done := false; !done; pages++ {
		records, next, err := r.s.View().List(req)
		if err != nil {
			t.Fatal(err)
		}
		for _, record := range records {
			got = append(got, record.GetKey().GetKey())
			if len(record.GetKey().GetValue()) > 0 {
				t.Error("keys_only has a value")
			}
		}
		req.PageToken, done = next, len(next) == 0
	}
	if len(got) != 25 || got[0] != "a00" || got[24] != "a24" || pages != 4 {
		t.Errorf("%d pages: %v", pages, got)
	}
	for _, bad := range []*mobulav1.ListRecordsRequest{
		{},
		{Prefix: &mobulav1.RecordKey{Table: mobulav1.Table_TABLE_KEYS, Name: "a"}},
		{Prefix: &mobulav1.RecordKey{Table: mobulav1.Table_TABLE_NODES, Name: "a"}},
		{Prefix: &mobulav1.RecordKey{Table: mobulav1.Table_TABLE_JOBS, Id: []byte("short")}},
		{Prefix: &mobulav1.RecordKey{Table: mobulav1.Table_TABLE_KEYS, Namespace: "ns"}, PageToken: []byte("elsewhere")},
	} {
		var invalid *InvalidError
		if _, _, err := r.s.View().List(bad); !errors.As(err, &invalid) {
			t.Errorf("%v: %v", bad, err)
		}
	}
}

func TestListLeavesOutWhatHasEnded(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.ok(register(1, 1))
	r.ok(startJob(10, 1, 1))
	r.ok(startJob(11, 1, 1))
	for i := 20; i < 24; i++ {
		r.ok(create(createActor(i, 10+i%2, 1, 1, "")))
	}
	r.ok(actorDead(20, 1, exited))
	records, _, err := r.s.View().List(&mobulav1.ListRecordsRequest{
		Prefix: &mobulav1.RecordKey{Table: mobulav1.Table_TABLE_ACTORS}, JobId: id16(10), LiveOnly: true,
	})
	if err != nil || len(records) != 1 || !bytes.Equal(records[0].GetActor().GetActorId(), id16(22)) {
		t.Errorf("%v, %v", records, err)
	}
}
