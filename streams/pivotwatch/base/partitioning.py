"""The partition of a key, as Kafka's default partitioner chooses it."""

from __future__ import annotations

from typing import Final

SEED: Final = 0x9747B28C
MULTIPLIER: Final = 0x5BD1E995
SHIFT: Final = 24
WORD: Final = 0xFFFFFFFF
POSITIVE: Final = 0x7FFFFFFF


def murmur2(data: bytes) -> int:
    """The 32-bit MurmurHash2 of ``data`` with the seed that Kafka uses.

    Examples
    --------
    >>> murmur2(b"21")
    3321034988
    """
    length = len(data)
    whole = length & ~3
    hashed = (SEED ^ length) & WORD
    for start in range(0, whole, 4):
        word = int.from_bytes(data[start : start + 4], "little") * MULTIPLIER & WORD
        word = (word ^ word >> SHIFT) * MULTIPLIER & WORD
        hashed = hashed * MULTIPLIER & WORD ^ word
    if length > whole:
        hashed = (hashed ^ int.from_bytes(data[whole:], "little")) * MULTIPLIER & WORD
    hashed = (hashed ^ hashed >> 13) * MULTIPLIER & WORD
    return hashed ^ hashed >> 15


def partition_of(key: str, partitions: int) -> int:
    """The partition that a producer sends a key to.

    Parameters
    ----------
    key
        The key; a producer encodes it as UTF-8.
    partitions
        Number of partitions of the topic.

    Examples
    --------
    >>> [partition_of(account, 4) for account in ("acct-1", "acct-2", "acct-3")]
    [2, 3, 3]
    """
    return (murmur2(key.encode()) & POSITIVE) % partitions
