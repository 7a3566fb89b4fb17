"""The command line: help, messages, exit status, output."""

from __future__ import annotations

import gzip
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import click
import orjson
import pytest
from click.testing import CliRunner, Result

from pivotwatch.cli import COMMANDS, main
from pivotwatch.contracts.dead_letters import undecodable
from pivotwatch.contracts.events import BadEvent
from pivotwatch.contracts.json_schemas import SCHEMAS
from pivotwatch.contracts.records import Line, Output
from pivotwatch_models.settings import Settings
from tests.contracts.examples import alert_bytes

NOWHERE = "127.0.0.1:1"


def run(*arguments: object, given: bytes | None = None) -> Result:
    return CliRunner().invoke(main, [str(one) for one in arguments], input=given, catch_exceptions=False)


def test_help_names_every_command_and_imports_none() -> None:
    text = (
        "import sys; from pivotwatch.cli import main; main(['--help'], standalone_mode=False); "
        "heavy = {'faust', 'river', 'kafka', 'pydantic', 'numpy', 'rich'} & set(sys.modules); "
        "sys.exit(f'imported: {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert all(name in done.stdout for name in COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_of_commands_agrees_with_their_help(name: str) -> None:
    command = main.get_command(None, name)  # type: ignore[arg-type]
    assert command is not None
    assert command.get_short_help_str(200) == COMMANDS[name]


def every_command() -> Iterator[tuple[str, ...]]:
    """The names of every command and subcommand, with those of the groups before them."""
    for name in COMMANDS:
        yield (name,)
        command = main.get_command(None, name)  # type: ignore[arg-type]
        if isinstance(command, click.Group):
            yield from ((name, inner) for inner in command.commands)


@pytest.mark.parametrize("names", list(every_command()), ids=" ".join)
def test_help_has_an_example_and_no_line_is_cut_off(names: tuple[str, ...]) -> None:
    text = run(*names, "--help").output
    example = text.partition("Example:\n")[2].splitlines()[0].strip()
    assert example.startswith("pivotwatch " + " ".join(names))
    assert len(example) <= 100
    commands = text.partition("\nCommands:\n")[2]
    assert "..." not in commands


@pytest.mark.parametrize("names", list(every_command()), ids=" ".join)
def test_every_option_has_a_help_text(names: tuple[str, ...]) -> None:
    command: Any = main
    for name in names:
        command = command.get_command(None, name)
    options = [param for param in command.params if isinstance(param, click.Option)]
    assert [option.name for option in options if not option.help] == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["replai"], "No such command 'replai'; did you mean replay?"),
        (["topics", "creat"], "No such command 'creat'; did you mean create?"),
        (["worker", "--rol", "web"], "Did you mean --role?"),
        (["simulate", "alias-upgrad", "--out", "-"], "no scenario alias-upgrad; did you mean alias-upgrade?"),
    ],
)
def test_mistyped_names_get_a_suggestion(arguments: list[str], message: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert message in result.stderr


def test_version() -> None:
    assert run("--version").output.startswith("pivotwatch 0.")


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["nonsense"], 2, "No such command 'nonsense'"),
        (["worker"], 2, "Missing option '--role'"),
        (["worker", "--role", "cook"], 2, "'cook' is not one of 'accounts'"),
        (["topics", "check", "--set", "bucket=1x"], 2, "command line: bucket: expected a duration"),
        (["topics", "check", "--set", "bucket"], 2, "expected KEY=VALUE"),
        (["topics", "check", "--config", "gone.toml"], 3, "gone.toml: No such file or directory"),
        (["topics", "check", "--brokers", "nowhere"], 2, "brokers: expected host:port"),
        (["replay", "gone.jsonl"], 3, "gone.jsonl: No such file or directory"),
        (["alerts", "compare", "gone", "gone"], 3, "gone: No such file or directory"),
    ],
)
def test_mistakes_get_a_message_and_a_status(arguments: list[str], status: int, message: str) -> None:
    result = run(*arguments)
    assert (result.exit_code, result.stdout) == (status, "")
    assert message in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("what", SCHEMAS)
