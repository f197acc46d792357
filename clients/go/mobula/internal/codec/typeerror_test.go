package codec

import (
	"context"
	"errors"
	"io"
	"math/big"
	"net/netip"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
)

type (
	hook struct {
		Name string
		Fn   func()
	}
	config struct {
		Hooks []hook
		Next  *config
	}
	hiddenPointer struct {
		*base
		N int
	}
	embedsMarshaler struct {
		netip.Addr
		zone string
	}
	embedsMessage struct {
		proto.Message
		note string
	}
	halfRef struct{ N int }
	event   struct {
		Name string
		At   any
	}
)

func (halfRef) MobulaEncodeRef() (Ref, error) { return Ref{}, nil }

func TestTypesThatCannotBeSentAreRefusedWithThePath(t *testing.T) {
	t.Parallel()
	_, _ = embedsMarshaler{}.zone, embedsMessage{}.note
	const lost = "it has only unexported fields, which would be lost; export them, or implement encoding.TextMarshaler and TextUnmarshaler"
	const interfaces = "its reader cannot know which type to make; use a concrete type, or any for plain data"
	const address = `an address means nothing in another process; make it a number or mark it mobula:"-"`
	const functions = `functions and channels do not cross processes; make it a string name or mark it mobula:"-"`
	for _, c := range []struct {
		t    reflect.Type
		want string
	}{
		{reflect.TypeFor[func()](), "func() cannot be sent: " + functions},
		{reflect.TypeFor[config](), "field config.Hooks[].Fn: func() cannot be sent: " + functions},
		{reflect.TypeFor[**config](), "field config.Hooks[].Fn: func() cannot be sent: " + functions},
		{reflect.TypeFor[map[string]chan int](), "element []: chan int cannot be sent: " + functions},
		{reflect.TypeFor[struct{ U uintptr }](), "element U: uintptr cannot be sent: " + address},
		{reflect.TypeFor[context.Context](), "context.Context cannot be sent: " + interfaces},
		{reflect.TypeFor[[]io.Reader](), "element []: io.Reader cannot be sent: " + interfaces},
		{reflect.TypeFor[sync.Mutex](), "sync.Mutex cannot be sent: " + lost},
		{reflect.TypeFor[pair[atomic.Int64]](), "field pair.First: atomic.Int64 cannot be sent: " + lost},
		{reflect.TypeFor[big.Float](), "big.Float cannot be sent: its text form loses the precision; send a string and the precision"},
		{reflect.TypeFor[map[*int]int](), "map[*int]int cannot be sent: its keys hold pointers, by which nobody could find an entry again; use strings or numbers"},
		{reflect.TypeFor[map[Ref]int](), "map[codec.Ref]int cannot be sent: its keys hold codec.Ref, by which nobody could find an entry again; use strings or numbers"},
		{reflect.TypeFor[map[[2]any]int](), "map[[2]interface {}]int cannot be sent: its keys hold interfaces, by which nobody could find an entry again; use strings or numbers"},
		{reflect.TypeFor[hiddenPointer](), `codec.hiddenPointer cannot be sent: it embeds *codec.base, an unexported pointer, whose fields would be lost; embed it by value or mark it mobula:"-"`},
		{reflect.TypeFor[embedsMarshaler](), "codec.embedsMarshaler cannot be sent: it embeds netip.Addr, whose methods may encode that field alone and lose zone; give the embedded field a name"},
		{reflect.TypeFor[embedsMessage](), "codec.embedsMessage cannot be sent: it embeds protoreflect.ProtoMessage, whose methods may encode that field alone and lose note; give the embedded field a name"},
		{reflect.TypeFor[halfRef](), "codec.halfRef cannot be sent: it has one of MobulaEncodeRef and MobulaDecodeRef, but not the other"},
		{reflect.TypeFor[struct {
			A int `mobula:"x"`
			B int `mobula:"x"`
		}](), `element B: int cannot be sent: two fields have the name "x"; give one another name with a mobula tag`},
		{reflect.TypeFor[struct {
			A int `mobula:"x,omitzero"`
		}](), `element A: int cannot be sent: its tag is mobula:"x,omitzero"; want mobula:"name", mobula:"name,omitempty" or mobula:"-"`},
		{reflect.TypeFor[struct {
			a int `mobula:"x"`
		}](), "element a: int cannot be sent: it has a mobula tag but is unexported, so it cannot be sent; export it or remove the tag"},
	} {
		for range 2 { // compiled, then from the cache
			err := Check(c.t)
			var te *TypeError
			if !errors.As(err, &te) || err.Error() != c.want {
				t.Errorf("%s:\ngot  %v\nwant %s", c.t, err, c.want)
			}
		}
	}
}

