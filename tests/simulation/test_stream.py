"""The stream of every scenario: format, order, totals, reproducibility."""

from __future__ import annotations

import hashlib
from collections import Counter
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pivotwatch.simulation import SCENARIOS, Simulation, generate

HOUR = 3_600_000


def digest(simulation: Simulation) -> str:
    sha = hashlib.sha256()
    for part in simulation.slices():
        sha.update(part.blob)
    return sha.hexdigest()


def events(simulation: Simulation) -> list[dict[str, Any]]:
    return [orjson.loads(line) for part in simulation.slices() for line in part.lines]


def small(name: str, **parameters: Any) -> Simulation:
    return generate(name, **{"seed": 5, "scale": 0.02, "days": 2, "warmup_days": 1, **parameters})


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_scenario_runs(name: str) -> None:
    # The public campaigns are large: use a two-hundredth of them.
    simulation = small(name, scale=0.005 if name.startswith("public") else 0.02)
    truth = simulation.truth
    assert truth["name"] == name
    assert truth["expectation"] == SCENARIOS[name].expectation
    assert truth["releases"] == simulation.releases
    orjson.dumps(truth)
    last, ids, seen, exchanges, failed = 0, set[str](), set[bytes](), Counter[str](), 0
    for part in simulation.slices():
        assert len(part) == len(part.lines) == len(part.accounts) == len(part.delivery)
        for line, key, delivery in zip(part.lines, part.accounts, part.delivery.tolist(), strict=True):
            event = orjson.loads(line)
            assert event["account"].encode() == key
            assert last <= delivery
            assert part.begin <= delivery
            assert event["ts"] <= delivery
            assert event["account_created"] <= event["ts"]
            last = delivery
            ids.add(event["id"])
            seen.add(key)
            if event["status"] >= 400:
                failed += 1
            else:
                exchanges[event["model"]] += 1
    totals = simulation.totals
    assert totals["events"] == len(ids) > 0
    assert totals["failed"] == failed
    assert totals["accounts"] == len(seen)
    assert totals["exchanges"] == exchanges


@pytest.mark.parametrize("name", ["c5", "mixed"])
def test_lines_equal_the_output_of_a_json_encoder(name: str) -> None:
    for part in small(name).slices():
        for line in part.lines:
            assert orjson.dumps(orjson.loads(line)) == line


@settings(max_examples=8)
@given(
    seed=st.integers(0, 2**32 - 1),
    name=st.sampled_from(sorted(SCENARIOS.keys() - {"public-13m", "public-all"})),
)
def test_the_same_seed_gives_the_same_bytes(seed: int, name: str) -> None:
    one = small(name, seed=seed, scale=0.01)
    again = small(name, seed=seed, scale=0.01)
    assert digest(one) == digest(again) == digest(one)
    assert one.truth == again.truth


def test_another_seed_gives_another_stream() -> None:
    assert digest(small("c1")) != digest(small("c1", seed=6))


def test_honest_traffic_is_the_same_without_the_campaign() -> None:
    def without_id(event: dict[str, Any]) -> dict[str, Any]:
        # The id counts all events of the hour, and C3 moves honest accounts to another network.
        return {name: value for name, value in event.items() if name not in ("id", "network")}

    alone = [without_id(e) for e in events(small("null"))]
    for name in ("hydra-keyless", "c3-25"):
        simulation = small(name)
        members = {m for c in simulation.truth["campaigns"] for m in c["members"]}
        assert len(members) > 10
        assert [without_id(e) for e in events(simulation) if e["account"] not in members] == alone


def test_late_events_arrive_late_and_none_is_lost() -> None:
    simulation = small("delayed-delivery")
    late = simulation.truth["hard_negatives"][0]["id"]
    lags = Counter[bool]()
    for part in simulation.slices():
        for line, delivery in zip(part.lines, part.delivery.tolist(), strict=True):
            event = orjson.loads(line)
            lag = delivery - event["ts"]
            assert lag == 0 or (event["network"] == late and 3 * HOUR <= lag <= 6 * HOUR)
            lags[lag > 0] += 1
    assert lags[True] > 50
    assert lags.total() == generate("null", seed=5, scale=0.02, days=2, warmup_days=1).totals["events"]


def test_the_counts_are_the_same_before_and_after_a_run() -> None:
    before, after = small("c1"), small("c1")
    for _ in after.slices():
        pass
    assert before.truth == after.truth


def test_scale_and_sizes() -> None:
    assert small("null", accounts=300, networks=9).truth["totals"]["networks"] <= 9
    wide = generate("null", seed=1, scale=2, days=0.1, warmup_days=0.1)
    assert wide.setup.world.honest == 12_000
    campaign = generate("c1", seed=1, scale=0.1, days=1, campaign_accounts=77).truth["campaigns"][0]
    assert len(campaign["members"]) == 77


@pytest.mark.parametrize(
    "wrong", [{"scale": 0}, {"seed": -1}, {"days": -1}, {"pace": "sudden"}, {"campaign_share": 1.5}]
)
def test_wrong_parameters_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        generate("null", **wrong)


def test_an_unknown_scenario_is_refused() -> None:
    with pytest.raises(ValueError, match="no scenario c9"):
        generate("c9")
