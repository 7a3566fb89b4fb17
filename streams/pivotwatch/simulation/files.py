"""Simulations into files: plain, gzip or Zstandard by the ending, ``-`` for standard output."""

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
    """What takes bytes."""

    def write(self, data: bytes, /) -> int: ...


@contextlib.contextmanager
def opened(path: str | Path) -> Iterator[Writable]:
    """A place to write bytes to. Compressed files carry neither name nor date, so they repeat to the byte."""
    name = str(path)
    if name == STANDARD_OUTPUT:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    with open(name, "wb") as raw:
        if name.endswith(".gz"):
            # Level 6 would cost more than to simulate and write the events.
            with gzip.GzipFile(filename="", mode="wb", compresslevel=3, fileobj=raw, mtime=0) as packed:
                yield packed
        elif name.endswith(".zst"):
            with zstandard.ZstdCompressor(level=3).stream_writer(raw, closefd=False) as packed:
                yield packed
        else:
            yield raw


def write_events(slices: Iterable[Slice], path: str | Path) -> int:
    """Write events, one a line; returns how many."""
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
