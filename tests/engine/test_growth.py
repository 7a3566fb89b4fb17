"""An input that is given more partitions while a worker runs."""

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


def test_a_partition_that_was_added_is_refused_not_left_unread() -> None:
    with pytest.raises(WrongUse, match="requests was given more than the 4 partitions"):
        asyncio.run(shell(4).resume({TP("requests", 0): 7, TP("requests", 4): None}))


def test_the_partitions_of_the_start_are_taken() -> None:
    assert asyncio.run(shell(4).resume({TP("requests", 3): 7})) == {}
