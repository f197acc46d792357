package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/term"
)

// redraw is how often progress is looked at, and a bar drawn at most.
const redraw = 100 * time.Millisecond

// progress shows how far a job is: a bar on a terminal, else a line for each second or tenth of the work.
type progress struct {
	out   io.Writer
	total int64 // bytes to read
	width int   // columns of the terminal; 0 when there is none
	begun time.Time

	shown     int64         // bytes, when the last line was written
	shownTime time.Duration // since begun, likewise
}

// newProgress returns the progress of a job that reads that many bytes.
func newProgress(out io.Writer, total int64) *progress {
	p := &progress{out: out, total: total, begun: time.Now()}
	if f, ok := out.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		p.width = 80
		if width, _, err := term.GetSize(int(f.Fd())); err == nil && width > 0 {
			p.width = width
		}
	}
	return p
}

// follow shows the progress of a job until the function that it returns is called.
func (p *progress) follow(j *job) (stop func()) {
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		ticker := time.NewTicker(redraw)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				j.advance()
				p.show(j)
			case <-end:
				p.clear()
				return
			}
		}
	}()
	return func() {
		close(end)
		<-ended
	}
}

// show draws the bar, or writes a line if enough has happened since the last one.
func (p *progress) show(j *job) {
	passed := time.Since(p.begun)
	if p.width > 0 {
		p.print("\r" + bar(p.width-1, j.read, p.total, p.text(j, passed)))
		return
	}
	if j.read-p.shown < p.total/10 && passed-p.shownTime < time.Second {
		return
	}
	p.shown, p.shownTime = j.read, passed
	p.print(p.text(j, passed) + "\n")
}

// text says how far the job is.
func (p *progress) text(j *job, passed time.Duration) string {
	return fmt.Sprintf("%3d %%  %s of %s MB  %d of %d tasks  %.1f s", percent(j.read, p.total), megabytes(j.read), megabytes(p.total), j.ended, j.tasks, passed.Seconds())
}

// clear removes the bar.
func (p *progress) clear() {
	if p.width > 0 {
		p.print("\r" + strings.Repeat(" ", p.width-1) + "\r")
	}
}

// print writes to a terminal or log; that it could not is no reason to end the job.
func (p *progress) print(s string) { _, _ = io.WriteString(p.out, s) }

// bar returns a bar with a text after it, width columns wide; a narrow one has less of a bar, and then less of the text.
func bar(width int, done, total int64, text string) string {
	room := width - len(text) - len("[]  ")
	if room < 5 {
		return fmt.Sprintf("%-*.*s", width, width, text)
	}
	full := int(int64(room) * percent(done, total) / 100)
	return "[" + strings.Repeat("=", full) + strings.Repeat(" ", room-full) + "]  " + text
}

// percent returns which part of total done is.
func percent(done, total int64) int64 {
	if total == 0 {
		return 100
	}
	return 100 * min(done, total) / total
}

// megabytes writes a number of bytes in units of a million, to a tenth below ten of them.
func megabytes(n int64) string {
	if n < 10_000_000 {
		return fmt.Sprintf("%.1f", float64(n)/1e6)
	}
	return fmt.Sprintf("%.0f", float64(n)/1e6)
}
