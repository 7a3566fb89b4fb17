"""Finds out which source wrote a file, and which models its events name."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice

from pivotwatch.detection.rejections import Rejections
from pivotwatch.ingest.convert import NativeLines
from pivotwatch.ingest.decoder import Decoder
from pivotwatch.ingest.documents import messages
from pivotwatch.ingest.explain import guess
from pivotwatch.ingest.mapping import load_file, shipped
from pivotwatch.ingest.settings import Decoders, IngestSettings
from pivotwatch.tools.event_files import CSV, STANDARD_INPUT, Lines

SAMPLE_LINES = 20
MODEL_LINES = 20_000
NATIVE = "native"


def line_decoders(settings: IngestSettings) -> list[Decoder]:
    """The decoders of all sources that write lines."""
    decoders = Decoders(settings)
    names = sorted({*shipped(), *settings.mappings})
    return [decoders.of(name) for name in names if load_file(name, settings.mappings).form != "otlp_proto"]


def recognised(paths: Sequence[str], settings: IngestSettings) -> Decoder | None:
    """The decoder of the source that wrote the files; None for native events and for standard input.

    A file from which native events can be read is native, and so is one that no source reads. The mapping of
    native events reads those of CSV files, because numbers are texts there.
    """
    if STANDARD_INPUT in paths:
        return None
    lines = list(islice(messages(Lines(paths)), SAMPLE_LINES))
    found = guess(line_decoders(settings), lines)
    if found is not None and found.mapping.name == NATIVE and not any(path.endswith(CSV) for path in paths):
        return None
    return found


def models_of(paths: Sequence[str], decoder: Decoder | None, settings: IngestSettings) -> set[str]:
    """The models in the first events of the files; none for standard input."""
    if STANDARD_INPUT in paths:
        return set()
    reader = decoder or Decoders(settings).of(NATIVE)
    lines: Iterable[bytes] = islice(Lines(paths), MODEL_LINES)
    return NativeLines(lines, reader, Rejections(), lambda: "").models()
