package objectstore

import (
	"context"
	"fmt"
	"io"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mobula-dev/mobula/internal/id"
	"github.com/mobula-dev/mobula/internal/segment"
)

// wiring connects real writers and a real reader to a store, as the node and its clients do, without sockets.
type wiring struct {
	t      *testing.T
	mapper *segment.Mapper // of session 1
	kick   chan struct{}

	mu      sync.Mutex
	store   *Store
	effects []Effect
	writers map[Session]*segment.Writer
	answers map[uint64]chan Effect
	nextID  uint64
}

// event changes the store and leaves what has to be done to the loop.
func (w *wiring) event(change func(*Store) error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := change(w.store); err != nil {
		w.t.Error(err)
	}
	w.effects = append(w.effects, w.store.Effects()...)
	select {
	case w.kick <- struct{}{}:
	default:
	}
}

// loop carries out effects in their order, and ticks.
func (w *wiring) loop(ctx context.Context) {
	for ctx.Err() == nil {
		w.mu.Lock()
		effects := w.effects
		w.effects = nil
		next := w.store.Next()
		w.mu.Unlock()
		for _, e := range effects {
			if err := w.apply(e); err != nil {
				w.t.Error(err)
			}
		}
		if len(effects) > 0 {
			continue
		}
		tick := time.NewTimer(time.Hour)
		if !next.IsZero() {
			tick.Reset(time.Until(next))
		}
		select {
		case <-ctx.Done():
		case <-w.kick:
		case now := <-tick.C:
			w.event(func(s *Store) error { s.Tick(now); return nil })
		}
		tick.Stop()
	}
}

func (w *wiring) apply(e Effect) error {
	switch e.Kind {
	case Granted, Refused:
		w.mu.Lock()
		answer := w.answers[e.Request]
		delete(w.answers, e.Request)
		w.mu.Unlock()
		if answer != nil {
			answer <- e
		} else if e.Kind == Granted {
			w.event(func(s *Store) error { return s.GiveBack(e.Session, e.Segment) })
		}
	case Freed:
		for _, b := range e.Blocks {
			if err := w.writers[e.Session].Free(b); err != nil {
				return err
			}
		}
		if e.GiveBack {
			_, err := w.writers[e.Session].Trim(0)
			return err
		}
	case SegmentGone:
		return w.mapper.Drop(e.Segment)
	case CloseDescriptor:
		return e.Descriptor.Close()
	case Collect:
		if writer := w.writers[e.Session]; writer != nil {
			_, err := writer.Trim(0)
			return err
		}
	default:
		return fmt.Errorf("effect %+v", e)
	}
	return nil
}

// client is one session's way to the store.
type client struct {
	*wiring
	sid Session
}

func (c client) Grant(ctx context.Context, size uint64) (segment.Grant, error) {
	answer := make(chan Effect, 1)
	var number uint64
	c.event(func(s *Store) error {
		c.nextID++
		number = c.nextID
		c.answers[number] = answer
		return s.RequestGrant(time.Now(), Request{Session: c.sid, ID: number, Bytes: size})
	})
	select {
	case e := <-answer:
		if e.Kind == Refused {
			return segment.Grant{}, e.Err
		}
		return segment.Grant{Segment: e.Segment, Length: e.Length}, nil
	case <-ctx.Done():
		c.event(func(s *Store) error { s.Withdraw(c.sid, number); delete(c.answers, number); return nil })
		select {
		case e := <-answer: // it crossed
			if e.Kind == Granted {
				c.GiveBack(e.Segment)
			}
		default:
		}
		return segment.Grant{}, context.Cause(ctx)
	}
}

func (c client) Announce(g segment.Grant, f *os.File) error {
	d, err := dup(f)
	if err != nil {
		return err
	}
	if err := segment.Check(d, g.Length); err != nil {
		return err
	}
	c.event(func(s *Store) error { return s.Register(c.sid, g.Segment, g.Length, d) })
	return nil
}

func (c client) GiveBack(number uint32) {
	c.event(func(s *Store) error { return s.GiveBack(c.sid, number) })
}

