package state

import (
	"testing"
)

func TestSlotsThatAreNotOwnedAreRefused(t *testing.T) {
	t.Parallel()
	slots := AllSlots()
	slots.Remove(SlotOf(id16(20)))
	r := newRig(t)
	r.s = New(3, slots)
	r.ok(register(1, 1))
	r.ok(startJob(10, 1, 1))
	r.want(codeShard, create(createActor(20, 10, 1, 1, "")))
	r.want(codeShard, putLineage(10, 21, 20))
	r.ok(create(createActor(21, 10, 1, 1, "")))
	if got := r.restore().s.View().Slots(); got != slots {
		t.Error("the slots are not in the snapshot")
	}
	object := append(id16(20), 0, 0, 0, 9)
	if SlotOf(object) != SlotOf(id16(20)) {
		t.Error("an object is not in the slot of its task")
	}
}

func TestSlotsAreEven(t *testing.T) {
	t.Parallel()
	var counts [SlotCount]int
	for i := range 256 * 100 {
		id := [16]byte{1, 2, 3, 4, 5, 6, 7, 8, 14: byte(i >> 8), 15: byte(i)} // A random root and a counter.
		counts[SlotOf(id[:])]++
	}
	for slot, n := range counts {
		if n < 50 || n > 200 {
			t.Errorf("slot %d has %d of 25,600 ids, want about 100", slot, n)
		}
	}
}
