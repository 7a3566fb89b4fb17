"""Which models count as released, and since when.

The calendar wins. A release without an entry is inferred: once the stream is 72 hours old, a model first seen
after that which at least 20 accounts over at least 5 networks use within 24 hours of its first sight. A model
that was seen before and returns is not new, unless nothing was seen of it for 90 days.

Whoever may send requests may make up names, so what is kept of them is bounded: a name is forgotten 90 days
after it was seen last. Beyond `MAX_SIGHTINGS` names, those that the fewest accounts used are forgotten.
"""

from __future__ import annotations

import dataclasses
from typing import Self

from pivotwatch_models.method import STATE

_INFERENCE = STATE.inference
MAX_SIGHTINGS = _INFERENCE.max_sightings
_KEEP_MS = STATE.membership.keep_ms


@dataclasses.dataclass(frozen=True, slots=True, order=True)
class Release:
    """A model and the moment of its release; ordered by model, then by moment.

    Attributes
    ----------
    released_at
        Epoch milliseconds.
    inferred
        Whether the calendar has no entry and the release follows from the stream.
    """

    model: str
    released_at: int
    inferred: bool = False


@dataclasses.dataclass(slots=True)
class _Sighting:
    """What is known of a model without a calendar entry."""

    first_seen: int
    last_seen: int
    accounts: int = 0
    networks: set[str] = dataclasses.field(default_factory=set)
    """At most as many as an inference needs; empty once the window has passed."""


