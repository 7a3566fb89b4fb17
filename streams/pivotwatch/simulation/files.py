"""Writes simulations to files: plain, gzip (.gz) or Zstandard (.zst), or ``-`` for standard output."""

from __future__ import annotations

import contextlib
import gzip
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Protocol

import orjson
import zstandard

from pivotwatch.simulation.encode import Slice

STANDARD_OUTPUT = "-"


class Writable(Protocol):
    """Something that bytes can be written to."""

    def write(self, data: bytes, /) -> int: ...


@contextlib.contextmanager
def opened(path: str | Path) -> Iterator[Writable]:
    """Open a file for writing. Compressed files hold neither name nor date, so that their bytes repeat."""
    name = str(path)
    if name == STANDARD_OUTPUT:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    with open(name, "wb") as raw:
        if name.endswith(".gz"):
            # Level 6 would take longer than the simulation itself.
            with gzip.GzipFile(filename="", mode="wb", compresslevel=3, fileobj=raw, mtime=0) as packed:
                yield packed
        elif name.endswith(".zst"):
            with zstandard.ZstdCompressor(level=3).stream_writer(raw, closefd=False) as packed:
                yield packed
        else:
            yield raw


def write_events(slices: Iterable[Slice], path: str | Path) -> int:
    """Write events, one per line; returns their number."""
    count = 0
    with opened(path) as target:
        for part in slices:
            target.write(part.blob)
            count += len(part)
    return count


def write_json(value: Any, path: str | Path) -> None:
    """Write one JSON document, such as the truth or the release calendar."""
    with opened(path) as target:
        target.write(orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
