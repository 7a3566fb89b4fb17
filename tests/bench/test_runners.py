"""All engines count exactly the same, so the benchmark compares the same work. Nothing is timed here."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from tests.bench.broker import Place
from tests.bench.children import RUNNERS, Runner
from tests.bench.data import Traffic
from tests.bench.throughput import in_memory, through_kafka

TRAFFIC = Traffic(events=5_000, accounts=400, groups=20, hours=5, partitions=2)


@pytest.fixture(scope="module")
def place(broker: str) -> Place:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PIVOTWATCH_BROKERS", broker)
        place = Place(TRAFFIC.partitions)
        place.fill(TRAFFIC)
    return place


@pytest.fixture(scope="module")
def expected() -> dict[str, Any]:
    return {"steps": in_memory("steps", TRAFFIC), "count": in_memory("ceiling", TRAFFIC)}


@pytest.mark.parametrize("runner", RUNNERS, ids=[f"{r.module}-{r.job}" for r in RUNNERS])
def test_all_engines_give_the_same_counts(
    runner: Runner, place: Place, expected: dict[str, Any], broker: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not runner.there:
        pytest.skip("the environment of the peers is not there: make peers")
    monkeypatch.setenv("PIVOTWATCH_BROKERS", broker)
    found = through_kafka(runner, place, TRAFFIC)
    assert found["seconds"] > 0
    if runner.job != "nothing":
        assert found["events"] == 5_000
        assert found["digest"] == expected[runner.job]["digest"]


@pytest.mark.slow
def test_arrays_give_the_same_counts(expected: dict[str, Any]) -> None:
    arrays = dataclasses.replace(TRAFFIC, array=50)
    for way, job in (("steps", "steps"), ("ceiling", "count")):
        found = in_memory(way, arrays)
        assert (found["events"], found["digest"]) == (5_000, expected[job]["digest"])
