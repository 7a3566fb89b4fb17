"""``pivotwatch worker``."""

from __future__ import annotations

import logging
import sys
from typing import get_args

import click

from pivotwatch.base.child_processes import Processes, Stopped, sigterm_raises, supervise, worker_command
from pivotwatch.base.log_format import LogFormat
from pivotwatch.base.log_limits import limit_log_lines
from pivotwatch.cli.commands import Command
from pivotwatch.cli.options import note, with_brokers
from pivotwatch.config.config import Config, Role

LEVELS = ("debug", "info", "warning", "error")


@click.command(
    cls=Command,
    short_help="Run one or several roles against Kafka.",
    example="pivotwatch worker --role accounts --role networks --brokers kafka:9092",
)
@click.option(
    "--role",
    "roles",
    type=click.Choice(get_args(Role)),
    multiple=True,
    required=True,
    help="Role to run (repeatable).",
)
@click.option(
    "--instance",
    metavar="NAME",
    help="Fixed name of this worker among the workers of its role; lets it restart without a rebalance.",
)
@click.option("--until-end", is_flag=True, help="Stop at the end of the topics, and close every bucket.")
@click.option("--reset-state", is_flag=True, help="Delete the saved state, and count again from the topic.")
@click.option(
    "--log-level", type=click.Choice(LEVELS), default="info", show_default=True, help="Lowest level to log."
)
@with_brokers
def worker(
    config: Config,
    *,
    roles: tuple[Role, ...],
    instance: str | None,
    until_end: bool,
    reset_state: bool,
    log_level: str,
) -> None:
    """Run one role, or several roles as one process each.

    When one of several processes ends, the command stops the others and exits with the same status.
    """
    distinct = tuple(dict.fromkeys(roles))
    if len(distinct) == 1:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(LogFormat(f"%(asctime)s %(levelname)s {distinct[0]}: %(message)s"))
        logging.basicConfig(level=log_level.upper(), handlers=[handler])
        limit_log_lines()
        status = _run_one(config, distinct[0], instance, until_end=until_end, reset_state=reset_state)
    else:
        flags = ["--log-level", log_level]
        flags += ["--instance", instance] if instance else []
        flags += [
            name for name, given in (("--until-end", until_end), ("--reset-state", reset_state)) if given
        ]
        status = _run_several(config, distinct, flags, until_end=until_end)
    click.get_current_context().exit(status)


def _run_one(config: Config, role: Role, instance: str | None, *, until_end: bool, reset_state: bool) -> int:
    try:
        with sigterm_raises():  # The event loop of the worker handles signals later.
            from pivotwatch.roles.registry import run_worker

            return run_worker(
                config.for_role(role),
                role=role,
                instance=instance,
                until_end=until_end,
                reset_state=reset_state,
            )
    except Stopped:
        note(f"pivotwatch: {role} stopped before it started")
        return 0


def _run_several(config: Config, roles: tuple[Role, ...], flags: list[str], *, until_end: bool) -> int:
    try:
        with sigterm_raises(), Processes() as processes:
            for index, role in enumerate(roles):
                # Each process serves its own metrics, health and page.
                environment = config.for_role(role, index).environment()
                processes.start(role, worker_command(role, *flags), environment)
            note(f"pivotwatch: started {', '.join(roles)}")
            return supervise(processes, roles, until_end=until_end)
    except (KeyboardInterrupt, Stopped):
        note("pivotwatch: stopped")
        return 0
