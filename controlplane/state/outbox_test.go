package state

import (
	"testing"

	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"
)

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
