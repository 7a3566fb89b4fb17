"""Replay: every kind of source, laziness, what is counted, and the DataFrame that comes out."""

from __future__ import annotations

import gzip
import os
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import orjson
import pyarrow
import pytest
import zstandard
from click.testing import CliRunner
from pyarrow import parquet

from pivotwatch import Event, Release, Settings, replay
from pivotwatch.base.errors import OutOfReach, WrongUse
from pivotwatch.cli import main
from tests.detection.stream import MODEL, SETTINGS, START, event, launch
from tests.ingest.samples import LITELLM

EVENTS, RELEASES = launch()
LINES = [orjson.dumps(each) for each in EVENTS]
EXPECTED = list(replay(EVENTS, RELEASES, settings=SETTINGS).encoded())


def found(events: Any, releases: Any = RELEASES, **options: Any) -> list[bytes]:
    return list(replay(events, releases, settings=SETTINGS, **options).encoded())


def pandas() -> Any:
    """pandas; where it is missing the test is skipped, but not in CI."""
    if os.environ.get("CI"):
        import pandas

        return pandas
    return pytest.importorskip("pandas")


class ArrowTable:
    """A table of a library that only shares Arrow's stream interface."""

    def __init__(self, table: pyarrow.Table) -> None:
        self._table = table

    @property
    def columns(self) -> list[str]:
        return list(self._table.column_names)

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self._table.__arrow_c_stream__(requested_schema)


def columns() -> pyarrow.Table:
    """The events as a table, with times in nanoseconds, as DataFrames have them."""
    names = sorted({name for each in EVENTS for name in each})
    table = pyarrow.Table.from_pylist([{name: each.get(name) for name in names} for each in EVENTS])
    times = table["ts"].cast(pyarrow.timestamp("ms", "UTC")).cast(pyarrow.timestamp("ns", "UTC"))
    return table.set_column(table.column_names.index("ts"), "ts", times)


# Sources.


@pytest.mark.parametrize("pack", [bytes, gzip.compress, zstandard.compress])
def test_files(tmp_path: Path, pack: Any) -> None:
    half = len(LINES) // 2
    parts = [tmp_path / "a.jsonl", tmp_path / "b.jsonl"]
    parts[0].write_bytes(pack(b"\n".join(LINES[:half])))
    parts[1].write_bytes(pack(b"\n".join(LINES[half:])))
    assert len(EXPECTED) >= 3
    assert found(parts) == EXPECTED
    assert found([str(part) for part in parts]) == EXPECTED
    whole = tmp_path / "whole"
    whole.write_bytes(pack(b"\n".join(LINES)))
    calendar = tmp_path / "releases.json"
    calendar.write_bytes(orjson.dumps(RELEASES))
    assert found(whole, calendar) == found(str(whole), str(calendar)) == EXPECTED


def test_tables(tmp_path: Path) -> None:
    table = columns()
    parquet.write_table(table, tmp_path / "events.parquet")
    assert found(tmp_path / "events.parquet") == EXPECTED
    assert found(table) == EXPECTED
    assert found(ArrowTable(table)) == EXPECTED


def test_a_dataframe_with_times_and_missing_values() -> None:
    frame = pandas().DataFrame(EVENTS)
    assert frame["status"].dtype == float  # of integers, some of which are missing
    assert found(frame) == EXPECTED
    frame["ts"] = pandas().to_datetime(frame["ts"], unit="ms", utc=True)
    assert found(frame) == EXPECTED


def test_objects() -> None:
    assert found(Event(**each) for each in EVENTS) == EXPECTED
    assert found(iter(EVENTS)) == EXPECTED
    assert found([], ()) == []


def test_times_in_every_form() -> None:
    def at(form: Any) -> Iterator[dict[str, Any]]:
        for each in EVENTS:
            yield {**each, "ts": form(datetime.fromtimestamp(each["ts"] / 1000, UTC))}

    def elsewhere(moment: datetime) -> datetime:
        return moment.astimezone(timezone(timedelta(hours=5, minutes=30)))

    released = datetime.fromtimestamp(RELEASES[0]["released_at"] / 1000, UTC)
    assert found(at(datetime.isoformat), [Release(MODEL, released.isoformat())]) == EXPECTED
    assert found(at(elsewhere), [Release(MODEL, elsewhere(released))]) == EXPECTED
    assert found(at(elsewhere), [Release(MODEL, released.replace(tzinfo=None))]) == EXPECTED
    assert (
        found(at(lambda m: m.replace(tzinfo=None)), [{"model": MODEL, "released_at": released}]) == EXPECTED
    )
    objects = (Event(**each) for each in at(elsewhere))
    assert found(objects, [Release(MODEL, RELEASES[0]["released_at"])]) == EXPECTED


