"""Comparison of two streams of alerts.

Kafka delivers alerts at least once, so an alert may be repeated. A repeat has the same CloudEvents id
and the same bytes. Without repeats, two runs over the same events give the same alerts, no matter how
often the workers were killed.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import orjson
from msgspec import Struct

from pivotwatch.base.errors import Fault, WrongUse
from pivotwatch.base.outside_text import visible, visible_json
from pivotwatch.contracts.codec import parser


class DifferentRepeat(Fault):
    """One stream holds two different alerts with the same id."""


@dataclasses.dataclass(frozen=True, slots=True)
class Difference:
    """A difference between two streams in one alert.

    Attributes
    ----------
    id
        CloudEvents id of the alert.
    kind
        ``only in first``, ``only in second``, ``differs`` or ``order``.
    fields
        The fields that differ: path to the values in the first and in the second stream.
    """

    id: str
    kind: str
    fields: Mapping[str, tuple[Any, Any]] = dataclasses.field(default_factory=dict)


def distinct(lines: Iterable[bytes], name: str = "stream") -> dict[str, bytes]:
    """The alerts of a stream by CloudEvents id, in the order in which they first appear.

    Raises
    ------
    DifferentRepeat
        When two alerts with the same id have different bytes.

    Examples
    --------
    >>> list(distinct([b'{"id":"a.1"}', b'{"id":"a.2"}', b'{"id":"a.1"}']))
    ['a.1', 'a.2']
    >>> distinct([b'{"id":"a.1"}', b'{"id":"a.1","x":2}'])
    Traceback (most recent call last):
    ...
    pivotwatch.tools.compare_alerts.DifferentRepeat: stream: alert a.1 is repeated with other content: \
x: nothing, then 2
    """
    found: dict[str, bytes] = {}
    for number, line in enumerate(lines, 1):
        identity = _identity(line, f"{name}, line {number}")
        first = found.setdefault(identity, line)
        if first != line:
            changes = "; ".join(f"{path}: {a}, then {b}" for path, (a, b) in _field_texts(first, line))
            raise DifferentRepeat(
                f"{name}: alert {visible(identity)} is repeated with other content: {changes}"
            )
    return found


def compare(
    first: Mapping[str, bytes], second: Mapping[str, bytes], *, in_order: bool = False
) -> list[Difference]:
    """The differences between two streams without repeats, sorted by id.

    Parameters
    ----------
    in_order
        Whether the alerts must first appear in the same order.

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
            Difference(a, "order", {"alert at this position": (a, b)})
            for a, b in zip(first, second, strict=True)
            if a != b
        ][:1]
    return found


ABSENT = object()
"""Stands for the value of a field that one of two alerts does not have."""


def shorten(value: Any) -> str:
    """The text of a value, at most 80 characters."""
    if value is ABSENT:
        return "nothing"
    text = visible_json(orjson.dumps(value)).decode()
    return text if len(text) <= 80 else text[:79] + "…"


def _field_texts(first: bytes, second: bytes) -> Iterator[tuple[str, tuple[str, str]]]:
    changed = list(_fields(orjson.loads(first), orjson.loads(second)))
    for path, (a, b) in changed:
        yield visible(path), (shorten(a), shorten(b))
    if not changed:
        yield "layout of the JSON", ("one form", "another form")


def _fields(first: Any, second: Any, path: str = "") -> Iterator[tuple[str, tuple[Any, Any]]]:
    """The innermost fields in which two JSON values differ."""
    if isinstance(first, dict) and isinstance(second, dict):
        for key in sorted(first.keys() | second.keys()):
            inner = f"{path}.{key}" if path else key
            yield from _fields(first.get(key, ABSENT), second.get(key, ABSENT), inner)
    # In JSON 1, 1.0 and true are different values; for Python's == they are equal.
    elif (type(first), first) != (type(second), second):
        yield path, (first, second)


class _Identified(Struct):
    """The field by which alerts of any version are compared; the others may differ."""

    id: str


_parse = parser(_Identified, "an alert")


def _identity(line: bytes, where: str) -> str:
    try:
        return _parse(line).id
    except WrongUse as fault:
        raise WrongUse(f"{where}: {fault}") from None
