package main

import (
	"errors"
	"math"
	"testing"
	"testing/synctest"
	"time"
)

func TestTimerCountsThingsPerSecondAsRaysDoes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		calls, warmAt := 0, 0
		call := func() error {
			calls++
			time.Sleep(30 * time.Millisecond) // the fake clock's: the cost of a call
			return nil
		}
		start := time.Now()
		f, err := rayTiming.measure(1000, call, func() { warmAt = calls })
		if err != nil {
			t.Fatal(err)
		}
		// 34 calls warm up for 1.02 s; a step is 34/10+1 = 4 calls, 0.12 s; 17 steps of them make the 2.04 s of a round.
		if warmAt != 34 || calls != 34+4*17*4 {
			t.Errorf("%d calls warmed up and %d were made in all, want 34 and %d", warmAt, calls, 34+4*17*4)
		}
		if want := 1000 / 0.030; math.Abs(f.Mean-want) > 1e-6 || f.SD > 1e-6 {
			t.Errorf("%+v, want %v per second without deviation", f, want)
		}
		if took := time.Since(start); took != time.Duration(calls)*30*time.Millisecond {
			t.Errorf("took %v: there is a pause that nobody asked for", took)
		}
	})
}

func TestTimerStopsAtTheFirstError(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	calls := 0
	_, err := quickTiming.measure(1, func() error { calls++; return broken }, func() { t.Error("warmed up") })
	if !errors.Is(err, broken) || calls != 1 {
		t.Errorf("%v after %d calls", err, calls)
	}
}

func TestFiguresAreMeanAndPopulationDeviation(t *testing.T) {
	t.Parallel()
	f := figuresOf([]float64{2, 4, 4, 4, 5, 5, 7, 9})
	if f.Mean != 5 || f.SD != 2 {
		t.Errorf("%+v, want 5 and 2", f)
	}
}