func TestTypesThatCanBeSentPassTheCheck(t *testing.T) {
	t.Parallel()
	for _, typ := range []reflect.Type{
		reflect.TypeFor[node](), reflect.TypeFor[*node](), reflect.TypeFor[stamp](), reflect.TypeFor[any](), reflect.TypeFor[error](),
		reflect.TypeFor[map[time.Time]struct{ _ int }](), reflect.TypeFor[struct {
			sync.Mutex
			N int
		}](),
	} {
		if err := Check(typ); err != nil {
			t.Errorf("%s: %v", typ, err)
		}
	}
}

func TestValuesThatCannotBeSentAreRefusedWithThePath(t *testing.T) {
	t.Parallel()
	fails := func(v any, want string) {
		t.Helper()
		var e Encoder
		err := Encode(&e, v)
		var te *TypeError
		if !errors.As(err, &te) || err.Error() != want {
			t.Errorf("got  %v\nwant %s", err, want)
		}
		if meta := e.Finish().Meta; len(meta) != 0 {
			t.Errorf("a refused value left %x", meta)
		}
	}
	const functions = `functions and channels do not cross processes; make it a string name or mark it mobula:"-"`
	fails([]event{{}, {At: map[string]any{"f": func() {}}}}, `field [1].At["f"]: func() cannot be sent: `+functions)
	fails(event{At: config{}}, `field At.(config.Hooks[].Fn): func() cannot be sent: `+functions)
	fails(map[any]any{point{}: 1}, "element [key]: interface {} cannot be sent: a key of dynamic type codec.point is not a bool, number, string or time")
	fails(map[any]any{int8(1): 1, 1: 2}, "map[interface {}]interface {} cannot be sent: two keys are equal once they are encoded")
	fails(Tensor{Float64, []int{2}, make([]byte, 8)}, "codec.Tensor cannot be sent: its shape [2] of float64 does not fit its 8 bytes")

	cycle := &node{Name: "a"}
	cycle.Children = []*node{cycle}
	var e Encoder
	err := Encode(&e, cycle)
	if err == nil || !strings.Contains(err.Error(), "probably a cycle") || len(err.Error()) > 400 {
		t.Errorf("a cycle: %v", err)
	}
	list := []any{nil}
	list[0] = list
	if err := Encode(&e, list); err == nil || !strings.Contains(err.Error(), "probably a cycle") {
		t.Errorf("a list that holds itself: %v", err)
	}
}

func TestErrorsOfUserMethodsAreKept(t *testing.T) {
	t.Parallel()
	var e Encoder
	err := Encode(&e, []handle{{name: "sealed"}})
	if !errors.Is(err, errSealed) || err.Error() != "element [0]: codec.handle cannot be sent: the handle is sealed" {
		t.Errorf("encode: %v", err)
	}
	_, err = decode[[]netip.Addr](encode(t, []string{"10.0.0.1", "nonsense"}), Options{})
	if err == nil || !strings.HasPrefix(err.Error(), "element [1]: cannot be read as netip.Addr: ParseAddr") {
		t.Errorf("decode: %v", err)
	}
}

func TestTypesAreCompiledOnceByManyGoroutines(t *testing.T) {
	t.Parallel()
	type left struct {
		Name  string
		Right map[string]*node
	}
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			v := left{Right: map[string]*node{"x": {base: base{ID: i}}}}
			var e Encoder
			if err := Encode(&e, v); err != nil {
				t.Error(err)
				return
			}
			got, err := decode[left](e.Finish(), Options{})
			if err != nil || got.Right["x"].ID != i {
				t.Errorf("read %+v, %v", got, err)
			}
		})
	}
	wg.Wait()
}
