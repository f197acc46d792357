package objectstore

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/mobula-dev/mobula/internal/id"
)

// Reason says why a request was refused.
type Reason uint8

const (
	// TooLarge: the object can never fit, however much is freed.
	TooLarge Reason = iota + 1
	// TimedOut: nothing was freed in time.
	TimedOut
	// QueueFull: too many requests of the job are waiting.
	QueueFull
)

// holdersMax is how many of each sort a FullError names.
const holdersMax = 5

// FullError is a request that was refused. It says who holds the store.
type FullError struct {
	// Reason says why.
	Reason Reason
	// Requested is the size of the object.
	Requested uint64
	// CallSite is the place in the source that asked.
	CallSite string
	// Capacity is that of the store, Used what is accounted of all segments, Objects what lies in them.
	Capacity, Used, Objects uint64
	// Jobs, Sessions and Largest are those with most, in falling order.
	Jobs     []JobUse
	Sessions []SessionUse
	Largest  []ObjectInfo
}

// JobUse is what a job occupies.
type JobUse struct {
	Job id.Job
	// SegmentBytes is what is accounted of its segments, ObjectBytes what lies in them.
	SegmentBytes, ObjectBytes uint64
}

// SessionUse is what a session is answerable for.
type SessionUse struct {
	Session Session
	Job     id.Job
	// SegmentBytes is the length of the segments that it writes, FreeBytes what is not used in them, HeldBytes the objects that were
	// made for it, PinnedBytes those that it reads.
	SegmentBytes, FreeBytes, HeldBytes, PinnedBytes uint64
}

// Error implements error.
func (e *FullError) Error() string {
	var b strings.Builder
	switch e.Reason {
	case TooLarge:
		fmt.Fprintf(&b, "object of %s can never fit into the object store", size(e.Requested))
	case TimedOut:
		fmt.Fprintf(&b, "object store had no room for an object of %s in time", size(e.Requested))
	case QueueFull:
		fmt.Fprintf(&b, "too many requests wait for room in the object store; refused one for %s", size(e.Requested))
	default:
		fmt.Fprintf(&b, "object store refused an object of %s for reason %d", size(e.Requested), e.Reason)
	}
	if e.CallSite != "" {
		fmt.Fprintf(&b, " from %s", e.CallSite)
	}
	fmt.Fprintf(&b, " (capacity %s, segments %s, objects in them %s)", size(e.Capacity), size(e.Used), size(e.Objects))
	for _, j := range e.Jobs {
		fmt.Fprintf(&b, "\n  job %v: objects of %s in segments of %s", j.Job, size(j.ObjectBytes), size(j.SegmentBytes))
	}
	for _, c := range e.Sessions {
		fmt.Fprintf(&b, "\n  session %d: holds %s, reads %s, writes segments of %s with %s free",
			c.Session, size(c.HeldBytes), size(c.PinnedBytes), size(c.SegmentBytes), size(c.FreeBytes))
	}
	for i := range e.Largest {
		o := &e.Largest[i]
		fmt.Fprintf(&b, "\n  object %v: %s, made by %s at %s for session %d, read by %d",
			o.ID, size(o.Block.Size), cmp.Or(o.Name, "put"), cmp.Or(o.CallSite, "unknown place"), o.Holder, o.Pins)
	}
	return b.String()
}

// size formats a number of bytes for people.
func size(n uint64) string {
	if n < 1<<10 {
		return fmt.Sprintf("%d B", n)
	}
	units := "KMGTPE"
	v, i := float64(n)/(1<<10), 0
	for v >= 1<<10 && i < len(units)-1 {
		v, i = v/(1<<10), i+1
	}
	return fmt.Sprintf("%.1f %ciB", v, units[i])
}

func (s *Store) fullError(wt *waiter, why Reason) *FullError {
	e := &FullError{
		Reason: why, Requested: wt.Bytes, CallSite: wt.CallSite,
		Capacity: s.cfg.CapacityBytes, Used: s.used, Objects: s.totals.objectBytes,
	}
	jobs := slices.SortedFunc(maps.Values(s.jobs), func(a, b *job) int {
		return cmp.Or(cmp.Compare(b.segmentBytes, a.segmentBytes), bytes.Compare(a.id[:], b.id[:]))
	})
	for _, j := range jobs[:min(holdersMax, len(jobs))] {
		if j.segments > 0 {
			e.Jobs = append(e.Jobs, JobUse{Job: j.id, SegmentBytes: j.segmentBytes, ObjectBytes: j.objectBytes})
		}
	}
	for _, c := range s.largest(holdersMax) {
		e.Sessions = append(e.Sessions, c.use())
	}
	e.Largest = s.largestObjects(holdersMax)
	return e
}

func (c *session) use() SessionUse {
	return SessionUse{
		Session: c.id, Job: c.job.id, SegmentBytes: c.segmentBytes, FreeBytes: c.segmentBytes - c.liveBytes,
		HeldBytes: c.heldBytes, PinnedBytes: c.pinnedBytes,
	}
}

// largestObjects looks at every object once and keeps the n largest: some hundred nanoseconds for each, on a path that ends a put.
func (s *Store) largestObjects(n int) []ObjectInfo {
	larger := func(a, b *object) int {
		return cmp.Or(cmp.Compare(b.block.Size, a.block.Size), bytes.Compare(a.id[:], b.id[:]))
	}
	var top []*object
	for _, o := range s.objects {
		if len(top) == n && larger(o, top[n-1]) > 0 {
			continue
		}
		i, _ := slices.BinarySearchFunc(top, o, larger)
		top = slices.Insert(top, i, o)
		top = top[:min(n, len(top))]
	}
	infos := make([]ObjectInfo, len(top))
	for i, o := range top {
		infos[i] = o.info()
	}
	return infos
}
