"""``pivotwatch demo``."""

from __future__ import annotations

import click

from pivotwatch.base.errors import OutOfReach
from pivotwatch.cli.options import note, with_brokers
from pivotwatch.config.config import Config


@click.command(short_help="Play a launch with a hidden campaign through Kafka.")
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), default=1, show_default=True)
@click.option(
    "--speed",
    type=click.FloatRange(min=0),
    default=3600.0,
    show_default=True,
    help="Seconds of event time a second; 0: as fast as possible.",
)
@click.option("--keep", is_flag=True, help="Leave topics and groups on the broker.")
@with_brokers
def demo(config: Config, *, seed: int, speed: float, keep: bool) -> None:
    """Play a simulated launch through Kafka and watch for the campaign hidden in it.

    A week of traffic of a provider: three days, the release of a model, four days. Exit
    status 0 when the campaign was found.
    """
    if "brokers" not in config.model_fields_set:
        raise OutOfReach("the demo needs Kafka: `make demo` brings its own, or give --brokers HOST:PORT")
    from pivotwatch.base.child_processes import Stopped, sigterm_raises
    from pivotwatch.demo import run

    try:
        with sigterm_raises():
            verdict = run(config, seed=seed, speed=speed, keep=keep)
    except (KeyboardInterrupt, Stopped):
        note("stopped")
        click.get_current_context().exit(130)
    click.get_current_context().exit(0 if verdict.found else 1)