def test_a_source_from_objects_is_read_as_from_a_file(tmp_path: Path) -> None:
    documents = [LITELLM, {**LITELLM, "id": "2"}, {"id": "no request"}]
    path = tmp_path / "log.jsonl"
    path.write_bytes(b"\n".join(map(orjson.dumps, documents)))
    for events, place in ((documents, "event 3"), (path, f"{path} line 3")):
        result = replay(events, source="litellm").run()
        assert result.events == 2
        assert [(bad.count, bad.place) for bad in result.rejected] == [(1, place)]


def test_the_same_as_on_the_command_line(tmp_path: Path) -> None:
    events, releases, decisions = tmp_path / "e.jsonl", tmp_path / "r.json", tmp_path / "d.json"
    classes, out = tmp_path / "classes", tmp_path / "out.jsonl"
    events.write_bytes(b"\n".join(LINES))
    releases.write_bytes(orjson.dumps(RELEASES))
    decision = {"entity": {"kind": "payment", "id": "pay-1"}, "verdict": "verified", "by": "kim"}
    decisions.write_bytes(orjson.dumps([decision]))
    classes.write_text("AS8 proxy\n")
    command = ["replay", events, "--releases", releases, "--decisions", decisions, "--alerts", out]
    command += ["--partitions", 3, "--set", "bucket=30m", "--set", f"network_classes={classes}"]
    done = CliRunner().invoke(main, [str(each) for each in command])
    assert done.exit_code == 0, done.output
    result = replay(
        events,
        releases,
        settings=Settings(bucket="30m"),
        decisions=[decision],
        partitions=3,
        network_classes=classes,
    )
    alerts = out.read_bytes().splitlines()
    assert list(result.encoded()) == alerts
    assert len(alerts) >= 3
    assert b'"proxy"' in alerts[0]


def test_what_is_no_source_is_said(tmp_path: Path) -> None:
    for wrong in (event(), 7, None):
        with pytest.raises(TypeError, match="expected files, a DataFrame, or an iterable of events"):
            replay(wrong)  # type: ignore[arg-type]
    with pytest.raises(OutOfReach, match=r"gone\.jsonl: No such file"):
        replay(tmp_path / "gone.jsonl")
    with pytest.raises(WrongUse, match="did you mean litellm"):
        replay([], source="litelm")
    (tmp_path / "r.json").write_text('[{"model": "m-2"}]')
    with pytest.raises(WrongUse, match=r"r\.json: entry 1: released_at: required"):
        replay([], tmp_path / "r.json")


def test_without_pyarrow_a_table_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(
        WrongUse, match=r"ArrowTable: needs the package pyarrow: pip install .pivotwatch\[parquet\]"
    ):
        found(ArrowTable(pyarrow.table({"id": []})))


# Iteration.


