"""Memory of a worker: tunes the garbage collector, and returns free memory to the system."""

from __future__ import annotations

import ctypes
import gc
import itertools

YOUNG = 50_000
"""Number of new objects after which the collector looks at the youngest; Python's default is 700."""
FULL_EACH = 100
"""Every this many calls of `give_back`, the collector looks at all objects and not only at new ones."""

_counter = itertools.count(1)
# Only once: every `CDLL` creates a class for its functions, which is cyclic garbage afterwards.
_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)


def settle() -> None:
    """Exclude everything loaded so far from garbage collection, and collect less often.

    Tens of thousands of records come and go and hold no cycles, so inspecting them is useless work.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, 20, 50)


def give_back() -> None:
    """Return free memory to the system; takes a few milliseconds.

    A bucket that closes frees arrays of tens of megabytes in pieces. glibc keeps these, and without this call
    twice as much memory stays resident. Other C libraries neither have nor need such a call.

    Closed connections and raised exceptions form cycles. After `settle`, the collector alone would leave them
    for hours, because few objects are created that are not freed soon.
    """
    gc.collect(2 if next(_counter) % FULL_EACH == 0 else 1)
    if _trim is not None:
        _trim(0)
