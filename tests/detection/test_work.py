"""Work in slices: however small they are, the result is the same to the byte."""

from __future__ import annotations

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pivotwatch.base import work
from pivotwatch.base.order import merged, ordered
from pivotwatch.base.work import at_once
from pivotwatch.contracts.bucket_content import encoded
from pivotwatch.detection.counting.aggregates import Cells
from tests.detection.stream import accounts_step, launch, launch_buckets, networks_step, records


def in_slices(doing):
    """Do work; its result, and how often it could be left alone."""
    pauses = 0
    while True:
        try:
            next(doing)
        except StopIteration as end:
            return end.value, pauses
        pauses += 1


@pytest.fixture
def small(monkeypatch):
    """Slices of a few accounts."""
    monkeypatch.setattr(work, "PART", 4)


def close_all():
    step = accounts_step()
    outputs, pauses = in_slices(step.processing(records(launch()[0])))
    last, more = in_slices(step.ending())
    state, shards = in_slices(step.saving(full=True))
    return [*outputs, *last], (step.meta(), state), (pauses + more, shards)


def test_small_slices_of_the_close_of_a_bucket_leave_no_trace(monkeypatch):
    outputs, state, whole = close_all()
    monkeypatch.setattr(work, "PART", 4)
    again, state_again, small = close_all()
    assert again == outputs
    assert state_again == state
    assert small[0] > whole[0] > len(outputs)
    assert small[1] >= 2 * 8  # of eight shards


def score_all():
    buckets, releases = launch_buckets(3)
    step = networks_step(3, releases)
    outputs, pauses = in_slices(step.processing(buckets))
    state, _ = in_slices(step.saving(full=True))
    return outputs, (step.meta(), state), pauses


def test_small_slices_of_the_score_of_a_bucket_leave_no_trace(monkeypatch):
    outputs, state, whole = score_all()
    monkeypatch.setattr(work, "PART", 4)
    monkeypatch.setattr("pivotwatch.detection.scoring.operator.GROUPS", 2)
    monkeypatch.setattr("pivotwatch_models.release_watch.SLICE", 2)
    again, state_again, small = score_all()
    assert again == outputs
    assert state_again == state
    assert small > whole > len(outputs)


def test_chunks_between_closes_are_not_left_alone():
    hours = records(launch()[0])
    step = accounts_step()
    _, pauses = in_slices(step.processing(hours[:20]))
    assert pauses == 0


@given(st.sets(st.text(max_size=3), max_size=60), st.sets(st.text(max_size=3), max_size=60))
def test_sorting_in_slices_is_sorting(some, others):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(work, "PART", 4)
        a = at_once(ordered(list(some), key=str))
        b = at_once(ordered(list(others - some), key=str))
        assert (a, b) == (sorted(some), sorted(others - some))
        assert at_once(merged(a, b, key=str)) == sorted(some | others)


@pytest.mark.parametrize("rows", [0, 1, 4, 5, 9])
def test_a_table_made_in_slices_is_one_json_text(small, rows):
    for table in (np.arange(3 * rows).reshape(rows, 3), [["é", i] for i in range(rows)]):
        made = bytes(at_once(encoded(table)))
        assert made == orjson.dumps(table, option=orjson.OPT_SERIALIZE_NUMPY)


@given(st.lists(st.lists(st.tuples(st.integers(0, 300), st.integers(0, 2)), max_size=30), max_size=6))
def test_cells_added_up_by_ranges_are_the_same(runs):
    one, other = Cells(), Cells()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pivotwatch.detection.counting.aggregates.RUN", 4)
        for run in runs:
            events = np.array([[7, who, 0, place, 0, -1, 1, 2, 0] for who, place in run], dtype=np.int64)
            for cells in (one, other):
                later = Cells()
                later.add(events.reshape(-1, 9))
                cells.take_over(later)
        merged_, whole = at_once(one.merging()), other.whole()
    assert all(np.array_equal(a, b) for a, b in zip(merged_, whole, strict=True))
    assert one.requests == other.requests == sum(map(len, runs))
