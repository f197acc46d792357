package codec

import (
	"fmt"
	"math"
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

// scalars are the leaves of generated types.
var scalars = []reflect.Type{
	reflect.TypeFor[bool](), reflect.TypeFor[int](), reflect.TypeFor[int8](), reflect.TypeFor[int64](), reflect.TypeFor[uint16](),
	reflect.TypeFor[uint64](), reflect.TypeFor[float32](), reflect.TypeFor[celsius](), reflect.TypeFor[complex128](), reflect.TypeFor[string](),
	reflect.TypeFor[time.Time](), reflect.TypeFor[time.Duration](), reflect.TypeFor[point](), reflect.TypeFor[Ref](),
}

// drawType generates a type of at most depth levels.
func drawType(t *rapid.T, depth int) reflect.Type {
	if depth == 0 {
		return rapid.SampledFrom(scalars).Draw(t, "scalar")
	}
	switch rapid.SampledFrom([]string{"scalar", "slice", "array", "map", "pointer", "struct", "any"}).Draw(t, "form") {
	case "slice":
		return reflect.SliceOf(drawType(t, depth-1))
	case "array":
		return reflect.ArrayOf(rapid.IntRange(0, 3).Draw(t, "length"), drawType(t, depth-1))
	case "map":
		return reflect.MapOf(rapid.SampledFrom(scalars[:10]).Draw(t, "key"), drawType(t, depth-1))
	case "pointer":
		return reflect.PointerTo(drawType(t, depth-1))
	case "struct":
		fields := make([]reflect.StructField, rapid.IntRange(0, 4).Draw(t, "fields"))
		for i := range fields {
			tag := rapid.SampledFrom([]string{"", fmt.Sprintf(`mobula:"a_longer_name%d"`, i)}).Draw(t, "tag")
			fields[i] = reflect.StructField{Name: fmt.Sprintf("F%d", i), Type: drawType(t, depth-1), Tag: reflect.StructTag(tag)}
		}
		return reflect.StructOf(fields)
	case "any":
		return anyType
	default:
		return rapid.SampledFrom(scalars).Draw(t, "scalar")
	}
}

// drawValue fills v, which is zero.
func drawValue(t *rapid.T, v reflect.Value) {
	switch v.Type() {
	case timeType:
		v.Set(reflect.ValueOf(time.Unix(rapid.Int64Range(-1<<40, 1<<40).Draw(t, "seconds"), rapid.Int64Range(0, 999999999).Draw(t, "nanoseconds")).UTC()))
		return
	case reflect.TypeFor[Ref]():
		v.Set(reflect.ValueOf(Ref{ID: object(rapid.Uint32().Draw(t, "ref"))}))
		return
	case anyType:
		drawAny(t, v, 3)
		return
	}
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(rapid.Bool().Draw(t, "bool"))
	case reflect.Int, reflect.Int8, reflect.Int64:
		v.SetInt(rapid.Int64().Draw(t, "int") >> (64 - v.Type().Bits()))
	case reflect.Uint16, reflect.Uint64:
		v.SetUint(rapid.Uint64().Draw(t, "uint") >> (64 - v.Type().Bits()))
	case reflect.Float32:
		v.SetFloat(float64(rapid.Float32().Draw(t, "float")))
	case reflect.Float64:
		v.SetFloat(rapid.Float64().Draw(t, "float"))
	case reflect.Complex128:
		v.SetComplex(complex(rapid.Float64().Draw(t, "real"), rapid.Float64().Draw(t, "imaginary")))
	case reflect.String:
		v.SetString(drawString(t))
	case reflect.Pointer:
		if rapid.Bool().Draw(t, "present") {
			v.Set(reflect.New(v.Type().Elem()))
			drawValue(t, v.Elem())
		}
	case reflect.Slice:
		if n := rapid.SampledFrom([]int{-1, 0, 1, 2, 17, 200}).Draw(t, "length"); n >= 0 {
			if v.Type().Elem().Size() > 16 {
				n = min(n, 3)
			}
			v.Set(reflect.MakeSlice(v.Type(), n, n))
			drawElements(t, v)
		}
	case reflect.Array:
		drawElements(t, v)
	case reflect.Map:
		for n := rapid.IntRange(-1, 3).Draw(t, "length"); n >= 0; n-- {
			if v.IsNil() {
				v.Set(reflect.MakeMap(v.Type()))
				continue
			}
			key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
			drawValue(t, key)
			drawValue(t, value)
			v.SetMapIndex(key, value)
		}
	case reflect.Struct:
		for _, f := range v.Fields() {
			drawValue(t, f)
		}
	default:
		t.Fatalf("no values for %s", v.Type())
	}
}

