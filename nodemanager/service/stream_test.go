package service

import (
	"strings"
	"testing"

	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"
	"github.com/mobula-dev/mobula/internal/id"
)

// Streams: items while the task runs, and what becomes of them when it does not end well.

func streaming(m *mobulav1.Template) {
	inPython(m)
	m.Options.Streaming = true
}

// yield gives an item.
func (p *peer) yield(e *mobulav1.Execute, index uint32, text string) {
	p.t.Helper()
	p.send(&mobulav1.Yield{Handle: e.GetHandle(), Index: index, Value: value(text)})
}

func TestItemsOfAStreamComeWhileItsTaskRuns(t *testing.T) {
	t.Parallel()
	w := open(t)
	d, wk := w.pythonDriver()
	c := d.submit(d.template(aFunction, streaming))
	e := wk.executes(c)
	for i, item := range []string{"a", "b"} {
		wk.yield(e, uint32(i+1), item)
		if got := d.result(c, uint32(i+1)); got != item {
			t.Error(got)
		}
	}
	wk.done(e, "2")
	if got := d.result(c, 0); got != "2" {
		t.Error(got)
	}
	d.release(c.object(1))
	d.get(c.object(1))
	if got := d.answer(c.object(1)); got != "ERROR_KIND_OBJECT_LOST" {
		t.Error(got)
	}
	d.get(c.object(2))
	if got := d.answer(c.object(2)); got != "b" {
		t.Error(got)
	}
	d.release(c.object(0), c.object(2))
	d.has(0)
}

func TestAnItemMayBeAnArgument(t *testing.T) {
	t.Parallel()
	w := open(t, func(c *Config) { c.Resources.CPUs = 2 * unit })
	d, wk := w.pythonDriver()
	c := d.submit(d.template(aFunction, streaming))
	e := wk.executes(c)
	wk.yield(e, 1, "item")
	d.result(c, 1)
	f := d.submit(d.template(aFunction, inPython), refs(c.object(1)))
	other := w.pythonWorker()
	x := other.executes(f)
	if got := text(x.GetResolved()[0].GetValue()); got != "item" {
		t.Error(got)
	}
}

func TestAStreamWhoseWorkerDiesEndsInItsError(t *testing.T) {
	t.Parallel()
	w := open(t)
	d, wk := w.pythonDriver()
	none := int32(0)
	c := d.submit(d.template(aFunction, streaming, options(func(o *mobulav1.Options) { o.MaxRetries = &none })))
	e := wk.executes(c)
	wk.yield(e, 1, "a")
	d.result(c, 1)
	wk.crash()
	d.failure(c, mobulav1.ErrorKind_ERROR_KIND_WORKER_CRASHED)
	d.get(c.object(1))
	if got := d.answer(c.object(1)); got != "a" {
		t.Error(got)
	}
	d.goodbye()
	w.quiescent()
}

func TestAStreamThatRunsAgainKeepsItsItems(t *testing.T) {
	t.Parallel()
	w := open(t)
	d, wk := w.pythonDriver()
	c := d.submit(d.template(aFunction, streaming))
	e := wk.executes(c)
	wk.yield(e, 1, "a")
	wk.yield(e, 2, "b")
	d.result(c, 1)
	d.result(c, 2)
	d.release(c.object(1)) // it has been read
	wk.crash()
	wk = w.pythonWorker()
	e = wk.executes(c)
	if e.GetAttempt() != 2 {
		t.Errorf("attempt %d", e.GetAttempt())
	}
	for i, item := range []string{"other a", "other b", "c"} {
		wk.yield(e, uint32(i+1), item)
	}
	if got := d.result(c, 3); got != "c" {
		t.Error(got)
	}
	d.get(c.object(2))
	if got := d.answer(c.object(2)); got != "b" {
		t.Error(got)
	}
	wk.done(e, "3")
	d.result(c, 0)
	d.release(c.object(0), c.object(2), c.object(3))
	d.has(0)
}

