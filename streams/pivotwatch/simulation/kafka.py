"""Simulations into Kafka, paced by event time.

The key of a record is its account, its timestamp the time of delivery. Kafka keeps, rejects and
deletes by that timestamp: a topic for events of the past needs a retention that covers
them, and events of the future are refused by a broker with its default settings.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import orjson
from kafka import KafkaProducer
from kafka.errors import KafkaError
from kafka.partitioner import DefaultPartitioner
from kafka.partitioner.default import murmur2

from pivotwatch.base.errors import OutOfReach, WrongUse
from pivotwatch.simulation.encode import Slice

Row = tuple[bytes, bytes, int]
# As much is sent between two looks at the clock.
BURST_SECONDS = 0.02


class _Remembering(DefaultPartitioner):  # type: ignore[misc]
    """Kafka's own partitioner (murmur2), which here computes each account's hash only once."""

    def __init__(self) -> None:
        self._known: dict[tuple[bytes, int], int] = {}

    def partition(self, *arguments: Any) -> int:
        topic, _, key, _, _, cluster = arguments
        place = (key, len(cluster.partitions_for_topic(topic) or ()))
        found = self._known.get(place)
        if found is None:
            found = int(super().partition(*arguments))
            self._known[place] = found
        return found


class Player:
    """Sends a simulation to Kafka.

    Parameters
    ----------
    brokers
        ``HOST:PORT``, several with commas.
    options
        More settings of kafka-python's producer (security, say).

    Raises
    ------
    OutOfReach
        No broker answers, or a record was not acknowledged.
    """

    def __init__(self, brokers: str, options: Mapping[str, Any] | None = None) -> None:
        settings: dict[str, Any] = {
            "bootstrap_servers": brokers.split(","),
            "acks": "all",
            "enable_idempotence": True,
            "linger_ms": 20,
            "batch_size": 256 * 1024,
            "bootstrap_timeout_ms": 5_000,
            "max_block_ms": 30_000,
            "metrics_enabled": False,
            # kafka-python computes checksums in Python: fewer bytes are faster to send. Every
            # consumer reads gzip; zstd would be twice as fast here, but not all of them know it.
            "compression_type": "gzip",
            "partitioner": _Remembering(),
            **(options or {}),
        }
        try:
            self._producer = KafkaProducer(**settings)
        except KafkaError as error:
            raise OutOfReach(f"no broker at {brokers}: {error}") from None
        except (OSError, ValueError) as error:
            raise WrongUse(f"brokers {brokers}: {error}") from None
        self._hashes: dict[bytes, int] = {}
        self._lock = threading.Lock()
        self._sent = 0
        self._acknowledged = 0
        self._error: BaseException | None = None

    def __enter__(self) -> Player:
        return self

    def __exit__(self, *_: object) -> None:
        self._producer.close(timeout=10)

    def send_releases(self, releases: Iterable[Mapping[str, str]], topic: str = "releases") -> int:
        """Send the release calendar, keyed by model, and wait until it is there."""
        count = 0
        for entry in releases:
            self._send(topic, orjson.dumps(entry), entry["model"].encode(), None)
            count += 1
        self._finish()
        return count

    def play(
        self,
        slices: Iterable[Slice],
        topic: str,
        *,
        speed: float = 0.0,
        batch: int = 1,
        progress: Callable[[int], None] = lambda _: None,
    ) -> int:
        """Send events; returns how many records were acknowledged, which is all of them.

        Parameters
        ----------
        speed
            Seconds of event time a second; 0: as fast as the broker takes them.
        batch
            With more than 1, a record is a JSON array of up to so many events of one
            partition, without a key. That is many times faster; the events are
            the same, and in the same order within a partition.
        progress
            Called now and then with the number of events sent since.
        """
        before = self._acknowledged
        for part in _paced(slices, speed):
            if batch > 1:
                self._send_arrays(topic, part, batch)
            else:
                for line, key, when in part:
                    self._send(topic, line, key, when)
            self._raise_failure()
            progress(len(part))
        self._finish()
        return self._acknowledged - before

    def _send_arrays(self, topic: str, part: list[Row], batch: int) -> None:
        """One record for each partition and up to ``batch`` events; its time is that of the last one."""
        try:
            partitions = len(self._producer.partitions_for(topic))
        except KafkaError as error:
            raise OutOfReach(f"topic {topic}: {error}") from None
        open_arrays: dict[int, list[bytes]] = {}
        when = 0
        for line, key, when in part:
            place = self._hash(key) % partitions
            lines = open_arrays.setdefault(place, [])
            lines.append(line)
            if len(lines) == batch:
                self._send(topic, _array(open_arrays.pop(place)), None, when, place)
        for place, lines in open_arrays.items():
            self._send(topic, _array(lines), None, when, place)

    def _hash(self, key: bytes) -> int:
        found = self._hashes.get(key)
        if found is None:
            found = self._hashes[key] = murmur2(key) & 0x7FFFFFFF
        return found

    def _send(
        self, topic: str, value: bytes, key: bytes | None, timestamp: int | None, partition: int | None = None
    ) -> None:
        try:
            future = self._producer.send(
                topic, value=value, key=key, partition=partition, timestamp_ms=timestamp
            )
        except (KafkaError, ValueError) as error:
            raise OutOfReach(f"topic {topic}: cannot send: {error}") from None
        self._sent += 1
        future.add_callback(self._succeeded)
        future.add_errback(self._failed)

    def _succeeded(self, _: object) -> None:
        with self._lock:
            self._acknowledged += 1

    def _failed(self, error: BaseException) -> None:
        with self._lock:
            self._error = self._error or error

    def _raise_failure(self) -> None:
        if self._error is not None:
            raise OutOfReach(f"a record was not acknowledged: {self._error}")

    def _finish(self) -> None:
        """Wait for the acknowledgement of everything sent."""
        try:
            self._producer.flush(timeout=120)
        except KafkaError as error:
            self._raise_failure()
            raise OutOfReach(f"records were not acknowledged: {error}") from None
        self._raise_failure()
        # A flush can return a moment before the last callbacks have run.
        deadline = time.monotonic() + 5.0
        while self._acknowledged < self._sent and time.monotonic() < deadline:
            time.sleep(0.01)
            self._raise_failure()
        if self._acknowledged < self._sent:
            raise OutOfReach(f"{self._sent - self._acknowledged} records were not acknowledged")


def _array(lines: list[bytes]) -> bytes:
    return b"[" + b",".join(lines) + b"]"


def _paced(slices: Iterable[Slice], speed: float) -> Iterator[list[Row]]:
    """Lines, keys and times in pieces, each handed out when its time has come."""
    started = time.monotonic()
    origin: int | None = None
    for part in slices:
        rows = list(zip(part.lines, part.accounts, part.delivery.tolist(), strict=True))
        if speed <= 0:
            yield rows
            continue
        if origin is None:
            origin = part.begin
        due = ((part.delivery - origin) / 1000.0 / speed).tolist()
        at = 0
        while at < len(rows):
            wait = due[at] - (time.monotonic() - started)
            if wait > 0:
                time.sleep(wait)
            limit = max(time.monotonic() - started, due[at]) + BURST_SECONDS
            until = at + 1
            while until < len(rows) and due[until] <= limit:
                until += 1
            yield rows[at:until]
            at = until
