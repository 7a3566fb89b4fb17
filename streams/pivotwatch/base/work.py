"""Work in slices: what takes long can be left alone for a while, so that others may run.

A close of a bucket, a score or a snapshot of a million accounts takes seconds. As a generator it pauses every
few milliseconds; who drives it decides for how long.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T")
S = TypeVar("S")
Ints = NDArray[np.int64]

Work = Generator[None, None, T]
"""What may be left alone at every ``yield``; what it returns is the result."""

PART = 8192
"""So many things are dealt with one by one before others may run."""


def at_once(work: Work[T]) -> T:
    """Do work without a pause.

    Examples
    --------
    >>> def work():
    ...     yield
    ...     return 7
    >>> at_once(work())
    7
    """
    while True:
        try:
            next(work)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]  # of the generator's type


def parts(numbers: Ints) -> list[Ints]:
    """An array in parts of `PART`.

    Examples
    --------
    >>> [len(part) for part in parts(np.arange(PART + 1))]
    [8192, 1]
    """
    return [numbers[start : start + PART] for start in range(0, len(numbers), PART)]


def sliced(things: Sequence[S]) -> list[Sequence[S]]:
    """A sequence in parts of `PART`."""
    return [things[start : start + PART] for start in range(0, len(things), PART)]
