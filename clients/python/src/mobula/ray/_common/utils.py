"""Ray's ``ray._common.utils``, as far as programs use it."""

from mobula.ray._private.utils import binary_to_hex, get_or_create_event_loop, get_system_memory, hex_to_binary

__all__ = ["binary_to_hex", "get_or_create_event_loop", "get_system_memory", "hex_to_binary"]
