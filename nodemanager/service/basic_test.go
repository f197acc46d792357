package service

import "testing"

func TestATaskRunsAndItsResultComesBack(t *testing.T) {
	t.Parallel()
	w := open(t)
	d := w.driver()
	f := d.template(aFunction)
	c := d.submit(f)
	wk := w.worker()
	e := wk.executes(c)
	if string(e.GetArgs()) != string(value("args")) || e.GetAttempt() != 1 || !e.GetMayRunAgain() {
		t.Errorf("executed with %v", e)
	}
	wk.done(e, "hello")
	if got := d.result(c, 0); got != "hello" {
		t.Errorf("result is %q", got)
	}
	if got := w.objects(); got != 1 {
		t.Errorf("%d objects", got)
	}
	d.release(c.object(0))
	d.silence()
	if got := w.objects(); got != 0 {
		t.Errorf("%d objects after release", got)
	}
	d.goodbye()
	w.quiescent()
}
