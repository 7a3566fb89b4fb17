"""The scenarios with a campaign."""

from __future__ import annotations

from collections.abc import Callable

from pivotwatch.simulation import campaigns, disturbances
from pivotwatch.simulation.campaigns import CampaignPlan, hidden_in_proxy, run_plan
from pivotwatch.simulation.rollouts import roll_out
from pivotwatch.simulation.scenario import Scenario
from pivotwatch.simulation.scenario_setup import Setup


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


CAMPAIGN_SCENARIOS = [
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
