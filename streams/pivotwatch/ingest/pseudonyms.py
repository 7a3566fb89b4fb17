"""Pseudonyms: HMAC-SHA256 of a value, with the name of the key before it (``k1:9f…``).

Keys change at a moment of event time (``since``). So an event gets the same pseudonym however often
and whenever it is read, and both keys stay loaded while events from before the change still come.
A new key makes every account a new one: plan the change away from a release.
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
"""128 bits of the HMAC: no two accounts meet, and the state stays small."""
MAX_KNOWN = 200_000


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
    """A key and the event time from which on it is used."""

    since: int
    id: str
    secret: bytes

    def __repr__(self) -> str:
        return f"Key({self.id!r})"


class Pseudonyms:
    """Replaces values by pseudonyms.

    Parameters
    ----------
    fields
        Which fields: account, id, network, or a link (``links.payment``, ``links`` for all).
    keys
        In any order; one must be from the beginning.

    Examples
    --------
    >>> names = Pseudonyms(["account"], [Key(0, "k1", b"a secret of tests"), Key(1000, "k2", b"another one")])
    >>> names.of("acct-9", 999), names.of("acct-9", 1000)[:3]
    ('k1:48c3ad03fb4b13052dab199c37f06c23', 'k2:')
    """

    def __init__(self, fields: Sequence[str], keys: Sequence[Key]) -> None:
        self.fields = frozenset(fields)
        self.keys = sorted(keys, reverse=True)
        self._known: dict[tuple[str, str], str] = {}

    def covers(self, field: str) -> bool:
        """Is a field (``account``, ``links.payment``) replaced?"""
        return field in self.fields or (field.startswith("links.") and "links" in self.fields)

    def of(self, value: str, ts: int) -> str:
        """The pseudonym of a value in an event of a time."""
        key = next((key for key in self.keys if key.since <= ts), self.keys[-1])
        known = self._known.get((key.id, value))
        if known is None:
            if len(self._known) >= MAX_KNOWN:
                self._known.clear()
            known = self._known[key.id, value] = pseudonym(key, value)
        return known

    def replace(self, event: dict[str, Any]) -> None:
        """Replace what is to be replaced in a native event that has a time."""
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
        When one is missing, or from when on a key is used is not clear.
    """
    keys = [
        Key(0 if source.since is None else parse_time(source.since), source.id, source.secret())
        for source in sources
    ]
    if len({key.id for key in keys}) < len(keys) or len({key.since for key in keys}) < len(keys):
        raise WrongUse("ingest.pseudonyms.keys: expected a different id and a different since for each")
    if len({key.secret for key in keys}) < len(keys):
        raise WrongUse("ingest.pseudonyms.keys: two keys have the same secret")
    if keys and min(keys).since != 0:
        raise WrongUse("ingest.pseudonyms.keys: the first key must be without since")
    return keys
