"""The native event, how it is read, and why one is refused."""

from __future__ import annotations

import datetime
import ipaddress
import re
import reprlib
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import orjson
from msgspec import Meta

from pivotwatch.contracts.codec import MAX_TEXT, MAX_TS, Text, explain, format_moment, json_schema, moment_of
from pivotwatch.contracts.repaired_json import load

MAX_COUNT = 100_000_000
"""The largest count in an event: 90 million such events in a bucket and partition have sums below 2^53."""
MAX_LINKS = 8
"""Links that an event has at most."""


class BadEvent(ValueError):
    """A record that cannot be used. The message names the field and says what is expected."""


def parse_time(value: object, name: str = "ts") -> int:
    """Epoch milliseconds from epoch milliseconds, RFC 3339 text or a datetime; without an offset, in UTC.

    Raises
    ------
    BadEvent
        When it is none of these, or not between 1970 and 2100.

    Examples
    --------
    >>> parse_time("2026-02-05T18:00:00Z"), parse_time(5)
    (1770314400000, 5)
    >>> parse_time("yesterday")
    Traceback (most recent call last):
    pivotwatch.contracts.events.BadEvent: ts: expected epoch milliseconds or RFC 3339, got 'yesterday'
    """
    if type(value) is int:
        milliseconds = value
    elif isinstance(value, datetime.datetime):
        milliseconds = _millis(value)
    elif isinstance(value, str):
        try:
            milliseconds = _millis(datetime.datetime.fromisoformat(value))
        except ValueError:
            raise BadEvent(f"{name}: expected epoch milliseconds or RFC 3339, got {value[:40]!r}") from None
    else:
        raise BadEvent(f"{name}: expected epoch milliseconds or RFC 3339, got {shown(value)}")
    if not 0 < milliseconds < MAX_TS:
        raise BadEvent(f"{name}: {milliseconds} is not between 1970 and 2100 in milliseconds")
    return milliseconds


_EPOCH = datetime.datetime.fromtimestamp(0, datetime.UTC)


