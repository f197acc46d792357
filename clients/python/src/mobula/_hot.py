"""The inner loops of the client: those in C where this package has them, else those in Python.

A package that was built without a C compiler, another kind of Python, and MOBULA_PURE_PYTHON=1 in the environment have those in Python.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING or os.environ.get("MOBULA_PURE_PYTHON", "0") not in ("", "0"):
    from mobula._pure import Core, Pipe, Ref, done_frame, first_ready, make_refs, ref_ids, split_ids, unique_ids
else:
    try:
        from mobula._fast import Core, Pipe, Ref, done_frame, first_ready, make_refs, ref_ids, split_ids, unique_ids
    except ImportError:
        from mobula._pure import Core, Pipe, Ref, done_frame, first_ready, make_refs, ref_ids, split_ids, unique_ids

__all__ = ["Core", "Pipe", "Ref", "done_frame", "first_ready", "make_refs", "ref_ids", "split_ids", "unique_ids"]
