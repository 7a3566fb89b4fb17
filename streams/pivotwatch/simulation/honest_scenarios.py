"""The scenarios without a campaign that switches: adoption, roll-outs and disturbances."""

from __future__ import annotations

import functools

from pivotwatch.simulation import disturbances
from pivotwatch.simulation.rollouts import compare_by_router, roll_out
from pivotwatch.simulation.scenario import Scenario
from pivotwatch.simulation.scenario_setup import Setup


def _nothing(setup: Setup) -> None:
    """Add nothing: only the honest population."""


_PARTIAL = functools.partial(roll_out, partial=True)
_UNNAMED = functools.partial(disturbances.upgrade_alias, named=False)

HONEST_SCENARIOS = [
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
]
