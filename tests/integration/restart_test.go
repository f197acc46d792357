package integration

import (
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/mobula-dev/mobula/clients/go/mobula"
	"github.com/mobula-dev/mobula/tests/harness"
	"github.com/mobula-dev/mobula/tests/harness/gate"
	"github.com/mobula-dev/mobula/tests/integration/work"
)

func TestKilledActorFailsQueuedRunningAndLaterCalls(t *testing.T) {
	t.Parallel()
	for name, options := range map[string][]mobula.Option{"in a shared process": nil, "in its own process": {mobula.IsolateProcess()}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			harness.Alone(t, func() {
				ctx := harness.Open(t)
				g := gate.New(t)
				log := work.NewLogRemote(ctx, "first", options...)
				running := log.StopRemote(ctx, g.Address(), "running")
				v := g.Await(t, "running")
				var queued []mobula.Ref[int]
				for range 10 {
					queued = append(queued, log.AppendRemote(ctx, "queued"))
				}
				if err := mobula.Kill(log); err != nil {
					t.Fatal(err)
				}
				if e := harness.Failure(t, running, mobula.ActorDied); e.Execution != mobula.MayHaveExecuted {
					t.Errorf("the running call says %v, want %v", e.Execution, mobula.MayHaveExecuted)
				}
				for _, r := range append(queued, log.AppendRemote(ctx, "late")) {
					harness.Fails(t, r, mobula.ActorDied)
				}
				late := harness.Failure(t, log.AppendRemote(ctx, "late"), mobula.ActorDied)
				if late.Execution != mobula.NotExecuted || !strings.Contains(late.Message, "killed") {
					t.Errorf("the late call's error lacks why, or that it did not run: %+v", late)
				}
				v.AwaitGone(t) // the method's context has ended, or its process
				if !harness.Get(t, work.WholeRemote(ctx)) {
					t.Error("the actor's resources are not free")
				}
			})
		})
	}
}

func TestActorsProcessDies(t *testing.T) {
	t.Parallel()
	harness.Alone(t, func() {
		ctx := harness.Open(t)
		g := gate.New(t)
		log := work.NewLogRemote(ctx, "first")
		crash := log.CrashRemote(ctx, g.Address(), "crash", work.CrashKill)
		queued := log.AppendRemote(ctx, "queued")
		g.Await(t, "crash").Release("")
		e := harness.Failure(t, crash, mobula.ActorDied)
		if e.Execution != mobula.MayHaveExecuted || !strings.Contains(e.Error(), "SIGKILL") || e.PID == 0 {
			t.Errorf("the error lacks how the process ended, or that the call may have run: %+v", e)
		}
		harness.Fails(t, queued, mobula.ActorDied)
		if e := harness.Failure(t, log.AppendRemote(ctx, "late"), mobula.ActorDied); e.Execution != mobula.NotExecuted {
			t.Errorf("a call after the death says %v", e.Execution)
		}
		dependent := work.AddRefs(ctx, queued, mobula.Val(1))
		if e := harness.Failure(t, dependent, mobula.ActorDied); e.Execution != mobula.NotExecuted {
			t.Errorf("the task that depends on it says %v", e.Execution)
		}
	})
}

func TestRestartedActorHasFreshState(t *testing.T) {
	t.Parallel()
	harness.Alone(t, func() {
		ctx := harness.Open(t)
		g := gate.New(t)
		log := work.NewLogRemote(ctx, "first", mobula.MaxRestarts(1))
		harness.Get(t, log.AppendRemote(ctx, "second"))
		crash := log.CrashRemote(ctx, g.Address(), "crash", work.CrashFatal)
		g.Await(t, "crash").Release("")
		if e := harness.Failure(t, crash, mobula.ActorUnavailable); e.Execution != mobula.MayHaveExecuted {
			t.Errorf("the interrupted call says %v, want %v", e.Execution, mobula.MayHaveExecuted)
		}
		if got := harness.Get(t, log.LinesRemote(ctx)); !slices.Equal(got, []string{"first"}) {
			t.Errorf("the restarted actor has %q, want what its constructor made", got)
		}
		if got := harness.Get(t, log.IncarnationRemote(ctx)); got != 2 {
			t.Errorf("it is incarnation %d, want 2", got)
		}
		crash = log.CrashRemote(ctx, g.Address(), "crash", work.CrashExit)
		g.Await(t, "crash").Release("")
		harness.Fails(t, crash, mobula.ActorDied)
		harness.Fails(t, log.LinesRemote(ctx), mobula.ActorDied)
		if got := g.Count("crash"); got != 2 {
			t.Errorf("the calls ran %d times, want 2: each at most once", got)
		}
	})
}

