"""Event files: plain, gzip, bzip2, Zstandard, CSV or Parquet, or ``-`` for standard input.

The first bytes decide whether a file is compressed or UTF-16, so that renamed files and compressed standard
input work. Only Parquet and CSV files are recognised by their names.
"""

from __future__ import annotations

import bz2
import codecs
import contextlib
import csv
import io
import sys
import zlib
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import IO, Any, NamedTuple, Protocol

import orjson
import zstandard

from pivotwatch.base.errors import OutOfReach, WrongUse
from pivotwatch.tools.event_tables import parquet_lines
from pivotwatch.tools.object_stores import is_address, opened, size_of

STANDARD_INPUT = "-"
CHUNK = 1 << 20
GZIP = b"\x1f\x8b"
ZSTANDARD = b"\x28\xb5\x2f\xfd"
BZIP2 = b"BZh"
UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
PARQUET = b"PAR1"
REGISTRY_FRAME = b"\0"
CSV = (".csv", ".csv.gz", ".csv.bz2", ".csv.zst")
BINARY = {
    b"Obj\x01": "a file of Avro",
    b"ORC": "a file of ORC",
    b"PK\x03\x04": "a ZIP archive or a spreadsheet",
    b"7z\xbc\xaf": "a 7-Zip archive",
    b"\xfd7zXZ": "content compressed with xz",
    b"\xff\x06\0\0sNaPpY": "content compressed with snappy",
    b"\x04\x22\x4d\x18": "content compressed with lz4",
    b"SQLite format": "a database of SQLite",
    b"ARROW1": "a file of Arrow",
}
"""First bytes of files that are not read, and what they are."""
MAX_WINDOW = 1 << 31
"""Largest window of Zstandard in bytes (``zstd --long=31``)."""
MAX_STRETCHES = 1 << 14
"""Number of stretches of lines whose places are remembered."""


class StandardInput:
    """Standard input whose beginning can be read before it is read as a whole.

    Parameters
    ----------
    file
        The stream; by default that of the process.
    """

    def __init__(self, file: IO[bytes] | None = None) -> None:
        self._file = sys.stdin.buffer if file is None else file
        self._beginning: bytes | None = None
        self._given = 0

    def beginning(self) -> bytes:
        """The first megabyte."""
        if self._beginning is None:
            self._beginning = self._file.read(CHUNK)
        return self._beginning

    def read(self, size: int) -> bytes:
        """The next bytes, empty at the end."""
        if self._beginning is None or self._given == len(self._beginning):
            return self._file.read(size)
        part = self._beginning[self._given : self._given + size]
        self._given += len(part)
        return part


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


class _Stretch(NamedTuple):
    """Consecutive lines of a file without an empty line between them.

    Attributes
    ----------
    first
        Number of the first line among all lines yielded, from 0.
    path, unit, line
        The file, ``line`` or ``row``, and the number of the first line in the file, from 1.
    """

    first: int
    path: str
    unit: str
    line: int


class _Decompressor(Protocol):
    def decompress(self, data: bytes, /) -> bytes: ...
    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...


