"""Traffic whose state does not grow: fixed accounts, groups and models, with event time as fast as the clock.

Every account is active within the first seconds and tries every model in its first requests. (Bucket
records list for 90 days which models an account has used, so a model that accounts use for the first time
later would make them longer.) Afterwards all accounts use the base model. Every `WATCH_S` seconds a model is
released. The accounts of one network, the only ones that have not tried it, then switch to it together,
which raises an alert. After the watch they switch back. So after the first watches the state is complete and
hardly changes in size.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np
import orjson

from pivotwatch.contracts.events import format_time
from pivotwatch.detection.dealer import Dealer
from tests.chaos.traffic import BAD_RECORDS, Record

BUCKET_S, WATCH_S, LATENESS_S = 5, 150, 2
SETTINGS: dict[str, Any] = {
    "bucket": f"{BUCKET_S}s",
    "watch": f"{WATCH_S}s",
    "allowed_lateness": f"{LATENESS_S}s",
}
"""Short buckets and watches, so that their state is built and discarded many times in half an hour."""

BATCH = 20
PER_NETWORK, PER_PAYMENT = 40, 20
BAD_EACH, LATE_EACH, FAILED_EACH, TEXT_EACH = 249, 51, 41, 31
"""One record in this many is bad, or has an event that is late, has failed, or has its time as text."""
LATE_MS = 60_000
MOVE_AT = 0.6
"""When the network switches to the released model, as a fraction of the watch."""


@dataclasses.dataclass(frozen=True, slots=True)
class SteadyTraffic:
    """A steady load.

    Attributes
    ----------
    accounts
        Number of accounts; all of them are always active.
    rate
        Events per second.
    seconds
        Duration.
    begin
        Event time of the first event, in epoch milliseconds.
    partitions
        Number of partitions of ``requests``.
    seed
        Seed of the random numbers.
    """

    accounts: int
    rate: int
    seconds: int
    begin: int
    partitions: int = 4
    seed: int = 1

    @property
    def records_per_second(self) -> float:
        """Records of `BATCH` events per second."""
        return self.rate / BATCH

    @property
    def models(self) -> int:
        """Number of released models."""
        return -(-self.seconds // WATCH_S)

    def releases(self) -> list[dict[str, Any]]:
        """The complete release calendar."""
        return [
            {"model": f"m-{i}", "released_at": format_time(self.begin + i * WATCH_S * 1000)}
            for i in range(1, self.models)
        ]

    def records(self) -> Iterator[Record]:
        """The stream, as arrays of `BATCH` events of one partition each."""
        rng = np.random.default_rng(self.seed)
        dealt = self._dealt()
        at = [0] * self.partitions
        for number in range(int(self.seconds * self.records_per_second)):
            stamp = self.begin + int(number * 1000 / self.records_per_second)
            partition = number % self.partitions
            if number % BAD_EACH == BAD_EACH - 1:
                value = BAD_RECORDS[number // BAD_EACH % len(BAD_RECORDS)]
                yield Record(partition, b"key", value, stamp, (("trace", b"\x00\xff"),))
                continue
            own, start = dealt[partition], at[partition]
            accounts = [own[(start + i) % len(own)] for i in range(BATCH)]
            turns = [(start + i) // len(own) for i in range(BATCH)]
            at[partition] = start + BATCH
            draws = rng.random((BATCH, 2)).tolist()
            events = [
                self._event(f"{number}-{i}", stamp, account, turns[i], *draws[i])
                for i, account in enumerate(accounts)
            ]
            if number % LATE_EACH == 0:
                # In its own network: groups with late events are not scored for a day.
                events[0] |= {"ts": stamp - LATE_MS, "network": "AS-late", "links": {}}
            if number % FAILED_EACH == 0:
                events[1]["status"] = 429
            if number % TEXT_EACH == 0:
                events[2]["ts"] = format_time(events[2]["ts"])
            yield Record(partition, None, orjson.dumps(events), stamp)

    def _event(
        self, name: str, stamp: int, account: int, turn: int, draw: float, size: float
    ) -> dict[str, Any]:
        return {
            "id": name,
            "ts": stamp,
            "account": f"account-{account:06d}",
            "network": f"AS{account // PER_NETWORK}",
            "links": {"payment": f"card-{account // PER_PAYMENT}"},
            "model": self._model(stamp - self.begin, account, turn, draw),
            "input_tokens": 50 + int(900 * size),
            "output_tokens": 20 + int(400 * draw),
        }

    def _model(self, since: int, account: int, turn: int, draw: float) -> str:
        """The model of an account's request, its ``turn``-th."""
        network = account // PER_NETWORK
        window, within = divmod(since, WATCH_S * 1000)
        if turn < self.models:
            return "m-0" if network == self.moving(turn) else f"m-{turn}"
        moves = network == self.moving(window) and within > MOVE_AT * WATCH_S * 1000
        return f"m-{window}" if moves and draw < 0.9 else "m-0"

    def moving(self, window: int) -> int:
        """Number of the network that switches to the model of a watch."""
        return window * 7 % (self.accounts // PER_NETWORK - 1) + 1

    def _dealt(self) -> list[list[int]]:
        """Accounts by partition, as Kafka's partitioner assigns them."""
        dealer = Dealer(self.partitions)
        lines = [
            (number, orjson.dumps({"account": f"account-{number:06d}"})) for number in range(self.accounts)
        ]
        return [[line.offset for line in own] for own in dealer.deal(lines)]
