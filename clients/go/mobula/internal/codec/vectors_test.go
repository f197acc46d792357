package codec

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/mobula-dev/mobula/internal/id"
)

// hexBytes are bytes that JSON holds in hexadecimal.
type hexBytes []byte

func (b *hexBytes) UnmarshalText(text []byte) error {
	out, err := hex.DecodeString(string(text))
	*b = out
	return err
}

// vector is an entry of values.json.
type vector struct {
	Name        string
	Value       notation
	Meta        hexBytes
	Buffers     []hexBytes
	Refs        hexBytes
	Stored      hexBytes
	DecodeOnly  bool   `json:"decode_only"`
	NotPortable string `json:"not_portable"`
}

func (v vector) encoded() Encoded {
	enc := Encoded{Meta: v.Meta, Refs: v.Refs}
	for _, b := range v.Buffers {
		enc.Buffers = append(enc.Buffers, b)
	}
	return enc
}

// notation is a value in the notation of tests/vectors/README.md: an object with one key.
type notation map[string]json.RawMessage

// value makes the Go value that the notation stands for.
func (n notation) value() (any, error) {
	for kind, raw := range n {
		build, ok := builders()[kind]
		if !ok {
			return nil, fmt.Errorf("unknown kind %q", kind)
		}
		return build(raw)
	}
	return nil, errors.New("an empty object")
}

// parse returns a function that reads raw as a T and builds a value of it.
func parse[T any](build func(T) (any, error)) func(json.RawMessage) (any, error) {
	return func(raw json.RawMessage) (any, error) {
		var v T
		if err := json.Unmarshal(raw, &v); err != nil {
			return nil, err
		}
		return build(v)
	}
}

// floats parses the decimal notation of floats.
func floats(texts ...string) (out [2]float64, err error) {
	for i, text := range texts {
		if out[i], err = strconv.ParseFloat(text, 64); err != nil {
			return out, err
		}
	}
	return out, nil
}

// builders returns a function for each kind.
func builders() map[string]func(json.RawMessage) (any, error) {
	return map[string]func(json.RawMessage) (any, error){
		"nil":  func(json.RawMessage) (any, error) { return nil, nil },
		"bool": parse(func(b bool) (any, error) { return b, nil }),
		"int": parse(func(s string) (any, error) {
			i, ok := new(big.Int).SetString(s, 10)
			if !ok {
				return nil, fmt.Errorf("integer %q", s)
			}
			return i, nil
		}),
		"float64":    parse(func(s string) (any, error) { f, err := floats(s); return f[0], err }),
		"float32":    parse(func(s string) (any, error) { f, err := floats(s); return float32(f[0]), err }),
		"complex128": parse(func(s [2]string) (any, error) { f, err := floats(s[:]...); return complex(f[0], f[1]), err }),
		"complex64": parse(func(s [2]string) (any, error) {
			f, err := floats(s[:]...)
			return complex(float32(f[0]), float32(f[1])), err
		}),
		"text":     parse(func(s string) (any, error) { return s, nil }),
		"bytes":    parse(func(b hexBytes) (any, error) { return []byte(b), nil }),
		"error":    parse(func(s string) (any, error) { return errors.New(s), nil }),
		"duration": parse(func(s string) (any, error) { n, err := strconv.ParseInt(s, 10, 64); return time.Duration(n), err }),
		"time": parse(func(t struct {
			Seconds     int64 `json:",string"`
			Nanoseconds int64
		}) (any, error) {
			return time.Unix(t.Seconds, t.Nanoseconds).UTC(), nil
		}),
		"list":  parse(buildList),
		"map":   parse(buildMap),
		"array": parse(buildArray),
		"ref":   parse(func(b hexBytes) (any, error) { return Ref{ID: id.Object(b)}, nil }),
		"actor": parse(func(a struct {
			ID    hexBytes
			Class string
		}) (any, error) {
			return Ref{id.Object(a.ID), RefActor, a.Class}, nil
		}),
		"protobuf": parse(buildProto),
	}
}

func buildList(items []notation) (any, error) {
	list := make([]any, len(items))
	for i, item := range items {
		v, err := item.value()
		if err != nil {
			return nil, err
		}
		list[i] = v
	}
	return list, nil
}

