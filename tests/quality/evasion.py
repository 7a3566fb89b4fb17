"""Measures what evasion costs an attacker: ``python -m tests.quality.evasion``.

Each table changes one parameter of a simulated campaign until it is no longer found, or no
longer worth it: how slowly its accounts switch, in how small groups they hide, how many further
accounts it adds to change the population's adoption. The stream runs through the real operators.
"""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor

import click
import orjson

from pivotwatch.detection.pipeline import DetectionPipeline
from pivotwatch.simulation.campaign_accounts import random_times
from pivotwatch.simulation.campaigns import C1, CampaignPlan, run_plan, spread_over_existing
from pivotwatch.simulation.parameters import Parameters
from pivotwatch.simulation.scenario import Scenario
from pivotwatch.simulation.scenario_setup import Setup
from pivotwatch.simulation.simulation import Simulation, build_setup
from pivotwatch.simulation.world import Kind, draw_accounts
from pivotwatch_models.settings import Settings
from tests.quality.trial import Observer, Trial, judged

HONEST = 3_000
DAY_HOURS = 24.0


@dataclasses.dataclass(frozen=True)
class Case:
    """One line of a table.

    Attributes
    ----------
    table, knob
        The table, and the value of the parameter.
    build
        Name of the builder, a key of `BUILDERS`, and its arguments.
    days
        Length of the stream after the release.
    """

    table: str
    knob: str
    build: str
    arguments: tuple[float, ...]
    days: float = 7.0


def slow(setup: Setup, hours: float, share: float) -> None:
    """The network of `C1` switches within ``hours`` and sends ``share`` of its traffic."""
    run_plan(setup, dataclasses.replace(C1, hours=hours, share=share))


def small(setup: Setup, members: float, accounts: float, kinds: Sequence[Kind] = (Kind.HOSTING,)) -> None:
    """Networks of the campaign with ``members`` accounts each and no other accounts."""
    networks = round(accounts / members)
    plan = CampaignPlan("small", "small", "", round(accounts), networks=networks, kinds=kinds, honest=0.0)
    run_plan(setup, plan)


def inflated(setup: Setup, added: float) -> None:
    """`C1`, and added accounts in all networks that behave like honest ones and switch within its day.

    ``added`` is the number of these accounts as a multiple of the honest accounts.
    """
    run_plan(setup, C1)
    rng, world = setup.rng, setup.world
    if not added:
        return
    sizes = world.sizes()
    home = rng.choice(len(sizes), round(added * world.honest), p=sizes / sizes.sum())
    rate = setup.parameters.mean_rate or 17.0
    rows = draw_accounts(rng, home, world.kind, world.tz, begin=world.begin, end=world.end, mean_rate=rate)
    rows["adopts"] = random_times(rng, len(rows), world.release, DAY_HOURS)
    rows["share"] = rng.beta(18.0, 1.5, len(rows))
    world.add_accounts(rows)


def scattered(setup: Setup, _: float) -> None:
    """A campaign without networks of its own; see `campaigns.spread_over_existing`."""
    spread_over_existing(setup)


BUILDERS: dict[str, Callable[..., None]] = {
    "slow": slow,
    "small": small,
    "inflated": inflated,
    "scattered": scattered,
}

CASES: tuple[Case, ...] = (
    *(
        Case("slow drip", f"{hours / 24:g} days", "slow", (hours, 0.5), max(7.0, hours / 24 + 1))
        for hours in (24.0, 96.0, 168.0, 336.0)
    ),
    *(
        Case("slow drip", f"{days} days, {100 * share:g} % of the traffic", "slow", (24.0 * days, share), 8.0)
        for share in (0.05, 0.2, 0.95)
        for days in (1, 4, 7)
    ),
    *(
        Case("small groups", f"{n} accounts in each of {300 // n}", "small", (float(n), 300.0))
        for n in (15, 12, 10, 8, 7, 4, 2)
    ),
    Case("small groups", "900 accounts, all in networks of others", "scattered", (0.0,)),
    *(
        Case("inflated curve", f"{added:g} for each honest one", "inflated", (added,), 4.0)
        for added in (0.0, 0.25, 1.0, 3.0)
    ),
)


def trial(case: Case, seed: int, accounts: int) -> Trial:
    """Run one case."""

    def build(setup: Setup) -> None:
        BUILDERS[case.build](setup, *case.arguments)

    story = Scenario(case.table, case.knob, "", "limit", build)
    given = Parameters(
        seed=seed,
        days=case.days,
        warmup_days=story.warmup_days,
        accounts=accounts,
        mean_rate=story.mean_rate,
        pace=story.pace,
    )
    simulation = Simulation(story, build_setup(story, given))
    observer = Observer(simulation)
    lines = observer.lines(simulation)
    outputs = DetectionPipeline(Settings(), releases=simulation.releases).run(lines)
    alerts = [orjson.loads(output.value)["data"] for output in outputs if output.topic == "alerts"]
    return judged(simulation, observer, alerts)


def row(case: Case, trials: Sequence[Trial]) -> list[str]:
    """A line of the table: the parameter, how often found, delay, leaked share, other groups alerted."""
    findings = [finding for one in trials for finding in one.findings]
    found = [finding for finding in findings if finding.delay is not None]
    delay = f"{statistics.median(f.delay for f in found if f.delay is not None):.0f} h" if found else "–"
    leaked = statistics.median(finding.leaked for finding in findings)
    others = statistics.median(len(set(one.false)) for one in trials)
    return [case.knob, f"{len(found)} of {len(findings)}", delay, f"{100 * leaked:.1f} %", f"{others:g}"]


@click.command()
@click.option("--seeds", default=2, show_default=True, help="How many runs of each case.")
@click.option("--accounts", default=HONEST, show_default=True, help="Honest accounts.")
@click.option("--processes", type=click.IntRange(1, 2), default=1, show_default=True)
@click.option("--only", help="Cases whose table or knob contains this.")
def main(seeds: int, accounts: int, processes: int, only: str | None) -> None:
    """Print the tables."""
    cases = [case for case in CASES if not only or only in f"{case.table} {case.knob}"]
    last = None
    with ProcessPoolExecutor(processes) as pool:
        running = [
            (case, [pool.submit(trial, case, seed + 1, accounts) for seed in range(seeds)]) for case in cases
        ]
        for case, futures in running:
            if case.table != last:
                head = [case.table, "found", "after", "sent to the model before", "other groups alerted"]
                click.echo("\n| " + " | ".join(head) + " |\n|" + " --- |" * len(head))
                last = case.table
            click.echo("| " + " | ".join(row(case, [future.result() for future in futures])) + " |")


if __name__ == "__main__":
    main()
