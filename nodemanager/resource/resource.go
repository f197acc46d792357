// Package resource accounts for what a node has: CPUs, memory, GPUs and custom resources, in exact fixed-point numbers.
//
// Names are interned to columns by a Set, and what a task needs is interned to a Shape, so that the questions of the hot path
// ("does it fit?", "take it", "give it back") are a few additions over a dense vector, the Ledger, and allocate nothing.
//
// The package is pure: no I/O, clock, goroutine, lock or dependence on the order of maps. A Set, its Shapes and its Ledgers belong to
// one owner, who calls them under the node's lock. Numbers from outside are checked once, by Set.Shape, Set.NewLedger and Units;
// everything else trusts them.
package resource

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
)

// Unit is one CPU, one GPU or one of a custom resource in fixed-point numbers. Memory is counted in bytes.
const Unit = 10_000

// Limits on what comes from outside. With them no sum of a Ledger can overflow: 2^40 (a hundred million CPUs) lent 2^22 times over,
// or 2^50 bytes (a pebibyte) once, stay far below 2^63.
const (
	// MaxQuantity is the largest amount of anything but memory, in fixed-point numbers.
	MaxQuantity = 1 << 40
	// MaxMemory is the largest amount of memory in bytes.
	MaxMemory = 1 << 50
	// MaxDevices is the number of GPUs that a node can have: the bits of Devices.
	MaxDevices = 64
	// MaxNameBytes is the length of the longest name of a custom resource.
	MaxNameBytes = 256
	// MaxColumns bounds the names that a Set interns, because names come from users and are never forgotten.
	MaxColumns = 1024
	// MaxShapes bounds the shapes that a Set interns, likewise.
	MaxShapes = 1 << 16
)

// Column is the place of a resource in the vectors of a Set.
type Column uint16

// The columns that every Set has; custom resources follow in the order in which they are first named.
const (
	CPU Column = iota
	Memory
	GPU
	builtin
)

// What can be wrong with a quantity or a name; test with errors.Is.
var (
	// ErrNegative: a quantity is below zero.
	ErrNegative = errors.New("quantity is negative")
	// ErrNotNumber: a quantity is NaN or infinite.
	ErrNotNumber = errors.New("quantity is not a finite number")
	// ErrTooLarge: a quantity is above MaxQuantity or MaxMemory.
	ErrTooLarge = errors.New("quantity is too large")
	// ErrTooFine: a quantity is above zero and below the smallest one, 0.0001.
	ErrTooFine = errors.New("quantity is below 0.0001")
	// ErrFraction: more than one GPU was asked for and not a whole number, or a node has a part of a GPU.
	ErrFraction = errors.New("only fractions below one GPU are possible")
	// ErrName: a name is empty, too long, or that of a resource with an option of its own.
	ErrName = errors.New("not a name for a custom resource")
	// ErrTooMany: the node has been told of more names or shapes than it keeps, or of more GPUs than it can count.
	ErrTooMany = errors.New("too many different resources")
)

// Error is what the edge answers to a request that cannot be: which resource, how much of it, and one of the errors above.
type Error struct {
	// Resource is the name of the resource.
	Resource string
	// Quantity is what was asked for, in fixed-point numbers or bytes.
	Quantity int64
	// Err is the reason.
	Err error
}

// Error says which resource was refused and why.
func (e *Error) Error() string {
	return fmt.Sprintf("resource %q, quantity %d: %v", e.Resource, e.Quantity, e.Err)
}

// Unwrap returns the reason.
func (e *Error) Unwrap() error { return e.Err }

// Units turns a number that a person wrote (0.5 CPUs) into fixed-point units, rounded to the nearest one.
func Units(x float64) (int64, error) {
	switch {
	case math.IsNaN(x) || math.IsInf(x, 0):
		return 0, ErrNotNumber
	case x < 0:
		return 0, ErrNegative
	case x > MaxQuantity/Unit:
		return 0, ErrTooLarge
	}
	u := int64(math.Round(x * Unit))
	if u == 0 && x > 0 {
		return 0, ErrTooFine
	}
	return u, nil
}

// Request is what a task needs or a node has, as it comes from outside: fixed-point units, memory in bytes.
type Request struct {
	// CPUs, GPUs are in units of 1/Unit.
	CPUs, GPUs int64
	// Memory is in bytes.
	Memory int64
	// Custom maps the names of custom resources to units of 1/Unit.
	Custom map[string]int64
}

// need is one column of a shape; its amount is above zero.
type need struct {
	column Column
	amount int64
}

// Shape is what a task needs, interned: two equal requests to one Set are the same pointer. A Shape is never changed.
type Shape struct {
	needs []need // by column, without zeros
	gpu   int64  // amount in the GPU column
	cpu   int64  // amount in the CPU column
	set   *Set
}

// Need returns the amount in a column.
func (s *Shape) Need(c Column) int64 {
	for _, n := range s.needs {
		if n.column == c {
			return n.amount
		}
	}
	return 0
}

// Empty reports whether the shape needs nothing.
func (s *Shape) Empty() bool { return len(s.needs) == 0 }

// Len returns the number of columns that the shape needs.
func (s *Shape) Len() int { return len(s.needs) }

// At returns the column number i, in the order of the columns, and how much of it is needed.
func (s *Shape) At(i int) (Column, int64) { return s.needs[i].column, s.needs[i].amount }

