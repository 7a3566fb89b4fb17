"""A simulation: a scenario with its parameters, ready to be written any number of times."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np

from pivotwatch.base.suggestions import with_suggestion
from pivotwatch.simulation.adoption import PACES
from pivotwatch.simulation.catalogue import Timeline
from pivotwatch.simulation.encode import Encoder, Slice
from pivotwatch.simulation.rhythm import DAY, HOUR, SECOND
from pivotwatch.simulation.scenarios import SCENARIOS, Scenario
from pivotwatch.simulation.stage import Parameters, Stage
from pivotwatch.simulation.traffic import Traffic
from pivotwatch.simulation.truth import Tally, make_truth, release_entries
from pivotwatch.simulation.world import make_world


class Simulation:
    """The events of a scenario, and the truth about them.

    Parameters
    ----------
    scenario
        The story.
    stage
        The story put together.

    Attributes
    ----------
    releases
        Entries of the release calendar.
    hours
        How many slices `slices` yields at most; for a progress bar.
    """

    def __init__(self, scenario: Scenario, stage: Stage) -> None:
        self.scenario = scenario
        self.stage = stage
        self.releases: list[dict[str, str]] = release_entries(stage)
        self._traffic = Traffic(stage.world, stage.timeline, stage.parameters.seed)
        self._encoder = Encoder(stage.world, stage.parameters.seed)
        self._tally: Tally | None = None
        self.hours: int = self._traffic.hours

    def slices(self) -> Iterator[Slice]:
        """Encoded events in the order of delivery, an hour at a time.

        Every call begins anew and gives the same bytes.
        """
        tally = Tally(self.stage)
        begin = self.stage.world.begin
        for batch in self._traffic.delivered():
            tally.add(batch)
            if len(batch):
                yield self._encoder.slice(batch, begin, begin + HOUR)
            begin += HOUR
        self._tally = tally

    @property
    def tally(self) -> Tally:
        """The counts. When no run over the slices has come to its end yet, the events are drawn for them."""
        if self._tally is None:
            tally = Tally(self.stage)
            for batch in self._traffic.delivered():
                tally.add(batch)
            self._tally = tally
        return self._tally

    @property
    def totals(self) -> dict[str, Any]:
        """Counts over the whole stream; see `tally` for what it costs."""
        return self.tally.totals()

    @property
    def truth(self) -> dict[str, Any]:
        """The content of the truth file; see `tally` for what it costs."""
        return make_truth(
            self.scenario.name, self.scenario.expectation, self.stage, self._encoder, self.tally
        )


def generate(name: str, *, seed: int = 1, scale: float = 1.0, **parameters: Any) -> Simulation:
    """Put a scenario together.

    Parameters
    ----------
    name
        A key of `SCENARIOS`.
    seed, scale, **parameters
        See `stage.Parameters`.

    Examples
    --------
    >>> simulation = generate("c1", seed=3, scale=0.05, days=1)
    >>> simulation.releases
    [{'model': 'm-2', 'released_at': '2026-02-05T17:00:00Z'}]
    """
    scenario = SCENARIOS.get(name)
    if scenario is None:
        raise ValueError(
            with_suggestion(
                f"no scenario {name}", name, SCENARIOS, ": `pivotwatch simulate --list` describes them all"
            )
        )
    given = Parameters(seed=seed, scale=scale, **parameters)
    given = dataclasses.replace(
        given,
        days=given.days or scenario.days,
        warmup_days=given.warmup_days or scenario.warmup_days,
        accounts=given.accounts or max(60, round(scenario.accounts * scale)),
        mean_rate=given.mean_rate or scenario.mean_rate,
        pace=given.pace or scenario.pace,
    )
    return Simulation(scenario, set_stage(scenario, given))


def set_stage(scenario: Scenario, given: Parameters) -> Stage:
    """Put a story into the world; of ``given`` nothing but the sizes of campaigns may be None."""
    if given.pace not in PACES:
        raise ValueError(f"pace must be one of {', '.join(PACES)}")
    # Filled in by `generate`.
    assert given.days
    assert given.warmup_days
    assert given.accounts
    assert given.mean_rate
    # Whole seconds: the calendar has no finer times.
    begin = given.begin // SECOND * SECOND
    release = begin + int(given.warmup_days * DAY) // SECOND * SECOND
    end = release + int(given.days * DAY)
    world = make_world(
        np.random.default_rng([given.seed, 1]),
        accounts=given.accounts,
        networks=given.networks or max(6, round(given.accounts / 30)),
        pace=given.pace,
        begin=begin,
        release=release,
        end=end,
        mean_rate=given.mean_rate,
    )
    stage = Stage(given, world, Timeline(release), np.random.default_rng([given.seed, 2]), given.pace)
    scenario.build(stage)
    return stage
