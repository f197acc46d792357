package state

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// TestTreeBehavesLikeASortedMap drives a tree and a Go map with the same writes, and holds clones of both that must not change.
func TestTreeBehavesLikeASortedMap(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		type frozen struct {
			tree  tree[int]
			model map[string]int
		}
		var (
			tr     tree[int]
			model  = map[string]int{}
			clones []frozen
		)
		// Runs of writes in one direction make the tree grow and shrink through several levels.
		for range rapid.IntRange(1, 12).Draw(t, "runs") {
			start := rapid.IntRange(0, 4000).Draw(t, "start")
			step := rapid.SampledFrom([]int{1, 7, 4001 - 13}).Draw(t, "step")
			count := rapid.IntRange(0, 1500).Draw(t, "count")
			deletes := rapid.Bool().Draw(t, "deletes")
			for i := range count {
				key := treeKey((start + i*step) % 4001)
				if !deletes {
					tr.set(key, i)
					model[key] = i
					continue
				}
				if _, want := model[key]; tr.delete(key) != want {
					t.Fatalf("delete %q reports %t", key, !want)
				}
				delete(model, key)
			}
			if rapid.Bool().Draw(t, "clone") {
				clones = append(clones, frozen{tr.clone(), maps.Clone(model)})
			}
		}
		checkTree(t, &tr, model)
		for _, c := range clones {
			checkTree(t, &c.tree, c.model)
		}
		from := treeKey(rapid.IntRange(0, 4001).Draw(t, "from"))
		var want []string
		for _, k := range slices.Sorted(maps.Keys(model)) {
			if k >= from {
				want = append(want, k)
			}
		}
		var got []string
		for k := range tr.from(from) {
			got = append(got, k)
		}
		if !slices.Equal(got, want) {
			t.Fatalf("from %q: %d keys, want %d", from, len(got), len(want))
		}
		prefix := from[:3]
		want = slices.DeleteFunc(slices.Sorted(maps.Keys(model)), func(k string) bool { return !strings.HasPrefix(k, prefix) })
		if got := tr.keys(prefix, 1<<30); !slices.Equal(got, want) {
			t.Fatalf("prefix %q: %v, want %v", prefix, got, want)
		}
	})
}

func treeKey(i int) string {
	return string([]byte{'k', byte('a' + i%7), byte('a' + i/7%26), byte('a' + i/182)})
}

// checkTree compares all items and checks the shape: sorted, balanced, no node too small or too large.
func checkTree(t *rapid.T, tr *tree[int], model map[string]int) {
	t.Helper()
	if tr.len() != len(model) {
		t.Fatalf("len %d, want %d", tr.len(), len(model))
	}
	previous, n := "", 0
	for k, v := range tr.from("") {
		if k <= previous {
			t.Fatalf("key %q after %q", k, previous)
		}
		if want, ok := model[k]; !ok || v != want {
			t.Fatalf("%q = %d, want %d, %t", k, v, want, ok)
		}
		previous, n = k, n+1
	}
	if n != len(model) {
		t.Fatalf("%d items, want %d", n, len(model))
	}
	if tr.root != nil {
		checkShape(t, tr.root, true)
	}
}

func checkShape(t *rapid.T, n *treeNode[int], root bool) int {
	t.Helper()
	if len(n.items) > maxItems || (!root && len(n.items) < minItems) || len(n.items) == 0 {
		t.Fatalf("node with %d items", len(n.items))
	}
	if n.leaf() {
		return 1
	}
	if len(n.children) != len(n.items)+1 {
		t.Fatalf("node with %d items and %d children", len(n.items), len(n.children))
	}
	depth := checkShape(t, n.children[0], false)
	for _, c := range n.children[1:] {
		if checkShape(t, c, false) != depth {
			t.Fatalf("children of different depth")
		}
	}
	return depth + 1
}

func BenchmarkTreeSet(b *testing.B) {
	var tr tree[int]
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		var key [16]byte
		for j := range 8 {
			key[j] = byte(uint64(i) * 0x9e3779b97f4a7c15 >> (8 * j))
		}
		tr.set(string(key[:]), i)
	}
}
