package service

import (
	"slices"
	"strings"
	"sync"
	"time"

	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"
	"github.com/mobula-dev/mobula/internal/id"
	"github.com/mobula-dev/mobula/nodemanager/workerpool"
)

// The kinds of log files: of workers, and of the processes that set runtime environments up.
const logOfWorker, logOfSetup = "worker", "runtime_env_setup"

// logDelay is how long lines of workers wait for company on their way to the driver.
const logDelay = 50 * time.Millisecond

// logBatch is how many lines go at once at the latest.
const logBatch = 256

// logBuffer collects the lines of workers for their drivers.
type logBuffer struct {
	mu    sync.Mutex // guards all; taken alone
	lines map[logSource][]string
	count int
	armed bool
}

// logChunk is how many lines go in one frame: each has at most 16 KiB.
const logChunk = 32

// logSource is one stream of one worker.
type logSource struct {
	worker id.Worker
	stream workerpool.Stream
}

// workerOutput takes one line of a worker from the pool.
func (n *Node) workerOutput(w id.Worker, stream workerpool.Stream, line []byte) {
	b := &n.logs
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.lines == nil {
		b.lines = make(map[logSource][]string)
	}
	key := logSource{worker: w, stream: stream}
	b.lines[key] = append(b.lines[key], strings.ToValidUTF8(string(line), "\uFFFD")) // it becomes text of a message
	b.count++
	switch {
	case b.count == logBatch:
		time.AfterFunc(0, n.sendLogs)
	case !b.armed:
		b.armed = true
		time.AfterFunc(logDelay, n.sendLogs)
	}
}

// sendLogs sends what was collected to the drivers that want it.
func (n *Node) sendLogs() {
	b := &n.logs
	b.mu.Lock()
	lines := b.lines
	b.lines, b.count, b.armed = nil, 0, false
	b.mu.Unlock()
	if len(lines) == 0 {
		return
	}
	n.locked(func() {
		for key, text := range lines {
			w := n.workers[key.worker]
			if w == nil {
				w = n.endedWorker(key.worker)
			}
			if w == nil || w.job.driver == nil || !w.job.driver.wantsLogs {
				continue
			}
			notice := &mobulav1.Notice{Kind: mobulav1.Notice_KIND_STDOUT, Source: w.job.program, Pid: w.pid()}
			if key.stream == workerpool.Stderr {
				notice.Kind = mobulav1.Notice_KIND_STDERR
			}
			for lines := range slices.Chunk(text, logChunk) {
				notice.Lines = lines
				n.send(w.job.driver, mobulav1.FrameKind_FRAME_KIND_NOTICE, notice)
			}
		}
	})
}

// endedWorker returns a worker that has ended lately, or nil.
func (n *Node) endedWorker(wid id.Worker) *worker {
	for _, x := range slices.Backward(n.exits) {
		if x.worker.id == wid {
			return x.worker
		}
	}
	return nil
}
