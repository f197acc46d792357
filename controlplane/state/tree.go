package state

import (
	"iter"
	"slices"
	"strings"
)

const (
	// maxItems is how many items a node of a tree holds: a node is then copied in about 1 KiB, and a million items are 4 levels.
	maxItems = 31
	// minItems is how many a node other than the root holds at least.
	minItems = maxItems / 2
)

// tree is an ordered map from string keys to values: a B-tree whose nodes are copied on the first write after a clone. The zero
// tree is empty. A tree and its clones may be read at the same time as the tree is written; clones are never written.
type tree[V any] struct {
	root *treeNode[V]
	size int
	// owner marks the nodes that no clone shares; nil until the first write after a clone.
	owner *treeOwner
}

// treeOwner is told apart by its address, so it must not be of size zero.
type treeOwner struct{ _ byte }

type treeItem[V any] struct {
	key   string
	value V
}

// treeNode is a node. Its items are sorted; an inner node has one child more than it has items.
type treeNode[V any] struct {
	owner    *treeOwner
	items    []treeItem[V]
	children []*treeNode[V]
}

// clone returns a tree of the same items that later writes to t do not change. It costs nothing now and one copy of each node
// that is written later.
func (t *tree[V]) clone() tree[V] {
	t.owner = nil
	return tree[V]{root: t.root, size: t.size}
}

// len returns the number of items.
func (t *tree[V]) len() int { return t.size }

// get returns the value of key.
func (t *tree[V]) get(key string) (V, bool) {
	for n := t.root; n != nil; {
		i, found := n.find(key)
		if found {
			return n.items[i].value, true
		}
		if n.leaf() {
			break
		}
		n = n.children[i]
	}
	var zero V
	return zero, false
}

// has reports whether there is such a key.
func (t *tree[V]) has(key string) bool {
	_, ok := t.get(key)
	return ok
}

// set gives key a value.
func (t *tree[V]) set(key string, value V) {
	t.own()
	if t.root == nil {
		t.root = &treeNode[V]{owner: t.owner}
	}
	t.root = t.writable(t.root)
	if len(t.root.items) == maxItems {
		old := t.root
		t.root = &treeNode[V]{owner: t.owner, children: []*treeNode[V]{old}}
		t.split(t.root, 0)
	}
	for n := t.root; ; {
		i, found := n.find(key)
		if !found && !n.leaf() && len(n.children[i].items) == maxItems {
			t.split(n, i)
			i, found = n.find(key)
		}
		switch {
		case found:
			n.items[i].value = value
			return
		case n.leaf():
			n.items = slices.Insert(n.items, i, treeItem[V]{key, value})
			t.size++
			return
		}
		n = t.writableChild(n, i)
	}
}

// delete removes key and reports whether it was there.
func (t *tree[V]) delete(key string) bool {
	if !t.has(key) {
		return false // Nothing is copied for a miss.
	}
	t.own()
	t.root = t.writable(t.root)
	t.remove(t.root, key)
	t.size--
	if len(t.root.items) == 0 {
		if t.root.leaf() {
			t.root = nil
		} else {
			t.root = t.root.children[0]
		}
	}
	return true
}

// from yields the items from key on, in order. The tree must not be written meanwhile.
func (t *tree[V]) from(key string) iter.Seq2[string, V] {
	return func(yield func(string, V) bool) {
		if t.root != nil {
			t.root.ascend(key, yield)
		}
	}
}

// prefix yields the items whose keys begin with prefix, in order. The tree must not be written meanwhile.
func (t *tree[V]) prefix(prefix string) iter.Seq2[string, V] {
	return func(yield func(string, V) bool) {
		for k, v := range t.from(prefix) {
			if !strings.HasPrefix(k, prefix) || !yield(k, v) {
				return
			}
		}
	}
}

// keys returns the keys that begin with prefix, at most limit of them, so that the tree may be written while they are gone
// through.
func (t *tree[V]) keys(prefix string, limit int) []string {
	var keys []string
	for k := range t.prefix(prefix) {
		if len(keys) == limit {
			break
		}
		keys = append(keys, k)
	}
	return keys
}

// first returns the lowest key, or "" if the tree is empty.
func (t *tree[V]) first() string {
	for k := range t.from("") {
		return k
	}
	return ""
}

func (n *treeNode[V]) leaf() bool { return len(n.children) == 0 }

// find returns the position of key among the items, or the one where it would be.
func (n *treeNode[V]) find(key string) (int, bool) {
	return slices.BinarySearchFunc(n.items, key, func(it treeItem[V], key string) int { return strings.Compare(it.key, key) })
}

