package codec

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"math/big"
	"net/netip"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/mobula-dev/mobula/internal/id"
)

type (
	celsius     float64
	blob        []byte
	pair[T any] struct {
		First, Second T
	}
	base struct {
		ID   int
		Note string `mobula:",omitempty"`
	}
	node struct {
		base
		Name     string `mobula:"name"`
		Children []*node
		Tags     map[string]int
		secret   int
	}
	point struct{ X, Y int }
	stamp struct {
		time.Time
		Zone string
	}
)

// encode encodes one value.
func encode[T any](tb testing.TB, v T) Encoded {
	tb.Helper()
	var e Encoder
	if err := Encode(&e, v); err != nil {
		tb.Fatalf("encode %T: %v", v, err)
	}
	return e.Finish()
}

// decode decodes one whole value.
func decode[T any](v Encoded, o Options) (T, error) {
	var d Decoder
	d.Reset(v, o)
	out, err := Decode[T](&d)
	if err == nil {
		err = d.Done()
	}
	return out, err
}

// same checks that v comes back from the wire, in both modes, and from the store.
func same[T any](t *testing.T, v T) {
	t.Helper()
	enc := encode(t, v)
	stored := make([]byte, StoredSize(enc))
	if err := WriteStored(stored, enc); err != nil {
		t.Fatal(err)
	}
	opened, err := OpenStored(stored)
	if err != nil {
		t.Fatal(err)
	}
	for _, from := range []Encoded{enc, opened} {
		for _, view := range []bool{false, true} {
			got, err := decode[T](from, Options{View: view})
			if err != nil {
				t.Fatalf("decode %T: %v", v, err)
			}
			if reflect.DeepEqual(v, got) {
				continue // cmp is slow with long lists
			}
			if diff := cmp.Diff(v, got, cmp.Exporter(func(reflect.Type) bool { return true }), equalErrors, equalBig, equalTimes, equalProtos, cmp.Comparer(equalFloats)); diff != "" {
				t.Errorf("%T, view %v (-sent +read):\n%s", v, view, diff)
			}
		}
		var d Decoder
		d.Reset(from, Options{})
		if err := errors.Join(d.Skip(), d.Done()); err != nil {
			t.Errorf("skip %T: %v", v, err)
		}
	}
}

var (
	equalErrors = comparer(func(x, y error) bool { return x.Error() == y.Error() })
	equalBig    = cmp.Comparer(func(x, y big.Int) bool { return x.Cmp(&y) == 0 })
	equalTimes  = cmp.Comparer(func(x, y time.Time) bool { return x.Equal(y) && x.Location() == y.Location() })
	equalProtos = comparer(proto.Equal)
)

// comparer is cmp.Comparer for an interface, where both values may also be in an any.
func comparer[I any](equal func(x, y I) bool) cmp.Option {
	both := func(x, y any) (a, b I, ok bool) {
		a, ok1 := x.(I)
		b, ok2 := y.(I)
		return a, b, ok1 && ok2
	}
	return cmp.FilterValues(func(x, y any) bool {
		_, _, ok := both(x, y)
		return ok
	}, cmp.Comparer(func(x, y any) bool {
		a, b, ok := both(x, y)
		return ok && equal(a, b)
	}))
}

func equalFloats(x, y float64) bool { return math.Float64bits(x) == math.Float64bits(y) }

// long returns n floats.
func long(n int) []float64 {
	s := make([]float64, n)
	for i := range s {
		s[i] = float64(i) / 3
	}
	return s
}

func TestScalarsComeBack(t *testing.T) {
	t.Parallel()
	same(t, true)
	for _, i := range []int64{0, 1, -1, 31, -32, -33, 127, 128, -128, -129, 255, 256, 1<<15 - 1, 1 << 15, -1 << 15, -1<<15 - 1, 1<<16 - 1, 1 << 16, 1<<31 - 1, -1 << 31, -1<<31 - 1, 1<<32 - 1, 1 << 32, math.MaxInt64, math.MinInt64} {
		same(t, i)
		same(t, int(i))
		same(t, uint64(i))
		same(t, uint(i))
		same(t, int32(i))
		same(t, uint32(i))
		same(t, int16(i))
		same(t, uint16(i))
		same(t, int8(i))
		same(t, uint8(i))
		same(t, celsius(i))
		same(t, time.Duration(i))
	}
	for _, f := range []float64{0, math.Copysign(0, -1), 1.5, math.Inf(1), math.NaN(), math.MaxFloat64, math.SmallestNonzeroFloat64} {
		same(t, f)
	}
	same(t, float32(1)/3)
	same(t, complex64(complex(1, -2)))
	same(t, complex(math.Pi, -2))
}

