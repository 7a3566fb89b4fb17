"""No command prints a character that a terminal obeys, whatever a record, a file or an argument holds.

`EXITS` has an entry for every command; a new command fails here until it has one.
"""

from __future__ import annotations

import ast
import contextlib
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import orjson
import pytest
from click.testing import CliRunner, Result

import pivotwatch.cli
from pivotwatch.base.checks import Check
from pivotwatch.cli import main
from pivotwatch.contracts.dead_letters import About, dead_letter
from pivotwatch.contracts.sessions import Session
from pivotwatch.delivery.trial_alert import SendResult
from pivotwatch.engine.kafka import sync_client
from pivotwatch.engine.kafka import topics as kafka_topics
from pivotwatch.tools import doctor
from tests.base.hostile import CONTROLS, HOSTILE, hidden_in
from tests.cli.test_commands import every_command
from tests.formats.examples import raw

NAME = HOSTILE.replace("\x00", "")
"""An argument of a program cannot hold NUL."""
STRANGE = raw(
    model=HOSTILE, entity={"kind": "network", "id": HOSTILE}, members=[HOSTILE], reasons=[HOSTILE, HOSTILE]
)
STRANGE_NAME = "acct-" + CONTROLS
EVENT = {
    **dict.fromkeys(("id", "account", "model", "network"), STRANGE_NAME),
    "ts": 1,
    "links": {"payment": STRANGE_NAME},
    HOSTILE: HOSTILE,
}
NOWHERE = ["--brokers", "127.0.0.1:1"]

Make = Callable[[Path, pytest.MonkeyPatch], list[list[str]]]


def _file(folder: Path, name: str, *lines: bytes) -> str:
    path = folder / name
    path.write_bytes(b"\n".join(lines) + b"\n")
    return str(path)


def _topic(monkeypatch: pytest.MonkeyPatch, *records: Any) -> None:
    """Let every topic hold some records."""
    monkeypatch.setattr(sync_client, "consumer", lambda *_, **__: contextlib.nullcontext())
    monkeypatch.setattr(sync_client, "records", lambda *_, **__: iter(records))


