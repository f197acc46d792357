//go:build !linux

package service

// residentBytes returns 0: only Linux says it without a system call of its own.
func residentBytes() uint64 { return 0 }
