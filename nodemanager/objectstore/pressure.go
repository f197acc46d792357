package objectstore

import (
	"cmp"
	"maps"
	"slices"
	"time"
)

const (
	// collectFan is how many sessions are asked to collect at a time: those that hold most, not the whole machine.
	collectFan = 4
	// scarceFactor is how much rarer sessions are asked when memory is scarce but nobody waits.
	scarceFactor = 10
)

// recall has the writers told, when somebody waits, that segments in which nothing lies shall be given back. A writer keeps them for
// its next object, whose pages then need not be found and cleared: worth it only while there is room. Unlike a garbage collection
// this costs the clients nothing else, so it is done at once, for every segment once.
func (s *Store) recall() {
	if s.waiting == 0 {
		return
	}
	for _, number := range slices.Sorted(maps.Keys(s.segments)) {
		if sg := s.segments[number]; sg.owner != nil && sg.registered && !sg.told && len(sg.places) == 0 {
			s.tellGiveBack(sg)
		}
	}
}

func (s *Store) tellGiveBack(sg *seg) {
	sg.told = true
	s.touch(sg.owner)
	sg.owner.giveBack = true
}

// collect asks the sessions that could give back most to do so: a collector does not see the gigabyte behind a small handle.
func (s *Store) collect(now time.Time) {
	interval := s.cfg.CollectInterval
	if s.waiting == 0 {
		if s.used <= s.cfg.CapacityBytes/5*4 {
			return
		}
		interval *= scarceFactor
	}
	if !s.lastCollect.IsZero() && now.Before(s.lastCollect.Add(interval)) {
		return
	}
	s.lastCollect = now
	for _, c := range s.largest(collectFan) {
		s.effects = append(s.effects, Effect{Kind: Collect, Session: c.id, Length: c.reclaimable()})
	}
}

// reclaimable is what a session could give back at most: what it holds, what it reads and does not hold, and what is free in its
// segments. What it both holds and reads counts twice, which makes it no less worth asking.
func (c *session) reclaimable() uint64 {
	return c.heldBytes + c.pinnedBytes + c.segmentBytes - c.liveBytes
}

// largest returns the n sessions that could give back most, those with nothing left out.
func (s *Store) largest(n int) []*session {
	all := make([]*session, 0, len(s.sessions))
	for _, c := range s.sessions {
		if c.reclaimable() > 0 {
			all = append(all, c)
		}
	}
	slices.SortFunc(all, func(a, b *session) int {
		return cmp.Or(cmp.Compare(b.reclaimable(), a.reclaimable()), cmp.Compare(a.id, b.id))
	})
	return all[:min(n, len(all))]
}
