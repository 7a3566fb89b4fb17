"""The offset before which every alert of a partition is delivered."""

from __future__ import annotations


class OffsetTracker:
    """Counts the unfinished deliveries of each input offset. Offsets may finish in any order.

    Parameters
    ----------
    offset
        The first offset of the partition to deliver.

    Attributes
    ----------
    committable
        All deliveries of lower offsets are finished.

    Examples
    --------
    >>> offsets = OffsetTracker(10)
    >>> for offset, deliveries in ((10, 2), (11, 1), (12, 0)):
    ...     offsets.begin(offset, deliveries)
    >>> offsets.finish(11)
    >>> offsets.committable
    10
    >>> offsets.finish(10)
    >>> offsets.finish(10)
    >>> offsets.committable
    13
    """

    def __init__(self, offset: int) -> None:
        self.committable = offset
        self._next = offset
        self._unfinished: dict[int, int] = {}

    @property
    def unfinished(self) -> int:
        """Number of offsets with unfinished deliveries."""
        return len(self._unfinished)

    def begin(self, offset: int, deliveries: int) -> None:
        """Add the record at ``offset``, which has this many deliveries. Offsets must increase."""
        self._next = offset + 1
        if deliveries:
            self._unfinished[offset] = deliveries
        self._advance()

    def finish(self, offset: int) -> None:
        """Record that one delivery of an offset is finished."""
        self._unfinished[offset] -= 1
        if not self._unfinished[offset]:
            del self._unfinished[offset]
            self._advance()

    def _advance(self) -> None:
        # Offsets were inserted in increasing order, so the first one is the lowest.
        self.committable = next(iter(self._unfinished), self._next)
