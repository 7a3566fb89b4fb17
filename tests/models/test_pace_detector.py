"""The e-detector of a group: a river drift detector, valid at any time, exact after a restore."""

from __future__ import annotations

import copy
import itertools
import json
import math
import pickle

import numpy as np
import pytest
import river.checks
from hypothesis import given, settings
from hypothesis import strategies as st
from river import base, drift

from pivotwatch_models.groups.pace_detector import GroupEDetector, log_factor
from pivotwatch_models.method import STATE

MULTIPLES, SHAPE, FLAGGED_ABOVE = STATE.pace.multiples, STATE.pace.dispersion_shape, STATE.pace.flagged_above

bucket_counts = st.tuples(
    st.integers(0, 30), st.floats(0, 5, width=32), st.integers(0, 30), st.floats(0, 5, width=32)
)
# As above, mostly small: W returns to 0.
calm_counts = st.tuples(st.integers(0, 2), st.floats(0, 2), st.integers(0, 2), st.floats(0, 2))
series = st.lists(st.one_of(bucket_counts, calm_counts), max_size=40)


def state_of(detector):
    return detector.snapshot(), detector.log_r, detector.drift_detected


# A drift detector of river


def estimator_checks(model, monkeypatch):
    """river's generic checks that need no data set; the others are for models that learn."""
    monkeypatch.setattr(river.checks, "_yield_datasets", lambda *_, **__: iter(()))
    return {check.__name__: check for check in river.checks.yield_checks(model)}


def passes(check, model):
    try:
        check(model)
    except Exception:  # whatever the check raises
        return False
    return True


def test_it_passes_every_estimator_check_that_adwin_passes(monkeypatch):
    ours = estimator_checks(GroupEDetector(), monkeypatch)
    of_adwin = estimator_checks(drift.ADWIN(), monkeypatch)
    passed = {name for name, check in of_adwin.items() if passes(check, drift.ADWIN())}
    assert len(passed) > 8
    for name in sorted(passed):
        ours[name](GroupEDetector())


def test_it_is_a_drift_detector():
    detector = GroupEDetector(threshold=3.0, theta=2.0)
    assert isinstance(detector, base.DriftDetector)
    assert not detector.drift_detected
    assert "GroupEDetector" in repr(detector)
    assert "theta=2." in repr(detector)


def test_a_clone_has_the_parameters_and_none_of_the_state():
    detector = GroupEDetector(threshold=3.0, theta=2.0)
    for _ in range(5):
        detector.update((4, 0.1, 4, 0.1))
    clone = detector.clone()
    assert (clone.threshold, clone.theta) == (3.0, 2.0)
    assert state_of(clone) == state_of(GroupEDetector(threshold=3.0, theta=2.0))


def test_a_pickle_and_a_deep_copy_continue_alike():
    detector = GroupEDetector()
    detector.update((2, 0.3, 1, 0.1))
    twins = [pickle.loads(pickle.dumps(detector)), copy.deepcopy(detector)]
    for each in (detector, *twins):
        each.update((3, 0.2, 0, 0.4))
    assert state_of(twins[0]) == state_of(twins[1]) == state_of(detector)


# Validity


def plain_r(counts, theta):
    """The recursion without logarithms."""
    r = dict.fromkeys(itertools.product(range(2), MULTIPLES), 0.0)
    for x in counts:
        for kind, mu in r:
            s, e = x[2 * kind], x[2 * kind + 1]
            shrunk = (SHAPE + theta * e) / (SHAPE + mu * theta * e)
            r[kind, mu] = (1 + r[kind, mu]) * mu**s * shrunk ** (SHAPE + s)
    return sum(r.values()) / len(r)


@settings(max_examples=60)
@given(st.lists(bucket_counts, min_size=1, max_size=8), st.sampled_from([1.5, 3.0, 6.0]))
def test_ln_r_is_the_logarithm_of_the_plain_recursion(counts, theta):
    detector = GroupEDetector(theta=theta)
    for x in counts:
        detector.update(x)
    plain = plain_r(counts, theta)
    if plain > 1e-250:
        assert detector.log_r == pytest.approx(math.log(plain), rel=1e-9, abs=1e-9)


