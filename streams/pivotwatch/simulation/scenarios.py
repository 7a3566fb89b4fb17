"""The scenarios by name."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Literal

from pivotwatch.simulation import campaigns, disturbances
from pivotwatch.simulation.campaigns import Plan, hidden_in_proxy, run_plan
from pivotwatch.simulation.rollouts import compare_by_router, roll_out
from pivotwatch.simulation.stage import Stage

Expectation = Literal["alert", "silent", "rollout", "limit"]


@dataclasses.dataclass(frozen=True, slots=True)
class Scenario:
    """A story that can be simulated.

    Attributes
    ----------
    name, title, description
        For the command line and for people.
    expectation
        ``alert``: a campaign is to be found. ``silent``: no alert is right. ``rollout``: no
        campaign, but a move that looks like one; an alert counts as a roll-out. ``limit``: a
        campaign that no group holds together; what is found is a bonus.
    build
        Puts the story on the stage.
    accounts
        Honest accounts at scale 1.
    days, warmup_days, mean_rate, pace
        See `stage.Parameters`.
    """

    name: str
    title: str
    description: str
    expectation: Expectation
    build: Callable[[Stage], None]
    accounts: int = 6_000
    days: float = 7.0
    warmup_days: float = 3.0
    mean_rate: float = 17.0
    pace: str = "normal"


def _nothing(stage: Stage) -> None:
    """The population alone."""


def _plans(*plans: Plan) -> Callable[[Stage], None]:
    """A stage with these campaigns."""

    def build(stage: Stage) -> None:
        for plan in plans:
            run_plan(stage, plan)

    return build


def _mixed(stage: Stage) -> None:
    disturbances.burst(stage)
    run_plan(stage, campaigns.C1)
    run_plan(stage, hidden_in_proxy(0.25))
    campaigns.fresh_accounts(stage)
    campaigns.burst_without_shift(stage)
    roll_out(stage)
    roll_out(stage, partial=True)


_PARTIAL = functools.partial(roll_out, partial=True)
_UNNAMED = functools.partial(disturbances.upgrade_alias, named=False)

_ALL = [
    Scenario(
        "null",
        "nothing but adoption",
        "A release and nothing else: testers, early adopters, the majority over days, laggards, "
        "and those who never move.",
        "silent",
        _nothing,
    ),
    Scenario(
        "null-fast",
        "nothing but fast adoption",
        "As null, but half of the population moves within one to two days, most accounts at "
        "their first activity after the release.",
        "silent",
        _nothing,
        pace="fast",
    ),
    Scenario(
        "null-surge",
        "nothing but adoption at once",
        "As null, but six of ten accounts move at their first activity after the release.",
        "silent",
        _nothing,
        pace="surge",
    ),
    Scenario(
        "alias-upgrade",
        "a default alias moves everybody",
        "Most accounts ask for m-latest, which stands for the new model from the release on; "
        "requested_model says so.",
        "silent",
        disturbances.upgrade_alias,
    ),
    Scenario(
        "alias-unnamed",
        "an alias moves everybody, and the log does not say so",
        "As alias-upgrade, but without requested_model: the move looks like everybody's choice.",
        "silent",
        _UNNAMED,
    ),
    Scenario(
        "enterprise-rollout",
        "a whole company moves",
        "A company moves nearly all of its traffic on the first working day after the release, "
        "in office hours, with work of every size. Honest, but coordinated.",
        "rollout",
        roll_out,
    ),
    Scenario(
        "enterprise-rollout-partial",
        "half of a company moves",
        "Every second account of a company moves nearly all of its traffic over two working days.",
        "rollout",
        _PARTIAL,
    ),
    Scenario(
        "rollout-fast",
        "a whole company moves in a fast population",
        "As enterprise-rollout, while half of the population moves within one to two days.",
        "rollout",
        roll_out,
        pace="fast",
    ),
    Scenario(
        "rollout-surge",
        "a whole company moves with everybody",
        "As enterprise-rollout, while six of ten accounts move at their first activity.",
        "rollout",
        roll_out,
        pace="surge",
    ),
    Scenario(
        "rollout-router",
        "programs of a company compare two models",
        "80 programs of a company send every second request to the new model from one hour on, round the "
        "clock, with work of every size. Honest, and like extraction in all but its sizes.",
        "rollout",
        compare_by_router,
    ),
    Scenario(
        "burst",
        "more requests, no move",
        "Three networks send eight times their requests for six hours and adopt like everybody.",
        "silent",
        disturbances.burst,
    ),
    Scenario(
        "roaming",
        "accounts on many networks",
        "Nearly every second account spends half of its hours in other networks, often in one of "
        "five proxy networks.",
        "silent",
        disturbances.roaming,
    ),
    Scenario(
        "newcomers",
        "the release draws a crowd",
        "A third more accounts sign up after the release, most of them to use the new model; one "
        "network gets a class of them.",
        "silent",
        disturbances.newcomers,
    ),
    Scenario(
        "delayed-delivery",
        "one network comes late",
        "The events of one large network are delivered three to six hours late round the release. "
        "Lines are in the order of delivery.",
        "silent",
        disturbances.late_delivery,
    ),
    Scenario(
        "outage",
        "the old model is out",
        "The most used old model is out for three hours, and its requests fall back to the new one.",
        "silent",
        disturbances.outage,
    ),
    Scenario(
        "withdrawal-return",
        "the new model goes and comes back",
        "The new model is withdrawn after a day and a half and returns a day and a half later.",
        "silent",
        disturbances.withdrawal,
    ),
    Scenario(
        "c1",
        "one network moves half of its traffic",
        "One proxy network of 300 extracting accounts moves half of its traffic within a day of the release.",
        "alert",
        _plans(campaigns.C1),
    ),
    Scenario(
        "c1-fast",
        "one network moves in a fast population",
        "As c1, while half of the population moves within one to two days.",
        "alert",
        _plans(campaigns.C1),
        pace="fast",
    ),
    Scenario(
        "c1-surge",
        "one network moves when everybody does",
        "As c1, while six of ten accounts move at their first activity after the release.",
        "alert",
        _plans(campaigns.C1),
        pace="surge",
    ),
    *(
        Scenario(
            f"unhurried{'' if pace == 'normal' else '-' + pace}",
            f"a campaign that does not hurry, {pace} population",
            "120 extracting accounts of a proxy network take the model up over three days, no faster than "
            "a fast population does; what tells is that each sends half of its traffic.",
            "alert",
            _plans(campaigns.UNHURRIED),
            pace=pace,
        )
        for pace in ("normal", "fast", "surge")
    ),
    Scenario(
        "c2",
        "slow",
        "240 accounts of one network with about three requests an hour each move over four days.",
        "alert",
        _plans(campaigns.C2),
    ),
    *(
        Scenario(
            f"c3-{percent}",
            f"hidden in a proxy network, {percent} % of it",
            f"{percent} % of the 400 accounts of a proxy network belong to a campaign; the others "
            "are honest.",
            "alert",
            _plans(hidden_in_proxy(percent / 100)),
        )
        for percent in (50, 25, 10)
    ),
    Scenario(
        "c4",
        "hydra",
        "60 networks with 15 extracting accounts each among honest ones, joined only in time.",
        "alert",
        _plans(campaigns.C4),
    ),
    Scenario(
        "c5",
        "fresh accounts",
        "250 accounts signed up in three batches just before the release, with five payment "
        "instruments, move within ten hours.",
        "alert",
        campaigns.fresh_accounts,
    ),
    Scenario(
        "c6",
        "a burst of extraction without a move",
        "300 extracting accounts send ten times their requests for twelve hours, but take up the "
        "new model no faster than everybody.",
        "silent",
        campaigns.burst_without_shift,
    ),
    Scenario(
        "hydra-keyless",
        "a hydra without a key",
        "900 extracting accounts spread over the networks of everybody, joined by nothing but time.",
        "limit",
        campaigns.spread_over_existing,
    ),
    Scenario(
        "mixed",
        "several at once",
        "c1, c3-25, c5 and c6 together with a whole and a partial roll-out and honest bursts.",
        "alert",
        _mixed,
    ),
    Scenario(
        "public-150k",
        "150 thousand exchanges",
        "A campaign of 400 accounts and 150,000 exchanges inside honest traffic.",
        "alert",
        _plans(campaigns.PUBLIC_150K),
        accounts=12_000,
    ),
    Scenario(
        "public-3m4",
        "3.4 million exchanges",
        "A campaign of 4,600 accounts and 3.4 million exchanges inside honest traffic.",
        "alert",
        _plans(campaigns.PUBLIC_3M4),
        accounts=30_000,
    ),
    Scenario(
        "public-13m",
        "13 million exchanges",
        "A campaign of 19,000 accounts and 13 million exchanges inside honest traffic; nearly "
        "half of it moves within a day.",
        "alert",
        _plans(campaigns.PUBLIC_13M),
        accounts=60_000,
    ),
    Scenario(
        "public-all",
        "the three public campaigns together",
        "24,000 accounts and about 16.5 million exchanges in three campaigns inside honest traffic.",
        "alert",
        _plans(campaigns.PUBLIC_150K, campaigns.PUBLIC_3M4, campaigns.PUBLIC_13M),
        accounts=60_000,
    ),
    Scenario(
        "demo",
        "a launch with a hidden campaign",
        "A launch with a campaign of a thousand accounts hidden among sixteen thousand honest ones, in "
        "three proxy and hosting networks; at speed 3600 it plays in under three minutes.",
        "alert",
        _plans(campaigns.DEMO),
        days=4.0,
        accounts=16_000,
        mean_rate=3.2,
    ),
]

SCENARIOS: dict[str, Scenario] = {scenario.name: scenario for scenario in _ALL}
