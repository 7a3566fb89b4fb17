"""The spread of ordinary groups, and its robustness against campaigns."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pivotwatch_models.method import STATE
from pivotwatch_models.population.group_heterogeneity import GroupHeterogeneity, measure

LEAST, USUAL = STATE.heterogeneity.least_theta, STATE.heterogeneity.usual_theta


def networks(ratios, expected, seed=1):
    """Networks whose paces are these multiples of the population's, with chance on top."""
    rng = np.random.default_rng(seed)
    return {
        ("network", f"AS{i:03}"): (int(rng.poisson(r * expected)), expected) for i, r in enumerate(ratios)
    }


def test_without_data_the_usual_spread_is_used():
    assert measure({}, set()).theta("network", most=3.0) == USUAL
    assert measure({("network", "A"): (0, 0.0)}, set()).theta("network", most=3.0) == USUAL
    assert measure({}, set()).theta("network", most=1.7) == 1.7


def test_few_events_hardly_change_the_usual_spread():
    groups = networks([1.0] * 10, expected=0.1)
    assert measure(groups, set()).theta("network", most=3.0) == pytest.approx(USUAL)


def test_a_spread_beyond_chance_is_used_at_once():
    fast = networks([0.2] * 20 + [1.8] * 20, expected=30.0)
    assert measure(fast, set()).theta("network", most=3.0) > USUAL
    calm = networks([1.0] * 40, expected=30.0)
    assert measure(calm, set()).theta("network", most=3.0) < USUAL


@pytest.mark.parametrize("sigma", [0.2, 0.3, 0.4])
def test_with_many_events_the_limit_is_the_quantile_of_the_spread(sigma):
    ratios = np.random.default_rng(7).gamma(1 / sigma**2, sigma**2, 1500)
    theta = measure(networks(ratios, expected=60.0), set()).theta("network", most=9.0)
    assert theta == pytest.approx(max(LEAST, math.exp(1.4 * sigma)), rel=0.12)


def test_when_half_of_the_networks_are_fast_none_is_an_outlier():
    """Two kinds of networks, one nineteen times as fast: no network is an outlier, and the limit is high."""
    groups = networks([0.1, 1.9] * 100, expected=50.0)
    spread = measure(groups, set())
    assert spread.typical == 1.0
    assert spread.theta("network", most=3.0) == 3.0
    assert not any(spread.is_outlier("network", *sums) for sums in groups.values() if sums[0] < 100)


def test_it_stays_within_its_bounds():
    wild = networks([0.1, 1.9] * 100, expected=50.0)
    assert measure(wild, set()).theta("network", most=2.0) == 2.0
    alike = networks([1.0] * 200, expected=200.0)
    assert measure(alike, set()).theta("network", most=3.0) == LEAST


def test_a_kind_with_a_wider_spread_has_its_own_limit():
    groups = networks([1.0] * 200, expected=50.0)
    groups |= {("signup", str(i)): (int(r * 10), 10.0) for i, r in enumerate([0.2, 1.8] * 6)}
    spread = measure(groups, set())
    assert spread.theta("signup", most=9.0) > spread.theta("network", most=9.0) + 0.5


def test_a_large_campaign_does_not_mask_its_networks():
    """A third of all events are of sixty campaign networks, which triple everyone's expectation."""
    honest = networks([1 / 3] * 300, expected=6.0)
    campaign = {("network", f"c{i}"): (8, 2.5) for i in range(60)}
    spread = measure(honest | campaign, set())
    assert spread.typical < 0.5
    assert all(spread.is_outlier("network", *sums) for sums in campaign.values())
    assert sum(spread.is_outlier("network", *sums) for sums in honest.values()) < 0.08 * len(honest)


def test_other_kinds_than_networks_become_outliers_later():
    spread = GroupHeterogeneity()
    assert spread.is_outlier("network", 9, 3.0)
    assert not spread.is_outlier("signup", 9, 3.0)
    assert spread.is_outlier("signup", 14, 3.0)


@settings(max_examples=50)
@given(
    st.lists(st.tuples(st.integers(0, 60), st.floats(0, 40)), min_size=1, max_size=30),
    st.randoms(use_true_random=False),
)
def test_the_order_of_groups_does_not_matter(sums, random):
    groups = [(("network", f"AS{i}"), row) for i, row in enumerate(sums)]
    shuffled = random.sample(groups, len(groups))
    assert measure(dict(groups), set()) == measure(dict(shuffled), set())


def test_a_permanently_fast_group_is_not_surprising():
    """Among a thousand networks, one that is four times as fast is not surprising; ten times is."""
    spread = measure(networks([1.0] * 200, expected=30.0), set())
    assert spread.theta("network", most=3.0) < USUAL
    assert spread.surprise("network", 41, 10.6, most=3.0) < math.log(2 * 718)
    assert spread.surprise("network", 41, 4.1, most=3.0) > math.log(2 * 718)
