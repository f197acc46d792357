// Package guard is the process that outlives a node manager by a moment, so that nothing else does.
//
// The kernel kills the workers of a node manager that dies (their parent-death signal), but not the subprocesses of those workers. The
// guard is told the process group of every worker, and when its connection ends it kills what is left: those groups, and every process that
// carries the pool's mark in its environment, which also finds subprocesses that moved to a session of their own. It holds no other state,
// does nothing while the node lives, and ends within BoundSweep of its node.
//
// The node manager writes records of five bytes: Add or Remove and the group's number as four bytes, big-endian.
package guard

import (
	"encoding/binary"
	"io"
	"os/signal"
	"syscall"
	"time"
)

const (
	// Add is the first byte of a record that adds a group.
	Add = '+'
	// Remove is the first byte of a record that removes one.
	Remove = '-'
	// RecordSize is the length of a record in bytes.
	RecordSize = 5
	// BoundSweep is how long the guard goes on killing what it finds after its node has ended.
	BoundSweep = 1500 * time.Millisecond

	// EnvMark is the variable that marks a worker and its subprocesses; its value is the pool's name, a slash, and the worker's id.
	EnvMark = "MOBULA_PROCESS"

	// groupsMax bounds the guard's memory; pools stay far below it.
	groupsMax = 1 << 16
)

// Record returns the record that adds or removes a process group.
func Record(op byte, group int) [RecordSize]byte {
	r := [RecordSize]byte{op}
	binary.BigEndian.PutUint32(r[1:], uint32(group))
	return r
}

// Serve is the guard's life: it follows the records until they end, whatever signal comes, and then sweeps.
func Serve(records io.Reader, pool string) {
	signal.Ignore(syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTERM)
	sweep(follow(records), pool, time.Now().Add(BoundSweep))
}

// follow returns the groups that were added and not removed when the records ended.
func follow(records io.Reader) map[int]bool {
	groups := make(map[int]bool)
	var rec [RecordSize]byte
	for {
		if _, err := io.ReadFull(records, rec[:]); err != nil {
			return groups
		}
		group := int(int32(binary.BigEndian.Uint32(rec[1:])))
		switch {
		case group <= 1: // Signals to these numbers would reach more than a group.
		case rec[0] == Add && len(groups) < groupsMax:
			groups[group] = true
		case rec[0] == Remove:
			delete(groups, group)
		}
	}
}
