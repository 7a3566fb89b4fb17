"""Metrics: the counters of operators, and counts of their outputs."""

from __future__ import annotations

import re

from pivotwatch.contracts.codec import encode
from pivotwatch.contracts.examples import example_alert
from pivotwatch.contracts.records import Output
from pivotwatch.detection.counting.operator import CountingOperator
from pivotwatch.engine.metrics import Metrics
from pivotwatch.engine.types import TP
from pivotwatch.roles.accounts import COUNTERS
from pivotwatch.roles.networks import NetworksMetrics
from pivotwatch_models.settings import HOUR_MS
from tests.detection.stream import (
    ANYBODY,
    SETTINGS,
    START,
    alerts,
    event,
    launch_buckets,
    line,
    networks_step,
)
from tests.engine.rig import Nobody


class Live:
    def __init__(self, operator, offset=0):
        self.operator, self.offset, self.saved_at = operator, offset, 0.0

    @property
    def counters(self):
        return self.operator.counters()


def tp(number):
    return TP("requests", number)


def worker_of(*live, ends=None):
    return Nobody({tp(number): partition for number, partition in enumerate(live)}, ends)


def accounts(worker, **parts):
    return Metrics("accounts", worker, counters=COUNTERS, **parts)


def step(partition=0):
    return CountingOperator(SETTINGS, partition, 2, quorum=ANYBODY)


def value(metrics, sample):
    """The value of a sample, or None when it is not served."""
    found = re.search(rf"^{re.escape(sample)} (\S+)$", metrics.text().decode(), re.MULTILINE)
    return float(found[1]) if found else None


def test_events_late_and_failed_come_from_the_operators():
    one, two = step(), step(1)
    metrics = accounts(worker_of(Live(one), Live(two)))
    assert value(metrics, "pivotwatch_events_total") == 0
    one.process([line(event("a"), event("b"), event("b")), line(event("a", START + 2 * HOUR_MS))])
    two.process([line(event("c"), event("d", status=500))])
    one.process([line(event("late", START)), line(event("a", START + 2 * HOUR_MS))])
    assert value(metrics, "pivotwatch_events_total") == 3 + 1 + 1 + 1 + 1  # the late one, too
    assert value(metrics, "pivotwatch_late_events_total") == 1
    assert value(metrics, "pivotwatch_failed_requests_total") == 1


def test_counting_changes_no_state_and_a_restored_operator_counts_from_zero():
    one = step()
    one.process([line(event("a"), event("b", status=500)), line(event("a", START + 2 * HOUR_MS))])
    assert one.counters() == one.counters()
    meta, shards = one.meta(), one.snapshot(full=True)
    again = step()
    again.restore(meta, shards)
    assert [again.counters()[name] for name in ("events", "late", "failed")] == [0, 0, 0]
    again.process([line(event("a", START + 2 * HOUR_MS), event("a", START + 9 * HOUR_MS))])
    assert again.counters()["events"] == 2
    assert again.counters()["watermark_ms"] == START + 9 * HOUR_MS - SETTINGS.allowed_lateness_ms


def test_counters_never_decrease_when_a_partition_is_revoked():
    one = step()
    worker = worker_of(Live(one))
    metrics = accounts(worker)
    one.process([line(event("a"), event("b"))])
    metrics.dropped(worker.live.values())
    worker.live = {}
    assert value(metrics, "pivotwatch_events_total") == 2
    assert value(metrics, "pivotwatch_assigned_partitions") == 0
    worker.live = {tp(0): Live(step())}
    assert value(metrics, "pivotwatch_events_total") == 2


def test_lag_and_watermark_by_partition():
    one, two = step(), step(1)
    one.process([line(event("a", START))])
    worker = worker_of(Live(one, offset=100), Live(two), ends={tp(0): 150})
    metrics = accounts(worker, clock=lambda: START / 1000 + 60)
    assert value(metrics, 'pivotwatch_lag_records{partition="0"}') == 50
    assert value(metrics, 'pivotwatch_lag_records{partition="1"}') is None
    assert value(metrics, 'pivotwatch_processed_offset{partition="0"}') == 100
    assert value(metrics, 'pivotwatch_watermark_lag_seconds{partition="0"}') == 60 + 300
    assert value(metrics, 'pivotwatch_watermark_lag_seconds{partition="1"}') is None


def test_sent_dead_letters_and_alerts_are_counted():
    one = step()
    metrics = NetworksMetrics(Nobody())
    metrics.sent(one.process([line(event("a")), line({"id": "no account"})]))
    alert = encode(example_alert(severity="high"))
    metrics.sent([Output("alerts", b"k", alert), Output("status", b"0", b"{}")])
    assert value(metrics, 'pivotwatch_dead_letters_total{reason="BadEvent"}') == 1
    assert value(metrics, 'pivotwatch_alerts_total{severity="high",state="open"}') == 1


def test_open_incidents_come_from_the_scoring_operator():
    buckets, releases = launch_buckets()
    networks = networks_step(releases=releases)
    metrics = NetworksMetrics(worker_of(Live(networks)))
    assert value(metrics, "pivotwatch_open_incidents") == 0
    outputs = networks.process(buckets)
    metrics.sent(outputs)
    latest = {alert["data"]["alert_id"]: alert["data"]["state"] for alert in alerts(outputs)}
    still_open = sum(state in ("open", "updated") for state in latest.values())
    assert still_open > 0
    assert value(metrics, "pivotwatch_open_incidents") == still_open
    opened = re.findall(r'alerts_total{severity="\w+",state="open"} (\S+)', metrics.text().decode())
    assert sum(map(float, opened)) == len(latest)
    assert value(accounts(worker_of(Live(step()))), "pivotwatch_open_incidents") is None


def test_no_label_can_hold_an_account_or_a_network():
    one = step()
    metrics = accounts(worker_of(Live(one)))
    metrics.sent(one.process([line(event("acct-1", network="AS9")), line({"account": "acct-2"})]))
    text = metrics.text().decode()
    assert "acct-" not in text
    assert "AS9" not in text
    labels = set(re.findall(r'[{,](\w+)="', text))
    assert labels <= {
        "partition",
        "reason",
        "severity",
        "state",
        "target",
        "outcome",
        "le",
        "role",
        "version",
    }


def test_the_memory_of_the_process_is_served():
    metrics = accounts(worker_of())
    assert value(metrics, "process_resident_memory_bytes") > 1e6
    assert metrics.names()["pivotwatch_checkpoint_seconds"] == "histogram"
    assert metrics.names()["pivotwatch_events_total"] == "counter"
