"""Events that could not be read: counted by reason, each reason with one example."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator

from pivotwatch.contracts.dead_letters import about_of
from pivotwatch.contracts.events import BadEvent
from pivotwatch.contracts.records import Output

MAX_REASONS = 1_000
MAX_EXAMPLE = 1_000
FURTHER = "further reasons"


@dataclasses.dataclass(slots=True)
class Rejected:
    """Events that were rejected for one reason.

    Attributes
    ----------
    reason
        The field, and what is expected of it.
    count
        Number of events.
    place
        Where the first one stands, such as ``events.jsonl line 7``.
    example
        The first one as text, at most 1,000 characters of it.
    """

    reason: str
    count: int
    place: str
    example: str


class Rejections:
    """Every reason for which an event was rejected.

    Parameters
    ----------
    strict
        Whether the first bad event raises `BadEvent`.

    Examples
    --------
    >>> rejections = Rejections()
    >>> rejections.add("not JSON", "event 3", b"{")
    >>> rejections.add("not JSON", "event 9", b"[")
    >>> list(rejections)
    [Rejected(reason='not JSON', count=2, place='event 3', example='{')]
    >>> Rejections(strict=True).add("not JSON", "event 3", b"{")
    Traceback (most recent call last):
    pivotwatch.contracts.events.BadEvent: event 3: not JSON
    """

    def __init__(self, *, strict: bool = False) -> None:
        self.strict = strict
        self._by_reason: dict[str, Rejected] = {}

    def __iter__(self) -> Iterator[Rejected]:
        """The most frequent reason first."""
        return iter(sorted(self._by_reason.values(), key=lambda rejected: -rejected.count))

    @property
    def total(self) -> int:
        """Number of rejected events."""
        return sum(rejected.count for rejected in self._by_reason.values())

    def add(self, reason: str, place: str, example: bytes, count: int = 1) -> None:
        """Count events that were rejected for a reason.

        Raises
        ------
        BadEvent
            When bad events are not allowed.
        """
        if self.strict:
            raise BadEvent(f"{place}: {reason}")
        known = self._by_reason.get(reason)
        if known is None and len(self._by_reason) >= MAX_REASONS:
            reason = FURTHER
            known = self._by_reason.get(reason)
        if known is None:
            text = example[: 4 * MAX_EXAMPLE].decode(errors="replace")
            known = self._by_reason[reason] = Rejected(reason, 0, place, text[:MAX_EXAMPLE])
        known.count += count

    def take(self, letter: Output, place_of: Callable[[int], str]) -> None:
        """Count a dead letter.

        Parameters
        ----------
        letter
            An output for the dead-letter topic.
        place_of
            Names the place of a record by its offset.
        """
        about = about_of(letter.headers)
        place = place_of(int(about.offset)) if about.offset else ""
        if about.position:
            place += f", element {int(about.position) + 1}"
        self.add(about.message, place, letter.value)
