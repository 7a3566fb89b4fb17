"""The accounts of a campaign.

They send requests around the clock and at even distances. Their prompts and answers have nearly the same
length, the answers are long, and they use tools. After its switch each account sends about half of its
requests to the new model.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

from pivotwatch.simulation.rhythm import DAY, HOUR, Rhythm
from pivotwatch.simulation.world import Rows, Table, World, draw_accounts


@dataclasses.dataclass(frozen=True, slots=True)
class Campaign:
    """A campaign of a setup.

    Attributes
    ----------
    name, type
        Id and type in the truth file.
    rows
        Rows of its accounts.
    entities, related
        The groups that an alert on the campaign names, and further ones: (kind, number).
    note
        A description for people.
    moves
        Whether the campaign switches to the new model. An alert on one that does not is wrong.
    window_h
        Hours around the onset in which an alert counts.
    """

    name: str
    type: str
    rows: Rows
    entities: list[tuple[str, int]]
    note: str
    related: list[tuple[str, int]] = dataclasses.field(default_factory=list)
    moves: bool = True
    window_h: tuple[int, int] = (-1, 72)


def draw_campaign_accounts(
    rng: np.random.Generator,
    world: World,
    home: npt.NDArray[np.int64],
    *,
    number: int,
    rate: float,
    moves_at: npt.NDArray[np.int64] | int,
    share: float = 0.5,
) -> Table:
    """Draw the accounts of a campaign.

    Parameters
    ----------
    home
        Home network of each account.
    number
        Number of the campaign in the setup.
    rate
        Requests per account and day.
    moves_at
        Epoch milliseconds from which each account uses the new model, or `adoption.NEVER`.
    share
        Share of its requests that then goes to the new model.
    """
    size = len(home)
    accounts = draw_accounts(
        rng, home, world.kind, world.tz, begin=world.begin, end=world.end, mean_rate=rate
    )
    accounts["away"] = 0.0
    accounts["rate"] = rate * rng.uniform(0.8, 1.2, size)
    accounts["rhythm"] = Rhythm.STEADY
    accounts["tz"] = 0
    accounts["shape"] = 30.0
    accounts["width"] = 1.0
    accounts["even"] = True
    accounts["primary"] = 0
    accounts["primary_share"] = 0.95
    accounts["alias"] = 0.0
    accounts["adopts"] = moves_at
    accounts["share"] = rng.normal(share, 0.02, size).clip(0.0, 1.0)
    accounts["input"], accounts["input_sd"] = rng.normal(7.2, 0.03, size), 0.12
    accounts["output"], accounts["output_sd"] = rng.normal(7.9, 0.03, size), 0.1
    accounts["tools"] = 3.0
    accounts["created"] = world.begin - (rng.uniform(10.0, 120.0, size) * DAY).astype(np.int64)
    accounts["first"], accounts["last"] = world.begin, world.end
    accounts["payment"] = -1
    accounts["campaign"] = number
    return accounts


def random_times(rng: np.random.Generator, size: int, start: int, hours: float) -> npt.NDArray[np.int64]:
    """Draw times within ``hours`` after ``start`` (epoch milliseconds), more of them early than late."""
    times: npt.NDArray[np.int64] = start + (rng.beta(1.3, 2.2, size) * hours * HOUR).astype(np.int64)
    return times
