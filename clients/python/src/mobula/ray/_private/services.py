"""Ray's ``ray._private.services``: the address of this machine."""

import os

from mobula.util.helpers import get_node_ip_address

__all__ = ["get_node_instance_id", "get_node_ip_address"]


def get_node_instance_id() -> str:
    """Returns the cloud's id of this machine, which is in RAY_CLOUD_INSTANCE_ID; an empty text without one."""
    return os.environ.get("RAY_CLOUD_INSTANCE_ID", "")