def _tail(folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    values = (
        STRANGE,
        orjson.dumps(orjson.loads(STRANGE), option=orjson.OPT_INDENT_2),
        CONTROLS.encode(),
        b"\xff\x1b",
    )
    _topic(monkeypatch, *(SimpleNamespace(value=value) for value in values))
    return [["alerts", "tail", "--format", form] for form in ("text", "json", "cloudevents", "ocsf")]


def _compare(folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    one, other = {"id": HOSTILE, HOSTILE: 1}, {"id": HOSTILE, HOSTILE: HOSTILE}
    a = _file(folder, "a", orjson.dumps(one), orjson.dumps({"id": "\u202e"}))
    b, both = (
        _file(folder, "b", orjson.dumps(other)),
        _file(folder, "c", orjson.dumps(one), orjson.dumps(other)),
    )
    return [
        ["alerts", "compare", a, b],
        ["alerts", "compare", a, b, "--json"],
        ["alerts", "compare", a, both],
    ]


def _mapping(folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    events = _file(folder, "events", orjson.dumps(EVENT), orjson.dumps(EVENT | {"links": {HOSTILE: 1}}))
    return [
        ["mapping", "check", events, "--source", "native", *more]
        for more in ([], ["--json"], ["--source", NAME], ["--own", NAME])
    ]


def _letters(folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    about = About(stage="decode", error_class=HOSTILE, message=HOSTILE, topic=HOSTILE, target=HOSTILE)
    letter = dead_letter(about, b"k", HOSTILE.encode())
    place = {"partition": 0, "offset": 1, "timestamp": 1}
    found = [SimpleNamespace(**place, key=letter.key, value=letter.value, headers=letter.headers)]
    _topic(monkeypatch, *found)
    return [["dlq", "list", *more] for more in ([], ["--json"], ["--deliveries"], ["--deliveries", "--json"])]


def _decisions(folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    decision = {
        "entity": {"kind": "network", "id": HOSTILE},
        "verdict": "benign",
        "by": HOSTILE,
        "note": HOSTILE,
    }
    headers = [("by", HOSTILE.encode()), ("at", None), (HOSTILE, b"\xff")]
    records = [
        SimpleNamespace(offset=offset, key=key, value=value, headers=headers)
        for offset, (key, value) in enumerate(
            [(None, orjson.dumps(decision)), (f"network:{HOSTILE}".encode(), None), (b"\xff", None)]
        )
    ]
    _topic(monkeypatch, *records)
    return [["decisions", "list"], ["decisions", "list", "--json"]]


def _sessions(folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    begun, ends = datetime.now(UTC), datetime.now(UTC) + timedelta(hours=1)
    one = Session(name=HOSTILE, role="viewer", method="token", begun=begun, ends=ends, tag="0" * 32)
    monkeypatch.setattr("pivotwatch.cli.sessions._read", lambda _: [("1", one)])
    return [["sessions", "list"], ["sessions", "list", "--json"]]


def _doctor(folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    monkeypatch.setattr(doctor, "examine", lambda _: iter([Check("events", "fail", HOSTILE, HOSTILE)]))
    return [["doctor"], ["doctor", "--json"]]


def _deliver(folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    async def answers(*_: Any) -> Any:
        yield SendResult("open", False, HOSTILE)

    monkeypatch.setattr("pivotwatch.cli.deliver.send_test_alert", answers)
    table = b'[[delivery.targets]]\nname = "out"\nkind = "stdout"\n'
    flags = ["--config", _file(folder, "t.toml", table)]
    return [
        ["deliver", "test", "out", *flags],
        ["deliver", "test", "out", "--json", *flags],
        ["deliver", "test", NAME, *flags],
    ]


def _topics(name: str) -> Make:
    def commands(folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
        finding = kafka_topics.Finding(HOSTILE, HOSTILE, HOSTILE)
        monkeypatch.setattr(sync_client, "admin", lambda *_: contextlib.nullcontext())
        monkeypatch.setattr(kafka_topics, name, lambda *_: [finding])
        return [["topics", name], ["topics", name, "--json"]]

    return commands


def _replay(folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    events = _file(
        folder, "events", orjson.dumps(EVENT), orjson.dumps(EVENT | {"ts": HOSTILE}), CONTROLS.encode()
    )
    return [
        ["replay", events, *more] for more in ([], ["--json"], ["--releases", NAME], ["--source", NAME])
    ] + [["replay", NAME]]


def _export(folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    alerts = _file(folder, "alerts", raw(model=HOSTILE, members=[HOSTILE]))
    return [
        ["export", "stix", name, "--alerts", alerts, "--with-accounts"] for name in ("0123456789abcdef", NAME)
    ]


def _wrong(*command: str) -> Make:
    """A command that prints nothing from outside but its wrong arguments."""
    return lambda folder, monkeypatch: [[*command, NAME], [*command, "--" + NAME], [*command, "--set", NAME]]


EXITS: dict[tuple[str, ...], Make] = {
    ("worker",): lambda *_: [
        ["worker", "--role", NAME],
        ["worker", "--role", "web", "--set", f"brokers={NAME}"],
    ],
    ("replay",): _replay,
    ("simulate",): lambda *_: [
        ["simulate", NAME, "--out", "-"],
        ["simulate", "c1", "--start", NAME, "--out", "-"],
    ],
    ("topics",): _wrong("topics"),
    ("topics", "create"): _topics("create"),
    ("topics", "check"): _topics("check"),
    ("alerts",): _wrong("alerts"),
    ("alerts", "tail"): _tail,
    ("alerts", "compare"): _compare,
    ("mapping",): _wrong("mapping"),
    ("mapping", "check"): _mapping,
    ("mapping", "list"): lambda *_: [["mapping", "list", "--set", f"ingest.mappings.{NAME}=x"]],
    ("mapping", "pseudonym"): _wrong("mapping", "pseudonym"),
    ("decisions",): _wrong("decisions"),
    ("decisions", "list"): _decisions,
    ("sessions",): _wrong("sessions"),
    ("sessions", "list"): _sessions,
    ("sessions", "end"): _wrong("sessions", "end"),
    ("deliver",): _wrong("deliver"),
    ("deliver", "test"): _deliver,
    ("export",): _wrong("export"),
    ("export", "stix"): _export,
    ("dlq",): _wrong("dlq"),
    ("dlq", "list"): _letters,
    ("dlq", "redrive"): lambda folder, patch: _letters(folder, patch) and [["dlq", "redrive", NAME]],
    ("config",): _wrong("config"),
    ("config", "show"): lambda *_: [
        ["config", "show", "--set", f"aliases={NAME}"],
        ["config", "show", "--json", "--set", f"web.{NAME}={NAME}"],
    ],
    ("config", "keys"): _wrong("config", "keys"),
    ("doctor",): _doctor,
    ("schema",): _wrong("schema"),
    ("demo",): _wrong("demo"),
}


def _run(arguments: list[str]) -> Result:
    return CliRunner().invoke(main, arguments, color=False)


def test_every_command_is_in_the_list() -> None:
    assert set(every_command()) == set(EXITS)


@pytest.mark.parametrize("names", EXITS, ids=" ".join)
def test_no_command_prints_what_a_terminal_obeys(
    names: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    printed = 0
    for arguments in EXITS[names](tmp_path, monkeypatch):
        done = _run(arguments)
        assert done.exception is None or isinstance(done.exception, SystemExit), (arguments, done.exc_info)
        assert [line for line in done.output.split("\n") if hidden_in(line)] == [], arguments
        printed += r"\u202e" in done.output
        if "--json" in arguments or arguments[-1] in ("json", "cloudevents", "ocsf"):
            with contextlib.suppress(orjson.JSONDecodeError):
                orjson.loads(done.stdout)
    assert printed, "nothing from outside was printed: the test shows nothing"


def test_json_of_the_topic_keeps_its_value(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _tail(tmp_path, monkeypatch)
    lines = _run(["alerts", "tail", "--format", "json"]).stdout.splitlines()
    assert [orjson.loads(line) for line in lines] == [orjson.loads(STRANGE)] * 2


def test_warnings_and_tracebacks_of_a_command_are_visible() -> None:
    program = (
        "import logging, sys\n"
        "from pivotwatch.cli import main, schema\n"
        "def fail(**_):\n"
        "    logging.getLogger('x').warning('skipped %s', sys.argv[1])\n"
        "    raise RuntimeError(sys.argv[1])\n"
        "schema.schema.callback = fail\n"
        "main(['schema'])\n"
    )
    done = subprocess.run([sys.executable, "-c", program, NAME], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "RuntimeError" in done.stderr
    assert r"skipped acct-\x07" in done.stderr
    assert [line for line in done.stderr.split("\n") if hidden_in(line)] == []


def test_names_that_differ_look_different(tmp_path: Path) -> None:
    names = ["a\u202e", "a\\u202e", "a\x1b", "a\\x1b", "a", "a\u200b"]
    events = _file(tmp_path, "e", *(orjson.dumps(EVENT | {"account": name}) for name in names))
    shown = _run(["mapping", "check", events, "--source", "native", "--samples", "6"]).stdout.splitlines()
    accounts = [line for line in shown if line.startswith("  account ")]
    assert len(set(accounts)) == len(names)


def test_commands_print_by_the_shared_functions_alone() -> None:
    folder = Path(pivotwatch.cli.__path__[0])
    found = [
        f"{path.name}:{node.lineno}"
        for path in sorted(folder.glob("*.py"))
        if path.name != "options.py"
        for node in ast.walk(ast.parse(path.read_text()))
        if (isinstance(node, ast.Attribute) and node.attr in ("echo", "secho", "stdout"))
        or (isinstance(node, ast.Name) and node.id == "print")
    ]
    # Its table holds texts of the program alone, and needs the width of the terminal.
    assert [place for place in found if not place.startswith("simulate.py")] == []
