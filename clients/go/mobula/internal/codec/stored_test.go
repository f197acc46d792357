package codec

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"
	"unsafe"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

func TestStoredValuesAreOpenedWithoutCopying(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		v := Encoded{
			Meta:    rapid.SliceOfN(rapid.Byte(), 0, 200).Draw(t, "meta"),
			Buffers: rapid.SliceOfN(rapid.SliceOfN(rapid.Byte(), 0, 200), 0, 5).Draw(t, "buffers"),
			Refs:    bytes.Repeat([]byte{7}, 20*rapid.IntRange(0, 5).Draw(t, "refs")),
		}
		// Memory from an earlier object, at an aligned address.
		backing := bytes.Repeat([]byte{0xee}, StoredSize(v)+64)
		skip := -int(uintptr(unsafe.Pointer(&backing[0]))) & 63
		dst := backing[skip : skip+StoredSize(v)]
		if err := WriteStored(dst, v); err != nil {
			t.Fatal(err)
		}
		got, err := OpenStored(dst)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(v, got, cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("(-want +got):\n%s", diff)
		}
		for i, b := range got.Buffers {
			if len(b) == 0 {
				continue
			}
			offset := uintptr(unsafe.Pointer(&b[0])) - uintptr(unsafe.Pointer(&dst[0]))
			if offset%64 != 0 || offset >= uintptr(len(dst)) {
				t.Fatalf("buffer %d lies at %d of %d", i, offset, len(dst))
			}
		}
		again := make([]byte, StoredSize(got))
		if err := WriteStored(again, got); err != nil || !bytes.Equal(again, dst) {
			t.Fatalf("written again it differs, so old memory shines through: %v", err)
		}
	})
}

func TestBrokenStoredValuesAreRefused(t *testing.T) {
	t.Parallel()
	v := Encoded{Meta: []byte("meta"), Buffers: [][]byte{make([]byte, 100), make([]byte, 3)}, Refs: make([]byte, 40)}
	good := make([]byte, StoredSize(v))
	if err := WriteStored(good, v); err != nil {
		t.Fatal(err)
	}
	refused := func(what string, b []byte) {
		t.Helper()
		var fe *FormatError
		if _, err := OpenStored(b); !errors.As(err, &fe) {
			t.Errorf("%s: %v", what, err)
		}
	}
	for n := range good {
		refused("cut short", good[:n])
	}
	refused("too long", append(bytes.Clone(good), 0))
	for _, at := range []int{0, 7, 40} {
		b := bytes.Clone(good)
		b[at] ^= 0x80
		refused("a wrong byte in the header", b)
	}
	for _, at := range []int{8, 16, 64, 72} {
		for _, n := range []uint64{1 << 63, ^uint64(0), ^uint64(0) - 63, uint64(len(good)) + 1} {
			b := bytes.Clone(good)
			binary.LittleEndian.PutUint64(b[at:], n)
			refused("a wrong length", b)
		}
	}
	for _, at := range []int{24, 28} {
		b := bytes.Clone(good)
		binary.LittleEndian.PutUint32(b[at:], ^uint32(0))
		refused("a wrong count", b)
	}
	if err := WriteStored(make([]byte, 10), v); err == nil {
		t.Error("wrote into too little memory")
	}
	if err := WriteStored(make([]byte, StoredSize(Encoded{Refs: good[:7]})), Encoded{Refs: good[:7]}); err == nil {
		t.Error("wrote a part of a ref")
	}
}

func FuzzOpenStored(f *testing.F) {
	for _, v := range []Encoded{{}, {Meta: []byte{0xc0}}, {Meta: []byte("m"), Buffers: [][]byte{{1}, make([]byte, 70)}, Refs: make([]byte, 20)}} {
		b := make([]byte, StoredSize(v))
		if err := WriteStored(b, v); err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := OpenStored(b)
		if err != nil {
			return
		}
		if StoredSize(v) != len(b) {
			t.Fatalf("opened %d bytes as a value of %d", len(b), StoredSize(v))
		}
		again := make([]byte, len(b))
		if err := WriteStored(again, v); err != nil {
			t.Fatal(err)
		}
		w, err := OpenStored(again)
		if diff := cmp.Diff(v, w); err != nil || diff != "" {
			t.Fatalf("%v\n%s", err, diff)
		}
	})
}