func TestStringsAndBytesComeBack(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, 31, 32, 255, 256, 4095, 4096, 65535, 65536, 70000} {
		same(t, strings.Repeat("x", n))
		same(t, strings.Repeat("\xff", n))
		same(t, []byte(strings.Repeat("y", n)))
		same(t, blob(strings.Repeat("y", n)))
	}
	same(t, "Grüße, 世界")
	same(t, [3]byte{1, 2, 3})
	same(t, [5000]byte{4999: 7})
}

func TestListsComeBackWithNilAndEmptyApart(t *testing.T) {
	t.Parallel()
	same(t, []byte(nil))
	same(t, []byte{})
	same(t, []int(nil))
	same(t, []int{})
	same(t, []string(nil))
	same(t, []string{})
	same(t, map[string]int(nil))
	same(t, map[string]int{})
	same(t, (*int)(nil))
	same(t, [][]byte{nil, {}, {1}})
	for _, n := range []int{1, 15, 16, 127, 128, 1000, 70000} {
		same(t, long(n))
		same(t, make([]bool, n))
		same(t, make([]int8, n))
		same(t, make([]complex128, n))
		same(t, make([]string, n))
		same(t, make([]struct{}, n))
	}
	same(t, []celsius{1, 2.5})
	same(t, []int{1, -2, 3})
	same(t, []uint16{1, 2})
	same(t, []time.Duration{1, 2})
	same(t, [3]float32{1, 2, 3})
	same(t, [2]string{"a", "b"})
	same(t, [][]float64{long(3), nil, long(500)})
}

func TestMapsAndStructsComeBack(t *testing.T) {
	t.Parallel()
	same(t, map[string]int{"a": 1, "b": 2, "longer": 3, "\xff": 4})
	same(t, map[int][]string{1: {"x"}, -5: nil, 700: {}})
	same(t, map[point]float64{{1, 2}: 3, {0, 9}: 4})
	same(t, map[[2]int]bool{{1, 2}: true})
	same(t, map[float64]celsius{1.5: 2})
	same(t, map[netip.Addr]string{netip.MustParseAddr("10.0.0.1"): "a", netip.MustParseAddr("::1"): "b"})
	same(t, map[time.Time]bool{time.Unix(5, 0).UTC(): true})
	same(t, map[any]any{int64(1): "one", "two": int64(2), true: nil})
	same(t, map[string]map[string][]int{"a": {"x": {1}, "y": nil}, "b": nil, "c": {}})
	same(t, pair[pair[string]]{pair[string]{"a", "b"}, pair[string]{"c", ""}})
	same(t, pair[*int]{First: new(int)})
	same(t, node{base: base{7, ""}, Name: "root", Tags: map[string]int{"k": 1}, Children: []*node{{Name: "leaf"}, nil, {base: base{Note: "n"}}}})
	same(t, struct{}{})
	same(t, stamp{time.Unix(99, 5).UTC(), "CET"})
	same(t, struct {
		Skipped func() `mobula:"-"`
		Kept    int
	}{Kept: 3})
	same(t, struct{ P **int }{})
}

