"""The series and the profile in the alerts of a small launch."""

from __future__ import annotations

import functools

import orjson

from pivotwatch.contracts.alert_evidence import POINTS_SHOWN
from pivotwatch.contracts.alerts import parse_alert
from pivotwatch.detection.pipeline import DetectionPipeline
from pivotwatch.simulation import generate
from pivotwatch_models.settings import Settings
from tests.detection.stream import MODEL, SETTINGS, launch


@functools.cache
def alerts(partitions=1):
    events, releases = launch()
    lines = [orjson.dumps(event | {"output_tokens": 20, "tools": 1}) for event in events]
    outputs = DetectionPipeline(SETTINGS, partitions=partitions, releases=releases).run(lines)
    return [parse_alert(o.value) for o in outputs if o.topic == "alerts"]


def of_network():
    return [a.data for a in alerts() if a.data.entity.kind != "account"]


def test_the_series_runs_from_before_the_onset_to_the_bucket_of_the_alert():
    for data in of_network():
        series = data.evidence.series
        width = series.bucket_ms / 1000
        assert 0 < len(series.at) <= POINTS_SHOWN
        assert series.start <= data.onset
        assert (data.detected_at - series.start).total_seconds() == series.until[-1] * width
        assert all(low <= high for low, high in zip(series.low, series.high, strict=True))
        since = (data.onset - series.start).total_seconds() / width
        seen = sum(n for at, n in zip(series.at, series.seen, strict=True) if at >= since)
        counted = data.evidence.first_uses_seen + data.evidence.switches_seen
        assert data.state != "open" or seen >= counted > 0


def test_the_profile_has_the_exchanges_of_the_alert():
    for data in of_network():
        profile = data.evidence.profile
        assert len(data.groups) > 1 or profile.to_model.exchanges == data.exchanges_to_model
        assert (profile.to_model.input_tokens, profile.to_model.output_tokens) == (7, 20)
        assert profile.to_model.tools_share == profile.population.tools_share == 1


def test_a_lone_account_has_neither():
    for alert in alerts():
        if alert.data.entity.kind == "account":
            assert alert.data.evidence.series is alert.data.evidence.profile is None


def test_the_number_of_partitions_does_not_change_it():
    def told(partitions):
        return [a.data for a in alerts(partitions) if a.data.entity.kind != "account"]

    assert MODEL in {data.model for data in told(1)}
    assert [(d.evidence.series, d.evidence.profile) for d in told(1)] == [
        (d.evidence.series, d.evidence.profile) for d in told(3)
    ]


def test_the_population_is_counted_over_the_same_time():
    """The excursion may begin before the onset, which belongs to the event type with the larger W."""
    simulation = generate("c1", seed=1, scale=0.1, days=1.0)
    lines = (line for part in simulation.slices() for line in part.lines)
    outputs = list(DetectionPipeline(Settings(), releases=simulation.releases).run(lines))
    told = [parse_alert(o.value).data.evidence for o in outputs if o.topic == "alerts"]
    assert told
    assert all(0 <= evidence.population_share < evidence.observed_share for evidence in told)
