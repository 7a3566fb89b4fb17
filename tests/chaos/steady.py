"""Traffic that leaves nothing to grow: fixed accounts, groups and models, event time as fast as the clock.

Every account is there within the first seconds, and tries every model in its first requests: what an account
has used is told in every bucket for 90 days, so each model that anybody took up later would make the records
longer. From then on all keep to the base model, but that every `WATCH_S` seconds a model is released and the
accounts of one network, who alone have not tried it, move to it at once, which is an alert. When the watch is
over they go back. So after the first watches everything that is kept is there, and hardly anything new comes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np
import orjson

from pivotwatch.contracts.events import format_time
from pivotwatch.detection.replay import Dealer
from tests.chaos.traffic import POISON, Record

BUCKET_S, WATCH_S, LATENESS_S = 5, 150, 2
SETTINGS: dict[str, Any] = {
    "bucket": f"{BUCKET_S}s",
    "watch": f"{WATCH_S}s",
    "allowed_lateness": f"{LATENESS_S}s",
}
"""Short buckets and watches: what they hold fills up and goes again many times in half an hour."""

BATCH = 20
PER_NETWORK, PER_PAYMENT = 40, 20
POISON_EACH, LATE_EACH, FAILED_EACH, TEXT_EACH = 249, 51, 41, 31
"""One record in so many is poison, or has an event that is late, has failed, or has its time as text."""
LATE_MS = 60_000
MOVE_AT = 0.6
"""When the network of a release moves, as a part of the watch."""


@dataclasses.dataclass(frozen=True, slots=True)
class Steady:
    """A steady load.

    Attributes
    ----------
    accounts
        Number of accounts, all of them always active.
    rate
        Events a second.
    seconds
        How long.
    begin
        Event time of the first event, epoch milliseconds.
    partitions
        Of ``requests``.
    """

    accounts: int
    rate: int
    seconds: int
    begin: int
    partitions: int = 4
    seed: int = 1

    @property
    def records_a_second(self) -> float:
        """Records of `BATCH` events a second."""
        return self.rate / BATCH

    @property
    def models(self) -> int:
        """Number of models that are released."""
        return -(-self.seconds // WATCH_S)

    def releases(self) -> list[dict[str, Any]]:
        """The calendar, whole from the beginning."""
        return [
            {"model": f"m-{i}", "released_at": format_time(self.begin + i * WATCH_S * 1000)}
            for i in range(1, self.models)
        ]

    def records(self) -> Iterator[Record]:
        """The stream, as arrays of `BATCH` events of one partition each."""
        rng = np.random.default_rng(self.seed)
        dealt = self._dealt()
        at = [0] * self.partitions
        for number in range(int(self.seconds * self.records_a_second)):
            stamp = self.begin + int(number * 1000 / self.records_a_second)
            partition = number % self.partitions
            if number % POISON_EACH == POISON_EACH - 1:
                value = POISON[number // POISON_EACH % len(POISON)]
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
                # Of a network of its own: of groups whose events come late nothing is concluded for a day.
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
        """Number of the network that moves at once to the model of a watch."""
        return window * 7 % (self.accounts // PER_NETWORK - 1) + 1

    def _dealt(self) -> list[list[int]]:
        """Accounts by partition, as Kafka deals them."""
        dealer = Dealer(self.partitions)
        lines = [
            (number, orjson.dumps({"account": f"account-{number:06d}"})) for number in range(self.accounts)
        ]
        return [[line.offset for line in own] for own in dealer.deal(lines)]
