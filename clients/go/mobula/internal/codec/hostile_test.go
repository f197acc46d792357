package codec

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/big"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/mobula-dev/mobula/internal/id"
)

type (
	deep []deep
	// wide is large in memory and one byte on the wire.
	wide struct{ A, B, C, D [16]string }
	// everything has a field for each way of reading.
	everything struct {
		B    bool
		I    int8
		U    uint16
		F    float32
		C    complex64
		S    string
		Raw  []byte
		Nums []float64
		Flag []bool
		Arr  [3]int32
		List []string
		Wide []wide
		Deep deep
		Map  map[string][]int
		Keys map[any]any
		Ptr  *everything
		Any  any
		Time time.Time
		Dur  time.Duration
		Big  *big.Int
		Addr netip.Addr
		Err  error
		Pb   *durationpb.Duration
		Ten  Tensor
		Ref  Ref
	}
)

// claimed returns a head that announces n elements: c is 0xdd for lists, 0xdf for maps.
func claimed(c byte, n uint32) []byte { return binary.BigEndian.AppendUint32([]byte{c}, n) }

func TestMalformedValuesAreFormatErrors(t *testing.T) {
	t.Parallel()
	for what, meta := range map[string][]byte{
		"nothing":                      {},
		"the reserved byte":            {0xc1},
		"half an integer":              {0xcd, 1},
		"half a string":                {0xa5, 'a'},
		"a list without elements":      {0x92, 1},
		"a list of four billion":       claimed(0xdd, 1<<32-1),
		"a map of four billion":        claimed(0xdf, 1<<32-1),
		"a string of four billion":     claimed(0xdb, 1<<32-1),
		"an extension of four billion": claimed(0xc9, 1<<32-1),
		"a buffer that is not there":   {0xd6, extBytes, 9, 0, 0, 0},
		"a buffer number of one byte":  {0xd4, extBytes, 0},
		"a ref that is not there":      {0xd6, extRef, 0, 0, 0, 0},
		"an array of no type":          {0xd5, extInline, 99, 0},
		"an array of 33 dimensions":    {0xd5, extInline, 1, 33},
		"an array of the wrong size":   {0xd6, extInline, byte(Float64), 1, 5, 0},
		"an array whose size overflows": append([]byte{0xc7, 21, extInline, byte(Float64), 2},
			[]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, 0}...),
		"a bool that is two":               {0xd6, extInline, byte(Bool), 1, 1, 2},
		"a time with too many nanoseconds": {0xd7, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0},
		"a time of two bytes":              {0xd5, 0xff, 0, 0},
		"an integer without bytes":         {0xc7, 0, extBigInt},
		"a Python object without name":     {0xd4, extPickle, 0x90},
		"deep nesting":                     bytes.Repeat([]byte{0x91}, 5000),
	} {
		for _, read := range []func() error{
			func() error { _, err := decode[any](Encoded{Meta: meta}, Options{}); return err },
			func() error {
				_, err := decode[[]any](Encoded{Meta: append([]byte{0x91}, meta...)}, Options{})
				return err
			},
		} {
			err := read()
			if _, ok := errors.AsType[*FormatError](err); !ok {
				t.Errorf("%s: %v", what, err)
			}
		}
	}
	twice := Encoded{Meta: []byte{0x92, 0xd6, extBytes, 0, 0, 0, 0, 0xd6, extBytes, 0, 0, 0, 0}, Buffers: [][]byte{make([]byte, 10)}}
	if _, err := decode[[][]byte](twice, Options{}); err == nil {
		t.Error("one buffer was read twice")
	}
	if _, err := decode[int](Encoded{Meta: []byte{1, 2}}, Options{}); err == nil {
		t.Error("a second value was not noticed")
	}
}

//nolint:paralleltest // it counts the allocations of the whole process
func TestHostileLengthsAllocateLittle(t *testing.T) {
	const size = 1 << 20
	padding := make([]byte, size)
	nested := bytes.Repeat(claimed(0xdd, size-6000), 900)
	for what, c := range map[string]struct {
		meta []byte
		read func(Encoded) error
		most uint64
	}{
		"nested lists that each claim all the rest": {append(nested, padding...),
			func(v Encoded) error { _, err := decode[deep](v, Options{}); return err }, 64 << 20},
		"nested lists read as any": {append(nested, padding...),
			func(v Encoded) error { _, err := decode[any](v, Options{}); return err }, 64 << 20},
		"a list of large structs that are not there": {append(claimed(0xdd, size), padding...),
			func(v Encoded) error { _, err := decode[[]wide](v, Options{}); return err }, 4 << 20},
		"a map of large structs that are not there": {append(claimed(0xdf, size/2), padding...),
			func(v Encoded) error { _, err := decode[map[string]wide](v, Options{}); return err }, 8 << 20},
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		err := c.read(Encoded{Meta: c.meta})
		runtime.ReadMemStats(&after)
		if err == nil {
			t.Errorf("%s: read without an error", what)
		}
		if got := after.TotalAlloc - before.TotalAlloc; got > c.most {
			t.Errorf("%s: allocated %d bytes for %d", what, got, len(c.meta))
		}
	}
}

func FuzzDecoder(f *testing.F) {
	v := everything{
		B: true, I: -3, U: 300, F: 1.5, C: 2, S: "s", Raw: []byte{1}, Nums: long(3), Flag: []bool{true}, List: []string{"a"}, Map: map[string][]int{"k": {1}},
		Keys: map[any]any{int64(1): "x", "y": nil}, Ptr: &everything{Big: new(big.Int).Lsh(big.NewInt(1), 70)}, Any: []any{map[string]any{"z": 1.5}},
		Time: time.Unix(5, 6), Dur: 7, Addr: netip.MustParseAddr("::1"), Err: errors.New("e"), Pb: durationpb.New(time.Second), Deep: deep{{}, nil},
		Ten: Tensor{Float16, []int{2}, make([]byte, 4)}, Ref: Ref{ID: object(1), Kind: RefActor, Class: "C"},
	}
	for _, enc := range []Encoded{encode(f, v), encode(f, long(1000)), encode(f, map[string]any{"Any": make([]byte, 5000)}), encode(f, []int{1}), encode(f, []any{1, "x"})} {
		f.Add(enc.Meta)
	}
	f.Add([]byte{0xd6, extArray, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, meta []byte) {
		for _, view := range []bool{false, true} {
			enc := Encoded{Meta: meta, Buffers: [][]byte{make([]byte, 8000), {1, 0, 1}}, Refs: make([]byte, 3*id.ObjectSize)}
			enc.Refs[0], enc.Refs[25], enc.Refs[45] = 1, 2, 3
			o := Options{View: view}
			_, _ = decode[everything](enc, o) // any result but a panic will do, here and below
			_, _ = decode[[]float64](enc, o)
			_, _ = decode[[]int8](enc, o)
			_, _ = decode[[]Ref](enc, o)
			_, _ = decode[map[[2]int16]deep](enc, o)
			_, _ = decode[[]wide](enc, o)
			got, err := decode[any](enc, o)
			if err != nil {
				continue
			}
			var d Decoder
			d.Reset(enc, o)
			if err := errors.Join(d.Skip(), d.Done()); err != nil {
				t.Fatalf("read but not skipped: %v", err)
			}
			var e Encoder
			if err := Encode(&e, got); err != nil {
				if te := new(TypeError); errors.As(err, &te) {
					continue // such as two keys of a map that are equal once they are encoded
				}
				t.Fatal(err)
			}
			if _, err := decode[any](e.Finish(), o); err != nil {
				t.Fatalf("encoded again it cannot be read: %v", err)
			}
		}
	})
}
