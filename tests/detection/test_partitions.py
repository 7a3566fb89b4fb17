"""Any number of partitions gives the same alerts of groups."""

from __future__ import annotations

import functools
from random import Random

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pivotwatch.detection.pipeline import DetectionPipeline
from pivotwatch.simulation import generate
from pivotwatch_models.settings import HOUR_MS, Settings
from tests.detection.stream import SETTINGS, START, alerts, event, launch, new_model


def of_groups(outputs):
    """Alerts of groups, without findings of single accounts, which depend on the partition by design."""
    kept = []
    for alert in alerts(outputs):
        if alert["data"]["entity"]["kind"] != "account":
            alert["data"]["evidence"].pop("findings")
            kept.append(alert)
    return kept


def run(lines, settings=SETTINGS, **options):
    return DetectionPipeline(settings, **options).run(lines)


@functools.cache
def alone():
    events, releases = launch()
    return of_groups(run([orjson.dumps(e) for e in events], releases=releases))


@pytest.mark.parametrize("partitions", [2, 7])
def test_the_number_of_partitions_does_not_change_alerts_of_groups(partitions):
    events, releases = launch()
    lines = [orjson.dumps(e) for e in events]
    assert len(alone()) >= 3
    assert of_groups(run(lines, partitions=partitions, releases=releases)) == alone()


@pytest.mark.slow
@settings(max_examples=8)
@given(st.integers(0, 10**6), st.sampled_from([1, 3]))
def test_order_within_the_allowed_lateness_does_not_change_alerts(seed, partitions):
    random = Random(seed)
    events, releases = launch()
    lateness = SETTINGS.allowed_lateness_ms
    shuffled = sorted(events, key=lambda e: e["ts"] + random.randint(0, lateness))
    lines = [orjson.dumps(e) for e in shuffled]
    assert of_groups(run(lines, partitions=partitions, releases=releases)) == alone()


@pytest.mark.slow
@pytest.mark.parametrize("partitions", [2, 7])
def test_an_inferred_release_is_the_same_for_any_number_of_partitions(partitions):
    lines = [orjson.dumps(e) for e in new_model(74)]
    one = of_groups(run(lines))
    assert one
    assert all(alert["data"]["release_inferred"] for alert in one)
    assert of_groups(run(lines, partitions=partitions)) == one


@pytest.mark.slow
def test_a_simulated_campaign_is_the_same_for_any_number_of_partitions():
    simulation = generate("c1", seed=3, scale=0.1, days=2, warmup_days=1)
    lines = [each for hour in simulation.slices() for each in hour.blob.splitlines()]
    runs = [of_groups(run(lines, Settings(), partitions=p, releases=simulation.releases)) for p in (1, 7)]
    assert runs[0]
    assert runs[0] == runs[1]


def test_a_partition_without_accounts_does_not_delay_the_others():
    made = [event(ts=START + h * HOUR_MS) for h in range(5)]
    out = list(run([orjson.dumps(e) for e in made], partitions=7))
    assert [o.topic for o in out].count("status") >= 5


@pytest.mark.parametrize("partitions", [1, 3])
def test_a_release_is_watched_among_more_models_than_a_partition_follows(partitions):
    """Forgotten names of the first hours must not prevent following the new model."""
    events, releases = launch()
    crowd = tuple(event(f"acct-{i:03}", START + i, f"old-{i}") for i in range(90))
    lines = [orjson.dumps(each) for each in (*crowd, *events)]
    found = of_groups(run(lines, partitions=partitions, releases=releases))
    assert any(alert["data"]["entity"]["id"] == "AS8" for alert in found)
