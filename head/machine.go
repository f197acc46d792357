package head

import (
	"errors"
	"io/fs"
	"log/slog"
	"math"
	"path"
	"strconv"
	"strings"

	"github.com/mobula-dev/mobula/internal/cgroup"
)

// machine is what the machine, or the container that this process is in, gives it.
type machine struct {
	memory uint64 // bytes
	cpus   float64
}

// unknownMemory is taken where the system does not say how much there is.
const unknownMemory = 8 << 30

// thisMachine asks the system.
func thisMachine(log *slog.Logger) machine {
	m, err := probeMachine()
	if err != nil {
		log.Warn("the machine's memory is not known; the node is taken to have 8 GiB", "error", err)
		m.memory = unknownMemory
	}
	return m
}

// readLimits lowers what a machine with so many CPUs has to what its control groups, of the first or the second version, allow this
// process. root is the root of the file system.
func readLimits(root fs.FS, cpus int) (machine, error) {
	m := machine{cpus: float64(cpus)}
	var err error
	if m.memory, err = memTotal(root); err != nil {
		return m, err
	}
	for _, group := range cgroup.Directories(root) {
		if limit, ok := cgroup.Number(root, path.Join(group, "memory.max")); ok {
			m.memory = min(m.memory, limit)
		}
		if limit, ok := cgroup.Number(root, path.Join(group, "memory.limit_in_bytes")); ok {
			m.memory = min(m.memory, limit)
		}
		m.cpus = min(m.cpus, cpuQuota(root, group))
	}
	return m, nil
}

// memTotal reads the machine's memory.
func memTotal(root fs.FS) (uint64, error) {
	text, err := fs.ReadFile(root, "proc/meminfo")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, "MemTotal:"); ok {
			kib, err := strconv.ParseUint(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 54)
			return kib << 10, err
		}
	}
	return 0, errors.New("/proc/meminfo does not say MemTotal")
}

// cpuQuota returns how many CPUs a control group may use, rounded up as the Go runtime does; infinite without a quota.
func cpuQuota(root fs.FS, group string) float64 {
	var quota, period uint64
	var ok bool
	if text, err := fs.ReadFile(root, path.Join(group, "cpu.max")); err == nil {
		q, p, _ := strings.Cut(strings.TrimSpace(string(text)), " ")
		var errQ, errP error
		quota, errQ = strconv.ParseUint(q, 10, 63)
		period, errP = strconv.ParseUint(p, 10, 63)
		ok = errQ == nil && errP == nil
	} else {
		var okQ, okP bool
		quota, okQ = cgroup.Number(root, path.Join(group, "cpu.cfs_quota_us")) // -1 without a quota
		period, okP = cgroup.Number(root, path.Join(group, "cpu.cfs_period_us"))
		ok = okQ && okP
	}
	if !ok || quota == 0 || period == 0 {
		return math.Inf(1)
	}
	return max(1, math.Ceil(float64(quota)/float64(period)))
}
