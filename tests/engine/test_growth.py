"""An input that is given more partitions while a worker runs."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from faust.types import TP

from pivotwatch.base.errors import WrongUse
from pivotwatch.config.config import load
from pivotwatch.roles.accounts import AccountsShell


def shell(partitions: int) -> AccountsShell:
    app: Any = SimpleNamespace(tables={"state": SimpleNamespace(partitions=partitions)})
    return AccountsShell(app, load(), source="requests", partitions=partitions, make_operator=pytest.fail)


def test_a_partition_that_was_added_is_refused_not_left_unread() -> None:
    with pytest.raises(WrongUse, match="requests was given more than the 4 partitions"):
        asyncio.run(shell(4).resume({TP("requests", 0): 7, TP("requests", 4): None}))


def test_the_partitions_of_the_start_are_taken() -> None:
    assert asyncio.run(shell(4).resume({TP("requests", 3): 7})) == {}