// Within reports whether the shape needs nothing that o does not need at least as much of, with exactly the same GPUs.
func (s *Shape) Within(o *Shape) bool {
	if s.gpu != o.gpu {
		return false
	}
	for _, n := range s.needs {
		if o.Need(n.column) < n.amount {
			return false
		}
	}
	return true
}

// String writes the shape for people: "CPU 1, memory 1048576 bytes".
func (s *Shape) String() string {
	if s.Empty() {
		return "nothing"
	}
	var b strings.Builder
	for i, n := range s.needs {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(s.set.Name(n.column) + " " + Format(n.column, n.amount))
	}
	return b.String()
}

// Format writes an amount of a column for people.
func Format(c Column, amount int64) string {
	if c == Memory {
		return fmt.Sprintf("%d bytes", amount)
	}
	sign := ""
	if amount < 0 {
		sign, amount = "-", -amount
	}
	if amount%Unit == 0 {
		return fmt.Sprintf("%s%d", sign, amount/Unit)
	}
	return sign + strings.TrimRight(fmt.Sprintf("%d.%04d", amount/Unit, amount%Unit), "0")
}

// Set interns names to columns and requests to shapes.
type Set struct {
	names   []string
	columns map[string]Column
	shapes  map[string]*Shape
}

// NewSet returns a Set that knows the built-in columns.
func NewSet() *Set {
	s := &Set{columns: make(map[string]Column), shapes: make(map[string]*Shape)}
	for _, name := range []string{CPU: "CPU", Memory: "memory", GPU: "GPU"} {
		s.columns[name] = Column(len(s.names))
		s.names = append(s.names, name)
	}
	return s
}

// Name returns the name of a column of this Set.
func (s *Set) Name(c Column) string { return s.names[c] }

// Len returns the number of columns.
func (s *Set) Len() int { return len(s.names) }

// Shape checks a request and interns it. The error is an *Error.
func (s *Set) Shape(r Request) (*Shape, error) {
	if r.GPUs > Unit && r.GPUs%Unit != 0 {
		return nil, &Error{Resource: s.Name(GPU), Quantity: r.GPUs, Err: ErrFraction}
	}
	needs, err := s.needs(r)
	if err != nil {
		return nil, err
	}
	key := shapeKey(needs)
	if known, ok := s.shapes[key]; ok {
		return known, nil
	}
	if len(s.shapes) == MaxShapes {
		return nil, &Error{Resource: "shape", Quantity: MaxShapes, Err: ErrTooMany}
	}
	shape := &Shape{needs: needs, set: s}
	shape.cpu, shape.gpu = shape.Need(CPU), shape.Need(GPU)
	s.shapes[key] = shape
	return shape, nil
}

// needs checks a request and returns its columns in order, without zeros. Nothing is interned unless all of it is right.
func (s *Set) needs(r Request) ([]need, error) {
	for _, q := range []struct {
		column   Column
		quantity int64
	}{{CPU, r.CPUs}, {Memory, r.Memory}, {GPU, r.GPUs}} {
		if err := checkQuantity(s.Name(q.column), q.quantity, q.column == Memory); err != nil {
			return nil, err
		}
	}
	names := make([]string, 0, len(r.Custom))
	unknown := 0
	for name, quantity := range r.Custom {
		names = append(names, name)
		if _, known := s.columns[name]; !known && quantity > 0 {
			unknown++
		}
	}
	slices.Sort(names)
	for _, name := range names {
		if err := s.checkName(name); err != nil {
			return nil, &Error{Resource: name, Quantity: r.Custom[name], Err: err}
		}
		if err := checkQuantity(name, r.Custom[name], false); err != nil {
			return nil, err
		}
	}
	if len(s.names)+unknown > MaxColumns {
		return nil, &Error{Resource: "names", Quantity: MaxColumns, Err: ErrTooMany}
	}
	return s.collect(r, names), nil
}

// collect turns a checked request into columns, interning the names that are new.
func (s *Set) collect(r Request, names []string) []need {
	var needs []need
	add := func(c Column, amount int64) {
		if amount > 0 {
			needs = append(needs, need{c, amount})
		}
	}
	add(CPU, r.CPUs)
	add(Memory, r.Memory)
	add(GPU, r.GPUs)
	for _, name := range names {
		if r.Custom[name] == 0 {
			continue
		}
		c, known := s.columns[name]
		if !known {
			c = Column(len(s.names))
			s.columns[name] = c
			s.names = append(s.names, name)
		}
		add(c, r.Custom[name])
	}
	slices.SortFunc(needs, func(a, b need) int { return int(a.column) - int(b.column) })
	return needs
}

// checkName refuses what cannot name a custom resource.
func (s *Set) checkName(name string) error {
	if c, known := s.columns[name]; known && c < builtin || name == "" || len(name) > MaxNameBytes {
		return ErrName
	}
	return nil
}

func checkQuantity(name string, quantity int64, memory bool) error {
	limit := int64(MaxQuantity)
	if memory {
		limit = MaxMemory
	}
	switch {
	case quantity < 0:
		return &Error{Resource: name, Quantity: quantity, Err: ErrNegative}
	case quantity > limit:
		return &Error{Resource: name, Quantity: quantity, Err: ErrTooLarge}
	}
	return nil
}

// shapeKey writes needs in a form in which equal ones are equal strings.
func shapeKey(needs []need) string {
	key := make([]byte, 0, len(needs)*10)
	for _, n := range needs {
		key = binary.BigEndian.AppendUint16(key, uint16(n.column))
		key = binary.BigEndian.AppendUint64(key, uint64(n.amount))
	}
	return string(key)
}
