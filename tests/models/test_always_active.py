"""Accounts that are always active, compared with all others by the time they had to decide."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pivotwatch_models.population.always_active import ALWAYS_ACTIVE_GROUPS, POPULATION, AlwaysActiveHazard
from pivotwatch_models.population.cohorts import ALWAYS_ACTIVE, COHORTS, EXPOSURES
from pivotwatch_models.population.group_heterogeneity import GroupHeterogeneity
from tests.models.world import World

NEW, FIRST, AWAY_6 = 0, 1, 6


def table(**cells):
    """Accounts per cohort of the middle volume band; names are exposures: ``x4=100``."""
    out = np.zeros((3, 2, EXPOSURES), dtype=np.int64)
    for name, value in cells.items():
        out[1, 0, int(name[1:])] = value
    return out.ravel()


def middle(clock, age, risk, events):
    return clock.update(age, risk, events)[1]


def test_a_chance_that_grows_with_the_time_away_is_normal():
    """Each hour, one in a thousand decides to switch; after six hours away, six hours' decisions appear."""
    at_risk, seen, expected = middle(AlwaysActiveHazard(), 50, table(x4=2_000, x6=1_000), table(x4=2, x6=6))
    assert (at_risk, seen) == (2_000, 2)
    assert expected == pytest.approx(2.0)


def test_the_first_activity_since_the_release_counts_from_the_release():
    _, _, expected = middle(AlwaysActiveHazard(), 10, table(x4=1_000, x1=300), table(x1=3))
    assert expected == pytest.approx(1_000 * 3 / (300 * 10))
    _, _, in_the_first_hour = middle(AlwaysActiveHazard(), 0, table(x4=300, x6=1_000), table(x6=3))
    assert in_the_first_hour == pytest.approx(300 * 3 / 1_000)


def test_the_long_term_hazard_of_others_stabilises_that_of_one_bucket():
    clock = AlwaysActiveHazard()
    middle(clock, 50, table(x4=1_000, x6=1_000), table(x6=12))
    _, _, expected = middle(clock, 51, table(x4=100, x6=10), table(x6=0))
    assert expected == pytest.approx(100 * 3 / (10 * 6 + 3 / 0.002))


def test_new_accounts_do_not_count():
    with_new = middle(AlwaysActiveHazard(), 10, table(x4=100, x6=300, x0=5_000), table(x6=3, x0=900))
    assert with_new == middle(AlwaysActiveHazard(), 10, table(x4=100, x6=300), table(x6=3))


def test_when_all_active_accounts_have_the_same_chance_the_expectation_follows():
    """An outage with fallback: a tenth of all active accounts, for any time away."""
    clock = AlwaysActiveHazard()
    for age in range(1, 20):
        clock.update(age, table(x4=1_000, x6=1_000), table(x4=1, x6=6))
    _, seen, expected = middle(clock, 20, table(x4=1_000, x6=1_000), table(x4=100, x6=100))
    assert expected == pytest.approx(seen)


def test_without_enough_others_there_is_no_evidence():
    at_risk, _, _ = middle(AlwaysActiveHazard(), 10, table(x4=3_100, x6=100), table(x4=300, x6=1))
    assert at_risk == 0
    at_risk, _, _ = middle(AlwaysActiveHazard(), 10, table(x4=2_900, x6=100), table(x4=300, x6=1))
    assert at_risk == 2_900


def test_volume_bands_of_a_campaign_are_not_compared_with_each_other():
    alone = middle(AlwaysActiveHazard(), 50, table(x4=2_000, x6=1_000), table(x4=80, x6=6))
    risk, events = table(x4=2_000, x6=1_000), table(x4=80, x6=6)
    risk.reshape(3, 2, EXPOSURES)[2, 0, ALWAYS_ACTIVE] = 3_000
    events.reshape(3, 2, EXPOSURES)[2, 0, ALWAYS_ACTIVE] = 120
    assert middle(AlwaysActiveHazard(), 50, risk, events) == alone


def test_without_accounts_at_risk_nothing_is_expected():
    zeros = np.zeros(COHORTS, dtype=np.int64)
    assert AlwaysActiveHazard().update(5, zeros, zeros) == [(0, 0, 0.0)] * 3


class Crowd(World):
    """A world whose rest has been away for six hours, with always-active accounts in every network."""

    def counts(self, moves=(), requests=10, blocks=()):
        counts = super().counts(moves, requests, blocks)
        for kind in range(2):
            for values in (counts.at_risk[kind], counts.events[kind]):
                column = values.reshape(len(values), 3, 2, EXPOSURES)
                column[:, 1, 0, AWAY_6] = column[:, 0, 0, ALWAYS_ACTIVE]
                column[:, 0, 0, ALWAYS_ACTIVE] = 0
            others = slice(0, 20)
            risk, events = counts.at_risk[kind][others], counts.events[kind][others]
            risk.reshape(20, 3, 2, EXPOSURES)[:, 1, 0, ALWAYS_ACTIVE] += 10
            events.reshape(20, 3, 2, EXPOSURES)[:, 1, 0, ALWAYS_ACTIVE] += self.keyless
        return counts


