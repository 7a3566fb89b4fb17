"""A simulated stream as Kafka records, and everything that may go wrong with it on the way in."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np
import orjson

from pivotwatch.detection.replay import Dealer
from pivotwatch.simulation import generate
from pivotwatch.simulation.simulation import Simulation

JUMP_MS = 3_600_000
LATE_MS = 86_400_000
JITTER_MS = 240_000
"""Below the allowed lateness of five minutes."""

POISON: tuple[bytes | None, ...] = (
    b"",
    None,
    b"\x00\xff\xfe",
    b"{",
    b"[]",
    b"[[]]",
    b"null",
    b"17",
    b'"text"',
    b"{}",
    b'{"id":"\xff"}',
    b"[" * 3_000,
    b'{"id":"p","ts":NaN,"account":"a","model":"m-1"}',
    b'{"id":"p","ts":-1,"account":"a","model":"m-1"}',
    b'{"id":"p","ts":true,"account":"a","model":"m-1"}',
    b'{"id":"p","ts":1,"account":7,"model":"m-1"}',
    b'{"id":"p","ts":1,"account":"","model":"m-1"}',
    b'{"id":"p","ts":1,"account":"a","model":null}',
    b'{"id":"p","ts":1,"account":"a","model":"m-1","links":[1]}',
    b'{"id":"p","ts":1,"account":"a","model":"m-1","input_tokens":-3}',
    b'{"id":"p","ts":1,"account":"a","model":"m-1","status":"200"}',
    b'[{"id":"p"},{"id":"p","ts":1e999}]',
    b"x" * 950_000,
)
"""One record of every kind that cannot be read."""


@dataclasses.dataclass(frozen=True, slots=True)
class Record:
    """A record of ``requests``, ready to be sent."""

    partition: int
    key: bytes | None
    value: bytes | None
    timestamp: int
    headers: tuple[tuple[str, bytes], ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class Mess:
    """How bad the way in is.

    Attributes
    ----------
    reorder
        Deliver events out of order, by less than the allowed lateness.
    repeats
        Share of the records that a transport sends twice.
    jumps
        Share of the events whose producer's clock is an hour ahead, or a day behind.
    poison
        Send every kind of bad record, so often.
    """

    reorder: bool = False
    repeats: float = 0.0
    jumps: float = 0.0
    poison: int = 0


MESSY = Mess(reorder=True, repeats=0.01, jumps=0.002, poison=3)


def simulate(accounts: int, *, seed: int, days: float = 1.0, mean_rate: float | None = None) -> Simulation:
    """A campaign among so many honest accounts; one day of warming up, then the release."""
    return generate(
        "c1",
        seed=seed,
        accounts=accounts,
        scale=max(0.2, min(1.0, accounts / 6_000)),
        warmup_days=1.0,
        days=days,
        mean_rate=mean_rate,
    )


def records(
    simulation: Simulation, partitions: int, *, seed: int, batch: int = 50, mess: Mess | None = None
) -> Iterator[Record]:
    """The stream, as arrays of up to ``batch`` events of one partition."""
    rng = np.random.default_rng([seed, 77])
    mess = mess or Mess()
    dealer = Dealer(partitions)
    slices = max(1, simulation.hours)
    for number, part in enumerate(simulation.slices()):
        lines, delivery = list(part.lines), part.delivery
        if mess.reorder:
            order = np.argsort(delivery + rng.integers(0, JITTER_MS, len(lines)), kind="stable")
            lines, delivery = [lines[i] for i in order.tolist()], delivery[order]
        for i in np.flatnonzero(rng.random(len(lines)) < mess.jumps).tolist():
            lines[i] = _jumped(lines[i], ahead=bool(rng.random() < 0.5))
        for start in range(0, len(lines), batch * partitions):
            stamp = int(delivery[start : start + batch * partitions].max())
            dealt = dealer.deal(list(enumerate(lines[start : start + batch * partitions])))
            for partition, own in enumerate(dealt):
                if own:
                    value = b"[" + b",".join(line.value or b"" for line in own) + b"]"
                    record = Record(partition, None, value, stamp)
                    yield record
                    if rng.random() < mess.repeats:
                        yield record
        if mess.poison and number % max(1, slices // mess.poison) == 1:
            yield from _poison(int(delivery[-1]), partitions)


def _poison(stamp: int, partitions: int) -> Iterator[Record]:
    for number, value in enumerate(POISON):
        yield Record(number % partitions, b"key-%d" % number, value, stamp, (("trace", b"\x00\xff"),))


def _jumped(line: bytes, *, ahead: bool) -> bytes:
    event = orjson.loads(line)
    event["ts"] += JUMP_MS if ahead else -LATE_MS
    return orjson.dumps(event)
