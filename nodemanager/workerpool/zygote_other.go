//go:build !linux

package workerpool

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// forksWorkers says that every worker is started by exec on this system: there is no parent-death signal.
const forksWorkers = false

func (c *children) adopt(int, int) (*os.File, error) { return nil, errors.ErrUnsupported }

func awaitPidfd(*os.File) {}

func wait4(int, *unix.WaitStatus) (int, error) { return 0, errors.ErrUnsupported }

func raiseOOMScore(int) {}
