package codec

import (
	"encoding/binary"
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mobula-dev/mobula/internal/id"
)

var errSealed = errors.New("the handle is sealed")

// handle is a ref as a client might implement it: its session comes from the source.
//
//nolint:recvcheck // as Ref
type handle struct {
	id      id.Object
	name    string
	session string
}

func (h handle) MobulaEncodeRef() (Ref, error) {
	switch h.name {
	case "":
		return Ref{ID: h.id}, nil
	case "sealed":
		return Ref{}, errSealed
	default:
		return Ref{ID: h.id, Kind: RefActor, Class: h.name}, nil
	}
}

func (h *handle) MobulaDecodeRef(src RefSource, r Ref) error {
	session, ok := src.(string)
	if !ok {
		return errors.New("there is no session")
	}
	*h = handle{r.ID, r.Class, session}
	return nil
}

// worker is a generated handle: it embeds another one and gets its methods from it.
type worker struct{ handle }

// maker makes strings of refs that are read into any.
type maker struct{}

func (maker) AnyRef(r Ref) (any, error) {
	if r.Kind == RefActor {
		return nil, errSealed
	}
	return fmt.Sprint("ref ", r.ID.Index()), nil
}

func object(n uint32) id.Object {
	return id.Task{1}.Object(n)
}

func TestRefsTravelBesideTheValueAtAnyDepth(t *testing.T) {
	t.Parallel()
	type nested struct {
		One   handle
		Many  []handle
		Named map[string]*worker
		None  handle
		Nil   *handle
	}
	v := nested{
		One: handle{id: object(1)}, Many: []handle{{id: object(2)}, {}, {id: object(3)}},
		Named: map[string]*worker{"b": {handle{id: object(5), name: "Server"}}, "a": {handle{id: object(4), name: "Server"}}},
	}
	enc := encode(t, v)
	var ids []uint32
	objects, err := id.Objects(enc.Refs)
	if err != nil {
		t.Fatal(err)
	}
	for o := range objects {
		ids = append(ids, o.Index())
	}
	if diff := cmp.Diff([]uint32{1, 2, 3, 4, 5}, ids); diff != "" {
		t.Errorf("refs are numbered in the order of the value (-want +got):\n%s", diff)
	}
	got, err := decode[nested](enc, Options{Refs: "s"})
	if err != nil {
		t.Fatal(err)
	}
	want := nested{
		One: handle{object(1), "", "s"}, Many: []handle{{object(2), "", "s"}, {}, {object(3), "", "s"}},
		Named: map[string]*worker{"b": {handle{object(5), "Server", "s"}}, "a": {handle{object(4), "Server", "s"}}},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(handle{}, worker{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestRefsInAnyAreMadeByTheSource(t *testing.T) {
	t.Parallel()
	enc := encode(t, []any{handle{id: object(7)}})
	got, err := decode[any](enc, Options{Refs: maker{}})
	if err != nil || !cmp.Equal(got, any([]any{"ref 7"})) {
		t.Errorf("with a maker: %v, %v", got, err)
	}
	var te *TypeError
	if _, err := decode[any](encode(t, []any{handle{id: object(7), name: "A"}}), Options{Refs: maker{}}); !errors.Is(err, errSealed) || !errors.As(err, &te) {
		t.Errorf("a maker that fails: %v", err)
	}
	got, err = decode[any](enc, Options{})
	if err != nil || !cmp.Equal(got, any([]any{Ref{ID: object(7)}})) {
		t.Errorf("without: %v, %v", got, err)
	}
}

func TestBadRefsAreErrors(t *testing.T) {
	t.Parallel()
	enc := encode(t, handle{id: object(7)})
	if _, err := decode[handle](enc, Options{}); err == nil || err.Error() != "cannot be read as codec.handle: there is no session" {
		t.Errorf("an error of the hook: %v", err)
	}
	enc.Refs = enc.Refs[:19]
	var fe *FormatError
	if _, err := decode[handle](enc, Options{Refs: "s"}); !errors.As(err, &fe) {
		t.Errorf("a ref that is not in the list: %v", err)
	}
	if _, err := decode[handle](encode(t, 5), Options{Refs: "s"}); err == nil || err.Error() != "cannot be read as codec.handle: want a ref, got the integer 5" {
		t.Errorf("an integer: %v", err)
	}
}

//nolint:paralleltest // it counts allocations
func TestReadingManyRefsDoesNotAllocateForEach(t *testing.T) {
	const n = 10_000
	refs := make([]Ref, n)
	for i := range refs {
		refs[i] = Ref{ID: object(uint32(i + 1)), Kind: RefActor, Class: "Server"}
	}
	enc := encode(t, refs)
	var d Decoder
	allocs := testing.AllocsPerRun(5, func() {
		d.Reset(enc, Options{})
		got, err := Decode[[]Ref](&d)
		if err != nil || len(got) != n || binary.BigEndian.Uint32(got[n-1].ID[16:]) != n {
			t.Error(len(got), err)
		}
	})
	if allocs > 10 {
		t.Errorf("%v allocations for %d refs", allocs, n)
	}
}
