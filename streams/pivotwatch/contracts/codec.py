"""Reads, writes and describes the types of the contracts: one way for every topic."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from itertools import islice
from typing import Annotated, Any, TypeVar

import msgspec
import orjson
from msgspec import Struct

from pivotwatch.base.errors import WrongUse
from pivotwatch.base.outside_text import visible_json

MAX_TS = 4_102_444_800_000
"""The year 2100 in epoch milliseconds."""
MAX_TEXT = 512
"""Characters that a name may have."""
MAX_EXPLANATION = 500
"""Characters that an explanation of an error has at most; it may quote a value of a megabyte."""
MAX_NUMBER = 2**53
"""The largest integer that every JSON library reads exactly."""

Count = Annotated[int, msgspec.Meta(ge=0, le=MAX_NUMBER)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Amount = Annotated[float, msgspec.Meta(ge=0)]
Text = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_TEXT)]
Moment = Annotated[datetime, msgspec.Meta(tz=True)]
"""RFC 3339 on the wire; written in UTC, with milliseconds when there are any."""

S = TypeVar("S")
T = TypeVar("T")

_EPOCH = datetime.fromtimestamp(0, UTC)
_LIMIT = datetime.fromtimestamp(MAX_TS / 1000, UTC)


def moment_of(milliseconds: int) -> datetime:
    """The time of epoch milliseconds.

    Examples
    --------
    >>> moment_of(1_770_314_400_000)
    datetime.datetime(2026, 2, 5, 18, 0, tzinfo=datetime.timezone.utc)
    """
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def within_calendar(milliseconds: int | None) -> int:
    """The time stamp of a record, moved into the years 1970 to 2099; 0 when it has none.

    Any client may give its records any time stamp.

    Examples
    --------
    >>> within_calendar(1_770_314_400_000), within_calendar(-1), within_calendar(None), within_calendar(2**62)
    (1770314400000, 0, 0, 4102444799999)
    """
    return min(max(milliseconds or 0, 0), MAX_TS - 1)


def millis_of(when: datetime) -> int:
    """Epoch milliseconds of a time.

    Raises
    ------
    ValueError
        When the time has no time zone.

    Examples
    --------
    >>> millis_of(datetime(2026, 2, 5, 18, tzinfo=UTC))
    1770314400000
    """
    check_zone(when)
    return round(when.timestamp() * 1000)


def format_moment(when: datetime) -> str:
    """RFC 3339 text in UTC of a time, with milliseconds when there are any.

    Raises
    ------
    ValueError
        When the time has no time zone: it would be another time on a machine in another zone.

    Examples
    --------
    >>> format_moment(moment_of(1_770_314_400_000)), format_moment(moment_of(1_770_314_400_250))
    ('2026-02-05T18:00:00Z', '2026-02-05T18:00:00.250Z')
    """
    check_zone(when)
    precision = "milliseconds" if when.microsecond else "seconds"
    return when.astimezone(UTC).isoformat(timespec=precision).replace("+00:00", "Z")


def check_zone(when: datetime) -> None:
    """Check that a time has a time zone.

    Raises
    ------
    ValueError
        When it has none.

    Examples
    --------
    >>> check_zone(datetime(2026, 2, 5, 18))
    Traceback (most recent call last):
    ValueError: expected a time with a time zone, got 2026-02-05T18:00:00: add one, such as \
