package state

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"
)

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
