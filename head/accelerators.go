package head

import (
	"context"
	"fmt"
	"maps"
	"os"
	"strconv"

	"github.com/mobula-dev/mobula/head/gpu"
	"github.com/mobula-dev/mobula/nodemanager/resource"
	"github.com/mobula-dev/mobula/nodemanager/service"
)

// acceleratorPrefix begins the name of the resource that a node with accelerators of a type has.
const acceleratorPrefix = "accelerator_type:"

// acceleratorLabels name the type of a node's accelerators, by Ray's name and our own.
var acceleratorLabels = []string{"ray.io/accelerator-type", "mobula.dev/accelerator-type"}

// accelerators returns how many GPUs the node has, and their type if there are any of a type that is known.
func (h *Head) accelerators(ctx context.Context) (count int, kind string, err error) {
	found, err := gpu.Detect(ctx)
	if err != nil {
		h.log.Warn("GPUs are not known", "error", err)
	}
	if len(found) > resource.MaxDevices {
		h.log.Warn("the node uses only some of the GPUs", "gpus", len(found), "used", resource.MaxDevices)
		found = found[:resource.MaxDevices]
	}
	count = len(found)
	if h.cfg.GPUs != nil {
		count = *h.cfg.GPUs
		if visible, set := os.LookupEnv(gpu.Environment); set && count > len(found) && len(found) > 0 {
			return 0, "", fmt.Errorf("%d GPUs are asked for, and %s=%s leaves %d", count, gpu.Environment, visible, len(found))
		}
	}
	if count > 0 && len(found) > 0 {
		kind = gpu.Type(found[0].Name)
	}
	return count, kind, nil
}

// addAccelerators adds the node's GPUs to its capacity, and their type as a resource and a label.
func (h *Head) addAccelerators(ctx context.Context, c *capacity) error {
	count, kind, err := h.accelerators(ctx)
	if err != nil {
		return err
	}
	c.request.GPUs = int64(count) * resource.Unit
	c.labels = maps.Clone(h.cfg.Labels)
	if kind == "" {
		return nil
	}
	if _, given := c.request.Custom[acceleratorPrefix+kind]; !given {
		c.request.Custom[acceleratorPrefix+kind] = resource.Unit
	}
	if c.labels == nil {
		c.labels = make(map[string]string)
	}
	for _, name := range acceleratorLabels {
		if _, given := c.labels[name]; !given {
			c.labels[name] = kind
		}
	}
	return nil
}

// memoryMonitor is when workers are ended for lack of memory: as the configuration says, else as Mobula's or Ray's variable says.
func (h *Head) memoryMonitor() (service.MemoryMonitor, error) {
	m := service.MemoryMonitor{Threshold: h.cfg.MemoryThreshold}
	for _, name := range []string{"MOBULA_MEMORY_THRESHOLD", "RAY_memory_usage_threshold"} {
		text := os.Getenv(name)
		if text == "" || m.Threshold != 0 {
			continue
		}
		threshold, err := strconv.ParseFloat(text, 64)
		if err != nil || !(threshold > 0) {
			return m, fmt.Errorf("%s=%q: want a part of the memory, such as 0.95, or 1 for no limit", name, text)
		}
		m.Threshold = threshold
	}
	if os.Getenv("RAY_memory_monitor_refresh_ms") == "0" {
		m.Threshold = 1
	}
	return m, nil
}