func TestACancelledStreamEndsInItsError(t *testing.T) {
	t.Parallel()
	w := open(t)
	d, wk := w.pythonDriver()
	c := d.submit(d.template(aFunction, streaming))
	e := wk.executes(c)
	wk.yield(e, 1, "a")
	d.result(c, 1)
	o := c.object(1)
	d.send(&mobulav1.Cancel{ObjectId: o[:]}) // any ref of the stream will do
	expect[*mobulav1.CancelTask](wk)
	wk.failed(e)
	d.failure(c, cancelled)
}

func TestTheProducerIsToldWhatWasRead(t *testing.T) {
	t.Parallel()
	w := open(t)
	d, wk := w.pythonDriver()
	c := d.submit(d.template(aFunction, streaming, options(func(o *mobulav1.Options) { o.GeneratorBackpressure = 1 })))
	e := wk.executes(c)
	wk.yield(e, 1, "a")
	d.result(c, 1)
	o := c.object(0)
	d.send(&mobulav1.Consumed{ObjectId: o[:], Items: 1})
	if m := expect[*mobulav1.Consumed](wk); m.GetHandle() != e.GetHandle() || m.GetItems() != 1 {
		t.Error(m)
	}
	wk.crash() // the next attempt is told at once
	wk = w.pythonWorker()
	e = wk.executes(c)
	if m := expect[*mobulav1.Consumed](wk); m.GetHandle() != e.GetHandle() || m.GetItems() != 1 {
		t.Error(m)
	}
}

func TestItemsForNobodyAreDropped(t *testing.T) {
	t.Parallel()
	w := open(t)
	d, wk := w.pythonDriver()
	parent := d.submit(d.template(aFunction, inPython))
	p := wk.executes(parent)
	child := wk.submit(wk.template(aFunction, streaming))
	wk.send(&mobulav1.Blocked{Handle: p.GetHandle()})
	other := w.pythonWorker()
	e := other.executes(child)
	wk.hungUp() // the submitter ends
	other.yield(e, 1, "for nobody")
	other.done(e, "1")
	other.silence()
	w.locked(func(n *Node) {
		if n.dir.Lookup(child.object(1)) != nil {
			t.Error("an item is left")
		}
	})
}

func TestItemsThatCannotBeEndTheSession(t *testing.T) {
	t.Parallel()
	for name, send := range map[string]func(wk *peer, stream, plain *mobulav1.Execute){
		"a gap":             func(wk *peer, s, _ *mobulav1.Execute) { wk.yield(s, 2, "b") },
		"index 0":           func(wk *peer, s, _ *mobulav1.Execute) { wk.yield(s, 0, "b") },
		"of what is no one": func(wk *peer, _, p *mobulav1.Execute) { wk.yield(p, 1, "b") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := open(t)
			d, wk := w.pythonDriver()
			free := int64(0)
			s := d.submit(d.template(anActor, inPython, options(func(o *mobulav1.Options) { o.NumCpus = &free })))
			wk.done(wk.executes(s), "actor")
			d.result(s, 0)
			a := d.submit(d.template(aMethod, streaming), on(s))
			b := d.submit(d.template(aMethod, inPython), on(s))
			send(wk, wk.executes(a), wk.executes(b))
			wk.cutOff()
		})
	}
}

// narrow makes a node in which the items of a job may have 64 KiB.
func narrow(c *Config) { c.JobBytes = 128 << 10 }

// flood yields items of 32 KiB from index on until the credit is spent, which must leave the job more than it may have, and returns the next index.
func (p *peer) flood(d *peer, c call, e *mobulav1.Execute, index uint32) uint32 {
	p.t.Helper()
	item := strings.Repeat("x", 32<<10)
	spent, granted := uint64(0), p.welcome.GetItemCreditBytes()
	for spent < granted {
		p.yield(e, index, item)
		d.result(c, index)
		index++
		spent += uint64(len(value(item))) + itemOverhead
	}
	p.silence()
	if p.credit.GetItemBytes() != 0 {
		p.t.Fatalf("credit for items: %v", p.credit)
	}
	return index
}

