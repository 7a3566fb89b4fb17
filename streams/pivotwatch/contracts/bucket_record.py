"""The record of one partition and bucket, which `accounts` sends to `networks`.

It holds integers and names only, so sums over partitions are exact in any order. The content is sorted, so
the same counts give the same bytes after any restart. A record longer than ``MAX_BYTES`` is sent in parts.
The content is described in `pivotwatch.contracts.bucket_content`.
"""

from __future__ import annotations

import zlib
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from pivotwatch.base.errors import WrongUse
from pivotwatch.contracts.bucket_content import Body
from pivotwatch.contracts.codec import MAX_TS, explain, json_schema
from pivotwatch.contracts.events import BadEvent
from pivotwatch.contracts.records import Output

VERSION = 1
MAX_BYTES = 890_000
"""Bytes of content in one Kafka record: fewer than a dead letter keeps, so that it can be resent whole."""
MAX_PARTS = 10_000

Bucket = Annotated[int, Meta(ge=-MAX_TS, le=MAX_TS)]
Count = Annotated[int, Meta(ge=0)]
Version = Annotated[int, Meta(ge=1)]
Parts = Annotated[int, Meta(ge=1, le=MAX_PARTS)]
Width = Annotated[int, Meta(ge=1, le=MAX_TS)]
Crc = Annotated[int, Meta(ge=0, lt=2**32)]


class NewerRecord(WrongUse):
    """A genuine record of a newer version: to leave it out would give wrong results."""

    def __init__(self, version: int) -> None:
        super().__init__(
            f"a bucket record of version {version}; this program knows {VERSION}: upgrade networks to the "
            "program of accounts. If accounts has no newer program, somebody else wrote the record: take the "
            "right to write buckets from them, and move the group of networks behind it"
        )


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
    """The fields that the header has in every version, newer ones too."""

    v: Version
    p: Count
    since: int
    b: int
    part: Count
    parts: Parts
    width: Width
    crc: Crc


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
    r"""Kafka records of a bucket record: one, or one per part.

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
    """Header and part of the content of one Kafka record. Of a newer version the header is not complete.

    Raises
    ------
    BadEvent
        When it is not a bucket record.
    """
    head, _, piece = (value or b"").partition(b"\n")
    try:
        known = _known(head)
        header = Header(**msgspec.structs.asdict(known)) if known.v > VERSION else _header(head)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadEvent(f"not a bucket record: {explain(error)}") from None
    if header.since > header.b or header.part >= header.parts or header.b * header.width >= MAX_TS:
        raise BadEvent("not a bucket record: its numbers contradict one another")
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
