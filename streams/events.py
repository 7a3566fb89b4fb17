"""The native event: what is taken from it, and why one is refused.

The counting path (`streams.steps.buckets`) reads the fields straight from the decoded object and
comes here only when something is wrong or new, so every check here is off the hot path.
"""

from __future__ import annotations

import datetime
import ipaddress
import reprlib
from typing import Any

import orjson

MAX_TS = 4_102_444_800_000
"""The year 2100 in epoch milliseconds."""
MAX_TEXT = 512
MAX_COUNT = 1 << 40
MAX_LINKS = 8
_COUNTS = ("input_tokens", "output_tokens", "tools", "status")


class BadEvent(ValueError):
    """An event that cannot be counted; the message says which field and what is expected."""


def parse_time(value: object, name: str = "ts") -> int:
    """Epoch milliseconds from an integer, or from RFC 3339 text (without an offset: UTC).

    Examples
    --------
    >>> parse_time("2026-02-05T18:00:00Z"), parse_time(5)
    (1770314400000, 5)
    >>> parse_time("yesterday")
    Traceback (most recent call last):
    streams.events.BadEvent: ts: expected epoch milliseconds or RFC 3339, got 'yesterday'
    """
    if type(value) is int:
        milliseconds = value
    elif isinstance(value, str):
        try:
            moment = datetime.datetime.fromisoformat(value)
        except ValueError:
            raise BadEvent(f"{name}: expected epoch milliseconds or RFC 3339, got {value[:40]!r}") from None
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=datetime.UTC)
        milliseconds = int((moment - _EPOCH) // datetime.timedelta(milliseconds=1))
    elif isinstance(value, float) and 0 < value < MAX_TS:
        milliseconds = int(value)
    else:
        raise BadEvent(f"{name}: expected epoch milliseconds or RFC 3339, got {_shown(value)}")
    if not 0 < milliseconds < MAX_TS:
        raise BadEvent(f"{name}: {milliseconds} is not between 1970 and 2100 in milliseconds")
    return milliseconds


_EPOCH = datetime.datetime.fromtimestamp(0, datetime.UTC)


def format_time(milliseconds: int) -> str:
    """RFC 3339 in UTC.

    Examples
    --------
    >>> format_time(1770314400000)
    '2026-02-05T18:00:00Z'
    """
    moment = datetime.datetime.fromtimestamp(milliseconds / 1000, datetime.UTC)
    return moment.isoformat(timespec="milliseconds" if milliseconds % 1000 else "seconds").replace(
        "+00:00", "Z"
    )


def check_event(event: Any) -> None:
    """Say what is wrong with an event.

    Raises
    ------
    BadEvent
        With the field and what is expected of it.

    Examples
    --------
    >>> check_event({"id": "r", "ts": 1, "account": "a", "model": ""})
    Traceback (most recent call last):
    streams.events.BadEvent: model: expected text of 1 to 512 characters, got ''
    """
    if not isinstance(event, dict):
        raise BadEvent(f"expected a JSON object, got {_shown(event)}")
    if not _is_plain(event):
        _find_fault(event)
    elif event.get("links") is not None:
        _check_links(event["links"])


def _is_plain(event: dict[str, Any]) -> bool:
    """Is it like nearly every event? Quick, as every account comes by here once a bucket."""
    get = event.get
    account, model, ts = get("account"), get("model"), get("ts")
    if not (type(get("id")) is type(account) is type(model) is str and type(ts) is int and 0 < ts < MAX_TS):
        return False
    if not (0 < len(account) <= MAX_TEXT and 0 < len(model) <= MAX_TEXT):
        return False
    network = get("network")
    for text in (network, None if network else get("ip"), get("requested_model")):
        if text is not None and (type(text) is not str or len(text) > MAX_TEXT):
            return False
    for count in (get("input_tokens"), get("output_tokens"), get("tools"), get("status")):
        if count is not None and (type(count) is not int or not 0 <= count <= MAX_COUNT):
            return False
    created = get("account_created")
    return created is None or (type(created) is int and 0 < created < MAX_TS)


def _find_fault(event: dict[str, Any]) -> None:
    for name in ("id", "ts", "account", "model"):
        if event.get(name) is None:
            raise BadEvent(f"{name}: required, but missing")
    if not isinstance(event["id"], str | int):
        raise BadEvent(f"id: expected text, got {_shown(event['id'])}")
    parse_time(event["ts"])
    for name in ("account", "model"):
        check_text(event[name], name, empty=False)
    for name in ("network", "requested_model"):
        check_text(event.get(name), name, empty=True)
    if not event.get("network"):  # else nobody looks at it
        check_text(event.get("ip"), "ip", empty=True)
    for name in _COUNTS:
        _check_count(event.get(name), name)
    if event.get("account_created") is not None:
        parse_time(event["account_created"], "account_created")
    _check_links(event.get("links"))


def check_text(value: object, name: str, *, empty: bool) -> None:
    """Text of a bounded length; None only when it may be empty."""
    if value is None and empty:
        return
    if not isinstance(value, str) or len(value) > MAX_TEXT or not (value or empty):
        raise BadEvent(f"{name}: expected text of 1 to {MAX_TEXT} characters, got {_shown(value)}")


def _check_count(value: object, name: str) -> None:
    if value is not None and (type(value) is not int or not 0 <= value <= MAX_COUNT):
        raise BadEvent(f"{name}: expected a whole number of at least 0, got {_shown(value)}")


def _check_links(links: object) -> None:
    if links is None:
        return
    if not isinstance(links, dict) or len(links) > MAX_LINKS:
        raise BadEvent(f"links: expected an object of at most {MAX_LINKS} keys, got {_shown(links)}")
    for kind, value in links.items():
        check_text(kind, "links key", empty=False)
        check_text(value, f"links.{kind}", empty=True)
        if kind in ("account", "network"):
            raise BadEvent(f"links.{kind}: this kind has a field of its own")


def network_of(ip: str) -> str | None:
    """The network of an address without a database: its /24 (IPv4) or /48 (IPv6) prefix.

    Examples
    --------
    >>> network_of("203.0.113.7"), network_of("2001:db8:1:2::3"), network_of("nowhere")
    ('203.0.113.0/24', '2001:db8:1::/48', None)
    """
    try:
        address = ipaddress.ip_address(ip)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return str(ipaddress.ip_network((address, 24 if address.version == 4 else 48), strict=False))


def decode_releases(text: bytes) -> list[dict[str, Any]]:
    """Release calendar entries of a file: a JSON array, or one object a line.

    Raises
    ------
    BadEvent
        When an entry cannot be read.
    """
    try:
        entries = orjson.loads(text)
    except orjson.JSONDecodeError:
        try:
            entries = [orjson.loads(line) for line in text.splitlines() if line.strip()]
        except orjson.JSONDecodeError as error:
            raise BadEvent(f"releases: not a JSON array ({error})") from None
    if not isinstance(entries, list):
        entries = [entries]
    for entry in entries:
        check_release(entry)
    return entries


def check_release(entry: Any) -> None:
    """Say what is wrong with a release calendar entry."""
    if not isinstance(entry, dict):
        raise BadEvent(f"release: expected a JSON object, got {_shown(entry)}")
    check_text(entry.get("model"), "model", empty=False)
    if entry.get("released_at") is None:
        raise BadEvent("released_at: required, but missing")
    parse_time(entry["released_at"], "released_at")


def _shown(value: object) -> str:
    # A list may be nested deeper than repr can follow, and longer than anybody wants to read.
    text = reprlib.repr(value) if isinstance(value, dict | list) else repr(value)
    return text if len(text) <= 40 else text[:37] + "..."
