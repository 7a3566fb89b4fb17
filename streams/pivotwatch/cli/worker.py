"""``pivotwatch worker``."""

from __future__ import annotations

import logging
import sys
from typing import Any, cast

import click

from pivotwatch.cli.options import note, with_brokers
from pivotwatch.config.config import Config

ROLES = ("accounts", "networks", "delivery", "ingest", "web")
LEVELS = ("debug", "info", "warning", "error")


@click.command(short_help="Run one or several roles against Kafka.")
@click.option(
    "--role", "roles", type=click.Choice(ROLES), multiple=True, required=True, help="May be repeated."
)
@click.option("--instance", metavar="NAME", help="Fixed name among the workers of a role: quick restarts.")
@click.option("--until-end", is_flag=True, help="Stop at the end of the topics and close every bucket.")
@click.option("--reset-state", is_flag=True, help="Forget the saved state and count anew from the topic.")
@click.option("--log-level", type=click.Choice(LEVELS), default="info", show_default=True)
@with_brokers
def worker(config: Config, *, roles: tuple[str, ...], **how: Any) -> None:
    """Run one role, or several as one process each.

    Of several, the first that dies ends the others; its exit status is the command's.
    """
    distinct = tuple(dict.fromkeys(roles))
    status = (
        _run_one(config, distinct[0], **how) if len(distinct) == 1 else _run_several(config, distinct, **how)
    )
    click.get_current_context().exit(status)


def _run_one(
    config: Config, role: str, *, instance: str | None, until_end: bool, reset_state: bool, log_level: str
) -> int:
    form = f"%(asctime)s %(levelname)s {role}: %(message)s"
    logging.basicConfig(level=log_level.upper(), format=form, stream=sys.stderr)
    from pivotwatch.base.child_processes import Stopped, sigterm_raises

    try:
        with sigterm_raises():  # Until the event loop of the worker takes signals over.
            # Faust and river take a second to import.
            from pivotwatch.roles.registry import run_worker

            # The option admits the names of roles only.
            return run_worker(
                config.for_role(cast("Any", role)),
                role=cast("Any", role),
                instance=instance,
                until_end=until_end,
                reset_state=reset_state,
            )
    except Stopped:
        note(f"pivotwatch: {role} stopped before it had begun")
        return 0


def _run_several(
    config: Config,
    roles: tuple[str, ...],
    *,
    instance: str | None,
    until_end: bool,
    reset_state: bool,
    log_level: str,
) -> int:
    from pivotwatch.base.child_processes import Processes, Stopped, sigterm_raises, supervise, worker_command

    flags = [flag for flag, given in (("--until-end", until_end), ("--reset-state", reset_state)) if given]
    flags += ["--instance", instance] if instance else []
    try:
        with sigterm_raises(), Processes() as processes:
            for place, role in enumerate(roles):
                command = worker_command(role, *flags, "--log-level", log_level)
                # Each serves pages of its own: metrics, health, or the page.
                processes.start(role, command, config.for_role(cast("Any", role), place).environment())
            note(f"pivotwatch: started {', '.join(roles)}")
            return supervise(processes, roles, until_end=until_end)
    except (KeyboardInterrupt, Stopped):
        note("pivotwatch: stopped")
        return 0
