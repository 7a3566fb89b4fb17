"""Inputs after public reports of gateways and SDKs: each request counts once, and nothing is lost silently.

`cases/NAME` is a file that a source writes. `cases/NAME.expected.json` holds its events with the fields that
matter, and where it matters the numbers of bad, repeated and other documents. `{"hex": …}` stands for bytes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest
from click.testing import CliRunner

from pivotwatch.cli import main
from pivotwatch.detection.rejections import Rejections
from pivotwatch.ingest.convert import Conversion, NativeLines
from pivotwatch.ingest.settings import Decoders, read_settings
from pivotwatch.tools.event_files import Lines

CASES = Path(__file__).with_name("cases")
NAMES = sorted(
    path.name
    for path in CASES.iterdir()
    if path.suffix in (".jsonl", ".json") and ".expected" not in path.name
)
SOURCES = {"otlp": "otlp_json"}


def source_of(name: str) -> str:
    first = name.partition("-")[0]
    return SOURCES.get(first, first)


def expected_of(name: str) -> dict[str, Any]:
    expected: dict[str, Any] = orjson.loads((CASES / name).with_suffix(".expected.json").read_bytes())
    return expected


@pytest.mark.parametrize("name", NAMES)
def test_a_case_gives_its_events(name: str) -> None:
    rejections = Rejections()
    decoder = Decoders(read_settings({})).of(source_of(name))
    native = Conversion(decoder, rejections)
    lines = NativeLines(Lines([str(CASES / name)]), native, lambda: "a line")
    events = [orjson.loads(line) for line in lines]
    expected = expected_of(name)
    shown = [
        {field: event.get(field) for field in want}
        for event, want in zip(events, expected["events"], strict=False)
    ]
    assert (shown, len(events)) == (expected["events"], len(expected["events"]))
    counts = {
        "bad": rejections.total,
        "repeats": native.repeats,
        "no_requests": native.no_requests.total(),
    }
    assert {kind: counts[kind] for kind in counts if kind in expected} == {
        kind: expected[kind] for kind in counts if kind in expected
    }


@pytest.mark.parametrize("name", NAMES)
def test_replay_counts_the_events_of_a_case(name: str, tmp_path: Path) -> None:
    arguments = ["replay", str(CASES / name), "--source", source_of(name), "--json"]
    told = CliRunner().invoke(main, [*arguments, "--alerts", str(tmp_path / "out")])
    assert orjson.loads(told.stdout)["events"] == len(expected_of(name)["events"]), told.output
