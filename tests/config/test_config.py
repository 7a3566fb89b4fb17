"""Configuration: precedence, and messages for mistakes."""

from __future__ import annotations

import dataclasses
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pivotwatch.base.errors import OutOfReach, WrongUse
from pivotwatch.config.config import Config, keys, load
from pivotwatch_models.durations import format_duration, millis, parse_duration
from pivotwatch_models.settings import Settings


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PIVOTWATCH_BROKERS", raising=False)


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "c.toml"
    path.write_text(text)
    return path


def problems(path: Path | None, **flags: object) -> list[str]:
    with pytest.raises(WrongUse) as caught:
        load(path, **flags)
    return str(caught.value).splitlines()


def test_defaults_are_those_of_the_method() -> None:
    assert load().settings == Settings()


def test_flags_win_over_environment_over_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(
        tmp_path, 'bucket = "2h"\nmin_events = 3\nmin_members = 4\n[topics]\nalerts = "a"\nstatus = "s"'
    )
    monkeypatch.setenv("PIVOTWATCH_MIN_EVENTS", "5")
    monkeypatch.setenv("PIVOTWATCH_MIN_MEMBERS", "6")
    monkeypatch.setenv("PIVOTWATCH_TOPICS__STATUS", "from-env")
    config = load(path, min_members="7", topics={"buckets": "b"})
    assert config.bucket == timedelta(hours=2)
    assert (config.min_events, config.min_members) == (5, 7)
    assert [config.topic(name) for name in ("alerts", "status", "buckets")] == ["a", "from-env", "b"]


def test_every_setting_that_decides_results_reaches_the_method(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        'bucket = "30m"\nwatch = "1w"\nmin_events = 2\nmin_members = 3\nallowed_lateness = 90\n'
        'alert_budget = 1e-4\ntheta = 2\naliases = ["a-*", "b"]\nattributes = ["app"]\n',
    )
    expected = Settings(
        bucket="30m",
        watch="7d",
        min_events=2,
        min_members=3,
        allowed_lateness="90s",
        alert_budget=1e-4,
        theta=2.0,
        aliases=("a-*", "b"),
        attributes=("app",),
    )
    assert load(path).settings == expected
    for field in dataclasses.fields(Settings):
        assert getattr(expected, field.name) != field.default, f"set {field.name} above, too"


def test_lists_in_the_environment_are_joined_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIVOTWATCH_ALIASES", "*-latest, auto")
    assert load().aliases == ("*-latest", "auto")


def test_every_mistake_is_one_line_with_place_value_and_expectation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(
        tmp_path, 'bucket = "1x"\nmin_member = 3\ntheta = 0.5\n[topics]\nrequest = "x"\nbuckets = "a b"\n'
    )
    monkeypatch.setenv("PIVOTWATCH_MIN_EVENTS", "many")
    duration = 'expected a duration such as "90s", "5m", "1h", "14d" or "1w", or a number of seconds'
    name = "expected 1 to 120 letters, digits, dots, dashes or underscores"
    assert sorted(problems(path, alert_budget="7")) == sorted(
        [
            f"{path}: bucket: {duration}",
            f"{path}: min_member: no such key; did you mean min_members?",
            f"{path}: theta: expected at least 1.0",
            f"{path}: topics.request: no such key; did you mean requests?",
            f"{path}: topics.buckets: {name}",
            "PIVOTWATCH_MIN_EVENTS: min_events: expected a whole number",
            "command line: alert_budget: expected a number less than 1.0",
        ]
    )


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ({"watch": "30m"}, "watch: expected a duration that is not shorter than bucket"),
        ({"min_insync_replicas": 2}, "min_insync_replicas: expected at most replication_factor"),
        (
            {"security_protocol": "SASL_SSL"},
            "sasl_mechanism: expected a mechanism, because security_protocol is SASL",
        ),
        (
            {"sasl_mechanism": "PLAIN"},
            "security_protocol: expected SASL_SSL, because sasl_mechanism is set",
        ),
        ({"topics": {"alerts": "buckets"}}, "topics: expected a different name for each topic"),
    ],
)
def test_keys_must_fit_together(flags: dict[str, object], expected: str) -> None:
    assert problems(None, **flags) == [expected]


def test_a_secret_is_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIVOTWATCH_SASL_PASSWORD", "hunter2")
    assert "hunter2" not in repr(load())
    [line] = problems(None, sasl_password={"hunter2": 1})
    assert "hunter2" not in line


def test_a_password_file_wins_and_a_missing_one_is_named(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("hunter2\n")
    assert load(sasl_password_file=secret, sasl_password="x").password() == "hunter2"
    with pytest.raises(WrongUse, match=r"sasl_password_file: .*gone: No such file"):
        load(sasl_password_file=tmp_path / "gone").password()


def test_a_file_that_is_missing_or_invalid_is_named(tmp_path: Path) -> None:
    with pytest.raises(OutOfReach, match=r"gone\.toml: No such file or directory"):
        load(tmp_path / "gone.toml")
    with pytest.raises(WrongUse, match=r"c\.toml: not a TOML file: "):
        load(write(tmp_path, "bucket ="))


def test_a_child_process_gets_the_same_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(
        tmp_path, 'bucket = "2h"\naliases = ["x", "y"]\n[topics]\nalerts = "a"\n[delivery]\nurl = "u"\n'
    )
    monkeypatch.setenv("PIVOTWATCH_THETA", "2")
    config = load(path, sasl_password="hunter2", web_port=0, min_events=8)
    environment = config.environment()
    for name in keys():
        monkeypatch.delenv(f"PIVOTWATCH_{name.upper()}", raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert load() == config


def test_keys_lists_every_key_and_table() -> None:
    assert set(keys()) == set(Config.model_fields)


@given(st.integers(min_value=0, max_value=10**12))
def test_durations_are_read_as_they_are_written(ms: int) -> None:
    duration = timedelta(milliseconds=ms)
    assert millis(parse_duration(format_duration(duration))) == ms


@pytest.mark.parametrize("value", ["", "h", "-1h", "1 fortnight", True, None, "1e400d", [1]])
def test_invalid_durations_are_refused(value: object) -> None:
    with pytest.raises(ValueError, match="expected a duration"):
        parse_duration(value)
