package main

import (
	"math"
	"time"
)

// timing is the timer of `ray microbenchmark`: warm up, counting calls; take a tenth of that count, plus one, as a step; then run rounds
// of whole steps. The rate of a round is the number of things that its calls did over its time; a line's figures are the mean and the
// population standard deviation over the rounds.
type timing struct {
	// Sleep is the pause before each line; Ray's is ten seconds, so that the machine calms down.
	Sleep time.Duration
	// WarmUp is the least time of the warm-up; Ray's is one second.
	WarmUp time.Duration
	// Least is the least number of calls of the warm-up; Ray's is none. A round too short to be one of Ray's needs it: the first calls of some lines
	// start processes or touch memory for the first time.
	Least int
	// Round is the least time of a round; Ray's is two seconds.
	Round time.Duration
	// Rounds is their number; Ray's is four.
	Rounds int
}

var (
	rayTiming   = timing{WarmUp: time.Second, Round: 2 * time.Second, Rounds: 4}
	quickTiming = timing{WarmUp: 100 * time.Millisecond, Least: 3, Round: 500 * time.Millisecond, Rounds: 1}
)

// figures are the outcome of a line.
type figures struct{ Mean, SD float64 }

// measure times call, each of which does `times` things. warm is called between the warm-up and the first round.
func (t timing) measure(times float64, call func() error, warm func()) (figures, error) {
	time.Sleep(t.Sleep)
	count := 0
	for start := time.Now(); count < t.Least || time.Since(start) < t.WarmUp; count++ {
		if err := call(); err != nil {
			return figures{}, err
		}
	}
	warm()
	step := count/10 + 1
	rates := make([]float64, 0, t.Rounds)
	for range t.Rounds {
		start := time.Now()
		count = 0
		for time.Since(start) < t.Round {
			for range step {
				if err := call(); err != nil {
					return figures{}, err
				}
			}
			count += step
		}
		rates = append(rates, times*float64(count)/time.Since(start).Seconds())
	}
	return figuresOf(rates), nil
}

// figuresOf returns the mean and the population standard deviation.
func figuresOf(xs []float64) figures {
	var f figures
	for _, x := range xs {
		f.Mean += x / float64(len(xs))
	}
	for _, x := range xs {
		f.SD += (x - f.Mean) * (x - f.Mean) / float64(len(xs))
	}
	f.SD = math.Sqrt(f.SD)
	return f
}
