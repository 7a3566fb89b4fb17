"""``pivotwatch demo``."""

from __future__ import annotations

import click

from pivotwatch.base.child_processes import Stopped, sigterm_raises
from pivotwatch.base.errors import OutOfReach
from pivotwatch.cli.commands import Command
from pivotwatch.cli.options import note, seed_option, speed_option, with_brokers
from pivotwatch.config.config import Config


@click.command(
    cls=Command,
    short_help="Play a simulated launch with a hidden campaign.",
    example="pivotwatch demo --brokers 127.0.0.1:9092",
)
@seed_option
@speed_option
@click.option("--keep", is_flag=True, help="Do not delete the topics and consumer groups at the end.")
@with_brokers
def demo(config: Config, *, seed: int, speed: float, keep: bool) -> None:
    """Play a simulated launch through Kafka, and look for the campaign that is hidden in it.

    The traffic covers a week: three days before the release of a model and four days after it.
    Exit status: 0 when the pipeline found the campaign, else 1.
    """
    if "brokers" not in config.model_fields_set:
        raise OutOfReach(
            "the demo needs Kafka: run `make demo`, which starts it, or give --brokers HOST:PORT"
        )
    from pivotwatch.demo import run

    try:
        with sigterm_raises():
            verdict = run(config, seed=seed, speed=speed, keep=keep)
    except (KeyboardInterrupt, Stopped):
        note("stopped")
        click.get_current_context().exit(130)
    click.get_current_context().exit(0 if verdict.found else 1)
