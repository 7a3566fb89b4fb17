"""``pivotwatch worker``."""

from __future__ import annotations

import click

from streams.cli.options import note, with_brokers
from streams.config import Config

ROLES = ("accounts", "networks", "delivery", "ingest", "web")


@click.command(short_help="Run one or several roles against Kafka.")
@click.option(
    "--role", "roles", type=click.Choice(ROLES), multiple=True, required=True, help="May be repeated."
)
@click.option("--instance", metavar="NAME", help="Fixed name among the workers of a role: quick restarts.")
@click.option("--until-end", is_flag=True, help="Stop at the end of the topics and close every bucket.")
@with_brokers
def worker(config: Config, roles: tuple[str, ...], instance: str | None, until_end: bool) -> None:
    """Run one role, or several as one process each.

    Of several, the first that dies ends the others; its exit status is the command's.
    """
    distinct = tuple(dict.fromkeys(roles))
    run = _run_one if len(distinct) == 1 else _run_several
    click.get_current_context().exit(run(config, distinct, instance, until_end))


def _run_one(config: Config, roles: tuple[str, ...], instance: str | None, until_end: bool) -> int:
    # Faust and river take a second to import.
    from streams.app import run_worker

    return run_worker(config, role=roles[0], instance=instance, until_end=until_end)


def _run_several(config: Config, roles: tuple[str, ...], instance: str | None, until_end: bool) -> int:
    from streams.processes import Processes, Stopped, sigterm_raises, supervise, worker_command

    try:
        with sigterm_raises(), Processes() as processes:
            for role in roles:
                command = worker_command(role, instance=instance, until_end=until_end)
                processes.start(role, command, config.environment())
            note(f"pivotwatch: started {', '.join(roles)}")
            return supervise(processes, roles, until_end=until_end)
    except (KeyboardInterrupt, Stopped):
        note("pivotwatch: stopped")
        return 0