class Lines:
    r"""The lines of several files, one file after the other, without empty lines.

    Parameters
    ----------
    paths
        The files; ``-`` is standard input.
    standard_input
        Standard input, if it is not that of the process.

    Attributes
    ----------
    size
        Total size of the files on disk in bytes, or None when one of them is standard input.
    read
        Bytes read so far.
    count
        Lines yielded so far.

    Examples
    --------
    >>> import gzip, tempfile
    >>> with tempfile.NamedTemporaryFile(suffix=".gz") as file:
    ...     _ = file.write(gzip.compress(b'{"id":"1"}\n\n{"id":"2"}'))
    ...     file.flush()
    ...     list(Lines([file.name]))
    [b'{"id":"1"}', b'{"id":"2"}']
    """

    def __init__(self, paths: Sequence[str], standard_input: _Readable | None = None) -> None:
        if paths.count(STANDARD_INPUT) > 1:
            raise WrongUse("- (standard input) can be read only once: name it once")
        self.paths = paths
        self._standard_input = standard_input
        self.size = _total_size(paths)
        self.read = 0
        self.count = 0
        self._stretches: deque[_Stretch] = deque(maxlen=MAX_STRETCHES)

    def __iter__(self) -> Iterator[bytes]:
        for path in self.paths:
            yield from self._lines_of(path)

    def place(self, number: int) -> str:
        r"""The file and line of the line with this number among all lines yielded, from 0.

        For lines from long ago, the result is only ``event NUMBER``.

        Examples
        --------
        >>> import tempfile
        >>> with tempfile.NamedTemporaryFile() as file:
        ...     _ = file.write(b"a\n\nb\n")
        ...     file.flush()
        ...     lines = Lines([file.name])
        ...     [lines.place(number).removeprefix(file.name) for number, _ in enumerate(lines)]
        [' line 1', ' line 3']
        """
        for stretch in reversed(self._stretches):
            if stretch.first <= number:
                path = "standard input" if stretch.path == STANDARD_INPUT else stretch.path
                return f"{path} {stretch.unit} {number - stretch.first + stretch.line}"
        return f"event {number + 1}"

    def _lines_of(self, path: str) -> Iterator[bytes]:
        if path.endswith(".parquet") or _is_parquet(path):
            yield from self._rows_of(path)
            return
        if path.endswith(CSV):
            yield from self._records_of(path)
            return
        rest = b""
        after_gap = True
        lines_before = 0
        for chunk in self._plain_chunks(path):
            lines = (rest + chunk).split(b"\n")
            rest = lines.pop()
            for number, line in enumerate(lines, start=lines_before + 1):
                if line and not line.isspace():
                    if after_gap:
                        self._stretches.append(_Stretch(self.count, path, "line", number))
                        after_gap = False
                    self.count += 1
                    yield line
                else:
                    after_gap = True
            lines_before += len(lines)
        if rest.strip():
            if after_gap:
                self._stretches.append(_Stretch(self.count, path, "line", lines_before + 1))
            self.count += 1
            yield rest

    def _rows_of(self, path: str) -> Iterator[bytes]:
        self._stretches.append(_Stretch(self.count, path, "row", 1))
        with opened(path) if is_address(path) else nullcontext() as file:
            for row in parquet_lines(path, file):
                self.count += 1
                yield row
        self.read += _total_size([path]) or 0

    def _records_of(self, path: str) -> Iterator[bytes]:
        """The records of a CSV file with a header, one JSON object each; a place counts records."""
        self._stretches.append(_Stretch(self.count, path, "row", 1))
        chunks = self._plain_chunks(path)
        text = io.TextIOWrapper(io.BufferedReader(_Chunks(chunks)), "utf-8", "replace", newline="")
        try:
            for record in csv.DictReader(text):
                self.count += 1
                yield orjson.dumps({name: value for name, value in record.items() if name})
        except csv.Error as error:
            raise WrongUse(f"{path}: not CSV with a header: {error}") from None

    def _plain_chunks(self, path: str) -> Iterator[bytes]:
        """The content of a file, decompressed, as UTF-8."""
        chunks = self._decompressed_chunks(path)
        first = next(chunks, b"")
        if first.startswith(UTF_16):
            decoder = codecs.getincrementaldecoder("utf-16")("replace")
            for chunk in (first, *chunks):
                yield decoder.decode(chunk).encode("utf-8", "replace")
            yield decoder.decode(b"", final=True).encode("utf-8", "replace")
            return
        if first.startswith(REGISTRY_FRAME):
            raise WrongUse(
                f"{_shown(path)}: binary content that begins with 0x00, such as messages with the frame of a "
                "schema registry (Confluent); export the messages as JSON"
            )
        for magic, name in BINARY.items():
            if first.startswith(magic):
                raise WrongUse(f"{_shown(path)}: {name}; export the events as JSON lines, CSV or Parquet")
        yield first.removeprefix(codecs.BOM_UTF8)
        yield from chunks

    def _decompressed_chunks(self, path: str) -> Iterator[bytes]:
        chunks = self._raw_chunks(path)
        first = next(chunks, b"")
        if not first.startswith((GZIP, ZSTANDARD, BZIP2)):
            yield first
            yield from chunks
            return
        decompressor = _decompressor(first)
        form = first[:4]
        data = first
        try:
            while data:
                yield decompressor.decompress(data)
                # A file that was appended to holds several compressed streams.
                data = decompressor.unused_data.lstrip(b"\0") if decompressor.eof else b""
                data = data or next(chunks, b"")
                if data and decompressor.eof:
                    decompressor = _decompressor(form)
        except (zlib.error, zstandard.ZstdError, OSError) as error:
            if isinstance(error, OSError) and not form.startswith(BZIP2):
                raise
            raise OutOfReach(f"{path}: the file is damaged: {error}") from None
        if not decompressor.eof:
            raise OutOfReach(f"{path}: the file ends in the middle of its compressed content; copy it again")

    def _raw_chunks(self, path: str) -> Iterator[bytes]:
        try:
            with self._opened(path) as file:
                while chunk := file.read(CHUNK):
                    self.read += len(chunk)
                    yield chunk
        except OSError as error:
            raise OutOfReach(f"{path}: {error.strerror or error}") from None

    def _opened(self, path: str) -> AbstractContextManager[_Readable]:
        if is_address(path):
            return opened(path)
        # Standard input must stay open.
        return (
            nullcontext(self._standard_input or StandardInput())
            if path == STANDARD_INPUT
            else open(path, "rb")
        )