// drawElements fills a list; long ones repeat their first elements.
func drawElements(t *rapid.T, v reflect.Value) {
	for i := range v.Len() {
		if i < 4 {
			drawValue(t, v.Index(i))
		} else {
			v.Index(i).Set(v.Index(i % 4))
		}
	}
}

func drawString(t *rapid.T) string {
	if rapid.IntRange(0, 9).Draw(t, "long") == 0 {
		return string(make([]byte, rapid.IntRange(4090, 4100).Draw(t, "length")))
	}
	if rapid.Bool().Draw(t, "text") {
		return rapid.StringN(0, 40, -1).Draw(t, "string")
	}
	return string(rapid.SliceOfN(rapid.Byte(), 0, 10).Draw(t, "bytes"))
}

// drawAny fills an empty interface with what is read into one.
func drawAny(t *rapid.T, v reflect.Value, depth int) {
	types := []reflect.Type{
		reflect.TypeFor[bool](), reflect.TypeFor[int64](), reflect.TypeFor[float64](), reflect.TypeFor[[]byte](),
		timeType, reflect.TypeFor[time.Duration](), reflect.TypeFor[Ref](), reflect.TypeFor[[]int64](), reflect.TypeFor[[]float64](),
	}
	switch n := rapid.IntRange(0, len(types)+2).Draw(t, "dynamic type"); {
	case n < len(types):
		x := reflect.New(types[n]).Elem()
		switch {
		case x.Kind() == reflect.Slice:
			x.Set(reflect.MakeSlice(x.Type(), rapid.SampledFrom([]int{0, 3, 5000}).Draw(t, "length"), 5000))
		default:
			drawValue(t, x)
		}
		v.Set(x)
	case n == len(types) && depth > 0:
		list := make([]any, rapid.IntRange(0, 3).Draw(t, "length"))
		for i := range list {
			drawAny(t, reflect.ValueOf(&list[i]).Elem(), depth-1)
		}
		v.Set(reflect.ValueOf(list))
	case n == len(types)+1 && depth > 0:
		m := map[string]any{}
		for range rapid.IntRange(0, 3).Draw(t, "length") {
			var x any
			drawAny(t, reflect.ValueOf(&x).Elem(), depth-1)
			m[rapid.StringN(0, 40, -1).Draw(t, "key")] = x
		}
		v.Set(reflect.ValueOf(m))
	}
}

// collapses reports whether a type holds a pointer to something that can itself be nil: nil and a pointer to nil are the
// same in a value.
func collapses(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Pointer:
		switch t.Elem().Kind() {
		case reflect.Pointer, reflect.Slice, reflect.Map, reflect.Interface:
			return true
		default:
			return collapses(t.Elem())
		}
	case reflect.Slice, reflect.Array, reflect.Map:
		return collapses(t.Elem())
	case reflect.Struct:
		for f := range t.Fields() {
			if f.IsExported() && collapses(f.Type) {
				return true
			}
		}
	default: // a scalar
	}
	return false
}

// sameBits takes all NaNs for equal.
func sameBits(x, y float64) bool { return x == y || math.IsNaN(x) && math.IsNaN(y) }

func TestEveryValueOfEveryTypeComesBack(t *testing.T) {
	t.Parallel()
	var e Encoder
	var d Decoder
	rapid.Check(t, func(t *rapid.T) {
		typ := drawType(t, 3)
		if collapses(typ) {
			t.Skip("nil and a pointer to nil are one")
		}
		sent := reflect.New(typ)
		drawValue(t, sent.Elem())

		e.Reset()
		if err := Encode(&e, sent.Elem().Interface()); err != nil {
			t.Fatal(err)
		}
		enc := e.Finish()
		view := rapid.Bool().Draw(t, "view")
		read := reflect.New(typ)
		d.Reset(enc, Options{View: view})
		if err := DecodeInto(&d, read.Interface()); err != nil {
			t.Fatalf("read %s: %v", typ, err)
		}
		if err := d.Done(); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(sent.Interface(), read.Interface(), cmp.Comparer(sameBits), equalTimes); diff != "" {
			t.Fatalf("%s (-sent +read):\n%s", typ, diff)
		}
		// Equal values are equal bytes.
		var again Encoder
		if err := Encode(&again, read.Elem().Interface()); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(enc, again.Finish(), cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("%s encodes differently the second time:\n%s", typ, diff)
		}
		// What was written can be skipped, and read without a type.
		d.Reset(enc, Options{})
		if err := d.Skip(); err != nil || d.Done() != nil {
			t.Fatalf("skip %s: %v", typ, err)
		}
	})
}
