"""Events of several files are merged by time, and files out of order can be sorted."""

from __future__ import annotations

import random
from pathlib import Path

import orjson
import pytest
from click.testing import CliRunner
from rich.console import Console

from pivotwatch import replay
from pivotwatch.base.errors import OutOfReach
from pivotwatch.cli import main
from pivotwatch.cli.progress import progress
from pivotwatch.detection.rejections import Rejections
from pivotwatch.ingest.convert import Conversion
from pivotwatch.ingest.settings import Decoders, read_settings
from pivotwatch.tools.event_files import Lines
from pivotwatch.tools.event_merge import EventFiles
from pivotwatch.tools.external_sort import ExternalSort, TimedLine

START = 1_770_000_000_000
MINUTE = 60_000


def event(number: int, ts: int, **more: object) -> bytes:
    return orjson.dumps(
        {
            "id": f"r{number}",
            "ts": ts,
            "account": f"a{number % 50}",
            "model": "m-1",
            "network": f"AS{number % 9}",
        }
        | more
    )


def write(path: Path, lines: list[bytes]) -> str:
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    return str(path)


def times(lines: EventFiles) -> list[int]:
    return [orjson.loads(line)["ts"] for line in lines]


def three_gateways(folder: Path, count: int = 9_000) -> list[str]:
    """Files of three gateways that cover the same two days."""
    every = [event(number, START + number * 20_000) for number in range(count)]
    return [write(folder / f"{name}.jsonl", every[part::3]) for part, name in enumerate("cab")]


def test_files_of_the_same_hours_are_merged_by_time(tmp_path):
    paths = three_gateways(tmp_path)
    merged = times(EventFiles(paths))
    assert merged == sorted(merged)
    assert len(merged) == 9_000
    result = replay(paths).run()
    assert (result.events, result.late) == (9_000, 0)


def test_files_one_after_the_other_are_read_one_after_the_other_in_any_order(tmp_path):
    every = [event(number, START + number * 20_000) for number in range(3_000)]
    days = [write(tmp_path / f"{day}.jsonl", every[day * 1000 : day * 1000 + 1000]) for day in range(3)]
    assert times(EventFiles([days[2], days[0], days[1]])) == [START + n * 20_000 for n in range(3_000)]


def test_only_files_that_overlap_are_open_at_once(tmp_path, monkeypatch):
    every = [event(number, START + number * 20_000) for number in range(2_000)]
    paths = [write(tmp_path / f"{part}.jsonl", every[part * 10 : part * 10 + 10]) for part in range(200)]
    open_now, most = set[int](), []
    plain = Lines.__iter__

    def counted(self):
        open_now.add(id(self))
        most.append(len(open_now))
        try:
            yield from plain(self)
        finally:  # A reader may stop before the end.
            open_now.discard(id(self))

    monkeypatch.setattr(Lines, "__iter__", counted)
    files = EventFiles(paths)
    assert len(times(files)) == 2_000
    assert max(most) <= 3


def test_one_wrong_time_holds_up_no_file(tmp_path):
    one = [event(number, START + number * 20_000) for number in range(0, 2_000, 2)]
    two = [event(number, START + number * 20_000) for number in range(1, 2_000, 2)]
    one[100], two[300] = event(9_000, START + 10**11), event(9_001, START - 10**11)
    merged = times(EventFiles([write(tmp_path / "a", one), write(tmp_path / "b", two)]))
    sound = [ts for ts in merged if abs(ts - START) < 10**10]
    assert sound == sorted(sound)
    assert len(merged) == 2_000


def test_events_logged_at_their_end_are_merged_by_their_end(tmp_path):
    slow = [
        event(n, START + n * 20_000 - 12 * MINUTE * (n % 10 == 0), ended=START + n * 20_000)
        for n in range(900)
    ]
    merged = [
        orjson.loads(line)["ended"]
        for line in EventFiles([write(tmp_path / "a", slow[::2]), write(tmp_path / "b", slow[1::2])])
    ]
    assert merged == sorted(merged)


