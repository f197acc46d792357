package main

import (
	"context"
	"errors"
	"path"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestFilesAreNumberedPackageByPackage(t *testing.T) {
	t.Parallel()
	c, err := findSources(sources(t, small))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"main.go", "a/a.go", "a/b.go", "a/z.go", "a/inner/in.go", "b/b.go"}
	if !slices.Equal(c.paths, want) {
		t.Errorf("files %q, want %q", c.paths, want)
	}
	if want := []uint32{0, 1, 1, 1, 2, 3}; !slices.Equal(c.packageOf, want) || c.packages != 4 {
		t.Errorf("packages %v, %d of them, want %v", c.packageOf, c.packages, want)
	}
}

func TestBatchesAreTheWholeCorpusInOrder(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		c := &corpus{root: "/r"}
		for i, size := range rapid.SliceOfN(rapid.Int64Range(0, 100), 1, 40).Draw(t, "sizes") {
			c.paths = append(c.paths, path.Join("p", string(rune('a'+i))))
			c.sizes = append(c.sizes, size)
			c.bytes += size
		}
		size := rapid.Int64Range(1, 300).Draw(t, "size")
		var paths []string
		var bytes int64
		batches := c.batches(size)
		for i, b := range batches {
			if b.Root != "/r" || b.First != len(paths) || len(b.Paths) == 0 {
				t.Fatalf("batch %d is %+v, want one with files from number %d", i, b, len(paths))
			}
			if last := i == len(batches)-1; b.Bytes < size && !last {
				t.Fatalf("batch %d has %d bytes, want at least %d", i, b.Bytes, size)
			}
			paths = append(paths, b.Paths...)
			bytes += b.Bytes
		}
		if !slices.Equal(paths, c.paths) || bytes != c.bytes {
			t.Fatalf("the batches have %d files with %d bytes, want %d with %d", len(paths), bytes, len(c.paths), c.bytes)
		}
	})
}

func TestReadingStopsWhenTheTaskIsCancelled(t *testing.T) {
	t.Parallel()
	c, err := findSources(sources(t, small))
	if err != nil {
		t.Fatal(err)
	}
	reason := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	all := c.all()
	files := 0
	err = all.read(ctx, func(int, []byte) {
		if files++; files == 2 {
			cancel(reason)
		}
	})
	if !errors.Is(err, reason) || files != 2 {
		t.Errorf("read %d files and then %v, want 2 and the reason of the cancellation", files, err)
	}
}

func TestLongFilesAreReadWhole(t *testing.T) {
	t.Parallel()
	long := make([]byte, 300<<10)
	for i := range long {
		long[i] = byte(i >> 8)
	}
	c, err := findSources(sources(t, map[string]string{"a.go": string(long), "b.go": "short", "c.go": ""}))
	if err != nil {
		t.Fatal(err)
	}
	all := c.all()
	want := []string{string(long), "short", ""}
	if err := all.read(t.Context(), func(number int, text []byte) {
		if string(text) != want[number] {
			t.Errorf("file %d was read as %d bytes, want %d", number, len(text), len(want[number]))
		}
	}); err != nil {
		t.Fatal(err)
	}
}
