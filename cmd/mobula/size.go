package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// units are those of sizes; a bare letter means the binary unit, as people mean it.
var units = []struct {
	suffix string
	bytes  float64
}{
	{"kib", 1 << 10}, {"mib", 1 << 20}, {"gib", 1 << 30}, {"tib", 1 << 40},
	{"kb", 1e3}, {"mb", 1e6}, {"gb", 1e9}, {"tb", 1e12},
	{"k", 1 << 10}, {"m", 1 << 20}, {"g", 1 << 30}, {"t", 1 << 40},
	{"b", 1},
}

// size is a flag for a number of bytes that people write with a unit. It implements pflag.Value.
type size uint64

// Set reads "512MiB", "1.5g", "2 GB" or a plain number of bytes.
func (s *size) Set(text string) error {
	number, factor := strings.ToLower(strings.TrimSpace(text)), 1.0
	for _, u := range units {
		if rest, ok := strings.CutSuffix(number, u.suffix); ok {
			number, factor = strings.TrimSpace(rest), u.bytes
			break
		}
	}
	x, err := strconv.ParseFloat(number, 64)
	switch {
	case err != nil:
		return errors.New("want a size such as 512MiB, 2GB or 1.5g")
	case !(x >= 0 && x*factor < 1<<50): // a pebibyte; and not a number is in no range
		return errors.New("size is out of range")
	}
	*s = size(x * factor)
	return nil
}

// String writes the size with a unit.
func (s *size) String() string {
	if *s == 0 {
		return ""
	}
	return formatBytes(uint64(*s))
}

// Type names the flag's value in help.
func (s *size) Type() string { return "size" }

// formatBytes writes a number of bytes for people.
func formatBytes(n uint64) string {
	if n < 1<<10 {
		return fmt.Sprintf("%d B", n)
	}
	x, unit := float64(n), 0
	for x >= 1<<10 && unit < len("KMGTPE") {
		x /= 1 << 10
		unit++
	}
	return fmt.Sprintf("%.1f %ciB", x, "KMGTPE"[unit-1])
}
