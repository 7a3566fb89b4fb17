"""The definition of a scenario."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Literal

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
        is not a campaign, but a roll-out that looks like one, and alerts on it are counted separately.
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
