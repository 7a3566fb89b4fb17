"""The record of one partition and bucket, on its way from `accounts` to `networks`.

Only integers and names cross, so that sums over partitions are exact in any order. The content is
sorted: the same counts give the same bytes, whatever happened on the way. A record longer than
``MAX_BYTES`` travels in parts. What the content must be like is in `pivotwatch.contracts.bucket_content`.
"""

from __future__ import annotations

import zlib
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from pivotwatch.base.errors import WrongUse
from pivotwatch.contracts.bucket_content import Body
from pivotwatch.contracts.codec import MAX_TS, json_schema
from pivotwatch.contracts.events import BadEvent
from pivotwatch.contracts.records import Output

VERSION = 1
MAX_BYTES = 890_000
"""Less than a dead letter holds, so that one can be sent again whole."""
MAX_PARTS = 10_000

Bucket = Annotated[int, Meta(ge=-MAX_TS, le=MAX_TS)]
Count = Annotated[int, Meta(ge=0)]
Version = Annotated[int, Meta(ge=1)]
Parts = Annotated[int, Meta(ge=1, le=MAX_PARTS)]
Width = Annotated[int, Meta(ge=1, le=MAX_TS)]
Crc = Annotated[int, Meta(ge=0, lt=2**32)]


class Header(msgspec.Struct, frozen=True, omit_defaults=True):
    """Identity of one part of a record."""

    v: Annotated[Version, Meta(description="Version of this form.")]
    p: Annotated[Count, Meta(description="Partition of the requests.")]
    since: Annotated[Bucket, Meta(description="The buckets from this one to before b had no events.")]
    b: Annotated[Bucket, Meta(description="The bucket: its start divided by its length.")]
    part: Annotated[Count, Meta(description="Which part this is, from 0.")]
    parts: Annotated[Parts, Meta(description="Number of parts of the record.")]
    width: Annotated[Width, Meta(description="Length of a bucket in milliseconds.")]
    crc: Annotated[
        Crc, Meta(description="CRC-32 of the content of all parts: the same for parts that belong together.")
    ]
    first: Annotated[bool, Meta(description="Whether nothing is known of the buckets before since.")] = False
    final: Annotated[bool, Meta(description="Whether the partition is finished.")] = False
    idle: Annotated[
        bool, Meta(description="Whether the partition had run dry, so that the clock closed the bucket.")
    ] = False


class _Known(msgspec.Struct):
    """What a record of every version, also of a newer one, begins with."""

    v: Version
    p: Count
    since: int
    b: int
    part: Count
    parts: Count


_known, _header = msgspec.json.Decoder(_Known).decode, msgspec.json.Decoder(Header).decode


def encode(
    partition: int,
    since: int,
    bucket: int,
    body: Body,
    *,
    width: int,
    first: bool = False,
    final: bool = False,
    idle: bool = False,
) -> list[Output]:
    r"""A record as Kafka records: one, or several when it is long.

    Examples
    --------
    >>> (output,) = encode(0, 5, 7, Body(late=3), width=3_600_000)
    >>> head, content = output.value.split(b"\n")
    >>> output.key, head
    (b'0', b'{"v":1,"p":0,"since":5,"b":7,"part":0,"parts":1,"width":3600000,"crc":...}')
    """
    content = msgspec.json.encode(body)
    pieces = [content[i : i + MAX_BYTES] for i in range(0, len(content), MAX_BYTES)]
    crc, outputs = zlib.crc32(content), []
    for part, piece in enumerate(pieces):
        head = Header(VERSION, partition, since, bucket, part, len(pieces), width, crc, first, final, idle)
        value = msgspec.json.encode(head) + b"\n" + piece
        outputs.append(Output("buckets", str(partition).encode(), value))
    return outputs


def decode(value: bytes | None) -> tuple[Header, bytes]:
    """Header and piece of content of one Kafka record.

    Raises
    ------
    BadEvent
        When it is not such a record.
    WrongUse
        When it is one of a newer version: to leave it out would give wrong results.
    """
    head, _, piece = (value or b"").partition(b"\n")
    try:
        if (version := _known(head).v) > VERSION:
            raise WrongUse(
                f"a bucket record of version {version}; this program knows {VERSION}: upgrade networks"
            )
        header = _header(head)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadEvent(f"not a bucket record: {error}") from None
    if header.since > header.b or header.part >= header.parts or header.b * header.width >= MAX_TS:
        raise BadEvent("not a bucket record: its numbers contradict each other")
    return header, piece


class _Published(msgspec.Struct, kw_only=True):
    """A record of the topic ``buckets``: one line of JSON, the header, then a part of the content as JSON."""

    header: Header
    content: Annotated[
        Body, Meta(description="All parts together; a record longer than 890,000 bytes travels in parts.")
    ]


def bucket_schema() -> dict[str, Any]:
    """JSON Schema of a bucket record: its header and content."""
    return json_schema(_Published, "pivotwatch bucket")
