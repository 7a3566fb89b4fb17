"""e-BH compared with brute force, and θ₀ compared with its formula."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pivotwatch_models.groups.e_bh import e_bh, smallest_reportable
from pivotwatch_models.groups.learnt_theta import LearntTheta
from pivotwatch_models.method import DECISION

ALPHA = DECISION.report_rule.e_bh_alpha

log_es = st.lists(st.floats(-5, 12, allow_nan=False), max_size=12)


def brute_force(values, hypotheses, alpha):
    """The largest r for which r e-values are at least G/(α r); the r largest are named."""
    best = 0
    for r in range(1, len(values) + 1):
        if sum(math.exp(v) >= hypotheses / (alpha * r) for v in values) >= r:
            best = r
    return sorted(values, reverse=True)[:best]


@settings(max_examples=300)
@given(log_es, st.integers(0, 300), st.sampled_from([0.05, 0.2, 0.5]))
def test_e_bh_picks_the_same_groups_as_brute_force(values, more, alpha):
    hypotheses = len(values) + more
    # Stay off the edge, where exp and log may round to different sides.
    if any(
        abs(v - math.log(max(hypotheses, 1) / (alpha * r))) < 1e-9
        for v in values
        for r in range(1, len(values) + 1)
    ):
        return
    named = brute_force(values, hypotheses, alpha)
    threshold = e_bh(values, max(1, hypotheses), alpha)
    assert sorted((v for v in values if v >= threshold), reverse=True)[: len(named)] == named
    assert threshold == (min(named) if named else math.inf)


def test_an_e_value_just_at_the_bound_is_named():
    assert math.isfinite(e_bh([math.log(100 / 0.05)], 100))
    assert math.isfinite(e_bh([math.log(100 / (0.05 * 3))] * 3, 100))


@settings(max_examples=100)
@given(log_es, st.integers(0, 50))
def test_leaving_out_groups_that_can_never_be_picked_changes_nothing(values, more):
    hypotheses = max(1, len(values) + more)
    shown = [v for v in values if v >= smallest_reportable()]
    assert e_bh(shown, hypotheses) == e_bh(values, hypotheses)


def test_more_groups_need_more_evidence():
    evidence = [math.log(3000)]
    assert math.isfinite(e_bh(evidence, 100))
    assert e_bh(evidence, 1000) == math.inf
    assert pytest.approx(0.05) == ALPHA


# θ₀


def by_formula(seen, expected):
    theta = (2 + seen) / (2 + expected) + 1.645 * math.sqrt(2 + seen) / (2 + expected)
    return min(6.0, max(1.5, theta))


def test_before_any_watch_theta_is_the_default():
    assert LearntTheta().value(default=3.0) == 3.0
    assert LearntTheta().value(default=2.0) == 2.0


@settings(max_examples=100)
@given(st.lists(st.tuples(st.integers(0, 500), st.floats(0, 500)), min_size=1, max_size=5))
def test_theta_is_a_bound_of_a_poisson_ratio_over_watches_halved_at_each_close(watches):
    theta, seen, expected = LearntTheta(), 0.0, 0.0
    for s, e in watches:
        theta.close_watch(s, e)
        seen, expected = (seen + s) / 2, (expected + e) / 2
    assert theta.value(default=3.0) == pytest.approx(by_formula(seen, expected))
    assert theta.watches == len(watches)


@pytest.mark.parametrize(("seen", "expected", "theta"), [(10_000, 10.0, 6.0), (0, 10_000.0, 1.5)])
def test_theta_is_clipped(seen, expected, theta):
    learnt = LearntTheta()
    learnt.close_watch(seen, expected)
    assert learnt.value(default=3.0) == theta
