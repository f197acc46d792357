package state

import (
	"testing"

	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"
)

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
