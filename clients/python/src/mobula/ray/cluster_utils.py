"""Ray's ``ray.cluster_utils``: a node beside the program, on this machine, for tests.

This version of Mobula has one node in a cluster: the first ``add_node`` starts it, a second raises NotImplementedError.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from typing import Any

import mobula
from mobula import _cli

__all__ = ["Cluster"]


class Cluster:
    """A cluster on this machine, of one node. ``init(address=cluster.address)`` joins it; ``shutdown`` ends it."""

    def __init__(
        self,
        initialize_head: bool = False,
        connect: bool = False,
        head_node_args: Mapping[str, Any] | None = None,
        shutdown_at_exit: bool = True,
    ) -> None:
        """Starts the node with head_node_args when initialize_head, and joins it when connect."""
        self.head_node: str | None = None
        self.connected = False
        if shutdown_at_exit:
            import atexit

            atexit.register(self.shutdown)
        if initialize_head:
            self.add_node(**(head_node_args or {}))
            if connect:
                self.connect()
        elif connect:
            raise RuntimeError("Cannot connect to uninitialized cluster.")

    @property
    def address(self) -> str | None:
        """What ``init(address=…)`` takes; None before there is a node."""
        return self.head_node

    def connect(self, namespace: str | None = None) -> None:
        """Makes this process a driver on the cluster."""
        if self.address is None:
            raise RuntimeError("the cluster has no node yet: call add_node first")
        mobula.init(address=self.address, namespace=namespace)
        self.connected = True

    def add_node(self, wait: bool = True, **node_args: Any) -> str:
        """Starts the node (num_cpus, num_gpus, memory in bytes, object_store_memory in bytes, resources, labels) and returns its address.

        Raises NotImplementedError when there is one already, RuntimeError when it does not start.
        """
        if self.head_node is not None:
            raise NotImplementedError("a cluster of several nodes is not part of this version of Mobula")
        directory = tempfile.mkdtemp(prefix="mobula-cluster-")
        command = [_cli.binary(), "up", "--detach", "--dir", directory, *_flags(node_args)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            shutil.rmtree(directory, ignore_errors=True)
            raise RuntimeError(f"start a node: {done.stderr.strip()}")
        self.head_node = directory
        return directory

    def remove_node(self, node: str, allow_graceful: bool = True) -> None:
        """Ends the node, and with it the cluster."""
        if node != self.head_node:
            raise ValueError(f"{node} is not a node of this cluster")
        self.shutdown()

    def wait_for_nodes(self, timeout: float = 30) -> None:
        """Returns: add_node has waited."""

    def list_all_nodes(self) -> list[str]:
        """Returns the addresses of the nodes."""
        return [self.head_node] if self.head_node is not None else []

    def shutdown(self) -> None:
        """Disconnects this process and ends the node. Idempotent."""
        node, self.head_node = self.head_node, None
        if node is None:
            return
        if self.connected:
            mobula.shutdown()
            self.connected = False
        subprocess.run([_cli.binary(), "down", "--address", node, "--force"], capture_output=True)
        shutil.rmtree(node, ignore_errors=True)


def _flags(node_args: Mapping[str, Any]) -> list[str]:
    """Returns the flags of ``mobula up`` for the arguments of Ray's nodes; those that have no meaning here are left out."""
    flags = []
    for name, flag in (("num_cpus", "--cpus"), ("num_gpus", "--gpus"), ("memory", "--memory"), ("object_store_memory", "--store-bytes")):
        if node_args.get(name) is not None:
            flags += [flag, str(node_args[name])]
    for name, quantity in (node_args.get("resources") or {}).items():
        flags += ["--resource", f"{name}={quantity}"]
    for name, value in (node_args.get("labels") or {}).items():
        flags += ["--labels", f"{name}={value}"]
    return flags
