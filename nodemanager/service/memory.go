package service

import (
	"context"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

const (
	// garbageMax is how many bytes of garbage pile up in a node's process before it is collected. By default the collector lets a heap
	// double, which for a million queued tasks is up to 400 MB more than they need.
	garbageMax = 96 << 20
	// percentMin bounds what that costs: the collector then reads 4 bytes of the heap for each that is allocated.
	percentMin = 25
)

// collectorPercent returns by how much a heap of which live bytes are in use may grow until it is collected.
func collectorPercent(live uint64) int {
	return int(max(percentMin, min(100, garbageMax*100/max(live, 1))))
}

// tuneCollector sees to it that the percentage fits the heap after each collection, until ctx ends. It is for a process that is a node's
// own, and leaves it alone when the operator has set GOGC.
func tuneCollector(ctx context.Context) {
	if os.Getenv("GOGC") == "" {
		afterCollection(ctx, 100)
	}
}

// afterCollection has the percentage, which is as given at present, set when the next collection has ended, and so on.
func afterCollection(ctx context.Context, percent int) {
	type garbage struct{ _ *garbage } // the next collection finds it
	runtime.AddCleanup(new(garbage), func(percent int) {
		if ctx.Err() != nil {
			return
		}
		live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
		metrics.Read(live)
		next := collectorPercent(live[0].Value.Uint64())
		if next != percent {
			debug.SetGCPercent(next)
		}
		afterCollection(ctx, next)
	}, percent)
}
