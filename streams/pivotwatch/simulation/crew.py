"""What a campaign is made of: accounts that extract, and the note of who they are.

The manner of extraction: round the clock, requests at even distances, prompts and answers
of nearly the same length, long answers, tools. After the move about half of every account's
traffic goes to the new model, steadily.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

from pivotwatch.simulation.rhythm import DAY, HOUR, Rhythm
from pivotwatch.simulation.world import Rows, Table, World, draw_accounts


@dataclasses.dataclass(frozen=True, slots=True)
class Campaign:
    """A campaign that was put into the world.

    Attributes
    ----------
    name, type
        Identity in the truth file, and the manner.
    rows
        Its accounts.
    entities, related
        What an alert on it names: (kind, row number or payment number).
    note
        A sentence for people.
    moves
        False for a campaign that never takes up the new model: an alert on it is wrong.
    window_h
        Hours round the onset in which an alert counts.
    """

    name: str
    type: str
    rows: Rows
    entities: list[tuple[str, int]]
    note: str
    related: list[tuple[str, int]] = dataclasses.field(default_factory=list)
    moves: bool = True
    window_h: tuple[int, int] = (-1, 72)


def draw_crew(
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
        Number of the campaign.
    rate
        Requests of an account and day.
    moves_at
        Epoch milliseconds from which each uses the new model; `adoption.NEVER`.
    share
        Share of its traffic that then goes to the new model.
    """
    size = len(home)
    crew = draw_accounts(rng, home, world.kind, world.tz, begin=world.begin, end=world.end, mean_rate=rate)
    crew["away"] = 0.0
    crew["rate"] = rate * rng.uniform(0.8, 1.2, size)
    crew["rhythm"] = Rhythm.STEADY
    crew["tz"] = 0
    crew["shape"] = 30.0
    crew["width"] = 1.0
    crew["even"] = True
    crew["primary"] = 0
    crew["loyal"] = 0.95
    crew["alias"] = 0.0
    crew["adopts"] = moves_at
    crew["share"] = rng.normal(share, 0.02, size).clip(0.0, 1.0)
    crew["input"], crew["input_sd"] = rng.normal(7.2, 0.03, size), 0.12
    crew["output"], crew["output_sd"] = rng.normal(7.9, 0.03, size), 0.1
    crew["tools"] = 3.0
    crew["created"] = world.begin - (rng.uniform(10.0, 120.0, size) * DAY).astype(np.int64)
    crew["first"], crew["last"] = world.begin, world.end
    crew["payment"] = -1
    crew["crew"] = number
    return crew


def within(rng: np.random.Generator, size: int, after: int, hours: float) -> npt.NDArray[np.int64]:
    """Moments within so many hours after ``after``, more of them early than late."""
    moments: npt.NDArray[np.int64] = after + (rng.beta(1.3, 2.2, size) * hours * HOUR).astype(np.int64)
    return moments
