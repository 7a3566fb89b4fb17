"""Finds out which source wrote a file, and which models its events name."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator, Sequence
from itertools import islice

import orjson

from pivotwatch.base.errors import OutOfReach
from pivotwatch.contracts.events import Event, read_leniently
from pivotwatch.detection.rejections import Rejections
from pivotwatch.ingest.convert import Conversion, NativeLines
from pivotwatch.ingest.decoder import Decoder
from pivotwatch.ingest.documents import messages
from pivotwatch.ingest.explain import guess
from pivotwatch.ingest.mapping import load_file, shipped
from pivotwatch.ingest.settings import Decoders, IngestSettings
from pivotwatch.tools.event_files import CSV, STANDARD_INPUT, Lines, StandardInput

SAMPLE_LINES = 100
MODEL_LINES = 20_000
NATIVE = "native"


def line_decoders(settings: IngestSettings) -> list[Decoder]:
    """The decoders of all sources that write lines."""
    decoders = Decoders(settings)
    names = sorted({*shipped(), *settings.mappings})
    return [decoders.of(name) for name in names if load_file(name, settings.mappings).form != "otlp_proto"]


def recognised(
    paths: Sequence[str], settings: IngestSettings, standard_input: StandardInput | None = None
) -> Decoder | None:
    """The decoder of the source that wrote the files; None for native events, one per line.

    A file from which native events can be read is native, and so is one that no source reads. The mapping of
    native events reads those of CSV files, because numbers are texts there, and documents over many lines.
    """
    lines = list[bytes]()
    for path in paths:  # The first one may hold no event.
        lines += islice(messages(_first_lines([path], standard_input)), SAMPLE_LINES)
    found = guess(line_decoders(settings), lines)
    if found is None or found.mapping.name != NATIVE:
        return found
    is_plain = not any(path.endswith(CSV) for path in paths) and all(map(_is_plain, lines))
    return None if is_plain else found


def _is_plain(line: bytes) -> bool:
    """Whether the workers read a line without the mapping: one event or an array, none of them damaged."""
    try:
        orjson.loads(line)
    except orjson.JSONDecodeError:
        return False
    readable = read_leniently(line).values()
    return b"\n" not in line and any(isinstance(event, Event) for event in readable)


def models_of(
    paths: Sequence[str],
    decoder: Decoder | None,
    settings: IngestSettings,
    standard_input: StandardInput | None = None,
) -> set[str]:
    """The models in the first events of the files."""
    reader = decoder or Decoders(settings).of(NATIVE)
    lines = islice(_first_lines(paths, standard_input), MODEL_LINES)
    native = NativeLines(lines, Conversion(reader, Rejections()), lambda: "")
    return {event["model"] for event in native.events()}


def _first_lines(paths: Sequence[str], standard_input: StandardInput | None) -> Iterator[bytes]:
    """The lines of files, of standard input only the first ones."""
    for path in paths:
        if path != STANDARD_INPUT:
            yield from Lines([path])
        elif standard_input is not None:
            with contextlib.suppress(OutOfReach):  # Compressed content ends in its middle here.
                yield from Lines([path], io.BytesIO(standard_input.beginning()))
