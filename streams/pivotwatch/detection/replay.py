"""Replay: the same steps over a file, without a broker.

Lines are dealt to partitions as Kafka's producer would deal them by account (murmur2), each partition
has its accounts step, and their records go to one networks step. The alerts are those of a run
through Kafka with the same number of partitions, to the byte.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

import orjson

from pivotwatch.base.network_classes import NetworkClass
from pivotwatch.base.partitioning import partition_of
from pivotwatch.contracts.records import Line, Output
from pivotwatch.detection.counting.operator import CountingOperator
from pivotwatch.detection.scoring.operator import ScoringOperator
from pivotwatch_models.settings import Settings

CHUNK = 5_000


def replay(
    settings: Settings,
    lines: Iterable[bytes],
    *,
    partitions: int = 1,
    releases: Sequence[dict[str, Any]] = (),
    decisions: Sequence[dict[str, Any]] = (),
    network_class: NetworkClass = lambda _: None,
) -> Iterator[Output]:
    """Outputs (alerts, status, dead letters) of the events in ``lines``, in the order of event time.

    Parameters
    ----------
    settings
        Parameters of the method.
    lines
        One native event a line (or an array of events of one account).
    partitions
        As many as the topic has that a run through Kafka would use.
    releases, decisions
        Control records, in effect from the first bucket. There are no incidents then: a decision on an alert,
        and ``benign`` or ``confirmed``, find nothing to decide.
    network_class
        Knows the class of a network.

    Examples
    --------
    >>> list(replay(Settings(), [b"{}"]))[0].topic
    'dlq'
    """
    networks = ScoringOperator(settings, partitions, network_class)
    yield from _control(networks, releases, decisions)
    accounts = [CountingOperator(settings, p, partitions) for p in range(partitions)]
    dealer = Dealer(partitions)
    stream = enumerate(line for line in lines if line.strip())
    while chunk := list(islice(stream, CHUNK)):
        for partition, records in enumerate(dealer.deal(chunk)):
            yield from _pass_on(accounts[partition].process(records), networks)
    for step in accounts:
        yield from _pass_on(step.final(), networks)


def _control(
    networks: ScoringOperator, releases: Sequence[Any], decisions: Sequence[Any]
) -> Iterator[Output]:
    for topic, records in (("releases", releases), ("decisions", decisions)):
        for offset, record in enumerate(records):
            yield from networks.control(topic, Line(orjson.dumps(record), offset=offset))


def _pass_on(outputs: list[Output], networks: ScoringOperator) -> Iterator[Output]:
    """Bucket records go to the networks step, everything else out."""
    for output in outputs:
        if output.topic == "buckets":
            yield from networks.process([Line(output.value)])
        else:
            yield output


class Dealer:
    """Deals lines to partitions by account, as Kafka's default partitioner does.

    Parameters
    ----------
    partitions
        Number of partitions.
    """

    def __init__(self, partitions: int) -> None:
        self.partitions = partitions
        self._known: dict[Any, int] = {}

    def deal(self, lines: Sequence[tuple[int, bytes]]) -> list[list[Line]]:
        """Numbered lines, dealt; what cannot be read goes to partition 0."""
        dealt: list[list[Line]] = [[] for _ in range(self.partitions)]
        if self.partitions == 1:
            return [[Line(line, offset=number) for number, line in lines]]
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
    """Account of a line (of the first event, if it is an array)."""
    try:
        event = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    if isinstance(event, list):
        event = event[0] if event else None
    account = event.get("account") if isinstance(event, dict) else None
    return account if isinstance(account, str) else None
