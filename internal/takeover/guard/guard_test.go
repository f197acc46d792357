package guard

import (
	"bytes"
	"maps"
	"testing"

	"pgregory.net/rapid"
)

func TestGuardFollowsTheGroupsThatAreLeft(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var stream []byte
		want := map[int]bool{}
		for range rapid.IntRange(0, 50).Draw(t, "records") {
			group := rapid.IntRange(2, 8).Draw(t, "group")
			if rapid.Bool().Draw(t, "add") {
				r := Record(Add, group)
				stream, want[group] = append(stream, r[:]...), true
			} else {
				r := Record(Remove, group)
				stream = append(stream, r[:]...)
				delete(want, group)
			}
		}
		half := Record(Add, 99) // The node died while it wrote.
		stream = append(stream, half[:rapid.IntRange(0, RecordSize-1).Draw(t, "half")]...)
		if got := follow(bytes.NewReader(stream)); !maps.Equal(got, want) {
			t.Errorf("groups = %v, want %v", got, want)
		}
	})
}

func FuzzFollow(f *testing.F) {
	a, r := Record(Add, 300), Record(Remove, 300)
	f.Add(append(a[:], r[:]...))
	f.Add([]byte("+\xff\xff\xff\xff+\x00\x00\x00\x01+\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		for group := range follow(bytes.NewReader(b)) {
			if group <= 1 {
				t.Errorf("group %d would be killed: that is everyone", group)
			}
		}
	})
}