func TestCallsWithRetriesSurviveARestartInOrder(t *testing.T) {
	t.Parallel()
	harness.Alone(t, func() {
		ctx := harness.Open(t)
		g := gate.New(t)
		retry := mobula.MaxTaskRetries(-1)
		log := work.NewLogRemote(ctx, "first", mobula.MaxRestarts(-1))
		harness.Get(t, log.AppendRemote(ctx, "before", retry))
		crash := log.CrashRemote(ctx, g.Address(), "crash", work.CrashKill, retry)
		const calls = 50
		refs := make([]mobula.Ref[int], calls)
		for i := range refs {
			refs[i] = log.AppendRemote(ctx, fmt.Sprintf("after %d", i), retry)
		}
		for range 3 {
			g.Await(t, "crash").Release("")
		}
		g.Await(t, "crash").Release("live")
		if got := harness.Get(t, crash); got != 4 {
			t.Errorf("the call succeeded in attempt %d, want 4", got)
		}
		for i, r := range refs {
			if got := harness.Get(t, r); got != i+2 {
				t.Errorf("call %d saw %d lines, want %d", i, got, i+2)
			}
		}
		lines := harness.Get(t, log.LinesRemote(ctx))
		checkOrder(t, lines[1:])
	})
}

func TestKilledForARestartComesBack(t *testing.T) {
	t.Parallel()
	harness.Alone(t, func() {
		ctx := harness.Open(t)
		log := work.NewLogRemote(ctx, "first", mobula.MaxRestarts(1))
		harness.Get(t, log.AppendRemote(ctx, "second"))
		if err := mobula.KillRestart(log); err != nil {
			t.Fatal(err)
		}
		if got := harness.Get(t, log.LinesRemote(ctx)); !slices.Equal(got, []string{"first"}) {
			t.Errorf("it has %q, want fresh state", got)
		}
		if err := mobula.KillRestart(log); err != nil {
			t.Fatal(err)
		}
		harness.Fails(t, log.LinesRemote(ctx), mobula.ActorDied)
	})
}

func TestActorThatLeavesIsNotRestarted(t *testing.T) {
	t.Parallel()
	harness.Alone(t, func() {
		ctx := harness.Open(t)
		log := work.NewLogRemote(ctx, "first", mobula.MaxRestarts(5))
		leave := log.LeaveRemote(ctx)
		after := log.AppendRemote(ctx, "after")
		if got := harness.Get(t, leave); got != "farewell" {
			t.Errorf("the last call returned %q", got)
		}
		harness.Fails(t, after, mobula.ActorDied)
		if e := harness.Failure(t, log.LinesRemote(ctx), mobula.ActorDied); e.Execution != mobula.NotExecuted {
			t.Errorf("a call after it left says %v", e.Execution)
		}
	})
}

func TestActorsShareFateOnlyWithTheirProcess(t *testing.T) {
	t.Parallel()
	harness.Alone(t, func() {
		ctx := harness.Open(t)
		apart := work.NewLogRemote(ctx, "apart", mobula.IsolateProcess())
		shared := work.NewLogRemote(ctx, "shared", mobula.MaxRestarts(1))
		a, s := harness.Get(t, apart.WhereRemote(ctx)).PID, harness.Get(t, shared.WhereRemote(ctx)).PID
		if task := harness.Get(t, work.HereRemote(ctx)).PID; a == s || task != s {
			t.Errorf("processes: isolated actor %d, shared actor %d, task %d", a, s, task)
		}
		kill(t, a, syscall.SIGKILL)
		harness.Fails(t, apart.AppendRemote(ctx, "late"), mobula.ActorDied)
		if got := harness.Get(t, shared.IncarnationRemote(ctx)); got != 1 {
			t.Errorf("the shared actor is in incarnation %d, want 1", got)
		}
	})
}
