"""The population's hazard, calculated by hand, and its independence of the group that is scored."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pivotwatch_models.population.cohorts import (
    ALWAYS_ACTIVE,
    COHORTS,
    EXPOSURES,
    cohort,
    exposure,
    volume_band,
)
from pivotwatch_models.population.hazard import PopulationHazard

DECAY = 0.995


def row(**cohorts):
    """A row of cohorts: ``c3=100`` puts 100 accounts into cohort 3."""
    out = np.zeros(COHORTS, dtype=np.int64)
    for name, value in cohorts.items():
        out[int(name[1:])] = value
    return out


def give(clock, sets, group=0):
    """One bucket of disjoint groups, none flagged: for each, accounts at risk and events by cohort."""
    risk = np.array([r for r, _ in sets])
    events = np.array([e for _, e in sets])
    return clock.update(
        risk.sum(axis=0),
        events.sum(axis=0),
        risk,
        risk.sum(axis=0) - risk,
        events.sum() - events.sum(axis=1),
    )


def test_the_first_bucket_has_the_observed_hazard():
    clock = PopulationHazard(DECAY)
    result = give(clock, [(row(c0=60), row(c0=6)), (row(c0=40), row(c0=0))])
    assert result.hazard == pytest.approx(6 / 100)
    assert clock.slow_hazard == pytest.approx(6 / 100)


def test_the_first_bucket_without_anyone_at_risk_has_no_hazard():
    clock = PopulationHazard(DECAY)
    result = give(clock, [(row(), row())])
    assert (result.hazard, clock.slow_hazard, result.expected.tolist()) == (0.0, 0.0, [0.0])


def test_two_buckets_calculated_by_hand():
    clock = PopulationHazard(DECAY)
    give(clock, [(row(c0=60, c5=100), row(c0=6, c5=2)), (row(c0=40), row(c0=0))])
    # h = 8/200 = 0.04, expected: c0 4, c5 4, events: c0 6, c5 2.
    h1 = 0.04
    m0, m5 = (2 + 6) / (2 + 100 * h1), (2 + 2) / (2 + 100 * h1)
    assert clock.pace[0] == pytest.approx(m0)
    assert clock.pace[5] == pytest.approx(m5)
    assert clock.pace[9] == 1.0
    result = give(clock, [(row(c0=50, c5=90), row(c0=5, c5=3)), (row(c0=38), row(c0=2))])
    weight = m0 * 88 + m5 * 90
    assert result.hazard == pytest.approx((10 + 20 * h1) / (weight + 20))
    without_0 = (2 + 20 * h1) / (m0 * 38 + 20)
    without_1 = (8 + 20 * h1) / (m0 * 50 + m5 * 90 + 20)
    assert result.expected.tolist() == pytest.approx([(m0 * 50 + m5 * 90) * without_0, m0 * 38 * without_1])
    # State after this bucket: multipliers decay, the slow hazard changes by a fifth.
    h2 = result.hazard
    assert clock.slow_hazard == pytest.approx(0.8 * h1 + 0.2 * h2)
    assert clock.pace[0] == pytest.approx((2 + DECAY * 6 + 7) / (2 + DECAY * 100 * h1 + 88 * m0 * h2))


def test_the_multipliers_of_a_bucket_do_not_use_that_bucket():
    calm, wild = PopulationHazard(DECAY), PopulationHazard(DECAY)
    first = [(row(c0=100, c1=100), row(c0=1, c1=1)), (row(c0=100, c1=100), row(c0=1, c1=1))]
    give(calm, first)
    give(wild, first)
    # The other group has the same number of events in both, in another cohort: the expectation is the same.
    own = (row(c0=100), row(c0=0))
    a = give(calm, [own, (row(c0=100, c1=100), row(c0=20, c1=0))])
    b = give(wild, [own, (row(c0=100, c1=100), row(c0=0, c1=20))])
    assert a.expected[0] == b.expected[0]
    assert calm.pace[0] > wild.pace[0]


def test_the_expectation_of_a_group_does_not_depend_on_itself():
    """The expectation of a group is the same for any number of its own events."""
    expected = []
    for own in (0, 10, 100):
        clock = PopulationHazard(DECAY)
        give(clock, [(row(c0=100), row(c0=1)), (row(c0=900), row(c0=9))])
        expected.append(give(clock, [(row(c0=100), row(c0=own)), (row(c0=900), row(c0=9))]).expected[0])
    assert len(set(expected)) == 1


def test_flagged_groups_do_not_count_in_expectations():
    """The totals leave out flagged groups, but flagged groups still get an expectation."""
    clock = PopulationHazard(DECAY)
    free_risk, free_events = row(c0=900), row(c0=9)
    flagged_risk = row(c0=100)
    result = clock.update(
        free_risk,
        free_events,
        np.array([flagged_risk, free_risk]),
        np.array([free_risk, row()]),
        np.array([9, 0]),
    )
    assert result.hazard == pytest.approx(0.01)
    assert result.expected[0] == pytest.approx(100 * 0.01)
    assert clock.seen == 9


def test_cohorts_that_stand_out_do_not_count_in_the_hazard():
    """Their expectation is a fraction of the hazard of the others, and their own past is discarded."""
    clock = PopulationHazard(DECAY)
    always, away = ALWAYS_ACTIVE, ALWAYS_ACTIVE + 1
    risk, events = row(**{f"c{always}": 900, f"c{away}": 100}), row(**{f"c{always}": 90, f"c{away}": 2})
    flagged = np.arange(COHORTS) == always
    group = row(**{f"c{always}": 90})
    result = clock.update(
        risk,
        events,
        group[None],
        (risk - group)[None],
        np.array([2]),
        flagged_cohorts=flagged,
        relative_chance=0.25,
    )
    assert result.hazard == pytest.approx(0.02)
    assert result.expected == pytest.approx([90 * 0.02 * 0.25])
    assert clock.seen == 2
    assert clock.pace[always] == 1.0
    give(clock, [(row(**{f"c{always}": 100}), row(**{f"c{always}": 2}))])
    assert clock.pace[always] == pytest.approx((2 + 2) / (2 + 100 * clock.slow_hazard), rel=0.2)


def test_without_others_at_risk_those_that_stand_out_get_the_usual_hazard():
    """A missing comparison does not mean that none of them is expected to switch."""
    clock = PopulationHazard(DECAY)
    always, away = ALWAYS_ACTIVE, ALWAYS_ACTIVE + 1
    flagged = np.arange(COHORTS) == always
    for risk in (row(**{f"c{always}": 900, f"c{away}": 100}), row(**{f"c{always}": 900})):
        events = (risk * 0.02).astype(np.int64)
        group = row(**{f"c{always}": 90})
        seen = int(events[~flagged].sum())
        result = clock.update(
            risk, events, group[None], (risk - group)[None], np.array([seen]), flagged_cohorts=flagged
        )
    assert result.expected == pytest.approx([90 * 0.02])


def test_when_everyone_switches_in_one_bucket_the_expectation_follows():
    """A default alias: hazard 0.6 for one hour after 0.01. The expectation uses the same bucket."""
    clock = PopulationHazard(DECAY)
    groups = 40
    for _ in range(30):
        give(clock, [(row(c0=100), row(c0=1))] * groups)
    jump = give(clock, [(row(c0=100), row(c0=60))] * groups)
    assert jump.expected == pytest.approx(np.full(groups, 60.0), rel=0.03)


counts = st.lists(
    st.lists(st.tuples(st.integers(0, COHORTS - 1), st.integers(1, 50), st.integers(0, 50)), max_size=4),
    min_size=2,
    max_size=4,
)


def of_counts(groups):
    rows = []
    for cells in groups:
        risk, events = row(), row()
        for c, r, e in cells:
            risk[c] += r
            events[c] += min(r, e)
        rows.append((risk, events))
    return rows


@settings(max_examples=60)
@given(st.lists(counts, max_size=12), st.integers(0, 12))
def test_a_restored_clock_continues_exactly(buckets, cut):
    straight = PopulationHazard(DECAY)
    for groups in buckets[:cut]:
        give(straight, of_counts(groups))
    restored = PopulationHazard(DECAY)
    restored.restore(json.loads(json.dumps(straight.snapshot(), allow_nan=False)))
    for groups in buckets[cut:]:
        a, b = give(straight, of_counts(groups)), give(restored, of_counts(groups))
        assert a.hazard == b.hazard
        assert a.expected.tolist() == b.expected.tolist()
    assert straight.snapshot() == restored.snapshot()


@settings(max_examples=60)
@given(counts, st.randoms(use_true_random=False))
def test_the_order_of_groups_does_not_matter(groups, random):
    rows = of_counts(groups)
    order = list(range(len(rows)))
    random.shuffle(order)
    a, b = PopulationHazard(DECAY), PopulationHazard(DECAY)
    for _ in range(3):
        one, two = give(a, rows), give(b, [rows[i] for i in order])
        assert [one.expected[i] for i in order] == two.expected.tolist()
    assert a.snapshot() == b.snapshot()


def test_every_cohort_has_a_unique_number():
    numbers = {
        int(cohort(np.array([band]), np.array([young]), np.array([exposed]))[0])
        for band in (0, 1, 3)
        for young in (0, 1)
        for exposed in range(EXPOSURES)
    }
    assert numbers == set(range(COHORTS))


def test_bands_of_volume_end_at_powers_of_two():
    assert volume_band(np.array([1, 2, 4, 8, 16, 32, 33, 10**9])).tolist() == [0, 1, 2, 3, 4, 5, 6, 6]


def test_exposure_is_the_time_since_an_account_could_have_switched():
    released, now = 100, 106
    never, before, level = -1, 90, {1: 4, 2: 5, 3: 5, 4: 6, 6: 6}
    assert exposure(np.array([never, before]), now, released).tolist() == [0, 1]
    for age, first in {11: 1, 12: 2, 47: 2, 48: 3, 90: 3}.items():
        assert exposure(np.array([before]), released + age, released).tolist() == [first]
    for gap, expected in level.items():
        assert exposure(np.array([now - gap]), now, released).tolist() == [expected]
    for gap, expected in {8: 6, 9: 7, 24: 7, 25: 8}.items():
        assert exposure(np.array([released]), released + gap, released).tolist() == [expected]