func dup(f *os.File) (*os.File, error) {
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	return os.NewFile(uintptr(fd), f.Name()), err
}

// put writes an object, has the reader check it, and frees it.
func (c client) put(oid id.Object, size uint64, keep chan id.Object) {
	b, buf, err := c.writers[c.sid].Acquire(c.t.Context(), size)
	if err != nil {
		c.t.Error(err)
		return
	}
	for i := range buf {
		buf[i] = oid[7] + byte(i)
	}
	if err := c.writers[c.sid].Seal(b); err != nil {
		c.t.Error(err)
	}
	c.event(func(s *Store) error { return s.Seal(c.sid, oid, b, Meta{Holder: 1}) })
	keep <- oid
}

func (w *wiring) check(oid id.Object) {
	var p Placement
	w.event(func(s *Store) (err error) {
		if p, err = s.Pin(1, oid); err != nil || !p.Share {
			return err
		}
		f, err := dup(p.Descriptor.(*os.File)) //nolint:errcheck // Announce registers files
		if err != nil {
			return err
		}
		return w.mapper.Add(p.Block.Segment, f, p.Length)
	})
	v, err := w.mapper.View(p.Block)
	if err != nil {
		w.t.Error(err)
		return
	}
	for i, got := range v.Bytes() {
		if got != oid[7]+byte(i) {
			w.t.Errorf("object %v at %v was overwritten", oid, p.Block)
			break
		}
	}
	if err := v.Release(); err != nil {
		w.t.Error(err)
	}
	w.event(func(s *Store) error { s.Free(oid); return s.Unpin(1, oid) })
}

func TestWritersAndReadersShareAStoreThatIsTooSmallForThem(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const writers, puts, capacity = 4, 150, 2 * mib
		w := &wiring{
			t: t, mapper: segment.NewMapper(), kick: make(chan struct{}, 1), writers: map[Session]*segment.Writer{},
			store:   newTestStore(t, Config{CapacityBytes: capacity, SegmentBytes: 256 << 10}),
			answers: map[uint64]chan Effect{},
		}
		must(t, w.store.Open(1, id.Job{1}))
		for i := range writers {
			sid := Session(2 + i)
			must(t, w.store.Open(sid, id.Job{1}))
			w.writers[sid] = segment.NewWriter(segment.WriterConfig{Name: "wiring"}, client{w, sid})
		}
		ctx, cancel := context.WithCancel(t.Context())
		var loop, work sync.WaitGroup
		loop.Go(func() { w.loop(ctx) })
		kept := make(chan id.Object, 3)
		for i := range writers {
			work.Go(func() {
				for n := range puts {
					c := client{w, Session(2 + i)}
					c.put(newObject(uint64(1+i*puts+n)), uint64(1+(n*n*7919+i*104729)%(700<<10)), kept)
				}
			})
		}
		var read sync.WaitGroup
		read.Go(func() {
			for oid := range kept {
				w.check(oid)
			}
		})
		begin := time.Now()
		work.Wait()
		close(kept)
		read.Wait()
		if waited := time.Since(begin); waited > 0 { // time passes only while nobody can do anything
			t.Errorf("waited %v for memory that others kept warm", waited)
		}
		synctest.Wait()
		w.end(t)
		cancel()
		loop.Wait()
	})
}

// end gives everything back: nothing may be left.
func (w *wiring) end(t *testing.T) {
	t.Helper()
	for _, writer := range w.writers {
		_, err := writer.Trim(0)
		must(t, err)
	}
	synctest.Wait()
	w.mu.Lock()
	st, err := w.store.Stats(), w.store.check()
	w.mu.Unlock()
	must(t, err)
	if st.UsedBytes != 0 || st.Objects != 0 || st.Waiting != 0 || st.Sealed != 600 || w.mapper.Len() != 0 {
		t.Errorf("left: %+v, %d segments mapped", st, w.mapper.Len())
	}
	for _, closer := range []io.Closer{w.mapper, w.writers[2], w.writers[3], w.writers[4], w.writers[5]} {
		must(t, closer.Close())
	}
}
