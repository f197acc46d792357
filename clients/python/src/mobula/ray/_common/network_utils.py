"""Ray's ``ray._common.network_utils``: addresses as text."""

from __future__ import annotations

import socket

__all__ = ["build_address", "find_free_port", "get_localhost_ip", "is_ipv6", "is_localhost", "parse_address"]


def build_address(host: str, port: int | str) -> str:
    """Returns ``host:port``, an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def parse_address(address: str) -> tuple[str, str] | None:
    """Returns host and port of ``host:port`` or ``[host]:port``; None without a port."""
    host, colon, port = address.rpartition(":")
    if not colon:
        return None
    if host.startswith("[") and host.endswith("]"):
        return host[1:-1], port
    return None if ":" in host else (host, port)


def is_ipv6(host: str) -> bool:
    """Reports whether a host is, or has only, an IPv6 address."""
    try:
        return {family for family, *_ in socket.getaddrinfo(host, None)} == {socket.AF_INET6}
    except OSError:
        return False


def get_localhost_ip() -> str:
    """Returns the loopback address."""
    return "127.0.0.1"


def is_localhost(host: str) -> bool:
    """Reports whether a host is this machine's loopback."""
    return host in ("localhost", "127.0.0.1", "::1")


def find_free_port(family: socket.AddressFamily = socket.AF_INET) -> int:
    """Returns a port that nobody listens on at the moment."""
    with socket.socket(family, socket.SOCK_STREAM) as s:
        s.bind(("", 0))
        return int(s.getsockname()[1])
