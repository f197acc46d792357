from __future__ import annotations

import os
import socket
from threading import Lock

import pytest

from mobula import _conn, _wire
from mobula._conn import Conn
from mobula._wire import ProtocolError, frame, varint


@pytest.fixture
def ends():
    a, b = socket.socketpair()
    conn = Conn(a, Lock())
    yield conn, b
    conn.close()
    b.close()


@pytest.mark.parametrize(
    ("n", "expected"),
    [
        (0, b"\0"),
        (127, b"\x7f"),
        (128, b"\x80\x01"),
        (300, b"\xac\x02"),
        (16383, b"\xff\x7f"),
        (16384, b"\x80\x80\x01"),
        (2**64 - 1, b"\xff" * 9 + b"\x01"),
    ],
)
def test_varints_are_those_of_protobuf(n, expected):
    assert varint(n) == expected


def test_a_frame_has_length_kind_and_zero_before_its_payload():
    assert frame(10, b"abc") == b"\x03\0\0\0\x0a\0\0\0abc"


def test_a_frame_that_is_too_long_is_refused():
    frame(10, bytes(_wire.FRAME_MAX))
    with pytest.raises(ValueError, match="1 MiB"):
        frame(10, bytes(_wire.FRAME_MAX + 1))


def test_wire_arrive_whole_however_the_bytes_are_cut(ends):
    conn, peer = ends
    sent = [(k, os.urandom(n)) for k, n in enumerate((0, 1, 100, 70_000, 3, 200_000, 5), start=8)]
    stream = b"".join(frame(k, p) for k, p in sent)
    got = []
    for at in range(0, len(stream), 9_973):
        peer.sendall(stream[at : at + 9_973])
        while conn.receive(0):
            pass
        while (f := conn.next_frame()) is not None:
            got.append(f)
    assert got == sent


def test_a_broken_header_is_a_protocol_error(ends):
    conn, peer = ends
    peer.sendall(b"\xff\xff\xff\x7f\x0a\0\0\0")
    conn.receive()
    with pytest.raises(ProtocolError):
        conn.next_frame()


def test_receive_returns_false_when_nothing_comes_in_time(ends):
    conn, _ = ends
    assert conn.receive(0) is False
    assert conn.receive(0.01) is False


def test_the_end_of_the_stream_is_an_error(ends):
    conn, peer = ends
    peer.close()
    with pytest.raises(EOFError):
        conn.receive()


def test_what_is_appended_goes_out_in_order_in_one_write(ends):
    conn, peer = ends
    conn.out += [frame(8, b"a"), frame(9, b"b")]
    conn.flush()
    assert peer.recv(100) == frame(8, b"a") + frame(9, b"b")
    conn.flush()
    peer.setblocking(False)
    with pytest.raises(BlockingIOError):
        peer.recv(1)


def test_long_output_is_written_completely(ends):
    conn, peer = ends
    data = os.urandom(1 << 20)
    conn.out.append(data)
    got = bytearray()

    import threading

    writer = threading.Thread(target=conn.flush)
    writer.start()
    while len(got) < len(data):
        got += peer.recv(1 << 16)
    writer.join()
    assert got == data


def test_descriptors_go_beside_their_wire(ends):
    conn, peer = ends
    r, w = os.pipe()
    conn.out.append(frame(8, b"first"))
    conn.append_file(32, b"second", w)
    conn.out.append(frame(9, b"third"))
    conn.append_file(32, b"fourth", r)
    os.close(r)
    os.close(w)
    conn.flush()
    data, fds, _, _ = socket.recv_fds(peer, 1000, 8)
    while len(data) < 4 * 8 + 5 + 6 + 5 + 6:
        more, more_fds, _, _ = socket.recv_fds(peer, 1000, 8)
        data, fds = data + more, fds + more_fds
    assert data == frame(8, b"first") + frame(32, b"second") + frame(9, b"third") + frame(32, b"fourth")
    assert len(fds) == 2
    os.write(fds[0], b"x")
    assert os.read(fds[1], 1) == b"x"
    for fd in fds:
        os.close(fd)


def test_received_descriptors_are_kept_in_order_and_close_on_exec(ends):
    conn, peer = ends
    r, w = os.pipe()
    socket.send_fds(peer, [frame(32, b"a")], [r])
    socket.send_fds(peer, [frame(32, b"b")], [w])
    os.close(r)
    os.close(w)
    while len(conn.files_in) < 2:
        conn.receive()
    first, second = conn.files_in
    assert not os.get_inheritable(first)
    os.write(second, b"y")
    assert os.read(first, 1) == b"y"


def test_more_descriptors_than_wire_take_are_a_protocol_error(ends):
    conn, peer = ends
    r, w = os.pipe()
    with pytest.raises(ProtocolError):
        for _ in range(20):
            socket.send_fds(peer, [b"x"], [r])
            conn.receive()
    os.close(r)
    os.close(w)


class _Stop(Exception):
    pass


def test_an_exception_after_the_system_call_does_not_lose_what_was_read(ends):
    conn, peer = ends
    peer.sendall(frame(8, b"kept"))
    conn._got.extend(map(conn.sock.recvmsg_into, (conn._buffers,), (_conn._ANCILLARY,)))  # where the exception strikes
    assert conn.receive() is True
    assert conn.next_frame() == (8, b"kept")


def test_an_exception_after_the_system_call_does_not_send_twice(ends):
    conn, peer = ends
    conn.out.append(frame(8, b"once"))
    conn._fill_tail()
    conn._sent.extend(map(conn.sock.send, (conn._tail,)))  # where the exception strikes
    conn.flush()
    assert peer.recv(100) == frame(8, b"once")


def test_a_closed_connection_writes_to_no_file_that_has_its_number(ends):
    conn, _ = ends
    number = conn.sock.fileno()
    other, end = socket.socketpair()
    conn.close_socket()
    os.dup2(other.fileno(), number)
    conn.out.append(frame(8, b"stray"))
    with pytest.raises(OSError, match="Bad file descriptor"):
        conn.flush()
    with pytest.raises(OSError, match="Bad file descriptor"):
        conn.receive()
    end.setblocking(False)
    with pytest.raises(BlockingIOError):
        end.recv(1)
    os.close(number)
    other.close()
    end.close()
