//go:build !linux

package wire

// recvFlags is empty where the kernel cannot set close-on-exec at receipt; parseFiles sets it right after.
const recvFlags = 0
