"""A process's part of the object store: shared memory that it writes, and that it reads.

Large values lie in memfd segments, each written by one process and mapped by all others read-only (docs/protocol.md section 7, docs/values.md "Stored
layout"). Reading copies nothing: what is got are read-only memoryviews into the mapping, and what is built on them, numpy's arrays above all.

# How long memory stays

Each value that is opened has one ctypes array over its block. Every view of the value, through however many slices and arrays, keeps that array
alive, and its end is what a weak reference tells (one to a memoryview tells too early: numpy keeps the memory, not the memoryview). Until then

* a value that was got is held at the node, as if by one more ref;
* an argument of a task is the node's to free when the task is done. One that user code has kept a view of is held before that, as if by a ref;
* the mapping stays, whatever becomes of the session.

# Locks

Everything is guarded by the session's lock. Finalisers take none.
"""

from mobula._store.layout import read_stored, stored_size, write_stored
from mobula._store.memory import PAGE, copy
from mobula._store.segment import Extents, Own, check
from mobula._store.store import Store

__all__ = ["PAGE", "Extents", "Own", "Store", "check", "copy", "read_stored", "stored_size", "write_stored"]
