// Package objectstore accounts for the shared memory of a node: which segments exist, which objects lie where in them, who reads
// them, and who may have more.
//
// It is a state machine: calls are events, Effects are what the caller must do. It does no I/O, starts no goroutine and reads no
// clock; descriptors pass through it unopened. One owner calls it, under the node's lock. Nothing in it blocks.
//
// What is accounted is segments, since memory goes back to the system segment by segment:
//
//	RequestGrant ─► (waits) ─► granted ─Register─► registered ─GiveBack, or its writer and its last object gone─► gone
//
// and inside them objects:
//
//	(created: known to the writer alone) ─Seal─► Sealed ─Free─► gone, or while somebody reads it: Draining ─last Unpin─► gone
//
// A state for objects that were moved to disk belongs between Sealed and gone. Space of an object that is gone returns to its
// writer, in batches, for reuse. When the writer is dead nobody can reuse it: the segment stays until its last object goes, and counts for
// the memory that it has rather than for its length.
package objectstore

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/mobula-dev/mobula/internal/id"
	"github.com/mobula-dev/mobula/internal/segment"
)

// Session is the number of a client's session at this node. Numbers start at 1 and are never used again.
type Session uint64

// Descriptor is what the store keeps of a segment's file: it hands it out with Placement and asks for its end with an effect.
type Descriptor interface{ io.Closer }

// Defaults of Config.
const (
	// DefaultWaitersMax is enough for every slot of a large machine to wait, and some megabytes of requests.
	DefaultWaitersMax = 4096
	// DefaultWaitMax is how long nothing may be freed before a put that waits is an error rather than a program that hangs.
	DefaultWaitMax = time.Minute
	// DefaultCollectInterval is long against a garbage collection and short against what a user calls a hang.
	DefaultCollectInterval = time.Second

	// segmentShare: a shared segment is at most this part of the capacity, so that several clients have one in a small store.
	segmentShare = 16
	// segmentMin is the shortest shared segment.
	segmentMin = 64 << 10
	// objectsPerSegmentMax bounds what entering and removing a place moves, 16 bytes for each behind it: as many as a segment of the
	// default length has pages, and 25 times as many as it has objects that are too long to be inline.
	objectsPerSegmentMax = segment.DefaultBytes / segment.PageBytes
	// freedMax is how many blocks one effect names: at most 27 bytes each in a frame, a tenth of what a frame may have.
	freedMax = 4096
	// blockAlign is what every offset is a multiple of.
	blockAlign = 64
)

// Config has the settings of a Store. A zero field means its default.
type Config struct {
	// CapacityBytes is how long all segments together may be; by default 30 % of the memory that the process may use.
	CapacityBytes uint64
	// SegmentBytes is the length of a segment that small objects share; by default segment.DefaultBytes, or a sixteenth of the
	// capacity if that is less.
	SegmentBytes uint64
	// WaitersMax is how many requests of one job may wait; more are refused.
	WaitersMax int
	// WaitMax is how long a request may wait, whatever its own deadline.
	WaitMax time.Duration
	// CollectInterval is the least time between two requests to collect garbage while somebody waits for memory; it is ten times
	// as long while memory is merely scarce.
	CollectInterval time.Duration
}

func (c Config) withDefaults() (Config, error) {
	if c.CapacityBytes == 0 {
		total, err := memoryBytes()
		if err != nil {
			return c, fmt.Errorf("find out how much memory there is: %w", err)
		}
		c.CapacityBytes = total / 10 * 3
	}
	if c.CapacityBytes < segmentMin || c.CapacityBytes > segment.LengthMax {
		return c, fmt.Errorf("capacity of the object store is %d bytes, not between %d and %d",
			c.CapacityBytes, segmentMin, uint64(segment.LengthMax))
	}
	if c.SegmentBytes == 0 {
		c.SegmentBytes = max(segmentMin, min(segment.DefaultBytes, c.CapacityBytes/segmentShare))
	}
	c.SegmentBytes = segment.RoundUp(min(c.SegmentBytes, c.CapacityBytes)) // RoundUp(LengthMax) does not overflow
	c.WaitersMax = cmp.Or(c.WaitersMax, DefaultWaitersMax)
	c.WaitMax = cmp.Or(c.WaitMax, DefaultWaitMax)
	c.CollectInterval = cmp.Or(c.CollectInterval, DefaultCollectInterval)
	if c.WaitersMax < 0 || c.WaitMax < 0 || c.CollectInterval < 0 {
		return c, errors.New("limits of the object store are negative")
	}
	return c, nil
}

// ProtocolError is a client that breaks the protocol: it lies about a place, or is broken. Nothing was changed; its session should
// be ended.
type ProtocolError struct {
	// Session is the client.
	Session Session
	// Reason says what it did.
	Reason string
}

// Error implements error.
func (e *ProtocolError) Error() string { return fmt.Sprintf("session %d: %s", e.Session, e.Reason) }

func protocolError(s Session, format string, args ...any) error {
	return &ProtocolError{Session: s, Reason: fmt.Sprintf(format, args...)}
}

// EffectKind says what an effect asks for.
type EffectKind uint8

