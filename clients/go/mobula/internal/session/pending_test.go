package session

import (
	"testing"

	"pgregory.net/rapid"
)

// results makes the handles of n results.
func results(n int) []Object {
	objects := make([]Object, n)
	for i := range objects {
		objects[i].shared = n > 1
	}
	return objects
}

func TestPendingHasWhatIsNotReady(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		p, last := newPending(), uint64(0)
		type place struct {
			sequence uint64
			index    uint32
		}
		oracle, several := map[place]*Object{}, map[uint64][]Object{}
		t.Repeat(map[string]func(*rapid.T){
			"submit": func(t *rapid.T) {
				returns := rapid.IntRange(1, 3).Draw(t, "returns")
				for range rapid.IntRange(1, 100).Draw(t, "submissions") {
					last++
					objects := results(returns)
					p.add(last, objects)
					several[last] = objects
					for i := range objects {
						oracle[place{last, uint32(i)}] = &objects[i]
					}
				}
			},
			"resolve": func(t *rapid.T) {
				first := rapid.Uint64Range(1, max(last, 1)).Draw(t, "first")
				index := rapid.Uint32Range(0, 2).Draw(t, "index")
				for sequence := first; sequence < first+100; sequence++ {
					o := p.object(sequence, index)
					if o == nil {
						continue
					}
					if o.state.Store(stateHere); o != &several[sequence][index] {
						t.Fatalf("submission %d has another result %d", sequence, index)
					}
					p.settle(sequence)
				}
			},
			"": func(t *rapid.T) {
				for at, o := range oracle {
					settled := true
					for i := range several[at.sequence] {
						settled = settled && several[at.sequence][i].Ready()
					}
					if got := p.object(at.sequence, at.index); settled && got != nil || !settled && got != o {
						t.Fatalf("result %d of submission %d is %p, want %p, or nothing if it is settled: %v", at.index, at.sequence, got, o, settled)
					}
				}
				if p.object(0, 0) != nil || p.object(last+1, 0) != nil || last > 0 && p.object(last, 3) != nil {
					t.Fatal("it has what was never submitted")
				}
			},
		})
		p.drain(func(o *Object) { o.state.Store(stateHere) })
		for at, o := range oracle {
			if !o.Ready() {
				t.Fatalf("result %d of submission %d was not drained", at.index, at.sequence)
			}
		}
	})
}

func TestPendingKeepsNoFinishedBlock(t *testing.T) {
	t.Parallel()
	p := newPending()
	for sequence := uint64(1); sequence <= 10*pendingBlock; sequence++ { // one at a time
		objects := results(1)
		p.add(sequence, objects)
		objects[0].state.Store(stateHere)
		p.settle(sequence)
	}
	if len(p.blocks) > 0 {
		t.Fatalf("%d blocks are left", len(p.blocks))
	}
}
