package main

import (
	"maps"
	"testing"
)

func TestFlagsOfUpSayWhatTheNodeHas(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"--cpus", "3", "--gpus", "2"}, {"--num-cpus", "3", "--num-gpus", "2"}} {
		var o upOptions
		f := newUpFlags(&o)
		if err := f.ParseFlags(append(args, "--labels", "disk=fast,zone=a", "--resource", "pump=1.5", "--dir", t.TempDir())); err != nil {
			t.Fatal(err)
		}
		cfg, err := o.config(gpusGiven(f))
		if err != nil || cfg.CPUs != 3 || cfg.GPUs == nil || *cfg.GPUs != 2 || !maps.Equal(cfg.Labels, map[string]string{"disk": "fast", "zone": "a"}) {
			t.Errorf("%v: %+v, error %v", args, cfg, err)
		}
	}
	var o upOptions
	f := newUpFlags(&o)
	if cfg, err := o.config(gpusGiven(f)); err != nil || cfg.GPUs != nil {
		t.Errorf("without flags the GPUs are %v, error %v; they are to be found", cfg.GPUs, err)
	}
	if err := f.ParseFlags([]string{"--gpus", "-1"}); err != nil {
		t.Fatal(err)
	}
	if _, err := o.config(gpusGiven(f)); err == nil {
		t.Error("a negative number of GPUs is taken")
	}
}
