package service

import (
	"strings"
	"testing"

	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"
)

// Credit, in both directions.

// large is an argument or a value that is nearly too long to be inline.
var large = strings.Repeat("x", 100<<10)

func TestCreditIsGrantedAheadOfNeed(t *testing.T) {
	t.Parallel()
	w := open(t)
	d := w.driver()
	if d.welcome.GetCreditBytes() != creditWindow || d.welcome.GetCreditCount() != creditCount {
		t.Fatalf("welcome %v", d.welcome)
	}
	sent := 0
	for range 45 { // more than half of the window
		o := d.task().Object(0)
		m := &mobulav1.Put{ObjectId: o[:], Value: value(large)}
		sent += m.SizeVT()
		d.send(m)
	}
	d.silence()
	if d.credit == nil || d.credit.GetBytes() <= creditWindow || d.credit.GetBytes() > uint64(sent)+creditWindow || d.credit.GetCount() > 45+creditCount {
		t.Errorf("sent %d bytes, credit %v", sent, d.credit)
	}
}

func TestSubmissionsAreAcknowledged(t *testing.T) {
	t.Parallel()
	w := open(t)
	d := w.driver()
	f := d.template(aFunction)
	for range 45 {
		d.submit(f, func(m *mobulav1.Submit) { m.Args = value(large) })
	}
	d.silence()
	if got := d.credit.GetAcked(); got < 40 || got > 45 {
		t.Errorf("acknowledged up to %d", got)
	}
}

func TestAFullJobGetsNoCreditUntilItHasRoom(t *testing.T) {
	t.Parallel()
	w := open(t, func(c *Config) { c.JobBytes = 1 << 20 })
	d, other := w.driver(), w.driver()
	o := d.put(value(large))
	sent := len(value(large)) + 30
	for sent < creditWindow-2*len(large) {
		d.hold(d.put(value(large)))
		sent += len(value(large)) + 30
	}
	d.silence()
	if d.credit != nil {
		t.Fatalf("credit for a full job: %v", d.credit)
	}
	other.put(value(large)) // others have their own budget
	other.silence()
	d.release(o)
	d.silence()
	if d.credit != nil {
		t.Fatalf("credit for a job that is still full: %v", d.credit)
	}
	w.locked(func(n *Node) {
		for _, s := range n.sessions {
			for x := range n.dir.All() {
				for x.HeldBy(s.id) > 0 && s.job == n.jobOf(x) && x.Live() {
					if err := n.dir.Release(x, s.id); err != nil {
						t.Error(err)
					}
				}
			}
		}
	})
	d.silence()
	if d.credit.GetBytes() <= creditWindow {
		t.Errorf("no credit for a job that has room: %v", d.credit)
	}
}

func TestFinishedTasksMakeRoomInTheJob(t *testing.T) {
	t.Parallel()
	w := open(t, func(c *Config) { c.JobTasks = 1 })
	d := w.driver()
	f := d.template(aFunction)
	c := d.submit(f)
	for range 45 {
		d.release(d.put(value(large)))
	}
	d.silence()
	if d.credit != nil {
		t.Fatalf("credit beyond the job's number of tasks: %v", d.credit)
	}
	wk := w.worker()
	wk.done(wk.executes(c), "done")
	d.result(c, 0)
	d.silence()
	if d.credit == nil {
		t.Error("no credit although the task is done")
	}
}

func TestASubmissionBeyondTheCreditEndsTheSession(t *testing.T) {
	t.Parallel()
	for name, overdraw := range map[string]func(*session){
		"bytes":  func(s *session) { s.flow.grantedBytes = s.flow.receivedBytes + 10 },
		"frames": func(s *session) { s.flow.grantedCount = s.flow.receivedCount },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := open(t, func(c *Config) { c.JobBytes = 1 })
			d := w.driver()
			d.put(value("fills the budget"))
			d.silence()
			w.locked(func(n *Node) { overdraw(n.sessions[1]) })
			d.put(value("too much"))
			d.cutOff()
			w.quiescent()
		})
	}
}

func TestResultsBeyondTheClientsCreditAreToldAsReady(t *testing.T) {
	t.Parallel()
	w := open(t)
	size := uint64(len(value("0123456789")))
	d := w.driver(func(h *mobulav1.Hello) { h.ResultCreditBytes = size + 5 })
	f := d.template(aFunction)
	a, b, c := d.submit(f), d.submit(f), d.submit(f)
	wk := w.worker()
	for _, x := range []call{a, b} {
		wk.done(wk.executes(x), "0123456789")
	}
	if got := d.result(a, 0); got != "0123456789" {
		t.Errorf("first result: %q", got)
	}
	if got := d.result(b, 0); got != "ready" {
		t.Errorf("result beyond the credit: %q", got)
	}
	d.get(b.object(0)) // what was asked for never waits for credit
	if got := d.answer(b.object(0)); got != "0123456789" {
		t.Errorf("got %q", got)
	}
	d.send(&mobulav1.Credit{Bytes: 3*size + 5})
	d.silence()
	wk.done(wk.executes(c), "0123456789")
	if got := d.result(c, 0); got != "0123456789" {
		t.Errorf("result within new credit: %q", got)
	}
}
