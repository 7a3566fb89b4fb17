"""The timeline of a group: its content, its size, and restarts."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pivotwatch_models.base.poisson import band, quantile
from pivotwatch_models.groups.timeline import Row, Timeline
from pivotwatch_models.method import STATE
from tests.models.world import A, World

LEAD, MOST = STATE.timeline.lead, STATE.timeline.most


def row(bucket, seen=1):
    return Row(bucket, bucket + 1, 10, 2, seen, 0.25)


def filled(buckets, moving_from, timeline=None):
    timeline = timeline or Timeline()
    for bucket in buckets:
        timeline.add(row(bucket), moving=bucket >= moving_from)
    return timeline


def test_while_quiet_the_last_48_buckets_are_kept_in_steps_of_eight():
    rows = filled(range(1000), moving_from=math.inf).rows()
    assert [r.start for r in rows][1:] == list(range(960, 1000, 8))
    assert rows[0].end > 999 - LEAD
    assert len(rows) <= LEAD // 8 + 1


def test_from_the_onset_every_bucket_is_kept_and_the_lead_stays():
    rows = filled(range(130), moving_from=100).rows()
    assert [(r.start, r.end) for r in rows if r.start >= 100] == [(b, b + 1) for b in range(100, 130)]
    assert rows[0].start <= 100 - LEAD + 8


@pytest.mark.parametrize("length", [200, 5_000])
def test_a_long_excursion_is_coarsened_without_losing_counts(length):
    rows = filled(range(64, 64 + length), moving_from=64).rows()
    assert MOST // 2 <= len(rows) <= MOST
    assert sum(r.requests for r in rows) == 10 * length
    assert sum(r.expected for r in rows) == 0.25 * length
    assert all(a.end == b.start for a, b in itertools.pairwise(rows))


def test_after_the_excursion_it_shrinks_unless_an_incident_is_open():
    timeline = filled(range(50), moving_from=0)
    timeline.incident_open = True
    timeline.add(row(50), moving=False)
    assert len(timeline.rows()) == 51
    timeline.incident_open = False
    timeline.add(row(51), moving=False)
    assert len(timeline.rows()) <= LEAD // 8 + 2


steps = st.lists(st.tuples(st.integers(1, 40), st.booleans(), st.booleans()), max_size=150)


@given(steps, st.integers(0, 150))
def test_a_restored_timeline_continues_exactly(steps, cut):
    timeline, bucket = Timeline(), 0
    other = Timeline()
    for i, (gap, moving, held) in enumerate(steps):
        bucket += gap
        if i == cut:
            other = Timeline.restored(timeline.snapshot())
        for s in (timeline, other) if i >= cut else (timeline,):
            s.incident_open = held
            s.add(row(bucket), moving=moving)
        assert len(timeline.rows()) <= MOST
        assert all(a.end <= b.start for a, b in itertools.pairwise(timeline.rows()))
    if cut < len(steps):
        assert other.snapshot() == timeline.snapshot()


def test_a_watch_shows_the_group_beside_everyone():
    world = World()
    world.calm(30)
    world.burst()
    onset = world.incident().onset
    rows = world.watch.rows(A, onset)
    assert rows[-1][0].seen == 40
    assert rows[-1][0].start == onset == world.bucket - 1
    assert rows[-1][1].requests == 20_000
    assert rows[0][0].start < onset
    before = world.watch.groups[A].timeline.snapshot()
    world.restart()
    assert world.watch.groups[A].timeline.snapshot() == before
    assert world.watch.rows(("network", "unknown"), 0) == []


def test_the_timeline_is_kept_until_the_incident_is_resolved():
    world = World()
    world.calm(5)
    world.burst()
    assert world.watch.groups[A].timeline.incident_open
    world.calm(200)
    assert world.incident().state == "resolved"
    assert not world.watch.groups[A].timeline.incident_open
    assert len(world.watch.groups[A].timeline.rows()) <= LEAD // 8 + 2


@given(st.floats(0, 2000), st.floats(1, 6))
def test_the_normal_range_contains_the_expectation(expected, theta):
    low, high = band(expected, theta)
    assert 0 <= low <= expected <= high + 1
    assert quantile(0.5, expected) >= low
