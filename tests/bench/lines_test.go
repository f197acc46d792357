package main

import (
	"strings"
	"testing"
	"time"

	"github.com/mobula-dev/mobula/clients/go/mobula"
)

// once makes each call once to warm up and once to be timed.
var once = timing{Least: 1, Round: 10 * time.Microsecond, Rounds: 1} //nolint:gochecknoglobals // constant

func TestEveryLineDoesWhatItSays(t *testing.T) {
	t.Parallel()
	ctx, stop, err := mobula.Init(t.Context(), mobula.WithCPUs(2))
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	for _, l := range lines() {
		if l.setup == nil || l.unit == "GB/s" { // gigabytes are too much for a test
			continue
		}
		for _, isolated := range []bool{true, false} {
			if !isolated && !l.shared {
				continue
			}
			s := &scene{ctx: ctx, isolated: isolated}
			call, err := l.setup(s)
			if err != nil {
				t.Errorf("%s: set up: %v", l.name, err)
				continue
			}
			if f, err := once.measure(l.times, call, func() {}); err != nil || f.Mean <= 0 {
				t.Errorf("%s: %+v, %v", l.name, f, err)
			}
			if err := s.close(); err != nil {
				t.Errorf("%s: take down: %v", l.name, err)
			}
		}
	}
	if _, err := queued(ctx, 1000, func() {}); err != nil {
		t.Errorf("queued tasks: %v", err)
	}
}

func TestLinesHaveNamesOfTheirOwnAndReasons(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, l := range lines() {
		if seen[l.name] || strings.Contains(l.name, sharedSuffix) {
			t.Errorf("%q is not a name of its own", l.name)
		}
		seen[l.name] = true
		if (l.setup == nil) == (l.notYet == "") || l.setup != nil && l.times == 0 {
			t.Errorf("%q is neither measured nor says why not", l.name)
		}
	}
}
