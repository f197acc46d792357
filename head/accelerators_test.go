package head

import (
	"log/slog"
	"testing"

	"github.com/mobula-dev/mobula/head/gpu"
	"github.com/mobula-dev/mobula/nodemanager/resource"
)

func newTestHead(cfg Config) *Head { return &Head{cfg: cfg, log: slog.New(slog.DiscardHandler)} }

func TestANodeHasTheGPUsThatItIsSaidToHave(t *testing.T) {
	t.Setenv(gpu.Environment, "") // none is found, whatever the machine has
	for want, gpus := range map[int]*int{0: nil, 3: new(3)} {
		h := newTestHead(Config{GPUs: gpus, Labels: map[string]string{"disk": "fast"}})
		c := capacity{request: resource.Request{Custom: make(map[string]int64)}}
		if err := h.addAccelerators(t.Context(), &c); err != nil || c.request.GPUs != int64(want)*resource.Unit || c.labels["disk"] != "fast" || len(c.request.Custom) > 0 {
			t.Errorf("%+v, error %v; want %d GPUs", c, err, want)
		}
	}
}

func TestTheThresholdOfTheMemoryIsTheConfigurationsOrAVariables(t *testing.T) { //nolint:paralleltest // it sets variables
	for _, c := range []struct {
		configured  float64
		mobula, ray string
		refresh     string
		want        float64
	}{
		{0, "", "", "", 0}, {0.5, "0.7", "0.8", "", 0.5}, {0, "0.7", "0.8", "", 0.7}, {0, "", "0.8", "250", 0.8}, {0, "0.7", "", "0", 1},
		{0, "much", "", "", -1}, {0, "-1", "", "", -1}, {0, "NaN", "", "", -1},
	} {
		t.Setenv("MOBULA_MEMORY_THRESHOLD", c.mobula)
		t.Setenv("RAY_memory_usage_threshold", c.ray)
		t.Setenv("RAY_memory_monitor_refresh_ms", c.refresh)
		m, err := newTestHead(Config{MemoryThreshold: c.configured}).memoryMonitor()
		if (err != nil) != (c.want < 0) || err == nil && m.Threshold != c.want {
			t.Errorf("%+v: threshold %v, error %v", c, m.Threshold, err)
		}
	}
}
