package integration

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"syscall"
	"testing"

	"github.com/mobula-dev/mobula/clients/go/mobula"
	"github.com/mobula-dev/mobula/tests/harness"
	"github.com/mobula-dev/mobula/tests/integration/work"
)

// tasks is how many tasks the stress test has: a hundred thousand, or fewer where time is short.
func tasks() int {
	if testing.Short() {
		return 20_000
	}
	return 100_000
}

func TestEveryRefResolvesWhileWorkersAreKilled(t *testing.T) {
	t.Parallel()
	harness.Alone(t, func() {
		ctx := harness.Open(t)
		const batch, kills = 1000, 25
		every := max(1, tasks()/batch/kills) // batches between two kills
		values, crashes := 0, 0
		for b := range tasks() / batch {
			refs := make([]mobula.Ref[int], batch)
			for i := range refs {
				refs[i] = work.AddRemote(ctx, b, i)
			}
			if b%every == 0 {
				killAWorker(ctx, t)
			}
			v, c := resolve(ctx, t, refs, b)
			values, crashes = values+v, crashes+c
		}
		t.Logf("%d tasks: %d values, %d crashes", tasks(), values, crashes)
		if values < tasks()/2 {
			t.Errorf("only %d of %d tasks succeeded", values, tasks())
		}
		if !harness.Get(t, work.WholeRemote(ctx)) {
			t.Error("the CPUs are not free")
		}
	})
}

// resolve waits for the refs of a batch, each of which must be its value or a crash, and counts both.
func resolve(ctx context.Context, t *testing.T, refs []mobula.Ref[int], batch int) (values, crashes int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, harness.Patience)
	defer cancel()
	for i, r := range refs {
		v, err := r.Get(ctx)
		switch {
		case ctx.Err() != nil:
			t.Fatalf("ref %d of batch %d does not resolve within %v", i, batch, harness.Patience)
		case err != nil:
			harness.HasKind(t, err, mobula.WorkerCrashed)
			crashes++
		case v != batch+i:
			t.Fatalf("ref %d of batch %d is %d", i, batch, v)
		default:
			values++
		}
	}
	return values, crashes
}

// killAWorker kills the process that runs tasks now.
func killAWorker(ctx context.Context, t *testing.T) {
	t.Helper()
	where, err := work.HereRemote(ctx).Get(ctx)
	if err != nil {
		harness.HasKind(t, err, mobula.WorkerCrashed)
		return
	}
	_ = syscall.Kill(where.PID, syscall.SIGKILL) // it may have been killed before
}

func TestManyGoroutinesUseOneSession(t *testing.T) {
	t.Parallel()
	harness.Alone(t, func() {
		ctx := harness.Open(t)
		ctx, cancel := context.WithTimeout(ctx, 2*harness.Patience)
		defer cancel()
		log := work.NewLogRemote(ctx, "first")
		const goroutines, rounds = 32, 30
		var all sync.WaitGroup
		for g := range goroutines {
			all.Go(func() {
				r := rand.New(rand.NewPCG(uint64(g), 1))
				for i := range rounds {
					if err := step(ctx, r.IntN(7), log, g, i); err != nil {
						t.Errorf("goroutine %d, round %d: %v", g, i, err)
						return
					}
				}
			})
		}
		all.Wait()
	})
}

// step does one of the things that a driver does, and checks it.
func step(ctx context.Context, what int, log work.LogHandle, g, i int) error {
	want := func(r mobula.Ref[int], v int) error {
		got, err := r.Get(ctx)
		if err == nil && got != v {
			err = fmt.Errorf("got %d, want %d", got, v)
		}
		return err
	}
	switch what {
	case 0:
		return want(work.AddRemote(ctx, g, i), g+i)
	case 1:
		put, err := mobula.Put(ctx, g)
		if err != nil {
			return err
		}
		defer put.Release()
		return want(work.AddRefs(ctx, put, mobula.Val(i)), g+i)
	case 2:
		return want(work.FanRemote(ctx, 5), 15)
	case 3:
		_, err := log.AppendRemote(ctx, "x").Get(ctx)
		return err
	case 4:
		box, err := work.PackRemote(ctx, i).Get(ctx)
		if err != nil {
			return err
		}
		return want(work.UnpackRemote(ctx, box), 5*i+10)
	case 5:
		refs := []mobula.Ref[int]{work.AddRemote(ctx, 1, 1), work.AddRemote(ctx, 2, 2), work.DepthRemote(ctx, 3)}
		ready, _, err := mobula.Wait(ctx, refs, 2, 0)
		if err == nil && len(ready) != 2 {
			err = fmt.Errorf("%d are ready, want 2", len(ready))
		}
		return err
	default:
		r := work.AddRemote(ctx, 1, 1)
		if err := mobula.Cancel(r); err != nil {
			return err
		}
		if _, err := r.Get(ctx); err != nil && ctx.Err() != nil {
			return err
		}
		return nil
	}
}
