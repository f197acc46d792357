"""A node that does not answer a program that waits: noticed, and said once. The wait goes on, for the node may as well."""

from __future__ import annotations

import contextlib
import socket
import struct
import sys

SECONDS = 10.0
"""After so long without a word from the node while somebody waits it is asked, and after as long again without an answer the program is told."""


class Silence:
    """What a driver knows of its node's silence. Only the thread that leads, or reads for callbacks, calls it."""

    __slots__ = ("_pid", "_told", "asked")

    def __init__(self, node_pid: int) -> None:
        self._pid = node_pid
        self.asked = 0  # the id of the query that stands unanswered; 0 is none
        self._told = False

    def watch(self, sock: socket.socket) -> None:
        """Has a read of the socket that waits return, with nothing, after SECONDS: that costs no read anything."""
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", int(SECONDS), int(SECONDS % 1 * 1e6)))

    def answered(self, query: int) -> None:
        """Notes that a query was answered."""
        if query == self.asked:
            self.asked, self._told = 0, False

    def tell(self) -> None:
        """Says once what is wrong with the node, if anything seems to be."""
        why = stopped(self._pid)
        if not why and self.asked:
            why = f"has not answered for {2 * SECONDS:g} s"
        if why and not self._told:
            self._told = True
            with contextlib.suppress(OSError, ValueError, AttributeError):  # there is nowhere to say it
                sys.stderr.write(f"mobula: the node manager (pid {self._pid}) {why}. This program waits until it goes on, or until Ctrl-C.\n")
                sys.stderr.flush()


def stopped(pid: int) -> str:
    """Returns what to say of a process of this machine that is stopped; empty if it is not, or if that cannot be known."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as f:
            state = f.read().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return ""
    return f"is stopped, by SIGSTOP or by a debugger: `kill -CONT {pid}` lets it go on" if state in "Tt" else ""
