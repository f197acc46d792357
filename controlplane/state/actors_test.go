package state

import (
	"bytes"
	"testing"

	"google.golang.org/protobuf/proto"

	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"
)

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
