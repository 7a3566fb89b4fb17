"""Generates the requests of accounts, one hour at a time.

Each hour has its own random generator for honest accounts and another one for added accounts, both made
from the seed. So honest events stay the same when a campaign is added.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from pivotwatch.simulation.catalogue import Choice, Timeline, choose
from pivotwatch.simulation.rhythm import HOUR, RHYTHMS, WEEK_HOURS, hour_of_week
from pivotwatch.simulation.world import World

Ints = npt.NDArray[np.int64]


@dataclasses.dataclass(frozen=True, slots=True)
class Batch:
    """Events as columns, with one entry per event.

    Attributes
    ----------
    hour
        Number of the hour of the event, from the beginning of the stream.
    rank
        Position among the events of that hour; ``hour`` and ``rank`` make the id.
    account, network
        Row numbers.
    ts, delivery
        Times of the event and of its delivery in epoch milliseconds.
    model, asked, failed
        See `catalogue.Choice`.
    input, output, tools
        Numbers of input tokens, output tokens and tool calls.
    """

    hour: Ints
    rank: Ints
    account: Ints
    network: Ints
    ts: Ints
    delivery: Ints
    model: Ints
    asked: Ints
    failed: npt.NDArray[np.bool_]
    input: Ints
    output: Ints
    tools: Ints

    def __len__(self) -> int:
        return len(self.ts)

    def take(self, which: npt.NDArray[np.int64] | npt.NDArray[np.bool_]) -> Batch:
        """The events at these indices, in this order."""
        return Batch(**{name: getattr(self, name)[which] for name in self.__slots__})

    @classmethod
    def join(cls, batches: list[Batch]) -> Batch:
        """The events of several batches, one batch after the other."""
        columns = {name: np.concatenate([getattr(b, name) for b in batches]) for name in cls.__slots__}
        return cls(**columns)


class Traffic:
    """The events of a world, hour by hour.

    Parameters
    ----------
    world, timeline
        The accounts, and the actions of the provider.
    seed
        The same seed gives the same events.
    """

    def __init__(self, world: World, timeline: Timeline, seed: int) -> None:
        self.world = world
        self.timeline = timeline
        self.seed = seed
        table = world.accounts
        # A contiguous column is read several times faster than a column of a table.
        self._columns = {name: np.ascontiguousarray(table[name]) for name in table.dtype.names or ()}
        self._parts = [slice(0, world.honest), slice(world.honest, len(table))]
        self.hours = -(-(world.end - world.begin) // HOUR)

    def delivered(self) -> Iterator[Batch]:
        """One batch per hour, sorted by delivery, and a last batch with the events that are still due."""
        pending: list[Batch] = []
        for hour in range(self.hours):
            batch = self.hour(hour)
            if not self.world.delays:
                yield batch
                continue
            both = Batch.join([*pending, batch])
            due = both.delivery < self.world.begin + (hour + 1) * HOUR
            pending = [both.take(~due)]
            yield _by_delivery(both.take(due))
        for rest in pending:
            yield _by_delivery(rest)

    def hour(self, hour: int) -> Batch:
        """The events of one hour, sorted by time."""
        batches = [
            self._draw(np.random.default_rng([self.seed, 7, part, hour]), rows, hour)
            for part, rows in enumerate(self._parts)
            if rows.start < rows.stop
        ]
        joined = Batch.join(batches)
        order = np.argsort(joined.ts, kind="stable")
        return dataclasses.replace(joined.take(order), rank=np.arange(len(order)))

    def _draw(self, rng: np.random.Generator, part: slice, hour: int) -> Batch:
        begin = self.world.begin + hour * HOUR
        counts = self._counts(rng, part, begin)
        account = part.start + np.repeat(np.arange(len(counts)), counts)
        columns = self._columns
        size = len(account)

        # A session starts at a random time of the hour and takes the account's share of the hour.
        start = np.repeat(rng.random(len(counts)), counts)
        place = rng.random(size)
        even = columns["even"][account]
        if even.any():
            nth = np.arange(size) - np.repeat(np.cumsum(counts) - counts, counts)
            total = np.repeat(counts, counts)
            place = np.where(even, (nth + place * 0.5) / np.maximum(total, 1), place)
        within = (start + place * columns["width"][account]) % 1.0
        # An account has no events before its first and after its last time.
        low = np.maximum(columns["first"][part], begin)[account - part.start]
        high = np.minimum(columns["last"][part], begin + HOUR)[account - part.start]
        ts = low + (within * (high - low)).astype(np.int64)

        chosen = self._choose(rng, account, ts)
        network = self._networks(rng, part)[account - part.start]
        delivery = self._delivery(rng, network, ts)
        normal = rng.standard_normal((2, size), dtype=np.float32)
        tokens_in = np.exp(columns["input"][account] + columns["input_sd"][account] * normal[0])
        tokens_out = np.exp(columns["output"][account] + columns["output_sd"][account] * normal[1])
        output = np.clip(tokens_out, 1, 64_000).astype(np.int64)
        output[chosen.failed] = 0
        return Batch(
            hour=np.full(size, hour),
            rank=np.zeros(size, dtype=np.int64),
            account=account,
            network=network,
            ts=ts,
            delivery=delivery,
            model=chosen.model,
            asked=chosen.asked,
            failed=chosen.failed,
            input=np.clip(tokens_in, 1, 400_000).astype(np.int64),
            output=output,
            tools=self._tools(rng, account),
        )

    def _counts(self, rng: np.random.Generator, part: slice, begin: int) -> Ints:
        """The number of requests of each account in this hour."""
        c = {name: self._columns[name][part] for name in _COUNT_COLUMNS}
        local = (hour_of_week(begin) + c["tz"]) % WEEK_HOURS
        expected = c["rate"] / 24 * RHYTHMS[c["rhythm"], local]
        # Exclude the parts of the hour before the first and after the last time of the account.
        alive = np.clip(np.minimum(c["last"], begin + HOUR) - np.maximum(c["first"], begin), 0, HOUR)
        expected *= alive / HOUR
        middle = begin + HOUR // 2
        boosted = (c["boost_from"] <= middle) & (middle < c["boost_until"])
        expected[boosted] *= c["boost"][boosted]
        expected *= rng.standard_gamma(c["shape"]) / c["shape"]
        counts: Ints = rng.poisson(expected)
        return counts

    def _choose(self, rng: np.random.Generator, account: Ints, ts: Ints) -> Choice:
        c = self._columns
        trying = np.where(ts >= c["tries"][account], c["trial"][account], np.float32(0))
        share = np.where(ts >= c["adopts"][account], c["share"][account], trying)
        return choose(
            self.timeline,
            rng,
            ts,
            new_share=share,
            second=ts >= c["second"][account],
            primary=c["primary"][account],
            primary_share=c["primary_share"][account],
            alias=c["alias"][account],
        )

    def _networks(self, rng: np.random.Generator, part: slice) -> Ints:
        """The network that each account uses in this hour."""
        home = self._columns["network"][part]
        draw = rng.random((2, len(home)), dtype=np.float32)
        roams = self._columns["roams"][part]
        elsewhere = roams[np.arange(len(home)), (draw[1] * 2.9999).astype(np.int64)]
        where: Ints = np.where(draw[0] < self._columns["away"][part], elsewhere, home)
        return where

    def _delivery(self, rng: np.random.Generator, network: Ints, ts: Ints) -> Ints:
        delivery = ts
        for delay in self.world.delays:
            late = (network == delay.network) & (ts >= delay.since) & (ts < delay.until)
            delivery = np.where(late, ts + rng.integers(delay.least, delay.most, len(ts)), delivery)
        return delivery

    def _tools(self, rng: np.random.Generator, account: Ints) -> Ints:
        mean = self._columns["tools"][account]
        tools = np.zeros(len(account), dtype=np.int64)
        uses = mean > 0
        tools[uses] = rng.poisson(mean[uses])
        return tools


_COUNT_COLUMNS = ("tz", "rate", "rhythm", "first", "last", "boost_from", "boost_until", "boost", "shape")


def _by_delivery(batch: Batch) -> Batch:
    return batch.take(np.argsort(batch.delivery, kind="stable"))
