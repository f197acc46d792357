// Package gpu finds the GPUs of NVIDIA that this process may use.
//
// The driver's directory in /proc tells which there are, in microseconds; where it is hidden, nvidia-smi is asked, with a timeout. No library of the
// driver is loaded. CUDA_VISIBLE_DEVICES counts as it does for CUDA: what it leaves out is not there.
package gpu

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Device is one GPU.
type Device struct {
	// Name of the product, such as "NVIDIA H200".
	Name string
	// UUID as the driver has it, "GPU-…"; empty when it is not known.
	UUID string
}

// Environment is the variable that says which GPUs a process may use.
const Environment = "CUDA_VISIBLE_DEVICES"

// askTimeout bounds nvidia-smi, which takes seconds where the driver has to wake up.
const askTimeout = 10 * time.Second

// Detect returns the GPUs that this process may use, in the order in which CUDA_VISIBLE_DEVICES, or else the bus, has them. A machine without
// NVIDIA's driver has none, and that is no error.
func Detect(ctx context.Context) ([]Device, error) {
	all, err := All(ctx)
	if err != nil {
		return nil, err
	}
	visible, set := os.LookupEnv(Environment)
	if !set {
		return all, nil
	}
	return Visible(all, visible), nil
}

// All returns the GPUs of the machine, or of the container.
func All(ctx context.Context) ([]Device, error) {
	if devices := fromProc(os.DirFS("/")); len(devices) > 0 {
		return devices, nil
	}
	program, err := exec.LookPath("nvidia-smi")
	if err != nil {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, "-L")
	cmd.WaitDelay = time.Second
	out, err := cmd.Output()
	if ctx.Err() != nil {
		return nil, fmt.Errorf("ask nvidia-smi for GPUs: no answer within %v", askTimeout)
	}
	if err != nil {
		return nil, nil // installed, but without a driver or a device
	}
	return parseList(out), nil
}

// Visible returns the devices that a value of CUDA_VISIBLE_DEVICES leaves: numbers or beginnings of UUIDs, up to the first that names none. A MIG
// instance counts as a device.
func Visible(all []Device, value string) []Device {
	var out []Device
	seen := make(map[int]bool)
	for word := range strings.SplitSeq(value, ",") {
		word = strings.TrimSpace(word)
		if strings.HasPrefix(word, "MIG-") {
			out = append(out, Device{Name: mig(all), UUID: word})
			continue
		}
		i, err := strconv.Atoi(word)
		if err != nil {
			i = slices.IndexFunc(all, func(d Device) bool { return strings.HasPrefix(word, "GPU-") && strings.HasPrefix(d.UUID, word) })
		}
		if i < 0 || i >= len(all) || seen[i] {
			break
		}
		seen[i] = true
		out = append(out, all[i])
	}
	return out
}

func mig(all []Device) string {
	if len(all) > 0 {
		return all[0].Name
	}
	return ""
}

// fromProc reads the driver's directory. In a container devices may be listed that have no device file there: they are not the container's.
func fromProc(root fs.FS) []Device {
	const dir = "proc/driver/nvidia/gpus"
	entries, err := fs.ReadDir(root, dir) // by their address on the bus
	if err != nil {
		return nil
	}
	var devices []Device
	for _, e := range entries {
		text, err := fs.ReadFile(root, path.Join(dir, e.Name(), "information"))
		if err != nil {
			continue
		}
		d, minor := parseInformation(text)
		if minor == "" {
			continue
		}
		if _, err := fs.Stat(root, "dev/nvidia"+minor); err == nil {
			devices = append(devices, d)
		}
	}
	return devices
}

func parseInformation(text []byte) (d Device, minor string) {
	for line := range bytes.Lines(text) {
		name, value, _ := strings.Cut(string(line), ":")
		value = strings.TrimSpace(value)
		switch strings.TrimSpace(name) {
		case "Model":
			d.Name = value
		case "GPU UUID":
			d.UUID = value
		case "Device Minor":
			minor = value
		}
	}
	return d, minor
}

// parseList reads what nvidia-smi -L prints: "GPU 0: NVIDIA H200 (UUID: GPU-…)", and indented lines for MIG instances.
func parseList(out []byte) []Device {
	var devices []Device
	for scan := bufio.NewScanner(bytes.NewReader(out)); scan.Scan(); {
		line := scan.Text()
		rest, ok := strings.CutPrefix(line, "GPU ")
		if !ok {
			continue
		}
		_, rest, ok = strings.Cut(rest, ": ")
		if !ok {
			continue
		}
		name, uuid, _ := strings.Cut(rest, " (UUID: ")
		devices = append(devices, Device{Name: strings.TrimSpace(name), UUID: strings.TrimSuffix(strings.TrimSpace(uuid), ")")})
	}
	return devices
}

// model finds the model in a product's name: the words in capitals up to the first with a digit.
var model = regexp.MustCompile(`^\w+\s+((?:[A-Z]+\s+)*[A-Z0-9]*\d[A-Z0-9]*)`)

// Type returns the type of an accelerator as programs ask for it, such as "H200", "A100" or "RTX-PRO-6000", from the product's name, by the rule
// that Ray has. It is empty without a name.
func Type(name string) string {
	if m := model.FindStringSubmatch(name); len(m) > 1 && len(m[1]) > 1 {
		return strings.Join(strings.Split(m[1], " "), "-")
	}
	name = strings.TrimSpace(strings.TrimPrefix(name, "NVIDIA "))
	return strings.ReplaceAll(name, " ", "-")
}
