"""A simulation: a scenario with its parameters. Its events can be generated any number of times."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np

from pivotwatch.base.suggestions import with_suggestion
from pivotwatch.simulation.adoption import PACES
from pivotwatch.simulation.catalogue import Timeline
from pivotwatch.simulation.encode import Encoder, Slice
from pivotwatch.simulation.parameters import Parameters
from pivotwatch.simulation.rhythm import DAY, HOUR, SECOND
from pivotwatch.simulation.scenario import Scenario
from pivotwatch.simulation.scenario_setup import Setup
from pivotwatch.simulation.scenarios import SCENARIOS
from pivotwatch.simulation.traffic import Traffic
from pivotwatch.simulation.truth import StreamCounts, make_truth, release_entries
from pivotwatch.simulation.world import make_world


class Simulation:
    """The events of a scenario, and the truth about them.

    Parameters
    ----------
    scenario
        The scenario.
    setup
        The content of the scenario.

    Attributes
    ----------
    releases
        Entries of the release calendar.
    hours
        Largest number of slices, for a progress bar.
    """

    def __init__(self, scenario: Scenario, setup: Setup) -> None:
        self.scenario = scenario
        self.setup = setup
        self.releases: list[dict[str, str]] = release_entries(setup)
        self._traffic = Traffic(setup.world, setup.timeline, setup.parameters.seed)
        self._encoder = Encoder(setup.world, setup.parameters.seed)
        self._counts: StreamCounts | None = None
        self.hours: int = self._traffic.hours

    def slices(self) -> Iterator[Slice]:
        """The encoded events in the order of delivery, one slice per hour.

        Every call generates the same bytes.
        """
        counts = StreamCounts(self.setup)
        begin = self.setup.world.begin
        for batch in self._traffic.delivered():
            counts.add(batch)
            if len(batch):
                yield self._encoder.slice(batch, begin, begin + HOUR)
            begin += HOUR
        self._counts = counts

    @property
    def counts(self) -> StreamCounts:
        """The counts of the stream. Before `slices` has run to its end, this generates all events."""
        if self._counts is None:
            counts = StreamCounts(self.setup)
            for batch in self._traffic.delivered():
                counts.add(batch)
            self._counts = counts
        return self._counts

    @property
    def totals(self) -> dict[str, Any]:
        """The counts as JSON values; see `counts` for the cost."""
        return self.counts.totals()

    @property
    def truth(self) -> dict[str, Any]:
        """The content of the truth file; see `counts` for the cost."""
        return make_truth(
            self.scenario.name, self.scenario.expectation, self.setup, self._encoder, self.counts
        )


def generate(name: str, *, seed: int = 1, scale: float = 1.0, **parameters: Any) -> Simulation:
    """Make the simulation of a scenario.

    Parameters
    ----------
    name
        A key of `SCENARIOS`.
    seed, scale, **parameters
        See `parameters.Parameters`.

    Raises
    ------
    ValueError
        When the scenario does not exist, or a parameter is out of range.

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
    return Simulation(scenario, build_setup(scenario, given))


def build_setup(scenario: Scenario, given: Parameters) -> Setup:
    """Make the content of a scenario. Only the ``campaign_…`` fields of ``given`` may be None."""
    if given.pace not in PACES:
        raise ValueError(f"pace must be one of {', '.join(PACES)}")
    # `generate` has set these fields.
    assert given.days
    assert given.warmup_days
    assert given.accounts
    assert given.mean_rate
    # The release calendar has whole seconds.
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
    setup = Setup(given, world, Timeline(release), np.random.default_rng([given.seed, 2]), given.pace)
    scenario.build(setup)
    return setup
