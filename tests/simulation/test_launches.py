"""Honest launches that differ from the ordinary one, and late campaigns, behave as described."""

from __future__ import annotations

from typing import Any

import numpy as np
import orjson
import pytest

from pivotwatch.simulation import Simulation, generate
from pivotwatch.simulation.adoption import NEVER
from pivotwatch.simulation.catalogue import BESIDE, NEW
from pivotwatch.simulation.rhythm import DAY, HOUR, PROGRAMS, RHYTHMS


def small(name: str, **parameters: Any) -> Simulation:
    return generate(name, **{"seed": 5, "scale": 0.1, "days": 4, "warmup_days": 1, **parameters})


def events(simulation: Simulation) -> list[dict[str, Any]]:
    return [orjson.loads(line) for part in simulation.slices() for line in part.lines]


@pytest.mark.parametrize("name", ["staged-region", "staged-plan"])
def test_a_staged_launch_opens_to_most_accounts_two_days_later(name: str) -> None:
    world = small(name).setup.world
    adopts = world.accounts["adopts"][: world.honest]
    ordinary = generate("null", seed=5, scale=0.1, days=4, warmup_days=1).setup.world.accounts["adopts"]
    waited = adopts - ordinary[: world.honest]
    assert set(np.unique(waited).tolist()) == {0, 2 * DAY}
    assert 0.4 < (waited == 2 * DAY).sum() / (ordinary[: world.honest] != NEVER).sum() < 0.95
    if name == "staged-region":
        first = waited == 0
        homes = world.accounts["network"][: world.honest]
        moves = ordinary[: world.honest] < NEVER
        late = ordinary[: world.honest] >= world.release
        assert not set(homes[first & moves & late]) & set(homes[~first])


def test_a_client_with_a_seventh_of_the_accounts_moves_them_within_two_days() -> None:
    simulation = small("client-default-link")
    world = simulation.setup.world
    users = world.accounts["client"][: world.honest] == 0
    assert users.mean() == pytest.approx(0.15, abs=0.03)
    moves = world.accounts["adopts"][: world.honest][users]
    assert (moves <= simulation.setup.after(54)).all()
    assert {e["links"]["client"] for e in events(simulation)} == {"client-0", "client-1", "client-2"}
    assert not any("client" in e.get("links", {}) for e in events(small("client-default")))


def test_two_releases_have_two_entries_and_two_sets_of_users() -> None:
    simulation = small("two-releases")
    assert [entry["model"] for entry in simulation.releases] == [NEW, BESIDE]
    sent = [e["model"] for e in events(simulation)]
    assert 0.1 < sent.count(BESIDE) / sent.count(NEW) < 0.6


def test_a_retired_model_gets_no_requests() -> None:
    simulation = small("forced-migration")
    end = simulation.setup.after(72)
    after = [e["model"] for e in events(simulation) if e["ts"] >= end]
    assert len(after) > 1000
    assert "m-1" not in after
    assert after.count(NEW) / len(after) > 0.3


def test_a_promotion_moves_a_fifth_of_the_accounts_within_a_day() -> None:
    setup = small("promotion").setup
    adopts = setup.world.accounts["adopts"][: setup.world.honest]
    share = ((adopts >= setup.after(48)) & (adopts < setup.after(72))).mean()
    assert 0.15 < share < 0.35


def test_programs_have_the_rhythms_of_real_clients() -> None:
    rhythms = RHYTHMS[PROGRAMS:]
    active = (rhythms > 0).mean(axis=1)
    assert (np.diff(active) >= 0).all()
    assert active == pytest.approx(
        [0.006, 0.012, 0.024, 0.045, 0.106, 0.234, 0.506, 0.759, 0.954, 1.0], abs=0.05
    )
    world = small("programs").setup.world
    programs = world.accounts[world.honest :]
    assert len(programs) == world.honest
    assert (programs["adopts"] == NEVER).all()


def test_the_keys_of_a_reseller_move_within_an_hour_with_all_of_their_requests() -> None:
    simulation = small("reseller")
    keys = simulation.setup.world.accounts[-20:]
    assert np.ptp(keys["adopts"]) < HOUR
    assert len(set(keys["payment"].tolist())) == 1
    assert (keys["share"] == 1).all()
    assert simulation.truth["rollouts"]


def test_networks_have_paces_of_their_own() -> None:
    def spread(name: str) -> float:
        world = generate(name, seed=3, accounts=20_000, networks=100, days=4).setup.world
        sizes = np.bincount(world.accounts["network"][: world.honest], minlength=100)
        moved = world.accounts["adopts"][: world.honest] < world.release + 4 * DAY
        share = np.bincount(world.accounts["network"][: world.honest], moved, minlength=100) / np.maximum(
            sizes, 1
        )
        ratio = share[sizes > 100] / moved.mean()
        return float(ratio.std())

    assert spread("paces-35") < spread("paces-70")
    assert spread("paces-70") > 0.4


@pytest.mark.parametrize(
    ("name", "networks"), [("late-20", 1), ("late-20-spread", 20), ("late-20-new-spread", 20)]
)
def test_a_late_campaign_moves_on_its_day(name: str, networks: int) -> None:
    setup = generate(name, seed=2).setup
    (campaign,) = setup.campaigns
    accounts = setup.world.accounts[campaign.rows]
    assert len(campaign.entities) == networks
    assert accounts["adopts"].min() >= setup.after(20 * 24)
    assert accounts["adopts"].max() <= setup.after(21 * 24)
    assert (accounts["first"] > setup.after(19 * 24)).all() == ("new" in name)


def test_a_model_without_a_release_is_used_by_everyone_before() -> None:
    simulation = small("no-release", days=7)
    assert simulation.releases == []
    (campaign,) = simulation.truth["campaigns"]
    members = set(campaign["members"])
    begin = simulation.setup.after(5 * 24)
    used = [e for e in events(simulation) if e["model"] == campaign["model"]]
    assert [e for e in used if e["ts"] < begin]
    assert not [e for e in used if e["ts"] < begin and e["account"] in members]
    assert len({e["account"] for e in used} & members) > 0.9 * len(members)
