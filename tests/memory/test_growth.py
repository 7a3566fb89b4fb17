"""The state of both operators does not grow over a year while the size of the population stays the same.

Everything turns over: accounts (each with its own payment card) appear, change networks, leave and are
forgotten; models are released, watched and forgotten; one network switches together and raises an alert.
"""

from __future__ import annotations

import gc
import itertools
import statistics
import sys
import types

import orjson
import pytest

import pivotwatch.detection.counting.account_table
import pivotwatch.detection.counting.dictionary
from pivotwatch.contracts.events import format_time
from pivotwatch.contracts.records import Line
from pivotwatch.detection.counting.operator import CountingOperator
from pivotwatch.detection.scoring.operator import ScoringOperator
from pivotwatch_models.settings import DAY_MS, Settings

BEGIN = 1_770_000_000_000 // DAY_MS * DAY_MS
SETTINGS = Settings(bucket="1d", watch="14d")
ACCOUNTS, NETWORKS, LIFE, RELEASE_EACH = 150, 10, 30, 15
CHECKPOINT_EACH = 5
ROUND = 30
"""Days after which the lives of accounts and the releases repeat."""
MOST = 0.01
"""Allowed growth in 210 days, as a fraction."""


def day_of(day):
    """The events of one bucket: two per account, and on every third day in another network."""
    release = day // RELEASE_EACH
    within = day % RELEASE_EACH
    events = []
    for slot in range(ACCOUNTS):
        life, home = (day + slot) // LIFE, slot % NETWORKS
        network = (home + 1) % NETWORKS if (day + slot) % 3 == 0 else home
        moves = release and (
            (home == release % NETWORKS and within >= 4) or slot % 7 == (release + within) % 7
        )
        for turn in range(2):
            events.append(
                {
                    "id": f"{day}-{slot}-{turn}",
                    "ts": BEGIN + day * DAY_MS + turn,
                    "account": f"account-{slot}-{life}",
                    "network": f"AS{network}",
                    "links": {"payment": f"card-{slot}-{life}"},
                    "model": f"m-{release}" if moves else "m-base",
                    "input_tokens": 10,
                }
            )
    late = dict(events[0], id=f"late-{day}", ts=BEGIN + (day - 3) * DAY_MS)
    return [Line(orjson.dumps(events)), Line(orjson.dumps(late)), Line(b"{")]


class Pipeline:
    """Both operators, with a checkpoint at times."""

    def __init__(self):
        self.accounts, self.networks = (
            CountingOperator(SETTINGS, 0, 1, shards=8),
            ScoringOperator(SETTINGS, 1),
        )
        self.alerts = self.releases = 0

    def run(self, day):
        if day and day % RELEASE_EACH == 0:
            entry = {
                "model": f"m-{day // RELEASE_EACH}",
                "released_at": format_time(BEGIN + day * DAY_MS),
            }
            self.networks.control("releases", Line(orjson.dumps(entry), self.releases))
            self.releases += 1
        for output in self.accounts.process(day_of(day)):
            if output.topic == "buckets":
                found = self.networks.process([Line(output.value)])
                self.alerts += sum(one.topic == "alerts" for one in found)
        if day % CHECKPOINT_EACH == 0:
            for step in (self.accounts, self.networks):
                step.meta()
                step.snapshot()


def held(*roots):
    """Bytes of all reachable objects, each counted once, without code."""
    seen, waiting, total = set(), list(roots), 0
    while waiting:
        one = waiting.pop()
        if id(one) in seen or isinstance(one, CODE):
            continue
        seen.add(id(one))
        total += sys.getsizeof(one)
        waiting += gc.get_referents(one)
    return total


CODE = (type, types.ModuleType, types.FunctionType, types.BuiltinFunctionType, types.CodeType)


@pytest.mark.slow
def test_the_state_does_not_grow(monkeypatch):
    # Small limits, so that the state reaches them during the test.
    monkeypatch.setattr(pivotwatch.detection.counting.account_table, "SLACK", 100)
    monkeypatch.setattr(pivotwatch.detection.counting.dictionary, "MAX_REMEMBERED", 300)
    pipeline = Pipeline()
    kept, alerts = [], []
    for day in range(16 * ROUND):
        pipeline.run(day)
        if day % ROUND == ROUND - 1:
            kept.append((held(pipeline.accounts), held(pipeline.networks)))
            alerts.append(pipeline.alerts)
    assert len(pipeline.accounts.accounts.names) < 5 * ACCOUNTS  # rows of forgotten accounts are reused
    assert all(later > earlier for earlier, later in itertools.pairwise(alerts))
    for sizes in zip(*kept, strict=True):
        assert statistics.median(sizes[-4:]) <= statistics.median(sizes[5:9]) * (1 + MOST)
