"""``mapping`` and ``replay --source``: request logs in other formats."""

from __future__ import annotations

import gzip
import sys
from pathlib import Path
from typing import Any

import orjson
import pytest
import zstandard
from click.testing import CliRunner, Result

from pivotwatch.cli import main
from tests.ingest.samples import EMAIL, KONG, LITELLM, OTLP, SAMPLES, SECRETS


def run(*arguments: object, **how: Any) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments], **how)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A LiteLLM log with two calls and a broken line."""
    path = tmp_path / "litellm.jsonl"
    path.write_bytes(orjson.dumps(LITELLM) + b"\n" + orjson.dumps({**LITELLM, "id": "2"}) + b"\n{broken\n")
    return path


@pytest.mark.parametrize("source", SAMPLES)
def test_the_source_is_detected_and_nothing_private_is_shown(source: str, tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(orjson.dumps(SAMPLES[source][0]))
    told = run("mapping", "check", path, "--samples", 9)
    assert told.exit_code == 0, told.output
    assert f"the source that fits best is {source}" in told.output
    assert "dropped" in told.stdout
    assert not any(secret in told.output for secret in SECRETS)


def test_check_shows_the_place_of_each_field_and_dropped_fields(log: Path) -> None:
    told = run("mapping", "check", log, "--source", "litellm", "--json")
    assert told.exit_code == 1
    first, _, broken = orjson.loads(told.stdout)["samples"]
    assert first["places"]["account"] == "/metadata/user_api_key_hash"
    assert first["places"]["network"] == "/metadata/requester_ip_address (ip)"
    assert first["dropped"]["/messages/0/content"] == "<text of 25>"
    assert broken["problem"] == "not JSON"
    assert "sample 3: bad: not JSON" in run("mapping", "check", log).stdout


def test_check_tries_a_custom_mapping(tmp_path: Path, log: Path) -> None:
    own = tmp_path / "ours.toml"
    own.write_text('like = "litellm"\n[links]\nteam = ["/metadata/user_api_key_team_id"]\n')
    told = run("mapping", "check", log, "--own", own, "--samples", 1, "--json")
    assert orjson.loads(told.stdout)["samples"][0]["event"]["links"] == {"team": "team-3"}


def test_a_log_that_no_source_reads(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text('{"a":1}')
    told = run("mapping", "check", path)
    assert told.exit_code == 2
    assert "no source fits" in told.output
    assert run("mapping", "check", tmp_path / "none").exit_code == 3
    assert "no source kongg; did you mean kong?" in run("mapping", "check", path, "--source", "kongg").output


def test_sources_are_listed() -> None:
    assert "otlp_proto" in run("mapping", "list").stdout
    assert orjson.loads(run("mapping", "list", "--json").stdout)["kong"] == {"form": "json", "own": False}


def test_pseudonyms_of_a_value_under_every_key(tmp_path: Path) -> None:
    config = tmp_path / "pivotwatch.toml"
    config.write_text(
        "[[ingest.pseudonyms.keys]]\nid = 'k1'\nsecret_env = 'FIRST'\n"
        "[[ingest.pseudonyms.keys]]\nid = 'k2'\nsecret_env = 'SECOND'\nsince = '2026-01-01T00:00:00Z'\n"
    )
    env = {"FIRST": "a secret of the tests", "SECOND": "another secret of them"}
    told = run("mapping", "pseudonym", EMAIL, "--config", config, env=env)
    value, first, second = told.stdout.split()
    assert (value, first[:3], second[:3]) == (EMAIL, "k1:", "k2:")
    assert run("mapping", "pseudonym", EMAIL).exit_code == 2


@pytest.mark.parametrize("packed", ["", ".gz", ".zst"])
def test_an_exported_log_is_replayed_with_one_command(log: Path, packed: str) -> None:
    content = log.read_bytes()
    pack = {"": bytes, ".gz": gzip.compress, ".zst": zstandard.ZstdCompressor().compress}[packed]
    path = log.with_name(log.name + packed)
    path.write_bytes(pack(content))
    told = run("replay", path, "--source", "litellm", "--alerts", log.with_name("out.jsonl"), "--json")
    assert told.exit_code == 0, told.output
    figures = orjson.loads(told.stdout)
    assert (figures["events"], figures["dead_letters"]) == (2, {"not JSON": 1})


def test_a_log_that_is_one_array_over_many_lines(tmp_path: Path) -> None:
    path = tmp_path / "export.json"
    path.write_bytes(orjson.dumps([LITELLM, {**LITELLM, "id": "2"}], option=orjson.OPT_INDENT_2))
    checked = run("mapping", "check", path)
    assert "litellm, sample 2: event" in checked.stdout
    assert "1737710446847 (2025-01-24T09:20:46.847Z)" in checked.stdout
    told = run("replay", path, path, "--source", "litellm", "--alerts", tmp_path / "out", "--json")
    figures = orjson.loads(told.stdout)
    assert (figures["events"], figures["repeats"]) == (2, 2)


def test_spans_that_are_not_requests_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "spans.jsonl"
    path.write_bytes(orjson.dumps(OTLP))
    told = run("replay", path, "--source", "otlp_json", "--alerts", tmp_path / "out")
    assert "1 events" in told.output
    assert (
        "2 records left out: not a request (1 × nothing at /attributes/gen_ai.request.model; 1 × no"
        in told.output
    )
    assert "1 record left out: it reports a request again" in told.output
    assert "is binary" in run("replay", path, "--source", "otlp_proto").output


def test_parquet_without_pyarrow_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    path = tmp_path / "log.parquet"
    path.write_bytes(b"PAR1")
    told = run("replay", path, "--source", "kong")
    assert told.exit_code == 2
    assert "pip install 'pivotwatch[parquet]'" in told.output


def test_parquet_with_pyarrow(tmp_path: Path) -> None:
    import pyarrow
    from pyarrow import parquet

    path = tmp_path / "log.parquet"
    parquet.write_table(pyarrow.Table.from_pylist([KONG, {**KONG, "request": {"id": "2"}}]), path)
    told = run("replay", path, "--source", "kong", "--alerts", tmp_path / "out", "--json")
    assert orjson.loads(told.stdout)["events"] == 2
    path.write_bytes(b"PAR1 but broken")
    assert "not a Parquet file" in run("replay", path, "--source", "kong").output


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"Timestamp,Model\n5,ChatGPT\n", "first at {path} line 1: Timestamp,Model"),
        (orjson.dumps({"id": "r", "ts": 5}) + b"\n", "1 × account: required, but missing"),
    ],
)
def test_a_file_without_an_event_is_a_failure(tmp_path: Path, content: bytes, told: str) -> None:
    path = tmp_path / "log"
    path.write_bytes(content)
    result = run("replay", path)
    assert result.exit_code == 1
    assert f"no event in {path}" in result.stderr
    assert told.format(path=path) in result.stderr


def test_a_file_without_a_request_is_a_failure(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(orjson.dumps({**LITELLM, "call_type": "afile_list"}))
    result = run("replay", path, "--source", "litellm")
    assert result.exit_code == 1
    assert "1 × no request by /call_type: not a request" in result.stderr
    assert run("mapping", "check", path, "--source", "litellm").exit_code == 1


def test_the_source_of_a_file_is_recognised(log: Path) -> None:
    result = run("replay", log)
    assert result.exit_code == 0
    assert "read as source litellm" in result.stderr
    assert "2 events in" in result.stderr
    native = run("replay", log, "--source", "native")
    assert (native.exit_code, "0 events in" in native.stderr) == (1, True)


def test_a_calendar_without_a_seen_model_names_the_nearest(tmp_path: Path, log: Path) -> None:
    records = [{**LITELLM, "id": model, "model": model} for model in ("openai/m-2", "m-1", "other")]
    log.write_bytes(b"\n".join(map(orjson.dumps, records)))
    releases = tmp_path / "r.json"
    releases.write_bytes(b'[{"model":"m-2","released_at":"2026-02-05T18:00:00Z"}]')
    told = run("replay", log, "--releases", releases).stderr
    assert "calendar: m-2; seen: m-1, openai/m-2, other." in told


def test_without_a_fitting_source_every_source_says_why(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text('{"a":1}')
    told = run("mapping", "check", path).output
    assert "litellm: id: nothing at /id" in told
    assert "otlp_json: not OTLP traces: no resourceSpans" in told
    assert "kong: nothing at /ai/proxy/meta" in told


@pytest.mark.parametrize("pack", [lambda content: content, gzip.compress], ids=["plain", "gzip"])
def test_replay_recognises_the_source_of_standard_input(pack):
    record = b'{"id":"c","startTime":1770314400.5,"model":"m-2","metadata":{"user_api_key_hash":"h"}}\n'
    content = pack(b"".join(record.replace(b'"c"', b'"c%d"' % n) for n in range(30_000)))
    told = CliRunner().invoke(main, ["replay", "-", "--json"], input=content)
    assert "30,000 events" in told.stderr
    assert "read as source litellm" in told.stderr


def test_a_pretty_printed_array_of_native_events_is_read(tmp_path):
    path = tmp_path / "events.json"
    path.write_text(
        '[\n  {\n    "id": "r", "ts": 1770314400000,\n    "account": "a", "model": "m-2"\n  }\n]\n'
    )
    told = CliRunner().invoke(main, ["replay", str(path)])
    assert told.stderr.splitlines()[1].startswith("1 events")
