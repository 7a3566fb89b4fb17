"""Output of a simulation: files, the command, and Kafka."""

from __future__ import annotations

import gzip
import subprocess
import sys
from pathlib import Path

import orjson
import pytest
import zstandard
from click.testing import CliRunner

from pivotwatch.base.errors import OutOfReach
from pivotwatch.cli import main
from pivotwatch.cli.simulate import simulate
from pivotwatch.simulation import SCENARIOS, Simulation, generate
from pivotwatch.simulation.files import write_events


def tiny() -> Simulation:
    return generate("c1", seed=4, scale=0.01, days=1, warmup_days=1)


def blob(simulation: Simulation) -> bytes:
    return b"".join(part.blob for part in simulation.slices())


@pytest.mark.parametrize("name", ["e.jsonl", "e.jsonl.gz", "e.jsonl.zst"])
def test_files_hold_the_same_lines_and_are_reproducible_to_the_byte(tmp_path: Path, name: str) -> None:
    simulation = tiny()
    count = write_events(simulation.slices(), tmp_path / name)
    raw = (tmp_path / name).read_bytes()
    if name.endswith(".gz"):
        plain = gzip.decompress(raw)
    elif name.endswith(".zst"):
        plain = zstandard.ZstdDecompressor().decompressobj().decompress(raw)
    else:
        plain = raw
    assert plain == blob(simulation)
    assert plain.count(b"\n") == count == simulation.totals["events"]
    write_events(simulation.slices(), tmp_path / f"again-{name}")
    assert (tmp_path / f"again-{name}").read_bytes() == raw


def test_the_command_writes_events_truth_and_releases(tmp_path: Path) -> None:
    out, truth, releases = tmp_path / "e.jsonl", tmp_path / "t.json", tmp_path / "r.json"
    arguments = ["c1", "--seed", "4", "--scale", "0.01", "--days", "1", "--out", str(out)]
    result = CliRunner().invoke(simulate, [*arguments, "--truth", str(truth), "--releases", str(releases)])
    assert result.exit_code == 0
    assert result.output == ""
    simulation = generate("c1", seed=4, scale=0.01, days=1.0)
    assert out.read_bytes() == blob(simulation)
    assert orjson.loads(truth.read_bytes()) == simulation.truth
    assert orjson.loads(releases.read_bytes()) == simulation.releases


def test_the_command_writes_to_standard_output() -> None:
    arguments = ["-m", "pivotwatch", "simulate", "null", "--scale", "0.01", "--days", "1", "--out", "-"]
    done = subprocess.run([sys.executable, *arguments], capture_output=True, check=True)
    assert done.stderr == b""
    assert done.stdout == blob(generate("null", scale=0.01, days=1.0))


def test_the_start_can_be_chosen(tmp_path: Path) -> None:
    releases = tmp_path / "r.json"
    arguments = [
        "null",
        "--scale",
        "0.01",
        "--start",
        "2026-05-04T00:00:00+02:00",
        "--releases",
        str(releases),
    ]
    assert CliRunner().invoke(simulate, arguments).exit_code == 0
    assert orjson.loads(releases.read_bytes())[0]["released_at"] == "2026-05-06T22:00:00Z"


def test_the_list_names_every_scenario() -> None:
    text = CliRunner().invoke(simulate, ["--list"]).output
    listed = orjson.loads(CliRunner().invoke(simulate, ["--list", "--json"]).output)
    assert [entry["name"] for entry in listed] == list(SCENARIOS)
    for scenario in SCENARIOS.values():
        assert scenario.name in text
        assert 20 < len(scenario.description) < 300


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["null"],
        ["null", "--json", "--out", "-"],
        ["c9", "--out", "-"],
        ["null", "--scale", "0", "--out", "-"],
        ["null", "--start", "yesterday", "--out", "-"],
        ["null", "--releases-topic", "releases", "--out", "-"],
    ],
)
def test_wrong_use_ends_with_status_2(arguments: list[str]) -> None:
    result = CliRunner().invoke(main, ["simulate", *arguments])
    assert result.exit_code == 2
    assert isinstance(result.exception, SystemExit)
    assert result.stderr
    assert not result.stdout


def test_a_missing_folder_is_reported(tmp_path: Path) -> None:
    arguments = ["null", "--scale", "0.01", "--out", str(tmp_path / "none" / "e.jsonl")]
    assert isinstance(CliRunner().invoke(simulate, arguments).exception, OutOfReach)
