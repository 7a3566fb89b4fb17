"""The events of a measurement. The same parameters give the same bytes.

A plain day of a provider: accounts with uneven activity request an established model, and from the third
hour on a quarter of them also new models. The events have the fields and the length of those of `pivotwatch
simulate`, which simulates campaigns.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from kafka.partitioner.default import murmur2

from pivotwatch_models.settings import HOUR_MS

BEGIN = 1_769_990_400_000
"""2026-02-02 00:00 UTC, in epoch milliseconds."""
SLICE = 50_000
RELEASE_HOUR = 2


class Message(NamedTuple):
    """A record as an operator reads it (`pivotwatch.contracts.records.InputRecord`)."""

    value: bytes
    offset: int
    timestamp: int
    key: bytes
    headers: tuple[tuple[str, bytes], ...] = ()


@dataclasses.dataclass(frozen=True)
class Traffic:
    """Parameters of the events.

    Attributes
    ----------
    events, accounts, groups
        Numbers. Account ``i`` is in network ``i % groups``; its activity is proportional to ``1/sqrt(i)``.
    watched
        Number of new models in the third hour.
    partitions
        Number of partitions; accounts are assigned as by Kafka's default partitioner.
    array
        Events per message; with 1, a message is an object, else an array.

    Examples
    --------
    >>> traffic = Traffic(events=1_000, accounts=100, groups=10, partitions=2)
    >>> [len(messages) for messages in next(traffic.slices())]
    [531, 469]
    """

    events: int
    accounts: int
    groups: int
    watched: int = 1
    hours: int = 24
    partitions: int = 4
    array: int = 1
    seed: int = 1

    def slices(self) -> Iterator[list[list[Message]]]:
        """The messages by partition, in parts of some tens of thousands."""
        rng = np.random.default_rng(self.seed)
        partition_of = [-1] * self.accounts
        offsets = [0] * self.partitions
        for start in range(0, self.events, SLICE):
            size = min(SLICE, self.events - start)
            dealt: list[list[tuple[int, bytes, bytes]]] = [[] for _ in range(self.partitions)]
            for account, moment, value in self._events(rng, start, size):
                key = f"acct-{account:08x}".encode()
                partition = partition_of[account]
                if partition < 0:
                    partition = partition_of[account] = (murmur2(key) & 0x7FFFFFFF) % self.partitions
                dealt[partition].append((moment, key, value))
            messages = [self._messages(of, offsets[p]) for p, of in enumerate(dealt)]
            for partition, of in enumerate(messages):
                offsets[partition] += len(of)
            yield messages

    def _messages(self, events: list[tuple[int, bytes, bytes]], offset: int) -> list[Message]:
        if self.array == 1:
            return [Message(value, i, ts, key) for i, (ts, key, value) in enumerate(events, offset)]
        cut = [events[i : i + self.array] for i in range(0, len(events), self.array)]
        return [
            Message(b"[" + b",".join(value for _, _, value in part) + b"]", i, part[-1][0], part[-1][1])
            for i, part in enumerate(cut, offset)
        ]

    def _events(self, rng: np.random.Generator, start: int, size: int) -> Iterator[tuple[int, int, bytes]]:
        """Account, event time and JSON of each event, in order of time."""
        numbers = np.arange(start, start + size)
        accounts = (self.accounts * rng.random(size) ** 2).astype(np.int64)
        moments = BEGIN + numbers * (self.hours * HOUR_MS) // self.events
        tempted = (accounts % 4 == 0) & (moments >= BEGIN + RELEASE_HOUR * HOUR_MS) & (rng.random(size) < 0.5)
        models = np.where(tempted, 2 + accounts // 4 % self.watched, 1)
        tokens_in, tokens_out = rng.integers(50, 4_000, size), rng.integers(20, 1_000, size)
        columns = (numbers, accounts, moments, models, tokens_in, tokens_out)
        for n, account, ts, model, t_in, t_out in zip(*(c.tolist() for c in columns), strict=True):
            link = f'"payment":"pay-{account:08x}"' if account % 3 == 0 else '"signup":"2026-01-21T09"'
            text = (
                f'{{"id":"r{n:x}","ts":{ts},"account":"acct-{account:08x}",'
                f'"network":"AS{4_200_000_000 + account % self.groups}","model":"m-{model}",'
                f'"input_tokens":{t_in},"output_tokens":{t_out},"status":200,"tools":{n % 2},'
                f'"links":{{{link}}},"account_created":{BEGIN - 86_400_000 - account}}}'
            )
            yield account, ts, text.encode()


SIZES: dict[str, Traffic] = {
    "small": Traffic(events=300_000, accounts=24_000, groups=600, hours=7),
    "1m": Traffic(events=1_000_000, accounts=24_000, groups=600),
    "10m": Traffic(events=10_000_000, accounts=1_000_000, groups=25_000),
}
