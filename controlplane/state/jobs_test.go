package state

import (
	"fmt"
	"testing"

	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"
)

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
