"""Comparing two streams of alerts, as the promise of exactness puts it.

Delivery is at least once, so an alert may come again; a repeat has the same CloudEvents id
and is equal to the byte. After repeats are dropped, two runs over the same events have the
same alerts, however often their workers died.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import orjson

from pivotwatch.base.errors import Fault, WrongUse


class DifferentRepeat(Fault):
    """Two alerts with the same id differ: the promise is broken within one stream."""


@dataclasses.dataclass(frozen=True, slots=True)
class Difference:
    """One alert that the streams do not share.

    Attributes
    ----------
    kind
        ``only in first``, ``only in second``, ``differs`` or ``order``.
    fields
        Of an alert that differs: path to the values in the first and in the second.
    """

    id: str
    kind: str
    fields: Mapping[str, tuple[Any, Any]] = dataclasses.field(default_factory=dict)


def distinct(lines: Iterable[bytes], name: str = "stream") -> dict[str, bytes]:
    """Alerts by CloudEvents id in order of first appearance.

    Raises
    ------
    DifferentRepeat
        When an id comes again with other bytes.

    Examples
    --------
    >>> list(distinct([b'{"id":"a.1"}', b'{"id":"a.2"}', b'{"id":"a.1"}']))
    ['a.1', 'a.2']
    >>> distinct([b'{"id":"a.1"}', b'{"id":"a.1","x":2}'])
    Traceback (most recent call last):
    ...
    pivotwatch.tools.compare_alerts.DifferentRepeat: stream: alert a.1 comes again with other content: \
x: nothing, then 2
    """
    found: dict[str, bytes] = {}
    for number, line in enumerate(lines, 1):
        identity = _identity(line, f"{name}, line {number}")
        first = found.setdefault(identity, line)
        if first != line:
            changes = "; ".join(f"{path}: {a}, then {b}" for path, (a, b) in _written_fields(first, line))
            raise DifferentRepeat(f"{name}: alert {identity} comes again with other content: {changes}")
    return found


def compare(
    first: Mapping[str, bytes], second: Mapping[str, bytes], *, in_order: bool = False
) -> list[Difference]:
    """The differences between two streams without repeats, in order of id.

    Parameters
    ----------
    in_order
        Also the order of first appearance must be the same.

    Examples
    --------
    >>> a = {"a.1": b'{"id":"a.1","n":1}', "b.1": b'{"id":"b.1"}'}
    >>> compare(a, {"a.1": b'{"id":"a.1","n":2}'})
    [Difference(id='a.1', kind='differs', fields={'n': (1, 2)}), \
Difference(id='b.1', kind='only in first', fields={})]
    """
    found = []
    for identity in sorted(first.keys() | second.keys()):
        if identity not in second:
            found.append(Difference(identity, "only in first"))
        elif identity not in first:
            found.append(Difference(identity, "only in second"))
        elif first[identity] != second[identity]:
            fields = dict(_fields(orjson.loads(first[identity]), orjson.loads(second[identity])))
            found.append(Difference(identity, "differs", fields))
    if in_order and not found:
        found = [
            Difference(a, "order", {"at this place": (a, b)})
            for a, b in zip(first, second, strict=True)
            if a != b
        ][:1]
    return found


NOTHING = object()


def written(value: Any) -> str:
    """A value of a difference, for a person."""
    if value is NOTHING:
        return "nothing"
    text = orjson.dumps(value).decode()
    return text if len(text) <= 80 else text[:79] + "…"


def _written_fields(first: bytes, second: bytes) -> Iterator[tuple[str, tuple[str, str]]]:
    changed = list(_fields(orjson.loads(first), orjson.loads(second)))
    for path, (a, b) in changed or [("layout of the JSON", ("one way", "another"))]:
        yield path, (written(a), written(b)) if changed else (str(a), str(b))


def _fields(first: Any, second: Any, path: str = "") -> Iterator[tuple[str, tuple[Any, Any]]]:
    """The innermost places where two JSON values differ."""
    if isinstance(first, dict) and isinstance(second, dict):
        for key in sorted(first.keys() | second.keys()):
            inner = f"{path}.{key}" if path else key
            yield from _fields(first.get(key, NOTHING), second.get(key, NOTHING), inner)
    # JSON tells 1 from 1.0 and from true; Python's == does not.
    elif (type(first), first) != (type(second), second):
        yield path, (first, second)


def _identity(line: bytes, where: str) -> str:
    try:
        identity = orjson.loads(line)["id"]
    except (orjson.JSONDecodeError, TypeError, KeyError):
        identity = None
    if not isinstance(identity, str):
        raise WrongUse(f"{where}: not an alert: expected a JSON object with an id")
    return identity
