package workerpool

import (
	"errors"
	"fmt"
	"time"

	"github.com/mobula-dev/mobula/internal/id"
)

var (
	// ErrClosed says that the pool is closed; nothing was started.
	ErrClosed = errors.New("the worker pool is closed")
	// ErrNotRunning says that the pool has no such worker, or that it has ended already.
	ErrNotRunning = errors.New("the worker is not running")
	// ErrRunning says that a worker with this id runs already; nothing was started.
	ErrRunning = errors.New("the worker is running already")
)

// LimitError says that the pool has as many processes as it may have; nothing was started.
type LimitError struct {
	Max int
}

func (e *LimitError) Error() string {
	return fmt.Sprintf("the node has %d worker processes and may have no more", e.Max)
}

// BackoffError says that workers of the job crash one after the other, so that it must wait; nothing was started.
type BackoffError struct {
	Job        id.Job
	Crashes    int
	RetryAfter time.Duration
}

func (e *BackoffError) Error() string {
	return fmt.Sprintf("%d workers of job %v crashed in a row: the next may start in %v", e.Crashes, e.Job, e.RetryAfter.Round(time.Millisecond))
}
