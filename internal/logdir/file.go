package logdir

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
)

// control begins a line that is for readers of this package.
const control = "\x1e:"

// File is a log that is being written. Its file is made by the first write, so that who writes nothing leaves none. It belongs to one goroutine.
type File struct {
	dir   *Dir
	name  string
	file  *os.File // nil before the first write
	entry *entry
	size  int64
	base  int64  // where its first byte is in the whole log
	mark  []byte // the line that says who writes, repeated at the head of the next file
}

// Create returns a log of that name. One that exists, from an earlier life of the node, goes on.
func (d *Dir) Create(name string) *File { return &File{dir: d, name: name} }

// TaskMark returns the line that says which task, "" for none, writes what follows, and what it is called.
func TaskMark(task, name string) []byte {
	if task == "" {
		task = "-"
	}
	return fmt.Appendf(nil, "%stask %s %s\n", control, task, name)
}

// SetMark says who writes from the next write on: a line of TaskMark, which the caller has written or is about to write. It is kept.
func (f *File) SetMark(mark []byte) { f.mark = mark }

// Write appends whole lines. An error leaves the log usable: the disk may have room again later.
func (f *File) Write(lines []byte) (int, error) {
	if f.file != nil && f.size+int64(len(lines)) > f.dir.limits.FileBytes {
		if err := f.rotate(); err != nil {
			return 0, err
		}
	}
	if f.file == nil {
		if err := f.open(); err != nil {
			return 0, err
		}
	}
	return f.append(lines)
}

func (f *File) append(lines []byte) (int, error) {
	n, err := f.file.Write(lines)
	f.size += int64(n)
	f.dir.grew(f.entry, int64(n))
	if err != nil {
		return n, fmt.Errorf("write log: %w", err)
	}
	return n, nil
}

// open opens the file, for the first time or after it has become the old one, and says in a new one where it stands in the whole log.
func (f *File) open() error {
	file, err := os.OpenFile(f.dir.file(f.name), os.O_RDWR|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("open log: %w", err)
	}
	s, err := newSegment(file)
	if err != nil {
		return errors.Join(fmt.Errorf("open log: %w", err), file.Close())
	}
	next := f.base + f.size // 0 unless this follows another
	f.file, f.size, f.base = file, s.size, s.base
	f.entry = f.dir.add(f.name, s.size)
	if s.size > 0 || next == 0 {
		return nil
	}
	head := append(strconv.AppendInt([]byte(control+"from "), next, 10), '\n')
	f.base = next - int64(len(head))
	if _, err := f.append(append(head, f.mark...)); err != nil { // a file without its first line would be taken for the log's beginning
		err = errors.Join(err, f.file.Close(), os.Remove(f.dir.file(f.name)))
		f.file, f.base, f.size = nil, next, 0
		return err
	}
	return nil
}

// rotate makes the file the old one.
func (f *File) rotate() error {
	err := f.file.Close()
	f.file = nil
	if err != nil {
		return fmt.Errorf("close log: %w", err)
	}
	if err := os.Rename(f.dir.file(f.name), f.dir.file(f.name+oldSuffix)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("rotate log: %w", err)
	}
	f.dir.rotated(f.entry)
	return nil
}

// Close ends the log.
func (f *File) Close() error {
	if f.file == nil {
		return nil
	}
	err := f.file.Close()
	f.file = nil
	f.dir.ended(f.name)
	if err != nil {
		return fmt.Errorf("close log: %w", err)
	}
	return nil
}

// segment is a file that is read, and the part of the log that it has.
type segment struct {
	file *os.File
	base int64 // where its first byte is in the whole log
	head int64 // bytes at its beginning that are not of the log
	size int64
}

// headMax is the longest first line of a file that says where it stands.
const headMax = 64

// newSegment reads where a file stands in its log.
func newSegment(file *os.File) (*segment, error) {
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	s := &segment{file: file, size: info.Size()}
	b := make([]byte, min(headMax, s.size))
	if _, err := file.ReadAt(b, 0); err != nil && len(b) > 0 {
		return nil, err
	}
	line, _, whole := bytes.Cut(b, []byte{'\n'})
	if number, ok := bytes.CutPrefix(line, []byte(control+"from ")); ok && whole {
		if from, err := strconv.ParseInt(string(number), 10, 64); err == nil && from > int64(len(line)) {
			s.head = int64(len(line)) + 1
			s.base = from - s.head
		}
	}
	return s, nil
}

// start is where the log's first byte in the file is.
func (s *segment) start() int64 { return s.base + s.head }

// end is where the log continues after the file.
func (s *segment) end() int64 { return s.base + s.size }
