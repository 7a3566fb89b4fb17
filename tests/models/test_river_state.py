"""Parts of river whose state pivotwatch stores continue exactly after a restore."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from river import drift

from pivotwatch_models.groups.adwin import Corroboration, residual
from pivotwatch_models.groups.learnt_theta import LearntTheta
from pivotwatch_models.groups.registry import GroupRecord, GroupRegistry

levels = st.lists(st.tuples(st.integers(1, 60), st.floats(-3, 30, width=32), st.integers(0, 9)), max_size=6)


def values_of(pieces):
    """Constant pieces with a small saw tooth."""
    return [level + (i * step % 7) / 10 for length, level, step in pieces for i in range(length)]


@settings(max_examples=60)
@given(levels, st.integers(0, 360))
def test_a_restored_adwin_continues_exactly(pieces, cut):
    xs = values_of(pieces)
    straight = Corroboration()
    for bucket, x in enumerate(xs[:cut]):
        straight.update(bucket, x)
    restored = Corroboration.restored(json.loads(json.dumps(straight.snapshot())))
    for bucket, x in enumerate(xs[cut:], start=cut):
        straight.update(bucket, x)
        restored.update(bucket, x)
        assert straight.last_rise == restored.last_rise
    assert straight.snapshot() == restored.snapshot()


def test_a_damaged_window_is_a_value_error():
    window, *rest = Corroboration().snapshot()
    with pytest.raises(ValueError, match="ADWIN is damaged"):
        Corroboration.restored([window[: len(window) // 2], *rest])


@settings(max_examples=40)
@given(levels)
def test_it_sees_a_rise_when_rivers_adwin_drifts_upward(pieces):
    second, adwin, last = Corroboration(), drift.ADWIN(delta=1e-3, clock=1), None
    for bucket, x in enumerate(values_of(pieces)):
        before = adwin.estimation
        adwin.update(x)
        if adwin.drift_detected and adwin.estimation > before:
            last = bucket
        second.update(bucket, x)
    assert second.last_rise == last


def test_a_fall_does_not_corroborate():
    second = Corroboration()
    for bucket in range(100):
        second.update(bucket, 9.0 if bucket < 50 else 0.0)
    assert second.last_rise is None
    assert not second.rose_since(0)


def test_a_rise_before_the_onset_does_not_count():
    second = Corroboration()
    for bucket in range(100):
        second.update(bucket, 0.0 if bucket < 50 else 9.0)
    rise = second.last_rise
    assert rise is not None
    assert rise >= 50
    assert second.rose_since(rise)
    assert not second.rose_since(rise + 1)


def test_the_residual_is_standardised():
    assert residual(9, 0.0) == pytest.approx(9 / 0.5**0.5)
    assert residual(0, 3.5) == pytest.approx(-3.5 / 2)


# Registry


def test_a_record_keeps_members_theta_and_lateness():
    record = GroupRecord()
    record.members, record.late_at = 12, 7
    record.theta = LearntTheta(3.5, 2.25, 2)
    again = GroupRecord.restored(json.loads(json.dumps(record.snapshot())))
    assert (again.members, again.late_at, again.theta) == (12, 7, LearntTheta(3.5, 2.25, 2))


def test_members_are_joined_minus_left():
    registry, a, b = GroupRegistry(), ("network", "AS1"), ("payment", "AS1")
    registry.join(a, 9)
    registry.join(a, 3)
    registry.leave(a, 5)
    registry.join(b, 1)
    assert (registry.members(a), registry.members(b), registry.members(("x", "y"))) == (7, 1, 0)


def test_a_lookup_of_an_unknown_group_does_not_add_it():
    registry, group = GroupRegistry(), ("network", "AS1")
    assert registry.members(group) == 0
    assert registry.theta(group) is None
    assert not registry.late_since(group, -5)
    assert not registry.groups


def test_lateness_counts_from_the_onset_on():
    registry, group = GroupRegistry(), ("network", "AS1")
    registry.get(group).late_at = 5
    assert registry.late_since(group, 5)
    assert not registry.late_since(group, 6)
