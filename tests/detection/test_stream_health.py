"""The status reports what is wrong with the stream: clocks, late data, partitions without events."""

from __future__ import annotations

import orjson
import pytest

from pivotwatch.contracts.status import Status, parse_status
from pivotwatch.detection.pipeline import DetectionPipeline
from tests.detection.stream import HOUR_MS, SETTINGS, START, launch

EVENTS, RELEASES = launch()
MINUTE = 60_000


def statuses(events) -> list[Status]:
    outputs = DetectionPipeline(SETTINGS, releases=RELEASES).run(map(orjson.dumps, events))
    return [parse_status(o.value) for o in outputs if o.topic == "status" and o.value]


def test_nothing_is_reported_of_a_healthy_stream() -> None:
    found = statuses(EVENTS)
    assert not any(one.late_groups or one.skewed_networks or one.idle_partitions for one in found)


@pytest.mark.parametrize("minutes", [40, 23 * 60])
def test_a_network_whose_clock_is_ahead_is_named(minutes: int) -> None:
    ahead = [e | {"ts": e["ts"] + minutes * MINUTE} if e["network"] == "AS3" else e for e in EVENTS]
    found = statuses(ahead)[2:-26]
    assert {n.network for one in found for n in one.skewed_networks} == {"AS3"}
    most = max(n.ahead_ms for one in found for n in one.skewed_networks)
    assert minutes <= most / MINUTE < minutes + 60
    assert sum(bool(one.skewed_networks) for one in found) > len(found) / 2


def test_accounts_whose_clock_is_ahead_are_named_wherever_they_are() -> None:
    """A gateway is not a network: its accounts are in all of them."""
    wrong = {"acct-030", "acct-051", "acct-072"}
    found = statuses([e | {"ts": e["ts"] + 6 * HOUR_MS} if e["account"] in wrong else e for e in EVENTS])
    named = [{one.account for one in status.skewed_accounts} for status in found[2:-26]]
    assert set().union(*named) == wrong
    assert sum(bool(one) for one in named) > len(named) * 0.8
    assert all(status.skewed_accounts_total == len(status.skewed_accounts) for status in found)


def test_a_busy_network_that_is_behind_makes_no_other_one_ahead() -> None:
    """Most accounts are behind, but each network counts once."""
    behind = [e | {"ts": e["ts"] - 50 * MINUTE} if e["network"] in ("AS8", "AS2") else e for e in EVENTS]
    assert not any(one.skewed_networks for one in statuses(behind))


def test_a_network_whose_events_arrive_late_is_named_with_the_time_since_when() -> None:
    begin = START + 6 * HOUR_MS
    late = [e for e in EVENTS if e["ts"] >= begin and e["network"] == "AS3"]
    on_time = [e for e in EVENTS if e["ts"] < begin or e["network"] != "AS3"]
    mixed = sorted(
        [(e["ts"], e) for e in on_time] + [(e["ts"] + 150 * MINUTE, e) for e in late],
        key=lambda pair: pair[0],
    )
    found = [one for one in statuses([e for _, e in mixed]) if one.late_groups]
    assert len(found) > 20
    assert {(g.kind, g.name) for one in found for g in one.late_groups} >= {("network", "AS3")}
    since = {g.since.timestamp() * 1000 for one in found for g in one.late_groups if g.name == "AS3"}
    assert len(since) == 1
    assert begin <= since.pop() <= begin + 4 * HOUR_MS
    assert all(g.share >= 0.05 and g.late >= 8 for one in found for g in one.late_groups)
    assert all(one.late_groups_total >= len(one.late_groups) for one in found)