func TestOtherTypesComeBack(t *testing.T) {
	t.Parallel()
	for _, at := range []time.Time{{}, time.Unix(0, 0), time.Unix(1, 1), time.Unix(1<<32, 0), time.Unix(1<<34-1, 999999999), time.Unix(1<<34, 0), time.Unix(-1, 7)} {
		same(t, at.UTC())
	}
	for _, s := range []string{"0", "-1", "18446744073709551615", "18446744073709551616", "-9223372036854775808", "-9223372036854775809", "-170141183460469231731687303715884105728", "340282366920938463463374607431768211455123456789"} {
		i, ok := new(big.Int).SetString(s, 10)
		if !ok {
			t.Fatal(s)
		}
		same(t, i)
		same(t, *i)
	}
	same(t, big.NewRat(1, 3))
	u, err := url.Parse("https://example.org/a?b=c")
	if err != nil {
		t.Fatal(err)
	}
	same(t, u)
	same(t, netip.MustParsePrefix("10.0.0.0/8"))
	same(t, []error{errors.New("bad"), nil})
	same(t, wrapperspb.String("hello"))
	same(t, wrapperspb.Bytes(make([]byte, 9000)))
	same(t, []proto.Message{durationpb.New(time.Second), nil})
	same(t, (*wrapperspb.StringValue)(nil))
	same(t, Tensor{Float16, []int{2, 3}, make([]byte, 12)})
	same(t, Tensor{Float64, []int{40, 50}, make([]byte, 16000)})
	same(t, Tensor{Uint8, []int{}, []byte{1}})
	same(t, Tensor{Int32, []int{0, 5}, []byte{}})
	same(t, Ref{ID: id.Object{1}, Kind: RefActor, Class: "ParameterServer"})
}

func TestAnyHoldsPlainValues(t *testing.T) {
	t.Parallel()
	same[any](t, nil)
	same[any](t, []any{nil, true, int64(5), int64(-5), uint64(math.MaxUint64), 1.5, "s", []byte{1}, []any{}, map[string]any{"a": []any{}}, time.Unix(3, 0).UTC(),
		time.Second, complex(1, 2), errors.New("bad"), wrapperspb.Int32(4), Ref{ID: id.Object{9}}, []int64{1, 2}, long(2000), []bool{true}, strings.Repeat("long", 2000),
		make([]byte, 5000), Tensor{Uint8, []int{2}, []byte{1, 2}}, map[any]any{int64(1): int64(2), "x": nil}})
	got, err := decode[any](encode[any](t, node{Name: "n", Children: []*node{}}), Options{})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"ID": int64(0), "name": "n", "Children": []any{}, "Tags": nil}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("a struct read as any (-want +got):\n%s", diff)
	}
	if got, err := decode[any](encode[any](t, &fs.PathError{Op: "open", Path: "/x", Err: fs.ErrNotExist}), Options{}); err != nil || fmt.Sprint(got) != "open /x: file does not exist" {
		t.Errorf("an error in any became %v, %v", got, err)
	}
}

func TestVersionsOfAStructUnderstandEachOther(t *testing.T) {
	t.Parallel()
	type old struct {
		A int
		C string
	}
	type extended struct {
		A int
		B []float64
		C string
		D map[string][]int
	}
	got, err := decode[old](encode(t, extended{1, long(5000), "c", map[string][]int{"x": {1}}}), Options{})
	if err != nil || got != (old{1, "c"}) {
		t.Errorf("old reads new: %+v, %v", got, err)
	}
	more, err := decode[extended](encode(t, old{1, "c"}), Options{})
	if err != nil || more.A != 1 || more.C != "c" || more.B != nil || more.D != nil {
		t.Errorf("new reads old: %+v, %v", more, err)
	}
	tree, err := decode[node](encode(t, map[string]any{"zz": 1, "name": "n", "ID": 4, "aa": []any{1, map[string]any{}}}), Options{})
	if err != nil || tree.Name != "n" || tree.ID != 4 {
		t.Errorf("struct reads map: %+v, %v", tree, err)
	}
}

func TestNumbersConvertWhenNothingIsLost(t *testing.T) {
	t.Parallel()
	if f, err := decode[float64](encode(t, 3), Options{}); err != nil || f != 3 {
		t.Errorf("3 as float64: %v, %v", f, err)
	}
	if f, err := decode[float32](encode(t, 0.1), Options{}); err != nil || f != 0.1 {
		t.Errorf("0.1 as float32: %v, %v", f, err)
	}
	if f, err := decode[[]float32](encode(t, long(1000)), Options{}); err != nil || f[7] != float32(7.0/3) {
		t.Errorf("[]float64 as []float32: %v", err)
	}
	if i, err := decode[[]int](encode(t, []any{1, 2}), Options{}); err != nil || !cmp.Equal(i, []int{1, 2}) {
		t.Errorf("a list as []int: %v, %v", i, err)
	}
	if i, err := decode[[2]int16](encode(t, []uint32{1, 2}), Options{}); err != nil || i != [2]int16{1, 2} {
		t.Errorf("[]uint32 as [2]int16: %v, %v", i, err)
	}
	if i, err := decode[*big.Int](encode(t, uint64(math.MaxUint64)), Options{}); err != nil || i.String() != "18446744073709551615" {
		t.Errorf("uint64 as big.Int: %v, %v", i, err)
	}
}

