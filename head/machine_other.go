//go:build !linux

package head

import (
	"errors"
	"runtime"
)

func probeMachine() (machine, error) {
	return machine{cpus: float64(runtime.NumCPU())}, errors.ErrUnsupported
}