func TestItemsWaitForRoomUntilTheyAreDropped(t *testing.T) {
	t.Parallel()
	w := open(t, narrow)
	d, wk := w.pythonDriver()
	c := d.submit(d.template(aFunction, streaming))
	e := wk.executes(c)
	next := wk.flood(d, c, e, 1)
	other := d.submit(d.template(aFunction, inPython)) // the credit for calls is another
	d.silence()
	for i := uint32(1); i < next; i++ {
		d.release(c.object(i))
	}
	d.silence()
	wk.silence()
	if got := wk.credit.GetItemBytes(); got <= wk.welcome.GetItemCreditBytes() {
		t.Errorf("credit for items is %d", got)
	}
	wk.done(e, "end")
	d.result(c, 0)
	wk.done(wk.executes(other), "other")
	d.result(other, 0)
	d.goodbye()
	w.quiescent()
}

func TestTheItemThatItsReaderWaitsForNeedsNoCredit(t *testing.T) {
	t.Parallel()
	w := open(t, narrow)
	d, wk := w.pythonDriver()
	c := d.submit(d.template(aFunction, streaming))
	e := wk.executes(c)
	next := wk.flood(d, c, e, 1)
	stream := c.object(0)
	d.send(&mobulav1.Consumed{ObjectId: stream[:], Items: 7})
	d.silence()
	wk.silence() // its reader is not there yet
	d.send(&mobulav1.Consumed{ObjectId: stream[:], Items: uint64(next) - 1})
	if m := expect[*mobulav1.Consumed](wk); m.GetItems() != uint64(next)-1 || m.GetHandle() != e.GetHandle() {
		t.Errorf("%v", m)
	}
	wk.yield(e, next, "wanted")
	if got := d.result(c, next); got != "wanted" {
		t.Error(got)
	}
	wk.yield(e, next+1, "not yet")
	wk.cutOff()
}

func TestAStreamThatEndsLetsTheOthersOfItsWorkerGoOn(t *testing.T) {
	t.Parallel()
	w, d, wk, other, made := crossing(t)
	m, theirs := d.template(aMethod, streaming), other.template(aMethod, streaming)
	w.locked(func(n *Node) { n.sessions[1].job.maxBytes = 128 << 10 })
	a := d.submit(m, on(made))
	ea := wk.executes(a)
	b := other.submit(theirs, on(made))
	eb := wk.executes(b)
	wk.flood(d, a, ea, 1)
	wk.yield(eb, 1, "theirs") // which is the first, and so wanted
	other.result(b, 1)
	wk.done(ea, "end")
	d.result(a, 0)
	wk.silence()
	if wk.credit.GetItemBytes() == 0 {
		t.Error("a stream of another job waits for room that it does not need")
	}
}

func TestWhatAGivenUpStreamYieldsIsGivenBack(t *testing.T) {
	t.Parallel()
	w := open(t, func(c *Config) { c.Resources.CPUs = 2 * unit })
	d, wk := w.pythonDriver()
	actor := d.submit(d.template(anActor, inPython, options(func(o *mobulav1.Options) { o.NumCpus = new(int64) })))
	wk.done(wk.executes(actor), "actor")
	d.result(actor, 0)
	c := d.submit(d.template(aMethod, streaming), on(actor), func(m *mobulav1.Submit) { m.TimeoutNs = 1 })
	_ = c
	e := wk.execute()
	expect[*mobulav1.CancelTask](wk)
	w.locked(func(n *Node) { n.abandon(n.handles.get(e.GetHandle())) })
	g := wk.room(1 << 20)
	wk.send(&mobulav1.Yield{Handle: e.GetHandle(), Index: 1, Value: stored(g, 0)})
	if f := expect[*mobulav1.Freed](wk); len(f.GetBlocks()) != 1 {
		t.Errorf("%v", f)
	}
	wk.send(&mobulav1.Done{Handle: e.GetHandle(), RunNs: 1, Results: [][]byte{stored(g, 8192)}})
	if f := expect[*mobulav1.Freed](wk); len(f.GetBlocks()) != 1 {
		t.Errorf("%v", f)
	}
}

