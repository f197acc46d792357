package workerpool

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/mobula-dev/mobula/internal/logdir"
)

const (
	// lineCost is counted for a line beside its bytes, so that empty lines are not free.
	lineCost = 64
	// muteFor is how long a stream stays silent once it exceeds its limit: one notice per that time, not one per line.
	muteFor   = time.Second
	readBytes = 64 << 10 // the size of a pipe
)

// capture cuts one stream of a worker into lines and hands them on within limits. It belongs to one goroutine.
//
// A worker that prints more than the limit is never slowed down, since that would stop its tasks; the excess is read and thrown away, and a line
// says how much it was. Only the tail sees all of it that matters.
type capture struct {
	limits OutputLimits
	emit   func(line []byte) // to the log sink
	file   *logdir.File      // nil when there is none
	warn   func(error)       // called for the first failure of the file
	tail   *tail
	bucket bucket

	source source // who writes now
	told   string // who wrote what the sink got last
	noted  source // who wrote what the file got last

	partial []byte // the line that has not ended, up to LineBytesMax
	cut     int64  // bytes of it beyond that

	mutedUntil                 time.Time
	droppedLines, droppedBytes int64 // since the last notice
	batch                      []byte
	fileFailed                 bool
}

// run reads until the end of the stream or until r is closed.
func (c *capture) run(r *os.File) {
	buf := make([]byte, readBytes)
	for {
		n, err := r.Read(buf)
		now := time.Now()
		c.feed(buf[:n], now)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			c.notice(now)
			c.flush()
		case err != nil: // io.EOF, or the pool gave up on a process that holds the stream after the worker's end.
			c.finish(now)
			return
		}
		wake := time.Time{}
		if c.droppedLines > 0 {
			wake = now.Add(muteFor)
		}
		if err := r.SetReadDeadline(wake); err != nil {
			c.finish(now)
			return
		}
	}
}

// feed takes the next bytes of the stream.
func (c *capture) feed(chunk []byte, now time.Time) {
	if now.Before(c.mutedUntil) {
		chunk = c.skip(chunk)
	}
	for len(chunk) > 0 {
		i := bytes.IndexByte(chunk, '\n')
		if i < 0 {
			c.extend(chunk)
			break
		}
		if len(c.partial) == 0 && c.cut == 0 && i <= c.limits.LineBytesMax {
			c.line(chunk[:i], 0, now)
		} else {
			c.extend(chunk[:i])
			c.endLine(now)
		}
		chunk = chunk[i+1:]
	}
	c.flush()
}

// skip drops the lines of a chunk that nobody will see and returns the rest: the last lines, for the tail. Going through a gigabyte line by line would cost the
// node a core.
func (c *capture) skip(chunk []byte) []byte {
	keep := bytes.LastIndexByte(chunk, '\n')
	for range tailLines {
		if keep < 0 {
			return chunk
		}
		keep = bytes.LastIndexByte(chunk[:keep], '\n')
	}
	if keep < 0 {
		return chunk
	}
	gone := chunk[:keep+1]
	c.tailCrash(gone)
	if bytes.IndexByte(gone, sourceMark[0]) >= 0 { // which is quick
		if i := bytes.LastIndex(gone, sourceMark); i >= 0 {
			line, _, _ := bytes.Cut(gone[i:], []byte{'\n'})
			c.source = sourceOf(line)
		}
	}
	c.droppedLines += int64(bytes.Count(gone, []byte{'\n'}))
	c.droppedBytes += int64(len(gone)+len(c.partial)) + c.cut
	c.partial, c.cut = c.partial[:0], 0
	return chunk[keep+1:]
}

// tailCrash keeps a crash report from being lost among dropped lines.
func (c *capture) tailCrash(gone []byte) {
	for _, head := range crashHeads {
		i := bytes.Index(gone, append([]byte{'\n'}, head...))
		if i < 0 {
			continue
		}
		report := gone[i+1:]
		for range crashLines {
			line, rest, found := bytes.Cut(report, []byte{'\n'})
			if !found {
				return
			}
			c.tail.add(line)
			report = rest
		}
		return
	}
}

