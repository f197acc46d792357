//go:build !linux

package workerpool

import (
	"context"
	"time"
)

// orphans are not adopted on this system: only a worker's process group is ended with it.
type orphans struct {
	pool     string
	children *children
	alive    func(worker string) bool
	kick     chan struct{}
}

func adopt(bool) error { return nil }

func (o *orphans) run(ctx context.Context) { <-ctx.Done() }

func (o *orphans) look() {}

func (o *orphans) end(time.Time) error { return nil }
