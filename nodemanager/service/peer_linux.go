package service

import (
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// samePeer checks that the process at the other end of a Unix socket belongs to the user of this one. A pair of sockets made by this
// process names this process as the peer, so its pid says nothing there.
func samePeer(nc net.Conn, pid int32) error {
	uc, ok := nc.(*net.UnixConn)
	if !ok {
		return fmt.Errorf("a session needs a Unix socket, not %T", nc)
	}
	raw, err := uc.SyscallConn()
	if err != nil {
		return fmt.Errorf("peer of the socket: %w", err)
	}
	var cred *unix.Ucred
	var cerr error
	if err := raw.Control(func(fd uintptr) { cred, cerr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) }); err != nil {
		return fmt.Errorf("peer of the socket: %w", err)
	}
	if cerr != nil {
		return fmt.Errorf("peer of the socket: %w", cerr)
	}
	if int(cred.Uid) != os.Getuid() {
		return fmt.Errorf("the process at the other end belongs to user %d, the node to user %d", cred.Uid, os.Getuid())
	}
	if pid != 0 && cred.Pid != 0 && int(cred.Pid) != os.Getpid() && pid != cred.Pid && !ownPair(nc) {
		return fmt.Errorf("the process at the other end is %d, but says that it is %d", cred.Pid, pid)
	}
	return nil
}

// ownPair reports whether the connection is an end of a pair, and not one that was accepted: its peer is whoever made the pair.
func ownPair(nc net.Conn) bool { return nc.LocalAddr() == nil || nc.LocalAddr().String() == "" }
