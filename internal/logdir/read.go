package logdir

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

const (
	// pageBytes is how much a page has, and scanBytes how much of the log is looked at for it, at most.
	pageBytes, scanBytes = 256 << 10, 4 << 20
	// TailMax is the most lines from the end that can be asked for.
	TailMax = 1_000_000
)

// ErrNotFound says that there is no log of that name (any more).
var ErrNotFound = errors.New("no such log")

// Query asks for a page of a log.
type Query struct {
	// Name is the log's: without the suffix of old files both files are read as one, with it the old one only.
	Name string
	// From is where to begin, and Inside whether that is inside the output of Task: as the page before says. 0 is the beginning of what is there.
	From   int64
	Inside bool
	// Task leaves only the lines of a task, by the name that TaskMark has for it; empty leaves all.
	Task string
	// Tail begins that many lines before the end, instead of at From; below 0 it does not.
	Tail int
}

// Page is a part of a log.
type Page struct {
	// Data is whole lines.
	Data []byte
	// Next and Inside are for the query of the page after this one.
	Next   int64
	Inside bool
	// Lost is how many bytes after the query's From are gone, because newer ones took their place.
	Lost int64
	// End says that there was nothing more.
	End bool
	// Live says that there may be more later.
	Live bool
}

// Read returns a page of a log.
func (d *Dir) Read(q Query) (*Page, error) {
	if q.Name != filepath.Base(q.Name) || !filepath.IsLocal(q.Name) || q.Name == "." {
		return nil, fmt.Errorf("%w: %q is not a file of the log directory", ErrNotFound, q.Name)
	}
	live := d.isLive(q.Name) // first: what was written before the end is there to be read
	segments, err := d.segments(q.Name)
	if err != nil {
		return nil, err
	}
	defer func() {
		for _, s := range segments {
			_ = s.file.Close() // only read from
		}
	}()
	c := &cursor{segments: segments, task: q.Task, at: max(q.From, 0), inside: q.Inside, live: live}
	if q.Tail >= 0 {
		if err := c.seekTail(min(q.Tail, TailMax)); err != nil {
			return nil, err
		}
	}
	p := &Page{Live: live}
	if first := segments[0].start(); c.at < first {
		p.Lost, c.at = first-c.at, first
	}
	p.End, err = c.scan(scanBytes, func(line []byte, _ int64) bool {
		p.Data = append(p.Data, line...)
		return len(p.Data) < pageBytes
	})
	p.Next, p.Inside = c.at, c.inside
	return p, err
}

// isLive reports whether somebody writes the log.
func (d *Dir) isLive(name string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	e := d.find(name)
	return e != nil && e.live && !strings.HasSuffix(name, oldSuffix)
}

// segments opens the files of a log, the oldest first.
func (d *Dir) segments(name string) ([]*segment, error) {
	newest, err := d.segment(name)
	if errors.Is(err, ErrNotFound) && !strings.HasSuffix(name, oldSuffix) { // it has just become the old one, or was removed
		if old, errOld := d.segment(name + oldSuffix); errOld == nil {
			return []*segment{old}, nil
		}
	}
	if err != nil {
		return nil, err
	}
	old, err := d.segment(name + oldSuffix)
	switch {
	case errors.Is(err, ErrNotFound):
		return []*segment{newest}, nil
	case err != nil:
		return nil, errors.Join(err, newest.file.Close())
	case old.base < newest.base && old.end() <= newest.base+newest.head:
		return []*segment{old, newest}, nil
	default: // the newest has just become the old one
		return []*segment{newest}, old.file.Close()
	}
}

func (d *Dir) segment(name string) (*segment, error) {
	if name != filepath.Base(name) { // nothing outside of the directory
		return nil, fmt.Errorf("%w: %s", ErrNotFound, name)
	}
	f, err := os.OpenFile(d.file(name), os.O_RDONLY|syscall.O_NOFOLLOW, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %s", ErrNotFound, name)
	}
	if err != nil {
		return nil, fmt.Errorf("read log: %w", err)
	}
	s, err := newSegment(f)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("read log: %w", err), f.Close())
	}
	return s, nil
}

// cursor goes through the lines of a log.
type cursor struct {
	segments []*segment
	task     string
	at       int64 // of the next line in the whole log
	inside   bool
	live     bool
}

// scan hands on the lines from where it stands, until take returns false, after most bytes, or at the end, which it reports.
func (c *cursor) scan(most int64, take func(line []byte, at int64) bool) (end bool, err error) {
	buf := make([]byte, readBytes)
	for _, s := range c.segments {
		c.at = max(c.at, s.start())
		for c.at < s.end() {
			if most <= 0 {
				return false, nil
			}
			n, err := s.file.ReadAt(buf[:min(readBytes, s.end()-c.at)], c.at-s.base)
			if err != nil && !errors.Is(err, io.EOF) {
				return false, fmt.Errorf("read log: %w", err)
			}
			grows := c.live && s == c.segments[len(c.segments)-1]
			used, goOn := c.lines(buf[:n], c.at+int64(n) == s.end() && !grows, take)
			most -= int64(used)
			if !goOn {
				return false, nil
			}
			if used == 0 {
				break // a line that is being written
			}
		}
	}
	return true, nil
}

// readBytes is how much is read at once; a longer line comes in parts.
const readBytes = 64 << 10

// lines hands on the lines of a chunk and returns how much of it they are; last says that an unfinished one is whole.
func (c *cursor) lines(chunk []byte, last bool, take func([]byte, int64) bool) (used int, goOn bool) {
	for used < len(chunk) {
		rest := chunk[used:]
		n := bytes.IndexByte(rest, '\n') + 1
		if n == 0 {
			if !last && (used > 0 || len(chunk) < readBytes) {
				return used, true
			}
			n = len(rest)
		}
		line, at := rest[:n], c.at
		used, c.at = used+n, c.at+int64(n)
		if c.controlled(line) || c.task != "" && !c.inside {
			continue
		}
		if !take(line, at) {
			return used, false
		}
	}
	return used, true
}

// controlled takes a line that is for this package, and reports whether it is one.
func (c *cursor) controlled(line []byte) bool {
	rest, ok := bytes.CutPrefix(line, []byte(control))
	if !ok {
		return false
	}
	if rest, ok = bytes.CutPrefix(rest, []byte("task ")); ok {
		task, _, _ := bytes.Cut(rest, []byte{' '})
		c.inside = string(task) == c.task
	}
	return true
}

// seekTail goes to that many lines before the end.
func (c *cursor) seekTail(count int) error {
	c.at, c.inside = c.segments[0].start(), false
	var ring []int64 // where the last lines are; next is the oldest of them once it is full
	next := 0
	for end := false; !end; {
		var err error
		end, err = c.scan(scanBytes, func(_ []byte, at int64) bool {
			switch {
			case len(ring) < count:
				ring = append(ring, at)
			case count > 0:
				ring[next], next = at, (next+1)%count
			}
			return true
		})
		if err != nil {
			return err
		}
	}
	if len(ring) > 0 {
		c.at, c.inside = ring[next], true
	}
	return nil
}
