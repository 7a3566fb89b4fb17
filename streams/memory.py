"""Memory of a worker: what is freed goes back to the system, and what stays is not looked at again."""

from __future__ import annotations

import ctypes
import gc

YOUNG = 50_000
"""Objects made before the collector looks at the youngest; Python's default is 700."""


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
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
