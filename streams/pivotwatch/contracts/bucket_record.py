"""The record of one partition and bucket, on its way from `accounts` to `networks`.

Only integers and names cross, so that sums over partitions are exact in any order. The content is
sorted: the same counts give the same bytes, whatever happened on the way. A record longer than
``MAX_BYTES`` travels in parts. What the content must be like is in `pivotwatch.contracts.bucket_content`.
"""

from __future__ import annotations

import zlib
from typing import Annotated, Any

import msgspec
import numpy as np
import orjson

from pivotwatch.base import work
from pivotwatch.base.errors import WrongUse
from pivotwatch.base.work import Work, at_once, sliced
from pivotwatch.contracts.codec import MAX_TS
from pivotwatch.contracts.events import BadEvent
from pivotwatch.contracts.records import Output

VERSION = 1
MAX_BYTES = 890_000
"""Less than a dead letter holds, so that one can be sent again whole."""
MAX_PARTS = 10_000

Bucket = Annotated[int, msgspec.Meta(ge=-MAX_TS, le=MAX_TS)]
Count = Annotated[int, msgspec.Meta(ge=0)]


class Header(msgspec.Struct, frozen=True, omit_defaults=True):
    """Identity of a part of a record: version, partition, bucket, part of parts.

    The record of bucket ``b`` also says that the buckets from ``since`` on had no events. A ``first``
    record says that nothing is known of what was before; a ``final`` one that the partition is
    finished; an ``idle`` one that it had run dry. ``width`` is that of a bucket in milliseconds, ``crc`` the
    CRC-32 of the content of all parts: it holds together what belongs together.
    """

    v: Annotated[int, msgspec.Meta(ge=1)]
    p: Count
    since: Bucket
    b: Bucket
    part: Count
    parts: Annotated[int, msgspec.Meta(ge=1, le=MAX_PARTS)]
    width: Annotated[int, msgspec.Meta(ge=1, le=MAX_TS)]
    crc: Annotated[int, msgspec.Meta(ge=0, lt=2**32)]
    first: bool = False
    final: bool = False
    idle: bool = False


class _Known(msgspec.Struct):
    """What a record of every version, also of a newer one, begins with."""

    v: Annotated[int, msgspec.Meta(ge=1)]
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
    body: dict[str, Any],
    *,
    width: int,
    first: bool = False,
    final: bool = False,
    idle: bool = False,
) -> list[Output]:
    r"""A record as Kafka records: one, or several when it is long. Tables of integers may be arrays.

    Examples
    --------
    >>> (output,) = encode(0, 5, 7, {"late": 0}, width=3_600_000)
    >>> head, content = output.value.split(b"\n")
    >>> output.key, head
    (b'0', b'{"v":1,"p":0,"since":5,"b":7,"part":0,"parts":1,"width":3600000,"crc":4176856562}')
    >>> content
    b'{"late":0}'
    """
    return at_once(encoding(partition, since, bucket, body, width=width, first=first, final=final, idle=idle))


def encoding(
    partition: int,
    since: int,
    bucket: int,
    body: dict[str, Any],
    *,
    width: int,
    first: bool = False,
    final: bool = False,
    idle: bool = False,
) -> Work[list[Output]]:
    """The work of `encode`."""
    content = b"".join((yield from _pieces(body)))
    slices = [content[i : i + MAX_BYTES] for i in range(0, len(content), MAX_BYTES)] or [b""]
    crc, outputs = zlib.crc32(content), []
    for part, piece in enumerate(slices):
        head = Header(VERSION, partition, since, bucket, part, len(slices), width, crc, first, final, idle)
        value = msgspec.json.encode(head) + b"\n" + piece
        outputs.append(Output("buckets", str(partition).encode(), value))
    return outputs


def _pieces(value: Any) -> Work[list[bytes]]:
    """JSON in pieces, none of which takes long to make."""
    if isinstance(value, dict):
        pieces = [b"{"]
        for i, (key, inner) in enumerate(value.items()):
            pieces += [b"," if i else b"", orjson.dumps(key), b":", *(yield from _pieces(inner))]
        return [*pieces, b"}"]
    if isinstance(value, list) and value and isinstance(value[0], (dict, np.ndarray)):
        pieces = [b"["]
        for i, inner in enumerate(value):
            pieces += [b"," if i else b"", *(yield from _pieces(inner))]
        return [*pieces, b"]"]
    if isinstance(value, (list, np.ndarray)) and len(value) > work.PART:
        pieces = [b"["]
        for i, some in enumerate(sliced(value)):  # type: ignore[arg-type]  # rows of an array
            part = orjson.dumps(some, option=orjson.OPT_SERIALIZE_NUMPY)
            pieces += [b"," if i else b"", part[1:-1]]
            yield
        return [*pieces, b"]"]
    return [orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY)]


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
