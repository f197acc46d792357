package head

import (
	"errors"
	"io/fs"
	"log/slog"
	"math"
	"path"
	"strconv"
	"strings"
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
	for _, group := range groups(root) {
		if limit, ok := readNumber(root, path.Join(group, "memory.max")); ok {
			m.memory = min(m.memory, limit)
		}
		if limit, ok := readNumber(root, path.Join(group, "memory.limit_in_bytes")); ok {
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

// groups returns the directories of the control groups that this process is in, and of those around them.
func groups(root fs.FS) []string {
	const mount = "sys/fs/cgroup"
	text, err := fs.ReadFile(root, "proc/self/cgroup")
	if err != nil {
		return nil // no control groups
	}
	var dirs []string
	for line := range strings.Lines(string(text)) {
		// "0::/path" in the second version, "4:memory:/path" in the first.
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) != 3 {
			continue
		}
		base := mount
		for controller := range strings.SplitSeq(parts[1], ",") {
			if controller == "memory" || controller == "cpu" {
				base = path.Join(mount, controller)
			}
		}
		if parts[1] != "" && base == mount {
			continue // another controller
		}
		// Inside a container the path may be one of the host's: what cannot be read is passed over, up to the mount itself.
		for dir := path.Clean("/" + parts[2]); ; dir = path.Dir(dir) {
			dirs = append(dirs, path.Join(base, dir))
			if dir == "/" {
				break
			}
		}
	}
	return dirs
}

// readNumber reads a file that holds one number; "max" is none.
func readNumber(root fs.FS, name string) (uint64, bool) {
	text, err := fs.ReadFile(root, name)
	if err != nil {
		return 0, false
	}
	n, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64)
	return n, err == nil
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
		quota, okQ = readNumber(root, path.Join(group, "cpu.cfs_quota_us")) // -1 without a quota
		period, okP = readNumber(root, path.Join(group, "cpu.cfs_period_us"))
		ok = okQ && okP
	}
	if !ok || quota == 0 || period == 0 {
		return math.Inf(1)
	}
	return max(1, math.Ceil(float64(quota)/float64(period)))
}
