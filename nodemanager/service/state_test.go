package service

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"iter"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"pgregory.net/rapid"

	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"
	"github.com/mobula-dev/mobula/internal/id"
	"github.com/mobula-dev/mobula/nodemanager/ownership"
)

func TestShortlistKeepsWhatSortingAllWouldKeep(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.IntRange(1, 20).Draw(t, "limit")
		keys := rapid.SliceOfN(rapid.Int64Range(-5, 5), 0, 100).Draw(t, "keys")
		list, err := newList(uint32(limit), nil)
		if err != nil {
			t.Fatal(err)
		}
		order := make([]int, len(keys))
		for i, key := range keys {
			order[i] = i
			list.add(key, binary.BigEndian.AppendUint16(nil, uint16(i)), i)
			if rapid.Bool().Draw(t, "pause") {
				list.trim()
			}
		}
		slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(keys[a], keys[b]) })
		list.cut()
		var got []int
		for _, c := range list.kept {
			got = append(got, c.item.(int)) //nolint:errcheck // the test's own
		}
		if want := order[:min(limit, len(order))]; !slices.Equal(got, want) {
			t.Errorf("kept %v, want %v", got, want)
		}
		if list.total != uint64(len(keys)) {
			t.Errorf("total %d of %d", list.total, len(keys))
		}
	})
}

func TestPagesTogetherAreTheWholeList(t *testing.T) {
	t.Parallel()
	n := new(Node)
	rapid.Check(t, func(t *rapid.T) {
		keys := rapid.SliceOfN(rapid.Int64Range(-5, 5), 0, 40).Draw(t, "keys")
		limit := rapid.IntRange(1, 50).Draw(t, "limit")
		var got, want []int64
		var token []byte
		for {
			list, err := newList(uint32(limit-len(got)), token)
			if err != nil {
				t.Fatal(err)
			}
			for i, key := range keys {
				list.add(key, []byte{byte(i)}, key)
			}
			rows, next, err := makeRows(context.Background(), n, list, func(key int64) *mobulav1.TaskInfo {
				return &mobulav1.TaskInfo{SubmittedUnixNs: key, Error: strings.Repeat("x", answerMax/4)} // four rows to an answer, or five
			})
			if err != nil {
				t.Fatal(err)
			}
			for _, row := range rows {
				got = append(got, row.GetSubmittedUnixNs())
			}
			if token = next; token == nil {
				break
			}
		}
		want = slices.Sorted(slices.Values(keys))
		if want = want[:min(limit, len(want))]; !slices.Equal(got, want) {
			t.Errorf("the pages have %v, want %v", got, want)
		}
	})
	if _, err := newList(1, []byte("short")); status.Code(err) != codes.InvalidArgument {
		t.Errorf("a malformed page token: %v", err)
	}
}

// TestScanGivesTheLockBack would hang if a scan held the lock until its end, which comes when somebody else has had it.
func TestScanGivesTheLockBack(t *testing.T) {
	t.Parallel()
	n := new(Node)
	had := false // guarded by n.mu
	started := make(chan struct{})
	go func() {
		<-started
		n.mu.Lock()
		defer n.mu.Unlock()
		had = true
	}()
	var once bool
	endless := func(yield func(int) bool) {
		for i := 0; !had; i++ {
			if !yield(i) {
				return
			}
		}
	}
	err := scan(t.Context(), n, endless, 8, func(int) {
		if !once {
			once = true
			close(started)
		}
	}, nil)
	if err != nil {
		t.Error(err)
	}
}

func TestScanEndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	var endless iter.Seq[int] = func(yield func(int) bool) {
		for yield(0) {
			continue
		}
	}
	n := new(Node)
	if err := scan(ctx, n, endless, 8, func(int) { cancel() }, nil); status.Code(err) != codes.Canceled {
		t.Errorf("error %v", err)
	}
	if !n.mu.TryLock() {
		t.Error("the lock is still held")
	}
}