const (
	// Granted: tell Session that its Request is granted: it may create Segment, Length bytes long.
	Granted EffectKind = iota + 1
	// Refused: tell Session that its Request is refused because of Err.
	Refused
	// Freed: tell Session, the writer, that Blocks are free again; with GiveBack also, or only, that somebody waits for room, so that
	// segments that are empty now shall be given back at once.
	Freed
	// SegmentGone: tell Session, a reader, that Segment is gone.
	SegmentGone
	// CloseDescriptor: close Descriptor. It may be the last hold on much memory: closing it takes up to 0.1 ms per megabyte, and
	// should not be done under the node's lock.
	CloseDescriptor
	// Collect: ask Session to collect garbage, send releases and give empty segments back; it could give back up to Length bytes.
	Collect
	// Orphaned: the writer of Segment is dead, and objects lie in it. It will have no more memory than it has: call Shrink, when
	// the other effects are dealt with, with what Descriptor says. Or a segment of 64 MiB would count for the one small object that somebody keeps of a program that has ended.
	Orphaned
)

// Effect is something that the caller must do.
type Effect struct {
	Kind       EffectKind
	Session    Session
	Request    uint64
	Segment    uint32
	Length     uint64
	Blocks     []segment.Block
	GiveBack   bool
	Descriptor Descriptor
	Err        *FullError
}

// Store is the object store of one node. It is not safe for concurrent use: see the package comment.
type Store struct {
	cfg      Config
	used     uint64 // of all segments that are granted or registered: their lengths, but of orphans what they have
	sessions map[Session]*session
	jobs     map[id.Job]*job
	segments map[uint32]*seg
	objects  map[id.Object]*object
	last     uint32 // id of the youngest segment

	turns       []*job    // those with waiters; the first is served next
	waiting     int       // requests
	earliest    time.Time // no waiter's deadline is before; zero when nobody waits
	lastCollect time.Time

	effects []Effect
	dirty   []*session // those that have to be told of freed blocks, or to give back
	totals  totals
}

// session is one client.
type session struct {
	id       Session
	job      *job
	segments map[uint32]*seg // that it writes
	reads    map[uint32]*seg // whose descriptor it was given
	pins     map[*object]uint32
	waiters  map[uint64]*waiter
	freed    []segment.Block // to be told
	giveBack bool            // to be told

	segmentBytes uint64 // length of its segments
	liveBytes    uint64 // of objects in its segments
	heldBytes    uint64 // of objects that it is said to hold
	pinnedBytes  uint64 // of objects that it pins
}

// job is what sessions of one job share. It lives as long as a session or a segment of it.
type job struct {
	id           id.Job
	sessions     int
	segments     int
	segmentBytes uint64
	objectBytes  uint64
	waiters      []*waiter // oldest first
}

// New returns an empty store.
func New(cfg Config) (*Store, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	return &Store{
		cfg:      cfg,
		sessions: make(map[Session]*session),
		jobs:     make(map[id.Job]*job),
		segments: make(map[uint32]*seg),
		objects:  make(map[id.Object]*object),
	}, nil
}

// Effects returns what has to be done since the last call, in this order; the slice is valid until the next event.
func (s *Store) Effects() []Effect {
	for _, c := range s.dirty {
		for len(c.freed) > freedMax {
			s.effects = append(s.effects, Effect{Kind: Freed, Session: c.id, Blocks: c.freed[:freedMax:freedMax]})
			c.freed = c.freed[freedMax:]
		}
		if len(c.freed) > 0 || c.giveBack {
			s.effects = append(s.effects, Effect{Kind: Freed, Session: c.id, Blocks: c.freed, GiveBack: c.giveBack})
			c.freed, c.giveBack = nil, false
		}
	}
	clear(s.dirty)
	s.dirty = s.dirty[:0]
	e := s.effects
	s.effects = s.effects[:0]
	return e
}

// Open enters a session of a job.
func (s *Store) Open(sid Session, jid id.Job) error {
	if sid == 0 || s.sessions[sid] != nil {
		return fmt.Errorf("open session %d: it exists", sid)
	}
	j := s.jobs[jid]
	if j == nil {
		j = &job{id: jid}
		s.jobs[jid] = j
	}
	j.sessions++
	s.sessions[sid] = &session{
		id: sid, job: j, segments: make(map[uint32]*seg), reads: make(map[uint32]*seg),
		pins: make(map[*object]uint32), waiters: make(map[uint64]*waiter),
	}
	return nil
}

// SessionGone drops what only a dead client needs: its requests, pins and empty segments. Sealed objects in its segments live on.
func (s *Store) SessionGone(sid Session) {
	c := s.sessions[sid]
	if c == nil {
		return
	}
	delete(s.sessions, sid)
	for _, wt := range c.waiters {
		s.dequeue(wt)
	}
	for _, sg := range c.reads {
		delete(sg.readers, sid)
	}
	for _, o := range sortedObjects(maps.Keys(c.pins)) {
		s.unpin(c, o, c.pins[o])
	}
	for _, number := range slices.Sorted(maps.Keys(c.segments)) {
		sg := c.segments[number]
		sg.owner = nil
		if len(sg.places) == 0 {
			s.drop(sg)
			continue
		}
		s.effects = append(s.effects, Effect{Kind: Orphaned, Segment: sg.id, Length: sg.length, Descriptor: sg.descriptor})
	}
	c.freed, c.giveBack = nil, false
	c.job.sessions--
	s.forget(c.job)
	s.admit()
}

// forget drops a job that has nothing any more.
func (s *Store) forget(j *job) {
	if j.sessions == 0 && j.segments == 0 {
		delete(s.jobs, j.id)
	}
}

// client returns a session that must exist: the caller ends sessions before it forgets them.
func (s *Store) client(sid Session) (*session, error) {
	c := s.sessions[sid]
	if c == nil {
		return nil, fmt.Errorf("session %d is not open in the object store", sid)
	}
	return c, nil
}