.replace(tzinfo=datetime.UTC)
    """
    if when.utcoffset() is None:
        raise ValueError(
            f"expected a time with a time zone, got {when.isoformat()}: add one, such as "
            ".replace(tzinfo=datetime.UTC)"
        )


def check_moments(**moments: datetime | None) -> None:
    """Check that times have a time zone and are between 1970 and 2100, as every calendar can show them.

    Raises
    ------
    ValueError
        With the name of the first time that does not pass, and what is expected of it.

    Examples
    --------
    >>> check_moments(onset=moment_of(1_770_314_400_000), released_at=None)
    >>> check_moments(onset=datetime(1969, 7, 20, tzinfo=UTC))
    Traceback (most recent call last):
    ValueError: onset: expected a time between 1970 and 2100
    """
    for name, when in moments.items():
        if when is None:
            continue
        try:
            check_zone(when)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None
        if not _EPOCH <= when < _LIMIT:
            raise ValueError(f"{name}: expected a time between 1970 and 2100")


def encode(value: object) -> bytes:
    """JSON of a struct, or of anything that holds structs: the same value gives the same bytes.

    Hidden characters are escaped, so that a terminal may show the JSON.

    Raises
    ------
    ValueError
        When a time in it has no time zone.
    TypeError
        When something in it has no form in JSON.

    Examples
    --------
    >>> encode({"at": moment_of(1_770_314_400_000)})
    b'{"at":"2026-02-05T18:00:00Z"}'
    """
    try:
        content = orjson.dumps(value, default=_plain, option=orjson.OPT_PASSTHROUGH_DATETIME)
    except orjson.JSONEncodeError as error:
        if isinstance(error.__cause__, ValueError):  # orjson hides what `_plain` raised.
            raise error.__cause__ from None
        raise
    return visible_json(content)


def fitting(items: Iterable[S], most: int, size: int) -> list[S]:
    """The first items: at most ``most``, of at most ``size`` bytes together as JSON.

    Examples
    --------
    >>> fitting(["one", "two", "three"], 3, 12), fitting(["one", "two", "three"], 2, 100)
    (['one', 'two'], ['one', 'two'])
    """
    found: list[S] = []
    for item in islice(items, most):
        size -= len(encode(item)) + 1
        if size < 0:
            break
        found.append(item)
    return found


def as_plain(value: Struct) -> dict[str, Any]:
    """A struct as dictionaries, lists, numbers and text, for a library that knows JSON alone."""
    plain: dict[str, Any] = orjson.loads(encode(value))
    return plain


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return format_moment(value)
    return msgspec.to_builtins(value, builtin_types=(datetime,))


def parser(kind: type[T], what: str = "", refused: type[Exception] = WrongUse) -> Callable[[bytes | str], T]:
    """A function that reads JSON strictly: every field has its type, or the whole is refused.

    Parameters
    ----------
    kind
        The type to read.
    what
        Its name, with its article, to begin errors with; nothing when a reader of the error knows it.
    refused
        Class of the errors.

    Examples
    --------
    >>> class Pair(msgspec.Struct):
    ...     left: Count
    ...     right: Count = 0
    >>> parse = parser(Pair, "a pair")
    >>> parse(b'{"left": 1}')
    Pair(left=1, right=0)
    >>> parse(b'{"left": "1"}')
    Traceback (most recent call last):
    pivotwatch.base.errors.WrongUse: not a pair: left: expected `int`, got `str`
    """

    def parse(raw: bytes | str) -> T:
        try:
            # orjson also checks what msgspec skips: the record may go on as it is.
            return msgspec.convert(orjson.loads(raw), kind)
        except (orjson.JSONDecodeError, msgspec.ValidationError) as error:
            raise refused((f"not {what}: " if what else "") + explain(error)) from None

    return parse


_PLACE = re.compile(r" - at (?:`(?:key|value)` in )?`\$\.?([^`]*)`$")
_MISSING = re.compile(r"Object missing required field `([^`]+)`")
_NAMED = re.compile(r"\w+: ")
_NO_ZONE = "Expected `datetime` with a timezone component"


def explain(error: Exception) -> str:
    """The message of an error of orjson or msgspec in one form: the field, then what is expected of it.

    Examples
    --------
    >>> explain(msgspec.ValidationError("Expected `int`, got `str` - at `$.data.revision`"))
    'data.revision: expected `int`, got `str`'
    >>> explain(msgspec.ValidationError("Object missing required field `id` - at `$.groups[0]`"))
    'groups[0].id: required, but missing'
    """
    return _cut(_explained(error))


def _cut(text: str) -> str:
    return text if len(text) <= MAX_EXPLANATION else text[: MAX_EXPLANATION - 1] + "…"


def _explained(error: Exception) -> str:
    text = str(error)
    if isinstance(error, RecursionError):
        return "nested too deeply"
    if not isinstance(error, msgspec.ValidationError):
        return f"not JSON: {text.removeprefix('JSON is malformed: ')}"
    found = _PLACE.search(text)
    place = found[1].replace("[...]", "") if found else ""
    text = text[: found.start()] if found else text
    if missing := _MISSING.fullmatch(text):
        place, text = f"{place}.{missing[1]}" if place else missing[1], "required, but missing"
    text = text.replace(_NO_ZONE, "expected a time with a time zone, such as 2026-02-05T18:00:00Z")
    text = text[:1].lower() + text[1:]
    if not place:
        return text
    return f"{place}.{text}" if _NAMED.match(text) else f"{place}: {text}"


def json_schema(kind: Any, title: str, **more: Any) -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of a struct; ``more`` goes to its top level.

    The first paragraph of a docstring becomes the description.
    """
    (root,), parts = msgspec.json.schema_components([kind], ref_template="#/$defs/{name}")
    for part in parts.values():
        part["description"] = " ".join(part["description"].partition("\n\n")[0].split())
    top = parts.pop(root["$ref"].rpartition("/")[2])
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **top,
        "title": title,
        **more,
        **({"$defs": parts} if parts else {}),
    }
