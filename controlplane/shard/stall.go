package shard

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"time"
)

// The watchdog. The Raft library writes to the disk on its main goroutine, so that a write that hangs (a dead network disk, a controller
// that resets itself) hangs everything that waits for the library: no future of its is answered, and none has a timeout. Nobody who calls a
// Shard may hang with it, so the two goroutines that ask the library, the committer and the reader of rounds, are watched. When one of
// them has waited for Config.DiskTimeout, everybody who waits for it is answered with [ErrDiskStalled], and so is everybody who comes until
// it goes on: writes that were proposed with an [UnknownError] around it. Reads of an only voter are answered with what is applied.
//
// What is stuck stays stuck: no process can take a write back from the system. When the disk answers, the write ends, and all is as before.
// What Open reads before Raft starts is not watched: it keeps nobody waiting but who starts the process.

// startWaits is how many DiskTimeouts a start waits for its election, and for each entry of the log to be applied.
const startWaits = 10

// watch watches one goroutine, whose begin and end do not overlap. Its functions run with mu held, before which no other lock may be.
type watch struct {
	cfg    *Config
	what   string // What the goroutine does, for the log.
	resume func() // Ends what stall did.
	timer  *time.Timer

	mu      sync.Mutex
	began   time.Time // guarded by mu, as are the fields below; zero while there is nothing to watch.
	stall   func()
	stalled bool
}

func newWatch(cfg *Config, what string, resume func()) *watch {
	w := &watch{cfg: cfg, what: what, resume: resume}
	w.timer = time.AfterFunc(cfg.DiskTimeout, w.late)
	w.timer.Stop()
	return w
}

// begin has stall called, on a goroutine of its own, unless end is called within the disk's time.
func (w *watch) begin(stall func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.began, w.stall = time.Now(), stall
	w.timer.Reset(w.cfg.DiskTimeout)
}

// end calls resume if stall was called.
func (w *watch) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.timer.Stop()
	if w.stalled {
		w.cfg.Logger.Warn("control plane's disk answers again", "waiting", w.what, "took", time.Since(w.began), "dir", w.cfg.Dir)
		w.resume()
	}
	w.began, w.stall, w.stalled = time.Time{}, nil, false
}

// late is what the timer calls, maybe later than end, or even than the next begin.
func (w *watch) late() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stall == nil || time.Since(w.began) < w.cfg.DiskTimeout {
		return
	}
	w.stalled = true
	w.cfg.Logger.Warn("control plane's disk does not answer; whoever waits gets an error",
		"waiting", w.what, "for", w.cfg.DiskTimeout, "dir", w.cfg.Dir)
	w.stall()
}

// elected waits until the only voter leads. A full disk is no reason to wait long.
func (s *Shard) elected(ctx context.Context, leading <-chan bool) error {
	tick := time.NewTicker(s.cfg.DiskTimeout)
	defer tick.Stop()
	for range startWaits {
		select {
		case <-leading:
			return nil
		case <-ctx.Done():
			return fmt.Errorf("wait for election: %w", errors.Join(context.Cause(ctx), s.store.failure()))
		case <-tick.C:
		}
		if err := s.store.failure(); isFull(err) {
			return fmt.Errorf("wait for election: %w: %w", ErrDiskFull, err)
		}
	}
	return fmt.Errorf("wait for election: %w", errors.Join(ErrDiskStalled, s.store.failure()))
}

// replay waits until the log is applied, which may take its time as long as it makes progress.
func (s *Shard) replay(ctx context.Context) error {
	done := make(chan error, 1)
	go func() { done <- s.raft.Barrier(0).Error() }() // It ends when Raft answers, at the latest when it is shut down.
	tick := time.NewTicker(startWaits * s.cfg.DiskTimeout)
	defer tick.Stop()
	path := filepath.Join(s.cfg.Dir, logFile)
	for _, last := s.fsm.current(); ; {
		select {
		case err := <-done:
			if err == nil {
				err = s.fsm.haltedBy()
			}
			if err != nil {
				return fmt.Errorf("replay log %s: %w", path, err)
			}
			return nil
		case <-ctx.Done():
			return fmt.Errorf("replay log %s: %w", path, context.Cause(ctx))
		case <-tick.C:
			_, index := s.fsm.current()
			if index == last {
				return fmt.Errorf("replay log %s: no progress after entry %d: %w", path, index, ErrDiskStalled)
			}
			last = index
		}
	}
}
