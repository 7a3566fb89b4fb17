"""Accounts never seen before are compared with each other."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pivotwatch_models.population.cohorts import ALWAYS_ACTIVE, NEWCOMER_COHORTS
from pivotwatch_models.population.newcomers import NewcomerHazard
from tests.models.world import A, World


def expected(clock, risk, own_risk=0, own_events=0):
    (value,) = clock.expected(np.array([risk]), np.array([own_risk]), np.array([own_events]))
    return value


def test_without_data_every_newcomer_is_expected_to_use_the_model():
    assert expected(NewcomerHazard(), 30) == 30


@given(st.integers(0, 500), st.integers(0, 500), st.integers(0, 50))
def test_a_group_does_not_learn_from_itself(risk, more, now):
    events = min(risk, more)
    assert expected(NewcomerHazard(risk, events), now, risk, events) == now


def test_the_expectation_comes_from_the_other_newcomers():
    clock = NewcomerHazard()
    clock.update(1_000, 250)
    clock.update(50, 50)
    assert expected(clock, 40, own_risk=50, own_events=50) == pytest.approx(40 * 252 / 1_002)


class Crowd(World):
    """Newcomers in network A and in twenty other networks; a share of them starts with the model."""

    newcomers, of_others, share = 0, 0, 0.6

    def counts(self, moves=(), requests=10, blocks=()):
        counts = super().counts(moves, requests, blocks)
        new = int(np.flatnonzero(NEWCOMER_COHORTS)[0])
        for kind in range(2):
            risk, events = counts.at_risk[kind], counts.events[kind]
            risk[:20, new] = self.of_others
            events[:20, new] = round(self.share * self.of_others)
            risk[20, new] = events[20, new] = self.newcomers
        return counts


@pytest.mark.parametrize(("share", "reported"), [(0.6, 0), (0.05, 1)])
def test_a_class_of_newcomers_is_remarkable_only_where_others_begin_otherwise(share, reported):
    world = Crowd()
    world.of_others, world.share = 20, share
    world.calm(10)
    world.newcomers = 25
    for _ in range(3):
        world.step()
    assert sum(entity == A for reason, entity, *_ in world.reported if reason == "opened") == reported


def test_newcomers_do_not_change_the_hazard_of_others():
    quiet, crowded = Crowd(), Crowd()
    crowded.of_others = 20
    for world in (quiet, crowded):
        world.calm(10)
        world.burst(accounts=range(4))
    of = [world.watch.groups[A].detector.expected for world in (quiet, crowded)]
    assert of[0] == pytest.approx(of[1], rel=1e-3)
    assert quiet.watch.population.hazards[0].pace[ALWAYS_ACTIVE] == pytest.approx(
        crowded.watch.population.hazards[0].pace[ALWAYS_ACTIVE], rel=1e-3
    )
