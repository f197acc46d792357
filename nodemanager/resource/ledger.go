package resource

import (
	"fmt"
	"math"
	"math/bits"
)

// Devices is a set of GPUs by index, bit i for device i.
type Devices uint64

// Len returns the number of devices.
func (d Devices) Len() int { return bits.OnesCount64(uint64(d)) }

// Append appends the indices in ascending order.
func (d Devices) Append(to []uint32) []uint32 {
	for rest := uint64(d); rest != 0; rest &= rest - 1 {
		to = append(to, uint32(bits.TrailingZeros64(rest)))
	}
	return to
}

// Ledger is what a node has, what of it is free and what is taken. For every column free + taken = total, always.
//
// Free CPU may be below zero: a task that waits lends its CPUs (Lend), others take them, and when it goes on it takes them again at
// once (Reclaim), whether or not they are free. Nothing fits until the debt is paid by whoever gives back next.
type Ledger struct {
	set                *Set
	total, free, taken []int64 // by column; columns interned later than the ledger are absent: the node has none of those
	devices            []int64 // free part of each GPU, in units
}

// NewLedger returns the ledger of a node with the given capacity, all of it free. The error is an *Error.
func (s *Set) NewLedger(capacity Request) (*Ledger, error) {
	if capacity.GPUs%Unit != 0 {
		return nil, &Error{Resource: s.Name(GPU), Quantity: capacity.GPUs, Err: ErrFraction}
	}
	if capacity.GPUs > MaxDevices*Unit {
		return nil, &Error{Resource: s.Name(GPU), Quantity: capacity.GPUs, Err: ErrTooMany}
	}
	needs, err := s.needs(capacity)
	if err != nil {
		return nil, err
	}
	l := &Ledger{set: s, total: make([]int64, s.Len()), taken: make([]int64, s.Len())}
	for _, n := range needs {
		l.total[n.column] = n.amount
	}
	l.free = append([]int64(nil), l.total...)
	l.devices = make([]int64, capacity.GPUs/Unit)
	for i := range l.devices {
		l.devices[i] = Unit
	}
	return l, nil
}

// Columns returns the number of columns that the node may have something of.
func (l *Ledger) Columns() int { return len(l.total) }

// Name returns the name of a column.
func (l *Ledger) Name(c Column) string { return l.set.Name(c) }

// Total returns how much of a column the node has.
func (l *Ledger) Total(c Column) int64 { return at(l.total, c) }

// Free returns how much of a column nobody has taken; below zero when CPUs were reclaimed that had been lent on.
func (l *Ledger) Free(c Column) int64 { return at(l.free, c) }

func at(vector []int64, c Column) int64 {
	if int(c) < len(vector) {
		return vector[c]
	}
	return 0
}

// Fits reports whether Take would succeed.
func (l *Ledger) Fits(s *Shape) bool {
	for _, n := range s.needs {
		if int(n.column) >= len(l.free) || l.free[n.column] < n.amount {
			return false
		}
	}
	return s.gpu == 0 || l.pick(s.gpu) != 0
}

// FitsWith reports whether s would fit if a holder of given gave it back. For GPUs it counts their sum only: a lease that ends may still
// leave too little on each device.
func (l *Ledger) FitsWith(s, given *Shape) bool {
	for _, n := range s.needs {
		if at(l.free, n.column)+given.Need(n.column) < n.amount {
			return false
		}
	}
	return true
}

// Room returns how many of s fit side by side, at most limit; for fractions of GPUs it is an upper bound.
func (l *Ledger) Room(s *Shape, limit int) int {
	room := int64(limit)
	for _, n := range s.needs {
		room = min(room, max(0, at(l.free, n.column))/n.amount)
	}
	return int(room)
}

// Overdrawn reports whether any column that s needs is below zero.
func (l *Ledger) Overdrawn(s *Shape) bool {
	for _, n := range s.needs {
		if at(l.free, n.column) < 0 {
			return true
		}
	}
	return false
}

// Take takes a shape and says which GPUs it got; false when it does not fit, and then nothing changes.
func (l *Ledger) Take(s *Shape) (Devices, bool) {
	if !l.Fits(s) {
		return 0, false
	}
	for _, n := range s.needs {
		l.move(n.column, n.amount)
	}
	if s.gpu == 0 {
		return 0, true
	}
	d := l.pick(s.gpu)
	l.moveDevices(d, min(s.gpu, Unit))
	return d, true
}

