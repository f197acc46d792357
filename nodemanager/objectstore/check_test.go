package objectstore

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/mobula-dev/mobula/internal/id"
)

// check recounts every sum and every link of the store.
func (s *Store) check() error {
	if err := s.checkSegments(); err != nil {
		return err
	}
	if err := s.checkSessions(); err != nil {
		return err
	}
	return s.checkQueue()
}

func (s *Store) checkSegments() error {
	var used, objectBytes, pinnedBytes uint64
	objects := 0
	perJob := map[*job]job{}
	inside := map[*seg][]*object{}
	for _, o := range s.objects {
		inside[o.seg] = append(inside[o.seg], o)
	}
	for number, sg := range s.segments {
		used += sg.memory
		objects += len(sg.places)
		slices.SortFunc(inside[sg], func(a, b *object) int { return cmp.Compare(a.block.Offset, b.block.Offset) })
		if len(inside[sg]) != len(sg.places) {
			return fmt.Errorf("segment %d has %d places for %d objects", number, len(sg.places), len(inside[sg]))
		}
		j := perJob[sg.job]
		j.segments++
		j.segmentBytes += sg.memory
		end := uint64(0)
		for i, o := range inside[sg] {
			if o.block.Offset < end || o.block.End() > sg.length || s.objects[o.id] != o || o.block.Segment != number ||
				sg.places[i] != (place{o.block.Offset, o.block.End()}) {
				return fmt.Errorf("object %v at %v in segment %d", o.id, o.block, number)
			}
			if o.freed && o.pins == 0 {
				return fmt.Errorf("object %v is neither held nor read", o.id)
			}
			end = o.block.End()
			objectBytes += o.block.Size
			j.objectBytes += o.block.Size
			if o.pins > 0 {
				pinnedBytes += o.block.Size
			}
		}
		perJob[sg.job] = j
		switch {
		case sg.owner == nil && len(sg.places) == 0:
			return fmt.Errorf("segment %d has neither writer nor objects", number)
		case sg.owner != nil && sg.registered && len(sg.places) == 0 && s.waiting > 0 && !sg.told:
			return fmt.Errorf("empty segment %d is kept while somebody waits", number)
		case sg.memory > sg.length || sg.owner != nil && sg.memory < sg.length:
			return fmt.Errorf("segment %d of %d bytes is accounted with %d", number, sg.length, sg.memory)
		case sg.owner != nil && (sg.owner.segments[number] != sg || s.sessions[sg.owner.id] != sg.owner):
			return fmt.Errorf("segment %d is not its writer's", number)
		}
		for reader := range sg.readers {
			if s.sessions[reader].reads[number] != sg {
				return fmt.Errorf("segment %d has an unknown reader", number)
			}
		}
	}
	if used != s.used || used > s.cfg.CapacityBytes || objects != len(s.objects) ||
		objectBytes != s.totals.objectBytes || pinnedBytes != s.totals.pinnedBytes {
		return fmt.Errorf("used %d of %d, counted %d; %d objects, counted %d", used, s.cfg.CapacityBytes, s.used, objects, len(s.objects))
	}
	for _, j := range s.jobs {
		got := perJob[j]
		if j.segments != got.segments || j.segmentBytes != got.segmentBytes || j.objectBytes != got.objectBytes {
			return fmt.Errorf("job %v: %+v, counted %+v", j.id, got, *j)
		}
		delete(perJob, j)
	}
	if len(perJob) > 0 {
		return fmt.Errorf("%d jobs are forgotten", len(perJob))
	}
	return nil
}

func (s *Store) checkSessions() error {
	pins := map[*object]uint64{}
	members := map[id.Job]int{}
	for sid, c := range s.sessions {
		members[c.job.id]++
		var segmentBytes, live, held, pinned uint64
		for _, sg := range c.segments {
			segmentBytes += sg.length
			for _, p := range sg.places {
				live += p.end - p.offset
			}
		}
		for _, o := range s.objects {
			if o.meta.Holder == sid {
				held += o.block.Size
			}
		}
		for o, n := range c.pins {
			if s.objects[o.id] != o || n == 0 {
				return fmt.Errorf("session %d pins %v, %d times", sid, o.id, n)
			}
			pins[o] += uint64(n)
			pinned += o.block.Size
		}
		if segmentBytes != c.segmentBytes || live != c.liveBytes || held != c.heldBytes || pinned != c.pinnedBytes {
			return fmt.Errorf("session %d: segments %d/%d live %d/%d held %d/%d pinned %d/%d", sid,
				segmentBytes, c.segmentBytes, live, c.liveBytes, held, c.heldBytes, pinned, c.pinnedBytes)
		}
	}
	for _, o := range s.objects {
		if pins[o] != o.pins {
			return fmt.Errorf("object %v has %d pins, counted %d", o.id, pins[o], o.pins)
		}
	}
	for jid, j := range s.jobs {
		if members[jid] != j.sessions || j.sessions+j.segments == 0 {
			return fmt.Errorf("job %v has %d sessions, counted %d", jid, members[jid], j.sessions)
		}
	}
	return nil
}

func (s *Store) checkQueue() error {
	waiting := 0
	for _, j := range s.jobs {
		waiting += len(j.waiters)
		if slices.Contains(s.turns, j) != (len(j.waiters) > 0) {
			return fmt.Errorf("job %v with %d waiters has a wrong turn", j.id, len(j.waiters))
		}
		for _, wt := range j.waiters {
			if wt.client.job != j || wt.client.waiters[wt.ID] != wt || s.earliest.After(wt.Deadline) {
				return fmt.Errorf("waiter %d of session %d", wt.ID, wt.Session)
			}
		}
	}
	if waiting != s.waiting || (waiting > 0) == s.earliest.IsZero() {
		return fmt.Errorf("%d wait, counted %d", waiting, s.waiting)
	}
	if len(s.turns) > 0 {
		if _, ok := s.lengthFor(s.turns[0].waiters[0].Bytes); ok {
			return fmt.Errorf("request for %d bytes waits though it fits", s.turns[0].waiters[0].Bytes)
		}
	}
	return nil
}
