"""`pivotwatch config`: every key is explained, and no secret is shown."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from pivotwatch.cli import main
from pivotwatch.cli.options import role_tables
from pivotwatch.config.config import Config, keys
from pivotwatch.config.reference import reference

SECRETS = ("s3cr3t-of-kafka", "s3cr3t-of-page", "T00/B00/XXXXXXXXXXXXXXXXXXXXXXXX")


def run(*arguments: str) -> str:
    result = CliRunner().invoke(main, ["config", *arguments])
    assert result.exit_code == 0, result.output
    return result.output


def test_every_key_has_a_meaning() -> None:
    found = list(reference(role_tables()))
    assert [key.name for key in found if not key.meaning] == []
    names = {key.name.split(".")[0] for key in found}
    assert names == Config.model_fields.keys() == keys().keys()


def test_the_page_of_keys_names_variable_and_default() -> None:
    rows = {row["name"]: row for row in json.loads(run("keys", "--json"))}
    assert rows["topics.requests"]["variable"] == "PIVOTWATCH_TOPICS__REQUESTS"
    assert (rows["bucket"]["default"], rows["web.session"]["default"]) == ("1h", "12h")
    assert "    Length of a bucket of event time." in run("keys")


def test_each_value_names_the_place_that_set_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "pivotwatch.toml"
    file.write_text('bucket = "2h"\nwatch = "7d"\nmin_members = 5\n[topics]\nalerts = "found"\n')
    monkeypatch.setenv("PIVOTWATCH_MIN_MEMBERS", "6")
    monkeypatch.setenv("PIVOTWATCH_WATCH", "9d")
    shown = json.loads(run("show", "--config", str(file), "--set", "watch=8d", "--json"))
    rows = {row["name"]: (row["value"], row["origin"]) for row in shown}
    assert rows["bucket"] == ("2h", str(file))
    assert rows["watch"] == ("8d", "command line")
    assert rows["min_members"] == ("6", "environment")
    assert rows["topics.alerts"] == ("found", str(file))
    assert rows["theta"] == ("3.0", "default")


@pytest.mark.parametrize("form", [(), ("--json",)])
def test_no_secret_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: tuple[str, ...]) -> None:
    file = tmp_path / "pivotwatch.toml"
    file.write_text(
        f'[web]\npeople = [{{name = "kim", token = "{SECRETS[1]}"}}]\n'
        f'[[delivery.targets]]\nname = "chat"\nurl = "https://hooks.slack.com/services/{SECRETS[2]}"\n'
    )
    monkeypatch.setenv("PIVOTWATCH_SASL_PASSWORD", SECRETS[0])
    shown = run("show", "--config", str(file), *form)
    assert "kim" in shown
    assert "chat" in shown
    assert not any(secret in shown for secret in SECRETS)