func TestUnsafeConversionsAreTypedErrors(t *testing.T) {
	t.Parallel()
	fails := func(err error, want string) {
		t.Helper()
		var te *TypeError
		if !errors.As(err, &te) || err.Error() != want {
			t.Errorf("got %v (%T)\nwant %s", err, err, want)
		}
	}
	_, err := decode[int8](encode(t, 300), Options{})
	fails(err, "cannot be read as int8: the integer 300 does not fit")
	_, err = decode[uint8](encode(t, -1), Options{})
	fails(err, "cannot be read as uint8: the integer -1 does not fit")
	_, err = decode[int](encode(t, uint64(math.MaxUint64)), Options{})
	fails(err, "cannot be read as int: the integer 18446744073709551615 does not fit")
	_, err = decode[int](encode(t, 1.5), Options{})
	fails(err, "cannot be read as int: want an integer, got the float 1.5")
	_, err = decode[int](encode[any](t, nil), Options{})
	fails(err, "cannot be read as int: want an integer, got nil")
	_, err = decode[float64](encode(t, 1<<53+1), Options{})
	fails(err, "cannot be read as float64: the integer 9007199254740993 is not exactly a float")
	_, err = decode[float32](encode(t, 1e300), Options{})
	fails(err, "cannot be read as float32: the float 1e+300 does not fit")
	_, err = decode[[]byte](encode(t, "text"), Options{})
	fails(err, "cannot be read as []uint8: want bytes, got a string")
	_, err = decode[time.Duration](encode(t, 5), Options{})
	fails(err, "cannot be read as time.Duration: want a duration, got the integer 5")
	_, err = decode[node](encode(t, map[string]any{"Children": []any{map[string]any{}, map[string]any{"Tags": map[string]any{"k": "v"}}}}), Options{})
	fails(err, `field node.Children[1].Tags["k"]: cannot be read as int: want an integer, got a string`)
	_, err = decode[map[int]bool](encode(t, map[int]int{-7: 1}), Options{})
	fails(err, "element [-7]: cannot be read as bool: want a bool, got the integer 1")
	_, err = decode[[]int8](encode(t, []int64{1, 1000}), Options{})
	fails(err, "element [1]: cannot be read as int8: the integer 1000 does not fit")
	_, err = decode[[3]int](encode(t, []int{1}), Options{})
	fails(err, "cannot be read as [3]int: want 3 elements, got 1")
	_, err = decode[[]float64](encode(t, Tensor{Float64, []int{1, 1}, make([]byte, 8)}), Options{})
	fails(err, "cannot be read as []float64: want an array of one dimension, got one of 2; take it as a Tensor")
	_, err = decode[*durationpb.Duration](encode(t, wrapperspb.String("x")), Options{})
	fails(err, "cannot be read as durationpb.Duration: want protobuf message google.protobuf.Duration, got google.protobuf.StringValue")
	_, err = decode[complex64](encode(t, complex(1, 2)), Options{})
	fails(err, "cannot be read as complex64: a complex number of two 64-bit floats does not fit")
}

func TestPythonObjectsAreNeverOpened(t *testing.T) {
	t.Parallel()
	var e Encoder
	e.BeginArray(3)
	for _, s := range []string{"__main__.Model", "stream"} {
		if err := Encode(&e, s); err != nil {
			t.Fatal(err)
		}
	}
	e.BeginArray(0)
	e.wrap(0, extPickle)
	value := e.Finish()
	wrapped := Encoded{Meta: append([]byte{0x81, 0xa1, 'M'}, value.Meta...)}
	check := func(err error, path string) {
		t.Helper()
		var np *NotPortableError
		if !errors.As(err, &np) || np.PythonType != "__main__.Model" || np.Path != path {
			t.Errorf("got %v", err)
		}
	}
	_, err := decode[any](value, Options{})
	check(err, "")
	_, err = decode[int](value, Options{})
	check(err, "")
	_, err = decode[[]float64](value, Options{})
	check(err, "")
	_, err = decode[struct{ M map[string]int }](wrapped, Options{})
	check(err, "M")
	_, err = decode[map[string]any](wrapped, Options{})
	check(err, `["M"]`)
	if _, err := decode[struct{ N int }](wrapped, Options{}); err != nil {
		t.Errorf("an unknown field with a Python object: %v", err)
	}
}

