"""A simulated stream as Kafka records, with input faults: disorder, repeats, wrong clocks, bad records."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np
import orjson

from pivotwatch.detection.dealer import Dealer
from pivotwatch.simulation import generate
from pivotwatch.simulation.simulation import Simulation

JUMP_MS = 3_600_000
LATE_MS = 86_400_000
JITTER_MS = 240_000
"""Below the allowed lateness of five minutes."""

BAD_RECORDS: tuple[bytes | None, ...] = (
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
"""One record of every unreadable kind."""


@dataclasses.dataclass(frozen=True, slots=True)
class Record:
    """A record to be sent to ``requests``."""

    partition: int
    key: bytes | None
    value: bytes | None
    timestamp: int
    headers: tuple[tuple[str, bytes], ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class InputFaults:
    """Faults of the input.

    Attributes
    ----------
    reorder
        Whether events arrive out of order, by less than the allowed lateness.
    repeats
        Fraction of the records that are sent twice.
    jumps
        Fraction of the events with a clock that is an hour ahead or a day behind.
    bad_records
        How often each kind of bad record is sent.
    """

    reorder: bool = False
    repeats: float = 0.0
    jumps: float = 0.0
    bad_records: int = 0


ALL_INPUT_FAULTS = InputFaults(reorder=True, repeats=0.01, jumps=0.002, bad_records=3)


def simulate(accounts: int, *, seed: int, days: float = 1.0, mean_rate: float | None = None) -> Simulation:
    """Simulate a campaign among this many honest accounts: one day before the release, then ``days``."""
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
    simulation: Simulation,
    partitions: int,
    *,
    seed: int,
    batch: int = 50,
    input_faults: InputFaults | None = None,
) -> Iterator[Record]:
    """The stream as Kafka records; each is an array of up to ``batch`` events of one partition."""
    rng = np.random.default_rng([seed, 77])
    input_faults = input_faults or InputFaults()
    dealer = Dealer(partitions)
    slices = max(1, simulation.hours)
    for number, part in enumerate(simulation.slices()):
        lines, delivery = list(part.lines), part.delivery
        if input_faults.reorder:
            order = np.argsort(delivery + rng.integers(0, JITTER_MS, len(lines)), kind="stable")
            lines, delivery = [lines[i] for i in order.tolist()], delivery[order]
        for i in np.flatnonzero(rng.random(len(lines)) < input_faults.jumps).tolist():
            lines[i] = _jumped(lines[i], ahead=bool(rng.random() < 0.5))
        for start in range(0, len(lines), batch * partitions):
            stamp = int(delivery[start : start + batch * partitions].max())
            dealt = dealer.deal(list(enumerate(lines[start : start + batch * partitions])))
            for partition, own in enumerate(dealt):
                if own:
                    value = b"[" + b",".join(line.value or b"" for line in own) + b"]"
                    record = Record(partition, None, value, stamp)
                    yield record
                    if rng.random() < input_faults.repeats:
                        yield record
        if input_faults.bad_records and number % max(1, slices // input_faults.bad_records) == 1:
            yield from _bad_records(int(delivery[-1]), partitions)


def _bad_records(stamp: int, partitions: int) -> Iterator[Record]:
    for number, value in enumerate(BAD_RECORDS):
        yield Record(number % partitions, b"key-%d" % number, value, stamp, (("trace", b"\x00\xff"),))


def _jumped(line: bytes, *, ahead: bool) -> bytes:
    event = orjson.loads(line)
    event["ts"] += JUMP_MS if ahead else -LATE_MS
    return orjson.dumps(event)
