package state

// SlotCount is the fixed number of slots into which everything with an id hashes.
const SlotCount = 256

// clusterSlot holds the tables that are not spread: nodes, jobs, names, functions, keys.
const clusterSlot = 0

// SlotOf returns the slot of a task, an object or an actor: that of its first 16 bytes, which are the task's. It is part of the
// format of stored data and never changes: 64-bit FNV-1a, folded.
func SlotOf(id []byte) uint8 {
	const offset, prime = 14695981039346656037, 1099511628211
	h := uint64(offset)
	for _, b := range id[:min(len(id), idSize)] {
		h = (h ^ uint64(b)) * prime
	}
	h ^= h >> 32
	h ^= h >> 16
	h ^= h >> 8
	return uint8(h)
}

// Slots is a set of slots, one bit each, the lowest bit of the first byte for slot 0.
type Slots [SlotCount / 8]byte

// AllSlots returns the set of all slots: what the only shard of a cluster owns.
func AllSlots() Slots {
	var s Slots
	for i := range s {
		s[i] = 0xff
	}
	return s
}

// Has reports whether the set holds the slot.
func (s *Slots) Has(slot uint8) bool { return s[slot/8]&(1<<(slot%8)) != 0 }

// Remove takes a slot out of the set.
func (s *Slots) Remove(slot uint8) { s[slot/8] &^= 1 << (slot % 8) }