class ReleaseCalendar:
    """Calendar entries and inferred releases.

    Attributes
    ----------
    stream_start
        Epoch milliseconds at which the stream begins, or began anew after a gap; None before the first event.
    forgotten
        Number of names forgotten because there were too many.

    Examples
    --------
    >>> from pivotwatch_models.settings import HOUR_MS
    >>> calendar = ReleaseCalendar()
    >>> calendar.begin(0)
    >>> calendar.enter("m-2", 100 * HOUR_MS)
    >>> calendar.get("m-2")
    Release(model='m-2', released_at=360000000, inferred=False)
    >>> for hour in range(100, 105):
    ...     calendar.sight("m-3", 100 * HOUR_MS, hour * HOUR_MS)
    ...     calendar.first_uses("m-3", hour * HOUR_MS, accounts=4, networks={f"net-{hour}"})
    >>> calendar.get("m-3")
    Release(model='m-3', released_at=360000000, inferred=True)
    """

    def __init__(self) -> None:
        self._entries: dict[str, int] = {}
        self._inferred: dict[str, int] = {}
        self._sightings: dict[str, _Sighting] = {}
        self.stream_start: int | None = None
        self.forgotten = 0
        self._last_active: int | None = None

    def begin(self, start: int) -> None:
        """Note a bucket with events, by its start. The stream begins with the first one.

        After a gap as long as the learning time it begins anew: a few old records before the stream of today
        teach nothing.
        """
        gap = start - (start if self._last_active is None else self._last_active)
        if self.stream_start is None or gap >= _INFERENCE.learning_ms:
            self.stream_start = start
        self._last_active = max(start, self._last_active or start)

    def enter(self, model: str, released_at: int | None) -> None:
        """Enter a calendar entry, move it, or delete it (None)."""
        if released_at is None:
            self._entries.pop(model, None)
        else:
            self._entries[model] = released_at

    def sight(self, model: str, first_seen: int, seen: int) -> None:
        """Note when a model was first seen, and that it was seen at ``seen``; epoch milliseconds."""
        sighting = self._sightings.setdefault(model, _Sighting(first_seen, seen))
        sighting.first_seen = min(sighting.first_seen, first_seen)
        sighting.last_seen = max(sighting.last_seen, seen)

    def sighted(self, model: str) -> bool:
        """Whether the model was seen, and not forgotten since."""
        return model in self._sightings

    def counts_first_uses(self, model: str, bucket_start: int) -> bool:
        """Whether first uses in a bucket still count towards an inferred release."""
        if model in self._inferred or self.stream_start is None:
            return False
        return bucket_start < self._sightings[model].first_seen + _INFERENCE.window_ms

    def first_uses(self, model: str, bucket_start: int, accounts: int, networks: set[str]) -> None:
        """Count the accounts that used the model for the first time in a bucket, and their networks."""
        if self.stream_start is None or not self.counts_first_uses(model, bucket_start):
            return
        sighting = self._sightings[model]
        sighting.accounts += accounts
        if (room := _INFERENCE.min_networks - len(sighting.networks)) > 0:  # More networks decide nothing.
            sighting.networks.update(sorted(networks - sighting.networks)[:room])
        is_new = sighting.first_seen >= self.stream_start + _INFERENCE.learning_ms
        enough = sighting.accounts >= _INFERENCE.min_accounts
        if is_new and enough and len(sighting.networks) >= _INFERENCE.min_networks:
            self._inferred[model] = sighting.first_seen
            sighting.networks = set()

    def forget(self, start: int, watch_ms: int) -> None:
        """Forget names that no longer matter in the bucket that begins at ``start``.

        Names whose release is watched, or will be, are kept.
        """
        releases = {**self._inferred, **self._entries}
        kept = {model for model, at in releases.items() if start < at + watch_ms}
        for sighting in self._sightings.values():
            if start >= sighting.first_seen + _INFERENCE.window_ms:
                sighting.networks = set()
        others = [(model, s) for model, s in self._sightings.items() if model not in kept]
        for model in [model for model, s in others if s.last_seen < start - _KEEP_MS]:
            self._forget(model)
        if len(others) > MAX_SIGHTINGS:
            left = [(model, s) for model, s in others if model in self._sightings]
            left.sort(key=lambda item: (-item[1].accounts, -item[1].last_seen, item[0]))
            for model, _ in left[MAX_SIGHTINGS:]:
                self._forget(model)
                self.forgotten += 1

    def _forget(self, model: str) -> None:
        del self._sightings[model]
        self._inferred.pop(model, None)

    def get(self, model: str) -> Release | None:
        """The release of a model; None when it has none."""
        if model in self._entries:
            return Release(model, self._entries[model])
        if model in self._inferred:
            return Release(model, self._inferred[model], inferred=True)
        return None

    def watched(self, start: int, end: int, watch_ms: int) -> list[Release]:
        """Releases whose watch overlaps the bucket [start, end), by model."""
        names = sorted({*self._entries, *self._inferred})
        releases = [release for name in names if (release := self.get(name))]
        return [r for r in releases if r.released_at < end and start < r.released_at + watch_ms]

    def snapshot(self) -> dict[str, object]:
        """State, JSON-able."""
        return {
            "start": self.stream_start,
            "entries": dict(sorted(self._entries.items())),
            "inferred": dict(sorted(self._inferred.items())),
            "sightings": {
                model: [s.first_seen, s.accounts, sorted(s.networks), s.last_seen]
                for model, s in sorted(self._sightings.items())
            },
            "forgotten": self.forgotten,
            "last_active": self._last_active,
        }

    @classmethod
    def restored(cls, state: dict[str, object]) -> Self:
        """A calendar that continues exactly where `snapshot` was taken."""
        calendar = cls()
        calendar.stream_start = state["start"]  # type: ignore[assignment]  # JSON
        calendar._last_active = state.get("last_active")  # type: ignore[assignment]  # earlier states lack it
        calendar._entries = dict(state["entries"])  # type: ignore[call-overload]
        calendar._inferred = dict(state["inferred"])  # type: ignore[call-overload]
        calendar.forgotten = state["forgotten"]  # type: ignore[assignment]  # JSON
        for model, (first, accounts, networks, last) in state["sightings"].items():  # type: ignore[attr-defined]
            calendar._sightings[model] = _Sighting(first, last, accounts, set(networks))
        return calendar