func buildMap(entries [][2]notation) (any, error) {
	m := map[any]any{}
	for _, e := range entries {
		k, err := e[0].value()
		if err != nil {
			return nil, err
		}
		if i, ok := k.(*big.Int); ok {
			k = i.Int64()
		}
		if m[k], err = e[1].value(); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func buildArray(a struct {
	DType string
	Shape []int
	Data  hexBytes
}) (any, error) {
	for t := Bool; t.Valid(); t++ {
		if t.String() == a.DType {
			return Tensor{t, a.Shape, a.Data}, nil
		}
	}
	return nil, fmt.Errorf("unknown element type %q", a.DType)
}

func buildProto(p struct {
	Name string
	Data hexBytes
}) (any, error) {
	t, err := protoregistry.GlobalTypes.FindMessageByName(protoreflect.FullName(p.Name))
	if err != nil {
		return nil, err
	}
	m := t.New().Interface()
	return m, proto.Unmarshal(p.Data, m)
}

// vectors reads values.json.
func vectors(t *testing.T) (sections struct {
	Values, Malformed, Stored []vector
	StoredMalformed           []vector `json:"stored_malformed"`
}) {
	t.Helper()
	data, err := os.ReadFile(filepath.FromSlash("../../../../../tests/vectors/values.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &sections); err != nil {
		t.Fatal(err)
	}
	return sections
}

// equalEncoded takes nil and empty for equal, as the wire does.
func equalEncoded(x, y Encoded) bool {
	return bytes.Equal(x.Meta, y.Meta) && bytes.Equal(x.Refs, y.Refs) && len(x.Buffers) == len(y.Buffers) &&
		(len(x.Buffers) == 0 || reflect.DeepEqual(x.Buffers, y.Buffers))
}

func TestVectorsAreEncodedToTheirBytesAndReadBack(t *testing.T) {
	t.Parallel()
	for _, v := range vectors(t).Values {
		t.Run(v.Name, func(t *testing.T) {
			t.Parallel()
			if v.NotPortable != "" {
				var np *NotPortableError
				if _, err := decode[any](v.encoded(), Options{}); !errors.As(err, &np) || np.PythonType != v.NotPortable {
					t.Errorf("got %v", err)
				}
				return
			}
			value, err := v.Value.value()
			if err != nil {
				t.Fatal(err)
			}
			want := encode(t, value)
			if got := v.encoded(); !v.DecodeOnly && !equalEncoded(got, want) {
				t.Errorf("encoded\ngot  %x\nwant %x", want.Meta, got.Meta)
			}
			// Encode gives each value bytes of its own, so what was read is the value if it encodes to the same bytes.
			got, err := readBack(value, v.encoded())
			if err != nil {
				t.Fatal(err)
			}
			if again := encode(t, got); !equalEncoded(again, want) {
				t.Errorf("read %v (%T), which encodes as %x", got, got, again.Meta)
			}
		})
	}
}

// readBack reads a value without a type, but for those that become wider then.
func readBack(value any, enc Encoded) (any, error) {
	switch value.(type) {
	case float32:
		return decode[float32](enc, Options{})
	case complex64:
		return decode[complex64](enc, Options{})
	default:
		return decode[any](enc, Options{})
	}
}

func TestMalformedVectorsAreRefused(t *testing.T) {
	t.Parallel()
	for _, v := range vectors(t).Malformed {
		_, err := decode[any](v.encoded(), Options{})
		if _, ok := errors.AsType[*FormatError](err); !ok {
			t.Errorf("%s: %v", v.Name, err)
		}
	}
}

func TestStoredVectorsAreWrittenAndOpened(t *testing.T) {
	t.Parallel()
	sections := vectors(t)
	for _, v := range sections.Stored {
		enc := v.encoded()
		dst := make([]byte, StoredSize(enc))
		if err := WriteStored(dst, enc); err != nil || !bytes.Equal(dst, v.Stored) {
			t.Errorf("%s: %v\ngot  %x\nwant %x", v.Name, err, dst, v.Stored)
		}
		if got, err := OpenStored(v.Stored); err != nil || !equalEncoded(got, enc) {
			t.Errorf("%s: opened as %v, %v", v.Name, got, err)
		}
	}
	for _, v := range sections.StoredMalformed {
		var fe *FormatError
		if _, err := OpenStored(v.Stored); !errors.As(err, &fe) {
			t.Errorf("%s: %v", v.Name, err)
		}
	}
}

func TestVectorsCoverEveryExtension(t *testing.T) {
	t.Parallel()
	seen := map[int8]bool{}
	for _, v := range vectors(t).Values {
		d := Decoder{data: v.Meta, claims: len(v.Meta)}
		for d.pos < len(d.data) {
			tok, err := d.next()
			if err != nil {
				t.Fatal(v.Name, err)
			}
			switch tok.kind {
			case kindExt:
				seen[tok.ext] = true
				fallthrough
			case kindStr, kindBin:
				d.pos += tok.n
			default: // a scalar, or a head
			}
		}
	}
	for code := int8(extBytes); code <= extPickle; code++ {
		if !seen[code] {
			t.Errorf("no vector has %s", extName(code))
		}
	}
}
