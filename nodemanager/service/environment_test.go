package service

import (
	"fmt"
	"strings"
	"testing"
	"time"

	mobulav1 "github.com/mobula-dev/mobula/gen/mobula/v1"
	"github.com/mobula-dev/mobula/internal/takeover"
	"github.com/mobula-dev/mobula/nodemanager/workerpool"
)

func clean() workerpool.ExitReason { return workerpool.ExitReason{Kind: workerpool.Clean} }

func refused(why string) workerpool.ExitReason {
	return workerpool.ExitReason{Kind: workerpool.TakeoverFailed, Code: 3, Err: &takeover.RefusedError{Reason: why}}
}

func TestAnEnvironmentIsSetUpOnceAndBeforeItsWorkers(t *testing.T) {
	t.Parallel()
	w := open(t)
	d, _ := w.pythonDriver()
	f := d.template(aFunction, inPython, inEnvironment)
	first, second := d.submit(f), d.submit(f)
	d.submit(d.template(anActor, inPython, inEnvironment))
	b := w.builder()
	if !isBuilder(b) || b.spec.TakeoverTimeout != setupTimeout {
		t.Errorf("it is set up by %+v", b.spec)
	}
	d.silenceOrResult()
	select {
	case p := <-w.procs.started:
		t.Fatalf("%+v is started while the environment is not there", p.spec)
	default:
	}
	b.takeOver()
	b.exit(clean())
	worker := w.pythonWorker()
	if s := worker.process.spec; !s.Fork || s.Args[len(s.Args)-1] != "mobula._runtime_env" || s.Env[envRuntimeOnly] != "" {
		t.Errorf("its worker is started as %+v", s)
	}
	for range 2 {
		worker.done(worker.execute(), "done")
	}
	d.results(first, second)
}

func TestTasksFailWithWhatTheirEnvironmentFailedWith(t *testing.T) {
	t.Parallel()
	w := open(t)
	d, _ := w.pythonDriver()
	c := d.submit(d.template(aFunction, inPython, inEnvironment))
	w.builder().exit(refused("there is no x"))
	if e := d.failure(c, mobulav1.ErrorKind_ERROR_KIND_RUNTIME_ENV); !strings.Contains(e.GetMessage(), "there is no x") {
		t.Errorf("it failed with %q", e.GetMessage())
	}
	again := d.submit(d.template(aFunction, inPython, inEnvironment))
	d.failure(again, mobulav1.ErrorKind_ERROR_KIND_RUNTIME_ENV)

	a := d.submit(d.template(anActor, inPython, inEnvironment)) // at once, without another try
	d.failure(a, mobulav1.ErrorKind_ERROR_KIND_RUNTIME_ENV)
	call := d.submit(d.template(aMethod, inPython), on(a))
	if e := d.failure(call, mobulav1.ErrorKind_ERROR_KIND_ACTOR_DIED); e.GetCause().GetKind() != mobulav1.ErrorKind_ERROR_KIND_RUNTIME_ENV {
		t.Errorf("the actor's death has the cause %v", e.GetCause())
	}
}

func TestAnActorDiesWithItsEnvironment(t *testing.T) {
	t.Parallel()
	w := open(t)
	d, _ := w.pythonDriver()
	a := d.submit(d.template(anActor, inPython, inEnvironment))
	call := d.submit(d.template(aMethod, inPython), on(a))
	w.builder().exit(workerpool.ExitReason{Kind: workerpool.TakeoverFailed, Err: &takeover.TimeoutError{After: time.Minute}})
	d.failure(a, mobulav1.ErrorKind_ERROR_KIND_RUNTIME_ENV)
	if e := d.failure(call, mobulav1.ErrorKind_ERROR_KIND_ACTOR_DIED); e.GetCause().GetKind() != mobulav1.ErrorKind_ERROR_KIND_RUNTIME_ENV || !strings.Contains(e.GetMessage(), "setup_timeout_seconds") {
		t.Errorf("the call failed with %v", e)
	}
}

func TestAFailedEnvironmentIsTriedAgainLater(t *testing.T) {
	t.Parallel()
	w := open(t)
	d, _ := w.pythonDriver()
	f := d.template(aFunction, inPython, inEnvironment)
	c := d.submit(f)
	w.builder().exit(refused("no network"))
	d.failure(c, mobulav1.ErrorKind_ERROR_KIND_RUNTIME_ENV)
	w.locked(func(n *Node) {
		for _, j := range n.jobs {
			for _, e := range j.environments {
				e.since -= int64(environmentRetry)
			}
		}
	})
	d.submit(f)
	w.builder()
}

func TestACancelledTaskDoesNotWaitForItsEnvironment(t *testing.T) {
	t.Parallel()
	w := open(t)
	d, _ := w.pythonDriver()
	c := d.submit(d.template(aFunction, inPython, inEnvironment))
	b := w.builder()
	d.cancel(c, false)
	d.failure(c, mobulav1.ErrorKind_ERROR_KIND_CANCELLED)
	b.exit(clean())
	d.goodbye()
	w.quiescent()
}

func TestAJobThatEndsEndsWhatIsSetUpForIt(t *testing.T) {
	t.Parallel()
	w := open(t)
	d, _ := w.pythonDriver()
	d.submit(d.template(aFunction, inPython, inEnvironment))
	b := w.builder()
	d.goodbye()
	select {
	case <-b.orders:
	case <-time.After(patience):
		t.Error("nobody ends it")
	}
	w.quiescent()
}

func TestFewEnvironmentsAreSetUpAtATime(t *testing.T) {
	t.Parallel()
	w := open(t)
	d, _ := w.pythonDriver()
	var calls []call
	for i := range buildersMax + 2 {
		calls = append(calls, d.submit(d.template(aFunction, inPython, inNewEnvironment(fmt.Sprint(i)))))
	}
	for range calls {
		w.builder().exit(refused("no"))
	}
	for range calls {
		expect[*mobulav1.Result](d)
	}
	w.locked(func(n *Node) {
		if len(n.builders.running)+len(n.builders.queue) > 0 {
			t.Error("some are set up still")
		}
	})
}

func TestTheJobsEnvironmentIsSetUpAheadOfNeed(t *testing.T) {
	t.Parallel()
	w := open(t)
	w.driver(inPythonHello, func(h *mobulav1.Hello) { h.WorkerEnv = map[string]string{envRuntime: `{"uv":{"packages":["x"]}}`} })
	b := w.process()
	if !isBuilder(b) {
		t.Fatalf("%+v is started", b.spec)
	}
	b.exit(clean())
	if p := w.process(); p.spec.Env[envRuntimeOnly] != "" {
		t.Errorf("%+v is started", p.spec)
	}
}
