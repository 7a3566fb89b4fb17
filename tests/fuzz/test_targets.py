"""The targets of ``make fuzz`` hold for what they begin with, for small changes of it and for plain noise."""

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
"""Names of calls that make something of bytes, or of what was made of them."""
COVERED = {
    "models.columns": "state of accounts, 0",
    "streams.alerts": "alert",
    "streams.cli.dlq": "dead letter",
    "streams.delivery.desk": "alert",
    "streams.delivery.ledger": "delivery log",
    "streams.diagnosis": "sample",
    "streams.events": "requests",
    "streams.marker": "marker",
    "streams.sources.documents": "source native",
    "streams.sources.otlp": "source otlp_proto",
    "streams.steps.accounts": "state of accounts, meta",
    "streams.steps.body": "content of a bucket",
    "streams.steps.controls": "decisions",
    "streams.steps.networks": "state of networks, 64",
    "streams.steps.origins": "origin",
    "streams.steps.record": "buckets",
    "streams.steps.segment": "state of accounts, 4",
    "streams.web.board": "alert on the page",
    "streams.web.records": "status on the page",
}
"""Module that decodes to the target that reaches it."""
ELSEWHERE = {
    "streams.alert_streams": "files of alerts that `alerts compare` is given: tests/cli/test_alerts.py",
    "streams.cli.alerts": "alerts that `alerts tail` has read",
    "streams.cli.export": "an alert that was read",
    "streams.cli.replay": "outputs of its own steps",
    "streams.config_problems": "the configuration: tests/cli/test_config.py",
    "streams.demo.feeds": "status of its own pipeline",
    "streams.delivery.redrive": "an alert that was read",
    "streams.delivery.trial": "an alert of its own",
    "streams.files": "files that a command is given: tests/cli/test_files.py",
    "streams.metrics": "alerts of its own step",
    "streams.replay": "lines of files, of which only the account matters: tests/steps/test_partitions.py",
    "streams.report.collect": "outputs of a replay",
    "streams.sources.mapping": "mappings: tests/sources/test_decoder.py",
    "streams.sources.settings": "the configuration: tests/cli/test_sources.py",
    "streams.steps.buckets": "its own buffer",
    "streams.web.api": "requests of a person: tests/web/test_access.py",
    "streams.web.guard": "signed cookies: tests/web/test_access.py",
}
"""Module that decodes what nobody else writes into Kafka, or what other tests look at."""
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
def test_a_seed_is_one_that_gets_far(target: Target) -> None:
    assert target.seeds
    target.run(target.seeds[0])
    target.run(b"")


def decoding() -> set[str]:
    """The modules that decode something."""
    found = set()
    for package in ("models", "streams"):
        for path in (ROOT / package).rglob("*.py"):
            calls = [
                node.func for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)
            ]
            names = {getattr(call, "attr", getattr(call, "id", "")) for call in calls}
            if names & DECODES:
                found.add(".".join(path.relative_to(ROOT).with_suffix("").parts))
    return {module for module in found if not module.startswith("streams.simulate")}


def test_every_decoder_has_a_target() -> None:
    assert decoding() == COVERED.keys() | ELSEWHERE.keys()
    assert set(COVERED.values()) <= TARGETS.keys()
