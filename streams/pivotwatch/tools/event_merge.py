"""The events of several files: merged by time, or sorted.

One file for each gateway is the ordinary case. Read one after the other, all events of the second file
would be late. So the file that is furthest behind comes first. Each file keeps its own order.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple

import msgspec
import orjson

from pivotwatch.contracts.events import BadEvent, array_elements, parse_time
from pivotwatch.detection.rejections import Rejections
from pivotwatch.ingest.convert import Conversion, NativeLines
from pivotwatch.tools.event_files import MAX_STRETCHES, STANDARD_INPUT, Lines, StandardInput
from pivotwatch.tools.external_sort import ExternalSort, TimedLine

LOOKAHEAD = 64
"""Lines of a file that are compared with the next one: one wrong time does not move the file."""
MAX_PEEKED = 10_000
"""Lines that are searched for the first event of a file."""


class _Times(msgspec.Struct, gc=False):
    ts: int | str | None = None
    ended: int | None = None


_times = msgspec.json.Decoder(_Times).decode


class _Timed(NamedTuple):
    """A line with the time of its event and when that was logged, if known, and its number in its file."""

    logged: int | None
    time: int | None
    number: int
    line: bytes


class EventFiles:
    r"""Native events of files, one per line.

    Parameters
    ----------
    paths
        The files, in any order. ``-`` is standard input.
    conversion
        Converts the lines of a source; None for native events.
    sort
        Whether to sort all events by their times, for files that are out of order.
    standard_input
        Standard input, if its beginning was read.

    Attributes
    ----------
    count
        Number of lines so far.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     paths = [pathlib.Path(folder, name) for name in ("a", "b")]
    ...     for path, times in zip(paths, ((1, 4), (2, 3)), strict=True):
    ...         _ = path.write_bytes(b"".join(b'{"ts":%d}\n' % time for time in times))
    ...     [line for line in EventFiles([str(path) for path in paths])]
    [b'{"ts":1}', b'{"ts":2}', b'{"ts":3}', b'{"ts":4}']
    """

    def __init__(
        self,
        paths: Sequence[str],
        conversion: Conversion | None = None,
        *,
        sort: bool = False,
        standard_input: StandardInput | None = None,
    ) -> None:
        self._conversion = conversion
        self._sort = ExternalSort() if sort else None
        self._files = [Lines([path], standard_input) for path in paths]
        self._places: deque[tuple[int, int]] = deque(maxlen=MAX_STRETCHES)
        self._size = Lines(paths).size
        self._sorted = 0
        self.count = 0

    @property
    def done(self) -> tuple[str, int, int | None]:
        """What is being done, how much of it is done, and how much there is: bytes, or sorted events."""
        if self._sort is not None and self._sorted:
            return "sorted", self._sorted, self._sort.total
        return "reading", sum(file.read for file in self._files), self._size

    def place(self, number: int) -> str:
        """The file and line of the line with this number among all lines yielded, from 0."""
        if len(self._files) == 1 and self._sort is None:
            return self._files[0].place(number) if self._conversion is None else f"event {number + 1}"
        first = self.count - len(self._places)
        if first <= number < self.count:
            file, line = self._places[number - first]
            return self._files[file].place(line)
        return f"event {number + 1}"

    def __iter__(self) -> Iterator[bytes]:
        if len(self._files) == 1 and self._sort is None:
            return self._counted(self._only())
        return self._placed()

    def _only(self) -> Iterable[bytes]:
        file = self._files[0]
        if self._conversion is None:
            return file
        return NativeLines(file, self._conversion, lambda: file.place(file.count - 1))

    def _counted(self, lines: Iterable[bytes]) -> Iterator[bytes]:
        for line in lines:
            self.count += 1
            yield line

    def _placed(self) -> Iterator[bytes]:
        merged = self._merged()
        for line in merged if self._sort is None else self._sort.sorted(merged):
            if self._sort is not None:
                self._sorted += 1
            self._places.append((line.file, line.number))
            self.count += 1
            yield line.line

    def _merged(self) -> Iterator[TimedLine]:
        """The lines of all files, each file in its own order; lines without a time get the one before."""
        waiting = [(self._first_time(file), number) for number, file in enumerate(self._files)]
        heapq.heapify(waiting)
        open_files: dict[int, Iterator[tuple[int, TimedLine]]] = {}
        while waiting:
            _, number = heapq.heappop(waiting)
            lines = open_files.get(number)
            if lines is None:
                lines = open_files[number] = _standing(number, self._timed(self._files[number]))
            limit = waiting[0] if waiting else None
            for standing, line in lines:
                yield line
                if limit is not None and (standing, number) > limit:
                    heapq.heappush(waiting, (standing, number))
                    break
            else:
                del open_files[number]

    def _first_time(self, file: Lines) -> int:
        """When the first event of a file was logged. The file is opened when its turn comes."""
        if file.paths[0] == STANDARD_INPUT:
            return 0
        peeked = Lines(file.paths)
        conversion = self._conversion and Conversion(self._conversion.decoder, Rejections())
        for timed in _timed_lines(peeked, conversion):
            if timed.logged is not None:
                return timed.logged
            if peeked.count > MAX_PEEKED:
                break
        return 0

    def _timed(self, file: Lines) -> Iterator[_Timed]:
        return _timed_lines(file, self._conversion)


def _timed_lines(file: Lines, conversion: Conversion | None) -> Iterator[_Timed]:
    if conversion is not None:
        for event in NativeLines(file, conversion, lambda: file.place(file.count - 1)).events():
            yield _Timed(event.get("ended") or event["ts"], event["ts"], file.count - 1, orjson.dumps(event))
        return
    for line in file:
        if line.startswith(b"[") and line.rstrip().endswith(b"]"):
            for element in array_elements(line):
                yield _of_native(element, file.count - 1)
        else:
            yield _of_native(line, file.count - 1)


def _of_native(line: bytes, number: int) -> _Timed:
    try:
        times = _times(line)
        time = times.ts if type(times.ts) is int else parse_time(times.ts)
    except (msgspec.DecodeError, BadEvent, UnicodeDecodeError):
        return _Timed(None, None, number, line)
    return _Timed(times.ended or time, time, number, line)


def _standing(file: int, lines: Iterator[_Timed]) -> Iterator[tuple[int, TimedLine]]:
    """The lines of a file, each with the time at which the file stands after it.

    The file stands at its next line, and never moves back. A line that is later than those after it
    moves the file only to the earliest of them, so one wrong time does not hold up its file.
    """
    held = deque(islice(lines, LOOKAHEAD))
    standing = time = 0
    while held:
        shown = held.popleft()
        time = time if shown.time is None else shown.time
        following = next(lines, None)
        if following is not None:
            held.append(following)
        if held and (logged := held[0].logged) is not None:
            last = held[-1].logged
            if last is None or logged > last:
                logged = min(one.logged for one in held if one.logged and one.logged >= min(logged, standing))
            standing = max(standing, logged)
        yield standing, TimedLine(time, file, shown.number, shown.line)
