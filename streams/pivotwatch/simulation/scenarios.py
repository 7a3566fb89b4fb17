"""The scenarios, by name."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Literal

from pivotwatch.simulation import campaigns, disturbances
from pivotwatch.simulation.campaigns import CampaignPlan, hidden_in_proxy, run_plan
from pivotwatch.simulation.rollouts import compare_by_router, roll_out
from pivotwatch.simulation.scenario_setup import Setup

Expectation = Literal["alert", "silent", "rollout", "limit"]


@dataclasses.dataclass(frozen=True, slots=True)
class Scenario:
    """A scenario that can be simulated.

    Attributes
    ----------
    name, title, description
        Name on the command line, and texts for people.
    expectation
        ``alert``: the detector must find a campaign. ``silent``: every alert is false. ``rollout``: there
        is no campaign, but a roll-out that looks like one, and alerts on it are counted separately.
        ``limit``: the accounts of the campaign share no group, so the detector need not find it.
    build
        Adds the content of the scenario to a setup.
    accounts
        Number of honest accounts at scale 1.
    days, warmup_days, mean_rate, pace
        See `parameters.Parameters`.
    """

    name: str
    title: str
    description: str
    expectation: Expectation
    build: Callable[[Setup], None]
    accounts: int = 6_000
    days: float = 7.0
    warmup_days: float = 3.0
    mean_rate: float = 17.0
    pace: str = "normal"


def _nothing(setup: Setup) -> None:
    """Add nothing: only the honest population."""


def _plans(*plans: CampaignPlan) -> Callable[[Setup], None]:
    """A function that adds these campaigns to a setup."""

    def build(setup: Setup) -> None:
        for plan in plans:
            run_plan(setup, plan)

    return build


def _mixed(setup: Setup) -> None:
    disturbances.burst(setup)
    run_plan(setup, campaigns.C1)
    run_plan(setup, hidden_in_proxy(0.25))
    campaigns.fresh_accounts(setup)
    campaigns.burst_without_shift(setup)
    roll_out(setup)
    roll_out(setup, partial=True)


_PARTIAL = functools.partial(roll_out, partial=True)
_UNNAMED = functools.partial(disturbances.upgrade_alias, named=False)

_ALL = [
    Scenario(
        "null",
        "ordinary adoption",
        "A release without a campaign: testers, early adopters, a majority that adopts the model over "
        "days, laggards, and accounts that never adopt it.",
        "silent",
        _nothing,
    ),
    Scenario(
        "null-fast",
        "ordinary adoption, fast",
        "As null, but half of the population switches within one to two days, most accounts at "
        "their first request after the release.",
        "silent",
        _nothing,
        pace="fast",
    ),
    Scenario(
        "null-surge",
        "ordinary adoption, at once",
        "As null, but six of ten accounts switch at their first request after the release.",
        "silent",
        _nothing,
        pace="surge",
    ),
    Scenario(
        "alias-upgrade",
        "an alias changes for everyone",
        "Most accounts request m-latest, which resolves to the new model from the release on; "
        "requested_model contains the alias.",
        "silent",
        disturbances.upgrade_alias,
    ),
    Scenario(
        "alias-unnamed",
        "an alias changes for everyone, and events do not contain it",
        "As alias-upgrade, but without requested_model: the change looks like the choice of each account.",
        "silent",
        _UNNAMED,
    ),
    Scenario(
        "enterprise-rollout",
        "a whole company switches",
        "A company moves nearly all of its requests on the first working day after the release, "
        "in office hours, with requests of all sizes. It is honest, but coordinated.",
        "rollout",
        roll_out,
    ),
    Scenario(
        "enterprise-rollout-partial",
        "half of a company switches",
        "Half of the accounts of a company move nearly all of their requests over two working days.",
        "rollout",
        _PARTIAL,
    ),
    Scenario(
        "rollout-fast",
        "a whole company switches in a fast population",
        "As enterprise-rollout, while half of the population switches within one to two days.",
        "rollout",
        roll_out,
        pace="fast",
    ),
    Scenario(
        "rollout-surge",
        "a whole company switches when most accounts do",
        "As enterprise-rollout, while six of ten accounts switch at their first request.",
        "rollout",
        roll_out,
        pace="surge",
    ),
    Scenario(
        "rollout-router",
        "programs of a company compare two models",
        "80 programs of a company start within an hour to send half of their requests to the new model, "
        "around the clock. They are honest, and differ from extraction only by requests of all sizes.",
        "rollout",
        compare_by_router,
    ),
    Scenario(
        "burst",
        "more requests, no switch",
        "Three networks send eight times as many requests for six hours, and adopt the model like others.",
        "silent",
        disturbances.burst,
    ),
    Scenario(
        "roaming",
        "accounts on many networks",
        "Nearly half of the accounts spend half of their hours in other networks, often in one of "
        "five proxy networks.",
        "silent",
        disturbances.roaming,
    ),
    Scenario(
        "newcomers",
        "the release attracts new accounts",
        "A third more accounts sign up after the release, most of them to use the new model; one "
        "network gets a class of them.",
        "silent",
        disturbances.newcomers,
    ),
    Scenario(
        "delayed-delivery",
        "one network is late",
        "The events of one large network are delivered three to six hours late around the release. "
        "Lines are in the order of delivery.",
        "silent",
        disturbances.late_delivery,
    ),
    Scenario(
        "outage",
        "the old model is down",
        "The most used old model is down for three hours, and its requests fall back to the new one.",
        "silent",
        disturbances.outage,
    ),
    Scenario(
        "withdrawal-return",
        "the new model is withdrawn and returns",
        "The new model is withdrawn after a day and a half and returns a day and a half later.",
        "silent",
        disturbances.withdrawal,
    ),
    Scenario(
        "c1",
        "one network moves half of its requests",
        "One proxy network with 300 extracting accounts moves half of its requests within a day of the "
        "release.",
        "alert",
        _plans(campaigns.C1),
    ),
    Scenario(
        "c1-fast",
        "one network switches in a fast population",
        "As c1, while half of the population switches within one to two days.",
        "alert",
        _plans(campaigns.C1),
        pace="fast",
    ),
    Scenario(
        "c1-surge",
        "one network switches when most accounts do",
        "As c1, while six of ten accounts switch at their first request after the release.",
        "alert",
        _plans(campaigns.C1),
        pace="surge",
    ),
    *(
        Scenario(
            f"unhurried{'' if pace == 'normal' else '-' + pace}",
            f"a campaign that does not hurry, {pace} population",
            "120 extracting accounts of a proxy network switch over three days, no faster than a fast "
            "population; they are conspicuous only because each moves half of its requests.",
            "alert",
            _plans(campaigns.UNHURRIED),
            pace=pace,
        )
        for pace in ("normal", "fast", "surge")
    ),
    Scenario(
        "c2",
        "slow",
        "240 accounts of one network with about three requests per hour each switch over four days.",
        "alert",
        _plans(campaigns.C2),
    ),
    *(
        Scenario(
            f"c3-{percent}",
            f"hidden in a proxy network, {percent} % of it",
            f"{percent} % of the 400 accounts of a proxy network belong to a campaign; others are honest.",
            "alert",
            _plans(hidden_in_proxy(percent / 100)),
        )
        for percent in (50, 25, 10)
    ),
    Scenario(
        "c4",
        "hydra",
        "60 networks with 15 extracting accounts each among honest ones, joined only by time.",
        "alert",
        _plans(campaigns.C4),
    ),
    Scenario(
        "c5",
        "fresh accounts",
        "250 accounts that signed up in three batches just before the release, with five payment "
        "instruments, switch within ten hours.",
        "alert",
        campaigns.fresh_accounts,
    ),
    Scenario(
        "c6",
        "a burst of extraction without a switch",
        "300 extracting accounts send ten times as many requests for twelve hours, but adopt the "
        "new model no faster than honest accounts.",
        "silent",
        campaigns.burst_without_shift,
    ),
    Scenario(
        "hydra-keyless",
        "a hydra without a key",
        "900 extracting accounts spread over the networks of honest accounts, joined only by time.",
        "limit",
        campaigns.spread_over_existing,
    ),
    Scenario(
        "mixed",
        "several campaigns at once",
        "c1, c3-25, c5 and c6, together with a full and a partial roll-out and honest bursts.",
        "alert",
        _mixed,
    ),
    Scenario(
        "public-150k",
        "150 thousand exchanges",
        "A campaign with 400 accounts and 150,000 exchanges among honest accounts.",
        "alert",
        _plans(campaigns.PUBLIC_150K),
        accounts=12_000,
    ),
    Scenario(
        "public-3m4",
        "3.4 million exchanges",
        "A campaign with 4,600 accounts and 3.4 million exchanges among honest accounts.",
        "alert",
        _plans(campaigns.PUBLIC_3M4),
        accounts=30_000,
    ),
    Scenario(
        "public-13m",
        "13 million exchanges",
        "A campaign with 19,000 accounts and 13 million exchanges among honest accounts; nearly "
        "half of its requests move within a day.",
        "alert",
        _plans(campaigns.PUBLIC_13M),
        accounts=60_000,
    ),
    Scenario(
        "public-all",
        "the three public campaigns together",
        "Three campaigns with 24,000 accounts and about 16.5 million exchanges among honest accounts.",
        "alert",
        _plans(campaigns.PUBLIC_150K, campaigns.PUBLIC_3M4, campaigns.PUBLIC_13M),
        accounts=60_000,
    ),
    Scenario(
        "demo",
        "a launch with a hidden campaign",
        "A campaign with 1,000 accounts in three proxy and hosting networks, among 16,000 honest accounts; "
        "at speed 3600 the playback takes less than three minutes.",
        "alert",
        _plans(campaigns.DEMO),
        days=4.0,
        accounts=16_000,
        mean_rate=3.2,
    ),
]

SCENARIOS: dict[str, Scenario] = {scenario.name: scenario for scenario in _ALL}
