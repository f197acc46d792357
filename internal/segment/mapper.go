package segment

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

var (
	// ErrUnknownSegment means that a block lies in a segment that was never added to the Mapper, or was dropped.
	ErrUnknownSegment = errors.New("unknown segment")
	// ErrOutOfBounds means that a block does not lie inside its segment.
	ErrOutOfBounds = errors.New("block reaches beyond its segment")
)

// Mapper keeps the segments that a process reads mapped, each once and read-only. All methods may be called from any goroutine.
type Mapper struct {
	// table is replaced as a whole when a segment comes or goes, so that finding one takes no lock.
	table atomic.Pointer[map[uint32]*mapping]

	mu     sync.Mutex // held while table is replaced
	closed bool       // guarded by mu
}

// mapping is one mapped segment. It is unmapped when it was dropped and no view remains.
type mapping struct {
	data []byte
	// views counts views; dropped is added when the segment goes, which makes it negative.
	views atomic.Int64
	// unmapped is set by the one who unmaps: a view that is refused passes through the count that means "last view" as well.
	unmapped atomic.Bool
}

// dropped is far below what views can count up.
const dropped = math.MinInt64 / 2

// View is a read-only window on an object. Its memory stays mapped until Release.
type View struct {
	m     *mapping
	bytes []byte
}

// NewMapper returns a Mapper without segments.
func NewMapper() *Mapper {
	m := new(Mapper)
	m.table.Store(&map[uint32]*mapping{})
	return m
}

// Add checks the descriptor of a segment that another process made and maps it. It takes the descriptor over and closes it, also
// when it fails. Adding a segment again does nothing: its id never names another one.
func (m *Mapper) Add(segment uint32, f *os.File, length uint64) (err error) {
	defer func() { err = errors.Join(err, f.Close()) }()
	if err := Check(f, length); err != nil {
		return fmt.Errorf("map segment %d: %w", segment, err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return ErrClosed
	}
	if _, ok := (*m.table.Load())[segment]; ok {
		return nil
	}
	data, err := unix.Mmap(int(f.Fd()), 0, int(length), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return fmt.Errorf("map segment %d: %w", segment, os.NewSyscallError("mmap", err))
	}
	advise(data)
	m.replace(func(t map[uint32]*mapping) { t[segment] = &mapping{data: data} })
	return nil
}

// replace changes a copy of the table. mu is held.
func (m *Mapper) replace(change func(map[uint32]*mapping)) {
	old := *m.table.Load()
	t := make(map[uint32]*mapping, len(old)+1)
	maps.Copy(t, old)
	change(t)
	m.table.Store(&t)
}

// View returns a window on a block, which the caller must Release, once. The Go collector does not know of it: a slice of it must
// not be used after Release.
func (m *Mapper) View(b Block) (View, error) {
	mp := (*m.table.Load())[b.Segment]
	if mp == nil {
		return View{}, fmt.Errorf("view block %v: %w", b, ErrUnknownSegment)
	}
	if length := uint64(len(mp.data)); b.Offset > length || b.Size > length-b.Offset {
		return View{}, fmt.Errorf("view block %v: %w of %d bytes", b, ErrOutOfBounds, length)
	}
	if ok, err := mp.begin(); !ok {
		return View{}, errors.Join(fmt.Errorf("view block %v: %w", b, ErrUnknownSegment), err)
	}
	return View{m: mp, bytes: mp.data[b.Offset:b.End():b.End()]}, nil
}

// Bytes returns the object. Writing to it ends the process.
func (v View) Bytes() []byte { return v.bytes }

// Release ends the view. The error is that of unmapping a segment that was dropped before, if this was its last view.
func (v View) Release() error {
	if v.m == nil {
		return nil
	}
	return v.m.add(-1)
}

// begin counts a view, unless the segment was dropped since it was found in the table.
func (mp *mapping) begin() (ok bool, err error) {
	if mp.views.Add(1) < 0 {
		return false, mp.add(-1)
	}
	return true, nil
}

// add changes the count of views and unmaps the segment when it was dropped and the last view went.
func (mp *mapping) add(n int64) error {
	if mp.views.Add(n) != dropped || !mp.unmapped.CompareAndSwap(false, true) {
		return nil
	}
	return os.NewSyscallError("munmap", unix.Munmap(mp.data))
}

// Drop forgets a segment: because the node says that it is gone. Its memory stays mapped while views of it live.
func (m *Mapper) Drop(segment uint32) error {
	m.mu.Lock()
	mp := (*m.table.Load())[segment]
	if mp == nil {
		m.mu.Unlock()
		return nil
	}
	m.replace(func(t map[uint32]*mapping) { delete(t, segment) })
	m.mu.Unlock()
	if err := mp.add(dropped); err != nil {
		return fmt.Errorf("drop segment %d: %w", segment, err)
	}
	return nil
}

// Len returns how many segments are mapped and not dropped.
func (m *Mapper) Len() int { return len(*m.table.Load()) }

// Close drops all segments. Views that live stay valid until they are released.
func (m *Mapper) Close() error {
	m.mu.Lock()
	m.closed = true
	all := *m.table.Load()
	m.table.Store(&map[uint32]*mapping{})
	m.mu.Unlock()
	var errs []error
	for _, mp := range all {
		errs = append(errs, mp.add(dropped))
	}
	return errors.Join(errs...)
}
