"""The notification log: the last notification of each incident that each target got.

A compacted changelog topic stores the log. A worker that restarts reads it, and does not repeat
notifications. The entry of a closed incident stays as long as its alerts can be read again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from pivotwatch.base.errors import WrongUse
from pivotwatch.base.state_migration import StateRefused
from pivotwatch.contracts.alerts import Alert
from pivotwatch.contracts.codec import encode, parser
from pivotwatch.delivery.notification_policy import Notification
from pivotwatch.engine.checkpoint import Changelog
from pivotwatch_models.incidents.terms import Severity

Key = tuple[str, str]
"""Name of the target and id of the alert."""


class NotificationLog:
    """The notification log of one partition of ``alerts``.

    Parameters
    ----------
    changelog
        The changelog that stores the log.
    stored
        The entries in the changelog.

    Raises
    ------
    StateRefused
        When an entry cannot be read.
    """

    def __init__(self, changelog: Changelog, stored: Mapping[bytes, bytes]) -> None:
        self._changelog = changelog
        self._last: dict[Key, Notification] = {}
        self._written: dict[Key, int] = {}
        for raw_key, raw in stored.items():
            try:
                key, entry = read_key(raw_key), read_entry(raw)
            except WrongUse as error:
                raise StateRefused(
                    f"the notification log cannot be read: {error}; --reset-state deletes the "
                    "log, and targets may then get notifications again"
                ) from None
            self._written[key] = entry.written
            self._last[key] = Notification(
                entry.revision, entry.severity, entry.open, entry.alert, entry.members
            )

    @property
    def has_entries(self) -> bool:
        """Whether a target has ever got a notification that is still in the log."""
        return bool(self._last)

    def last(self, key: Key) -> Notification | None:
        """The last notification of an incident that a target got."""
        return self._last.get(key)

    def open_for(self, target: str) -> Iterator[Notification]:
        """The last notifications of all incidents that are open for a target."""
        return (last for (name, _), last in self._last.items() if name == target and last.open)

    async def record(self, key: Key, notification: Notification, now: int) -> None:
        """Write a notification to the changelog, and wait until Kafka has acknowledged it.

        Parameters
        ----------
        now
            Epoch milliseconds.
        """
        self._last[key] = notification
        self._written[key] = now
        entry = Entry(
            revision=notification.revision,
            severity=notification.severity,
            open=notification.open,
            alert=notification.alert,
            members=notification.members,
            written=now,
        )
        await (await self._changelog.send(_write_key(key), encode(entry)))

    async def delete_before(self, oldest: int) -> None:
        """Delete incidents that were closed before ``oldest`` (epoch milliseconds)."""
        old = [key for key, written in self._written.items() if written < oldest and not self._last[key].open]
        for key in old:
            del self._last[key], self._written[key]
            await (await self._changelog.send(_write_key(key), None))


class Entry(msgspec.Struct, kw_only=True):
    """A stored notification, and the time at which it was written (epoch milliseconds)."""

    revision: int
    severity: Severity
    open: bool
    written: int
    alert: Alert | None = None
    members: int = 0


read_entry = parser(Entry, "an entry of the notification log")
"""Parse a stored notification; raises `WrongUse` when it is damaged."""


def _write_key(key: Key) -> bytes:
    return "/".join(key).encode()


def read_key(raw: bytes | None) -> Key:
    """The target and the alert id in the key of an entry.

    Raises
    ------
    WrongUse
        When the key is none of an entry.

    Examples
    --------
    >>> read_key(b"pager/0123456789abcdef")
    ('pager', '0123456789abcdef')
    >>> read_key(b"pager")
    Traceback (most recent call last):
    pivotwatch.base.errors.WrongUse: not a key of the notification log: expected TARGET/ALERT_ID
    """
    target, slash, alert_id = (raw or b"").decode(errors="replace").partition("/")
    if not (target and slash and alert_id):
        raise WrongUse("not a key of the notification log: expected TARGET/ALERT_ID")
    return target, alert_id