def _millis(moment: datetime.datetime) -> int:
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=datetime.UTC)
    return int((moment - _EPOCH) // datetime.timedelta(milliseconds=1))


def format_time(milliseconds: int) -> str:
    """RFC 3339 text in UTC of epoch milliseconds.

    Examples
    --------
    >>> format_time(1770314400000)
    '2026-02-05T18:00:00Z'
    """
    return format_moment(moment_of(milliseconds))


MaybeText = Annotated[str, Meta(max_length=MAX_TEXT)] | None
Count = Annotated[int, Meta(ge=0, le=MAX_COUNT)] | None
Millis = Annotated[int, Meta(gt=0, lt=MAX_TS)]
Time = Millis | str
if TYPE_CHECKING:
    TimeOrDatetime = Time | datetime.datetime
else:  # JSON has no datetimes. An object that a Python program makes may hold one.
    TimeOrDatetime = Time
Links = Annotated[dict[Text, MaybeText], Meta(max_length=MAX_LINKS)] | None


class Event(msgspec.Struct, gc=False):
    """One request to a model. Unknown fields are dropped."""

    # Decoding checks types and bounds; `check_rest` checks what types cannot express.

    id: Annotated[str | int, Meta(description="Unique; HTTP ingest drops an id that comes again.")]
    ts: Annotated[
        TimeOrDatetime, Meta(description="When the request was made: epoch milliseconds, or RFC 3339.")
    ]
    account: Annotated[Text, Meta(description="Account id; also the key of the Kafka record.")]
    model: Annotated[Text, Meta(description="The model that answered.")]
    network: Annotated[
        MaybeText, Meta(description="Network that the request came from; without it one is derived from ip.")
    ] = None
    ip: Annotated[MaybeText, Meta(description="IPv4 or IPv6 address; never stored.")] = None
    requested_model: Annotated[
        MaybeText, Meta(description="The model name in the request; an alias is not a choice of the account.")
    ] = None
    account_created: Annotated[
        TimeOrDatetime | None,
        Meta(description="When the account was created: epoch milliseconds, or RFC 3339."),
    ] = None
    links: Annotated[
        Links, Meta(description="Further keys, by kind, that accounts may share: payment, signup, device, …")
    ] = None
    input_tokens: Annotated[Count, Meta(description="Input tokens; null: none.")] = 0
    output_tokens: Annotated[Count, Meta(description="Output tokens; null: none.")] = 0
    tools: Annotated[Count, Meta(description="Number of tool calls; null: none.")] = 0
    status: Annotated[Count, Meta(description="HTTP status; requests of 400 and above are not counted.")] = (
        200
    )
    ended: Annotated[
        Millis | None,
        Meta(description="When the request ended, epoch milliseconds: a slow request is not late."),
    ] = None


NO_LINKS = msgspec.Raw(b"")


class Request(msgspec.Struct, gc=False):
    """An `Event` as the hot path reads it, with its links as bytes.

    An account has the same links in every event. The hot path reads them once (`read_links`) and then
    recognises their bytes. All other fields are those of `Event`.
    """

    id: str | int
    ts: Time
    account: Text
    model: Text
    network: MaybeText = None
    ip: MaybeText = None
    requested_model: MaybeText = None
    account_created: Time | None = None
    links: msgspec.Raw = NO_LINKS
    input_tokens: Count = 0
    output_tokens: Count = 0
    tools: Count = 0
    status: Count = 200
    ended: Millis | None = None


Message = Request | list[Request]
decode: Callable[[Any], Message] = msgspec.json.Decoder(Message).decode
"""The event or events of one Kafka record, links unread. `read_leniently` explains what it refuses."""

_decode_links = msgspec.json.Decoder(Links).decode


def read_links(raw: bytes) -> tuple[tuple[str, str | None], ...]:
    """The links of a `Request`. `read_leniently` explains what it refuses.

    Examples
    --------
    >>> read_links(b'{"payment": "p7"}'), read_links(b"null"), read_links(b"")
    ((('payment', 'p7'),), (), ())
    """
    links = _decode_links(raw) if raw else None
    return tuple(links.items()) if links else ()


def as_request(event: Event) -> Request:
    """An event from `read_leniently` as the hot path has it."""
    raw = msgspec.Raw(orjson.dumps(event.links)) if event.links else NO_LINKS
    fields = {name: getattr(event, name) for name in Event.__struct_fields__}
    return Request(**(fields | {"links": raw}))


def written(event: Request) -> bytes:
    """An event of the hot path as it stands alone in a message; fields that we do not read are gone.

    Examples
    --------
    >>> written(decode(b'[{"id":"r","ts":1,"account":"a","model":"m","links":{"payment":"p"},"other":1}]')[0])
    b'{"id":"r","ts":1,"account":"a","model":"m","links":{"payment":"p"},...}'
    """
    fields = {name: getattr(event, name) for name in Request.__struct_fields__}
    fields["links"] = orjson.Fragment(bytes(event.links)) if bytes(event.links) else None
    return orjson.dumps({name: value for name, value in fields.items() if value is not None})


def read_leniently(value: bytes | None) -> dict[int | None, Event | BadEvent]:
    """Every event of a message that `decode` refused, or why it is refused, by position in the array.

    What serializers write although JSON forbids it is repaired (`pivotwatch.contracts.repaired_json`), so a
    damaged element of an array costs no other one. Of an array the first `EXPLAINED` reasons are given;
    further bad elements share one.

    Examples
    --------
    >>> read_leniently(b'[{"id":"r","ts":1,"account":"a","model":"m"},{"id":"r","ts":1,"account":7}]')[1]
    BadEvent('account: expected `str`, got `int`')
    >>> found = read_leniently(b'[{"id":"r","ts":1,"account":"a","model":"m","x":-Infinity},{oops}]')
    >>> found[0].account, found[1]
    ('a', BadEvent('not JSON'))
    >>> read_leniently(b"")
    {None: BadEvent('the message is empty')}
    """
    if not value:
        return {None: BadEvent("the message is empty")}
    try:
        message = orjson.loads(value)
    except orjson.JSONDecodeError as error:
        if value.lstrip()[:1] == b"[" and (elements := array_elements(value)):
            return dict(enumerate(_judge_all(_repaired_all(elements))))
        try:
            message = load(value)
        except ValueError:
            return {None: BadEvent(f"not JSON: {error}")}
    if isinstance(message, list):
        return dict(enumerate(_judge_all(message)))
    return {None: _judge(message)}


def array_elements(value: bytes) -> list[bytes]:
    """The elements of a JSON array as they stand in it, in one pass, however deep they are nested.

    Of a damaged array, what follows the last whole element is one more.

    Examples
    --------
    >>> array_elements(b'[{"id": "],"}, [2 ],3]')
    [b'{"id": "],"}', b'[2 ]', b'3']
    >>> array_elements(b'[-Infinity, {"id": "cut')
    [b'-Infinity', b'{"id": "cut']
    """
    found, depth, start = [], 0, 0
    for token in _TOKEN.finditer(value):
        sign = token[0]
        if sign in b"[{":
            depth += 1
            start = start or token.end()
        elif sign in b"]}":
            depth -= 1
        if (sign == b"," and depth == 1) or (sign == b"]" and depth == 0):
            found.append(value[start : token.start()].strip())
            start = token.end()
    if rest := value[start:].strip():
        found.append(rest)
    return [] if found == [b""] else found


# A text that does not end reaches to the end of the value: what a token has matched is not searched again.
_TOKEN = re.compile(rb'"(?:[^"\\]|\\.|\\\Z)*+(?:"|\Z)|[][{},]', re.DOTALL)


EXPLAINED = 100
"""Bad elements of one array of which the reason is worked out."""
REPAIRED = 1000
"""Elements of one array that are repaired."""
_MORE = BadEvent("refused like the events before")
_REQUIRED = {"id", "ts", "account", "model"}


def _repaired_all(elements: Iterable[bytes]) -> Iterator[object]:
    """The contents of elements; an unreadable one is a `BadEvent`. Repair is slow, so few are repaired."""
    left = REPAIRED
    for element in elements:
        try:
            yield orjson.loads(element)
        except orjson.JSONDecodeError:
            left -= 1
            try:
                yield load(element) if left >= 0 else BadEvent("not JSON")
            except ValueError:
                yield BadEvent("not JSON")


def _judge_all(events: Iterable[object]) -> Iterator[Event | BadEvent]:
    bad = 0
    for event in events:
        if bad >= EXPLAINED and not (isinstance(event, dict) and event.keys() >= _REQUIRED):
            yield _MORE  # Nearly free, as an array may hold nearly half a million such elements.
            continue
        judged = event if isinstance(event, BadEvent) else _judge(event)
        bad += isinstance(judged, BadEvent)
        yield judged


def _judge(event: object) -> Event | BadEvent:
    try:
        return check_event(event)
    except BadEvent as error:
        return error


def check_event(event: object) -> Event:
    """An event from a decoded JSON object.

    Raises
    ------
    BadEvent
        With the field and what is expected of it.

    Examples
    --------
    >>> check_event({"id": "r", "ts": 1, "account": "a", "model": ""})
    Traceback (most recent call last):
    pivotwatch.contracts.events.BadEvent: model: expected `str` of length >= 1
    """
    try:
        checked = msgspec.convert(event, Event)
    except (msgspec.ValidationError, RecursionError) as error:
        raise BadEvent(explain(error)) from None
    check_rest(checked.ts, checked.account_created, checked.links or ())
    return checked


def check_rest(ts: object, account_created: object, kinds: Iterable[str]) -> None:
    """Check what types cannot express: times as text, and links of a kind that is a field of the event.

    Raises
    ------
    BadEvent
        With the field and what is expected of it.
    """
    if type(ts) is str:
        parse_time(ts)
    if type(account_created) is str:
        parse_time(account_created, "account_created")
    for kind in kinds:
        if kind in ("account", "network"):
            raise BadEvent(f"links.{kind}: this kind has a field of its own")


def network_of(ip: str) -> str | None:
    """The /24 (IPv4) or /48 (IPv6) prefix of an address; None when it is not an address.

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


def shown(value: object) -> str:
    """A value for an error message, in at most 40 characters."""
    # repr fails on a list that is nested too deeply; reprlib does not.
    text = reprlib.repr(value) if isinstance(value, dict | list) else repr(value)
    return text if len(text) <= 40 else text[:37] + "..."


def event_schema() -> dict[str, Any]:
    """JSON Schema of the native event."""
    return json_schema(Event, "pivotwatch event", examples=[EXAMPLE])


EXAMPLE = {
    "id": "req-1",
    "ts": 1760000000123,
    "account": "acct-9",
    "network": "AS64500",
    "model": "m-2",
    "input_tokens": 512,
    "output_tokens": 1210,
    "ip": "203.0.113.7",
    "requested_model": "m-latest",
    "links": {"payment": "pay-7", "signup": "2026-02-01T10"},
    "account_created": 1751000000000,
    "status": 200,
    "tools": 3,
    "ended": 1760000004456,
}