def log_negative_binomial(s, mean):
    """Ln of the chance of s events: Poisson with a gamma factor of shape κ and mean one."""
    ways = math.lgamma(SHAPE + s) - math.lgamma(SHAPE) - math.lgamma(s + 1)
    return ways + SHAPE * math.log(SHAPE / (SHAPE + mean)) + s * math.log(mean / (SHAPE + mean))


def log_poisson(s, mean):
    return s * math.log(mean) - mean - math.lgamma(s + 1)


@pytest.mark.parametrize("mean", [0.02, 1.2, 6.0])
def test_the_mean_of_a_factor_is_one_at_the_boundary_and_less_within(mean):
    """Summed over all S: one when S is negative binomial with mean θ₀E, less when it is Poisson."""
    for mu in MULTIPLES:
        logs = [log_factor(s, mean, mu, math.log(mu)) for s in range(2500)]
        at_boundary = sum(math.exp(log_negative_binomial(s, mean) + f) for s, f in enumerate(logs))
        assert at_boundary == pytest.approx(1.0, rel=1e-6), mu
        for less in (mean, mean / 2):
            assert sum(math.exp(log_poisson(s, less) + f) for s, f in enumerate(logs)) <= 1.0, mu


def test_for_small_expectations_a_factor_equals_that_of_poisson():
    for mu in MULTIPLES:
        exact = 3 * math.log(mu) - (mu - 1) * 0.01
        assert log_factor(3, 0.01, mu, math.log(mu)) == pytest.approx(exact, rel=0.03)


def test_one_bucket_of_a_large_group_gives_bounded_evidence():
    """Twice the normal limit, for any size of the group: at most κ (r − 1 − ln r) nats."""
    most = SHAPE * (2 - 1 - math.log(2))
    for expected in (10, 1_000, 100_000):
        assert max(log_factor(2 * expected, expected, mu, math.log(mu)) for mu in MULTIPLES) < most


def test_the_chance_of_a_false_alert_keeps_within_ville_bound_in_simulation():
    """P(R reaches A within t buckets) ≤ t/A, at the boundary, by one-sided binomial bound."""
    rng = np.random.default_rng(7)
    theta, buckets, runs, a = 3.0, 40, 1500, 400.0
    alarms = 0
    for _ in range(runs):
        e = rng.uniform(0.01, 0.5)
        detector = GroupEDetector(threshold=math.log(a), theta=theta)
        for s1, s2 in rng.poisson(theta * e, size=(buckets, 2)).tolist():
            detector.update((s1, e, s2, e))
            if detector.drift_detected:
                alarms += 1
                break
    allowed = buckets / a
    assert alarms / runs <= allowed + 3 * math.sqrt(allowed * (1 - allowed) / runs)


def test_the_sampled_mean_of_r_for_the_smallest_multiple_stays_below_t():
    """Only μ = 2 has a tail thin enough to be averaged: Var L = e^{θ₀E} − 1."""
    rng = np.random.default_rng(11)
    theta, e, buckets, runs = 3.0, 0.02, 12, 3000
    total = np.zeros(runs)
    for run in range(runs):
        detector = GroupEDetector(theta=theta)
        for s in rng.poisson(theta * e, size=buckets).tolist():
            detector.update((s, e, 0, e))
        total[run] = math.exp(detector.snapshot()[0][0])
    bound = total.mean() - 3 * total.std() / math.sqrt(runs)
    assert bound <= buckets
    assert total.mean() == pytest.approx(buckets, rel=0.1)


def test_slower_than_theta_gives_less_evidence_than_at_theta():
    slow, at = GroupEDetector(theta=3.0), GroupEDetector(theta=3.0)
    for _ in range(50):
        slow.update((1, 2.0, 1, 2.0))
        at.update((6, 2.0, 6, 2.0))
    assert slow.log_r < at.log_r