def test_schema_prints_json_schema(what: str) -> None:
    schema = orjson.loads(run("schema", what).stdout)
    assert schema["$schema"].endswith("2020-12/schema")
    assert schema["title"] == f"pivotwatch {what}"
    assert schema["properties"]


def test_schema_lists_every_schema() -> None:
    names = ["alert", "event", "release", "decision", "bucket", "status", "dead-letter", "session"]
    assert [line.split()[0] for line in run("schema").stdout.splitlines()] == names


def write(path: Path, *lines: bytes) -> Path:
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    return path


def test_compare(tmp_path: Path) -> None:
    one, two, other = alert_bytes(revision=1), alert_bytes(), alert_bytes(members_total=500)
    a = write(tmp_path / "a", one, two, one)
    b = write(tmp_path / "b", two, one)
    same = run("alerts", "compare", a, b)
    assert (same.exit_code, same.stdout, same.stderr) == (0, "", "the files hold the same alerts: 2\n")
    assert run("alerts", "compare", a, b, "--in-order").exit_code == 1

    different = run("alerts", "compare", a, write(tmp_path / "c", other))
    assert different.exit_code == 1
    assert different.stdout.splitlines() == [
        f"0123456789abcdef.1: only in {a}",
        "0123456789abcdef.2: differs",
        "    data.members_total: 412 ≠ 500",
    ]
    as_json = run("alerts", "compare", a, tmp_path / "c", "--json")
    assert orjson.loads(as_json.stdout)[1]["fields"] == {"data.members_total": ["412", "500"]}

    broken = run("alerts", "compare", a, write(tmp_path / "d", two, other))
    assert broken.exit_code == 1
    assert "alert 0123456789abcdef.2 is repeated with other content" in broken.stderr


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """A stand-in for replay that finds one alert and records its arguments."""
    calls: list[dict[str, Any]] = []

    class Pipeline:
        def __init__(self, settings: Settings, **options: Any) -> None:
            self.settings = settings
            self.options = options
            self.taken = 0

        def run(self, lines: Iterable[bytes]) -> Iterator[Output]:
            taken = list(lines)
            self.taken = len(taken)
            calls.append({"lines": taken, **self.options})
            yield undecodable(Line(b"x"), b"x", None, BadEvent("not JSON"), ("requests", 0))
            yield Output("alerts", b"k", alert_bytes(revision=1, state="open"))
            yield Output("alerts", b"k", alert_bytes())

    monkeypatch.setattr("pivotwatch.detection.pipeline.DetectionPipeline", Pipeline)
    return calls


def test_replay_prints_the_alerts_for_a_person(engine: list[dict[str, Any]], tmp_path: Path) -> None:
    events = tmp_path / "e.gz"
    events.write_bytes(gzip.compress(b'{"id":"1"}\n'))
    releases = write(tmp_path / "r.json", b'[{"model":"m-2","released_at":"2026-02-05T18:00:00Z"}]')
    result = run("replay", events, "-", "--releases", releases, "--partitions", "3", given=b'{"id":"2"}\n')
    assert result.exit_code == 0
    headline = "CRITICAL  412 accounts on AS64500 switched to m-2 together  [new · 0123456789abcdef.1]\n"
    assert result.stdout.startswith(headline)
    assert "1 events in" in result.stderr
    assert "alerts: 1 critical" in result.stderr
    assert "1 unreadable record left out: 1 × not JSON" in result.stderr
    [call] = engine
    assert call["lines"] == [b'{"id":"1"}', b'{"id":"2"}']
    assert call["partitions"] == 3
    assert call["releases"] == [{"model": "m-2", "released_at": "2026-02-05T18:00:00Z"}]


