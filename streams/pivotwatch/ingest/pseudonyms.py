"""Pseudonyms: the HMAC-SHA256 of a value, after the id of the key (``k1:9f…``).

A key starts at a point of event time (``since``). An event therefore gets the same pseudonym every time
it is read. Keep the old key while events from before the change still arrive. With a new key every
account becomes a new account, so do not change the key near a release.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from typing import Annotated, Any, NamedTuple

from pydantic import Field, model_validator

from pivotwatch.base.errors import WrongUse
from pivotwatch.config.tables import SecretTable
from pivotwatch.contracts.events import BadEvent, parse_time

DIGITS = 32
"""Hexadecimal digits of the HMAC (128 bits): few enough for a small state, enough to avoid collisions."""
MAX_CACHED = 200_000


class KeySource(SecretTable):
    """One entry of ``ingest.pseudonyms.keys``: the id of a key, where its secret is and when it starts."""

    id: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,16}$")]
    since: str | int | None = None

    @model_validator(mode="after")
    def _since_is_a_time(self) -> KeySource:
        if self.since is not None:
            try:
                parse_time(self.since, "since")
            except BadEvent as error:
                raise ValueError(str(error)) from None
        return self

    def secret(self) -> bytes:
        """The secret of the key."""
        return self.read_secret(f"pseudonym key {self.id}")


class Key(NamedTuple):
    """A key, and the event time at which it starts (epoch milliseconds)."""

    since: int
    id: str
    secret: bytes

    def __repr__(self) -> str:
        return f"Key({self.id!r})"


class Pseudonyms:
    """Replaces values of events by pseudonyms.

    Parameters
    ----------
    fields
        Fields to replace: account, id, network, a link (``links.payment``) or all links (``links``).
    keys
        The keys in any order; one of them starts at 0.

    Examples
    --------
    >>> names = Pseudonyms(["account"], [Key(0, "k1", b"a secret of tests"), Key(1000, "k2", b"another one")])
    >>> names.of("acct-9", 999), names.of("acct-9", 1000)[:3]
    ('k1:48c3ad03fb4b13052dab199c37f06c23', 'k2:')
    """

    def __init__(self, fields: Sequence[str], keys: Sequence[Key]) -> None:
        self.fields = frozenset(fields)
        self.keys = sorted(keys, reverse=True)
        self._cache: dict[tuple[str, str], str] = {}

    def covers(self, field: str) -> bool:
        """Whether a field (such as ``account`` or ``links.payment``) is replaced."""
        return field in self.fields or (field.startswith("links.") and "links" in self.fields)

    def of(self, value: str, ts: int) -> str:
        """The pseudonym of a value in an event at ``ts`` (epoch milliseconds)."""
        key = next((key for key in self.keys if key.since <= ts), self.keys[-1])
        cached = self._cache.get((key.id, value))
        if cached is None:
            if len(self._cache) >= MAX_CACHED:
                self._cache.clear()
            cached = self._cache[key.id, value] = pseudonym(key, value)
        return cached

    def replace(self, event: dict[str, Any]) -> None:
        """Replace the values of a native event in place."""
        ts = event["ts"]
        for field in ("account", "id", "network"):
            if field in self.fields and event.get(field):
                event[field] = self.of(event[field], ts)
        links = event.get("links")
        if links:
            event["links"] = {
                kind: self.of(value, ts) if value and self.covers(f"links.{kind}") else value
                for kind, value in links.items()
            }


def pseudonym(key: Key, value: str) -> str:
    """The pseudonym of a value under one key."""
    digest = hmac.new(key.secret, value.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()
    return f"{key.id}:{digest[:DIGITS]}"


def load_keys(sources: Sequence[KeySource]) -> list[Key]:
    """Read the secrets of keys.

    Raises
    ------
    WrongUse
        When a secret is missing, or the starts of the keys are ambiguous.
    """
    keys = [
        Key(0 if source.since is None else parse_time(source.since), source.id, source.secret())
        for source in sources
    ]
    if len({key.id for key in keys}) < len(keys) or len({key.since for key in keys}) < len(keys):
        raise WrongUse("ingest.pseudonyms.keys: expected a different id and a different since for each key")
    if len({key.secret for key in keys}) < len(keys):
        raise WrongUse(
            "ingest.pseudonyms.keys: two keys have the same secret; make a new secret for the new key"
        )
    if keys and min(keys).since != 0:
        raise WrongUse(
            "ingest.pseudonyms.keys: remove since from the first key, which starts at the beginning"
        )
    return keys
