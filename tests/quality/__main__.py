"""Runs every scenario with several seeds, and compares the results with the targets: ``make quality``."""

from __future__ import annotations

import dataclasses
import sys
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

import click
import orjson
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from pivotwatch.simulation import SCENARIOS
from tests.quality.targets import missed, table
from tests.quality.trial import Trial, run, run_learnt

README = Path(__file__).with_name("README.md")
BEGIN, END = "<!-- table: begin -->", "<!-- table: end -->"
LARGE = ("public-3m4", "public-13m", "public-all")
LONG = tuple(name for name, scenario in SCENARIOS.items() if scenario.days > 14)
"""Scenarios of weeks, which have at most as many accounts as they say."""
LEARNT = ("c1", "c2", "c3-50", "c3-25", "c3-10", "c4", "c5")


@click.command()
@click.option("--scenarios", help="Names, with commas between; else all but those of millions of exchanges.")
@click.option("--seeds", type=click.IntRange(min=1), default=2, show_default=True, help="How many.")
@click.option("--first-seed", type=click.IntRange(min=1), default=1, show_default=True)
@click.option("--accounts", type=click.IntRange(min=100), default=24_000, show_default=True)
@click.option("--processes", type=click.IntRange(1, 2), default=2, show_default=True)
@click.option(
    "--learnt", is_flag=True, help="After an earlier release in the same stream, from which θ₀ is learned."
)
@click.option("--json", "as_json", is_flag=True, help="Every run, one JSON object a line.")
@click.option("--write", is_flag=True, help="Put the table into the README.")
def main(
    scenarios: str | None,
    seeds: int,
    first_seed: int,
    accounts: int,
    processes: int,
    learnt: bool,
    as_json: bool,
    write: bool,
) -> None:
    """Run scenarios and compare the results with the targets."""
    usual = LEARNT if learnt else [name for name in SCENARIOS if name not in LARGE]
    names = scenarios.split(",") if scenarios else list(usual)
    if unknown := [name for name in names if name not in SCENARIOS]:
        raise click.UsageError(f"no scenario {', '.join(unknown)}")
    trials = _run(names, range(first_seed, first_seed + seeds), accounts, processes, learnt)
    if as_json:
        for trial in trials:
            click.echo(orjson.dumps(dataclasses.asdict(trial)))
    else:
        click.echo(table(trials))
    if write:
        _write(f"{accounts:,} accounts, seeds from {first_seed} on: {seeds}.\n\n{table(trials)}")
    if problems := missed(trials, learnt):
        click.echo("Missed:\n" + "\n".join(f"- {problem}" for problem in problems), err=True)
        sys.exit(1)


def _run(names: list[str], seeds: range, accounts: int, processes: int, learnt: bool) -> list[Trial]:
    order = [(name, seed) for name in names for seed in seeds]
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(elapsed_when_finished=True),
    )
    done: dict[tuple[str, int], Trial] = {}
    with Progress(*columns, console=Console(stderr=True)) as bar, ProcessPoolExecutor(processes) as pool:
        task = bar.add_task("runs", total=len(order))
        work = run_learnt if learnt else run
        running = {pool.submit(work, name, seed, _size(name, accounts)): (name, seed) for name, seed in order}
        for future in as_completed(running):
            done[running[future]] = future.result()
            bar.update(task, advance=1, description=" ".join(map(str, running[future])))
    return [done[one] for one in order]


def _size(name: str, accounts: int) -> int:
    """The number of honest accounts of a run."""
    return min(accounts, SCENARIOS[name].accounts) if name in LONG else accounts


def _write(text: str) -> None:
    before, _, rest = README.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    README.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}")


if __name__ == "__main__":
    main()
