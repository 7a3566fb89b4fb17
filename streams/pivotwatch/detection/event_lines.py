"""Events as lines of JSON: the form that the counting operator reads and checks."""

from __future__ import annotations

import reprlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec
import orjson

from pivotwatch.contracts.events import Event

_OPTIONS = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS


def event_lines(events: Iterable[Event | Mapping[str, Any]]) -> Iterator[bytes]:
    """One line per event. A time may be a datetime; NaN becomes null.

    The counting operator checks the lines. What has no form in JSON gives a line that it rejects.

    Raises
    ------
    TypeError
        When it gets one event instead of several.

    Examples
    --------
    >>> from datetime import datetime
    >>> list(event_lines([{"id": "r", "ts": datetime(2026, 2, 5, 18)}, {"id": {1}}]))
    [b'{"id":"r","ts":"2026-02-05T18:00:00"}', b"Type is not JSON serializable: set: {'id': {1}}"]
    """
    if isinstance(events, Event | Mapping | str | bytes):
        raise TypeError(f"expected several events, got one {type(events).__name__}: put it into a list")
    for event in events:
        if isinstance(event, Event):
            yield msgspec.json.encode(event)
            continue
        try:
            yield orjson.dumps(event, default=_plain, option=_OPTIONS)
        except orjson.JSONEncodeError as error:
            yield f"{error}: {reprlib.repr(event)}".encode(errors="replace")


def _plain(value: Any) -> Any:
    """Mappings and times of other libraries."""
    if isinstance(value, Mapping):
        return dict(value)
    if hasattr(value, "isoformat"):
        return value.isoformat()
    raise TypeError
