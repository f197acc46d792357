package integration

import (
	"context"
	"slices"
	"testing"

	"github.com/mobula-dev/mobula/clients/go/mobula"
	"github.com/mobula-dev/mobula/head"
	"github.com/mobula-dev/mobula/tests/harness"
	"github.com/mobula-dev/mobula/tests/integration/work"
)

// shelf opens a session of its own to a node, and finds the detached actor there.
func shelf(t *testing.T, node *harness.Node) (context.Context, work.ShelfHandle, func()) {
	t.Helper()
	ctx, stop := harness.OpenUntil(t, mobula.WithAddress(node.Address), mobula.WithNamespace("shelves"))
	s, err := work.GetShelf(ctx, "shelf")
	if err != nil {
		t.Fatal(err)
	}
	return ctx, s, stop
}

func TestLargeValuesAndRefsCrossBetweenPrograms(t *testing.T) {
	t.Parallel()
	harness.Alone(t, func() {
		node := harness.StartNode(t, head.Config{StoreBytes: capacity})
		first, end := harness.OpenUntil(t, mobula.WithAddress(node.Address), mobula.WithNamespace("shelves"))
		made := work.NewShelfRemote(first, mobula.Name("shelf"), mobula.Detached())
		if err := made.WaitReady(first); err != nil {
			t.Fatal(err)
		}
		end()

		ctx, s, stop := shelf(t, node)
		if got := harness.Get(t, s.SizeRemote(ctx, make([]byte, 8*mib))); got != 8*mib {
			t.Errorf("a large argument has %d bytes", got)
		}
		if got := len(harness.Get(t, s.MakeRemote(ctx, 8*mib))); got != 8*mib {
			t.Errorf("a large result has %d bytes", got)
		}
		put, err := mobula.Put(ctx, make([]byte, 4*mib))
		if err != nil {
			t.Fatal(err)
		}
		if got := harness.Get(t, s.SizeRefs(ctx, put)); got != 4*mib {
			t.Errorf("a large argument that is a ref has %d bytes", got)
		}
		harness.Get(t, s.KeepRemote(ctx, []mobula.Ref[[]byte]{put, work.MakeRemote(ctx, 10), s.MakeRemote(ctx, 2*mib)}))
		want := []int{4 * mib, 10, 2 * mib}
		if got := harness.Get(t, s.SizesRemote(ctx)); !slices.Equal(got, want) {
			t.Errorf("refs inside arguments have %v bytes, want %v", got, want)
		}
		for _, r := range harness.Get(t, s.PutRemote(ctx, 3*mib)) {
			if got := len(harness.Get(t, r)); got != 3*mib {
				t.Errorf("a ref inside a result has %d bytes", got)
			}
		}
		stop() // what it has given away stays

		for range 2 {
			ctx, s, stop := shelf(t, node)
			kept := harness.Get(t, s.KeptRemote(ctx))
			for i, r := range kept {
				if got := len(harness.Get(t, r)); got != want[i] {
					t.Errorf("what is kept of a program that has ended has %d bytes, want %d", got, want[i])
				}
			}
			stop()
		}
		ctx, s, stop = shelf(t, node)
		defer stop()
		harness.Get(t, s.ClearRemote(ctx))
		if err := mobula.Kill(s); err != nil {
			t.Fatal(err)
		}
		harness.CheckEmpty(t, node.Address, gc)
	})
}