@pytest.mark.usefixtures("engine")
def test_replay_writes_only_complete_files(tmp_path: Path) -> None:
    out = tmp_path / "alerts.jsonl"
    result = run("replay", "-", "--alerts", out, "--json", given=b"{}\n")
    assert result.exit_code == 0
    assert out.read_bytes().splitlines() == [alert_bytes(revision=1, state="open"), alert_bytes()]
    summary = orjson.loads(result.stdout)
    assert (summary["events"], summary["alerts_by_severity"]) == (0, {"critical": 1})

    cut = tmp_path / "cut.gz"
    cut.write_bytes(gzip.compress(b'{"id":"1"}\n')[:-4])
    failed = run("replay", cut, "--alerts", tmp_path / "other.jsonl")
    assert failed.exit_code == 3
    assert sorted(path.name for path in tmp_path.iterdir()) == ["alerts.jsonl", "cut.gz"]


@pytest.mark.usefixtures("engine")
def test_replay_reports_an_unwritable_output(tmp_path: Path) -> None:
    result = run("replay", "-", "--alerts", tmp_path / "gone" / "a.jsonl", given=b"{}\n")
    assert result.exit_code == 3
    assert "No such file or directory" in result.stderr


@pytest.mark.parametrize("arguments", [["topics", "check"], ["alerts", "tail"], ["doctor"]])
def test_an_unreachable_broker_is_reported(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pivotwatch.engine.kafka.sync_client.TIMEOUT_MS", 200)
    result = run(*arguments, "--brokers", NOWHERE)
    assert result.exit_code == (1 if arguments == ["doctor"] else 3)
    assert f"Kafka at {NOWHERE} does not answer: is it running" in result.output


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        (b'{"model":"m-2"}', "entry 1: released_at: required, but missing"),
        (b'{"model":"m-2","released_at":"soon"}', "entry 1: released_at: expected epoch milliseconds"),
        (b'{"a":{}}', "entry 1: model: required, but missing"),
    ],
)
def test_replay_refuses_an_invalid_release(tmp_path: Path, entry: bytes, told: str) -> None:
    releases = write(tmp_path / "r.json", b"[" + entry + b"]")
    result = run("replay", "-", "--releases", releases, given=b"")
    assert result.exit_code == 2
    assert told in result.stderr


def by_hour(hours: Iterable[int]) -> bytes:
    lines = [
        b'{"id":"r%d","ts":%d,"account":"a%d","network":"n%d","model":"m"}'
        % (h, 1_770_000_000_000 + h * 3_600_000, h % 5, h % 5)
        for h in hours
    ]
    return b"\n".join(lines) + b"\n"


def test_replay_warns_about_a_file_whose_halves_are_exchanged() -> None:
    result = run("replay", "-", given=by_hour([*range(300, 600), *range(300)]))
    assert "300 late events; what came over a day late is left out" in result.stderr
    assert "WARNING: so many late events delay the scores of their groups" in result.stderr


def test_replay_counts_every_event_of_a_file_in_reverse_order() -> None:
    """No bucket closes while the time goes back."""
    result = run("replay", "-", given=by_hour(reversed(range(20))))
    assert "20 events" in result.stderr
    assert "late" not in result.stderr


@pytest.mark.parametrize(
    ("models", "told"),
    [
        ([], "Name releases with --releases. Without it a release is inferred"),
        (["m-3"], "No event has a model of --releases within its watch"),
        (["m-2"], None),
    ],
)
def test_replay_warns_when_no_release_was_watched(
    tmp_path: Path, models: list[str], told: str | None
) -> None:
    """Without a warning, an empty result would look like a clean one."""
    entries = [{"model": model, "released_at": 1_770_000_000_000} for model in models]
    releases = write(tmp_path / "r.json", orjson.dumps(entries))
    event = b'{"id":"r","ts":1770000000000,"account":"a","network":"n","model":"m-2"}\n'
    result = run("replay", "-", "--releases", releases, given=event)
    assert ("no release was watched, so nothing could be found" in result.stderr) == (told is not None)
    assert told is None or told in result.stderr
    counted = run("replay", "-", "--releases", releases, "--json", "--alerts", tmp_path / "a", given=event)
    assert orjson.loads(counted.stdout)["watched"] == ([] if told else models)
