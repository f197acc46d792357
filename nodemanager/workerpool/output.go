package workerpool

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"time"
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
	file   *logFile          // nil when there is none
	warn   func(error)       // called for the first failure of the file
	tail   *tail
	bucket bucket

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

// sourceMark begins a line in which a worker says who writes what follows: such lines are for the log sink, not for people.
var sourceMark = []byte("\x1e\x1emobula-source ")

// line hands on one line, or drops it.
func (c *capture) line(b []byte, cut int64, now time.Time) {
	if bytes.HasPrefix(b, sourceMark) && cut == 0 {
		if !now.Before(c.mutedUntil) {
			c.emit(b)
		}
		return
	}
	size := int64(len(b)) + cut
	if cut > 0 {
		b = fmt.Appendf(b, " … [%d bytes cut]", cut) // b is c.partial, whose memory is ours.
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
	c.emit(line)
	if c.file != nil {
		c.batch = append(append(c.batch, line...), '\n')
	}
}

// flush writes what a chunk has yielded to the file. A file that cannot be written is not worth stopping for: the disk may have room again later.
func (c *capture) flush() {
	if len(c.batch) == 0 {
		return
	}
	if err := c.file.write(c.batch); err != nil && !c.fileFailed {
		c.fileFailed = true
		c.warn(err)
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
	if err := c.file.close(); err != nil && !c.fileFailed {
		c.warn(err)
	}
}
