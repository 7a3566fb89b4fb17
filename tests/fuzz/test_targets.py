"""The targets of ``make fuzz`` with their seeds, with small changes of the seeds, and with random bytes."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.targets import Target, targets

ROOT = Path(__file__).parents[2]
TARGETS = targets()
DECODES = {"loads", "Decoder", "frombuffer", "FromString", "unpack", "model_validate_json", "convert"}
"""Names of calls that decode bytes or decoded values."""
COVERED = {
    "pivotwatch_models.base.columns": "state of accounts, 0",
    "pivotwatch.contracts.alerts": "alert on the page",
    "pivotwatch.contracts.codec": "alert",
    "pivotwatch.contracts.dead_letters": "dead letter",
    "pivotwatch.tools.sample_checks": "sample",
    "pivotwatch.contracts.events": "requests",
    "pivotwatch.engine.checkpoint_format": "manifest",
    "pivotwatch.contracts.repaired_json": "source native",
    "pivotwatch.ingest.otlp": "source otlp_proto",
    "pivotwatch.detection.counting.state": "state of accounts, meta",
    "pivotwatch.contracts.bucket_content.body": "content of a bucket",
    "pivotwatch.contracts.bucket_content.tables": "content of a bucket",
    "pivotwatch.detection.scoring.control_log": "decisions",
    "pivotwatch.detection.scoring.networks_state": "state of networks, 64",
    "pivotwatch.detection.counting.deduplication": "origin",
    "pivotwatch.contracts.bucket_record": "buckets",
    "pivotwatch.detection.counting.open_bucket_codec": "state of accounts, 4",
    "pivotwatch.web.read_model": "alert on the page",
}
"""Decoding modules, with the target that reaches each."""
ELSEWHERE = {
    "pivotwatch.tools.compare_alerts": "files of alerts: tests/contracts/test_alerts.py",
    "pivotwatch.config.toml_files": "the configuration: tests/config/test_config.py",
    "pivotwatch.tools.event_files": "files that a command is given: tests/tools/test_event_files.py",
    "pivotwatch.detection.dealer": "lines of files: tests/detection/test_partitions.py",
    "pivotwatch.tools.event_merge": "lines of files: tests/tools/test_event_merge.py",
    "pivotwatch.tools.file_sources": "first lines of files: tests/cli/test_sources.py",
    "pivotwatch.ingest.convert": "what a decoder gave: tests/ingest/test_cases.py",
    "pivotwatch.ingest.http_server": "its own answer",
    "pivotwatch.ingest.mapping": "mappings: tests/ingest/test_decoder.py",
    "pivotwatch.ingest.settings": "the configuration: tests/cli/test_sources.py",
    "pivotwatch.detection.counting.event_buffer": "its own buffer",
    "pivotwatch.cli.alerts": "alerts in a terminal: tests/cli/test_hostile_text.py",
    "pivotwatch.web.oidc": "answers of the identity provider: tests/web/test_oidc.py",
    "pivotwatch.web.api": "requests of a person: tests/web/test_access.py",
    "pivotwatch.web.authentication": "signed cookies: tests/web/test_access.py",
}
"""Decoding modules without a target, with the reason or the test that covers each."""
DEEP = b"[" * 1000 + b"]" * 1000


@pytest.mark.parametrize("target", TARGETS.values(), ids=list(TARGETS))
@settings(max_examples=25)
@given(st.data())
def test_a_decoder_never_raises(target: Target, data: st.DataObject) -> None:
    seed = data.draw(st.sampled_from(list(target.seeds)))
    at = data.draw(st.integers(0, len(seed)))
    until = data.draw(st.integers(at, min(len(seed), at + 20)))
    odd = st.one_of(st.binary(max_size=20), st.sampled_from([b"null", b"-1", b"9" * 25, b'"', b"{}", DEEP]))
    target.run(seed)
    target.run(seed[:at] + data.draw(odd) + seed[until:])


@pytest.mark.parametrize("target", TARGETS.values(), ids=list(TARGETS))
def test_seeds_are_decoded(target: Target) -> None:
    assert target.seeds
    target.run(target.seeds[0])
    target.run(b"")


def decoding() -> set[str]:
    """The modules that contain a decoding call."""
    found = set()
    for package in ("models", "streams"):
        for path in (ROOT / package).rglob("*.py"):
            calls = [
                node.func for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)
            ]
            names = {getattr(call, "attr", getattr(call, "id", "")) for call in calls}
            if names & DECODES:
                found.add(".".join(path.relative_to(ROOT / package).with_suffix("").parts))
    return {module for module in found if not module.startswith("pivotwatch.simulation")}


def test_every_decoder_has_a_target() -> None:
    assert decoding() == COVERED.keys() | ELSEWHERE.keys()
    assert set(COVERED.values()) <= TARGETS.keys()
