"""The model names that a partition knows, and the models that it follows as candidates.

A sender of requests may invent names. So both numbers are bounded, and the names that many accounts use are
kept. The *reach* of a name in a bucket is the sum of 1000 / n, rounded down, over the accounts that
requested it, where n is the number of names that the account requested in the bucket. The greatest reach of
any bucket counts. One account adds 1000 to all reaches of a bucket, however many names it invents.

A name is forgotten when it was not used for 90 days. If it comes back, it is new. Beyond `MAX_KNOWN` names
the names of least reach are forgotten at once, and counted. A model is followed from its first bucket until
90 days later, if it is among the `MAX_FOLLOWED` of greatest reach. A model that is not among them waits. It
is followed as soon as it is used and has a greater reach than one that is followed. A model that was
followed and lost its place is never followed again while its name is known: what its accounts did meanwhile
would be missing.

All of this follows from the closed buckets alone, one by one.
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
    """A model name that the partition knows.

    Attributes
    ----------
    first, last
        The first and last bucket in which it was used.
    requests
        All requests so far.
    reach
        The greatest reach of any bucket.
    place
        `WAITING` for a place, `FOLLOWED`, or `OVER`: never followed any more.
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
    """The model names that one partition knows.

    Parameters
    ----------
    keep
        Number of buckets without use after which a name is forgotten, and for which a new model is followed.

    Attributes
    ----------
    dropped
        Number of models that found no place among the followed, or lost it.
    forgotten
        Number of names that were forgotten because there were too many.

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
        """The models that are followed, sorted by name."""
        return sorted(name for name, known in self.names.items() if known.place == FOLLOWED)

    def expire(self, bucket: int) -> None:
        """Forget the names that were not used for ``keep`` buckets, and end the following of old models."""
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
        """Give the places to the models of greatest reach: the followed, and the waiting that were used."""
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
        """Forget the names of least reach when there are too many."""
        over = len(self.names) - MAX_KNOWN
        if over > 0:
            ranked = sorted(self.names, key=self._kept_rank)
            for name in ranked[MAX_KNOWN:]:
                del self.names[name]
            self.forgotten += over

    def _rank(self, name: str) -> tuple[int, int, bool, int, str]:
        """Sort key: the first get a place. Of equals the model that has one comes first, then the older."""
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