func TestUnexportedAndEmptyFieldsAreNotSent(t *testing.T) {
	t.Parallel()
	got, err := decode[map[string]any](encode(t, node{secret: 7, Name: "n"}), Options{})
	want := map[string]any{"ID": int64(0), "name": "n", "Children": nil, "Tags": nil}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

func TestEqualValuesAreEqualBytes(t *testing.T) {
	t.Parallel()
	m := map[string][]byte{}
	for i := range 50 {
		m[strings.Repeat("k", i)] = make([]byte, 4090+i)
	}
	first := encode(t, m)
	for range 20 {
		if !reflect.DeepEqual(first, encode(t, m)) {
			t.Fatal("one map was encoded in two ways")
		}
	}
	if diff := cmp.Diff(encode(t, point{1, 2}), encode(t, map[string]int{"Y": 2, "X": 1})); diff != "" {
		t.Errorf("a struct and the map with its fields (-struct +map):\n%s", diff)
	}
}

func TestAFailedEncodeLeavesTheEncoderAsItWas(t *testing.T) {
	t.Parallel()
	var e Encoder
	e.BeginArray(2)
	if err := Encode(&e, 1); err != nil {
		t.Fatal(err)
	}
	if err := Encode(&e, map[string]any{"a": make([]byte, 5000), "b": map[int]any{1: Ref{ID: id.Object{1}}, 2: func() {}}}); err == nil {
		t.Fatal("a function was sent")
	}
	if err := Encode(&e, map[string]int{"z": 1, "a": 2}); err != nil {
		t.Fatal(err)
	}
	want := encode(t, []any{1, map[string]int{"a": 2, "z": 1}})
	got := e.Finish()
	if diff := cmp.Diff(want.Meta, got.Meta); diff != "" || len(got.Buffers)+len(got.Refs) != 0 {
		t.Errorf("(-want +got):\n%s\n%d buffers, %d bytes of refs", diff, len(got.Buffers), len(got.Refs))
	}
}

func TestArgumentsAreOneValue(t *testing.T) {
	t.Parallel()
	var e Encoder
	for range 2 { // the second time with what Reset kept
		e.Reset()
		e.BeginArray(3)
		if err := errors.Join(Encode(&e, 7), Encode(&e, long(1000))); err != nil {
			t.Fatal(err)
		}
		e.Nil()
		var d Decoder
		d.Reset(e.Finish(), Options{})
		n, err := d.BeginArray()
		if err != nil || n != 3 {
			t.Fatal(n, err)
		}
		a, err := Decode[int](&d)
		if err != nil || a != 7 {
			t.Fatal(a, err)
		}
		var b []float64
		if err := DecodeInto(&d, &b); err != nil || !cmp.Equal(b, long(1000)) {
			t.Fatal(err)
		}
		if err := errors.Join(d.Skip(), d.Done()); err != nil {
			t.Fatal(err)
		}
	}
}

func TestViewAliasesAndCopyDoesNot(t *testing.T) {
	t.Parallel()
	for _, view := range []bool{false, true} {
		numbers, text := long(1000), []byte(strings.Repeat("b", 5000))
		enc := encode(t, struct {
			N []float64
			B []byte
		}{numbers, text})
		got, err := decode[struct {
			N []float64
			B []byte
		}](enc, Options{View: view})
		if err != nil {
			t.Fatal(err)
		}
		if (&got.N[0] == &numbers[0]) != view || (&got.B[0] == &text[0]) != view {
			t.Errorf("view %v: aliased %v, %v", view, &got.N[0] == &numbers[0], &got.B[0] == &text[0])
		}
		if cap(got.N) != len(got.N) {
			t.Errorf("view %v: append would write to %d more elements", view, cap(got.N)-len(got.N))
		}
	}
	bytes := make([]byte, 8001)
	enc := encode(t, make([]float64, 1000))
	enc.Buffers[0] = bytes[1:]
	got, err := decode[[]float64](enc, Options{View: true})
	if err != nil || len(got) != 1000 {
		t.Errorf("a view of unaligned memory: %d, %v", len(got), err)
	}
}
