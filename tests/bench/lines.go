package main

// line is one line of the benchmark: a call that is timed, and what it is compared with.
type line struct {
	// name is Ray's own where Ray has the line.
	name string
	// times is how many of what is counted one call does.
	times float64
	// unit of the result; empty is "/s".
	unit string
	// ray is what Ray 2.60 reaches on two cores; nil when it has no such line.
	ray *figures
	// want is the least that is wanted on two cores; 0 when nothing is.
	want float64
	// wantOf wants the given part of the best of the named lines in the same run.
	wantOf func(rows []row) float64
	// shared adds a row in which clients and actors are goroutines of one worker process.
	shared bool
	// setup prepares the line and returns the call; nil when the line cannot be measured yet.
	setup setup
	// notYet says why the line cannot be measured.
	notYet string
}

// sharedSuffix marks the rows in which clients and actors share one process.
const sharedSuffix = " (shared process)"

const (
	noCallbacks    = "out-of-scope callbacks are not part of the Go API"
	noAsyncActors  = "async methods come with Python; a Go actor with MaxConcurrency is the concurrent line"
	noGroups       = "placement groups come with the cluster"
	noRemoteDriver = "drivers over the network come with the cluster"
)

const (
	zerosOnce    = "memcpy, 1 thread"
	zerosTwice   = "memcpy, 2 threads"
	writtenOnce  = "memcpy of written memory, 1 thread"
	writtenTwice = "memcpy of written memory, 2 threads"
)

// lines are the lines of `ray microbenchmark` in its order, and among them those of this benchmark's own that must be measured next to
// one of Ray's.
func lines() []line {
	return []line{
		{name: "single client get calls (Plasma Store)", times: 1, ray: &figures{16_166, 240}, want: 150_000, setup: getCalls},
		{name: "single client put calls (Plasma Store)", times: 1, ray: &figures{2_458, 139}, want: 100_000, setup: putCalls},
		{name: "multi client put calls (Plasma Store)", times: 1000, ray: &figures{1_945, 40}, shared: true, setup: multiPutCalls},
		{name: zerosOnce, times: gigabytes, unit: "GB/s", setup: copying(1, false)},
		{name: zerosTwice, times: gigabytes, unit: "GB/s", setup: copying(2, false)},
		{name: "single client put gigabytes", times: gigabytes, unit: "GB/s", ray: &figures{3.18, 2.41}, wantOf: near(zerosOnce, zerosTwice), setup: putting(false)},
		{name: writtenOnce, times: gigabytes, unit: "GB/s", setup: copying(1, true)},
		{name: writtenTwice, times: gigabytes, unit: "GB/s", setup: copying(2, true)},
		{name: "single client put gigabytes of written memory", times: gigabytes, unit: "GB/s", wantOf: near(writtenOnce, writtenTwice), setup: putting(true)},
		{name: "single client tasks and get batch", times: 1, ray: &figures{2.58, 0.06}, want: 60, setup: tasks(1000)},
		{name: "multi client put gigabytes", times: 8, unit: "GB/s", ray: &figures{15.5, 5.5}, shared: true, setup: multiPutGigabytes},
		{name: "single client get object containing 10k refs", times: 1, ray: &figures{18.5, 1.1}, want: 300, setup: getManyRefs},
		{name: "single client object out-of-scope callback registration", ray: nil, notYet: noCallbacks},
		{name: "object out-of-scope callback fire 1k batch", notYet: noCallbacks},
		{name: "single client wait 1k refs", times: 1, ray: &figures{2.40, 0.02}, want: 40, setup: waitManyRefs},
		{name: "single client tasks sync", times: 1, ray: &figures{821, 27}, want: 6_000, setup: tasks(1)},
		{name: "single client tasks async", times: 1000, ray: &figures{2_493, 103}, want: 100_000, setup: tasks(1000)},
		{name: "multi client tasks async", times: 40_000, ray: &figures{2_389, 126}, want: 100_000, shared: true, setup: multiTasks},
		{name: "1:1 actor calls sync", times: 1, ray: &figures{1_750, 44}, want: 6_000, shared: true, setup: actorCalls(1, 1)},
		{name: "1:1 actor calls async", times: 1000, ray: &figures{7_493, 586}, want: 120_000, shared: true, setup: actorCalls(1000, 1)},
		{name: "1:1 actor calls concurrent", times: 1000, ray: &figures{7_139, 262}, shared: true, setup: actorCalls(1000, 16)},
		{name: "1:n actor calls async", times: 5000 * float64(pairs), ray: &figures{5_880, 284}, shared: true, setup: oneToMany},
		{name: "n:n actor calls async", times: 20_000, ray: &figures{6_414, 456}, want: 100_000, shared: true, setup: manyToMany},
		{name: "n:n actor calls with arg async", times: 1000 * float64(pairs), ray: &figures{2_368, 68}, want: 40_000, shared: true, setup: manyToManyWithArg},
		{name: "1:1 async-actor calls sync", ray: &figures{1_286, 62}, notYet: noAsyncActors},
		{name: "1:1 async-actor calls async", ray: &figures{3_743, 144}, notYet: noAsyncActors},
		{name: "1:1 async-actor calls with args async", ray: &figures{2_962, 92}, notYet: noAsyncActors},
		{name: "1:n async-actor calls async", ray: &figures{3_995, 273}, notYet: noAsyncActors},
		{name: "n:n async-actor calls async", ray: &figures{3_618, 124}, notYet: noAsyncActors},
		{name: "placement group create/removal", ray: &figures{592, 22}, notYet: noGroups},
		{name: "client: get calls", ray: &figures{1_360, 0}, notYet: noRemoteDriver},
		{name: "client: put calls", ray: &figures{1_111, 0}, notYet: noRemoteDriver},
		{name: "client: tasks and get batch", notYet: noRemoteDriver},
		{name: "client: tasks and put batch", notYet: noRemoteDriver},
		{name: "client: put gigabytes", unit: "GB/s", ray: &figures{0.11, 0}, notYet: noRemoteDriver},
		{name: "client: 1:1 actor calls sync", ray: &figures{544, 0}, notYet: noRemoteDriver},
		{name: "client: 1:1 actor calls async", notYet: noRemoteDriver},
		{name: "client: 1:1 actor calls concurrent", notYet: noRemoteDriver},
	}
}

// near wants three quarters of the better of two lines.
func near(one, two string) func([]row) float64 {
	return func(rows []row) float64 {
		best := 0.0
		for _, r := range rows {
			if r.Name == one || r.Name == two {
				best = max(best, r.Mean)
			}
		}
		return 0.75 * best
	}
}
