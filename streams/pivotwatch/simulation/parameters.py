"""The parameters of a simulation."""

from __future__ import annotations

import dataclasses

# A Monday evening, so that the release is on a Thursday. The time is fixed, so that bytes repeat.
BEGIN = 1_770_051_600_000


@dataclasses.dataclass(frozen=True, slots=True)
class Parameters:
    """The parameters that determine a simulation. A field that is None has the value of the scenario.

    Attributes
    ----------
    seed
        The same seed and parameters give the same bytes.
    scale
        Factor on the honest population; below 1 also on campaigns, roll-outs and crowds.
    days, warmup_days
        Length of the stream after and before the release, in days.
    accounts, networks
        Size of the honest population; ``scale`` does not change these fields.
    pace
        How fast the population adopts the new model: slow, normal, fast or surge.
    mean_rate
        Mean requests per honest account and day.
    begin
        Begin of the stream in epoch milliseconds; the release follows after ``warmup_days``.
    campaign_accounts, campaign_rate, campaign_share, campaign_hours
        For each campaign: number of accounts, requests per account and day, share of the requests that move
        to the new model, and hours in which they do.
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