def test_a_campaign_without_a_key_is_reported_as_the_populations():
    world = Crowd()
    world.keyless = 0
    world.calm(10)
    assert world.reported == []
    world.keyless = 1  # in each of twenty networks one of ten always-active accounts, hour after hour
    for _ in range(5):
        world.step()
    opened = [entity for reason, entity, *_ in world.reported if reason == "opened"]
    assert opened[0] == ALWAYS_ACTIVE_GROUPS[1]
    # From then on always-active accounts are compared with the others, so that its networks stand out too.
    assert set(opened[1:]) <= {("network", name) for name in world.others}
    incident = world.incidents.by_entity[ALWAYS_ACTIVE_GROUPS[1]]
    assert (incident.severity, incident.members) == ("medium", {})
    assert incident.leading.hazard_ratio > 10
    assert incident.leading.theta == world.settings.theta


def test_a_restart_does_not_change_the_result():
    straight, restarted = Crowd(), Crowd()
    for world in (straight, restarted):
        world.keyless = 0
        world.calm(10)
        world.keyless = 1
        world.step()
    restarted.restart()
    for world in (straight, restarted):
        for _ in range(4):
            world.step()
    assert straight.reported == restarted.reported
    for group in ALWAYS_ACTIVE_GROUPS:
        if group in straight.watch.groups:
            assert straight.watch.snapshot_group(group) == restarted.watch.snapshot_group(group)
    assert math.isfinite(straight.watch.groups[POPULATION, ALWAYS_ACTIVE_GROUPS[1][1]].log_r)


class Masked(Crowd):
    """Nine of ten that are always active belong to a campaign over all of `masks`."""

    def __init__(self, masks=30):
        self.masks = [f"mask-{i:02}" for i in range(masks)]
        super().__init__(sets={name: (("network", name),) for name in self.masks}, size=100)
        self.keyless, self.moving = 0, 0

    def counts(self, moves=(), requests=10, blocks=()):
        counts = super().counts(moves, requests, blocks)
        for kind in range(2):
            for name in self.masks:
                i = list(self.sets).index(name)
                risk = counts.at_risk[kind][i].reshape(3, 2, EXPOSURES)
                events = counts.events[kind][i].reshape(3, 2, EXPOSURES)
                risk[:], events[:] = 0, 0
                risk[1, 0, ALWAYS_ACTIVE], events[1, 0, ALWAYS_ACTIVE] = 100, self.moving
        return counts


def test_networks_of_a_campaign_with_most_of_the_traffic_are_alerted():
    """Each network is as fast as all others, because nearly all others belong to the campaign too."""
    world = Masked()
    world.calm(10)
    assert world.reported == []
    world.moving = 4
    for _ in range(12):
        world.step()
    opened = [entity for reason, entity, *_ in world.reported if reason == "opened"]
    assert ALWAYS_ACTIVE_GROUPS[1] in opened
    assert {("network", name) for name in world.masks} <= set(opened)
    assert not {("network", name) for name in world.others} & set(opened)


def test_groups_that_only_stand_out_stay_in_the_comparison(monkeypatch):
    """Many small groups of a campaign may all stand out, and none be named."""
    monkeypatch.setattr(
        GroupHeterogeneity, "is_outlier", lambda _self, kind, _seen, _expected: kind == "network"
    )
    monkeypatch.setattr(GroupHeterogeneity, "surprise", lambda *_: 0.0)
    world = Crowd()
    world.keyless = 0
    world.calm(10)
    world.keyless = 1
    for _ in range(5):
        world.step()
    assert [entity for reason, entity, *_ in world.reported if reason == "opened"] == [
        ALWAYS_ACTIVE_GROUPS[1]
    ]


def test_one_quiet_hour_of_few_others_is_not_their_hazard():
    """Programs that never pause, and few people: the people's events of one hour are mostly chance."""
    clock = AlwaysActiveHazard()
    for age in range(20, 40):
        clock.update(age, table(x4=300, x6=50), table(x6=age % 2))
    _, _, expected = middle(clock, 40, table(x4=300, x6=50), table(x4=1, x6=0))
    assert expected == pytest.approx(300 * 0.5 / (50 * 6), rel=0.25)
    surprised = middle(clock, 41, table(x4=300, x6=50), table(x6=2))
    assert surprised[2] < 1.5  # two instead of a half are not a surge either
