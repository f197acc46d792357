package ownership

import (
	"testing"

	"pgregory.net/rapid"
)

func TestIndexIsAMap(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		x, oracle := index{}, map[int]*Object{}
		number := rapid.IntRange(0, 1000)
		add := func(n int) {
			o := &Object{ID: oid(n)}
			if x.add(o, o.ID) != (oracle[n] == nil) {
				t.Fatalf("object %d was added a second time, or could not be added", n)
			}
			if oracle[n] == nil {
				oracle[n] = o
			}
		}
		remove := func(n int) {
			x.remove(&Object{ID: oid(n)}) // another one of that id
			if o := oracle[n]; o != nil {
				x.remove(o)
				delete(oracle, n)
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				first := number.Draw(t, "first")
				for n := range rapid.IntRange(0, 1000).Draw(t, "objects") {
					add(first + n)
				}
			},
			"remove": func(t *rapid.T) {
				first, step := number.Draw(t, "first"), rapid.IntRange(1, 5).Draw(t, "step")
				for n := range rapid.IntRange(0, 1000).Draw(t, "objects") {
					remove(first + step*n)
				}
			},
			"change while all are visited": func(t *rapid.T) {
				first, seen := number.Draw(t, "first"), map[*Object]bool{}
				must := len(oracle)
				for o := range x.all() {
					if seen[o] || x.get(o.ID) != o {
						t.Fatalf("%v is visited twice, or is gone", o.ID)
					}
					seen[o] = true
					remove(first + len(seen)%50)
					add(2900 + first + len(seen)%50)
				}
				if len(seen) < must-50 {
					t.Fatalf("%d of %d objects were visited", len(seen), must)
				}
			},
			"": func(t *rapid.T) {
				for n := len(oracle) % 7; n < 3000; n += 7 {
					if o := x.get(oid(n)); o != oracle[n] {
						t.Fatalf("object %d is %v, want %v", n, o, oracle[n])
					}
				}
				if x.n != len(oracle) {
					t.Fatalf("the index counts %d objects, has %d", x.n, len(oracle))
				}
			},
		})
	})
}