def test_alerts_come_while_events_are_read() -> None:
    taken = 0

    def source() -> Iterator[dict[str, Any]]:
        nonlocal taken
        for number, each in enumerate(EVENTS * 4):
            taken = number
            # Another launch every 40 hours: 4 times as many events as one chunk holds.
            yield {**each, "ts": each["ts"] + number // len(EVENTS) * 40 * 3_600_000}

    result = replay(source(), RELEASES, settings=SETTINGS)
    assert taken == 0
    next(iter(result))
    assert 0 < taken < 4 * len(EVENTS) - 1


def test_a_second_iteration_gives_the_same_alerts() -> None:
    result = replay(iter(EVENTS), RELEASES, settings=SETTINGS)
    begun = iter(result)
    first = next(begun)
    assert len(list(result)) == len(EXPECTED)
    assert [first, *begun] == list(result)


@pytest.mark.parametrize("error", [RuntimeError("the disk is gone"), KeyboardInterrupt()])
def test_a_replay_that_failed_is_never_taken_for_a_whole_one(error: BaseException) -> None:
    def source() -> Iterator[dict[str, Any]]:
        yield from EVENTS
        raise error

    result = replay(source(), RELEASES, settings=SETTINGS)
    with pytest.raises(type(error)):
        list(result)
    for again in (result.run, lambda: list(result)):
        with pytest.raises(RuntimeError, match=r"the disk is gone|was interrupted"):
            again()


# What is counted.


def test_everything_that_does_not_count_is_counted() -> None:
    late = event("late", START)
    failed = event("failed", EVENTS[-1]["ts"], status=503)
    result = replay([*EVENTS, late, failed, {"id": "bad"}], RELEASES, settings=SETTINGS).run()
    ordinary = replay(EVENTS, RELEASES, settings=SETTINGS).run()
    assert result.events == len(EVENTS) + 2
    assert (result.late, result.failed) == (1, ordinary.failed + 1)
    assert sum(bad.count for bad in result.rejected) == 1
    assert result.watched == [MODEL]
    assert replay(EVENTS[:50]).run().watched == []


BAD = orjson.dumps(event(account=7))
ARRAY = orjson.dumps([event(), event(account=8)])


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_a_bad_line_has_a_place(tmp_path: Path, pack: Any) -> None:
    good = orjson.dumps(event())
    path, other = tmp_path / "a.jsonl", tmp_path / "b.jsonl"
    path.write_bytes(pack(b"\n".join([good, b"", b" ", BAD, good])))
    other.write_bytes(pack(b"\n".join([good, b"{", b"", ARRAY])))
    result = replay([path, other]).run()
    assert {bad.place for bad in result.rejected} == {f"{path} line 4", f"{other} line 2"}
    found = {bad.reason.partition(":")[0]: bad for bad in result.rejected}
    assert found["account"].count == 2
    assert found["account"].example == BAD.decode()
    assert replay(other).run().rejected[0].place == f"{other} line 2"
    other.write_bytes(pack(ARRAY))
    (bad,) = replay(other).run().rejected
    assert (bad.place, orjson.loads(bad.example)["account"]) == (f"{other} line 1, element 2", 8)


def test_a_bad_row_has_a_place(tmp_path: Path) -> None:
    table = pyarrow.Table.from_pylist([event(), event(), event(model="")])
    parquet.write_table(table, tmp_path / "e.parquet")
    for source, place in ((table, "row 3"), (tmp_path / "e.parquet", f"{tmp_path}/e.parquet row 3")):
        assert [bad.place for bad in replay(source).run().rejected] == [place]


def test_many_reasons_are_few_entries() -> None:
    events = [event(ts=f"soon {number}") for number in range(3000)]
    rejected = replay(events).run().rejected
    assert len(rejected) == 1001
    assert (rejected[0].reason, rejected[0].count) == ("further reasons", 2000)


def test_a_long_example_is_cut() -> None:
    (bad,) = replay([event(account=7, more="ü" * 9000)]).run().rejected
    assert len(bad.example) == 1000


def test_strict_raises_with_the_place(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"\n".join([orjson.dumps(event()), BAD]))
    with pytest.raises(ValueError, match=r"a\.jsonl line 2: account: expected `str`, got `int`"):
        replay(path, strict=True).run()
    with pytest.raises(ValueError, match="event 1: ts: nothing at"):
        replay([{"id": "no request"}], source="litellm", strict=True).run()


# DataFrames that come out.


def test_a_dataframe_has_a_row_for_every_alert() -> None:
    pandas()
    result = replay(EVENTS, RELEASES, settings=SETTINGS)
    frame = result.to_dataframe()
    assert len(frame) == len(EXPECTED)
    for row, alert in zip(frame.to_dict("records"), result, strict=True):
        assert row["alert_id"] == alert.data.alert_id
        assert row["entity_id"] == alert.data.entity.id
        assert row["members"] == alert.data.members
        assert row["hazard_ratio"] == alert.data.evidence.hazard_ratio
        assert row["detected_at"] == alert.data.detected_at
    assert {str(frame[name].dt.tz) for name in ("released_at", "onset", "detected_at")} == {"UTC"}


def test_a_dataframe_without_alerts_has_the_columns() -> None:
    pandas()
    empty = replay([]).to_dataframe()
    assert len(empty) == 0
    assert list(empty.columns) == list(replay(EVENTS, RELEASES, settings=SETTINGS).to_dataframe().columns)
    assert str(empty["onset"].dt.tz) == "UTC"


def test_without_pandas_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match=r"pip install .pivotwatch\[pandas\]"):
        replay([]).to_dataframe()
