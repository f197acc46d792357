package service

import (
	"testing"

	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"
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
