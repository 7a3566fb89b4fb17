"""Which models a partition knows by name, and which of them it follows.

Whoever may send requests may make up names, so both numbers are bounded, and the names that are kept are
those that many accounts use. The *reach* of a name in a bucket is the sum over the accounts that asked for
it of 1000 / (names that the account asked for in the bucket), rounded down; the greatest of any bucket
counts. One account gives away 1000 a bucket, however many names it makes up.

A name is forgotten when it was not used for 90 days: if it comes back, it is new. Beyond `MAX_KNOWN` names
those of least reach are forgotten at once and counted. A name is followed from its first bucket on, if it has
a place among the `MAX_FOLLOWED` of greatest reach, until 90 days after its first sight. One that finds no
place waits, and takes one when it is used and has a greater reach than one that is followed. One that
lost its place is never followed again while it is known: what its accounts did meanwhile would be missing.

All of it follows from the closed buckets alone, one by one.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

from pivotwatch_models.method import STATE

MAX_FOLLOWED, MAX_KNOWN = STATE.candidates.max_followed, STATE.candidates.max_known
WAITING, FOLLOWED, OVER = 0, 1, 2


@dataclasses.dataclass(slots=True)
class Known:
    """What is known of a name.

    Attributes
    ----------
    first, last
        The buckets in which it was used first and last.
    requests
        All requests so far.
    reach
        The greatest reach of any bucket.
    place
        Waiting for a place, followed, or neither any more.
    since
        The bucket from which it is followed; -1: never was.
    """

    first: int
    last: int
    requests: int = 0
    reach: int = 0
    place: int = WAITING
    since: int = -1


class ModelTracker:
    """The names of models that one partition knows.

    Parameters
    ----------
    keep
        Buckets after which a name that is not used is forgotten, and one that is used is not new any more.

    Attributes
    ----------
    dropped
        Names that found no place among the followed, or lost it.
    forgotten
        Names that were forgotten because there were too many.

    Examples
    --------
    >>> known = ModelTracker(keep=90)
    >>> known.take(7, {"m-2": (40, 9_000), "typo": (1, 1_000)})
    >>> known.followed(), known.names["m-2"].first
    (['m-2', 'typo'], 7)
    >>> known.expire(97)
    >>> known.followed(), list(known.names)
    ([], ['m-2', 'typo'])
    >>> known.expire(98)
    >>> list(known.names)
    []
    """

    def __init__(self, keep: int) -> None:
        self.keep = keep
        self.names: dict[str, Known] = {}
        self.dropped = self.forgotten = 0

    def followed(self) -> list[str]:
        """The models that are followed, sorted."""
        return sorted(name for name, known in self.names.items() if known.place == FOLLOWED)

    def expire(self, bucket: int) -> None:
        """Forget what was not used for so long; what was seen first so long ago is not new any more."""
        oldest = bucket - self.keep
        for name in [name for name, known in self.names.items() if known.last < oldest]:
            del self.names[name]
        for known in self.names.values():
            if known.first <= oldest:
                known.place = OVER

    def take(self, bucket: int, use: Mapping[str, tuple[int, int]]) -> None:
        """Note the requests and the reach of each model that was used in a bucket."""
        for name, (requests, reach) in use.items():
            known = self.names.setdefault(name, Known(bucket, bucket))
            known.last = bucket
            known.requests += requests
            known.reach = max(known.reach, reach)
        self._place(bucket, use)
        self._bound()

    def _place(self, bucket: int, use: Iterable[str]) -> None:
        """Give the places to those of greatest reach: of the followed, and of the waiting that were used."""
        names = self.names
        before = [name for name, known in names.items() if known.place == FOLLOWED]
        waiting = [name for name in use if names[name].place == WAITING]
        if not waiting:
            return
        ranked = sorted([*before, *waiting], key=self._rank)
        for name in ranked[:MAX_FOLLOWED]:
            if names[name].place == WAITING:
                names[name].place, names[name].since = FOLLOWED, bucket
        for name in ranked[MAX_FOLLOWED:]:
            known = names[name]
            if known.place == FOLLOWED:
                known.place = OVER
                self.dropped += 1
            elif known.first == bucket:
                self.dropped += 1

    def _bound(self) -> None:
        """Forget the names of least reach, when there are too many."""
        over = len(self.names) - MAX_KNOWN
        if over > 0:
            ranked = sorted(self.names, key=self._kept_rank)
            for name in ranked[MAX_KNOWN:]:
                del self.names[name]
            self.forgotten += over

    def _rank(self, name: str) -> tuple[int, int, bool, int, str]:
        """Who comes first keeps or takes a place; of equals the one that has it, then the older one."""
        known = self.names[name]
        return -known.reach, -known.requests, known.place != FOLLOWED, known.first, name

    def _kept_rank(self, name: str) -> tuple[bool, int, int, bool, int, str]:
        return self.names[name].place != FOLLOWED, *self._rank(name)

    def snapshot(self) -> list[list[Any]]:
        """State, JSON-able, sorted."""
        return [[name, *dataclasses.astuple(known)] for name, known in sorted(self.names.items())]

    def restore(self, rows: Iterable[list[Any]]) -> None:
        """Continue exactly where `snapshot` was taken."""
        self.names = {name: Known(*fields) for name, *fields in rows}
