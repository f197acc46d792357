package wire

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Dup returns another descriptor of a file, for SendFile.
func Dup(f *os.File) (*os.File, error) {
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("duplicate descriptor: %w", os.NewSyscallError("fcntl", err))
	}
	return os.NewFile(uintptr(fd), f.Name()), nil
}
