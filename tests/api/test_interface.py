"""The interface itself: its names, what an import costs, types for callers, and the example of the README."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

import pivotwatch
from tests.infra.files import ROOT

NAMES = {"Alert", "Detector", "Event", "Release", "Settings", "__version__", "parse_alert", "replay"}
SERVICES = "{'faust', 'mode', 'kafka', 'aiokafka', 'aiohttp'}"


def python(text: str, cwd: Path = ROOT) -> str:
    done = subprocess.run([sys.executable, "-c", text], cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_names() -> None:
    assert set(pivotwatch.__all__) == NAMES
    assert set(dir(pivotwatch)) >= NAMES
    assert all(getattr(pivotwatch, name) is not None for name in NAMES)
    with pytest.raises(AttributeError, match="has no attribute 'Replay'"):
        pivotwatch.Replay  # noqa: B018


def test_the_version_is_that_of_the_package() -> None:
    assert pivotwatch.__version__ == metadata.version("pivotwatch")


def test_an_import_brings_nothing_heavy_and_takes_no_time() -> None:
    told = python(
        "import sys, time; begun = time.process_time(); import pivotwatch\n"
        "print(time.process_time() - begun, {'numpy', 'river', 'pydantic', 'msgspec'} & set(sys.modules))"
    )
    seconds, heavy = told.split(maxsplit=1)
    assert float(seconds) < 0.5
    assert heavy.strip() == "set()"


def test_no_name_brings_kafka_faust_or_an_http_client() -> None:
    told = python(f"import sys; from pivotwatch import *; print({SERVICES} & set(sys.modules))")
    assert told.strip() == "set()"


PROGRAM = """
from collections.abc import Iterator
from datetime import UTC, datetime

from pivotwatch import Alert, Detector, Event, Release, Settings, __version__, parse_alert, replay


def events() -> Iterator[Event]:
    yield Event(id="r", ts=datetime(2026, 2, 5, tzinfo=UTC), account="a", model="m", links={"payment": "p"})


def main() -> None:
    settings = Settings(bucket="1h", watch=14 * 86_400, aliases=["*-latest"])
    releases = [Release("m-2", "2026-02-05T18:00Z"), Release("m-3", datetime(2026, 3, 1, tzinfo=UTC))]
    result = replay("events.parquet", releases, settings=settings, source="litellm", partitions=8)
    by_severity: dict[str, list[Alert]] = {}
    for alert in result:
        by_severity.setdefault(alert.data.severity, []).append(alert)
        members: list[str] = alert.data.members
        when: datetime = alert.data.detected_at
        ratio: float | None = alert.data.evidence.hazard_ratio
        print(members, when, ratio, __version__)
    for bad in result.rejected:
        print(f"{bad.count + 1} {bad.reason.upper()} {bad.place} {bad.example}")
    replay([{"id": "r"}])
    replay(events(), [{"model": "m-2", "released_at": 1_770_314_400_000}])
    detector = Detector(settings, releases=releases)
    alerts: list[Alert] = detector.feed(events())
    alerts += Detector.restore(detector.snapshot()).finish()
    print(parse_alert(b"{}").data.entity.id)
"""
WRONG = [
    ("Settings(bucket_ms=5)\n", "Unexpected keyword argument"),
    ("Settings(bucket=[1])\n", "incompatible type"),
    ('Release("m-2")\n', "Missing positional argument"),
    ("replay([1])\n", "incompatible type"),
    ("next(iter(replay([]))).data.severe\n", 'has no attribute "severe"'),
]


def mypy(path: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mypy", "--strict", "--no-incremental", *options, str(path)]
    return subprocess.run(command, cwd=path.parent, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_a_program_of_a_caller_is_checked_strictly(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    done = mypy(program)
    assert done.returncode == 0, done.stdout
    imports = "from pivotwatch import Release, Settings, replay\n"
    program.write_text(imports + "".join(line for line, _ in WRONG))
    told = mypy(program).stdout.splitlines()
    for number, (_, message) in enumerate(WRONG, start=2):
        assert any(f"program.py:{number}: " in line and message in line for line in told), told


def section() -> str:
    """The README's section on Python."""
    return (ROOT / "README.md").read_text().partition("\n## From Python\n")[2].partition("\n## ")[0]


@pytest.mark.slow
def test_the_example_of_the_readme_runs_as_it_stands(tmp_path: Path) -> None:
    pytest.importorskip("pandas")
    (block,) = re.findall(r"^```python\n(.*?)^```$", section(), re.MULTILINE | re.DOTALL)
    assert len(block.strip().splitlines()) <= 25
    (simulate,) = re.findall(r"^pivotwatch (simulate .*)$", (ROOT / "README.md").read_text(), re.MULTILINE)
    command = [sys.executable, "-m", "pivotwatch", *simulate.split()]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    told = python(block, cwd=tmp_path)
    assert re.search(r"^critical network AS\d+: 3\d\d accounts$", told, re.MULTILINE), told
    assert "255,524 events, 0 late, " in told
