"""Dead letters: records that could not be handled, with all that is needed to explain and resend them.

A dead letter has the key, value and headers of the original record. Headers of its own, `About`, say where
the record came from and what is wrong. The topics ``dlq`` (events, bucket records, releases, decisions) and
``deliveries_dlq`` (alerts for a target) share this form.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Literal, Protocol

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType
from msgspec.structs import replace

from pivotwatch.base.errors import WrongUse
from pivotwatch.contracts.codec import explain, json_schema
from pivotwatch.contracts.events import BadEvent
from pivotwatch.contracts.records import Header, InputRecord, Output, Unreadable

PREFIX = "pivotwatch.errors."
CLASS = PREFIX + "class"
TARGET = "pivotwatch.delivery.target"
NOT_HERE = "Unreadable"
"""The class of error of a dead letter that stands for records and does not hold them."""
MAX_BYTES = 900_000
"""Bytes of a dead letter with its key and headers. A broker takes about 1 MB. A value that leaves no room is
cut, and ``length`` holds its original length."""
WHOLE_BYTES = 840_000
"""Bytes of a value that is never cut."""
HEADER_BYTES = 10
"""Bytes around a header, at most."""
MAX_AROUND = 50_000
"""Bytes that key and headers may have together. Of longer ones only the beginning of the key is kept."""
MAX_MESSAGE = 1_000
"""Characters of an error message that are kept, and bytes of a key that is too long."""

_TOPIC = re.compile(r"[\w.-]{1,249}", re.ASCII)

Headers = tuple[Header, ...]
Digits = Annotated[str, Meta(pattern="^[0-9]{1,19}$")]
"""A number as the text of a header."""


class About(
    Struct,
    frozen=True,
    kw_only=True,
    rename=lambda field: TARGET if field == "target" else PREFIX + field.removeprefix("error_"),
):
    """Headers of a dead letter, as UTF-8 text. The headers of the original record stand beside them."""

    topic: Annotated[
        str | UnsetType,
        Meta(description="Topic of the original record: the logical name of one of ours, or a full name."),
    ] = UNSET
    partition: Annotated[Digits | UnsetType, Meta(description="Partition of the original record.")] = UNSET
    offset: Annotated[Digits | UnsetType, Meta(description="Offset of the original record.")] = UNSET
    source: Annotated[
        str | UnsetType, Meta(description="Ingest: the source mapping that should have read it.")
    ] = UNSET
    target: Annotated[
        str | UnsetType, Meta(description="Delivery: the target that did not take the alert.")
    ] = UNSET
    stage: Annotated[
        Literal["decode", "ingest", "delivery"],
        Meta(description="Which step failed: to decode a record, to map a foreign one, to deliver an alert."),
    ]
    error_class: Annotated[
        str,
        Meta(
            description="Class of the error: BadEvent, or Unreadable for records that are not here; of a "
            "delivery budget, refused, gone, broken, overflow or unreadable."
        ),
    ]
    message: Annotated[str, Meta(max_length=MAX_MESSAGE, description="What is wrong, and what was expected.")]
    position: Annotated[
        Digits | UnsetType,
        Meta(description="Place in the array of the original value; then value is that element alone."),
    ] = UNSET
    redacted: Annotated[
        Literal["1"] | UnsetType,
        Meta(description="Present when value is only the shape of the record, or nothing."),
    ] = UNSET
    null: Annotated[
        Literal["1"] | UnsetType, Meta(description="Present when the original record had no value.")
    ] = UNSET
    length: Annotated[
        Digits | UnsetType,
        Meta(description="Original length in bytes, when only the beginning is kept."),
    ] = UNSET


def dead_letter(
    about: About, key: bytes | None, value: bytes | None, headers: Headers = (), *, topic: str = "dlq"
) -> Output:
    """A dead letter that every broker takes, however long the record is.

    Parameters
    ----------
    about
        Where the record came from and what is wrong; ``null`` and ``length`` are set here.
    key, value, headers
        Of the record; headers of an earlier dead letter are replaced.
    topic
        Logical name of the topic: ``dlq`` or ``deliveries_dlq``.

    Examples
    --------
    >>> about = About(stage="decode", error_class="BadEvent", message="empty")
    >>> dead_letter(about, b"k", None).headers[-1]
    ('pivotwatch.errors.null', b'1')
    """
    body = value or b""
    headers = tuple(header for header in headers if not _is_own(header[0]))
    around = len(key or b"") + _size(headers)
    length = len(body)
    is_cut = around > MAX_AROUND
    if is_cut:
        length += around
        key, headers = key and key[:MAX_MESSAGE], ()
    if isinstance(value, Unreadable):
        about = replace(about, error_class=NOT_HERE, message=value.decode())
    about = replace(
        about, message=about.message[:MAX_MESSAGE], null="1" if value is None else UNSET, length=str(length)
    )
    room = MAX_BYTES - len(key or b"") - _size((*headers, *_headers(about)))
    if not is_cut and len(body) <= room:
        about = replace(about, length=UNSET)
    return Output(topic, key, body[:room], (*headers, *_headers(about)))


def undecodable(
    record: InputRecord, raw: bytes | None, position: int | None, error: BadEvent, source: tuple[str, int]
) -> Output:
    """The dead letter of a record, or of an element of its array, that could not be decoded.

    Parameters
    ----------
    raw, position
        The value; or an element of its array with its place.
    source
        Logical name of the topic, and the partition.
    """
    about = About(
        topic=source[0],
        partition=str(source[1]),
        offset=str(record.offset),
        stage="decode",
        error_class=type(error).__name__,
        message=str(error),
        position=UNSET if position is None else str(position),
    )
    return dead_letter(about, record.key, raw, tuple(record.headers))


def _headers(about: About) -> tuple[tuple[str, bytes], ...]:
    fields: dict[str, str] = msgspec.to_builtins(about)
    return tuple((name, text.encode(errors="replace")) for name, text in fields.items())


def _size(headers: Headers) -> int:
    """Bytes of headers in a record, at most."""
    return sum(
        len(name.encode(errors="replace")) + len(content or b"") + HEADER_BYTES for name, content in headers
    )


def _is_own(name: str) -> bool:
    return name.startswith(PREFIX) or name == TARGET


class Record(Protocol):
    """A record of a dead-letter topic as a Kafka client reads it."""

    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]]


@dataclasses.dataclass(frozen=True, slots=True)
class DeadLetter:
    """A dead letter as it lies in its topic.

    Attributes
    ----------
    partition, offset, timestamp
        Its own place in the topic of dead letters, and when it was written (epoch milliseconds).
    key, value, headers
        Of the original record.
    about
        Where that came from, and what is wrong.
    """

    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]
    about: About

    @property
    def identity(self) -> str:
        """Its name on the command line."""
        return f"{self.partition}:{self.offset}"

    @property
    def origin(self) -> str:
        """Where the original record came from."""
        about = self.about
        place = f"[{about.position}]" if about.position else ""
        return f"{about.topic or '?'}/{about.partition or '?'}@{about.offset or '?'}{place}"

    @property
    def obstacle(self) -> str:
        """Why it cannot be sent again; empty when it can."""
        if self.about.error_class == NOT_HERE:
            return "it stands for records that could not be read, and does not hold them"
        if self.about.length:
            return f"only the beginning of {self.about.length} bytes is kept"
        if self.about.redacted:
            return (
                f"it holds only the shape of the record: send {self.origin} again from its source, and keep "
                'whole records with [ingest] dead_letters = "full"'
            )
        if not self.about.topic and self.about.source:
            return f"it came over HTTP: post its value to /v1/events/{self.about.source}"
        if not self.about.topic:
            return "it does not say where it came from"
        if not _TOPIC.fullmatch(self.about.topic):
            return "it names a topic that cannot exist"
        if self.key is None and self.value is None:
            return "it had neither key nor value, and no client sends such a record"
        return ""

    def texts(self) -> dict[str, str]:
        """The fields of ``about`` as text, by their names without prefix."""
        return {
            name.rpartition(".")[2]: content.decode(errors="replace")
            for name, content in _headers(self.about)
        }


def about_of(headers: Iterable[tuple[str, bytes | None]]) -> About:
    """What the headers of a dead letter say.

    Raises
    ------
    WrongUse
        With the header that is not as the contract says.

    Examples
    --------
    >>> about_of([("pivotwatch.errors.stage", b"decode")])
    Traceback (most recent call last):
    pivotwatch.base.errors.WrongUse: not a dead letter: pivotwatch.errors.class: required, but missing
    """
    own = {name: (content or b"").decode(errors="replace") for name, content in headers if _is_own(name)}
    try:
        return msgspec.convert(own, About)
    except msgspec.ValidationError as error:
        raise WrongUse(f"not a dead letter: {explain(error)}") from None


def parse_dead_letter(record: Record) -> DeadLetter:
    """Read a record of a dead-letter topic.

    Raises
    ------
    WrongUse
        When it is none.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> about = About(stage="decode", error_class="BadEvent", message="not JSON", topic="requests")
    >>> sent = dead_letter(about, b"k", b"{", (("trace", b"1"),))
    >>> record = SimpleNamespace(
    ...     partition=0, offset=4, timestamp=0, key=sent.key, value=sent.value, headers=sent.headers
    ... )
    >>> parse_dead_letter(record).headers, parse_dead_letter(record).origin
    ((('trace', b'1'),), 'requests/?@?')
    """
    about = about_of(record.headers)
    own = tuple((name, content) for name, content in record.headers if not _is_own(name))
    value = None if about.null else record.value
    return DeadLetter(record.partition, record.offset, record.timestamp, record.key, value, own, about)


class _Published(Struct, kw_only=True):
    """A record of the topics ``dlq`` and ``deliveries_dlq``; base64 stands for bytes that are not text."""

    key: Annotated[
        bytes | None,
        Meta(description="Key of the original record; null for a foreign record that is redacted."),
    ]
    value: Annotated[
        bytes,
        Meta(
            description="Value of the original record, cut so that a dead letter has at most 900,000 bytes; "
            "of a foreign record only its shape, unless ingest is configured to keep more."
        ),
    ]
    headers: About


def dead_letter_schema() -> dict[str, Any]:
    """JSON Schema of a dead letter: its headers and value."""
    return json_schema(_Published, "pivotwatch dead-letter")
