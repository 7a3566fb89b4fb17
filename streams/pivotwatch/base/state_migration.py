"""Versions of stored state: older versions are migrated, newer ones refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pivotwatch.base.errors import WrongUse

Migration = Callable[[dict[str, Any]], dict[str, Any]]


class StateRefused(WrongUse):
    """A state exists, but this worker must not continue it."""


def migrated(
    state: dict[str, Any], what: str, *, version: int, migrations: Mapping[int, Migration]
) -> dict[str, Any]:
    """Migrate stored state to the current version.

    Parameters
    ----------
    state
        The state, with its version under ``version``.
    what
        Name of the state for the message.
    version
        The current version.
    migrations
        By version, a function that converts the state to the next version.

    Raises
    ------
    StateRefused
        When its version is newer, or too old to migrate.

    Examples
    --------
    >>> migrated({"version": 1, "n": 3}, "it", version=2, migrations={1: lambda old: {**old, "m": old["n"]}})
    {'version': 2, 'n': 3, 'm': 3}
    >>> migrated({"version": 3}, "the state", version=2, migrations={})
    Traceback (most recent call last):
    pivotwatch.base.state_migration.StateRefused: the state was written in version 3, this program reads
    up to 2: \
install the newer program, or start with --reset-state
    """
    if state["version"] > version:
        raise StateRefused(
            f"{what} was written in version {state['version']}, this program reads up to "
            f"{version}: install the newer program, or start with --reset-state"
        )
    while (found := state["version"]) < version:
        if found not in migrations:
            raise StateRefused(
                f"{what} was written in version {found}, which this program no longer reads: "
                "install a version in between first, or start with --reset-state"
            )
        state = {**migrations[found](state), "version": found + 1}
    return state
