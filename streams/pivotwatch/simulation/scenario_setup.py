"""The content of a scenario under construction: the world, the timeline, campaigns and look-alikes."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from pivotwatch.simulation.campaign_accounts import Campaign
from pivotwatch.simulation.catalogue import NEW, Timeline
from pivotwatch.simulation.parameters import Parameters
from pivotwatch.simulation.rhythm import DAY, HOUR, iso
from pivotwatch.simulation.world import World


@dataclasses.dataclass(frozen=True, slots=True)
class Lookalike:
    """An honest entity that a detector could mistake for a campaign.

    Attributes
    ----------
    type
        Such as rollout, burst, late-delivery or newcomers.
    kind, number
        The entity, as in `campaign_accounts.Campaign.entities`.
    onset
        Start in epoch milliseconds.
    hours
        Duration in hours.
    why
        The reason, for people.
    """

    type: str
    kind: str
    number: int
    onset: int
    hours: float
    why: str


@dataclasses.dataclass(slots=True)
class Setup:
    """The content of a scenario.

    Attributes
    ----------
    parameters
        The parameters of the simulation.
    world
        The networks and accounts.
    timeline
        The actions of the provider.
    rng
        Draws everything that the scenario adds.
    pace
        How fast the population adopts the new model; a key of `adoption.PACES`.
    campaigns, lookalikes
        The campaigns and the honest look-alikes of the scenario.
    population_events
        Events that affect all accounts, in the form of the truth file.
    """

    parameters: Parameters
    world: World
    timeline: Timeline
    rng: np.random.Generator
    pace: str
    campaigns: list[Campaign] = dataclasses.field(default_factory=list)
    lookalikes: list[Lookalike] = dataclasses.field(default_factory=list)
    population_events: list[dict[str, Any]] = dataclasses.field(default_factory=list)

    def size(self, full: int, least: int = 12) -> int:
        """A number of accounts or networks: ``full``, reduced at a scale below 1."""
        return max(min(least, full), round(full * min(1.0, self.parameters.scale)))

    def after(self, hours: float) -> int:
        """The time that many hours after the release, in epoch milliseconds."""
        return self.world.release + int(hours * HOUR)

    def add_population_event(self, kind: str, begin: int, end: int | None, **more: Any) -> None:
        """Add an event that affects all accounts to the truth; times in epoch milliseconds."""
        until = None if end is None else iso(end)
        self.population_events.append(
            {"type": kind, "model": NEW, "onset": iso(begin), "until": until, **more}
        )

    @property
    def span_days(self) -> float:
        """Length of the stream in days."""
        return (self.world.end - self.world.begin) / DAY