func TestListRefusesWhatCannotBe(t *testing.T) {
	t.Parallel()
	s := NewState(StateConfig{})
	if _, err := s.ListTasks(t.Context(), &mobulav1.ListTasksRequest{}); status.Code(err) != codes.Unavailable {
		t.Errorf("before there is a node: %v", err)
	}
	s.Attach(&Node{dir: ownership.New(ownership.Seed{})})
	long := strings.Repeat("x", filterMax+1)
	for name, call := range map[string]func() error{
		"limit": func() error {
			_, err := s.ListObjects(t.Context(), &mobulav1.ListObjectsRequest{Limit: listMax + 1})
			return err
		},
		"job": func() error {
			_, err := s.ListWorkers(t.Context(), &mobulav1.ListWorkersRequest{JobId: []byte("short")})
			return err
		},
		"function": func() error {
			_, err := s.ListTasks(t.Context(), &mobulav1.ListTasksRequest{Function: long})
			return err
		},
		"class": func() error {
			_, err := s.ListActors(t.Context(), &mobulav1.ListActorsRequest{Class: long})
			return err
		},
		"id": func() error {
			_, err := s.Explain(t.Context(), &mobulav1.ExplainRequest{Id: []byte("short")})
			return err
		},
	} {
		if err := call(); status.Code(err) != codes.InvalidArgument {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := s.Explain(t.Context(), &mobulav1.ExplainRequest{Id: make([]byte, id.ObjectSize)}); status.Code(err) != codes.NotFound {
		t.Errorf("unknown object: %v", err)
	}
	if _, err := s.Shutdown(t.Context(), &mobulav1.ShutdownRequest{}); status.Code(err) != codes.FailedPrecondition {
		t.Errorf("shutdown of a driver's node: %v", err)
	}
}

func TestObjectsAreListedLargestFirstAndCounted(t *testing.T) {
	t.Parallel()
	n := &Node{dir: ownership.New(ownership.Seed{}), sessions: make(map[ownership.Session]*session)}
	n.sessions[7] = &session{id: 7, pid: 42}
	j := &job{id: id.Job{1}}
	const count = 3*scanPiece + 1
	for i := range count {
		p := &put{job: j, from: n.sessions[7]}
		p.object.Maker = p
		var oid id.Object
		binary.BigEndian.PutUint32(oid[:], uint32(i))
		if err := n.dir.Create(&p.object, oid); err != nil {
			t.Fatal(err)
		}
		n.dir.Hold(&p.object, 7)
		if i > 0 { // the first stays pending
			n.dir.Resolve(&p.object, &ownership.Value{Size: uint64(i)})
		}
	}
	s := NewState(StateConfig{})
	s.Attach(n)
	r, err := s.ListObjects(t.Context(), &mobulav1.ListObjectsRequest{Limit: 3})
	if err != nil {
		t.Fatal(err)
	}
	if r.GetTotal() != count || len(r.GetObjects()) != 3 {
		t.Fatalf("%d of %d rows, want 3 of %d", len(r.GetObjects()), r.GetTotal(), count)
	}
	for i, o := range r.GetObjects() {
		if o.GetSizeBytes() != uint64(count-1-i) || !bytes.Equal(o.GetJobId(), j.id[:]) || o.GetHolders()[0].GetPid() != 42 {
			t.Errorf("row %d: %v", i, o)
		}
	}
	r, err = s.ListObjects(t.Context(), &mobulav1.ListObjectsRequest{State: mobulav1.ObjectState_OBJECT_STATE_PENDING})
	if err != nil || r.GetTotal() != 1 {
		t.Errorf("pending: %v, %v", r, err)
	}
	r, err = s.ListObjects(t.Context(), &mobulav1.ListObjectsRequest{MinSizeBytes: count - 2, JobId: j.id[:]})
	if err != nil || r.GetTotal() != 2 {
		t.Errorf("large: %v, %v", r, err)
	}
	r, err = s.ListObjects(t.Context(), &mobulav1.ListObjectsRequest{JobId: make([]byte, 16)})
	if err != nil || r.GetTotal() != 0 {
		t.Errorf("another job's: %v, %v", r, err)
	}
}

func TestTextsInRowsAreCutBetweenCharacters(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("é", textMax)
	if got := shorten(long); len(got) > textMax || !utf8.ValidString(got) || !strings.HasSuffix(got, "…") {
		t.Errorf("%d bytes, valid %v", len(got), utf8.ValidString(got))
	}
	if got := shorten("short"); got != "short" {
		t.Errorf("short became %q", got)
	}
}

func TestEndedTasksAreListedWhoeverHoldsTheirResults(t *testing.T) {
	t.Parallel()
	w := open(t)
	state := NewState(StateConfig{})
	state.Attach(w.n)
	d := w.driver()
	f := d.template(aFunction)
	good := d.submit(f)
	wk := w.worker()
	wk.done(wk.executes(good), "good")
	d.result(good, 0)
	bad := d.submit(f)
	wk.failed(wk.executes(bad))
	d.failure(bad, mobulav1.ErrorKind_ERROR_KIND_TASK_FAILED)
	hidden := d.submit(d.template(aFunction, options(func(o *mobulav1.Options) { o.NoTaskEvents = true })))
	wk.done(wk.executes(hidden), "hidden")
	d.result(hidden, 0)
	d.release(good.object(0), bad.object(0), hidden.object(0))
	waits := d.submit(f)
	wk.execute()
	r, err := state.ListTasks(t.Context(), &mobulav1.ListTasksRequest{})
	if err != nil || len(r.GetTasks()) != 3 || r.GetTotal() != 3 {
		t.Fatal(r, err)
	}
	for _, row := range r.GetTasks() {
		var want mobulav1.TaskState
		switch id.Task(row.GetTaskId()) {
		case good.id:
			want = mobulav1.TaskState_TASK_STATE_FINISHED
		case bad.id:
			want = mobulav1.TaskState_TASK_STATE_FAILED
		case waits.id:
			want = mobulav1.TaskState_TASK_STATE_RUNNING
		}
		ended := want != mobulav1.TaskState_TASK_STATE_RUNNING
		if row.GetState() != want || ended != (row.GetEndedUnixNs() > 0) || ended != (row.GetBegunUnixNs() > 0) || row.GetPid() == 0 {
			t.Error(row)
		}
	}
}

func TestActorsThatWaitForEachOtherAreExplainedAsACircle(t *testing.T) {
	t.Parallel()
	w := open(t)
	d := w.driver()
	own := options(func(o *mobulav1.Options) { o.Isolation = mobulav1.Isolation_ISOLATION_PROCESS })
	actor, m := d.template(anActor, own), d.template(aMethod)
	made, other := d.submit(actor), d.submit(actor)
	w1 := w.worker()
	w1.done(w1.executes(made), "made")
	d.result(made, 0)
	w2 := w.worker()
	w2.done(w2.executes(other), "other")
	d.result(other, 0)
	a, b, c := d.submit(m, on(made)), d.submit(m, on(other)), d.submit(m, on(made))
	ea, eb := w1.executes(a), w2.executes(b)
	w1.executes(c) // behind a, in the same process
	ob, oc := b.object(0), c.object(0)
	w1.send(&mobulav1.Get{ObjectIds: ob[:]}, blocked(ea))
	w2.send(&mobulav1.Get{ObjectIds: oc[:]}, blocked(eb))
	w1.silence()
	w2.silence()
	s := NewState(StateConfig{})
	s.Attach(w.n)
	oa := a.object(0)
	r, err := s.Explain(t.Context(), &mobulav1.ExplainRequest{Id: oa[:]})
	if err != nil {
		t.Fatal(err)
	}
	if lines := strings.Split(r.GetText(), "\n"); len(lines) != 4 || !strings.Contains(lines[0], "waits in a get") || !strings.Contains(lines[1], "waits in a get") ||
		!strings.Contains(lines[2], "for its turn at actor") || !strings.Contains(lines[3], "circle") {
		t.Errorf("%s", r.GetText())
	}
}
