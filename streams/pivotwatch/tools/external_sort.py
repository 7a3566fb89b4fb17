"""Sorts lines by time in bounded memory: sorted parts of a temporary file are merged."""

from __future__ import annotations

import heapq
import os
import struct
import tempfile
from collections.abc import Iterable, Iterator
from operator import itemgetter
from typing import IO, NamedTuple

from pivotwatch.base.errors import OutOfReach

MAX_MEMORY = 256_000_000
"""Bytes of lines, with what Python adds to each, that are sorted at once."""
_OVERHEAD = 250
_LARGEST_BLOCK, _SMALLEST_BLOCK = 1 << 20, 1 << 14
_HEAD = struct.Struct("<qIQI")


class TimedLine(NamedTuple):
    """A line with its time (epoch milliseconds) and its origin: number of the file, and of the line in it."""

    time: int
    file: int
    number: int
    line: bytes


class ExternalSort:
    """Lines in the order of their times. Lines of equal time stay in their order.

    Parameters
    ----------
    memory
        Bytes of lines that are held at once.

    Examples
    --------
    >>> lines = [TimedLine(time, 0, number, b"line") for number, time in enumerate([30, 10, 20, 10])]
    >>> [(line.time, line.number) for line in ExternalSort(memory=600).sorted(lines)]
    [(10, 1), (10, 3), (20, 2), (30, 0)]
    """

    def __init__(self, memory: int = MAX_MEMORY) -> None:
        self._memory = memory
        self.total = 0

    def sorted(self, lines: Iterable[TimedLine]) -> Iterator[TimedLine]:
        """All lines in order; the first one comes when all have been read.

        Raises
        ------
        OutOfReach
            When the folder for temporary files is full.
        """
        with tempfile.TemporaryFile() as file:
            parts, held, size = list[int](), list[TimedLine](), 0
            for line in lines:
                held.append(line)
                size += len(line.line) + _OVERHEAD
                if size >= self._memory:
                    self._write(held, file)
                    parts.append(file.tell())
                    held, size = [], 0
            held.sort(key=itemgetter(0))
            self.total += len(held)
            if not parts:
                yield from held
                return
            block = min(max(self._memory // (4 * len(parts)), _SMALLEST_BLOCK), _LARGEST_BLOCK)
            starts = [0, *parts[:-1]]
            stored = [_read(file, *part, block) for part in zip(starts, parts, strict=True)]
            # Of equal times the earlier part comes first.
            yield from heapq.merge(*stored, held, key=itemgetter(0))

    def _write(self, lines: list[TimedLine], file: IO[bytes]) -> None:
        lines.sort(key=itemgetter(0))
        self.total += len(lines)
        try:
            for line in lines:
                file.write(_HEAD.pack(line.time, line.file, line.number, len(line.line)))
                file.write(line.line)
            file.flush()
        except OSError as error:
            folder = tempfile.gettempdir()
            raise OutOfReach(
                f"{folder}: {error.strerror}; set TMPDIR to a folder with room for all events"
            ) from None


def _read(file: IO[bytes], start: int, end: int, block: int) -> Iterator[TimedLine]:
    """The lines of a part of a file."""
    number, place = file.fileno(), start
    data, at = b"", 0
    while place < end or at < len(data):
        if len(data) - at < _HEAD.size or len(data) - at < _HEAD.size + _HEAD.unpack_from(data, at)[3]:
            more = os.pread(number, min(block, end - place), place)
            place += len(more)
            data, at = data[at:] + more, 0
            continue
        time, file_number, line_number, length = _HEAD.unpack_from(data, at)
        at += _HEAD.size
        yield TimedLine(time, file_number, line_number, data[at : at + length])
        at += length
