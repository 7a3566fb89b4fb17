"""Reports rejected events as dead letters, a bounded number for each record."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from pivotwatch.contracts.dead_letters import WHOLE_BYTES
from pivotwatch.contracts.events import EXPLAINED, BadEvent, array_elements
from pivotwatch.contracts.records import InputRecord

MAX_LETTERS = EXPLAINED
"""Rejected events of one record that have a dead letter each. The others of the record share one."""

OnBad = Callable[[InputRecord, bytes | None, int | None, BadEvent], None]


class RejectedEvents:
    """Reports the rejected events of a record, in order.

    The first `MAX_LETTERS` events of a record have a dead letter each. The others share one, whose value is
    an array of them. So it can be sent again without counting the good events of the record twice. When they
    are too long for one value, they share several.

    Parameters
    ----------
    on_bad
        Called for each dead letter: with the record, the value, the position when the value is one element of
        an array, and the reason.

    Examples
    --------
    >>> from pivotwatch.contracts.records import Line
    >>> letters = []
    >>> rejected = RejectedEvents(lambda record, raw, place, error: letters.append((raw, place, str(error))))
    >>> record = Line(b"[" + b"0," * 200 + b"0]")
    >>> for place in range(MAX_LETTERS + 2):
    ...     rejected.add(record, place, BadEvent("expected an object"))
    >>> rejected.finish()
    >>> letters[MAX_LETTERS - 1 :]
    [(b'0', 99, 'expected an object'), (b'[0,0]', None, '2 more events of this record: expected an object')]
    """

    def __init__(self, on_bad: OnBad) -> None:
        self._on_bad = on_bad
        self._record: InputRecord | None = None
        self._elements: Sequence[bytes] = ()
        self._count = 0
        self._rest: list[int] = []
        self._error = BadEvent()

    def enter(self, record: InputRecord) -> None:
        """Finish the record before, when ``record`` is another one."""
        if self._record is not None and self._record is not record:
            self.finish()

    def add(self, record: InputRecord, place: int | None, error: BadEvent) -> None:
        """Reject one event of a record: its position when the record holds an array, and the reason."""
        if self._record is not record:
            self.finish()
            self._record = record
            self._elements = () if place is None else array_elements(record.value or b"")
        self._count += 1
        if place is None:
            self._on_bad(record, record.value, place, error)
        elif self._count <= MAX_LETTERS:
            self._on_bad(record, self._elements[place], place, error)
        else:
            self._error = self._error if self._rest else error
            self._rest.append(place)

    def finish(self) -> None:
        """Report the events that share a dead letter. No more events of the record follow."""
        record, self._record = self._record, None
        if record is not None and self._rest:
            for part in _parts([self._elements[place] for place in self._rest]):
                error = BadEvent(f"{len(part):,} more events of this record: {self._error}")
                self._on_bad(record, b"[" + b",".join(part) + b"]", None, error)
        self._count, self._rest, self._elements = 0, [], ()


def _parts(found: Sequence[bytes]) -> Iterator[list[bytes]]:
    """Divide elements into parts, each of which is no longer than the value of a dead letter."""
    part: list[bytes] = []
    size = 2
    for raw in found:
        if part and size + len(raw) + 1 > WHOLE_BYTES:
            yield part
            part, size = [], 2
        part.append(raw)
        size += len(raw) + 1
    if part:
        yield part
