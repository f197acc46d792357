package codec

import (
	"fmt"
	"testing"
)

type request struct {
	ID    int64
	Name  string
	Score float64
	Tags  []string
	Retry bool
}

// benchmark measures encoding and decoding of one value.
func benchmark[T any](b *testing.B, v T, o Options) {
	b.Helper()
	enc := encode(b, v)
	b.Run("encode", func(b *testing.B) {
		b.ReportAllocs()
		var e Encoder
		for b.Loop() {
			e.Reset()
			if err := Encode(&e, v); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("decode", func(b *testing.B) {
		b.ReportAllocs()
		var d Decoder
		for b.Loop() {
			d.Reset(enc, o)
			if _, err := Decode[T](&d); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkTwoInts(b *testing.B) {
	var e Encoder
	b.Run("encode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			e.Reset()
			e.BeginArray(2)
			if Encode(&e, 1) != nil || Encode(&e, 100_000) != nil {
				b.Fatal("encode")
			}
			_ = e.Finish() // only the time counts
		}
	})
	b.Run("decode", func(b *testing.B) {
		b.ReportAllocs()
		enc := e.Finish()
		var d Decoder
		for b.Loop() {
			d.Reset(enc, Options{})
			n, _ := d.BeginArray() // a wrong head shows in the values
			x, err1 := Decode[int](&d)
			y, err2 := Decode[int](&d)
			if n != 2 || x != 1 || y != 100_000 || err1 != nil || err2 != nil {
				b.Fatal("decode")
			}
		}
	})
}

func BenchmarkSmallStruct(b *testing.B) {
	benchmark(b, request{1 << 40, "a name of some length", 0.5, []string{"x", "y"}, true}, Options{})
}

func BenchmarkMegabyteOfFloats(b *testing.B) {
	for _, view := range []bool{false, true} {
		b.Run(fmt.Sprintf("view=%v", view), func(b *testing.B) { benchmark(b, long(1<<17), Options{View: view}) })
	}
}

func BenchmarkTenThousandRefs(b *testing.B) {
	refs := make([]Ref, 10_000)
	for i := range refs {
		refs[i] = Ref{ID: object(uint32(i + 1))}
	}
	benchmark(b, refs, Options{})
}

func BenchmarkMapOfHundred(b *testing.B) {
	m := map[string]int{}
	for i := range 100 {
		m[fmt.Sprint("key ", i)] = i
	}
	benchmark(b, m, Options{})
}
