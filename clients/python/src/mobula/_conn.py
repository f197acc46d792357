"""Frames over a stream socket.

`Conn` reads into one buffer and hands out the bytes that came; it writes frames that were appended in as few system calls as it can, with
descriptors beside those that take one.

Python may interrupt the main thread by an exception (Ctrl-C, a cancelled task) wherever it looks at signals: after a call has returned and
when a loop goes round. What a system call moved must not be forgotten then, or the stream of bytes would lose its place. So the number that
it returned is noted in a list by the interpreter's C code, before any signal is looked at: `note.extend(map(call, arguments))`; and the state
is changed by plain assignments, between which no signal is looked at.
"""

from __future__ import annotations

import array
import os
import select
import socket
from collections import deque
from threading import Lock, get_ident

from mobula._hot import Pipe
from mobula._wire import FRAME_MAX, HEADER, HEADER_SIZE, ProtocolError, frame

_READ_BYTES = 64 << 10
_POLL_MAX_MS = 1_000_000.0
"""Longest single wait: whoever waits looks at its deadline and waits again, for as long as it likes, infinity included."""
_FILES_MAX = 16
"""How many received descriptors may wait for the frame that they belong to."""
_ANCILLARY = socket.CMSG_SPACE(_FILES_MAX * 4) if hasattr(socket, "CMSG_SPACE") else 0
_CLOEXEC = getattr(socket, "MSG_CMSG_CLOEXEC", 0)
_DONT_WAIT = socket.MSG_DONTWAIT


class Conn(Pipe):
    """One end of a session.

    One thread at a time may receive, and any may write; appending needs the lock that the constructor is given, and so does looking at `out`.

    Attributes:
        files_in: descriptors that were received beside frames not handled yet, in order; whoever handles such a frame takes the first.
        data: bytes that were received; those from `at` on were not handled yet. Only the receiving thread uses them.
        out: frames that wait to be written; guarded by the lock.
        out_bytes: their length together, about; guarded by the lock.
    """

    def __init__(self, sock: socket.socket, lock: Lock) -> None:
        sock.setblocking(True)
        self.sock = sock
        self._fd = sock.fileno()
        self.data = b""
        self.at = 0
        self.out = []
        self.out_bytes = 0
        self._lock = lock
        self._write_lock = Lock()
        self._writer = 0  # the thread that holds _write_lock
        self._tail = None  # taken from out and not written yet; guarded by _write_lock
        self._tail_file: int | None = None  # goes with the first byte of _tail
        self._sent = []  # the note of a send
        self._files_out = []  # (index in out, descriptor), ascending; guarded by the lock
        self.files_in: deque[int] = deque()
        self._buffer = bytearray(_READ_BYTES)
        self._buffers = (self._buffer,)
        self._view = memoryview(self._buffer)
        self._got = []  # the note of a receive
        self._poll = select.poll()
        self._poll.register(sock, select.POLLIN)

    # --- reading ----------------------------------------------------------------------------------------------------------------
    def receive(self, timeout: float | None = None) -> bool:
        """Reads once, waiting for the first byte up to timeout seconds (None: without limit), and appends to data. False when nothing came.

        Raises EOFError at the end of the stream, OSError when it broke.
        """
        got = self._got
        if not got:
            if timeout is not None and timeout > 0 and not self._poll.poll(min(timeout * 1000, _POLL_MAX_MS)):
                return False
            flags = _CLOEXEC if timeout is None else _CLOEXEC | _DONT_WAIT
            came = self._receive_now(flags)
            if came is not None:
                return came
        count, ancillary, _, _ = got[0]
        if not count:
            got.clear()
            raise EOFError("the node closed the connection")
        if ancillary:
            self._take_files(ancillary)
        rest = self.data[self.at :] + self._view[:count]
        self.data, self.at = rest, 0
        got.clear()
        return True

    def _take_files(self, ancillary: list[tuple[int, int, bytes]]) -> None:
        for level, kind, data in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                fds = array.array("i")
                fds.frombytes(data[: len(data) - len(data) % fds.itemsize])
                self.files_in.extend(fds)
        if len(self.files_in) > _FILES_MAX:
            raise ProtocolError("descriptors beside frames that take none")
        self._got[0] = (self._got[0][0], [], 0, None)

    def next_frame(self) -> tuple[int, bytes] | None:
        """Returns kind and payload of the next frame in data, for handshakes; None when there is no whole one."""
        data, at = self.data, self.at
        if len(data) - at < HEADER_SIZE:
            return None
        size, kind, zero = HEADER.unpack_from(data, at)
        if size > FRAME_MAX or zero:
            raise ProtocolError(f"frame header with a length of {size} and {zero} in the reserved field")
        end = at + HEADER_SIZE + size
        if len(data) < end:
            return None
        self.at = end
        return kind, data[at + HEADER_SIZE : end]

    # --- writing ----------------------------------------------------------------------------------------------------------------
    def append_file(self, kind: int, payload: bytes, fd: int) -> None:
        """Appends a frame with a descriptor beside it, which is duplicated. Needs the lock."""
        copy = os.dup(fd)
        self._files_out.append((len(self.out), copy))
        self.out.append(frame(kind, payload))

    def flush(self) -> bool:
        """Writes what was appended, after whoever is writing already. Raises OSError when the connection is broken.

        False when it was called by a signal handler that interrupted this very method: then who was interrupted may, or may not, write it.
        """
        if self._send_now():
            return True
        me = get_ident()
        if self._writer == me:
            return False
        with self._write_lock:
            self._writer = me
            try:
                while self._fill_tail():
                    self._send_tail()
            finally:
                self._writer = 0
        return True

    def _fill_tail(self) -> bool:
        """Sees to it that _tail has what is to be sent next; False when there is nothing. Needs _write_lock."""
        if self._sent:
            self._note_sent()
        if self._tail is not None:
            return True
        with self._lock:
            out, files = self.out, self._files_out
            if not out:
                return False
            count, fd = len(out), None
            if files:
                count, fd = (1, files[0][1]) if files[0][0] == 0 else (files[0][0], None)
            tail, out = memoryview(b"".join(out[:count])), out[count:]
            files = [(index - count, fd) for index, fd in files if index >= count]
            self._tail, self._tail_file, self.out, self._files_out = tail, fd, out, files
            self.out_bytes = 0
        return True

    def _send_tail(self) -> None:
        tail = self._tail or b""
        if self._tail_file is None:
            self._sent.extend(map(self.sock.send, (tail,)))
        else:
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [self._tail_file]))]
            self._sent.extend(map(self.sock.sendmsg, ([tail],), (rights,)))
        self._note_sent()

    def _note_sent(self) -> None:
        tail, fd = self._tail, self._tail_file
        if tail is not None:
            rest = tail[self._sent[0] :]
            self._tail, self._tail_file = rest if len(rest) else None, None
        self._sent.clear()
        if fd is not None:
            os.close(fd)

    def close(self) -> None:
        """Closes the socket and the descriptors that nobody took. Nothing may be used any more."""
        for fd in [*self.files_in, *(fd for _, fd in self._files_out)]:
            os.close(fd)
        self.files_in.clear()
        self._files_out = []
        self.close_socket()

    def close_socket(self) -> None:
        """Closes the socket alone: in a forked process, where the rest is the parent's."""
        self._fd = -1  # the number may soon be that of another file
        self.sock.close()
