"""The events of the benchmark have the stated properties."""

from __future__ import annotations

import dataclasses
import re

import orjson

from pivotwatch.contracts.events import check_event
from pivotwatch.detection.dealer import Dealer
from pivotwatch_models.settings import HOUR_MS
from tests.bench.children import ROOT
from tests.bench.data import BEGIN, Traffic

SMALL = Traffic(events=3_000, accounts=200, groups=10, watched=3, hours=6, partitions=3)


def dealt(traffic: Traffic) -> list[list[bytes]]:
    out: list[list[bytes]] = [[] for _ in range(traffic.partitions)]
    for part in traffic.slices():
        for values, messages in zip(out, part, strict=True):
            values += [m.value for m in messages]
    return out


def test_events_are_valid_and_have_the_parameters() -> None:
    events = [check_event(orjson.loads(value)) for values in dealt(SMALL) for value in values]
    assert len(events) == len({e.id for e in events}) == 3_000
    assert 180 < len({e.account for e in events}) <= 200
    assert len({e.network for e in events}) == 10
    assert {e.model for e in events} == {"m-1", "m-2", "m-3", "m-4"}
    moments = [int(e.ts) for e in events]
    assert min(moments) == BEGIN
    assert max(moments) < BEGIN + 6 * HOUR_MS


def test_partitions_are_in_order_and_assigned_as_by_kafka() -> None:
    parts = dealt(SMALL)
    for number, values in enumerate(parts):
        moments = [orjson.loads(value)["ts"] for value in values]
        assert moments == sorted(moments)
        lines = Dealer(3).deal(list(enumerate(values)))
        assert [len(one) for one in lines] == [len(values) if p == number else 0 for p in range(3)]


def test_events_are_reproducible_and_the_same_in_arrays() -> None:
    single = dealt(SMALL)
    assert dealt(SMALL) == single
    arrays = dealt(dataclasses.replace(SMALL, array=7))
    assert [[e for v in values for e in orjson.loads(v)] for values in arrays] == [
        [orjson.loads(v) for v in values] for values in single
    ]


def test_other_engines_use_the_same_versions_of_libraries() -> None:
    """With another numpy, the operator would be another one."""
    pin = re.compile(r"^([a-z-]+)(?:\[\w+\])?==([\w.]+)", re.M)
    ours = dict(pin.findall((ROOT / "requirements.txt").read_text()))
    asked = dict(pin.findall((ROOT / "tests" / "bench" / "peers.in").read_text()))
    locked = dict(pin.findall((ROOT / "tests" / "bench" / "peers.txt").read_text()))
    assert asked.items() <= locked.items()
    shared = {"msgspec", "numpy", "orjson", "river"}
    assert {name: asked[name] for name in shared} == {name: ours[name] for name in shared}