@pytest.mark.parametrize("seen", [10**3, 10**6, 10**9])
def test_a_flood_of_events_does_not_overflow(seen):
    detector = GroupEDetector()
    for _ in range(5):
        detector.update((seen, 0.0, seen, 1e-9))
    assert math.isfinite(detector.log_r)
    assert detector.drift_detected
    json.dumps(detector.snapshot(), allow_nan=False)


def test_a_very_large_expectation_does_not_give_nan():
    detector = GroupEDetector()
    for _ in range(5):
        detector.update((0, 1e9, 0, 1e9))
    assert not math.isnan(detector.log_r)
    detector.update((60, 0.1, 60, 0.1))
    assert math.isfinite(detector.log_r)


# Onset and sums


@settings(max_examples=80)
@given(series)
def test_sums_and_updates_run_since_w_was_last_zero(counts):
    detector, w = GroupEDetector(), [0.0, 0.0]
    seen, expected, since = [0, 0], [0.0, 0.0], [0, 0]
    for x in counts:
        detector.update(x)
        for kind in range(2):
            s, e = x[2 * kind], x[2 * kind + 1]
            if w[kind] == 0.0:
                seen[kind], expected[kind], since[kind] = 0, 0.0, 0
            w[kind] = max(0.0, w[kind] + log_factor(s, 3.0 * e, 4.0, math.log(4)))
            seen[kind], expected[kind], since[kind] = seen[kind] + s, expected[kind] + e, since[kind] + 1
        assert (detector.cusum, detector.seen, detector.expected) == (w, seen, expected)
        assert detector.since == since
        assert detector.quiet == (w == [0.0, 0.0])
        assert detector.flagged == (max(w) > FLAGGED_ABOVE)
        assert detector.leading == (0 if w[0] > w[1] else 1)


def test_in_a_tie_switches_lead():
    detector = GroupEDetector()
    detector.update((2, 0.1, 2, 0.1))
    assert detector.cusum[0] == detector.cusum[1] > 0
    assert detector.leading == 1


# Snapshots


@settings(max_examples=60)
@given(series, st.integers(0, 40))
def test_a_restored_detector_continues_exactly(counts, cut):
    straight = GroupEDetector(threshold=2.0, theta=2.5)
    for x in counts[:cut]:
        straight.update(x)
    state = json.loads(json.dumps(straight.snapshot(), allow_nan=False))
    restored = GroupEDetector.restored(2.0, state)
    assert state_of(restored) == state_of(straight)
    for x in counts[cut:]:
        straight.update(x)
        restored.update(x)
        assert state_of(restored) == state_of(straight)


def test_a_snapshot_does_not_change_afterwards():
    detector = GroupEDetector()
    detector.update((2, 0.1, 2, 0.1))
    state = detector.snapshot()
    kept = json.dumps(state)
    detector.update((2, 0.1, 2, 0.1))
    assert json.dumps(state) == kept


def test_the_sum_starts_at_the_head_start_until_a_reset():
    detector = GroupEDetector(theta=3.0, head=168.0)
    assert detector.log_r == math.log(168.0)
    detector.update((1, 0.1, 0, 0.1))
    shrunk = [(SHAPE + 0.3) / (SHAPE + mu * 0.3) for mu in MULTIPLES]
    plain = [169 * mu**s * f ** (SHAPE + s) for s in (1, 0) for mu, f in zip(MULTIPLES, shrunk, strict=True)]
    assert math.exp(detector.log_r) == pytest.approx(sum(plain) / len(plain))
    assert detector.clone().log_r == math.log(168.0)


def test_the_mean_of_the_sum_stays_under_its_head_start_and_the_time():
    """E[R_t] ≤ R_0 + t for a group at θ₀ times the hazard, averaged over 4,000 runs."""
    rng, sums = np.random.default_rng(5), []
    for _ in range(4_000):
        detector = GroupEDetector(theta=2.0, head=20.0)
        for seen in rng.poisson(2.0 * 0.05, (10, 2)).tolist():
            detector.update((seen[0], 0.05, seen[1], 0.05))
        sums.append(math.exp(detector.log_r))
    assert np.mean(sums) <= 30.0 + 3 * np.std(sums) / math.sqrt(len(sums))
