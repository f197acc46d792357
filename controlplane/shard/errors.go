package shard

import (
	"errors"
	"fmt"
)

// Errors after which it is certain that nothing was executed.
var (
	// ErrBusy says that the queue of pending writes is full.
	ErrBusy = errors.New("control plane is busy: the queue of pending writes is full")
	// ErrNoLeader says that the shard has no leader at the moment, or that it is not this server.
	ErrNoLeader = errors.New("control plane has no leader")
	// ErrDiskFull says that the disk has no room for more. Reads go on, and writes as soon as there is room.
	ErrDiskFull = errors.New("control plane refuses writes: its disk is full")
	// ErrDiskStalled says that the disk has not answered for so long that nobody shall wait for it. Reads of an only voter go on, and writes
	// as soon as it answers.
	ErrDiskStalled = errors.New("control plane refuses writes: its disk does not answer")
	// ErrClosed says that the shard is closing or closed.
	ErrClosed = errors.New("control plane is closed")
	// ErrForgotten says that changes after the wanted revision are no longer, or not, known.
	ErrForgotten = errors.New("changes after that revision are not known")
)

// UnknownError says that a write may or may not have been executed, now or later. Repeating it with the same request ids tells.
type UnknownError struct{ cause error }

// Error says so, and why it is not known.
func (e *UnknownError) Error() string {
	return fmt.Sprintf("the write may have been executed: %v; repeat it with the same request ids", e.cause)
}

// Unwrap returns why it is not known.
func (e *UnknownError) Unwrap() error { return e.cause }

// LockedError says that another process has the directory.
type LockedError struct {
	// Dir is the directory.
	Dir string
	// PID is the process that has it, or 0 if that is not known.
	PID int
}

// Error names the holder.
func (e *LockedError) Error() string {
	if e.PID == 0 {
		return fmt.Sprintf("directory %s is in use by another process", e.Dir)
	}
	return fmt.Sprintf("directory %s is in use by process %d", e.Dir, e.PID)
}

// CorruptError says that something on the disk cannot be read as it was written.
type CorruptError struct {
	// Path is the file or directory.
	Path string
	// Err is what is wrong with it.
	Err error
}

// Error says what is wrong and what to do.
func (e *CorruptError) Error() string {
	return fmt.Sprintf("%s is damaged: %v; restore the directory from a backup, or move it away to start empty", e.Path, e.Err)
}

// Unwrap returns what is wrong.
func (e *CorruptError) Unwrap() error { return e.Err }

func corrupt(path, format string, args ...any) error {
	return &CorruptError{Path: path, Err: fmt.Errorf(format, args...)}
}
