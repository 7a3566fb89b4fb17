"""Versions of stored state: an older one is migrated, a newer one refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pivotwatch.base.errors import WrongUse

Migration = Callable[[dict[str, Any]], dict[str, Any]]


class StateRefused(WrongUse):
    """There is a state, but this worker must not continue it."""


def migrated(
    state: dict[str, Any], what: str, *, version: int, migrations: Mapping[int, Migration]
) -> dict[str, Any]:
    """Bring stored state into the form of today.

    Parameters
    ----------
    state
        With its version under ``version``.
    what
        For the message.
    version
        The version of today.
    migrations
        From a version to what makes the next one of it.

    Raises
    ------
    StateRefused
        When a newer program wrote it, or one so old that no migration is left.

    Examples
    --------
    >>> migrated({"version": 1, "n": 3}, "it", version=2, migrations={1: lambda old: {**old, "m": old["n"]}})
    {'version': 2, 'n': 3, 'm': 3}
    >>> migrated({"version": 3}, "the state", version=2, migrations={})
    Traceback (most recent call last):
    pivotwatch.engine.state_migration.StateRefused: the state was written in version 3, this program reads
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
                f"{what} was written in version {found}, which this program reads no more: "
                "install a program in between first, or start with --reset-state"
            )
        state = {**migrations[found](state), "version": found + 1}
    return state
