// Package id defines the fixed-size binary ids that name tasks, actors, objects and the rest, on the wire and in memory.
package id

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
)

const (
	// TaskSize is the length of a Task id in bytes.
	TaskSize = 16
	// ObjectSize is the length of an Object id in bytes: its task and a big-endian index.
	ObjectSize = TaskSize + 4
)

// Task names a task for ever. An actor is named by the task that created it.
type Task [TaskSize]byte

// Actor names an actor: the id of the task that created it.
type Actor = Task

// Object names a value: result number index of a task, or a put.
type Object [ObjectSize]byte

// Node names a node, in all its lives.
type Node [16]byte

// Job names the work of one driver.
type Job [16]byte

// Worker names a worker process.
type Worker [16]byte

// Object returns the id of the task's result with the given index.
func (t Task) Object(index uint32) Object {
	var o Object
	copy(o[:], t[:])
	binary.BigEndian.PutUint32(o[TaskSize:], index)
	return o
}

// Task returns the task that makes the object.
func (o Object) Task() Task { return Task(o[:TaskSize]) }

// Index returns the position of the object among its task's results.
func (o Object) Index() uint32 { return binary.BigEndian.Uint32(o[TaskSize:]) }

// String returns the id in hexadecimal.
func (t Task) String() string   { return hex.EncodeToString(t[:]) }
func (o Object) String() string { return hex.EncodeToString(o[:]) }
func (n Node) String() string   { return hex.EncodeToString(n[:]) }
func (j Job) String() string    { return hex.EncodeToString(j[:]) }
func (w Worker) String() string { return hex.EncodeToString(w[:]) }

// array is any of the 16-byte ids.
type array interface{ ~[16]byte }

// FromBytes reads an id of 16 bytes.
func FromBytes[A array](b []byte) (A, error) {
	var a A
	if len(b) != len(a) {
		return a, fmt.Errorf("id has %d bytes, want %d", len(b), len(a))
	}
	return A(b), nil
}

// ObjectFromBytes reads an object id of 20 bytes.
func ObjectFromBytes(b []byte) (Object, error) {
	if len(b) != ObjectSize {
		return Object{}, fmt.Errorf("object id has %d bytes, want %d", len(b), ObjectSize)
	}
	return Object(b), nil
}

// Parse reads the hexadecimal form of a 16-byte id.
func Parse[A array](s string) (A, error) {
	b, err := hex.DecodeString(s)
	if err != nil {
		var zero A
		return zero, fmt.Errorf("parse id %q: %w", s, err)
	}
	return FromBytes[A](b)
}

// Objects yields each id of a list of ids that lie one after the other, as frames carry them.
func Objects(packed []byte) (func(yield func(Object) bool), error) {
	if len(packed)%ObjectSize != 0 {
		return nil, fmt.Errorf("list of object ids has %d bytes, want a multiple of %d", len(packed), ObjectSize)
	}
	return func(yield func(Object) bool) {
		for i := 0; i < len(packed); i += ObjectSize {
			if !yield(Object(packed[i : i+ObjectSize])) {
				return
			}
		}
	}, nil
}

// IsZero reports whether the id is empty.
func (t Task) IsZero() bool { return t == Task{} }
