// Package shard runs one shard of the control plane: a Raft group around the state machine of package state.
//
// # The way of a write
//
// [Shard.Apply] puts a batch into a bounded queue. One goroutine takes all that is pending, makes one log entry of it and proposes
// it; while the disk syncs that entry, the next one gathers. So a thousand callers share one sync, and one caller alone waits for one
// only. The entry carries the proposer's clock, because the state machine has none.
//
// The outcome of a write is exact: a result, an error that says that nothing was executed ([ErrBusy], [ErrNoLeader], [ErrDiskFull], [ErrDiskStalled],
// [ErrClosed], [state.InvalidError]), or an [UnknownError], after which the caller repeats the batch with the same request ids.
//
// # The way of a read
//
// [Shard.Linearizable] returns a view that holds everything that was acknowledged before the call. Readers share rounds: one
// round confirms leadership for all readers that came before it began, and the next one gathers meanwhile. [Shard.Stale] returns what
// this server has applied, whatever the state of the group.
//
// # When the disk hangs
//
// Nobody waits longer than Config.DiskTimeout for a disk that does not answer: stall.go says who is told what.
//
// # On disk
//
// The directory holds shard.json (identity), raft.db (log, term and vote), snapshots, and LOCK, which one process holds. Each log
// entry and each snapshot carries a checksum. Whatever cannot be read stops Open with a [CorruptError] that names the file: nothing is skipped, repaired or
// shortened, because what is there was acknowledged to somebody.
//
// # Goroutines and locks
//
// Open starts the committer and the reader of rounds, Close ends and awaits them. The state is guarded by fsm.mu, the history by its
// own mutex; the first may be held when the second is taken, never the other way round. A watch's mutex comes before that of the queue and of the rounds.
package shard
