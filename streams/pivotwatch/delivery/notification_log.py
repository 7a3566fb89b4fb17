"""The delivery log: what each target was told of each incident.

It lives in a compacted changelog. A worker that restarts reads it, and does not tell again what it
has told; an incident that is over stays in it as long as its alerts may be read again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from pivotwatch.base.errors import WrongUse
from pivotwatch.contracts.alerts import Alert
from pivotwatch.contracts.codec import encode, parser
from pivotwatch.delivery.dedup import Told
from pivotwatch.engine.checkpoint import Changelog
from pivotwatch.engine.state_migration import StateRefused
from pivotwatch_models.incidents.terms import Severity

Key = tuple[str, str]
"""Name of the target, id of the alert."""


class NotificationLog:
    """The log of one partition of ``alerts``.

    Parameters
    ----------
    changelog
        Where it is kept.
    stored
        What is kept there.
    """

    def __init__(self, changelog: Changelog, stored: Mapping[bytes, bytes]) -> None:
        self._changelog = changelog
        self._told: dict[Key, Told] = {}
        self._written: dict[Key, int] = {}
        for raw_key, raw in stored.items():
            try:
                key, entry = read_key(raw_key), read_entry(raw)
            except (WrongUse, UnicodeDecodeError) as error:
                raise StateRefused(
                    f"the delivery log cannot be read: {error}; --reset-state forgets what was delivered"
                ) from None
            self._written[key] = entry.written
            self._told[key] = Told(entry.revision, entry.severity, entry.open, entry.alert, entry.members)

    def get(self, key: Key) -> Told | None:
        """What a target was told of an incident."""
        return self._told.get(key)

    def remember(self, key: Key, told: Told) -> None:
        """Note what a target was told."""
        self._told[key] = told

    def open_of(self, target: str) -> Iterator[Told]:
        """What a target holds as going on."""
        return (told for (name, _), told in self._told.items() if name == target and told.open)

    async def keep(self, key: Key, now: int) -> None:
        """Write what was noted, and wait until the broker has it."""
        told = self._told[key]
        entry = Entry(
            revision=told.revision,
            severity=told.severity,
            open=told.open,
            alert=told.alert,
            members=told.members,
            written=now,
        )
        self._written[key] = now
        await (await self._changelog.send(_write_key(key), encode(entry)))

    async def forget_before(self, oldest: int) -> None:
        """Delete incidents that were over before a moment (epoch milliseconds)."""
        old = [key for key, written in self._written.items() if written < oldest and not self._told[key].open]
        for key in old:
            del self._told[key], self._written[key]
            await (await self._changelog.send(_write_key(key), None))


class Entry(msgspec.Struct, kw_only=True):
    """What is kept of an incident, with the moment when it was written."""

    revision: int
    severity: Severity
    open: bool
    written: int
    alert: Alert | None = None
    members: int = 0


read_entry = parser(Entry, "an entry of the delivery log")
"""What is kept of an incident; raises `WrongUse`."""


def _write_key(key: Key) -> bytes:
    return "/".join(key).encode()


def read_key(raw: bytes) -> Key:
    """The target and the incident of an entry."""
    target, _, alert_id = raw.decode().partition("/")
    return target, alert_id
