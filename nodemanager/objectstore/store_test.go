package objectstore

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/mobula-dev/mobula/internal/id"
	"github.com/mobula-dev/mobula/internal/segment"
)

const mib = 1 << 20

var epoch = time.Unix(1e9, 0)

func newTestStore(tb testing.TB, cfg Config) *Store {
	tb.Helper()
	s, err := New(cfg)
	must(tb, err)
	return s
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

// grant opens a session if need be, asks for a segment for an object, and announces it.
func grant(tb testing.TB, s *Store, sid Session, bytes uint64) (number uint32, length uint64) {
	tb.Helper()
	if s.sessions[sid] == nil {
		must(tb, s.Open(sid, id.Job{1}))
	}
	must(tb, s.RequestGrant(epoch, Request{Session: sid, ID: 1, Bytes: bytes}))
	for _, e := range s.Effects() {
		if e.Kind == Granted {
			number, length = e.Segment, e.Length
		}
	}
	must(tb, s.Register(sid, number, length, modelDescriptor{new(int)}))
	return number, length
}

func sealAt(tb testing.TB, s *Store, sid Session, oid id.Object, number uint32, size uint64, m Meta) {
	tb.Helper()
	must(tb, s.Seal(sid, oid, segment.Block{Segment: number, Size: size}, m))
}

func TestGrantIsSharedForSmallObjectsAndExactForLargeOnes(t *testing.T) {
	t.Parallel()
	s := newTestStore(t, Config{CapacityBytes: 1 << 30})
	tests := []struct{ bytes, want uint64 }{
		{1, 64 * mib}, {32 * mib, 64 * mib}, {32*mib + 1, 32*mib + 4096}, {500 * mib, 500 * mib},
		{300 * mib, 300 * mib},
		{mib, mib}, // 64 MiB are left, less what the large ones took
	}
	for _, test := range tests {
		if _, got := grant(t, s, 1, test.bytes); got != test.want {
			t.Errorf("segment of %d bytes for an object of %d, want %d", got, test.bytes, test.want)
		}
	}
}

func TestObjectThatCanNeverFitIsRefusedAtOnceWithTheHolders(t *testing.T) {
	t.Parallel()
	s := newTestStore(t, Config{CapacityBytes: 100 * mib, SegmentBytes: mib})
	must(t, s.Open(7, id.Job{2}))
	number, _ := grant(t, s, 1, 60*mib)
	sealAt(t, s, 1, id.Object{9}, number, 60*mib, Meta{Holder: 7, CallSite: "train.go:42", Name: "train.Load"})
	for i := range 10 {
		small, _ := grant(t, s, 2, 2*mib+uint64(i))
		sealAt(t, s, 2, id.Object{10, byte(i)}, small, 2*mib+uint64(i), Meta{CallSite: "small.go:1"})
	}
	if uses := s.Sessions(); len(uses) != 3 || uses[2].HeldBytes != 60*mib || uses[0].FreeBytes != 0 || uses[1].HeldBytes != 20*mib+45 {
		t.Errorf("sessions: %+v", uses)
	}
	for _, bytes := range []uint64{100*mib + 1, 1 << 63, ^uint64(0)} {
		must(t, s.RequestGrant(epoch, Request{Session: 1, ID: 2, Bytes: bytes, CallSite: "main.go:7"}))
		e := s.Effects()[0]
		if e.Kind != Refused || e.Request != 2 || e.Err.Reason != TooLarge {
			t.Fatalf("got %+v", e)
		}
		if len(e.Err.Largest) != holdersMax || e.Err.Largest[0].CallSite != "train.go:42" || e.Err.Largest[4].Block.Size != 2*mib+6 {
			t.Errorf("largest objects: %+v", e.Err.Largest)
		}
		if len(e.Err.Sessions) != 2 || e.Err.Sessions[0].Session != 7 || e.Err.Jobs[0].ObjectBytes != 80*mib+45 {
			t.Errorf("holders: %+v, %+v", e.Err.Sessions, e.Err.Jobs)
		}
		for _, want := range []string{"never fit", "from main.go:7", "capacity 100.0 MiB", "session 7: holds 60.0 MiB", "made by train.Load at train.go:42"} {
			if !strings.Contains(e.Err.Error(), want) {
				t.Errorf("%q is not in: %v", want, e.Err)
			}
		}
	}
}

func TestRequestIsRefusedAtItsDeadlineAndAfterTheLongestWait(t *testing.T) {
	t.Parallel()
	s := newTestStore(t, Config{CapacityBytes: 10 * mib, WaitMax: 20 * time.Second})
	grant(t, s, 1, 10*mib)
	must(t, s.RequestGrant(epoch, Request{Session: 1, ID: 2, Bytes: mib}))
	must(t, s.RequestGrant(epoch, Request{Session: 1, ID: 3, Bytes: mib, Deadline: epoch.Add(5 * time.Second)}))
	must(t, s.RequestGrant(epoch, Request{Session: 1, ID: 4, Bytes: mib, Deadline: epoch.Add(-1)}))
	var refused []uint64
	for now := epoch; s.Stats().Waiting > 0; now = s.Next() {
		s.Tick(now)
		for _, e := range s.Effects() {
			if e.Kind == Refused {
				refused = append(refused, e.Request)
				if want := map[uint64]time.Duration{2: 20 * time.Second, 3: 5 * time.Second, 4: 0}[e.Request]; now.Sub(epoch) != want {
					t.Errorf("request %d refused after %v, want %v", e.Request, now.Sub(epoch), want)
				}
				if e.Err.Reason != TimedOut {
					t.Errorf("refused: %v", e.Err)
				}
			}
		}
	}
	if len(refused) != 3 || !s.Next().IsZero() {
		t.Errorf("refused %v, next tick at %v", refused, s.Next())
	}
}

func TestLargeRequestIsNotStarvedBySmallOnesOfOthers(t *testing.T) {
	t.Parallel()
	s := newTestStore(t, Config{CapacityBytes: 10 * mib, SegmentBytes: mib})
	held, _ := grant(t, s, 1, 6*mib)
	must(t, s.Open(2, id.Job{2}))
	must(t, s.RequestGrant(epoch, Request{Session: 1, ID: 10, Bytes: 8 * mib}))
	must(t, s.RequestGrant(epoch, Request{Session: 2, ID: 11, Bytes: 100}))
	if e := granted(s); len(e) != 0 {
		t.Fatalf("granted %v before the large one", e)
	}
	must(t, s.GiveBack(1, held))
	if e := granted(s); len(e) != 2 || e[0] != 10 || e[1] != 11 {
		t.Fatalf("granted %v", e)
	}
}

// granted returns the requests that are granted.
func granted(s *Store) (requests []uint64) {
	for _, e := range s.Effects() {
		if e.Kind == Granted {
			requests = append(requests, e.Request)
		}
	}
	return requests
}

func TestThoseWhoHoldMostAreAskedToCollectNowAndThen(t *testing.T) {
	t.Parallel()
	s := newTestStore(t, Config{CapacityBytes: 100 * mib, SegmentBytes: 10 * mib})
	for sid := Session(1); sid <= 6; sid++ {
		number, _ := grant(t, s, sid, 10*mib)
		sealAt(t, s, sid, id.Object{byte(sid)}, number, 10*mib, Meta{Holder: min(sid, 5)})
	}
	if e := collects(s); e != nil {
		t.Fatalf("asked %v with memory to spare", e)
	}
	grant(t, s, 6, 30*mib) // memory is scarce from here on, which asks for the first time
	now := epoch
	var asked []time.Duration
	must(t, s.RequestGrant(now, Request{Session: 1, ID: 99, Bytes: 60 * mib}))
	for ; now.Before(epoch.Add(5 * time.Second)); now = s.Next() {
		s.Tick(now)
		if e := collects(s); e != nil {
			asked = append(asked, now.Sub(epoch))
			if len(e) != collectFan || e[0].Session != 6 || e[0].Length != 30*mib || e[1].Session != 5 || e[1].Length != 20*mib {
				t.Fatalf("asked %+v", e)
			}
		}
	}
	if len(asked) != 4 || asked[0] != time.Second || asked[3] != 4*time.Second {
		t.Errorf("asked after %v", asked)
	}
}

// collects returns the calls to collect.
func collects(s *Store) (asked []Effect) {
	for _, e := range s.Effects() {
		if e.Kind == Collect {
			asked = append(asked, e)
		}
	}
	return asked
}

func TestObjectSealedAgainWhileItDrainsIsKept(t *testing.T) {
	t.Parallel()
	s := newTestStore(t, Config{CapacityBytes: 100 * mib})
	oid := id.Object{1}
	number, _ := grant(t, s, 1, mib)
	sealAt(t, s, 1, oid, number, 100, Meta{})
	_, err := s.Pin(1, oid)
	must(t, err)
	s.Free(oid)
	if o, ok := s.Lookup(oid); !ok || o.State.String() != "draining" {
		t.Fatalf("got %+v", o)
	}
	again := segment.Block{Segment: number, Offset: 4096, Size: 100}
	if err := s.Seal(1, oid, again, Meta{}); !errors.Is(err, ErrExists) {
		t.Fatal(err)
	}
	must(t, s.Unpin(1, oid))
	if o, ok := s.Lookup(oid); !ok || o.State != Sealed || o.Block.Offset != 0 {
		t.Fatalf("got %+v", o)
	}
	if e := s.Effects(); len(e) != 1 || e[0].Kind != Freed || len(e[0].Blocks) != 1 || e[0].Blocks[0] != again {
		t.Errorf("got %+v", e)
	}
	must(t, s.check())
}

func TestLiesAreProtocolErrors(t *testing.T) {
	t.Parallel()
	s := newTestStore(t, Config{CapacityBytes: 100 * mib})
	number, length := grant(t, s, 1, mib)
	grant(t, s, 2, mib)
	must(t, s.RequestGrant(epoch, Request{Session: 2, ID: 5, Bytes: 90 * mib}))
	lies := map[string]error{
		"an object of nothing":        s.RequestGrant(epoch, Request{Session: 1, ID: 6}),
		"a request twice":             s.RequestGrant(epoch, Request{Session: 2, ID: 5, Bytes: 1}),
		"a segment nobody granted":    s.Register(1, 99, length, nil),
		"another's segment":           s.Register(2, number, length, nil),
		"a segment twice":             s.Register(1, number, length, nil),
		"giving back another's":       s.GiveBack(2, number),
		"sealing in another's":        s.Seal(2, id.Object{1}, segment.Block{Segment: number, Size: 1}, Meta{}),
		"sealing in what is not":      s.Seal(1, id.Object{1}, segment.Block{Segment: 77, Size: 1}, Meta{}),
		"an offset that is not right": s.Seal(1, id.Object{1}, segment.Block{Segment: number, Offset: 32, Size: 1}, Meta{}),
	}
	for name, err := range lies {
		var lie *ProtocolError
		if !errors.As(err, &lie) || lie.Session == 0 || lie.Error() == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := s.RequestGrant(epoch, Request{Session: 9, ID: 1, Bytes: 1}); err == nil {
		t.Error("an unknown session is served")
	}
	if err := s.Open(1, id.Job{1}); err == nil {
		t.Error("a session is opened twice")
	}
	must(t, s.check())
}

func TestSegmentTakesABoundedNumberOfObjectsAndTheirEndIsToldInBatches(t *testing.T) {
	t.Parallel()
	s := newTestStore(t, Config{CapacityBytes: 100 * mib, SegmentBytes: 64 * mib})
	number, _ := grant(t, s, 1, 1)
	var err error
	n := uint64(0)
	for ; err == nil; n++ {
		err = s.Seal(1, newObject(n), segment.Block{Segment: number, Offset: n * 64, Size: 64}, Meta{})
	}
	if n != objectsPerSegmentMax+1 {
		t.Errorf("%d objects: %v", n, err)
	}
	for i := range n {
		s.Free(newObject(i))
	}
	told := 0
	for _, e := range s.Effects() {
		if e.Kind != Freed || len(e.Blocks) > freedMax {
			t.Fatalf("effect %d with %d blocks", e.Kind, len(e.Blocks))
		}
		told += len(e.Blocks)
	}
	if told != objectsPerSegmentMax {
		t.Errorf("told of %d blocks", told)
	}
}

func TestCapacityIsAThirdOfMemoryUnlessSaid(t *testing.T) {
	t.Parallel()
	total, err := memoryBytes()
	must(t, err)
	if got := newTestStore(t, Config{}).Stats().CapacityBytes; got != total/10*3 || got < 64*mib {
		t.Errorf("capacity is %d bytes of %d", got, total)
	}
	for _, bad := range []Config{{CapacityBytes: 1}, {CapacityBytes: 1 << 63}, {WaitMax: -1}, {WaitersMax: -1}} {
		if _, err := New(bad); err == nil {
			t.Errorf("accepted %+v", bad)
		}
	}
}

func FuzzSealedObjectsNeverOverlap(f *testing.F) {
	f.Add([]byte{0, 0, 1, 0, 1, 1})
	f.Add([]byte{0, 0, 64, 0, 1, 64, 255, 255, 255})
	f.Fuzz(func(t *testing.T, places []byte) {
		s := newTestStore(t, Config{CapacityBytes: mib, SegmentBytes: 64 << 10})
		number, _ := grant(t, s, 1, 1)
		for n := uint64(0); len(places) >= 3; n++ {
			b := segment.Block{Segment: number, Offset: uint64(places[0])<<8 | uint64(places[1])<<6, Size: uint64(places[2]) << (places[0] % 60)}
			if err := s.Seal(1, newObject(n), b, Meta{}); err != nil && s.Free(newObject(n)) {
				t.Fatal("refused and kept")
			}
			if places[2]%4 == 0 {
				s.Free(newObject(n / 2))
			}
			must(t, s.check())
			places = places[3:]
		}
	})
}

func BenchmarkSealPinUnpinFree(b *testing.B) {
	s := newTestStore(b, Config{CapacityBytes: 1 << 30})
	number, _ := grant(b, s, 1, 1)
	for i := range uint64(300) {
		must(b, s.Seal(1, newObject(i), segment.Block{Segment: number, Offset: i * 200 << 10, Size: 150 << 10}, Meta{}))
	}
	at := segment.Block{Segment: number, Offset: 100*200<<10 + 160<<10, Size: 1000}
	b.ReportAllocs()
	for i := uint64(1000); b.Loop(); i++ {
		oid := newObject(i)
		if s.Seal(1, oid, at, Meta{}) != nil {
			b.Fatal("seal")
		}
		if _, err := s.Pin(1, oid); err != nil || s.Unpin(1, oid) != nil || !s.Free(oid) {
			b.Fatal(err)
		}
		if len(s.dirty[0].freed) == 100 {
			s.Effects()
		}
	}
}