def read_json_array(path: str) -> list[dict[str, object]]:
    """Read a JSON array of objects, or one object per line, such as a release calendar."""
    lines = list(Lines([path]))
    text = b"\n".join(lines)
    try:
        content = (
            orjson.loads(text) if text.lstrip().startswith(b"[") else [orjson.loads(line) for line in lines]
        )
    except orjson.JSONDecodeError as error:
        raise WrongUse(f"{path}: not JSON: {error}") from None
    if not all(isinstance(entry, dict) for entry in content):
        raise WrongUse(f"{path}: expected a JSON array of objects")
    return list(content)


class _Chunks(io.RawIOBase):
    """A readable stream of chunks."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        while not self._rest:
            chunk = next(self._chunks, None)
            if chunk is None:
                return 0
            self._rest = chunk
        size = min(len(buffer), len(self._rest))
        buffer[:size], self._rest = self._rest[:size], self._rest[size:]
        return size


def _decompressor(first: bytes) -> _Decompressor:
    if first.startswith(GZIP):
        return zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    if first.startswith(BZIP2):
        return bz2.BZ2Decompressor()
    return zstandard.ZstdDecompressor(max_window_size=MAX_WINDOW).decompressobj()


def _shown(path: str) -> str:
    return "standard input" if path == STANDARD_INPUT else path


def _is_parquet(path: str) -> bool:
    if path == STANDARD_INPUT or is_address(path):
        return False
    with contextlib.suppress(OSError), open(path, "rb") as file:
        return file.read(len(PARQUET)) == PARQUET
    return False


def _total_size(paths: Sequence[str]) -> int | None:
    """The total size of the files; reports a missing file before any file is read."""
    total = 0
    for path in paths:
        if path == STANDARD_INPUT:
            return None
        if is_address(path):
            total += size_of(path)
            continue
        try:
            stat = Path(path).stat()
            with open(path, "rb"):
                total += stat.st_size
        except OSError as error:
            raise OutOfReach(f"{path}: {error.strerror}") from None
    return total
