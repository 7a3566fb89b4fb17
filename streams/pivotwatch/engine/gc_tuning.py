"""Memory of a worker: what is freed goes back to the system, and what stays is not looked at again."""

from __future__ import annotations

import ctypes
import gc
import itertools

YOUNG = 50_000
"""Objects made before the collector looks at the youngest by itself; Python's default is 700."""
FULL_EACH = 100
"""Every so many times that memory is given back, the collector looks at all objects, not at the new alone."""

_counter = itertools.count(1)
# Once: every `CDLL` makes a class of its own for its functions, which is cyclic garbage afterwards.
_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)


def settle() -> None:
    """Take what the process has loaded out of the garbage collector's sight, and let it look less often.

    Records come and go by the ten thousand and hold no cycles, so looking at them is work for nothing.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, 20, 50)


def give_back() -> None:
    """Give memory that is free back to the system; takes a few milliseconds.

    A bucket that closes frees arrays of tens of megabytes in pieces, which glibc keeps: without
    this twice as much memory stays resident. Other C libraries have no such call, nor need of it.

    Connections that were closed and exceptions that were raised are cycles. By itself the collector would
    leave them for hours after `settle`, since hardly more objects are made here than go.
    """
    gc.collect(2 if next(_counter) % FULL_EACH == 0 else 1)
    if _trim is not None:
        _trim(0)
