package state

import (
	"testing"

	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"
)

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
