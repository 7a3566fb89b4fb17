"""Unpacks compressed batches of records, up to a bound.

A batch of 28 kB can unpack to 630 MB, and the libraries unpack it whole, whatever it holds. `install`
puts bounded functions in the place of theirs: for the workers (aiokafka) and for the commands
(kafka-python).
"""

from __future__ import annotations

import gzip
import io
import mmap
import sys
import threading
from collections.abc import Callable
from types import ModuleType
from typing import Any

import cramjam
import kafka.record.default_records
import kafka.record.legacy_records
from aiokafka.record import default_records, legacy_records
from aiokafka.record.default_records import DefaultRecordBatch
from aiokafka.record.legacy_records import LegacyRecordBatch

MAX_BATCH_BYTES = 32 * 2**20
"""The largest batch that is unpacked. A broker takes batches of about 1 MB (``max.message.bytes``), and
events as JSON shrink to a tenth or a twentieth: a batch of a producer stays below this by far."""
KEPT_BYTES = 2**20
"""So much of a thread's buffer stays in memory between batches."""
PIECE_BYTES = 2**20
XERIAL_HEADER = 16
XERIAL_MAGIC = b"\x82SNAPPY\x00"


class BatchRefused(Exception):
    """A batch that cannot be unpacked, or becomes too large. The message says which."""


class Unpacked(threading.local):
    """How much the current thread has unpacked.

    Attributes
    ----------
    total
        Bytes, since the thread began; a batch that becomes too large counts with what was tried.
    """

    total: int = 0

    def __init__(self) -> None:
        self.buffer = mmap.mmap(-1, MAX_BATCH_BYTES)

    def taken(self, size: int) -> bytes:
        """What was unpacked into the buffer; memory that a batch rarely needs is given back."""
        data = self.buffer[:size]
        self.total += size
        self.trim(size)
        return data

    def trim(self, size: int) -> None:
        """Give back the memory of the buffer, if much of it was used."""
        if size > KEPT_BYTES:
            self.buffer.madvise(mmap.MADV_DONTNEED)


UNPACKED = Unpacked()


def zstd_decode(payload: Any) -> bytes:
    """Unpack zstd.

    Raises
    ------
    BatchRefused
        When it becomes too large, or is damaged.

    Examples
    --------
    >>> zstd_decode(bytes(cramjam.zstd.compress(b"events")))
    b'events'
    >>> zstd_decode(bytes(cramjam.zstd.compress(bytes(MAX_BATCH_BYTES + 1))))
    Traceback (most recent call last):
    pivotwatch.engine.fetching.unpacking.BatchRefused: it unpacks to more than 32 MiB
    """
    return UNPACKED.taken(_into(cramjam.zstd.decompress_into, payload, UNPACKED.buffer))


def lz4_decode(payload: Any) -> bytes:
    """Unpack lz4, as `zstd_decode`."""
    return UNPACKED.taken(_into(cramjam.lz4.decompress_into, payload, UNPACKED.buffer))


def snappy_decode(payload: Any) -> bytes:
    """Unpack snappy, in one block or in many with their lengths (as Java writes it); as `zstd_decode`."""
    raw, size = memoryview(payload), 0
    with memoryview(UNPACKED.buffer) as buffer:
        if bytes(raw[: len(XERIAL_MAGIC)]) != XERIAL_MAGIC:
            size = _into(cramjam.snappy.decompress_raw_into, payload, buffer)
        else:
            place = XERIAL_HEADER
            while place < len(raw):
                length = int.from_bytes(raw[place : place + 4])
                block = raw[place + 4 : place + 4 + length]
                if len(block) < length:
                    raise BatchRefused("it cannot be unpacked: snappy: a block is cut off")
                size += _into(cramjam.snappy.decompress_raw_into, block, buffer[size:])
                place += 4 + length
    return UNPACKED.taken(size)


def gzip_decode(payload: Any) -> bytes:
    """Unpack gzip, as `zstd_decode`."""
    pieces, size = [], 0
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(payload), mode="r") as reader:
            while piece := reader.read(PIECE_BYTES):
                size += len(piece)
                if size > MAX_BATCH_BYTES:
                    raise _too_large()
                pieces.append(piece)
    except BatchRefused:
        raise
    except Exception as error:
        raise BatchRefused(f"it cannot be unpacked: gzip: {error}") from None
    UNPACKED.total += size
    return b"".join(pieces)


DECODERS: tuple[Callable[[Any], bytes], ...] = (gzip_decode, snappy_decode, lz4_decode, zstd_decode)


def install() -> None:
    """Put these functions in the place of those of the libraries, in this process."""
    for module in modules():
        for decode in DECODERS:
            if hasattr(module, decode.__name__):
                setattr(module, decode.__name__, decode)


def modules() -> list[ModuleType]:
    """The modules of the libraries that unpack batches: in Python, and in C where that is built."""
    compiled = [sys.modules[kind.__module__] for kind in (DefaultRecordBatch, LegacyRecordBatch)]
    theirs = [default_records, legacy_records, kafka.record.default_records, kafka.record.legacy_records]
    return [*compiled, *theirs]


def _into(decompress: Callable[[Any, Any], int], payload: Any, buffer: Any) -> int:
    """Unpack into a buffer; return the length."""
    try:
        return decompress(payload, buffer)
    except cramjam.DecompressionError as error:
        UNPACKED.trim(MAX_BATCH_BYTES)
        text = str(error)
        if "failed to write whole buffer" in text or "is smaller than required" in text:
            raise _too_large() from None
        raise BatchRefused(f"it cannot be unpacked: {text}") from None


def _too_large() -> BatchRefused:
    UNPACKED.total += MAX_BATCH_BYTES
    return BatchRefused(f"it unpacks to more than {MAX_BATCH_BYTES // 2**20} MiB")
