"""Ray's ``ray._private.services``: the address of this machine."""

from mobula.util.helpers import get_node_ip_address

__all__ = ["get_node_ip_address"]
