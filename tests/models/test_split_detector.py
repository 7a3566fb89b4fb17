"""The split of an account's traffic, equal splits within a group, and the shape of a switch."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from river import drift

from pivotwatch_models.accounts.split_blocks import (
    end_blocks,
    split_fields,
)
from pivotwatch_models.base.columns import Columns
from pivotwatch_models.base.counts import Block
from pivotwatch_models.base.log_sums import log_add
from pivotwatch_models.groups.adwin import Corroboration
from pivotwatch_models.groups.group_state import GroupState
from pivotwatch_models.groups.hour_of_day import HourOfDay
from pivotwatch_models.groups.move_shape import MoveShape
from pivotwatch_models.groups.pace_detector import GroupEDetector
from pivotwatch_models.groups.split_detector import (
    WINDOWS,
    SplitEDetector,
    normal_limits,
)
from pivotwatch_models.groups.split_reference import GroupSplit, SplitReference
from pivotwatch_models.incidents.pattern import Pattern, pattern
from pivotwatch_models.method import DECISION, STATE
from pivotwatch_models.settings import DAY_MS, HOUR_MS
from tests.models.test_pace_detector import estimator_checks, passes
from tests.models.world import B, World

FIRST_BLOCK, SECOND_BLOCK = STATE.split_blocks.first_block, STATE.split_blocks.second_block
ALTERNATIVE, THETA = STATE.split.alternative, STATE.split.theta
PACE_WEIGHT, SPLIT_WEIGHT = DECISION.weights.pace, DECISION.weights.split

A = ("network", "A")


# The blocks of an account


def by_hand(buckets):
    """(second, steady, split) at the end of each block, by plain arithmetic; None when no block ends."""
    reported, first, n, k = [], None, 0, 0
    judged = False
    for requests, chosen in buckets:
        reported.append(None)
        if judged:
            continue
        n, k = n + requests, k + chosen
        if n < (FIRST_BLOCK if first is None else SECOND_BLOCK):
            continue
        split = min(9, int(10 * k / n + 1e-9))
        if first is None:
            reported[-1], first = (False, False, split), split
        else:
            reported[-1], judged = (True, abs(first - split) <= STATE.split_blocks.steady_within, split), True
        n = k = 0
    return reported


requests = st.integers(1, 300).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n)))


@given(st.lists(requests, max_size=30))
def test_blocks_equal_those_counted_by_hand(buckets):
    columns, row = Columns(split_fields()), np.array([0])
    columns.reserve(1)
    reported = []
    for n, k in buckets:
        ended = end_blocks(columns, row, np.array([n]), np.array([k]), np.array([True]))
        rows = list(zip(ended.second.tolist(), ended.steady.tolist(), ended.split.tolist(), strict=True))
        reported.append(rows[0] if rows else None)
    assert reported == by_hand(buckets)


def test_requests_before_the_first_use_are_in_no_block():
    columns, rows = Columns(split_fields()), np.array([0, 1])
    columns.reserve(2)
    ended = end_blocks(columns, rows, np.array([50, 50]), np.array([0, 25]), np.array([False, True]))
    assert ended.place.tolist() == [1]
    assert columns["block_n"][:2].tolist() == columns["block_k"][:2].tolist() == [0, 0]


# The e-detector


def test_it_passes_every_estimator_check_that_adwin_passes(monkeypatch):
    ours = estimator_checks(SplitEDetector(), monkeypatch)
    of_adwin = estimator_checks(drift.ADWIN(), monkeypatch)
    for name in sorted(name for name, check in of_adwin.items() if passes(check, drift.ADWIN())):
        ours[name](SplitEDetector())


def bucket(judged, seen, p):
    return judged, [seen] * len(WINDOWS), [p] * len(WINDOWS)


@pytest.mark.parametrize("p", [0.02, 0.3, 0.84])
@pytest.mark.parametrize("judged", [1, 5])
def test_the_mean_of_the_factor_is_one_at_the_boundary_and_less_below(p, judged):
    """E[L] summed over all outcomes, from single updates of the detector itself; R starts at 0."""
    means = []
    for truth in (p, 0.7 * p):
        mean = 0.0
        for seen in range(judged + 1):
            detector = SplitEDetector()
            detector.update(bucket(judged, seen, p))
            chance = math.comb(judged, seen) * truth**seen * (1 - truth) ** (judged - seen)
            mean += chance * math.exp(detector.log_r)
        means.append(mean)
    assert means[0] == pytest.approx(1.0, rel=1e-9)
    assert means[1] < 1.0


@pytest.mark.parametrize("p", [ALTERNATIVE, 1.0, 1.7])
def test_without_unusual_splits_there_is_no_evidence(p):
    detector = SplitEDetector()
    for _ in range(10):
        detector.update(bucket(20, 20, p))
    assert detector.log_r == pytest.approx(math.log(10))


def test_too_few_blocks_give_no_evidence():
    assert normal_limits(29, [0] * len(WINDOWS)) == [1.0] * len(WINDOWS)
    assert max(normal_limits(30, [0] * len(WINDOWS))) < 1.0


def run_with_estimates(rng, factor, buckets=30):
    """A group whose members are as often steady in the windows as ``factor`` says; p_w is estimated.

    Both the population's and the group's splits are drawn; two thirds of those who split are at 0.5.
    """
    share = rng.uniform(0.02, 0.3)
    population, own = SplitReference(), GroupSplit()

    rest, own_blocks = ([block("x", group, split) for split in range(10)] for group in (B, A))

    def draw(size, chance, blocks):
        inside = rng.random(size) < chance
        return [blocks[split] for split in np.where(inside, rng.choice([5, 5, 3], size), 9).tolist()]

    for b in range(buckets):
        blocks = draw(20, share, rest) + draw(rng.poisson(1), min(1.0, factor * share), own_blocks)
        population.update(b, blocks, {A: own}, set())
    return own.detector.log_r


@pytest.mark.slow
@pytest.mark.parametrize("factor", [1.0, THETA])
def test_false_alerts_keep_within_villes_bound_with_an_estimated_population(factor):
    """P(R_t ≥ A) ≤ t/A for like members, and for members who split twice as often as everyone."""
    rng, a, runs = np.random.default_rng(5), 300.0, 600
    over = sum(run_with_estimates(rng, factor) >= math.log(a) for _ in range(runs))
    bound = 30 / a
    assert over / runs <= bound + 3 * math.sqrt(bound * (1 - bound) / runs)


def test_a_group_with_equal_splits_five_times_as_often_is_found():
    rng = np.random.default_rng(5)
    found = [run_with_estimates(rng, 5.0, buckets=60) for _ in range(40)]
    assert sum(log_r > 6 for log_r in found) >= 20


@settings(max_examples=50)
@given(
    st.lists(
        st.tuples(st.integers(0, 9), st.floats(0.01, 1.5)).flatmap(
            lambda x: st.tuples(st.just(x[0]), st.integers(0, x[0]), st.just(x[1]))
        ),
        max_size=20,
    ),
    st.integers(0, 20),
)
def test_a_restored_detector_continues_exactly(series, cut):
    one = SplitEDetector()
    for i, row in enumerate(series):
        if i == cut:
            one = SplitEDetector.restored(json.loads(json.dumps(one.snapshot())))
        one.update(bucket(*row))
    other = SplitEDetector()
    for row in series:
        other.update(bucket(*row))
    assert one.snapshot() == other.snapshot()
    assert (one.log_r, one.drift_detected) == (other.log_r, other.drift_detected)


def test_the_weights_of_the_evidence_add_up_to_one():
    """Otherwise the mean of the two would not keep E[R_t] ≤ t."""
    assert PACE_WEIGHT + SPLIT_WEIGHT == 1.0
    both = log_add(math.log(PACE_WEIGHT * 7), math.log(SPLIT_WEIGHT * 7))
    assert math.exp(both) == pytest.approx(7)


# In the watch of a release


def block(account, group=A, split=5, second=True, sizes=(100, 100)):
    return Block(account, (group,), second, True, split, sizes)


def ordinary_world():
    """Two hundred accounts of another network were judged; nearly all send all of their traffic."""
    world = World(sets={"a": (A,), "b": (B,)})
    world.calm(5)
    world.step(blocks=[block(f"b-{i}", B, split=5 if i % 20 == 0 else 9) for i in range(200)])
    return world


def test_a_slow_group_is_found_by_its_split_alone():
    world = ordinary_world()
    reported = [world.step(blocks=[block(f"x-{b}-{i}") for i in range(6)]) for b in range(4)]
    reasons = [(reason, entity) for step in reported for reason, entity, *_ in step]
    assert reasons[0] == ("opened", A)
    incident = world.incident(A)
    assert incident.leading.log_split > 14.7 > (incident.leading.log_pace or 0)
    assert {name.split("-")[0] for name in incident.members} == {"x"}
    assert incident.pattern.split == "extraction"
    assert incident.onset >= 106  # not when the release began


def test_its_incident_is_resolved_after_a_quiet_day_and_needs_new_accounts_to_open_again():
    world = ordinary_world()
    for b in range(4):
        world.step(blocks=[block(f"x-{b}-{i}") for i in range(6)])
    assert ("quiet", A) in [(reason, entity) for reason, entity, *_ in world.calm(26)]
    assert world.calm(30) == []
    again = [world.step(blocks=[block(f"y-{b}-{i}") for i in range(6)]) for b in range(4)]
    assert [reason for step in again for reason, *_ in step][:1] == ["reopened"]


def test_a_network_that_switches_with_all_its_traffic_stays_silent():
    world = ordinary_world()
    reported = [world.step(blocks=[block(f"x-{b}-{i}", split=9) for i in range(20)]) for b in range(5)]
    assert not any(reported)


def test_when_the_population_splits_its_traffic_the_detector_stays_silent():
    world = World(sets={"a": (A,), "b": (B,)})
    world.calm(5)
    world.step(blocks=[block(f"b-{i}", B, split=5 if i % 2 else 9) for i in range(200)])
    assert not any(world.step(blocks=[block(f"x-{b}-{i}") for i in range(20)]) for b in range(5))


def test_groups_that_stand_out_do_not_count_in_the_normal_split():
    world = ordinary_world()
    for b in range(10):
        world.step(blocks=[block(f"x-{b}-{i}") for i in range(20)])
    judged, *_ = world.watch.watched.splits.tally
    counted, *_ = world.watch.groups[A].split.counted
    assert judged == 200 + counted
    assert counted == 20  # the first bucket; from then on the group was flagged


def test_the_watch_continues_exactly_after_a_restart():
    def run(restart):
        world = ordinary_world()
        for b in range(6):
            if restart:
                world.restart()
            rows = [block(f"x-{b}-{i}", second=s) for i in range(3) for s in (False, True)]
            world.step(blocks=rows)
        return world.reported, world.watch.snapshot(), world.incident(A).snapshot()

    assert json.dumps(run(restart=True)) == json.dumps(run(restart=False))


# The shape of a switch


def shape(split, spread, count=20):
    made = MoveShape()
    for i in range(count):
        size = 100 + (spread if i % 2 else -spread)
        made.add(block(f"s-{i}", split=split, second=False, sizes=(size, size)))
    return made


def test_signs_of_a_roll_out_and_of_extraction():
    everyone = shape(9, 16, count=70)
    everyone.fold(shape(5, 16, count=30))
    company = pattern(shape(9, 15), everyone, quiet_share=0.03)
    campaign = pattern(shape(5, 2), everyone, quiet_share=0.3)
    assert (company.split, company.sizes, company.hours, company.name) == ("roll-out",) * 4
    assert (campaign.split, campaign.sizes, campaign.hours, campaign.name) == ("extraction",) * 4
    assert campaign.size_ratio == pytest.approx(2 / 16, rel=0.05)


@pytest.mark.parametrize(
    ("known", "name"),
    [
        ({}, None),
        ({"part": 0.9, "whole": 0.1, "others_part": 0.3}, None),  # one sign alone
        ({"part": 0.9, "whole": 0.1, "others_part": 0.7, "size_ratio": 0.1}, None),  # as others split
        ({"size_ratio": 0.9, "quiet_share": 0.05}, None),  # no roll-out without its split
        ({"part": 0.1, "whole": 0.9, "others_part": 0.3, "size_ratio": 0.1, "quiet_share": 0.05}, None),
        ({"size_ratio": 0.1, "quiet_share": 0.3}, "extraction"),
        ({"part": 0.1, "whole": 0.8, "others_part": 0.3, "size_ratio": 0.8}, "roll-out"),
    ],
)
def test_a_pattern_needs_two_signs_and_none_against_it(known, name):
    assert Pattern(20, **known).name == name


def test_few_members_have_no_split_and_fields_without_spread_no_sizes():
    everyone = shape(9, 0, count=100)
    assert pattern(shape(5, 0, count=7), everyone, None) == Pattern(7)
    assert pattern(shape(5, 0, count=8), everyone, None).size_ratio is None


def test_the_hours_of_a_day():
    rig, clock, daily = HourOfDay(), HourOfDay(), HourOfDay()
    for hour in range(96):
        rig.add(hour * HOUR_MS, HOUR_MS, 30 if 9 <= hour % 24 < 17 else 0)
        clock.add(hour * HOUR_MS, HOUR_MS, 10)
        daily.add(hour * DAY_MS, DAY_MS, 1000)
    assert rig.quiet_share() == 0
    assert clock.quiet_share() == pytest.approx(1 / 3)
    assert daily.quiet_share() is None
    early = HourOfDay()
    for hour in range(40):
        early.add(hour * HOUR_MS, HOUR_MS, 10)
    assert early.quiet_share() is None  # not two days yet


def test_old_hours_fade_and_survive_a_restart():
    clock = HourOfDay()
    for hour in range(24 * 28):
        clock.add(hour * HOUR_MS, HOUR_MS, 64 if hour < 24 * 14 else 1)
        clock = HourOfDay.restored(json.loads(json.dumps(clock.snapshot())))
    _, first, last, requests = clock.snapshot()
    assert (first, last) == (0, 24 * 28 - 1)
    assert requests == [64 * 14 // 2 + 14] * 24


def test_false_alerts_of_both_kinds_of_evidence_together_keep_within_villes_bound():
    """Both nulls at their boundary, and the more accounts move in a bucket, the more are alike in it."""
    rng, a, runs, buckets, p = np.random.default_rng(8), 400.0, 500, 30, 0.3
    over = 0
    for _ in range(runs):
        state = GroupState(GroupEDetector(head=10.0), Corroboration(), [0, 0])
        greatest = -math.inf
        for _ in range(buckets):
            moved = int(rng.poisson(3 * 0.4))
            state.detector.update((moved, 0.4, moved, 0.4))
            alike = int((rng.random(4) < p).sum())
            state.split.detector.update(bucket(4, alike, p))
            greatest = max(greatest, state.log_r)
        over += greatest >= math.log(a)
    bound = (10.0 + buckets) / a
    assert over / runs <= bound + 3 * math.sqrt(bound * (1 - bound) / runs)
