package integration

import (
	"context"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mobula-dev/mobula/clients/go/mobula"
	"github.com/mobula-dev/mobula/tests/harness"
	"github.com/mobula-dev/mobula/tests/harness/gate"
	"github.com/mobula-dev/mobula/tests/integration/work"
)

const (
	mib      = 1 << 20
	capacity = 192 * mib
)

func TestWhatCanNeverFitTheStoreIsRefused(t *testing.T) {
	t.Parallel()
	harness.Alone(t, func() {
		ctx := harness.Open(t, mobula.WithStoreBytes(capacity))
		_, err := mobula.Put(ctx, make([]byte, capacity+1))
		if e := harness.Kind(t, err, mobula.StoreFull); !strings.Contains(e.Error(), "store") {
			t.Errorf("the error does not speak of the store: %v", e)
		}
		harness.Fails(t, work.MakeRemote(ctx, capacity+1), mobula.StoreFull)
		harness.Fails(t, work.EchoRemote(ctx, make([]byte, capacity+1)), mobula.StoreFull)
		log := work.NewLogRemote(ctx, "first")
		if got := harness.Get(t, log.AppendRemote(ctx, "still here")); got != 2 {
			t.Errorf("the worker's actor has %d lines, want 2", got)
		}
	})
}

func TestFullStoreMakesPutsWait(t *testing.T) {
	t.Parallel()
	harness.Alone(t, func() {
		ctx := harness.Open(t, mobula.WithStoreBytes(capacity))
		var held []mobula.Ref[[]byte]
		for range 2 {
			ref, err := mobula.Put(ctx, make([]byte, 80*mib))
			if err != nil {
				t.Fatal(err)
			}
			held = append(held, ref)
		}
		t.Run("until their context ends, and says who holds what", func(t *testing.T) {
			short, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
			defer cancel()
			_, err := mobula.Put(short, make([]byte, 80*mib))
			if err == nil {
				t.Fatal("the store takes more than it holds")
			}
			t.Logf("%+v", err)
		})
		t.Run("until there is room", func(t *testing.T) {
			waiting := make(chan error, 1)
			go func() {
				ref, err := mobula.Put(ctx, make([]byte, 80*mib))
				held = append(held, ref)
				waiting <- err
			}()
			harness.Eventually(t, harness.Patience, "the put waits", func() bool {
				return harness.Status(t, harness.Embedded(t)).GetNode().GetStore().GetWaiting() == 1
			})
			held[0].Release()
			select {
			case err := <-waiting:
				if err != nil {
					t.Errorf("the put that waited: %v", err)
				}
			case <-time.After(harness.Patience):
				t.Fatal("the put still waits although there is room")
			}
		})
		for _, ref := range held[1:] {
			if got := len(harness.Get(t, ref)); got != 80*mib {
				t.Errorf("an object has %d bytes", got)
			}
		}
	})
}

func TestDeadReadersPinsAreDropped(t *testing.T) {
	t.Parallel()
	harness.Alone(t, func() {
		ctx := harness.Open(t, mobula.WithStoreBytes(capacity))
		g := gate.New(t)
		ref, err := mobula.Put(ctx, make([]byte, 8*mib))
		if err != nil {
			t.Fatal(err)
		}
		reader := work.MeasureRefs(ctx, mobula.Val(g.Address()), mobula.Val("reader"), ref, mobula.MaxRetries(0))
		v := g.Await(t, "reader")
		if pinned := harness.Status(t, harness.Embedded(t)).GetNode().GetStore().GetPinnedBytes(); pinned == 0 {
			t.Error("a task's argument is not pinned while it runs")
		}
		kill(t, v.PID, syscall.SIGKILL)
		harness.Fails(t, reader, mobula.WorkerCrashed)
		ref.Release()
		reader.Release()
		harness.CheckEmpty(t, harness.Embedded(t), gc)
	})
}

func TestObjectsOutliveTheProcessThatMadeThem(t *testing.T) {
	t.Parallel()
	harness.Alone(t, func() {
		ctx := harness.Open(t, mobula.WithStoreBytes(capacity))
		where := harness.Get(t, work.HereRemote(ctx))
		small, large := work.MakeRemote(ctx, 10), work.MakeRemote(ctx, 8*mib)
		box := work.PackRemote(ctx, 10)
		inner := harness.Get(t, box)
		if _, _, err := mobula.Wait(ctx, []mobula.Ref[[]byte]{small, large}, 2, harness.Patience); err != nil {
			t.Fatal(err)
		}
		kill(t, where.PID, syscall.SIGKILL)
		if a, b := len(harness.Get(t, small)), len(harness.Get(t, large)); a != 10 || b != 8*mib {
			t.Errorf("the results have %d and %d bytes", a, b)
		}
		if got := harness.Get(t, work.UnpackRemote(ctx, inner)); got != 60 {
			t.Errorf("the refs that the dead process made sum up to %d, want 60", got)
		}
		if got := len(harness.Get(t, work.EchoRefs(ctx, large))); got != 8*mib {
			t.Errorf("the result as an argument has %d bytes", got)
		}
	})
}
