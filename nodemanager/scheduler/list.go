package scheduler

// links are the places of a value in one list.
type links[T any] struct {
	next, prev *T
	in         bool
}

// linked is a value that carries its own links.
type linked[T any] interface {
	*T
	links() *links[T]
}

// list is a doubly linked list through its values. Adding what is in and removing what is not do nothing.
type list[T any, P linked[T]] struct {
	first, last *T
	n           int
}

func (l *list[T, P]) pushBack(v *T) {
	k := P(v).links()
	if k.in {
		return
	}
	*k = links[T]{prev: l.last, in: true}
	if l.last == nil {
		l.first = v
	} else {
		P(l.last).links().next = v
	}
	l.last = v
	l.n++
}

func (l *list[T, P]) remove(v *T) {
	k := P(v).links()
	if !k.in {
		return
	}
	if k.prev == nil {
		l.first = k.next
	} else {
		P(k.prev).links().next = k.next
	}
	if k.next == nil {
		l.last = k.prev
	} else {
		P(k.next).links().prev = k.prev
	}
	*k = links[T]{}
	l.n--
}

// moveToBack makes a value that is in the list its last.
func (l *list[T, P]) moveToBack(v *T) {
	if P(v).links().in && l.last != v {
		l.remove(v)
		l.pushBack(v)
	}
}

// place names a set of lanes; a lane is in at most one set of each place.
type place uint8

const (
	ofWorker place = iota // all lanes of a worker
	ofClass               // the lanes of a class that run tasks
	roomy                 // the lanes of a class that may take more tasks
	piped                 // the scheduler's lanes with tasks behind the head
	places
)

// laneSet is an unordered set of lanes: a slice, and each lane knows its position in it.
type laneSet struct {
	lanes []*Lane
	place place
}

func (s *laneSet) add(l *Lane) {
	if l.at[s.place] == 0 {
		s.lanes = append(s.lanes, l)
		l.at[s.place] = int32(len(s.lanes))
	}
}

func (s *laneSet) remove(l *Lane) {
	i := l.at[s.place]
	if i == 0 {
		return
	}
	last := len(s.lanes) - 1
	moved := s.lanes[last]
	s.lanes[i-1] = moved
	moved.at[s.place] = i
	s.lanes[last] = nil
	s.lanes = s.lanes[:last]
	l.at[s.place] = 0
}
