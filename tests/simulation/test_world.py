"""Simulated accounts behave as the scenarios describe."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any

import numpy as np
import orjson
import pytest

from pivotwatch.simulation import Simulation, generate
from pivotwatch.simulation.catalogue import BESIDE, MODELS, NEW
from pivotwatch.simulation.rhythm import DAY, HOUR, RHYTHMS, Rhythm, hour_of_week, next_local


def events(simulation: Simulation) -> list[dict[str, Any]]:
    return [orjson.loads(line) for part in simulation.slices() for line in part.lines]


def adopted(simulation: Simulation, days: float) -> float:
    """Share of the honest accounts that have moved so long after the release."""
    world = simulation.setup.world
    return float((world.accounts["adopts"][: world.honest] < world.release + days * DAY).mean())


@pytest.mark.parametrize(
    ("name", "share"),
    [("c1", 0.5), ("c1-fast", 0.5), ("c2", 0.5), ("c3-50", 0.5), ("c5", 0.5), ("public-13m", 0.47)],
)
def test_a_campaign_sends_the_stated_share(name: str, share: float) -> None:
    simulation = generate(name, seed=2, scale=0.05)
    campaign = simulation.truth["campaigns"][0]
    note = campaign["note"]
    assert note["share_pre"] == 0
    assert note["share_post"] == pytest.approx(share, abs=0.05)
    assert note["n_post"] > 1000
    assert 0 < campaign["exchanges_to_model"] < campaign["exchanges"]


def test_a_campaign_moves_within_its_hours_of_the_release() -> None:
    simulation = generate("c1", seed=2, scale=0.5)
    world = simulation.setup.world
    moves = world.accounts["adopts"][simulation.setup.campaigns[0].rows]
    assert world.release <= moves.min()
    assert moves.max() <= world.release + DAY
    # A third of them in the first quarter: together, but not all at once.
    early = (moves < world.release + 6 * HOUR).mean()
    assert 0.2 < early < 0.6


@pytest.mark.parametrize(("name", "total"), [("public-150k", 150_000), ("public-3m4", 3_400_000)])
def test_public_campaigns_have_their_stated_size(name: str, total: int) -> None:
    campaign = generate(name, seed=1, accounts=500).truth["campaigns"][0]
    assert campaign["exchanges"] == pytest.approx(total, rel=0.02)


def test_the_public_campaigns_have_24000_accounts() -> None:
    setup = generate("public-all", seed=1, accounts=500).setup
    assert sum(len(c.rows) for c in setup.campaigns) == 24_000


def test_the_speed_of_the_population() -> None:
    slow, normal, fast = (generate("null", scale=0.5, pace=pace) for pace in ("slow", "normal", "fast"))
    assert adopted(slow, 1) < adopted(normal, 1) < 0.1
    assert adopted(slow, 7) < adopted(normal, 7) < 0.5
    assert adopted(fast, 1) < 0.5 < adopted(fast, 2)
    assert adopted(generate("null", scale=0.5, pace="surge"), 0.5) > 0.5


def test_an_unhurried_campaign_moves_no_faster_than_a_fast_population() -> None:
    setup = generate("unhurried-fast", seed=2).setup
    world = setup.world
    moves = world.accounts["adopts"][setup.campaigns[0].rows]
    for days in (0.25, 1, 2, 3):
        own = (moves < world.release + days * DAY).mean()
        honest = world.accounts["adopts"][: world.honest]
        movers = honest[honest < world.release + 3 * DAY]
        assert own <= (movers < world.release + days * DAY).mean() + 0.05


def test_a_router_sends_every_second_request_of_a_company() -> None:
    simulation = generate("rollout-router", seed=3, scale=0.3, accounts=300, days=3)
    (network,) = {r["id"] for r in simulation.truth["rollouts"] if r["kind"] == "network"}
    release = simulation.setup.world.release + 2 * DAY
    models = [e["model"] for e in events(simulation) if e["network"] == network and e["ts"] >= release]
    assert len(models) > 200
    assert models.count(NEW) / len(models) == pytest.approx(0.5, abs=0.08)
    assert simulation.truth["campaigns"] == []


def test_only_testers_use_the_model_before_its_release() -> None:
    simulation = generate("null", seed=1, scale=0.5, days=0.1)
    release = simulation.setup.world.release
    users = {e["account"] for e in events(simulation) if e["ts"] < release and e["model"] == NEW}
    assert 0 < len(users) <= 6


def test_extraction_is_uniform_and_honest_traffic_is_not() -> None:
    simulation = generate("c3-50", seed=1, scale=0.3, campaign_rate=96.0, days=3, accounts=500)
    members = set(simulation.truth["campaigns"][0]["members"])
    outputs: dict[bool, list[float]] = defaultdict(list)
    by_hour: dict[bool, Counter[int]] = defaultdict(Counter)
    for event in events(simulation):
        if event["status"] == 200:
            outputs[event["account"] in members].append(np.log(event["output_tokens"]))
            by_hour[event["account"] in members][event["ts"] // HOUR % 24] += 1
    assert np.std(outputs[True]) < 0.2 < np.std(outputs[False])
    assert np.mean(outputs[True]) > np.mean(outputs[False]) + 1
    spread = {crew: max(c.values()) / min(c.values()) for crew, c in by_hour.items()}
    assert spread[True] < 1.2 < spread[False]


def test_a_roll_out_keeps_office_hours_and_moves_nearly_all() -> None:
    simulation = generate("enterprise-rollout", seed=3, scale=0.5, accounts=300)
    truth = simulation.truth
    assert not truth["campaigns"]
    network = truth["rollouts"][0]["id"]
    setup = simulation.setup
    tz = int(setup.world.tz[-1])
    settled = setup.after(36)
    inside, model, total = 0, 0, 0
    for event in events(simulation):
        if event["network"] == network and event["ts"] > settled:
            local = (hour_of_week(event["ts"]) + tz) % 168
            inside += 7 <= local % 24 < 19 and local < 120
            model += event["model"] == NEW
            total += 1
    assert total > 500
    assert model / total > 0.85
    assert inside / total > 0.8


def test_part_of_a_company_does_not_switch() -> None:
    simulation = generate("enterprise-rollout-partial", seed=3, scale=1)
    world = simulation.setup.world
    staff = world.accounts[world.honest :]
    assert 0.35 < (staff["share"] > 0.5).mean() < 0.65


@pytest.mark.parametrize(("name", "named"), [("alias-upgrade", True), ("alias-unnamed", False)])
def test_the_alias_moves_everybody_at_the_release(name: str, named: bool) -> None:
    simulation = generate(name, seed=1, scale=0.05, days=2)
    release = simulation.setup.world.release
    share: dict[bool, Counter[bool]] = {False: Counter(), True: Counter()}
    for event in events(simulation):
        after = event["ts"] >= release
        share[after][event["model"] == NEW] += 1
        if "requested_model" in event:
            assert event["requested_model"] == "m-latest"
            assert named
            assert event["model"] == (NEW if after else MODELS[0])
    assert share[False][True] / share[False].total() < 0.01
    assert share[True][True] / share[True].total() > 0.2


def test_alias_requests_are_marked_unless_the_scenario_omits_it() -> None:
    marked = [e for e in events(generate("alias-upgrade", scale=0.02, days=1)) if "requested_model" in e]
    silent = [e for e in events(generate("alias-unnamed", scale=0.02, days=1)) if "requested_model" in e]
    assert len(marked) > 100
    assert not silent


def test_an_outage_falls_back_to_the_new_model() -> None:
    simulation = generate("outage", seed=1, scale=0.1, days=2)
    begin, end = simulation.setup.after(20), simulation.setup.after(23)
    during = [e for e in events(simulation) if begin <= e["ts"] < end]
    good = [e for e in during if e["status"] == 200]
    assert not [e for e in good if e["model"] == MODELS[0]]
    assert Counter(e["model"] for e in good)[NEW] > 0.3 * len(good)
    assert {e.get("requested_model") for e in good} == {None, MODELS[0], "m-latest"}
    assert len(during) > len(good)


def test_a_withdrawn_model_gets_no_requests_until_it_returns() -> None:
    simulation = generate("withdrawal-return", seed=1, scale=0.1)
    begin, end = simulation.setup.after(36), simulation.setup.after(72)
    times = np.array([e["ts"] for e in events(simulation) if e["model"] == NEW])
    assert (times < begin).sum() > 50
    assert not ((times >= begin) & (times < end)).any()
    assert (times >= end).sum() > 500


def test_a_burst_adopts_the_model_like_everyone() -> None:
    simulation = generate("c6", seed=1, scale=0.5)
    truth = simulation.truth
    assert not truth["campaigns"]
    assert truth["hard_negatives"][0]["type"] == "burst-no-shift"
    requests = simulation.counts.requests
    crew, rest = (row[1:].sum(axis=0) for row in requests)
    assert crew[1] / crew.sum() < 1.5 * rest[1] / rest.sum()


def test_fresh_accounts_share_sign_up_and_payment() -> None:
    simulation = generate("c5", seed=1, scale=0.2, accounts=200, days=2)
    campaign = simulation.truth["campaigns"][0]
    members = set(campaign["members"])
    related = {tuple(entity) for entity in campaign["related"]}
    release = simulation.setup.world.release
    for event in events(simulation):
        if event["account"] in members:
            assert {("payment", event["links"]["payment"]), ("signup", event["links"]["signup"])} <= related
            assert release - 51 * HOUR <= event["account_created"] < release


def test_entities_list_the_members() -> None:
    simulation = generate("mixed", seed=1, scale=0.1, days=2)
    networks: dict[str, set[str]] = defaultdict(set)
    for event in events(simulation):
        networks[event["account"]].add(event["network"])
    for campaign in simulation.truth["campaigns"]:
        homes = {value for kind, value in campaign["entities"] if kind == "network"}
        assert all(networks[member] <= homes for member in campaign["members"])


def test_rhythms_have_mean_one_and_offices_sleep() -> None:
    assert RHYTHMS.mean(axis=1) == pytest.approx(1.0)
    assert RHYTHMS[Rhythm.OFFICE][3] < 0.1 < RHYTHMS[Rhythm.OFFICE][10]


def test_next_local_is_a_working_morning() -> None:
    saturday = 2 * DAY
    monday = next_local(saturday, -5, 9)
    assert (hour_of_week(monday) - 5) % 168 == 9


def test_the_new_models_are_the_last() -> None:
    assert MODELS[-2:] == (NEW, BESIDE)
