package wire

import (
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// fileReader reads bytes and the descriptors beside them, without allocating when there are none.
type fileReader struct{ oob [256]byte }

// read reads once into b.
func (r *fileReader) read(c *Conn, b []byte) (int, []*os.File, error) {
	if _, ok := c.nc.(*net.UnixConn); !ok || c.raw == nil {
		n, err := c.nc.Read(b)
		return n, nil, err
	}
	var n, oobn int
	var rerr error
	err := c.raw.Read(func(fd uintptr) bool {
		for {
			n, oobn, _, _, rerr = unix.Recvmsg(int(fd), b, r.oob[:], recvFlags)
			if rerr != unix.EINTR {
				return rerr != unix.EAGAIN
			}
		}
	})
	if err != nil {
		return 0, nil, err
	}
	if rerr != nil {
		return 0, nil, os.NewSyscallError("recvmsg", rerr)
	}
	if oobn == 0 {
		return n, nil, nil
	}
	files, err := parseFiles(r.oob[:oobn])
	return n, files, err
}

// parseFiles takes the descriptors out of control messages.
func parseFiles(oob []byte) ([]*os.File, error) {
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil, fmt.Errorf("parse control message: %w", err)
	}
	var files []*os.File
	for i := range messages {
		fds, err := unix.ParseUnixRights(&messages[i])
		if err != nil {
			continue // another kind of control message
		}
		for _, fd := range fds {
			unix.CloseOnExec(fd)
			files = append(files, os.NewFile(uintptr(fd), "received"))
		}
	}
	return files, nil
}
