package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// corpus is the source code that is indexed. Files go by their number, their place in paths.
type corpus struct {
	root string
	// paths are relative to root, with slashes, and in the order of their packages.
	paths []string
	sizes []int64
	// packageOf has the number of each file's package, which is the folder that it lies in.
	packageOf []uint32
	packages  int
	bytes     int64
}

// findSources lists the Go files below a folder.
func findSources(root string) (*corpus, error) {
	c := &corpus{}
	var err error
	if c.root, err = filepath.Abs(root); err != nil { // tasks run in other processes, perhaps in other folders
		return nil, err
	}
	sizes := make(map[string]int64)
	err = filepath.WalkDir(c.root, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() || filepath.Ext(name) != ".go" {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(c.root, name)
		sizes[filepath.ToSlash(relative)] = info.Size()
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list the Go files: %w", err)
	}
	if len(sizes) == 0 {
		return nil, fmt.Errorf("there are no Go files in %s", c.root)
	}
	for name := range sizes {
		c.paths = append(c.paths, name)
	}
	slices.SortFunc(c.paths, byPackage)
	for i, name := range c.paths {
		if i == 0 || path.Dir(name) != path.Dir(c.paths[i-1]) {
			c.packages++
		}
		c.packageOf = append(c.packageOf, uint32(c.packages-1))
		c.sizes = append(c.sizes, sizes[name])
		c.bytes += sizes[name]
	}
	return c, nil
}

// byPackage orders paths by their folder first. Their own order would put a folder's subfolders among its files.
func byPackage(a, b string) int {
	dirA, fileA := path.Split(a)
	dirB, fileB := path.Split(b)
	if n := strings.Compare(dirA, dirB); n != 0 {
		return n
	}
	return strings.Compare(fileA, fileB)
}

// Batch names some files with consecutive numbers. Only the names travel: a task reads the files itself.
type Batch struct {
	// Root is the folder that Paths are relative to.
	Root string
	// Paths are the files.
	Paths []string
	// First is the number of the first of them.
	First int
	// Bytes is the size of the files together.
	Bytes int64
}

// batches splits the corpus into batches of at least size bytes each, but for the last.
func (c *corpus) batches(size int64) []Batch {
	var all []Batch
	b := Batch{Root: c.root}
	for i := range c.paths {
		b.Bytes += c.sizes[i]
		if b.Bytes >= size || i == len(c.paths)-1 {
			b.Paths = c.paths[b.First : i+1]
			all = append(all, b)
			b = Batch{Root: c.root, First: i + 1}
		}
	}
	return all
}

// all returns one batch of all files.
func (c *corpus) all() Batch { return Batch{Root: c.root, Paths: c.paths, Bytes: c.bytes} }

// warm reads all files once, so that of two runs that are compared the first does not wait for the disk alone.
func (c *corpus) warm(ctx context.Context) error {
	all := c.all()
	return all.read(ctx, func(int, []byte) {})
}

// read calls f with every file's number and text, which is valid until f returns.
func (b *Batch) read(ctx context.Context, f func(number int, text []byte)) error {
	var text []byte
	for i, name := range b.Paths {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		var err error
		if text, err = readFile(filepath.Join(b.Root, filepath.FromSlash(name)), text[:0]); err != nil {
			return err // it names the file
		}
		f(b.First+i, text)
	}
	return nil
}

// readFile appends a file to buf. One buffer for many files saves the garbage that os.ReadFile would make.
func readFile(name string, buf []byte) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return buf, err
	}
	defer func() { _ = f.Close() }() // nothing was written
	for {
		buf = slices.Grow(buf, 64<<10)
		n, err := f.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		switch {
		case errors.Is(err, io.EOF):
			return buf, nil
		case err != nil:
			return buf, err
		}
	}
}