// extend adds to the line that has not ended.
func (c *capture) extend(b []byte) {
	room := min(len(b), c.limits.LineBytesMax-len(c.partial))
	c.partial = append(c.partial, b[:room]...)
	c.cut += int64(len(b) - room)
}

// endLine hands on the line that was being put together.
func (c *capture) endLine(now time.Time) {
	c.line(c.partial, c.cut, now)
	c.partial, c.cut = c.partial[:0], 0
}

// sourceMark begins a line in which a worker says who writes what follows: its name, and after a separator the task's id. Such lines are not for people.
var sourceMark = []byte("\x1e\x1emobula-source ")

// source is who writes on a stream.
type source struct {
	name string // a function, an actor class
	task string // in hexadecimal; empty when the worker does not say
}

// sourceOf reads a line that begins with sourceMark.
func sourceOf(line []byte) source {
	name, task, _ := strings.Cut(string(line[len(sourceMark):]), "\x1f")
	if _, err := hex.DecodeString(task); err != nil {
		task = ""
	}
	return source{name: name, task: task}
}

// line hands on one line, or drops it.
func (c *capture) line(b []byte, cut int64, now time.Time) {
	if bytes.HasPrefix(b, sourceMark) && cut == 0 {
		c.source = sourceOf(b)
		return
	}
	size := int64(len(b)) + cut
	if cut > 0 {
		b = fmt.Appendf(wholeRunes(b), " … [%d bytes cut]", cut) // b is c.partial, whose memory is ours.
	}
	c.tail.add(b)
	if c.notice(now) && c.bucket.take(size+lineCost, now) {
		c.put(b)
		return
	}
	if !now.Before(c.mutedUntil) {
		c.mutedUntil = now.Add(muteFor)
	}
	c.droppedLines++
	c.droppedBytes += size + 1
}

// wholeRunes takes the beginning of a character off the end of a line that was cut inside it.
func wholeRunes(b []byte) []byte {
	for i := 1; i < utf8.UTFMax && i <= len(b); i++ {
		if end := b[len(b)-i:]; utf8.RuneStart(end[0]) {
			if !utf8.FullRune(end) {
				return b[:len(b)-i]
			}
			break
		}
	}
	return b
}

// notice says what was dropped, if anything was. It is false while the stream is muted.
func (c *capture) notice(now time.Time) bool {
	if now.Before(c.mutedUntil) {
		return false
	}
	if c.droppedLines == 0 {
		return true
	}
	if c.bucket.dry(now) {
		return false
	}
	c.putNotice()
	return true
}

func (c *capture) putNotice() {
	c.put(fmt.Appendf(nil, "[mobula: %d lines, %d bytes dropped here: more than %d bytes/s]",
		c.droppedLines, c.droppedBytes, c.limits.BytesPerSecond))
	c.droppedLines, c.droppedBytes = 0, 0
}

func (c *capture) put(line []byte) {
	if c.told != c.source.name {
		c.told = c.source.name
		c.emit(append(slices.Clone(sourceMark), c.told...))
	}
	c.emit(line)
	if c.file == nil {
		return
	}
	if c.noted != c.source {
		c.noted = c.source
		c.batch = append(c.batch, logdir.TaskMark(c.source.task, c.source.name)...)
	}
	c.batch = append(append(c.batch, line...), '\n')
}

// flush writes what a chunk has yielded to the file. A file that cannot be written is not worth stopping for: the disk may have room again later.
func (c *capture) flush() {
	if len(c.batch) == 0 {
		return
	}
	if _, err := c.file.Write(c.batch); err != nil && !c.fileFailed {
		c.fileFailed = true
		c.warn(err)
	}
	if c.noted != (source{}) {
		c.file.SetMark(logdir.TaskMark(c.noted.task, c.noted.name))
	}
	c.batch = c.batch[:0]
}

// finish hands on what is left at the end of the stream.
func (c *capture) finish(now time.Time) {
	if len(c.partial) > 0 || c.cut > 0 {
		c.endLine(now)
	}
	if c.droppedLines > 0 {
		c.putNotice()
	}
	c.flush()
	if c.file == nil {
		return
	}
	if err := c.file.Close(); err != nil && !c.fileFailed {
		c.warn(err)
	}
}
