"""Where a scenario is put together: the world, the timeline, and notes of what was put in."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from pivotwatch.simulation.catalogue import Timeline
from pivotwatch.simulation.crew import Campaign
from pivotwatch.simulation.rhythm import DAY, HOUR
from pivotwatch.simulation.world import World

# Monday evening; the release falls on Thursday. Fixed, so that a run can be repeated to the byte.
BEGIN = 1_770_051_600_000


@dataclasses.dataclass(frozen=True, slots=True)
class Parameters:
    """All that decides what a simulation contains. None: the scenario's own value.

    Attributes
    ----------
    seed
        Same seed and parameters, same bytes.
    scale
        Factor on the honest population; below 1 also on campaigns, roll-outs and crowds.
    days, warmup_days
        Length of the stream after and before the release.
    accounts, networks
        Size of the honest population (``scale`` does not apply to what is given here).
    pace
        Speed of the population: slow, normal, fast or surge.
    mean_rate
        Mean requests of an honest account and day.
    begin
        Epoch milliseconds of the beginning; the release follows after ``warmup_days``.
    campaign_accounts, campaign_rate, campaign_share, campaign_hours
        Of each campaign: number of accounts, requests of an account and day, share of the
        traffic that moves, hours within which it does.
    """

    seed: int = 1
    scale: float = 1.0
    days: float | None = None
    warmup_days: float | None = None
    accounts: int | None = None
    networks: int | None = None
    pace: str | None = None
    mean_rate: float | None = None
    begin: int = BEGIN
    campaign_accounts: int | None = None
    campaign_rate: float | None = None
    campaign_share: float | None = None
    campaign_hours: float | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.seed < 2**32:
            raise ValueError("seed must be a whole number from 0 to 4294967295")
        if not 0 < self.scale <= 100:
            raise ValueError("scale must lie above 0 and not above 100")
        for name in ("days", "warmup_days", "accounts", "networks", "mean_rate", "campaign_accounts"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise ValueError(f"{name} must be more than 0")
        if self.campaign_share is not None and not 0 < self.campaign_share <= 1:
            raise ValueError("campaign_share must lie above 0 and not above 1")


@dataclasses.dataclass(frozen=True, slots=True)
class Honest:
    """Something honest that a detector could mistake for a campaign.

    Attributes
    ----------
    type
        rollout, burst, late-delivery, newcomers, ...
    kind, number
        The entity, as in `crew.Campaign.entities`.
    onset
        Epoch milliseconds.
    hours
        How long it takes.
    why
        A sentence for people.
    """

    type: str
    kind: str
    number: int
    onset: int
    hours: float
    why: str


@dataclasses.dataclass(slots=True)
class Stage:
    """A scenario under construction.

    Attributes
    ----------
    population_events
        What happened to everybody, as it goes into the truth file.
    """

    parameters: Parameters
    world: World
    timeline: Timeline
    rng: np.random.Generator
    pace: str
    campaigns: list[Campaign] = dataclasses.field(default_factory=list)
    honest: list[Honest] = dataclasses.field(default_factory=list)
    population_events: list[dict[str, Any]] = dataclasses.field(default_factory=list)

    def size(self, full: int, least: int = 12) -> int:
        """A number of accounts or networks: smaller at a scale below 1, never larger than ``full``."""
        return max(min(least, full), round(full * min(1.0, self.parameters.scale)))

    def after(self, hours: float) -> int:
        """The moment so many hours after the release."""
        return self.world.release + int(hours * HOUR)

    @property
    def span_days(self) -> float:
        """Length of the stream in days."""
        return (self.world.end - self.world.begin) / DAY
