"""The order in which partitions are merged by event time."""

from __future__ import annotations

from itertools import accumulate
from random import Random

from faust.types import TP
from hypothesis import given
from hypothesis import strategies as st

from pivotwatch.contracts.records import Line
from pivotwatch.ingest.event_time_merge import EventTimeMerge

A, B, C = (TP("log", number) for number in range(3))
SLACK = 100


def made(*more: TP) -> EventTimeMerge:
    """A merge of three partitions; some have more records."""
    merge = EventTimeMerge(SLACK, has_more=lambda tp: tp in more)
    merge.assign([A, B, C])
    return merge


def test_a_partition_at_its_end_delays_no_other() -> None:
    merge = made()
    merge.add(A, [Line(b"")])
    assert merge.next_partition() == (A, float("inf"))
    merge.advance(A, 1_000)
    assert merge.next_partition() == (A, float("inf"))


def test_a_partition_ahead_waits_for_those_behind_with_more_records() -> None:
    merge = made(A, B)
    merge.add(A, [Line(b"")])
    merge.advance(A, 1_000)
    merge.advance(B, 900)
    assert merge.next_partition() == (A, 1_000)
    merge.advance(A, 1_001)
    assert merge.next_partition() is None
    assert merge.buffered() == {A}
    assert merge.awaited() == [B]
    merge.add(B, [Line(b"")])
    assert merge.next_partition() == (B, 1_101)


def test_a_silent_partition_delays_the_others_only_for_a_while() -> None:
    merge = made(B)
    merge.add(A, [Line(b"")])
    merge.advance(A, 1_000)
    assert merge.next_partition() is None
    assert merge.stop_waiting() == [B]
    assert merge.next_partition() == (A, float("inf"))
    merge.add(B, [Line(b"")])
    assert merge.next_partition() == (B, 1_100)


def test_times_never_decrease_and_end_with_the_assignment() -> None:
    merge = made()
    assert merge.advance(A, 50) == 50
    assert merge.advance(A, 40) == 50
    merge.assign([A])
    assert merge.advance(A, 0) == 50
    merge.clear()
    merge.assign([A])
    assert merge.advance(A, 0) == 0


STEP = 50


@given(
    st.lists(st.lists(st.integers(0, STEP), min_size=20, max_size=40), min_size=3, max_size=3), st.randoms()
)
def test_no_partition_is_further_ahead_than_the_slack_and_one_record(
    steps: list[list[int]], rng: Random
) -> None:
    """Each partition is in order, with fetches of any size."""
    coming = {tp: list(accumulate(some)) for tp, some in zip((A, B, C), steps, strict=True)}
    everything = sorted(time for some in coming.values() for time in some)
    here: dict[TP, list[int]] = {tp: [] for tp in coming}
    merge = EventTimeMerge(SLACK, has_more=lambda tp: bool(coming[tp]))
    merge.assign(coming)
    went: list[int] = []
    while len(went) < len(everything):
        if more := [tp for tp in coming if coming[tp]]:
            tp = rng.choice(more)
            some = rng.randint(1, len(coming[tp]))
            merge.add(tp, [Line(b"")] * some)
            here[tp] += coming[tp][:some]
            del coming[tp][:some]
        while (found := merge.next_partition()) is not None:
            tp, limit = found
            while here[tp]:
                merge.pop(tp)
                went.append(here[tp].pop(0))
                assert went[-1] >= max(went) - SLACK - STEP
                if merge.advance(tp, went[-1]) > limit:
                    break
    assert sorted(went) == everything