func (n *treeNode[V]) ascend(from string, yield func(string, V) bool) bool {
	i, found := n.find(from)
	for ; i < len(n.items); i++ {
		if !found && !n.leaf() && !n.children[i].ascend(from, yield) {
			return false
		}
		found = false
		if !yield(n.items[i].key, n.items[i].value) {
			return false
		}
	}
	return n.leaf() || n.children[i].ascend(from, yield)
}

// own gives the tree an owner, so that what it writes from now on is its own.
func (t *tree[V]) own() {
	if t.owner == nil {
		t.owner = new(treeOwner)
	}
}

// writable returns n if no clone shares it, else a copy.
func (t *tree[V]) writable(n *treeNode[V]) *treeNode[V] {
	if n.owner == t.owner {
		return n
	}
	c := &treeNode[V]{owner: t.owner, items: append(make([]treeItem[V], 0, maxItems), n.items...)}
	if !n.leaf() {
		c.children = append(make([]*treeNode[V], 0, maxItems+1), n.children...)
	}
	return c
}

// writableChild makes child i of the writable node n writable.
func (t *tree[V]) writableChild(n *treeNode[V], i int) *treeNode[V] {
	n.children[i] = t.writable(n.children[i])
	return n.children[i]
}

// split divides the full child i of the writable node n in two; its middle item goes up to n.
func (t *tree[V]) split(n *treeNode[V], i int) {
	left := t.writableChild(n, i)
	middle := left.items[minItems]
	right := &treeNode[V]{owner: t.owner, items: append(make([]treeItem[V], 0, maxItems), left.items[minItems+1:]...)}
	clear(left.items[minItems:])
	left.items = left.items[:minItems]
	if !left.leaf() {
		right.children = append(make([]*treeNode[V], 0, maxItems+1), left.children[minItems+1:]...)
		clear(left.children[minItems+1:])
		left.children = left.children[:minItems+1]
	}
	n.items = slices.Insert(n.items, i, middle)
	n.children = slices.Insert(n.children, i+1, right)
}

// remove deletes key, which is there, below the writable node n. Every node on the way down has an item to spare before it is
// entered, so that nothing has to be repaired on the way up.
func (t *tree[V]) remove(n *treeNode[V], key string) {
	for {
		i, found := n.find(key)
		switch {
		case n.leaf():
			n.items = slices.Delete(n.items, i, i+1)
			return
		case len(n.children[i].items) <= minItems:
			t.grow(n, i)
		case found:
			n.items[i] = t.removeLast(t.writableChild(n, i))
			return
		default:
			n = t.writableChild(n, i)
		}
	}
}

// removeLast deletes and returns the highest item below the writable node n.
func (t *tree[V]) removeLast(n *treeNode[V]) treeItem[V] {
	for {
		i := len(n.items)
		switch {
		case n.leaf():
			last := n.items[i-1]
			n.items = slices.Delete(n.items, i-1, i)
			return last
		case len(n.children[i].items) <= minItems:
			t.grow(n, i)
		default:
			n = t.writableChild(n, i)
		}
	}
}

// grow gives child i of the writable node n one more item, from a sibling that can spare one or by merging with a sibling.
func (t *tree[V]) grow(n *treeNode[V], i int) {
	switch {
	case i > 0 && len(n.children[i-1].items) > minItems:
		child, left := t.writableChild(n, i), t.writableChild(n, i-1)
		last := len(left.items) - 1
		child.items = slices.Insert(child.items, 0, n.items[i-1])
		n.items[i-1] = left.items[last]
		left.items = slices.Delete(left.items, last, last+1)
		if !left.leaf() {
			child.children = slices.Insert(child.children, 0, left.children[last+1])
			left.children = slices.Delete(left.children, last+1, last+2)
		}
	case i < len(n.items) && len(n.children[i+1].items) > minItems:
		child, right := t.writableChild(n, i), t.writableChild(n, i+1)
		child.items = append(child.items, n.items[i])
		n.items[i] = right.items[0]
		right.items = slices.Delete(right.items, 0, 1)
		if !right.leaf() {
			child.children = append(child.children, right.children[0])
			right.children = slices.Delete(right.children, 0, 1)
		}
	default:
		if i == len(n.items) {
			i--
		}
		child, right := t.writableChild(n, i), n.children[i+1]
		child.items = append(append(child.items, n.items[i]), right.items...)
		child.children = append(child.children, right.children...)
		n.items = slices.Delete(n.items, i, i+1)
		n.children = slices.Delete(n.children, i+1, i+2)
	}
}
