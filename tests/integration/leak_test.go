package integration

import (
	"errors"
	"testing"

	"github.com/mobula-dev/mobula/clients/go/mobula"
	"github.com/mobula-dev/mobula/tests/harness"
	"github.com/mobula-dev/mobula/tests/harness/gate"
	"github.com/mobula-dev/mobula/tests/integration/work"
)

func TestNothingIsLeftWhenNobodyHoldsIt(t *testing.T) {
	t.Parallel()
	harness.Alone(t, func() {
		ctx := harness.Open(t)
		g := gate.New(t)
		g.Open("crash", "")
		for name, use := range map[string]func(){
			"of results and puts, small and large": func() {
				for _, n := range []int{10, 1 << 20} {
					put, err := mobula.Put(ctx, make([]byte, n))
					if err != nil {
						t.Fatal(err)
					}
					harness.Get(t, work.EchoRefs(ctx, work.EchoRefs(ctx, put)))
				}
			},
			"of refs that nobody asked for": func() {
				for i := range 1000 {
					work.AddRemote(ctx, i, i)
				}
			},
			"of values released by hand": func() {
				for range 20 {
					r := work.EchoRemote(ctx, make([]byte, 1<<20))
					if err := r.View(ctx, func(b []byte) error { return nil }); err != nil {
						t.Fatal(err)
					}
					r.Release()
				}
			},
			"of refs inside values": func() {
				box := harness.Get(t, work.PackRemote(ctx, 1))
				harness.Get(t, work.UnpackRemote(ctx, box))
				harness.Get(t, harness.Get(t, harness.Get(t, work.NestRemote(ctx, 1))))
			},
			"of failures and cancellations": func() {
				failed := work.FailRemote(ctx, work.FailTyped)
				harness.Fails(t, failed, mobula.TaskFailed)
				harness.Fails(t, work.CrashRemote(ctx, g.Address(), "crash", work.CrashKill, mobula.MaxRetries(1)), mobula.WorkerCrashed)
				stopped := work.StopRemote(ctx, g.Address(), "stop")
				g.Await(t, "stop")
				if err := mobula.Cancel(stopped); err != nil {
					t.Fatal(err)
				}
				harness.Fails(t, work.TextOfRefs(ctx, stopped), mobula.Cancelled)
			},
			"of actors": func() {
				log, peer := work.NewLogRemote(ctx, "first", mobula.MaxRestarts(2)), work.NewLogRemote(ctx, "peer", mobula.Name("leaks"))
				harness.Get(t, log.KeepRemote(ctx, peer))
				harness.Get(t, log.TellRemote(ctx, "x"))
				harness.Get(t, log.ForgetRemote(ctx))
				if err := errors.Join(mobula.KillRestart(log), mobula.Kill(work.NewLogRemote(ctx, "killed"))); err != nil {
					t.Fatal(err)
				}
				harness.Get(t, log.LinesRemote(ctx))
				if ready(t, work.NewLogFailingRemote(ctx, "no luck").Handle) == nil {
					t.Error("the actor is ready")
				}
			},
		} {
			t.Run(name, func(t *testing.T) {
				use()
				harness.CheckEmpty(t, harness.Embedded(t), func() {
					gc()
					collected := work.CollectRemote(ctx)
					harness.Get(t, collected)
					collected.Release()
				})
			})
		}
	})
}