func TestAReaderThatWaitsForTheEndLiftsCreditButNotBackpressure(t *testing.T) {
	t.Parallel()
	for name, most := range map[string]int32{"credit": 0, "backpressure": 1} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := open(t, narrow)
			d, wk := w.pythonDriver()
			c := d.submit(d.template(aFunction, streaming, options(func(o *mobulav1.Options) { o.GeneratorBackpressure = most })))
			e := wk.executes(c)
			next := wk.flood(d, c, e, 1)
			stream := c.object(0)
			d.send(&mobulav1.Consumed{ObjectId: stream[:], Items: 1 << 32})
			d.silence()
			if most > 0 {
				wk.silence()
				return
			}
			if m := expect[*mobulav1.Consumed](wk); m.GetItems() != 1<<32 {
				t.Errorf("%v", m)
			}
			for i := range uint32(3) {
				wk.yield(e, next+i, "more")
				d.result(c, next+i)
			}
		})
	}
}

func TestAStreamGoesOnWhenItsReaderHasEnded(t *testing.T) {
	t.Parallel()
	w, _, wk, other, made := crossing(t)
	w.locked(func(n *Node) { n.sessions[3].job.maxBytes = 128 << 10 })
	c := other.submit(other.template(aMethod, streaming), on(made))
	e := wk.executes(c)
	next := wk.flood(other, c, e, 1)
	var all []id.Object
	for i := uint32(1); i < next; i++ {
		all = append(all, c.object(i))
	}
	given := other.submit(other.template(aMethod), on(made), inside(all...))
	g := wk.executes(given)
	wk.hold(all...) // so that they stay
	wk.done(g, "kept")
	other.result(given, 0)
	other.goodbye()
	other.hungUp()
	w.locked(func(n *Node) { // the worker, which waits, says nothing
		if f := n.workers[wk.process.spec.Worker].session.flow; f.grantedItemBytes <= wk.welcome.GetItemCreditBytes() {
			t.Error("a stream that nobody reads waits for room")
		}
	})
	wk.yield(e, next, "for nobody")
	wk.silence()
}

func TestAStreamThatIsDroppedGoesOnForNobody(t *testing.T) {
	t.Parallel()
	for name, most := range map[string]int32{"credit": 0, "backpressure": 1} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := open(t, narrow)
			d, wk := w.pythonDriver()
			c := d.submit(d.template(aFunction, streaming, options(func(o *mobulav1.Options) { o.GeneratorBackpressure = most })))
			e := wk.executes(c)
			next := wk.flood(d, c, e, 1)
			stream := c.object(0)
			d.send(&mobulav1.Consumed{ObjectId: stream[:], Items: nobodyReads + 7})
			if m := expect[*mobulav1.Consumed](wk); m.GetHandle() != e.GetHandle() || m.GetItems() != nobodyReads {
				t.Errorf("%v", m)
			}
			for i := range uint32(3) {
				wk.yield(e, next+i, "for nobody")
			}
			wk.done(e, "end")
			if got := d.result(c, 0); got != "end" { // and nothing before it
				t.Error(got)
			}
		})
	}
}

func TestBackpressureEndsWithTheReader(t *testing.T) {
	t.Parallel()
	_, _, wk, other, made := crossing(t)
	c := other.submit(other.template(aMethod, streaming, options(func(o *mobulav1.Options) { o.GeneratorBackpressure = 1 })), on(made))
	e := wk.executes(c)
	wk.yield(e, 1, "a")
	other.result(c, 1)
	other.goodbye()
	if m := expect[*mobulav1.Consumed](wk); m.GetHandle() != e.GetHandle() || m.GetItems() != nobodyReads {
		t.Errorf("%v", m)
	}
}

func TestAStreamMayBeReadWhileItsWorkerEnds(t *testing.T) {
	t.Parallel()
	w := open(t)
	d, wk := w.pythonDriver()
	c := d.submit(d.template(aFunction, streaming))
	wk.yield(wk.executes(c), 1, "a")
	d.result(c, 1)
	wk.hungUp()
	stream := c.object(0)
	d.send(&mobulav1.Consumed{ObjectId: stream[:], Items: 1})
	d.silence()
}
