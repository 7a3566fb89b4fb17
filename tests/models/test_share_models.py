"""The models of an account, compared with river and with a scalar implementation."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from river import drift

from pivotwatch_models.accounts.share_models import (
    FIRST_USE,
    SWITCH,
    AccountModels,
    PageHinkley,
    share_residual,
)
from pivotwatch_models.settings import DAY_MS, HOUR_MS

QUICK = PageHinkley(threshold=0.6, min_instances=3)
ACCOUNTS = 4


def one(value):
    return np.array([value])


@st.composite
def histories(draw, longest=40):
    """Buckets: active accounts, and for each its requests and those of them to the candidate model."""
    buckets = []
    for bucket in range(draw(st.integers(1, longest))):
        active = sorted(draw(st.sets(st.integers(0, ACCOUNTS - 1))))
        n = [draw(st.integers(1, 40)) for _ in active]
        k = [draw(st.integers(0, top)) for top in n]
        extra = draw(st.integers(0, 50))
        extra_k = draw(st.integers(0, extra))
        buckets.append((bucket, active, n, k, (sum(n) + extra, sum(k) + extra_k)))
    return buckets


def feed(models, step, places=range(ACCOUNTS)):
    """Feed one bucket into the models; the accounts have the rows ``places``."""
    bucket, active, n, k, others = step
    rows = np.array([places[a] for a in active], dtype=np.int64)
    changes = models.update(bucket, rows, np.array(n, dtype=int), np.array(k, dtype=int), others)
    return {
        account: (
            bool(changes.at_risk[FIRST_USE][i]),
            bool(changes.at_risk[SWITCH][i]),
            bool(changes.events[FIRST_USE][i]),
            bool(changes.events[SWITCH][i]),
            bool(changes.drift[i]),
        )
        for i, account in enumerate(active)
    }


# Page-Hinkley


@settings(max_examples=60)
@given(
    xs=st.lists(st.tuples(st.integers(1, 9), st.integers(0, 9), st.integers(0, 60)), max_size=60),
    threshold=st.sampled_from([0.1, 0.5, 2.0]),
    min_instances=st.integers(1, 9),
)
def test_page_hinkley_equals_that_of_river_exactly(xs, threshold, min_instances):
    ours = AccountModels(PageHinkley(threshold, min_instances))
    river = drift.PageHinkley(
        mode="up", threshold=threshold, min_instances=min_instances, delta=0.005, alpha=0.9999
    )
    for bucket, (n, k, others) in enumerate(xs):
        k = min(n, k)
        total_n, total_k = n + others, k + others // 3
        x = share_residual(one(n), one(k), total_n, total_k)
        changes = ours.update(bucket, one(0), one(n), one(k), (total_n, total_k))
        river.update(float(x[0]))
        column = ours.columns
        assert column["n"][0] == river._x_mean.n
        assert column["mean"][0] == river._x_mean.get()
        assert column["sum"][0] == river._sum_increase
        assert column["min"][0] == river._min_increase
        assert changes.drift[0] == (river.drift_detected and k > 0)


def test_page_hinkley_restarts_after_a_drift():
    ours = AccountModels(QUICK)
    drifts = []
    for bucket in range(60):
        k = 10 if bucket % 20 >= 10 else 0
        if ours.update(bucket, one(0), one(10), one(k), (1000, 0 if k == 0 else k)).drift[0]:
            drifts.append(bucket)
            assert ours.columns["n"][0] > 1
    assert len(drifts) >= 2
    assert all(later - earlier >= QUICK.min_instances for earlier, later in itertools.pairwise(drifts))


def test_a_bucket_without_requests_to_the_model_gives_no_finding():
    ours = AccountModels(PageHinkley(threshold=0.05, min_instances=2))
    # All other accounts stop using the model and this account never used it: its residual rises.
    changes = [ours.update(b, one(0), one(5), one(0), (105, 100 if b < 5 else 0)) for b in range(10)]
    assert ours.columns["flags"].any() or ours.columns["n"][0] < 10  # the statistic did exceed its threshold
    assert not any(change.drift[0] for change in changes)


def test_a_switch_begins_in_the_bucket_after_the_last_minimum():
    ours = AccountModels(PageHinkley(threshold=2.0))
    found = None
    for bucket in range(100, 120):
        k = 4 if bucket >= 112 else 0
        if ours.update(bucket, one(0), one(4), one(k), (1000, 20)).drift[0] and found is None:
            found = bucket, int(ours.moving_since(one(0))[0])
    assert found is not None
    assert found[1] == 112


def test_the_only_account_of_a_partition_has_no_comparison():
    assert share_residual(one(4), one(1), total_n=4, total_k=1).tolist() == [0.25]


def test_the_threshold_decreases_with_the_bucket_width_down_to_a_minimum():
    widths = [HOUR_MS // 4, HOUR_MS, 6 * HOUR_MS, DAY_MS, 7 * DAY_MS]
    thresholds = [PageHinkley.calibrated(width).threshold for width in widths]
    assert thresholds == sorted(thresholds, reverse=True)
    assert thresholds[-1] > 0


# Tempered CUSUM, first use and switch


def scalar_implementation(history):
    """The method in plain floats, one account after the other."""
    w = {(a, s): 0.0 for a in range(ACCOUNTS) for s in (0.3, 0.6, 0.9)}
    used, switched, out = set(), set(), []
    for _, active, n, k, _ in history:
        row = {}
        for a, n_a, k_a in zip(active, n, k, strict=True):
            f = 1 / (1 + (n_a - 1) * 0.15)
            for s in (0.3, 0.6, 0.9):
                gain = k_a * math.log(s / 0.08) + (n_a - k_a) * math.log((1 - s) / (1 - 0.08))
                w[a, s] = float(np.float32(max(0.0, w[a, s] + f * gain)))
            top = max(w[a, s] for s in (0.3, 0.6, 0.9))
            risk = a not in used, a not in switched
            row[a] = (*risk, risk[0] and k_a > 0, risk[1] and top >= math.log(50), top)
            used |= {a} if k_a else set()
            switched |= {a} if row[a][3] else set()
        out.append(row)
    return out


@settings(max_examples=60)
@given(histories())
def test_events_equal_those_of_a_scalar_implementation(history):
    models = AccountModels(QUICK)
    for step, expected in zip(history, scalar_implementation(history), strict=True):
        reported = feed(models, step)
        for account, (*flags, top) in expected.items():
            if abs(top - math.log(50)) > 1e-4:  # columns of W are 32 bits wide
                assert reported[account][:4] == tuple(flags)


@settings(max_examples=40)
@given(histories())
def test_first_use_and_switch_happen_at_most_once_and_end_being_at_risk(history):
    models = AccountModels(QUICK)
    had = {FIRST_USE: set(), SWITCH: set()}
    for step in history:
        for account, reported in feed(models, step).items():
            for kind in (FIRST_USE, SWITCH):
                at_risk, event = reported[kind], reported[2 + kind]
                assert at_risk == (account not in had[kind])
                assert not event or at_risk
                had[kind] |= {account} if event else set()


def test_one_request_is_not_a_switch():
    models = AccountModels(QUICK)
    tried = models.update(0, one(0), one(10), one(1), (1000, 1))
    assert tried.events[FIRST_USE][0]
    assert not tried.events[SWITCH][0]
    events = [models.update(b, one(0), one(10), one(8), (1000, 8)).events[SWITCH][0] for b in range(1, 9)]
    assert sum(events) == 1


def test_many_requests_within_one_bucket_are_tempered():
    """Without tempering, a hundred requests in one bucket would count like a hundred buckets."""
    burst = AccountModels(QUICK)
    burst.update(0, one(0), one(100), one(100), (1000, 100))
    steady = AccountModels(QUICK)
    for bucket in range(100):
        steady.update(bucket, one(0), one(1), one(1), (1000, 1))
    assert burst.columns["w2"][0] < steady.columns["w2"][0] / 10


@settings(max_examples=30)
@given(histories(), st.integers(1, 500))
def test_the_state_of_an_inactive_account_does_not_change(history, pause):
    """The same history with a pause gives the same events."""
    straight, paused = AccountModels(QUICK), AccountModels(QUICK)
    for step in history:
        bucket, *rest = step
        late = (bucket + pause * (bucket > len(history) // 2), *rest)
        assert feed(straight, step) == feed(paused, late)


# Rows


@settings(max_examples=40)
@given(histories(), histories())
def test_a_forgotten_row_is_empty_for_the_next_account(before, after):
    used, new = AccountModels(QUICK), AccountModels(QUICK)
    for step in before:
        feed(used, step)
    used.forget(np.arange(ACCOUNTS))
    for step in after:
        assert feed(used, step) == feed(new, step)
    assert used.snapshot(np.arange(ACCOUNTS)) == new.snapshot(np.arange(ACCOUNTS))


def test_a_row_that_was_never_used_can_be_forgotten_and_saved():
    models = AccountModels(QUICK)
    models.forget(np.array([70_000]))
    assert models.snapshot(np.array([140_000])) == AccountModels(QUICK).snapshot(np.array([0]))


@settings(max_examples=60)
@given(
    histories(),
    st.integers(0, 40),
    st.permutations(range(ACCOUNTS)),
    st.sets(st.integers(0, ACCOUNTS - 1)),
)
def test_restored_rows_continue_exactly_in_any_place(history, cut, order, kept):
    """Restored at any time, any subset of the accounts, into any rows, in any order."""
    straight = AccountModels(QUICK)
    for step in history[:cut]:
        feed(straight, step)
    kept = np.array([a for a in order if a in kept], dtype=np.int64)
    state = straight.snapshot(kept)
    moved = AccountModels(QUICK)
    places = {int(a): 300 * (i + 1) for i, a in enumerate(kept)}
    moved.restore(np.array([places[int(a)] for a in kept], dtype=np.int64), state)
    for bucket, active, n, k, others in history[cut:]:
        own = [(a, x, y) for a, x, y in zip(active, n, k, strict=True) if a in places]
        reported = feed(straight, (bucket, active, n, k, others))
        if own:
            again = feed(moved, (bucket, *map(list, zip(*own, strict=True)), others), places)
            assert again == {a: reported[a] for a, _, _ in own}
    rows = np.array([places[int(a)] for a in kept], dtype=np.int64)
    assert moved.snapshot(rows) == straight.snapshot(kept)


def test_a_snapshot_does_not_change_afterwards():
    models = AccountModels(QUICK)
    models.update(0, one(0), one(3), one(3), (100, 3))
    state = models.snapshot(one(0))
    kept = bytes(state)
    models.update(1, one(0), one(3), one(3), (100, 3))
    assert state == kept != models.snapshot(one(0))


@pytest.mark.parametrize("rows", [[], [5], [9, 2]])
def test_unused_rows_can_be_saved(rows):
    rows = np.array(rows, dtype=np.int64)
    state = AccountModels(QUICK).snapshot(rows)
    again = AccountModels(QUICK)
    again.restore(rows, state)
    assert again.snapshot(rows) == state
