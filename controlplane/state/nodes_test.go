package state

import (
	"bytes"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"
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
