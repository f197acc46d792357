// Package logdir keeps the logs of a node and of its workers: files in one directory that stay within a budget, whoever writes them and however much.
//
// A file holds lines. At its limit it becomes the old one, NAME.1, which replaces the one before it, and a new one begins: of each log the newest
// lines are there. When all files together exceed the budget, the oldest of those that nobody writes any more are removed, and after them the old ones
// of those that somebody does.
//
// A line that begins with the record separator and a colon is for readers of this package only:
//
//	RS:from OFFSET       the first line of a file before which there was another: where its next byte is in the whole log
//	RS:task TASK NAME    what follows was written by that task; TASK is "-" for nobody in particular
//
// So a place in a log is one number, however often the file has changed, and the lines of one task can be told from those of others.
package logdir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// Limits bound a directory; a zero field means its default.
type Limits struct {
	// FileBytes is the size at which a file becomes the old one; 0 is 8 MiB.
	FileBytes int64
	// TotalBytes is how much all files may have; 0 is 512 MiB.
	TotalBytes int64
	// Files is how many files there may be; 0 is 4,096.
	Files int
}

func (l Limits) complete() Limits {
	if l.FileBytes == 0 {
		l.FileBytes = 8 << 20
	}
	if l.TotalBytes == 0 {
		l.TotalBytes = 512 << 20
	}
	if l.Files == 0 {
		l.Files = 4096
	}
	return l
}

// oldSuffix ends the names of old files.
const oldSuffix = ".1"

// Dir is a directory of logs. Its methods may be called from any goroutine.
type Dir struct {
	path   string
	limits Limits

	mu      sync.Mutex // guards all below
	entries []*entry   // the oldest first
	total   int64      // of their sizes
}

// entry is one file.
type entry struct {
	name string
	size int64
	live bool // somebody writes it, or, of an old one, the one after it
}

// Open makes the directory if need be, for its owner only, and takes stock of what is in it.
func Open(dir string, limits Limits) (*Dir, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open log directory: %w", err)
	}
	d := &Dir{path: dir, limits: limits.complete()}
	found, err := d.stat("")
	if err != nil {
		return nil, fmt.Errorf("open log directory: %w", err)
	}
	slices.SortFunc(found, func(a, b *Info) int { return a.Modified.Compare(b.Modified) })
	for _, f := range found {
		d.entries = append(d.entries, &entry{name: f.Name, size: f.Size})
		d.total += f.Size
	}
	d.prune()
	return d, nil
}

// Path returns where the directory is.
func (d *Dir) Path() string { return d.path }

// file returns where the file of that name is.
func (d *Dir) file(name string) string { return filepath.Join(d.path, name) }

// Info is a file of the directory.
type Info struct {
	// Name is its name.
	Name string
	// Size is in bytes.
	Size int64
	// Modified is when it was last written.
	Modified time.Time
	// Live says that it may still grow.
	Live bool
}

// List returns the files whose names match a pattern of package path, by name; the empty pattern matches all.
func (d *Dir) List(pattern string) ([]*Info, error) {
	if _, err := path.Match(pattern, ""); err != nil {
		return nil, fmt.Errorf("pattern %q: %w", pattern, err)
	}
	found, err := d.stat(pattern)
	if err != nil {
		return nil, fmt.Errorf("list log directory: %w", err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	live := make(map[string]bool)
	for _, e := range d.entries {
		live[e.name] = e.live && !strings.HasSuffix(e.name, oldSuffix)
	}
	for _, f := range found {
		f.Live = live[f.Name]
	}
	return found, nil
}

// stat returns the regular files whose names match.
func (d *Dir) stat(pattern string) ([]*Info, error) {
	names, err := os.ReadDir(d.path)
	if err != nil {
		return nil, err
	}
	var found []*Info
	for _, f := range names {
		if matched, _ := path.Match(pattern, f.Name()); pattern != "" && !matched || !f.Type().IsRegular() { // the pattern is a good one
			continue
		}
		info, err := f.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue // it was removed meanwhile
		}
		if err != nil {
			return nil, err
		}
		found = append(found, &Info{Name: f.Name(), Size: info.Size(), Modified: info.ModTime()})
	}
	return found, nil
}

// find returns the entry of a file, or nil. It needs mu.
func (d *Dir) find(name string) *entry {
	for _, e := range slices.Backward(d.entries) { // what is looked for is mostly new
		if e.name == name {
			return e
		}
	}
	return nil
}

// add notes a new file, or that somebody writes a known one again.
func (d *Dir) add(name string, size int64) *entry {
	d.mu.Lock()
	defer d.mu.Unlock()
	e := d.find(name)
	if e == nil {
		e = &entry{name: name}
		d.entries = append(d.entries, e)
	}
	d.total += size - e.size
	e.size, e.live = size, true
	if old := d.find(name + oldSuffix); old != nil {
		old.live = true
	}
	d.prune()
	return e
}

// grew notes that a file has grown.
func (d *Dir) grew(e *entry, size int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	e.size += size
	d.total += size
	d.prune()
}

// rotated notes that a file has become the old one.
func (d *Dir) rotated(e *entry) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if old := d.find(e.name + oldSuffix); old != nil {
		d.drop(old)
	}
	e.name += oldSuffix
}

// ended notes that nobody writes a file any more.
func (d *Dir) ended(name string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, name := range []string{name, name + oldSuffix} {
		if e := d.find(name); e != nil {
			e.live = false
		}
	}
	d.prune()
}

// drop forgets a file. It needs mu.
func (d *Dir) drop(e *entry) {
	d.total -= e.size
	d.entries = slices.DeleteFunc(d.entries, func(x *entry) bool { return x == e })
}

// prune removes files until the directory is within its limits, or nothing is left that may be removed. It needs mu.
func (d *Dir) prune() {
	for d.total > d.limits.TotalBytes || len(d.entries) > d.limits.Files {
		i := slices.IndexFunc(d.entries, func(e *entry) bool { return !e.live })
		if i < 0 {
			i = slices.IndexFunc(d.entries, func(e *entry) bool { return strings.HasSuffix(e.name, oldSuffix) })
		}
		if i < 0 {
			return
		}
		_ = os.Remove(d.file(d.entries[i].name)) // it is gone, or cannot be removed: then trying again would not help either
		d.drop(d.entries[i])
	}
}
