package state

import (
	"errors"
	"strings"
	"testing"

	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"
)

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
