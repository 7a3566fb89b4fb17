"""The scenarios of launches that differ from the ordinary one, without and with a campaign."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable

from pivotwatch.simulation import campaigns, launches, programs
from pivotwatch.simulation.campaigns import run_plan
from pivotwatch.simulation.scenario import Scenario
from pivotwatch.simulation.scenario_setup import Setup

_Build = Callable[[Setup], None]
_AT_THE_END = dataclasses.replace(campaigns.C1, starts=launches.RETIRED_HOURS)
_beside_people = functools.partial(Scenario, accounts=1_000, mean_rate=12.0)


def _with_campaign(build: _Build, plan: campaigns.CampaignPlan = campaigns.C1) -> _Build:
    """A function that builds a launch and adds a campaign."""

    def both(setup: Setup) -> None:
        build(setup)
        run_plan(setup, plan)

    return both


_CLIENT_NAMED = functools.partial(launches.update_client, named=True)
_REAL = functools.partial(programs.add_programs, ratio=1.0)
_EVEN = functools.partial(programs.add_programs, ratio=0.4, even=True)
_ADOPTING = functools.partial(programs.add_programs, ratio=1.0, adopting=0.3)

LAUNCH_SCENARIOS = [
    *(
        Scenario(
            f"staged-region{'' if pace == 'normal' else '-' + pace}",
            f"access by region, {pace} population",
            "A fifth of the networks may use the new model at once, the others two days later.",
            "silent",
            launches.stage_by_region,
            pace=pace,
        )
        for pace in ("normal", "fast")
    ),
    Scenario(
        "staged-plan",
        "access by plan",
        "Accounts of the larger plans may use the new model at once, the others two days later.",
        "silent",
        launches.stage_by_plan,
    ),
    Scenario(
        "staged-plan-c1",
        "access by plan, and a campaign",
        "As staged-plan, with the campaign of c1.",
        "alert",
        _with_campaign(launches.stage_by_plan),
    ),
    Scenario(
        "client-default",
        "a client changes its default model",
        "A new version of a client with 15 % of the accounts, among them twelve whole companies, changes its "
        "default model; its users get it within two days.",
        "silent",
        launches.update_client,
    ),
    Scenario(
        "client-default-link",
        "a client changes its default model, and events name the client",
        "As client-default; the links of an event contain the client.",
        "silent",
        _CLIENT_NAMED,
    ),
    Scenario(
        "two-releases",
        "two releases within hours",
        "A second model is released three hours after the first one; half of the adopters use both.",
        "silent",
        launches.release_two,
    ),
    Scenario(
        "two-releases-c1",
        "two releases within hours, and a campaign",
        "As two-releases, with the campaign of c1.",
        "alert",
        _with_campaign(launches.release_two),
    ),
    Scenario(
        "forced-migration",
        "an old model ends",
        "The most used old model ends three days after the release, and everyone who uses it has to move.",
        "silent",
        launches.retire,
    ),
    Scenario(
        "forced-migration-c1",
        "a campaign begins when an old model ends",
        "As forced-migration, with the campaign of c1 from the end of the old model on.",
        "alert",
        _with_campaign(launches.retire, _AT_THE_END),
    ),
    Scenario(
        "promotion",
        "the new model costs nothing for a day",
        "For a day the new model costs nothing: a fifth of the accounts moves to it, and new ones sign up.",
        "silent",
        launches.promote,
    ),
    Scenario(
        "reseller",
        "the keys of a reseller",
        "20 keys of one reseller move all of their requests within an hour. It is honest, but coordinated.",
        "rollout",
        programs.resell,
    ),
    _beside_people(
        "programs",
        "programs beside people",
        "As many programs as people, with the rhythms of real clients, in networks of their own, pinned to "
        "the old model.",
        "silent",
        _REAL,
    ),
    _beside_people(
        "programs-even",
        "programs that never pause beside people",
        "Two programs for five people, equally active in every hour, in networks of their own, pinned to the "
        "old model.",
        "silent",
        _EVEN,
    ),
    _beside_people(
        "programs-adopting",
        "programs beside people, and a third of them moves",
        "As programs, but the programs of three networks in ten move, each network within half a day.",
        "rollout",
        _ADOPTING,
    ),
    _beside_people(
        "programs-c1",
        "a campaign beside programs and people",
        "As programs, with the campaign of c1.",
        "alert",
        _with_campaign(_REAL),
    ),
    *(
        Scenario(
            f"paces-{percent}",
            f"networks with paces of their own, {percent} % apart",
            f"Every network has a hazard of its own, with a standard deviation of {percent} %.",
            "silent",
            functools.partial(launches.vary_pace, deviation=percent / 100),
        )
        for percent in (35, 50, 70)
    ),
]
