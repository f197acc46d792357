package shard

import (
	"errors"
	"log/slog"
	"time"

	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"
)

// Config says how to run a shard.
type Config struct {
	// Dir is where the shard keeps its log and snapshots; it is created. Required unless InMemory.
	Dir string
	// InMemory keeps everything in memory, for tests.
	InMemory bool
	// Number is the number of the shard.
	Number uint32
	// Logger gets what a person should know; nil discards it.
	Logger *slog.Logger
	// Limits are proposed after the start if the state has others; nil leaves the state's.
	Limits *mobulav1.StateLimits
	// QueueBytes and QueueBatches bound the writes that wait to be proposed; 0 is 64 MiB and 65,536.
	QueueBytes   int
	QueueBatches int
	// HistoryBytes bounds the changes that are kept for watchers to resume from; 0 is 16 MiB.
	HistoryBytes int
	// SnapshotBytes is how much log is written before a snapshot is taken; 0 is 64 MiB. So much is replayed at a start.
	SnapshotBytes int
	// DiskReserve is how much room the disk must have for writes to be taken; 0 is 32 MiB. It keeps a disk that fills up from failing in the middle of
	// something.
	DiskReserve uint64
	// DiskTimeout is how long anybody waits for a disk that does not answer: see ErrDiskStalled. 0 is 3 s, which is less than a node waits
	// for the answer to a batch, so that it hears the reason.
	DiskTimeout time.Duration
	// Now is the clock that entries carry; nil is time.Now.
	Now func() time.Time

	// fault fails disk operations by name, for tests.
	fault func(op string) error
}

func (c Config) withDefaults() (Config, error) {
	if !c.InMemory && c.Dir == "" {
		return c, errors.New("shard config: Dir is empty")
	}
	if c.QueueBytes < 0 || c.QueueBatches < 0 || c.HistoryBytes < 0 || c.SnapshotBytes < 0 || c.DiskTimeout < 0 {
		return c, errors.New("shard config: a bound is negative")
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	c.QueueBytes = or(c.QueueBytes, 64<<20)
	c.QueueBatches = or(c.QueueBatches, 1<<16)
	c.HistoryBytes = or(c.HistoryBytes, 16<<20)
	c.SnapshotBytes = or(c.SnapshotBytes, 64<<20)
	c.DiskReserve = or(c.DiskReserve, 32<<20)
	c.DiskTimeout = or(c.DiskTimeout, 3*time.Second)
	return c, nil
}

// or returns v, or the default if v is zero.
func or[N int | uint64 | time.Duration](v, otherwise N) N {
	if v == 0 {
		return otherwise
	}
	return v
}
