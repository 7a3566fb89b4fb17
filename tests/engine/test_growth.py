"""Partitions that are added to the input while a worker runs."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from faust.types import TP

from pivotwatch.base.errors import WrongUse
from pivotwatch.roles.accounts import AccountsTask
from tests.engine.rig import shell_of


def shell(partitions: int) -> Any:
    return shell_of(None, AccountsTask(partitions, pytest.fail), "requests", state_partitions=partitions)


def test_an_added_partition_ends_the_worker() -> None:
    with pytest.raises(WrongUse, match="requests has more than the 4 partitions"):
        asyncio.run(shell(4).resume({TP("requests", 0): 7, TP("requests", 4): None}))


def test_the_initial_partitions_are_accepted() -> None:
    assert asyncio.run(shell(4).resume({TP("requests", 3): 7})) == {}
