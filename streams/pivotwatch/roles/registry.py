"""The roles of a worker, by name. Only the command line and the demo run roles."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Protocol

from pivotwatch.config.config import Config, Role
from pivotwatch.engine import open_files


class RunRole(Protocol):
    """Runs a role in this process, until a signal or the end of its input."""

    def __call__(self, config: Config, *, instance: str | None, until_end: bool, reset_state: bool) -> int:
        """Return the exit status: 0 for a clean end, 1 for a crash."""


ROLES: Mapping[Role, str] = {
    "accounts": "pivotwatch.roles.accounts",
    "networks": "pivotwatch.roles.networks",
    "delivery": "pivotwatch.roles.delivery",
    "ingest": "pivotwatch.roles.ingest",
    "web": "pivotwatch.roles.web",
}
"""Role to its module, which has a function ``run``. A worker imports only its own: they are large."""


def run_worker(
    config: Config,
    *,
    role: Role,
    instance: str | None = None,
    until_end: bool = False,
    reset_state: bool = False,
) -> int:
    """Run the worker of a role in this process, until a signal or the end of its input.

    Parameters
    ----------
    instance
        The name of the worker in its group. A named worker keeps its partitions over a restart.
    until_end
        Whether to end at the end of the input.
    reset_state
        Whether to discard the stored state and to begin again with what the topic holds.

    Returns
    -------
    int
        0 for a clean end, 1 for a crash.

    Raises
    ------
    Fault
        With a message for a person: no broker, no topic, or a state that must not be continued.
    """
    open_files.raise_limit()
    run: RunRole = import_module(ROLES[role]).run
    return run(config, instance=instance, until_end=until_end, reset_state=reset_state)
