"""Up to which offset everything is delivered."""

from __future__ import annotations


class Progress:
    """Counts what is under way per input offset; offsets may finish in any order.

    Examples
    --------
    >>> progress = Progress(10)
    >>> for offset, deliveries in ((10, 2), (11, 1), (12, 0)):
    ...     progress.begin(offset, deliveries)
    >>> progress.finish(11)
    >>> progress.done
    10
    >>> progress.finish(10)
    >>> progress.finish(10)
    >>> progress.done
    13
    """

    def __init__(self, offset: int) -> None:
        self.done = offset
        self._next = offset
        self._under_way: dict[int, int] = {}

    @property
    def under_way(self) -> int:
        """How many offsets are not finished."""
        return len(self._under_way)

    def begin(self, offset: int, count: int) -> None:
        """So many deliveries come from the record at an offset; offsets rise."""
        self._next = offset + 1
        if count:
            self._under_way[offset] = count
        self._move()

    def finish(self, offset: int) -> None:
        """One of them is finished."""
        self._under_way[offset] -= 1
        if not self._under_way[offset]:
            del self._under_way[offset]
            self._move()

    def _move(self) -> None:
        # They were put in by rising offset, so the first is the lowest.
        self.done = next(iter(self._under_way), self._next)