def test_a_request_that_two_gateways_report_counts_once(tmp_path):
    def record(number: int, id_: str) -> bytes:
        start = (START + number * 20_000) / 1000
        about = {"startTime": start, "endTime": start + 1, "model": "m-2", "call_type": "acompletion"}
        user = {"metadata": {"user_api_key_hash": f"h{number}"}, "litellm_call_id": f"c{number}"}
        return orjson.dumps(
            {"id": id_, "prompt_tokens": 3, "completion_tokens": 4, "status": "success"} | about | user
        )

    paths = [
        write(tmp_path / name, [record(number, f"{name}-{number}") for number in range(50)])
        for name in ("a", "b")
    ]
    conversion = Conversion(Decoders(read_settings({})).of("litellm"), Rejections())
    merged = times(EventFiles(paths, conversion))
    assert (merged, conversion.repeats) == (sorted(merged), 50)
    assert len(merged) == 50


def test_a_bad_line_keeps_its_file_and_line(tmp_path):
    one = [event(n, START + n * MINUTE) for n in range(0, 300, 2)]
    two = [event(n, START + n * MINUTE) for n in range(1, 300, 2)]
    one[7], two[80] = b"{", b'{"id":"x","ts":1}'
    first, second = write(tmp_path / "a", one), write(tmp_path / "b", two)
    for sort in (False, True):
        result = replay([first, second], sort=sort).run()
        assert {bad.place for bad in result.rejected} == {f"{first} line 8", f"{second} line 81"}


def test_arrays_are_merged_by_their_elements(tmp_path):
    every = [event(number, START + number * 20_000) for number in range(400)]
    paths = [
        write(tmp_path / name, [b"[" + b",".join(every[part::2]) + b"]"]) for part, name in enumerate("ab")
    ]
    merged = times(EventFiles(paths))
    assert merged == sorted(merged)
    assert len(merged) == 400


@pytest.mark.parametrize("memory", [2_000, 50_000, 10**9])
def test_sorting_is_exact_and_stable_whatever_the_memory(memory):
    chance = random.Random(5)
    lines = [TimedLine(chance.randrange(300), n % 3, n, b"x" * chance.randrange(400)) for n in range(2_000)]
    assert list(ExternalSort(memory).sorted(lines)) == sorted(lines, key=lambda line: line.time)


def test_sort_puts_a_shuffled_file_in_order(tmp_path):
    every = [event(number, START + number * 20_000) for number in range(9_000)]
    ordered = write(tmp_path / "ordered", every)
    random.Random(1).shuffle(every)
    shuffled = write(tmp_path / "shuffled", every)
    assert replay(shuffled).run().late > 100
    result = replay(shuffled, sort=True).run()
    assert (result.events, result.late) == (9_000, 0)
    assert list(EventFiles([shuffled], sort=True)) == list(EventFiles([ordered]))
    told = CliRunner().invoke(
        main, ["replay", shuffled, "--sort", "--json", "--alerts", str(tmp_path / "out")]
    )
    assert orjson.loads(told.stdout)["late"] == 0


def test_a_full_folder_for_temporary_files_is_named(monkeypatch):
    class Full:
        def __enter__(self):
            return self

        def __exit__(self, *_):
            return None

        def write(self, _):
            raise OSError(28, "No space left on device")

    monkeypatch.setattr("pivotwatch.tools.external_sort.tempfile.TemporaryFile", Full)
    with pytest.raises(OutOfReach, match="No space left on device; set TMPDIR"):
        list(ExternalSort(100).sorted([TimedLine(1, 0, 0, b"line")]))


def test_the_bar_shows_reading_and_then_the_sorted_events(tmp_path):
    path = write(tmp_path / "a", [event(n, START - n) for n in range(100)])
    files = EventFiles([path], sort=True)
    assert files.done == ("reading", 0, Path(path).stat().st_size)
    console = Console(force_terminal=True, width=100)
    with console.capture() as shown, progress(files, console):
        lines = iter(files)
        next(lines)
        assert files.done == ("sorted", 1, 100)
        assert len(list(lines)) == 99
    assert "sorted 100 events" in shown.get()
