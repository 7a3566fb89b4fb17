"""Keys, values, headers and time stamps that any Kafka client can send: no reader ends on one."""

from __future__ import annotations

import asyncio
import contextlib
from types import SimpleNamespace
from typing import Any

import orjson
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from pivotwatch.base.errors import WrongUse
from pivotwatch.cli import main
from pivotwatch.config.config import load
from pivotwatch.contracts.codec import MAX_EXPLANATION, MAX_TEXT
from pivotwatch.contracts.controls import AT_HEADER, BY_HEADER, parse_decision, parse_release
from pivotwatch.contracts.dead_letters import About, dead_letter, parse_dead_letter
from pivotwatch.contracts.events import BadEvent
from pivotwatch.contracts.records import Line
from pivotwatch.delivery.notification_log import read_entry, read_key
from pivotwatch.engine.kafka import sync_client
from pivotwatch.ingest.decoded import BadDocument
from pivotwatch.ingest.rejects import dead_letter as reject
from pivotwatch.tools import redrive
from pivotwatch.web.read_model import ReadModel
from tests.contracts.examples import alert_bytes
from tests.reporting.examples import status
from tests.web.site import site

GIANT = b"x" * 900_000
BYTES = [
    None,
    b"",
    b"\xff\xfe",
    GIANT,
    b"null",
    b"[]",
    b"{}",
    b'"',
    b"[" * 100_000,
    b'{"a":1e999}',
    alert_bytes(),
]
ABOUT = dead_letter(
    About(stage="decode", error_class="BadEvent", message="not JSON", topic="requests"), b"k", b"v"
)
OWN = [name for name, _ in ABOUT.headers]
NAMES = [
    BY_HEADER,
    AT_HEADER,
    "trace",
    "",
    "\u202e",
    "pivotwatch.origin",
    *OWN,
    "pivotwatch.errors.partition",
]
TIMES = [None, -1, 0, 2**62, -(2**62), 1_770_314_400_000]

keys_and_values = st.sampled_from(BYTES)
some_headers = st.lists(st.tuples(st.sampled_from(NAMES), keys_and_values), max_size=4)


@given(keys_and_values, keys_and_values, some_headers, st.sampled_from(TIMES))
def test_the_page_and_the_contracts_take_any_record(
    key: Any, value: Any, headers: Any, at: int | None
) -> None:
    model = ReadModel()
    model.take_alert(value)
    model.take_decision(0, key, value, headers)
    model.take_status(value, 0)
    for found in model.decisions.values():
        assert len(found.by) <= MAX_TEXT
        assert len(found.target) <= 2 * MAX_TEXT + 1
    for read in (lambda: parse_decision(key, value, headers), lambda: parse_release(key, value)):
        with contextlib.suppress(BadEvent):
            read()
    for entry in (lambda: read_key(key), lambda: read_entry(value or b"")):
        with contextlib.suppress(WrongUse):
            entry()


@given(keys_and_values, keys_and_values, some_headers, st.sampled_from(TIMES))
def test_dead_letters_of_any_record_are_made_and_read(
    key: Any, value: Any, headers: Any, at: int | None
) -> None:
    record = Line(value, 3, at, key, tuple(headers))
    made = reject(BadDocument(0, BadEvent("ts: expected a time"), {}), "full", "kong", record, ("spans", 0))
    assert len(made.value) + len(made.key or b"") + sum(len(v or b"") for _, v in made.headers) < 1_000_000
    place = {"partition": 0, "offset": 1, "timestamp": at}
    parse_dead_letter(SimpleNamespace(**place, key=made.key, value=made.value, headers=made.headers))
    for foreign in (headers, [*ABOUT.headers, *headers]):
        with contextlib.suppress(WrongUse):
            found = parse_dead_letter(SimpleNamespace(**place, key=key, value=value, headers=foreign))
            assert isinstance(found.origin + found.obstacle, str)


def test_an_error_quotes_no_megabyte() -> None:
    decision = orjson.dumps({"alert_id": "0123456789abcdef", "verdict": "x" * 900_000})
    with pytest.raises(BadEvent) as caught:
        parse_decision(None, decision)
    assert len(str(caught.value)) < 2 * MAX_EXPLANATION


def _topic(monkeypatch: pytest.MonkeyPatch, records: list[Any]) -> None:
    monkeypatch.setattr(sync_client, "consumer", lambda *_, **__: contextlib.nullcontext())
    monkeypatch.setattr(sync_client, "records", lambda *_, **__: iter(records))


COMMANDS = [
    *(["alerts", "tail", "--format", form] for form in ("text", "json", "ocsf")),
    *(["dlq", "list", *flags] for flags in ([], ["--json"], ["--deliveries"])),
    *(["decisions", "list"], ["sessions", "list"], ["export", "stix", "0123456789abcdef"]),
    ["dlq", "redrive", "--deliveries", "--target", "nobody"],
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_no_command_ends_on_a_record(command: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    headers = [list(ABOUT.headers), [*ABOUT.headers, ("trace", None)], [(name, None) for name in NAMES], []]
    records = [
        SimpleNamespace(partition=0, offset=1, key=key, value=value, headers=several, timestamp=at)
        for key in BYTES
        for value in BYTES
        for several, at in zip(headers, [0, 2**62, -(2**62), -1], strict=True)
    ]
    _topic(monkeypatch, records)
    done = CliRunner().invoke(main, command)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exc_info
    assert "Traceback" not in done.output


def test_a_header_without_a_value_is_sent_again_as_an_empty_one(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[dict[str, Any]] = []
    monkeypatch.setattr(redrive, "send", lambda _, records: len(sent.extend(records) or sent))
    record = SimpleNamespace(
        partition=0, offset=1, timestamp=0, key=None, value=b"{", headers=[*ABOUT.headers, ("trace", None)]
    )
    assert redrive.redrive(load(), [parse_dead_letter(record)]) == 1
    assert sent[0]["headers"] == [("trace", b"")]


@pytest.mark.parametrize("at", [2**62, -(2**62), -1, 0])
def test_the_page_shows_a_status_with_any_time_stamp(at: int) -> None:
    async def inside() -> None:
        async with site() as made:
            made.put("status", status(4, watermark=1_770_300_000_000).value, at)
            assert (await made.get("/")).status == 200

    asyncio.run(inside())
