"""The log that was read is compared with the log of Kafka: positions, checks, and what a checkpoint keeps."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pivotwatch.config.config import load
from pivotwatch.contracts.records import Line
from pivotwatch.engine.checkpoint_format import latest
from pivotwatch.engine.fetching.chunks import Chunk
from pivotwatch.engine.kafka import logs
from pivotwatch.engine.log_check import LogCheck, committed_positions, committed_text
from pivotwatch.engine.log_position import GONE, Answer, LogChanged, LogPosition
from pivotwatch.engine.types import TP
from tests.engine.rig import HERE, REQUESTS, live_partition
from tests.engine.test_checkpoint import Log

READ = LogPosition("aa", ((3, 500), (4, 800)))
SAME = Answer({"requests": "aa"}, {(REQUESTS, 3): 500, (REQUESTS, 4): 900})
Ask = Callable[..., Answer]


def checked(monkeypatch: pytest.MonkeyPatch, *answers: Answer | Ask, read: LogPosition = READ) -> LogPosition:
    """Compare a position once for each answer; return what is known of it afterwards."""
    held = {REQUESTS: read}

    async def run() -> None:
        check = LogCheck(load(), lambda: [held], "what to do for {}".format)
        for answer in answers:
            ask = answer if callable(answer) else lambda config, epochs, answer=answer: answer
            monkeypatch.setattr(logs, "ask", ask)
            await check.check(held)

    asyncio.run(run())
    return held[REQUESTS]


def test_the_same_log_passes_and_its_last_epoch_is_compared_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert checked(monkeypatch, SAME) == LogPosition("aa", ((4, 800),))
    assert checked(monkeypatch, SAME, read=LogPosition("", ((4, 800),))) == LogPosition("aa", ((4, 800),))


@pytest.mark.parametrize(
    ("ends", "told"),
    [
        ({(REQUESTS, 3): 500, (REQUESTS, 4): 760}, "offsets 760 to 799 of leader epoch 4"),
        # The log goes on under epoch 4, but the end of epoch 3 was lost before.
        ({(REQUESTS, 3): 480, (REQUESTS, 4): 900}, "offsets 480 to 499 of leader epoch 3"),
    ],
)
def test_a_lost_end_is_refused(
    monkeypatch: pytest.MonkeyPatch, ends: Mapping[tuple[TP, int], int], told: str
) -> None:
    with pytest.raises(LogChanged, match=f"{told}.*what to do for requests"):
        checked(monkeypatch, Answer({"requests": "aa"}, ends))


def test_a_topic_that_was_created_anew_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(LogChanged, match=r"its id was aa, it is bb now.*offsets before 800"):
        checked(monkeypatch, Answer({"requests": "bb"}, {}))


def test_a_topic_counts_as_deleted_when_it_is_gone_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    gone = Answer({"requests": GONE}, {})
    assert checked(monkeypatch, gone, SAME, gone) == LogPosition("aa", ((4, 800),))
    with pytest.raises(LogChanged, match="the topic was deleted"):
        checked(monkeypatch, gone, gone)


@pytest.mark.parametrize("answer", [Answer({}, {}), Answer({"requests": "aa"}, {})])
def test_a_broker_that_does_not_know_stops_nobody(monkeypatch: pytest.MonkeyPatch, answer: Answer) -> None:
    assert checked(monkeypatch, answer).read[-1] == (4, 800)


def test_a_lost_answer_stops_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LogCheck, "deadline", 0.05)
    begun = time.monotonic()
    assert checked(monkeypatch, lambda config, epochs: time.sleep(30) or SAME) == READ
    assert time.monotonic() - begun < 5


def test_a_new_leader_is_asked_about_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    async def run() -> None:
        monkeypatch.setattr(logs, "ask", lambda config, epochs: asked.append(epochs) or SAME)
        check = LogCheck(load(), lambda: [{REQUESTS: READ}], str)
        watching = asyncio.create_task(check.watch())
        async with asyncio.timeout(5):
            while len(asked) < 1:
                await asyncio.sleep(0.01)
            check.soon()
            while len(asked) < 2:
                await asyncio.sleep(0.01)
        watching.cancel()

    asyncio.run(run())
    assert asked[0] == {REQUESTS: [3, 4]}


def test_what_a_group_keeps_is_read_again_and_foreign_text_is_passed_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    texts = {REQUESTS: committed_text(READ), TP("requests", 1): "", TP("requests", 2): '{"by": "others"}'}
    monkeypatch.setattr(logs, "committed_metadata", lambda config, group: texts)
    assert asyncio.run(committed_positions(load(), "group")) == {REQUESTS: READ}


def chunk_of(offsets: range, *epochs: tuple[int, int], seek: int = 1) -> Chunk:
    """A chunk of empty records."""
    records: Any = [Line(b"", offset) for offset in offsets]
    return Chunk(records, offsets[0] - 1, seek, epochs)


def test_a_consumer_that_goes_back_by_itself_hides_no_lost_end() -> None:
    """Its offset is no longer in the log; aiokafka then reads on from the beginning, without a message."""
    live = live_partition(Nothing())
    assert not live.read(chunk_of(range(305), (0, 3)))
    assert live.read(chunk_of(range(302), (0, 3)))
    assert live.logs[REQUESTS].read == ((3, 305),)
    assert live.read(chunk_of(range(302, 342), (302, 4)))
    assert live.logs[REQUESTS].read == ((3, 305), (4, 342))


def test_after_a_seek_only_what_was_read_before_its_offset_counts() -> None:
    live = live_partition(Nothing())
    live.read(chunk_of(range(305), (0, 3)))
    live.read(chunk_of(range(300, 342), (300, 3), (302, 4), seek=2))
    assert live.logs[REQUESTS].read == ((3, 302), (4, 342))


class Nothing:
    """An operator that counts nothing."""

    def process(self, records: Any) -> list[Any]:
        return []

    def meta(self) -> bytes:
        return b""

    def snapshot(self, *, full: bool = False) -> dict[int, bytes]:
        return {}

    def restore(self, meta: bytes, shards: Any) -> None:
        """There is nothing to restore."""


def test_a_checkpoint_keeps_the_log_up_to_its_offset() -> None:
    async def run() -> Any:
        log = Log()
        live = live_partition(Nothing(), changelog=log)
        live.begin(0, 99, None)
        live.logs[REQUESTS] = LogPosition("aa")
        chunk = chunk_of(range(5), (0, 7))
        assert not live.read(chunk)
        assert live.read(chunk_of(range(5, 9), (5, 7), (6, 8)))  # The second chunk waits in its queue.
        await live.take(chunk)
        await live.checkpoint()
        return latest(log.stored, HERE)

    snapshot = asyncio.run(run())
    assert snapshot.logs == {"requests": LogPosition("aa", ((7, 5),))}
    assert live_partition(Nothing(), snapshot=snapshot).logs == {REQUESTS: LogPosition("aa", ((7, 5),))}


def test_a_state_without_logs_is_continued_and_gets_them_at_its_next_checkpoint() -> None:
    async def run() -> Any:
        log = Log()
        old = live_partition(Nothing(), changelog=log)
        old.begin(0, 99, None)
        await old.checkpoint()
        assert b'"logs"' not in log.stored[b"1.me/marker"]
        live = live_partition(Nothing(), changelog=log, snapshot=latest(log.stored, HERE))
        live.begin(0, 99, 0)
        assert live.logs == {REQUESTS: LogPosition()}
        live.logs[REQUESTS] = LogPosition("aa")
        chunk = chunk_of(range(5), (0, 7))
        live.read(chunk)
        await live.take(chunk)
        await live.checkpoint()
        return latest(log.stored, HERE)

    assert asyncio.run(run()).logs == {"requests": LogPosition("aa", ((7, 5),))}


@given(st.lists(st.tuples(st.integers(1, 5), st.integers(0, 2)), max_size=12), st.data())
def test_a_position_does_not_depend_on_how_records_were_cut(
    parts: list[tuple[int, int]], data: st.DataObject
) -> None:
    begins, offset, epoch = [], 0, 0
    for length, step in parts:
        epoch += step
        begins.append((offset, epoch))
        offset += length
    epochs = tuple(entry for n, entry in enumerate(begins) if n == 0 or begins[n - 1][1] != entry[1])
    whole = LogPosition("aa").advanced(epochs, 0, offset)
    position, place = LogPosition("aa"), 0
    while place < offset:
        end = data.draw(st.integers(place + 1, offset))
        inside = tuple(entry for entry in epochs if place < entry[0] < end)
        under = max((entry for entry in epochs if entry[0] <= place), default=(0, 0))[1]
        position, place = position.advanced(((place, under), *inside), place, end), end
    assert position == whole
    if offset:
        assert position.before(offset) == position
