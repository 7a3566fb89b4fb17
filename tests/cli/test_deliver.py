"""``deliver test`` and ``export stix``."""

from __future__ import annotations

import os
from pathlib import Path

import orjson
import pytest
from click.testing import CliRunner, Result
from stix2validator import ValidationOptions, validate_string  # type: ignore[import-untyped]

from pivotwatch.base.errors import WrongUse
from pivotwatch.cli import main
from pivotwatch.config.config import load
from pivotwatch.contracts.alerts import parse_alert
from pivotwatch.delivery.settings import read_settings
from pivotwatch.delivery.trial_alert import ALERT_ID
from tests.formats.examples import STATES, raw


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments, catch_exceptions=False)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "pivotwatch.toml"
    path.write_text(f"""
[[delivery.targets]]
name = "file"
kind = "cloudevents"
file = "{tmp_path}/alerts.jsonl"

[[delivery.targets]]
name = "nowhere"
kind = "alertmanager"
url = "http://127.0.0.1:9"

[[delivery.targets]]
name = "pager"
kind = "pagerduty"
secret_env = "PAGER_KEY"
""")
    return path


def test_a_test_alert_is_marked_and_resolved(config: Path, tmp_path: Path) -> None:
    result = invoke("deliver", "test", "file", "--config", str(config))
    assert result.exit_code == 0
    assert result.stdout == "open: accepted: written\nresolved: accepted: written\n"
    alerts = [parse_alert(line) for line in (tmp_path / "alerts.jsonl").read_bytes().splitlines()]
    assert [alert.data.state for alert in alerts] == ["open", "resolved"]
    assert all(alert.data.test is True for alert in alerts)
    assert {alert.data.alert_id for alert in alerts} == {ALERT_ID}


def test_an_unreachable_target_is_reported(config: Path) -> None:
    result = invoke("deliver", "test", "nowhere", "--json", "--config", str(config))
    assert result.exit_code == 1
    assert orjson.loads(result.stdout) == [
        {"state": "open", "accepted": False, "text": "ClientConnectorError"},
    ]


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("pager", "delivery target pager: environment variable PAGER_KEY must hold a secret"),
        ("slak", "no delivery target is called slak: expected one of file, nowhere, pager"),
    ],
)
def test_what_is_missing_is_named(config: Path, target: str, message: str) -> None:
    result = invoke("deliver", "test", target, "--config", str(config))
    assert result.exit_code == 2
    assert message in result.stderr


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ({"name": "x", "kind": "slack"}, "targets.0: expected one of secret_env"),
        ({"name": "x", "kind": "slack", "secret": "s3cret"}, "targets.0.secret: no such key"),
        ({"name": "x", "kind": "slac"}, "targets.0.kind: expected one of alertmanager"),
        (
            {"name": "x", "kind": "alertmanager", "url": "http://u:s3cret@h"},
            "without a user name or password",
        ),
        ({"name": "x", "kind": "slack", "secret_env": "PIVOTWATCH_X"}, "a name without PIVOTWATCH_"),
        ({"name": "x", "kind": "ocsf"}, "expected one of topic and file"),
        ({"name": "X", "kind": "stdout"}, "lower-case letters"),
        ({"name": "x", "kind": "stdout", "min_severity": "s3cret"}, "targets.0.min_severity"),
    ],
)
def test_mistakes_are_named_and_values_are_not_repeated(target: dict[str, str], message: str) -> None:
    with pytest.raises(WrongUse, match="delivery") as caught:
        read_settings({"targets": [target]})
    assert message in str(caught.value)
    assert "s3cret" not in str(caught.value)


def test_the_configuration_passed_to_workers_contains_no_secret(
    monkeypatch: pytest.MonkeyPatch, config: Path
) -> None:
    monkeypatch.setenv("PAGER_KEY", "s3cret-s3cret-s3cret")
    loaded = load(config)
    assert "s3cret" not in repr(loaded)
    ours = {name: value for name, value in loaded.environment().items() if name.startswith("PIVOTWATCH_")}
    assert "s3cret" not in repr(ours)
    # The variable itself is passed on to the worker that needs it.
    assert loaded.environment()["PAGER_KEY"] == os.environ["PAGER_KEY"]


def test_stix_of_the_newest_state(tmp_path: Path) -> None:
    path = tmp_path / "alerts.jsonl"
    path.write_bytes(b"\n".join([*[raw(state) for state in STATES[:2]], raw("open", alert_id="f" * 16)]))
    result = invoke("export", "stix", "0123456789abcdef", "--alerts", str(path))
    assert result.exit_code == 0
    assert validate_string(result.stdout, ValidationOptions(version="2.1")).is_valid
    assert "AS64500" not in result.stdout  # STIX requires a number here.
    assert '"number": 64500' in result.stdout
    assert "acct-00001" not in result.stdout
    shared = invoke("export", "stix", "0123456789abcdef", "--alerts", str(path), "--with-accounts")
    assert "acct-00001" in shared.stdout
    nothing = invoke("export", "stix", "0" * 16, "--alerts", str(path))
    assert nothing.exit_code == 3
    assert "there is no alert" in nothing.stderr