// Give returns what Take took, with the devices that Take said.
func (l *Ledger) Give(s *Shape, d Devices) {
	for _, n := range s.needs {
		l.move(n.column, -n.amount)
	}
	if d != 0 {
		l.moveDevices(d, -min(s.gpu, Unit))
	}
}

// Shrink turns a holder of from into one of to, which must be Within it.
func (l *Ledger) Shrink(from, to *Shape) {
	for _, n := range from.needs {
		l.move(n.column, -n.amount)
	}
	for _, n := range to.needs {
		l.move(n.column, n.amount)
	}
}

// Lend gives the CPUs of a holder of s back while it waits. Memory, GPUs and custom resources stay taken: the waiting task still has
// its data there.
func (l *Ledger) Lend(s *Shape) { l.move(CPU, -s.cpu) }

// Reclaim takes the CPUs of Lend again, even if free falls below zero.
func (l *Ledger) Reclaim(s *Shape) { l.move(CPU, s.cpu) }

func (l *Ledger) move(c Column, amount int64) {
	l.free[c] -= amount
	l.taken[c] += amount
}

func (l *Ledger) moveDevices(d Devices, amount int64) {
	for rest := uint64(d); rest != 0; rest &= rest - 1 {
		l.devices[bits.TrailingZeros64(rest)] -= amount
	}
}

// pick chooses devices for an amount of GPU, none if there are not enough. A fraction goes to the device in use that it fills best, then
// to a free one, so that whole devices stay whole; whole ones are the free devices with the lowest indices.
func (l *Ledger) pick(amount int64) Devices {
	if amount < Unit {
		best, free := -1, int64(math.MaxInt64)
		for i, f := range l.devices {
			if f >= amount && f < free {
				best, free = i, f
			}
		}
		if best < 0 {
			return 0
		}
		return 1 << best
	}
	var d Devices
	for i, f := range l.devices {
		if f == Unit {
			d |= 1 << i
			if amount -= Unit; amount == 0 {
				return d
			}
		}
	}
	return 0
}

// Shortage is one column of which there is too little for a shape.
type Shortage struct {
	// Resource is the name of the column.
	Resource string
	// Column is its place.
	Column Column
	// Need, Free and Total are what the shape needs, what is free now and what the node has.
	Need, Free, Total int64
}

// String writes the shortage for people.
func (s Shortage) String() string {
	return fmt.Sprintf("%s: needs %s, free %s of %s", s.Resource, Format(s.Column, s.Need), Format(s.Column, s.Free), Format(s.Column, s.Total))
}

// Infeasible says whether a shape can never fit on this node, and the first column that forbids it.
func (l *Ledger) Infeasible(s *Shape) (Shortage, bool) {
	for _, n := range s.needs {
		if l.Total(n.column) < n.amount {
			return l.shortage(n), true
		}
	}
	return Shortage{}, false
}

// Short lists the columns of which too little is free for a shape now. GPUs that are free in sum but not on the devices that it would
// take are listed too.
func (l *Ledger) Short(s *Shape) []Shortage {
	var short []Shortage
	for _, n := range s.needs {
		if l.Free(n.column) < n.amount || n.column == GPU && l.pick(n.amount) == 0 {
			short = append(short, l.shortage(n))
		}
	}
	return short
}

func (l *Ledger) shortage(n need) Shortage {
	return Shortage{Resource: l.Name(n.column), Column: n.column, Need: n.amount, Free: l.Free(n.column), Total: l.Total(n.column)}
}

// Check verifies the ledger's invariants; tests call it after every step.
func (l *Ledger) Check() error {
	for c := range l.total {
		if l.free[c]+l.taken[c] != l.total[c] {
			return fmt.Errorf("%s: free %d + taken %d is not total %d", l.set.names[c], l.free[c], l.taken[c], l.total[c])
		}
		if l.taken[c] < 0 || Column(c) != CPU && l.free[c] < 0 {
			return fmt.Errorf("%s: taken %d, free %d of %d", l.set.names[c], l.taken[c], l.free[c], l.total[c])
		}
	}
	var sum int64
	for i, f := range l.devices {
		if f < 0 || f > Unit {
			return fmt.Errorf("device %d has %d units free", i, f)
		}
		sum += f
	}
	if sum != l.free[GPU] {
		return fmt.Errorf("devices have %d units free, the GPU column %d", sum, l.free[GPU])
	}
	return nil
}
