"""Deals events to partitions by account, as a Kafka producer does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from pivotwatch.base.partitioning import partition_of
from pivotwatch.contracts.records import Line


class Dealer:
    """Deals lines to partitions by account.

    Parameters
    ----------
    partitions
        Number of partitions.

    Examples
    --------
    >>> lines = [b'{"account":"acct-1"}', b'{"account":"acct-2"}', b"{"]
    >>> [[line.offset for line in dealt] for dealt in Dealer(2).deal(list(enumerate(lines)))]
    [[0, 2], [1]]
    """

    def __init__(self, partitions: int) -> None:
        self.partitions = partitions
        self._known: dict[str | None, int] = {}

    def deal(self, lines: Sequence[tuple[int, bytes]]) -> list[list[Line]]:
        """One list of records per partition, from numbered lines.

        A line without a readable account goes to partition 0.
        """
        if self.partitions == 1:
            return [[Line(line, offset=number) for number, line in lines]]
        dealt: list[list[Line]] = [[] for _ in range(self.partitions)]
        for number, line in lines:
            account = _account(line)
            partition = self._known.get(account)
            if partition is None:
                partition = self._known[account] = self._partition(account)
            dealt[partition].append(Line(line, offset=number))
        return dealt

    def _partition(self, account: str | None) -> int:
        return 0 if account is None else partition_of(account, self.partitions)


def _account(line: bytes) -> str | None:
    """Account of a line; of an array, the account of its first event."""
    try:
        event: Any = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    if isinstance(event, list):
        event = event[0] if event else None
    account = event.get("account") if isinstance(event, dict) else None
    return account if isinstance(account, str) else None
