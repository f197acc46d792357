package integration

import "runtime"

// gc runs the garbage collector and lets the cleanups of what it found run.
func gc() {
	runtime.GC()
	runtime.Gosched()
}
