"""The record of one partition and bucket, on its way from `accounts` to `networks`.

Only integers and names cross, so that sums over partitions are exact in any order. The content is
sorted: the same counts give the same bytes, whatever happened on the way. A record longer than
``MAX_BYTES`` travels in parts.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import orjson

from streams.steps.contract import Output

VERSION = 1
MAX_BYTES = 900_000


@dataclasses.dataclass(frozen=True, slots=True)
class Header:
    """Identity of a part of a record.

    The record of bucket ``bucket`` also says that the buckets from ``since`` on had no events. A
    ``final`` record says that the partition is finished; an ``idle`` one that it had run dry.
    """

    partition: int
    since: int
    bucket: int
    part: int
    parts: int
    final: bool
    idle: bool


def encode(
    partition: int, since: int, bucket: int, body: dict[str, Any], *, final: bool, idle: bool
) -> list[Output]:
    r"""A record as Kafka records: one, or several when it is long.

    Examples
    --------
    >>> (output,) = encode(0, 5, 7, {"active": []}, final=False, idle=False)
    >>> output.key, output.value
    (b'0', b'{"v":1,"p":0,"since":5,"b":7,"part":0,"parts":1}\n{"active":[]}')
    """
    content = orjson.dumps(body)
    slices = [content[i : i + MAX_BYTES] for i in range(0, len(content), MAX_BYTES)] or [b""]
    outputs = []
    for part, piece in enumerate(slices):
        head: dict[str, Any] = {
            "v": VERSION,
            "p": partition,
            "since": since,
            "b": bucket,
            "part": part,
            "parts": len(slices),
        }
        head |= {"final": True} if final else {}
        head |= {"idle": True} if idle else {}
        outputs.append(Output("buckets", str(partition).encode(), orjson.dumps(head) + b"\n" + piece))
    return outputs


def decode(value: bytes | None) -> tuple[Header, bytes]:
    """Header and piece of content of one Kafka record.

    Raises
    ------
    ValueError
        When it is not such a record, or one of a newer version.
    """
    head, _, piece = (value or b"").partition(b"\n")
    fields = orjson.loads(head)
    if fields["v"] > VERSION:
        raise ValueError(f"bucket record of version {fields['v']}; this program knows {VERSION}: upgrade it")
    header = Header(
        fields["p"],
        fields["since"],
        fields["b"],
        fields["part"],
        fields["parts"],
        fields.get("final", False),
        fields.get("idle", False),
    )
    return header, piece
