package session

import (
	"context"
	"errors"

	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"
)

// ErrQueueFull means that the node gave no credit for more work before the caller's ctx ended.
var ErrQueueFull = errors.New("the job's queue at the node is full")

// credit counts what may be sent: the node grants totals of bytes and of frames of Submit and Put. Guarded by the session's mu.
type credit struct {
	bytes, count         uint64 // granted in all
	usedBytes, usedCount uint64
	acked                uint64
	changed              chan struct{} // closed and replaced when credit comes; nil while nobody waits
	failed               bool
}

func (c *credit) init(w *mobulav1.Welcome) {
	c.bytes, c.count = w.GetCreditBytes(), w.GetCreditCount()
}

// grantLocked takes a Credit frame.
func (c *credit) grantLocked(m *mobulav1.Credit) {
	c.acked = max(c.acked, m.GetAcked())
	c.bytes, c.count = max(c.bytes, m.GetBytes()), max(c.count, m.GetCount())
	c.wake()
}

func (c *credit) failLocked() {
	c.failed = true
	c.wake()
}

func (c *credit) wake() {
	if c.changed != nil {
		close(c.changed)
		c.changed = nil
	}
}

// giveBackLocked returns credit that was reserved and not spent.
func (c *credit) giveBackLocked(bytes, count uint64) {
	c.usedBytes -= bytes
	c.usedCount -= count
}

// unblock tells the blocker that the wait is over, if it was told of one.
func unblock(b Blocker, blocked bool) {
	if blocked {
		b.Unblock()
	}
}

// reserveLocked takes credit for one frame of the given size, waiting for it under ctx; mu is released meanwhile.
func (s *Session) reserveLocked(ctx context.Context, size uint64, b Blocker) error {
	c := &s.credit
	blocked := false
	for !c.failed && (c.usedBytes+size > c.bytes || c.usedCount >= c.count) {
		if c.changed == nil {
			c.changed = make(chan struct{})
		}
		changed := c.changed
		s.mu.Unlock()
		if b != nil && !blocked {
			blocked = true
			b.Block()
		}
		s.conn.Kick()
		var err error
		select {
		case <-changed:
		case <-ctx.Done():
			err = errors.Join(ErrQueueFull, context.Cause(ctx))
		}
		s.mu.Lock()
		if err != nil {
			unblock(b, blocked)
			return err
		}
	}
	unblock(b, blocked)
	c.usedBytes += size
	c.usedCount++
	return nil
}
