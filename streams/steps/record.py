"""The record of one partition and bucket, on its way from `accounts` to `networks`.

Only integers and names cross, so that sums over partitions are exact in any order. The content is
sorted: the same counts give the same bytes, whatever happened on the way. A record longer than
``MAX_BYTES`` travels in parts.
"""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import orjson

from streams.steps import work
from streams.steps.contract import Output
from streams.steps.work import Work, at_once, sliced

VERSION = 1
MAX_BYTES = 900_000


class Header(msgspec.Struct, frozen=True, omit_defaults=True):
    """Identity of a part of a record: version, partition, bucket, part of parts.

    The record of bucket ``b`` also says that the buckets from ``since`` on had no events. A ``final``
    record says that the partition is finished; an ``idle`` one that it had run dry.
    """

    v: int
    p: int
    since: int
    b: int
    part: int
    parts: int
    final: bool = False
    idle: bool = False


class _Versioned(msgspec.Struct):
    v: int


def encode(
    partition: int, since: int, bucket: int, body: dict[str, Any], *, final: bool, idle: bool
) -> list[Output]:
    r"""A record as Kafka records: one, or several when it is long. Tables of integers may be arrays.

    Examples
    --------
    >>> (output,) = encode(0, 5, 7, {"active": []}, final=False, idle=False)
    >>> output.key, output.value
    (b'0', b'{"v":1,"p":0,"since":5,"b":7,"part":0,"parts":1}\n{"active":[]}')
    """
    return at_once(encoding(partition, since, bucket, body, final=final, idle=idle))


def encoding(
    partition: int, since: int, bucket: int, body: dict[str, Any], *, final: bool, idle: bool
) -> Work[list[Output]]:
    """The work of `encode`."""
    content = b"".join((yield from _pieces(body)))
    slices = [content[i : i + MAX_BYTES] for i in range(0, len(content), MAX_BYTES)] or [b""]
    outputs = []
    for part, piece in enumerate(slices):
        head = Header(VERSION, partition, since, bucket, part, len(slices), final, idle)
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
    msgspec.DecodeError
        When it is not such a record.
    ValueError
        When a newer version wrote it.
    """
    head, _, piece = (value or b"").partition(b"\n")
    version = msgspec.json.decode(head, type=_Versioned).v
    if version > VERSION:
        raise ValueError(f"bucket record of version {version}; this program knows {VERSION}: upgrade it")
    return msgspec.json.decode(head, type=Header), piece
