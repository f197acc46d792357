//go:build !linux

package objectstore

// memoryBytes is what a small development machine has; Config.CapacityBytes says better.
func memoryBytes() (uint64, error) { return 8 << 30, nil }
