package objectstore

import (
	"slices"
	"time"

	"github.com/mobula-dev/mobula/internal/segment"
)

// Request asks for a segment with room for one object.
type Request struct {
	// Session asks.
	Session Session
	// ID is the request's number within its session.
	ID uint64
	// Bytes is the size of the object.
	Bytes uint64
	// CallSite is the place in the source that waits.
	CallSite string
	// Deadline is when the request is refused; the zero time is without.
	Deadline time.Time
}

// waiter is a request that could not be granted at once.
type waiter struct {
	Request
	client *session
}

// RequestGrant asks for a segment: the effect Granted or Refused answers, at once or later, but for sessions that end or withdraw.
//
// Jobs take turns; within a job requests are served in the order in which they came. The request whose turn it is is not passed by
// smaller ones, or a large one would never be served; how long it can hold up others is bounded by its deadline.
func (s *Store) RequestGrant(now time.Time, r Request) error {
	c, err := s.client(r.Session)
	if err != nil {
		return err
	}
	if r.Bytes == 0 {
		return protocolError(c.id, "request %d is for an object of 0 bytes", r.ID)
	}
	if c.waiters[r.ID] != nil {
		return protocolError(c.id, "request %d is waiting already", r.ID)
	}
	wt := &waiter{Request: r, client: c}
	switch {
	case r.Bytes > s.cfg.CapacityBytes || segment.RoundUp(r.Bytes) > s.cfg.CapacityBytes:
		s.refuse(wt, TooLarge)
	case !r.Deadline.IsZero() && !now.Before(r.Deadline):
		s.refuse(wt, TimedOut)
	case len(c.job.waiters) >= s.cfg.WaitersMax:
		s.refuse(wt, QueueFull)
	default:
		s.enqueue(now, wt)
		s.admit()
		s.recall()
	}
	s.collect(now)
	return nil
}

// Withdraw takes back a request that waits. One that was answered already is no error: answers cross withdrawals, and the client
// gives back what it does not want.
func (s *Store) Withdraw(sid Session, request uint64) {
	if c := s.sessions[sid]; c != nil && c.waiters[request] != nil {
		s.dequeue(c.waiters[request])
		s.admit()
	}
}

// Tick refuses requests whose time is over and repeats the call to collect garbage. The caller calls it at the time that Next said.
func (s *Store) Tick(now time.Time) {
	if !s.earliest.IsZero() && !now.Before(s.earliest) {
		s.expire(now)
		s.admit()
	}
	s.collect(now)
}

// Next returns when Tick is to be called; the zero time if there is no need.
func (s *Store) Next() time.Time {
	if s.waiting == 0 {
		return time.Time{}
	}
	if again := s.lastCollect.Add(s.cfg.CollectInterval); again.Before(s.earliest) {
		return again
	}
	return s.earliest
}

func (s *Store) expire(now time.Time) {
	s.earliest = time.Time{}
	for _, j := range slices.Clone(s.turns) {
		for _, wt := range slices.Clone(j.waiters) {
			if now.Before(wt.Deadline) {
				s.noteDeadline(wt.Deadline)
				continue
			}
			s.dequeue(wt)
			s.refuse(wt, TimedOut)
		}
	}
}

func (s *Store) noteDeadline(d time.Time) {
	if s.earliest.IsZero() || d.Before(s.earliest) {
		s.earliest = d
	}
}

func (s *Store) enqueue(now time.Time, wt *waiter) {
	if latest := now.Add(s.cfg.WaitMax); wt.Deadline.IsZero() || latest.Before(wt.Deadline) {
		wt.Deadline = latest
	}
	s.noteDeadline(wt.Deadline)
	j := wt.client.job
	if len(j.waiters) == 0 {
		s.turns = append(s.turns, j)
	}
	j.waiters = append(j.waiters, wt)
	wt.client.waiters[wt.ID] = wt
	s.waiting++
}

// dequeue takes a waiter out of its queue, and its job out of the turns if it was its last.
func (s *Store) dequeue(wt *waiter) {
	j := wt.client.job
	i := slices.Index(j.waiters, wt)
	j.waiters = slices.Delete(j.waiters, i, i+1)
	delete(wt.client.waiters, wt.ID)
	s.waiting--
	if len(j.waiters) == 0 {
		i := slices.Index(s.turns, j)
		s.turns = slices.Delete(s.turns, i, i+1)
	}
	if s.waiting == 0 {
		s.earliest = time.Time{}
	}
}

// admit grants as long as the request whose turn it is fits.
func (s *Store) admit() {
	for len(s.turns) > 0 {
		j := s.turns[0]
		wt := j.waiters[0]
		length, ok := s.lengthFor(wt.Bytes)
		if !ok {
			return
		}
		s.dequeue(wt)
		if len(j.waiters) > 0 { // to the end of the line
			copy(s.turns, s.turns[1:])
			s.turns[len(s.turns)-1] = j
		}
		s.grant(wt, length)
	}
}

// lengthFor returns how long a segment for an object shall be: shared, or of the object's own length when it is large or when there
// is no room for more.
func (s *Store) lengthFor(size uint64) (uint64, bool) {
	room, need := s.cfg.CapacityBytes-s.used, segment.RoundUp(size)
	if size <= s.cfg.SegmentBytes/2 && s.cfg.SegmentBytes <= room {
		return s.cfg.SegmentBytes, true
	}
	return need, need <= room
}

func (s *Store) grant(wt *waiter, length uint64) {
	s.last++
	sg := &seg{id: s.last, length: length, memory: length, owner: wt.client, job: wt.client.job}
	s.segments[sg.id] = sg
	wt.client.segments[sg.id] = sg
	wt.client.segmentBytes += length
	sg.job.segments++
	sg.job.segmentBytes += length
	s.used += length
	s.totals.granted++
	s.effects = append(s.effects, Effect{Kind: Granted, Session: wt.client.id, Request: wt.ID, Segment: sg.id, Length: length})
}

func (s *Store) refuse(wt *waiter, why Reason) {
	s.totals.refused++
	s.effects = append(s.effects, Effect{Kind: Refused, Session: wt.client.id, Request: wt.ID, Err: s.fullError(wt, why)})
}
